"""xFlickr&CO: pictures of two corpora, sentences of eight languages, and wrong entries."""

import json
import shutil
import unicodedata

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import xflickrco
from lib.datasets.completeness import MINIATURE, Count
from lib.datasets.miniatures import languages
from lib.datasets.registry import CORPORA

DE = "annotations/de/test.jsonl"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("xflickrco") / "root"
    CORPORA["xflickrco"].write_miniature(root)
    return root


@pytest.fixture
def copy(root, tmp_path):
    shutil.copytree(root, tmp_path / "root")
    return tmp_path / "root"


def load(root, language="de", **options):
    return xflickrco.load_xflickrco(root, language=language, **options)


def test_pictures_of_both_corpora(root):
    corpus = load(root)
    assert corpus.name == "xflickrco (miniature)" and corpus.split == "test de"
    assert corpus.media.names[0] == "flickr30k-images/3000000101.jpg"
    assert corpus.media.names[-1] == "val2014/COCO_val2014_000000900206.jpg"
    assert corpus.item_ids[0] == "3000000101" and corpus.text_ids[0] == "3000000101#de#0"
    assert corpus.owners.tolist() == list(range(12)) and corpus.media[11].size == (64, 64)
    assert corpus.counts == (Count("images", 12, 12), Count("captions", 12, 12))
    ids = [json.loads(line)["id"] for line in (root / DE).open()]
    assert [type(id_) for id_ in ids] == [str] * 6 + [int] * 6
    assert xflickrco.PUBLISHED == {"test": {"images": 2_000, "captions": 2_000}}


@pytest.mark.parametrize("language", xflickrco.LANGUAGES)
def test_every_language(root, language):
    corpus = load(root, language)
    lines = (root / "annotations" / language / "test.jsonl").read_text().splitlines()
    assert list(corpus.texts) == [json.loads(line)["sentences"][0] for line in lines]
    text = corpus.texts[languages.DECOMPOSED]
    assert language == "en" or text == unicodedata.normalize("NFD", text)


def test_the_folder_of_the_repository(root, copy):
    (copy / "xFlickrCO").mkdir()
    (copy / "annotations").rename(copy / "xFlickrCO" / "annotations")
    (copy / "images").mkdir()
    (copy / "val2014").rename(copy / "images" / "val2014")
    assert load(copy).texts == load(root).texts
    assert load(copy).media.names[-1].startswith("images/val2014/")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"img_path": "../x.jpg"}, "line 1: img_path must be a picture of Flickr30K or of COCO"),
        ({"img_path": None}, "line 1: 'img_path' must be str"),
        ({"img_path": "3000000102.jpg"}, "line 2: pictures must be distinct"),
        ({"sentences": []}, "line 1: sentences must hold texts"),
        ({"sentences": ["a", 1]}, "line 1: sentences must hold texts"),
        ({"sentences": "a"}, "line 1: 'sentences' must be list"),
    ],
)
def test_a_wrong_entry(copy, fields, message):
    lines = (copy / DE).read_text().splitlines()
    lines[0] = json.dumps(json.loads(lines[0]) | fields)
    (copy / DE).write_text("\n".join(lines))
    with pytest.raises(RetrievalInputError, match=message):
        load(copy, allow_partial=True)


def test_missing_and_damaged_files(copy):
    (copy / DE).write_bytes((copy / DE).read_bytes()[:-9])
    with pytest.raises(DamagedFileError, match=r"test\.jsonl, line 12 is not JSON"):
        load(copy)
    (copy / DE).unlink()
    with pytest.raises(MissingFileError, match=r"does not have de/test\.jsonl in annotations"):
        load(copy)
    (copy / "val2014" / "COCO_val2014_000000900201.jpg").unlink()
    with pytest.raises(RetrievalInputError, match="found 11 of 12 images"):
        load(copy, "ru")
    (copy / MINIATURE).unlink()
    with pytest.raises(RetrievalInputError, match="found 12 of 2,000 images"):
        load(copy, "ru")
