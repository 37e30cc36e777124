"""Flickr30k-CN: one corpus from four forms of its files, and what is wrong in each of them."""

import json
import shutil

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import flickr30k_cn
from lib.datasets.completeness import MINIATURE, Count
from lib.datasets.registry import CORPORA

LISTED, PICTURES = "test_texts.jsonl", "test_imgs.tsv"
ZH, NUMBERED = "flickr30k_test_zh.txt", "flickr30k_cn_test.txt"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("flickr30k_cn") / "root"
    CORPORA["flickr30k_cn"].write_miniature(root)
    return root


@pytest.fixture
def copy(root, tmp_path):
    shutil.copytree(root, tmp_path / "root")
    return tmp_path / "root"


def load(root, split="test", **options):
    return flickr30k_cn.load_flickr30k_cn(root, split, **options)


def keep(root, name):
    """Leave one file of sentences and the pictures as files."""
    for other in (LISTED, PICTURES, ZH, NUMBERED):
        if other != name:
            (root / other).unlink()


def test_numbers_of_the_authors():
    counts = {split: tuple(n.values()) for split, n in flickr30k_cn.PUBLISHED.items()}
    assert counts == {"test": (1000, 5000), "val": (1000, 5000), "train": (29_783, 148_915)}


def test_the_files_of_chinese_clip(root):
    corpus = load(root)
    assert corpus.name == "flickr30k_cn (miniature)" and corpus.item_ids[0] == "3000000001"
    assert corpus.text_ids[:6] == ("0", "1", "2", "3", "4", "5")
    assert corpus.texts[0] == "2 × 月亮: 黄色，1 × 星形: 红色"
    assert corpus.owners.tolist() == [at // 5 for at in range(60)]
    assert corpus.counts == (Count("images", 12, 12), Count("captions", 60, 60))
    assert corpus.media[0].size == (64, 64) and corpus.media.present().all()
    assert "test_imgs.tsv" in str(corpus.media.path(0))
    assert len(load(root, "val").texts) == 15


@pytest.mark.parametrize("name", [LISTED, ZH, NUMBERED])
def test_every_form_has_the_same_sentences(root, copy, name):
    keep(copy, name)
    ours, theirs = load(root), load(copy)
    assert theirs.texts == ours.texts and theirs.item_ids == ours.item_ids
    assert theirs.qrels == ours.qrels
    assert theirs.media.names[0] == "flickr30k-images/3000000001.jpg"
    assert theirs.media[3].tobytes() == ours.media[3].tobytes()
    if name != LISTED:
        assert theirs.text_ids[:6] == tuple(f"300000000{1 + at // 5}#{at % 5}" for at in range(6))


def test_the_table_of_internvl_has_the_name_of_the_numbered_lines(root, copy):
    (copy / ZH).rename(copy / NUMBERED)
    (copy / LISTED).unlink()
    assert load(copy).texts == load(root).texts


@pytest.mark.parametrize("folder", flickr30k_cn.FOLDERS)
def test_folders(root, copy, folder):
    (copy / folder).mkdir()
    for name in (LISTED, PICTURES):
        (copy / name).rename(copy / folder / name)
    shutil.rmtree(copy / "flickr30k-images")
    assert load(copy).texts == load(root).texts and load(copy).media[0].size == (64, 64)


def test_a_comma_of_ascii_is_quoted_in_the_table(root, copy):
    line = (root / ZH).read_text().splitlines()[3]
    assert line.endswith('"') and line.count('"') == 2
    keep(copy, ZH)
    assert '"' not in load(copy).texts[2] and ", " in load(copy).texts[2]


@pytest.mark.parametrize(
    "line", ["3000000001#5\twords", "3000000001.jpg#5\twords", "3000000001#zhb#5\twords"]
)
def test_forms_of_numbers(copy, line):
    keep(copy, NUMBERED)
    with open(copy / NUMBERED, "a") as stream:
        stream.write(line + "\n")
    corpus = load(copy, allow_partial=True)
    assert corpus.text_ids[5] == "3000000001#5" and corpus.texts[5] == "words"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("3000000001#zhm#0\twords", "line 61: sentence 0 of 3000000001 occurs twice"),
        ("3000000001#zhm#7 words", "line 61: expected 'id#...#number', a tab and a sentence"),
        ("../x#zhm#7\twords", "line 61: expected 'id"),
        ("3000000001#zhm#7\t ", "line 61: the sentence must be words"),
    ],
)
def test_a_wrong_line(copy, line, message):
    keep(copy, NUMBERED)
    with open(copy / NUMBERED, "a") as stream:
        stream.write(line + "\n")
    with pytest.raises(RetrievalInputError, match=message):
        load(copy, allow_partial=True)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"image_ids": []}, r"line 1: image_ids must be a list with the one picture.*got \[\]"),
        ({"image_ids": [3000000001, 2]}, "line 1: image_ids must be a list with the one picture"),
        ({"image_ids": [True]}, "line 1: image_ids must be a list with the one picture"),
        ({"image_ids": 3000000001}, "line 1: image_ids must be a list with the one picture"),
        ({"text": None}, "line 1: 'text' must be str"),
        ({"text": " "}, "line 1: the sentence must be words"),
        ({"text_id": None}, "line 1: 'text_id' must be int or str"),
        ({"text_id": 1}, "'1'"),
    ],
)
def test_a_wrong_entry(copy, fields, message):
    lines = (copy / LISTED).read_text().splitlines()
    lines[0] = json.dumps(json.loads(lines[0]) | fields)
    (copy / LISTED).write_text("\n".join(lines))
    with pytest.raises(RetrievalInputError, match=message):
        load(copy, allow_partial=True)


def test_a_picture_that_the_table_lacks(copy):
    rows = (copy / PICTURES).read_text().splitlines()
    (copy / PICTURES).write_text("\n".join(rows[1:]))
    with pytest.raises(
        RetrievalInputError, match="found 11 of 12 images; first missing: 3000000001"
    ):
        load(copy)
    assert load(copy, allow_partial=True).item_ids[0] == "3000000002"
    assert len(load(copy, need_media=False).texts) == 60


def test_missing_and_damaged_files(copy):
    (copy / LISTED).write_bytes((copy / LISTED).read_bytes()[:-30])
    with pytest.raises(DamagedFileError, match=r"test_texts\.jsonl, line 60 is not JSON"):
        load(copy)
    for name in (LISTED, ZH, NUMBERED):
        (copy / name).unlink()
    with pytest.raises(MissingFileError, match=r"not have test_texts\.jsonl, flickr30k_test_zh"):
        load(copy)
    (copy / MINIATURE).unlink()
    with pytest.raises(MissingFileError, match=r"not have train_texts\.jsonl\."):
        load(copy, "train")


def test_a_miniature_is_not_the_real_thing(copy):
    (copy / MINIATURE).unlink()
    with pytest.raises(RetrievalInputError, match="12 of 1,000 images; found 60 of 5,000"):
        load(copy)
