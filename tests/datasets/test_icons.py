"""Icons: counts, splits without leaks, grades, and a damaged cache."""

import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from lib.core.checks import RetrievalInputError
from lib.core.qrels import Qrels
from lib.core.reading import MissingFileError
from lib.datasets import icons
from lib.datasets.icons import concept_of, draw_glyph, font_files, head_of, judge, phrase_of


@pytest.fixture(scope="module")
def corpus():
    return icons.load_icons()


@pytest.fixture(scope="module")
def task():
    """The test split, text to image."""
    return icons.task("test", "text_to_image")


def drawings(corpus, positions):
    return [corpus.images[position].tobytes() for position in positions]


# ---- names


@pytest.mark.parametrize(
    ("name", "concept", "head"),
    [
        ("alarm-light-outline", "alarm", "alarm"),
        ("alarm-fill", "alarm", "alarm"),
        ("account-cash-outline", "account-cash", "account"),
        ("light-switch", "switch", "switch"),  # a known flaw: here `light` is no style
        ("bold", "bold", "bold"),  # made of style words alone
        ("bold-outline", "bold-outline", "bold"),
        ("500px", "500px", "500px"),
        ("highlight", "highlight", "highlight"),  # style words are whole words
    ],
)
def test_concept_and_head_by_hand(name, concept, head):
    assert (concept_of(name), head_of(name)) == (concept, head)


def test_phrase_is_what_a_person_types():
    assert phrase_of("alarm-light-outline") == "alarm light outline"


# ---- size


def test_counts(corpus):
    assert len(corpus) == len(corpus.names) == len(corpus.families) == len(corpus.images) == 16_546
    assert len(set(corpus.names)) == 15_253
    assert Counter(corpus.families) == {
        "material": 7367, "phosphor": 4470, "remix": 2271, "fontawesome-solid": 1402,
        "codicon": 569, "elusive": 304, "fontawesome-regular": 163,
    }  # fmt: skip


def test_images_are_64_x_64_with_ink_that_does_not_touch_the_border(corpus):
    assert corpus.images.dtype == np.uint8 and corpus.images.shape[1:] == (64, 64)
    border = np.ones((64, 64), dtype=bool)
    border[1:-1, 1:-1] = False
    assert corpus.images[:, border].max() == 0
    faint = np.flatnonzero(corpus.images.max(axis=(1, 2)) < 128)
    assert [corpus.names[i] for i in faint] == ["blank"]  # one icon is empty by design


def test_arrays_are_read_only_and_shared(corpus):
    assert icons.load_icons() is corpus
    for array in (corpus.images, corpus.groups, corpus.splits):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[1]


# ---- splits


def test_the_test_split_is_large_enough(corpus):
    positions = corpus.positions("test")
    assert len(positions) >= 1400 and len({corpus.names[i] for i in positions}) >= 1300
    assert len(corpus.positions("validation")) > 700


def test_splits_share_neither_concept_nor_name_nor_drawing(corpus):
    seen = {}
    for split in icons.SPLITS:
        positions = corpus.positions(split)
        names = [corpus.names[i] for i in positions]
        seen[split] = {concept_of(n) for n in names}, set(names), set(drawings(corpus, positions))
    for a, b in (("train", "validation"), ("train", "test"), ("validation", "test")):
        for ours, theirs in zip(seen[a], seen[b], strict=True):
            assert ours.isdisjoint(theirs)


def test_splits_cover_everything_once(corpus):
    every = np.concatenate([corpus.positions(split) for split in icons.SPLITS])
    np.testing.assert_array_equal(np.sort(every), np.arange(len(corpus)))


def test_groups_are_the_closure_of_same_concept_and_same_drawing(corpus):
    parent = list(range(len(corpus)))

    def root(i):
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    first = {}
    for i, name in enumerate(corpus.names):
        for key in (concept_of(name), corpus.images[i].tobytes()):
            parent[root(i)] = root(first.setdefault(key, i))
    roots = [root(i) for i in range(len(corpus))]
    pairs = set(zip(roots, corpus.groups.tolist(), strict=True))
    assert len(pairs) == len(set(roots)) == len(set(corpus.groups.tolist()))


def test_the_largest_group_is_a_handful(corpus):
    # Identical drawings do not chain into one huge group.
    assert np.bincount(corpus.groups).max() < 30


# ---- grades


