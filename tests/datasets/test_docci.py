"""DOCCI: the four splits of one file of JSON lines, and what can be wrong in it."""

import json
import shutil

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import docci
from lib.datasets.completeness import MINIATURE, Count
from lib.datasets.registry import CORPORA


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("docci") / "root"
    CORPORA["docci"].write_miniature(root)
    return root


@pytest.fixture
def copy(root, tmp_path):
    """The annotations alone."""
    for name in (docci.DESCRIPTIONS, MINIATURE):
        shutil.copy(root / name, tmp_path / name)
    return tmp_path


def change(root, number, **fields):
    lines = (root / docci.DESCRIPTIONS).read_text().splitlines()
    entry = json.loads(lines[number]) | fields
    lines[number] = json.dumps({name: value for name, value in entry.items() if value != "gone"})
    (root / docci.DESCRIPTIONS).write_text("\n".join(lines))


def load(root, split="test"):
    return docci.load_docci(root, split, allow_partial=True, need_media=False)


def test_numbers_of_the_card():
    sizes = {split: counts["images"] for split, counts in docci.PUBLISHED.items()}
    assert sizes == {"test": 5_000, "train": 9_647, "qual_dev": 100, "qual_test": 100}
    assert docci.SPLITS[0] == "test" and CORPORA["docci"].family == "long descriptions"


def test_every_split(root):
    sizes = {split: len(docci.load_docci(root, split).texts) for split in docci.SPLITS}
    assert sizes == {"test": 20, "train": 4, "qual_dev": 2, "qual_test": 2}
    corpus = docci.load_docci(root)
    assert corpus.item_ids[:2] == corpus.text_ids[:2] == ("test_00000", "test_00001")
    assert corpus.media.names[0] == "images/test_00000.jpg" and corpus.media[0].size == (64, 64)
    assert corpus.counts == (Count("images", 20, 20), Count("captions", 20, 20))
    assert corpus.owners.tolist() == list(range(20))


def test_texts_are_those_of_the_file(root):
    texts = docci.load_docci(root, need_media=False).texts
    assert texts[0].endswith(' The word "page" is not there.\nNeither is another one.')
    assert texts[4].endswith("Déjà vu – “twice” in one page.")  # escaped in this line
    parts = [json.loads(line)["split"] for line in (root / docci.DESCRIPTIONS).open()]
    assert parts[:5] == ["test", "train", "qual_dev", "qual_test", "test"]  # mixed


def test_pictures_without_a_description_are_not_read(root):
    assert (root / "images_aar").is_dir()
    names = [name for split in docci.SPLITS for name in docci.load_docci(root, split).media.names]
    assert len(names) == 28 and not any("aar" in name for name in names)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"split": "testing"}, "line 1: split must be one of test, train, qual_dev, qual_test"),
        ({"split": None}, "line 1: 'split' must be str, got None"),
        ({"example_id": "test_00001"}, "line 5: ids must be distinct, got 'test_00001' twice"),
        ({"example_id": 3}, "line 1: 'example_id' must be str, got 3"),
        ({"description": " \n"}, "line 1: 'description' must be words"),
        ({"description": ["words"]}, "line 1: 'description' must be str"),
        ({"image_file": "gone"}, "line 1: 'image_file' must be str, got None"),
    ],
)
def test_a_wrong_entry(copy, fields, message):
    change(copy, 0, **fields)
    with pytest.raises(RetrievalInputError, match=message):
        load(copy)


def test_a_name_that_leaves_the_root(root, copy):
    change(copy, 0, image_file="../../etc/passwd")
    with pytest.raises(RetrievalInputError, match="relative path inside"):
        docci.load_docci(copy, allow_partial=True)


def test_damaged_and_missing_files(copy):
    path = copy / docci.DESCRIPTIONS
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(DamagedFileError, match=r"line 28 is not JSON"):
        load(copy)
    path.write_bytes(whole.replace(b"page", b"\xff", 1))
    with pytest.raises(DamagedFileError, match="not UTF-8"):
        load(copy)
    path.unlink()
    with pytest.raises(MissingFileError, match=r"docci_descriptions\.jsonlines, itself or in data"):
        load(copy)


def test_a_miniature_is_not_the_real_thing(copy):
    (copy / MINIATURE).unlink()
    with pytest.raises(RetrievalInputError, match="found 20 of 5,000 images"):
        docci.load_docci(copy, need_media=False)
