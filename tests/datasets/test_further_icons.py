"""Further icons: cleaned names, and nothing that is held out; the packages are optional."""

import json
import re
from collections import Counter
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import further_icons, icons, pictures
from lib.datasets.concept_splits import concept_spellings
from lib.datasets.further_icons import (
    FONTS,
    PACKAGES,
    FontFamily,
    clean_names,
    closest_drawings,
    draw_tabler,
    held_out_drawings,
    held_out_names,
)

needs_packages = pytest.mark.skipif(
    any(find_spec(package) is None for package in PACKAGES),
    reason="the packages of the extra 'train' are not installed",
)


def font_of(family, style=""):
    return next(font for font in FONTS if font.family == family and font.style == style)


# ---- names


@pytest.mark.parametrize(
    ("family", "codes", "expected"),
    [
        ("bootstrap", {"alarm-fill": 5, "cloud": 6}, [("alarm-fill", 5), ("cloud", 6)]),
        ("lucide", {"icon-alarm-clock": "e03a"}, [("alarm-clock", 0xE03A)]),
        # The map has each drawing with and without its prefix: it counts once.
        ("eva", {"eva-gift": "ea0c", "gift": "ea0c"}, [("gift", 0xEA0C)]),
        ("typicons", {"typcn-social-github": "e1", "typcn-anchor": "e2"}, [("anchor", 0xE2)]),
        ("lineicons", {"lni-leaf-1": 60218}, [("leaf-1", 60218)]),
        # bxs is filled, bxl a trade mark.
        (
            "boxicons",
            {"bx-lock": "a", "bxs-lock": "b", "bxl-skype": "c"},
            [("lock", 10), ("lock-fill", 11)],
        ),
        ("google", {"view_day": "e8ed", "14MP": "e956"}, [("view-day", 0xE8ED), ("14mp", 0xE956)]),
    ],
)
def test_names_are_those_of_the_concept(family, codes, expected):
    assert clean_names(codes, font_of(family)) == expected


def test_platforms_and_variants_of_ionicons_are_one_name():
    codes = {
        "ion-leaf": "1", "leaf": "1", "ion-ios-leaf": "2", "android-leaf": "3", "mic-b": "4",
        "ion-social-github": "5", "social-github": "5", "ion-ios-leaf-outline": "6",
    }  # fmt: skip
    assert clean_names(codes, font_of("ion")) == [
        ("leaf", 1), ("leaf", 2), ("leaf", 3), ("mic", 4), ("leaf-outline", 6)
    ]  # fmt: skip


def test_of_several_sizes_the_usual_or_the_largest():
    codes = {
        "ic-fluent-key-16-filled": 1, "ic-fluent-key-24-filled": 2, "ic-fluent-key-48-filled": 3,
        "ic-fluent-arrow-left-2-20-regular": 4, "ic-fluent-arrow-left-2-28-regular": 5,
    }  # fmt: skip
    expected = [("key-fill", 2), ("arrow-left-2", 5)]
    assert clean_names(codes, font_of("fluent")) == expected


def test_a_style_is_added_once():
    codes = {"bookmark_outline": "1", "key": "2"}
    expected = [("bookmark-outline", 1), ("key-outline", 2)]
    assert clean_names(codes, font_of("google", "outline")) == expected


@given(st.text(alphabet="abc -_1", min_size=1).filter(lambda text: re.search("[a-c1]", text)))
def test_a_cleaned_name_stays_as_it_is(raw):
    font = FontFamily("any", "any", "any", "any")
    [(name, _)] = clean_names({raw: 1}, font)
    assert clean_names({name: 1}, font) == [(name, 1)]
    assert re.fullmatch(r"[abc1]+(-[abc1]+)*", name)


# ---- what is held out


def test_a_name_is_held_out_in_every_spelling():
    held_out = concept_spellings("gift") | concept_spellings("light bulb") | {"checkmark"}
    names = ["gift", "gifts", "gift-2", "gift-fill", "gift-alt-3-outlined", "lightbulb"]
    names += ["light-bulbs", "bulb-light", "check-mark"]
    assert held_out_names(names, held_out).all()
    assert held_out_names(["lock-alt-fill"], concept_spellings("lock alt")).all()
    apart = ["gift-card", "giftless", "bulb", "check", "mark", "2"]
    assert not held_out_names(apart, held_out).any()


def test_a_number_alone_is_a_name():
    assert held_out_names(["1", "2-fill"], concept_spellings("2")).tolist() == [False, True]


def ring(radius, width=4):
    y, x = np.mgrid[:64, :64] - 31.5
    return np.where(np.abs(np.hypot(x, y) - radius) < width / 2, 255, 0).astype(np.uint8)


