"""FashionIQ: the miniature, the ways to join captions, both galleries, and what is refused."""

import json

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets import fashioniq
from lib.datasets.registry import CORPORA

DRESSES, IN_DRESSES = "captions/cap.dress.val.json", "image_splits/split.dress.val.json"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fashioniq") / "mini"
    CORPORA["fashioniq"].write_miniature(folder)
    return folder


def load(root, **options):
    return fashioniq.load_fashioniq(root, need_media=False, **options)


def test_published_sizes():
    val = fashioniq.PUBLISHED["val"]
    queries = [val[f"{name} queries"] for name in fashioniq.CATEGORIES]
    assert queries == [2_017, 2_038, 1_961] and sum(queries) == 6_016
    pictures = [val[f"{name} pictures"] for name in fashioniq.CATEGORIES]
    assert pictures == [3_817, 6_346, 5_373]
    train = fashioniq.PUBLISHED["train"]
    assert sum(train[f"{name} queries"] for name in fashioniq.CATEGORIES) == 18_000


def test_three_categories_with_a_gallery_each(root):
    corpus = fashioniq.load_fashioniq(root)
    assert corpus.name == "fashioniq (miniature)" and all(count.ok for count in corpus.counts)
    assert [one.name for one in corpus.galleries] == ["dress", "shirt", "toptee"]
    assert [one.queries.size for one in corpus.galleries] == [42, 45, 39]
    assert [one.items.size for one in corpus.galleries] == [56, 60, 52]
    assert len(corpus.item_ids) == 167  # one picture is a shirt and a toptee
    assert set(corpus.galleries[1].items) & set(corpus.galleries[2].items)
    assert corpus.text_ids[0] == "dress#0" and corpus.text_ids[42] == "shirt#0"
    assert corpus.item_ids[corpus.references[0]] == "B00V00000X"
    assert corpus.item_ids[corpus.qrels.row(0)[0][0]] == "B00V00001X"
    assert corpus.texts[0] == (
        "Is purple with diamonds and has purple diamonds instead of yellow diamonds"
    )
    assert corpus.excluded is None and corpus.media[0].size == (64, 64)
    for one in corpus.galleries:
        inside = set(one.items.tolist())
        assert {corpus.references[at] for at in one.queries} <= inside
        assert {corpus.qrels.row(at)[0][0] for at in one.queries} <= inside


@pytest.mark.parametrize(
    "how, expected",
    [
        ("capitalised", "Is red and HAS a hood"),
        ("stripped", "is RED and HAS a hood"),
        ("as typed", " is RED. and HAS a hood, ?"),
        ("reversed", "HAS a hood, ? and  is RED."),
    ],
)
def test_ways_to_join_two_captions(how, expected):
    # CLIP4Cir: f"{a.strip('.?, ').capitalize()} and {b.strip('.?, ')}", which lowers the rest of a.
    assert fashioniq.joined_captions(" is RED.", "HAS a hood, ?", how) == expected


def test_captions_without_words_are_kept(root):
    corpus = load(root)
    assert corpus.texts[4].endswith(" and ")  # the second caption is a space, as typed by someone
    assert load(root, captions="as typed").texts[4].endswith(" and  ")
    assert corpus.texts[7].startswith("Is ") and not corpus.texts[7].endswith("?")


def test_the_union_is_smaller_and_references_can_be_removed(root):
    union = load(root, gallery="union", reference="removed", category="shirt")
    assert [one.name for one in union.galleries] == ["shirt"]
    assert union.galleries[0].items.size == 45  # 15 families of three, without the single ones
    assert [(one.what, one.published) for one in union.counts] == [
        ("shirt pictures", None), ("shirt queries", 45),
    ]  # fmt: skip
    assert union.excluded.items.tolist() == union.references.tolist()
    assert union.relevance == "capitalised, gallery union, reference removed"
    assert load(root, category="shirt").checksum(media=False) != union.checksum(media=False)


def test_png_files_and_missing_pictures(root, tmp_path):
    for folder in ("captions", "image_splits", "images"):
        (tmp_path / folder).mkdir()
        for path in (root / folder).iterdir():
            name = path.name.replace(".jpg", ".png")
            (tmp_path / folder / name).write_bytes(path.read_bytes())
    (tmp_path / "miniature.json").write_bytes((root / "miniature.json").read_bytes())
    assert fashioniq.load_fashioniq(tmp_path, category="dress").media.names[0].endswith(".png")
    (tmp_path / "images" / "B00V00000X.png").unlink()
    with pytest.raises(RetrievalInputError, match="found 166 of 167 pictures"):
        fashioniq.load_fashioniq(tmp_path)
    part = fashioniq.load_fashioniq(tmp_path, allow_partial=True)
    assert len(part.texts) == 126 - 3 and part.galleries[0].items.size == 55
    counts = {count.what: (count.found, count.published) for count in part.counts}
    assert counts["dress pictures"] == (55, 56) and counts["dress queries"] == (39, 42)
    assert counts["shirt queries"] == (45, 45)
    np.testing.assert_array_equal(np.sort(np.concatenate([g.queries for g in part.galleries])),
                                  np.arange(123))  # fmt: skip


@pytest.mark.parametrize(
    "name, edit, message",
    [
        (DRESSES, lambda pairs: {}, "must be a list of at least one pair, got {}"),
        (DRESSES, lambda pairs: [7, *pairs[1:]], "pair 0: 'candidate' must be str, got the entry"),
        (DRESSES, lambda pairs: pairs[:-1], "found 41 of 42 dress queries"),
        (DRESSES, lambda p: [p[0] | {"captions": ["a"]}, *p[1:]], "captions must be two texts"),
        (DRESSES, lambda p: [p[0] | {"captions": "ab"}, *p[1:]], "'captions' must be list"),
        (DRESSES, lambda p: [p[0] | {"captions": ["a", None]}, *p[1:]], "captions must be two"),
        (DRESSES, lambda p: [p[0] | {"target": "B"}, *p[1:]], "target 'B' is not one of the 56"),
        (DRESSES, lambda p: [p[0] | {"candidate": "B"}, *p[1:]], "candidate 'B' is not one of"),
        (IN_DRESSES, lambda ids: {}, "must be a list of at least one picture id"),
        (IN_DRESSES, lambda ids: [*ids[1:], 3], "must be a list of at least one picture id"),
        (IN_DRESSES, lambda ids: [*ids[1:], ids[1]], "picture"),
        (IN_DRESSES, lambda ids: [*ids, "B"], "found 57 of 56 dress pictures"),
    ],
)
def test_bad_files_are_named(root, tmp_path, name, edit, message):
    for path in (*root.glob("*/*.json"), root / "miniature.json"):
        target = tmp_path / path.relative_to(root)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    (tmp_path / name).write_text(json.dumps(edit(json.loads((root / name).read_text()))))
    with pytest.raises(RetrievalInputError, match=message):
        load(tmp_path)


def test_a_wanted_reference_cannot_be_removed(root, tmp_path):
    for path in (*root.glob("*/*.json"), root / "miniature.json"):
        target = tmp_path / path.relative_to(root)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    pairs = json.loads((root / DRESSES).read_text())
    pairs[2]["target"] = pairs[2]["candidate"]
    (tmp_path / DRESSES).write_text(json.dumps(pairs))
    assert load(tmp_path).qrels.row(2)[0].tolist() == [load(tmp_path).references[2]]
    with pytest.raises(RetrievalInputError, match="pair 2: candidate and target are both"):
        load(tmp_path, reference="removed")
    with pytest.raises(RetrievalInputError, match="category must be one of 'all', 'dress'"):
        load(root, category="hat")
