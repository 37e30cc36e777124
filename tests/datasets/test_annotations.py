"""Annotation files: damaged ones, fields of the wrong kind, and counted records."""

import json
from functools import partial

import pytest
from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.annotations import (
    Record,
    captioned_media,
    every_text,
    field_of,
    find_file,
    read_json,
    read_karpathy,
)
from lib.datasets.completeness import Count
from lib.datasets.media.files import PictureFiles

RECORDS = [
    Record("a.png", "1", (("10", "a one"), ("11", "a two"), ("12", "a three"))),
    Record("b.png", "2", (("20", "b one"),)),
    Record("c.png", "3", (("30", "c one"), ("31", "c two"))),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("records")
    for record in RECORDS:
        Image.new("RGB", (2, 2)).save(root / record.file)
    return root


def build(root, records=RECORDS, *, published=(3, 6), choose=every_text, allow_partial=False):
    return captioned_media(
        records,
        root,
        PictureFiles,
        name="toy",
        split="test",
        modality="image",
        published={"images": published[0], "captions": published[1]},
        captions="all",
        choose=choose,
        allow_partial=allow_partial,
        datasheet="toy",
    )


def test_ragged_captions(root):
    corpus = build(root)
    assert corpus.texts == ("a one", "a two", "a three", "b one", "c one", "c two")
    assert corpus.text_ids == ("10", "11", "12", "20", "30", "31") and corpus.item_ids == (
        "1",
        "2",
        "3",
    )
    assert corpus.owners.tolist() == [0, 0, 0, 1, 2, 2]
    assert (
        corpus.counts == (Count("images", 3, 3), Count("captions", 6, 6)) and corpus.missing == ()
    )


def test_first_texts(root):
    corpus = build(root, choose=partial(every_text, first=2), published=(3, 5))
    assert corpus.text_ids == ("10", "11", "20", "30", "31")


def test_wrong_counts(root):
    message = r"toy, test split: found 3 of 4 images; found 6 of 7 captions"
    with pytest.raises(RetrievalInputError, match=message):
        build(root, published=(4, 7))
    assert build(root, published=(4, 7), allow_partial=True).counts[0] == Count("images", 3, 4)


def test_missing_media(root):
    records = [RECORDS[0], Record("gone.png", "2", RECORDS[1].texts), RECORDS[2]]
    with pytest.raises(
        RetrievalInputError, match=r"toy: found 2 of 3 images; first missing: gone\.png"
    ):
        build(root, records)
    corpus = build(root, records, allow_partial=True)
    assert corpus.missing == ("gone.png",) and corpus.item_ids == ("1", "3")
    assert corpus.owners.tolist() == [0, 0, 0, 1, 1] and "20" not in corpus.text_ids
    assert corpus.counts == (Count("images", 2, 3), Count("captions", 5, 6))
    with pytest.raises(RetrievalInputError, match="found 0 of 3 images"):
        build(root / "nowhere", records, allow_partial=True)


@pytest.mark.parametrize("file", ["../../etc/passwd", "/etc/passwd", "x/../../y.png"])
def test_a_name_that_leaves_the_root(root, file):
    records = [Record(file, "1", RECORDS[0].texts), *RECORDS[1:]]
    for allow_partial in (False, True):  # never taken for a picture that is merely missing
        with pytest.raises(RetrievalInputError, match="relative path inside"):
            build(root, records, allow_partial=allow_partial)


def test_duplicate_ids(root):
    with pytest.raises(RetrievalInputError, match="item ids must differ, got '1'"):
        build(root, [RECORDS[0], Record("b.png", "1", RECORDS[1].texts), RECORDS[2]])
    with pytest.raises(RetrievalInputError, match="text ids must differ, got '10'"):
        build(root, [RECORDS[0], Record("b.png", "2", (("10", "b one"),)), RECORDS[2]])


def test_find_file(root):
    assert find_file(root, "b.png") == root / "b.png"
    assert find_file(root.parent, "b.png", ["nowhere", root.name]) == root / "b.png"
    assert find_file(root, "x.png", ["nowhere"]) is None


@pytest.mark.parametrize(
    "content", [b'{"images": [{"filename"', b"", b"\xff\xfe{}", b"[" * 200_000]
)
def test_truncated_json(tmp_path, content):
    (tmp_path / "dataset.json").write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"dataset\.json is not a JSON file.*Fetch it again"):
        read_json(tmp_path / "dataset.json")
    with pytest.raises(MissingFileError, match=r"none\.json is missing"):
        read_json(tmp_path / "none.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_json_with_and_without_a_byte_order_mark(tmp_path, encoding):
    (tmp_path / "a.json").write_bytes('{"caption": "fünf"}'.encode(encoding))
    assert read_json(tmp_path / "a.json") == {"caption": "fünf"}


def test_field_of():
    assert field_of({"id": 3}, "id", int, "x.json, image 4") == 3
    with pytest.raises(RetrievalInputError, match="x.json, image 4: 'id' must be int, got '3'"):
        field_of({"id": "3"}, "id", int, "x.json, image 4")
    with pytest.raises(RetrievalInputError, match="'id' must be int or float, got None"):
        field_of({}, "id", (int, float), "x")
    with pytest.raises(RetrievalInputError, match="'id' must be int, got True"):
        field_of({"id": True}, "id", int, "x")
    with pytest.raises(RetrievalInputError, match=r"got the entry \[1\]"):
        field_of([1], "id", int, "x")


# ---- the split files of Karpathy


def karpathy(**changes) -> dict:
    sentence = {"tokens": ["a"], "raw": "A. ", "imgid": 0, "sentid": 7} | changes.pop(
        "sentence", {}
    )
    image = {
        "filename": "1.jpg",
        "imgid": 0,
        "split": "test",
        "sentences": [sentence],
        "sentids": [7],
    }
    return {"images": [image | changes], "dataset": "flickr30k"}


def test_karpathy(tmp_path):
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(karpathy()))
    (image,) = read_karpathy(path, ("test",))
    assert image.filename == "1.jpg" and image.folder == "" and image.cocoid is None
    assert image.sentences == ((7, "A. "),)
    path.write_text(json.dumps(karpathy(filepath="val2014", cocoid=5)))
    (image,) = read_karpathy(path, ("test",))
    assert image.folder == "val2014" and image.cocoid == 5
    assert list(read_karpathy(path, ("val", "train"))) == []
    # Images of other splits are not kept; an entry that is no image is refused all the same.
    others = [karpathy(split=split)["images"][0] for split in ("val", "test", "train")]
    path.write_text(json.dumps({"images": [*others, None]}))
    images = read_karpathy(path, ("test",))
    assert next(images).filename == "1.jpg"
    with pytest.raises(RetrievalInputError, match="image 3: 'split' must be str, got the entry"):
        next(images)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"filename": 3}, "image 0: 'filename' must be str, got 3"),
        ({"split": None}, "'split' must be str, got None"),
        ({"sentences": []}, "image 0: .* at least one sentence"),
        ({"sentence": {"raw": None}}, "'raw' must be str, got None"),
        ({"sentence": {"sentid": "7"}}, "'sentid' must be int, got '7'"),
        ({"cocoid": "5"}, "'cocoid' must be int"),
    ],
)
def test_karpathy_with_wrong_fields(tmp_path, changes, message):
    path = tmp_path / "dataset.json"
    path.write_text(json.dumps(karpathy(**changes)))
    with pytest.raises(RetrievalInputError, match=message):
        list(read_karpathy(path, ("test",)))


def test_karpathy_without_images(tmp_path):
    path = tmp_path / "dataset.json"
    path.write_text("[]")
    with pytest.raises(RetrievalInputError, match="'images' must be list"):
        list(read_karpathy(path, ("test",)))


def test_a_key_that_is_there_twice(tmp_path):
    path = tmp_path / "keyed.json"
    path.write_text('{"clips": {"a": ["one"], "b": [], "a": ["two"]}}')
    assert read_json(path) == {"clips": {"a": ["two"], "b": []}}
    with pytest.raises(RetrievalInputError, match=r"keyed\.json: the key 'a' is there twice"):
        read_json(path, keyed=True)


def test_errors_begin_with_their_place(root):
    for records, message in (
        ([], "toy, test split, has no image"),
        ([Record("a.png", "1", (("10", " "),))], r"text 0 \(id 10\) must be words"),
        ([Record("x" * 300, "1", (("10", "a"),))], "cannot be that of a file"),
        ([RECORDS[0], RECORDS[0]], "item ids must differ|text ids must differ"),
    ):
        with pytest.raises(RetrievalInputError, match=message) as caught:
            build(root, records, allow_partial=True)
        assert str(caught.value).startswith(str(root))
