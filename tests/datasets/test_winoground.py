"""Winoground: two images and two captions an example, from lines of JSON."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import winoground
from lib.datasets.completeness import MissingMediaError
from lib.datasets.registry import CORPORA


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("winoground") / "root"
    CORPORA["winoground"].write_miniature(root)
    return root


@pytest.fixture
def copy(root, tmp_path):
    """Copy the annotations without the pictures."""
    shutil.copytree(root, tmp_path / "root", ignore=shutil.ignore_patterns("*.png"))
    return tmp_path / "root"


def test_published_counts():
    assert winoground.PUBLISHED["test"] == {"examples": 400, "images": 800, "captions": 800}


def test_records_of_the_miniature(root):
    line = json.loads((root / "examples.jsonl").read_text().splitlines()[7])
    assert line == {
        "id": 7,
        "image_0": "ex_7_img_0",
        "image_1": "ex_7_img_1",
        "caption_0": "two orange hearts at the bottom and a black triangle at the top",
        "caption_1": "two black hearts at the bottom and an orange triangle at the top",
        "tag": "Adjective-Color",
        "secondary_tag": "",
        "num_main_preds": 1,
        "collapsed_tag": "Relation",
    }
    corpus = winoground.load_winoground(root)
    assert len(corpus.example_ids) == 45 and not corpus.by_subset
    assert corpus.example_ids[7] == "7" and corpus.subsets[7] == "Relation"
    assert [corpus.item_ids[at] for at in corpus.images[7]] == ["ex_7_img_0", "ex_7_img_1"]
    assert [corpus.text_ids[at] for at in corpus.captions[7]] == ["7/caption_0", "7/caption_1"]
    assert [corpus.texts[at] for at in corpus.captions[7]] == [line["caption_0"], line["caption_1"]]
    assert corpus.media.names[1] == "images/ex_0_img_1.png" and corpus.media[1].size == (64, 64)
    assert len(set(corpus.clusters)) == 45


def test_both_captions_have_the_same_words(root):
    corpus = winoground.load_winoground(root, need_media=False)
    for pair in corpus.captions:
        first, second = (corpus.texts[at] for at in pair)
        words = [sorted(text.replace("an ", "a ").split()) for text in (first, second)]
        assert words[0] == words[1] and first != second


def test_layout_of_the_release(root, copy):
    shutil.move(copy / "examples.jsonl", copy / "data")
    shutil.rmtree(copy / "images")
    shutil.copytree(root / "images", copy / "data" / "images")
    corpus = winoground.load_winoground(copy)
    assert corpus.media.names[0] == "data/images/ex_0_img_0.png"
    whole = winoground.load_winoground(root)
    assert corpus.checksum(media=False) == whole.checksum(media=False)


def test_release_of_today(root, copy):
    """Parquet with the pictures inside gives the same corpus, under the same ids."""
    (copy / "examples.jsonl").unlink()
    corpus, whole = winoground.load_winoground(copy), winoground.load_winoground(root)
    assert corpus.checksum(media=False) == whole.checksum(media=False)
    for at in (0, 41, 89):
        assert corpus.media[at].tobytes() == whole.media[at].tobytes()
    assert corpus.without_items([3]).media[2].tobytes() == whole.media[4].tobytes()
    assert corpus.checksum() != corpus.checksum(media=False)
    path = copy / "data" / "test-00000-of-00001.parquet"
    table = pq.read_table(path)
    pq.write_table(table.drop_columns(["caption_1"]), path)
    with pytest.raises(RetrievalInputError, match=r"parquet must have the columns caption_1"):
        winoground.load_winoground(copy)
    pq.write_table(table.set_column(0, "id", pa.array([None] * 45, pa.int32())), path)
    with pytest.raises(RetrievalInputError, match=r"parquet, id None: 'id' must be int or str"):
        winoground.load_winoground(copy)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DamagedFileError, match="no Parquet file"):
        winoground.load_winoground(copy)


def test_a_path_in_a_column_of_pictures_is_not_opened(root, copy):
    (copy / "examples.jsonl").unlink()
    path = copy / "data" / "test-00000-of-00001.parquet"
    table = pq.read_table(path)
    names = pa.array([str(root / "images" / "ex_0_img_0.png")] * 45)
    pq.write_table(table.set_column(1, "image_0", names), path)
    assert table.column_names[1] == "image_0"
    with pytest.raises(DamagedFileError, match="the picture of 'ex_0_img_0' is empty"):
        winoground.load_winoground(copy).media[0]


def test_an_example_needs_both_images(root, copy):
    with pytest.raises(MissingMediaError, match="found 0 of 90 images"):
        winoground.load_winoground(copy)
    shutil.copytree(root / "images", copy / "images", dirs_exist_ok=True)
    (copy / "images" / "ex_3_img_1.png").unlink()
    part = winoground.load_winoground(copy, allow_partial=True)
    assert "3" not in part.example_ids and len(part.item_ids) == 88
    assert part.missing == ("images/ex_3_img_1.png",)
    assert "found 44 of 45 examples; found 88 of 90 images" in part.describe()


@pytest.mark.parametrize(
    "edit, message",
    [
        (lambda e: e.pop("image_1"), "'image_1' must be str, got None"),
        (lambda e: e.update(image_0="../a"), "'image_0' must name an image"),
        (lambda e: e.update(image_0=""), "'image_0' must name an image"),
        (lambda e: e.update(caption_1=""), "'caption_1' must be words"),
        (lambda e: e.update(caption_0=3), "'caption_0' must be str"),
        (lambda e: e.update(collapsed_tag="Objects"), "its tag must be one of 'Object'"),
        (lambda e: e.update(id=None), "'id' must be int or str"),
    ],
)
def test_wrong_lines_are_named(copy, edit, message):
    path = copy / "examples.jsonl"
    lines = path.read_text().splitlines()
    entry = json.loads(lines[4])
    edit(entry)
    lines[4] = json.dumps(entry)
    path.write_text("\n".join(lines))
    with pytest.raises(RetrievalInputError, match=rf"examples\.jsonl, line 5: {message}"):
        winoground.load_winoground(copy, need_media=False)


def test_repeated_ids_and_images(copy):
    path = copy / "examples.jsonl"
    text = path.read_text()
    path.write_text(text.replace('"id": 5,', '"id": 4,'))
    with pytest.raises(RetrievalInputError, match=r"jsonl: example ids must differ, got '4'"):
        winoground.load_winoground(copy, need_media=False)
    path.write_text(text.replace("ex_5_img_0", "ex_4_img_0"))
    with pytest.raises(RetrievalInputError, match="image ids must differ, got 'ex_4_img_0'"):
        winoground.load_winoground(copy, need_media=False)


@pytest.mark.parametrize(
    "content, error, message",
    [
        (b'{"id": 0', DamagedFileError, r"jsonl, line 1 is no JSON"),
        (b"\xff\xfe", DamagedFileError, "is no UTF-8 text"),
        (b"", RetrievalInputError, "have no example"),
        (b"3\n", RetrievalInputError, "line 1: 'id' must be"),
    ],
)
def test_wrong_files_are_named(copy, content, error, message):
    (copy / "examples.jsonl").write_bytes(content)
    with pytest.raises(error, match=message):
        winoground.load_winoground(copy, need_media=False)
    (copy / "examples.jsonl").unlink()
    shutil.rmtree(copy / "data")
    with pytest.raises(MissingFileError, match=r"examples\.jsonl.*data download winoground"):
        winoground.load_winoground(copy)


def test_wrong_options(root):
    with pytest.raises(RetrievalInputError, match="split must be one of"):
        winoground.load_winoground(root, "val")