def test_a_drawing_is_held_out_if_it_nearly_equals_one():
    held_out = np.stack([ring(20), ring(8)])
    noisy = np.clip(
        ring(20).astype(int) + np.random.default_rng(0).integers(0, 40, (64, 64)), 0, 255
    )
    images = np.stack([ring(20), ring(20) // 2, noisy.astype(np.uint8), ring(14), ring(28)])
    assert held_out_drawings(images, held_out).tolist() == [True, True, True, False, False]
    assert not held_out_drawings(images, held_out[:0]).any()


def test_the_closest_drawing_is_found_in_parts():
    others = np.stack([ring(20), ring(8), ring(14)])
    images = np.concatenate([np.repeat(others[[1]], 2050, axis=0), others[[2, 0]] // 2])
    correlations, which = closest_drawings(images, others)
    assert which.tolist() == [1] * 2050 + [2, 0]
    assert correlations == pytest.approx(np.ones(len(images)), abs=0.01)
    assert closest_drawings(images[:2], others[:0])[1].tolist() == [-1, -1]
    assert closest_drawings(images[:0], others)[0].shape == (0,)


def test_the_threshold_is_the_correlation_of_means():
    left, both = np.zeros((64, 64), np.uint8), np.zeros((64, 64), np.uint8)
    left[:, :32], both[:, :32] = 200, 200
    both[: 4 * 2, 32:] = 200  # 2 of 16 rows of cells
    cells = [image.reshape(16, 4, 16, 4).mean(axis=(1, 3)).ravel() for image in (left, both)]
    correlation = np.corrcoef(*cells)[0, 1]
    assert correlation == pytest.approx(0.8819, abs=1e-4)  # sqrt(7 / 9), by hand
    for threshold, expected in ((correlation - 1e-3, True), (correlation + 1e-3, False)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(further_icons, "NEARLY_EQUAL", threshold)
            assert held_out_drawings(both[None], left[None]).tolist() == [expected]


# ---- files


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setattr(further_icons.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        MissingFileError, match="ttkbootstrap-icons-bs, .* is missing. Run: make train, .*'train'"
    ):
        further_icons.load_further_icons.__wrapped__()


def test_no_packages_are_needed_for_the_pictures_that_are_searched(monkeypatch):
    monkeypatch.setattr(further_icons, "_package_folder", None)
    corpus = pictures.load_pictures()
    assert pictures.FURTHER not in corpus.sources
    assert corpus.pixels(np.array([0, len(corpus) - 1])).shape == (2, 64, 64, 3)


@pytest.mark.parametrize(
    ("head", "body", "ink"),
    [
        ('fill="currentColor"', '<rect x="6" y="6" width="12" height="12"/>', 12 * 12 / 24**2),
        (
            'fill="none" stroke="currentColor" stroke-width="2"',
            '<path d="M4 12h16"/>',
            2 * 16 / 24**2,
        ),
    ],
)
def test_a_drawing_of_tabler_is_ink_on_nothing(tmp_path, head, body, ink):
    path = tmp_path / "a.svg"
    path.write_text(
        '<!--\ntags: [a]\n-->\n<svg\n xmlns="http://www.w3.org/2000/svg"\n width="24"\n'
        f' height="24"\n viewBox="0 0 24 24" {head}>{body}</svg>'
    )
    image = draw_tabler(path)
    assert image.dtype == np.uint8 and image.shape == (64, 64)
    assert image[32, 32] == 255 and image[0, 0] == 0
    assert image.mean() / 255 == pytest.approx(ink, abs=2e-3)


def test_a_damaged_drawing_or_map_is_named(tmp_path):
    path = tmp_path / "a.svg"
    path.write_text("<svg")
    with pytest.raises(DamagedFileError, match=r"a\.svg is no drawing"):
        draw_tabler(path)
    path = tmp_path / "map.json"
    path.write_text("{")
    with pytest.raises(DamagedFileError, match=r"map\.json is no map of icon names"):
        further_icons._read_map(path)


def test_a_style_sheet_is_a_map_too(tmp_path):
    path = tmp_path / "a.css"
    path.write_text('.bx-lock:before {\n  content: "\\ea37";\n}\n.bx-spin { animation: x }\n')
    assert further_icons._read_map(path) == {"bx-lock": "ea37"}


def test_training_pictures_of_stand_ins_leave_out_what_is_held_out(monkeypatch):
    """Further icons that are icons themselves: one is named as, one drawn as a held-out one."""
    corpus = icons.load_icons()
    train, test = (corpus.positions(split) for split in ("train", "test"))
    telling = next(p for p in test if corpus.images[p].std() > 50)
    images = [ring(17), ring(17), corpus.images[telling], 255 - ring(11)]
    names = ("wholly-new", corpus.names[test[0]] + "-2", "also-new", corpus.names[train[0]])
    stand_in = further_icons.FurtherIcons(np.stack(images), names, ("tabler",) * 4)
    monkeypatch.setattr(further_icons, "load_further_icons", lambda: stand_in)
    named, drawn = pictures.held_out_further_icons()
    assert named.tolist() == [False, True, False, False]
    assert drawn.tolist() == [False, False, True, False]
    joined = pictures.load_training_pictures.__wrapped__()
    n = len(pictures.load_pictures())
    assert len(joined) == n + 2 and joined.captions[n] == ("wholly new",)
    assert joined.positions("train", [pictures.FURTHER]).tolist() == [n, n + 1]
    np.testing.assert_array_equal(joined.pixels(np.array([n]))[0, ..., 1], 255 - ring(17))
    assert joined.heads[n + 1] == joined.heads[train[0]] and joined.is_drawing[n:].all()


# ---- the packages


@pytest.fixture(scope="module")
def further():
    return further_icons.load_further_icons()


@needs_packages
def test_counts_of_the_datasheet(further):
    named, drawn = pictures.held_out_further_icons()
    counts = [Counter(np.array(further.families)[kind].tolist()) for kind in (..., ~named & ~drawn)]
    assert {family: tuple(c[family] for c in counts) for family in further_icons.FAMILIES} == {
        "bootstrap": (2078, 1796), "fluent": (4378, 3914), "ion": (650, 473),
        "lucide": (1601, 1417), "eva": (490, 358), "typicons": (307, 265),
        "google": (4425, 3667), "lineicons": (606, 510), "boxicons": (1479, 1051),
        "tabler": (4868, 4443),
    }  # fmt: skip
    assert (len(further), named.sum(), drawn.sum(), (named & drawn).sum()) == (
        20882, 1580, 1592, 184
    )  # fmt: skip


@needs_packages
def test_drawings_are_ink_that_leaves_the_corners_free(further):
    assert further.images.dtype == np.uint8 and further.images.shape[1:] == (64, 64)
    assert (further.images.max(axis=(1, 2)) >= 128).all()
    assert (further.images[:, 0, 0] == 0).mean() > 0.99
    prefixes = ("ion-", "eva-", "typcn-", "icon-", "lni-", "bx-", "ic-fluent-", "brand-")
    assert not [name for name in further.names if name.startswith(prefixes)]


@needs_packages
def test_training_pictures_hold_no_held_out_concept_or_drawing():
    """By a way of its own: words without plurals, and pixels one by one on a sample."""
    corpus = pictures.load_training_pictures()
    further = np.flatnonzero(corpus.sources == pictures.FURTHER)
    assert (corpus.splits[further] == "train").all()
    held_out = np.flatnonzero(np.isin(corpus.splits, pictures.HELD_OUT))

    def plain(name):
        words = [word for word in name.split() if word not in icons.STYLE_WORDS] or name.split()
        return " ".join(words).removesuffix("s")

    names = {plain(corpus.captions[p][0]) for p in held_out}
    assert len(names) > 1500
    assert not names & {plain(corpus.captions[p][0]) for p in further}
    held = held_out[corpus.sources[held_out] != "emoji"]
    ink = 255.0 - corpus.pixels(held)[..., 0]
    means = ink.reshape(-1, 16, 4, 16, 4).mean(axis=(2, 4)).reshape(len(held), -1)
    shown = means.std(axis=1) > 0
    for position in further[:: len(further) // 20]:
        image = 255.0 - corpus.pixels(np.array([position]))[0, ..., 0]
        mean = image.reshape(16, 4, 16, 4).mean(axis=(1, 3)).ravel()
        found = np.corrcoef(mean, means[shown])[0, 1:]  # of the first with each of the others
        assert found.max() < 0.93


@needs_packages
def test_training_pictures_begin_with_all_pictures():
    corpus, joined = pictures.load_pictures(), pictures.load_training_pictures()
    n = len(corpus)
    assert joined.captions[:n] == corpus.captions and joined.heads[:n] == corpus.heads
    for name in ("sources", "places", "groups", "splits"):
        np.testing.assert_array_equal(getattr(joined, name)[:n], getattr(corpus, name))
    some = np.array([n, 0, len(joined) - 1])
    stored = further_icons.load_further_icons()
    found = joined.pixels(some)
    for channel in range(3):
        for row in (0, 2):
            image = stored.images[joined.places[some[row]]]
            np.testing.assert_array_equal(found[row, :, :, channel], 255 - image)
    assert not set(joined.groups[n:]) & set(corpus.groups)
    assert all(len(captions) == 1 for captions in joined.captions[n:])


def test_a_name_in_a_map_of_fonts_that_cannot_be_drawn_is_an_error(tmp_path):
    rows = [("ion", "leaf", tmp_path / "no.ttf", 5)]
    (tmp_path / "no.ttf").write_text(json.dumps({}))
    with pytest.raises(DamagedFileError, match="no font that draws ion leaf"):
        list(further_icons._draw_all(rows))