def grade(task, query, name, family, corpus):
    """The grade of an image, found by name and family, for a query."""
    positions = corpus.positions("test")
    item = next(
        i
        for i, p in enumerate(positions)
        if (corpus.names[p], corpus.families[p]) == (name, family)
    )
    items, grades = task.qrels.row(task.queries.index(query))
    return dict(zip(items.tolist(), grades.tolist(), strict=True)).get(item, 0)


@pytest.mark.parametrize(
    ("query", "name", "family", "expected"),
    [
        ("anchor", "anchor", "phosphor", 3),
        ("anchor", "anchor", "material", 3),  # the same name in another family
        # Another name for pixel for pixel the same drawing.
        ("anchor", "anchor-fill", "phosphor", 3),
        ("anchor", "anchor-thin", "phosphor", 2),  # the same concept in another style
        ("anchor thin", "anchor", "phosphor", 2),
        ("anchor", "anchor-simple", "phosphor", 1),  # another concept with the same first word
        ("anchor", "keyboard", "codicon", 0),
        ("eye unwatch", "eye", "codicon", 3),  # three names, one drawing
        ("record keys", "keyboard", "codicon", 3),
        ("keyboard", "record-keys", "codicon", 3),
    ],
)
def test_grades_by_hand(task, corpus, query, name, family, expected):
    assert grade(task, query, name, family, corpus) == expected


def test_grades_follow_the_definition_for_every_pair_of_a_sample(task, corpus):
    positions = corpus.positions("test")
    bytes_of = drawings(corpus, positions)
    names = [corpus.names[p] for p in positions]
    own_drawings = {}
    for name, drawing in zip(names, bytes_of, strict=True):
        own_drawings.setdefault(name, set()).add(drawing)
    group_of = {corpus.names[p]: corpus.groups[p] for p in positions}
    for query in range(0, len(task.queries), 40):
        name = task.queries[query].replace(" ", "-")
        expected = np.zeros(len(positions), dtype=int)
        for item, position in enumerate(positions):
            if names[item] == name or bytes_of[item] in own_drawings[name]:
                expected[item] = 3
            elif corpus.groups[position] == group_of[name]:
                expected[item] = 2
            elif head_of(names[item]) == head_of(name):
                expected[item] = 1
        items, grades = task.qrels.row(query)
        found = np.zeros(len(positions), dtype=int)
        found[items] = grades
        np.testing.assert_array_equal(found, expected)


def test_a_small_gallery_by_hand(corpus):
    def at(name, family):
        return next(
            i for i in range(len(corpus)) if (corpus.names[i], corpus.families[i]) == (name, family)
        )

    gallery = np.array(
        [at("anchor-thin", "phosphor"), at("anchor-simple", "phosphor"), at("eye", "codicon")]
    )
    # No image of the gallery bears the names asked for; their concepts are known all the same.
    expected = Qrels.from_ids(
        {"anchor": {0: 2, 1: 1}, "eye-watch": {2: 2}}, ["anchor", "eye-watch"], [0, 1, 2]
    )
    assert judge(["anchor", "eye-watch"], corpus, gallery) == expected


def test_refuses_a_name_nobody_bears(corpus):
    with pytest.raises(
        RetrievalInputError, match=r"names\[1\] is 'red-alarm-clock', which no icon has"
    ):
        judge(["anchor", "red-alarm-clock"], corpus, np.arange(3))


# ---- tasks


@pytest.mark.parametrize("split", ["validation", "test"])
def test_directions_are_transposes(split):
    forward, backward = icons.task(split, "text_to_image"), icons.task(split, "image_to_text")
    assert backward.qrels == forward.qrels.T
    assert backward.gallery == forward.queries
    np.testing.assert_array_equal(backward.queries, forward.gallery)


def test_task_is_complete(task, corpus):
    assert task.name == task.datasheet == "icons" and task.hit_grade == 3
    assert len(set(task.queries)) == len(task.queries)
    assert (task.qrels.at_least(3).counts >= 1).all()
    assert (task.qrels.T.at_least(3).counts >= 1).all()
    assert set(np.unique(task.qrels.grades)) == {1, 2, 3}


def test_query_groups_are_those_of_the_corpus(task, corpus):
    group_of = {
        phrase_of(name): group for name, group in zip(corpus.names, corpus.groups, strict=True)
    }
    assert task.query_groups.tolist() == [group_of[query] for query in task.queries]
    backward = icons.task("test", "image_to_text")
    np.testing.assert_array_equal(backward.query_groups, corpus.groups[corpus.positions("test")])


def test_unknown_split_and_direction_list_the_known_ones(corpus):
    with pytest.raises(
        RetrievalInputError, match=r"split must be one of 'train', 'validation', 'test'; got 'dev'"
    ):
        icons.task("dev")
    with pytest.raises(
        RetrievalInputError, match=r"got 'text_to_images'. Did you mean 'text_to_image'"
    ):
        icons.task("test", "text_to_images")
    with pytest.raises(RetrievalInputError, match="Did you mean 'test'"):
        corpus.positions("Test")


# ---- drawing and cache


@pytest.fixture(scope="module")
def font():
    return ImageFont.truetype(str(font_files()["material"][0]), 52)


def test_drawing_is_the_glyph_centred(font, corpus):
    code = json.loads(font_files()["material"][1].read_text())["anchor"]
    drawn = draw_glyph(font, chr(int(code, 16)))
    position = next(
        i for i, n in enumerate(corpus.names) if (n, corpus.families[i]) == ("anchor", "material")
    )
    np.testing.assert_array_equal(drawn, corpus.images[position])
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    for used in (rows, columns):
        assert abs(used[0] - (63 - used[-1])) <= 1


def test_a_glyph_that_would_touch_the_border_is_scaled_down(font):
    large = font.font_variant(size=200)
    drawn = draw_glyph(large, "\U000f0031")
    assert (
        drawn.any() and not drawn[0].any() and not drawn[-1].any() and not drawn[:, [0, -1]].any()
    )


@pytest.fixture
def few(monkeypatch, tmp_path):
    """Five icons, cached in a folder of their own; counts how often they are drawn."""
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    drawn, render = [], icons.draw_icons

    def counted(rows):
        drawn.append(len(rows))
        return render(rows)

    monkeypatch.setattr(icons, "draw_icons", counted)
    rows = icons.read_catalogue()[:5]
    return rows, drawn, tmp_path / "cache"


def cached(folder):
    return next(folder.glob("icons-*.npz"))


def test_icons_are_drawn_once(few):
    rows, drawn, folder = few
    first = icons._cached_images(rows)
    np.testing.assert_array_equal(icons._cached_images(rows), first)
    assert drawn == [5] and len(list(folder.glob("*.npz"))) == 1


@pytest.mark.parametrize("damage", ["flip", "truncate", "checksum"])
def test_a_damaged_cache_is_drawn_again(few, damage):
    rows, drawn, folder = few
    first = icons._cached_images(rows)
    path = cached(folder)
    if damage == "flip":
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    elif damage == "truncate":
        path.write_bytes(path.read_bytes()[:100])
    else:
        path.with_name(path.name + ".sha256").unlink()
    np.testing.assert_array_equal(icons._cached_images(rows), first)
    assert drawn == [5, 5]
    icons._cached_images(rows)
    assert drawn == [5, 5]  # and the cache is whole again


def test_other_icons_or_another_pillow_are_another_cache(few, monkeypatch):
    rows, drawn, folder = few
    icons._cached_images(rows)
    icons._cached_images(rows[:4])
    monkeypatch.setattr(icons, "pillow_version", "0.0")
    icons._cached_images(rows)
    assert drawn == [5, 4, 5] and len(list(folder.glob("*.npz"))) == 3


def test_missing_package_and_missing_font_say_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(icons.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingFileError, match="qtawesome.*is missing.*make run"):
        font_files()
    monkeypatch.setattr(icons, "_font_folder", lambda: tmp_path)
    with pytest.raises(
        MissingFileError, match=r"codicon-\[0-9\]\*\.ttf in qtawesome's fonts, found 0.*constraints"
    ):
        font_files()


def test_drawing_equals_pillows_own_text(font):
    # Where the glyph fits, nothing but a shift lies between Pillow's text and ours.
    character = "\U000f0031"
    left, top, right, bottom = font.getbbox(character)
    canvas = Image.new("L", (right - left, bottom - top), 0)
    ImageDraw.Draw(canvas).text((-left, -top), character, fill=255, font=font)
    drawn = draw_glyph(font, character)
    y, x = (64 - canvas.height) // 2, (64 - canvas.width) // 2
    np.testing.assert_array_equal(
        drawn[y : y + canvas.height, x : x + canvas.width], np.asarray(canvas)
    )
