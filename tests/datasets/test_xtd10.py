"""XTD10: line i is picture i in every language, the layouts, and what can be wrong."""

import shutil
import unicodedata

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import xtd10
from lib.datasets.completeness import MINIATURE, Count
from lib.datasets.miniatures import languages
from lib.datasets.registry import CORPORA

NAMES = "XTD10/test_image_names.txt"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("xtd10") / "root"
    CORPORA["xtd10"].write_miniature(root)
    return root


@pytest.fixture
def copy(root, tmp_path):
    shutil.copytree(root, tmp_path / "root")
    return tmp_path / "root"


def load(root, language="en", **options):
    return xtd10.load_xtd10(root, language=language, **options)


def edit(root, name, change):
    lines = (root / name).read_text().split("\n")
    (root / name).write_text("\n".join(change(lines)))


def test_numbers_of_the_files():
    assert xtd10.PUBLISHED == {"test": {"images": 1_000, "captions": 1_000}}
    assert " ".join(sorted(xtd10.LANGUAGES)) == "de en es fr it jp ko pl ru tr zh"
    corpus = CORPORA["xtd10"]
    assert corpus.family == "many languages" and corpus.options["language"][0] == "en"


def test_line_i_is_picture_i(root):
    corpus = load(root)
    assert corpus.name == "xtd10 (miniature)" and corpus.split == "test en"
    names = (root / NAMES).read_text().splitlines()
    assert [name.rpartition("/")[2] for name in corpus.media.names] == names
    assert corpus.item_ids[0] == "COCO_train2014_000000900101"
    assert corpus.media.names[0] == "train2014/COCO_train2014_000000900101.jpg"
    assert corpus.media.names[-1] == "val2014/COCO_val2014_000000900112.jpg"
    assert corpus.text_ids[0] == "COCO_train2014_000000900101#en"
    assert corpus.owners.tolist() == list(range(12)) and corpus.media[11].size == (64, 64)
    assert corpus.counts == (Count("images", 12, 12), Count("captions", 12, 12))
    lines = (root / "XTD10/test_1kcaptions_en.txt").read_text().split("\n")
    assert list(corpus.texts) == lines[:-1] and corpus.texts[0].endswith(" ")


@pytest.mark.parametrize("language", xtd10.LANGUAGES)
def test_every_language(root, language):
    corpus = load(root, language)
    assert corpus.split == f"test {language}" and len(corpus.texts) == 12
    assert corpus.item_ids == load(root).item_ids
    assert not any(text.endswith(("\r", "\n")) for text in corpus.texts)


def test_texts_stay_as_they_are_in_the_file(root):
    assert load(root, "de").texts[0] == "1 × Stern: grün; 3 × Herz: grün"
    assert load(root, "jp").texts[1] == "2 × 月: 黄色; 2 × 円: 青"
    assert load(root, "zh").texts[languages.FULL_WIDTH].endswith("，Ｗｉｉ")
    decomposed = load(root, "fr").texts[languages.DECOMPOSED]
    assert unicodedata.is_normalized("NFD", decomposed)
    assert load(root, "ko").texts[languages.DECOMPOSED] != unicodedata.normalize(
        "NFC", load(root, "ko").texts[languages.DECOMPOSED]
    )


def test_a_caption_of_two_pictures_is_two_queries(root):
    corpus = load(root, "jp")
    one, other = languages.REPEATED
    assert corpus.texts[one] == corpus.texts[other]
    assert corpus.qrels.counts.tolist() == [1] * 12 and len(set(corpus.text_ids)) == 12


@pytest.mark.parametrize("layout", ["images/{part}", "images"])
def test_layouts(root, copy, layout):
    for part in ("train2014", "val2014"):
        folder = copy / layout.format(part=part)
        folder.mkdir(parents=True, exist_ok=True)
        for path in (copy / part).iterdir():
            path.rename(folder / path.name)
    for path in copy.glob("*/*.txt"):  # files in the root, as the downloads lie
        path.rename(copy / path.name)
    theirs, ours = load(copy, "tr"), load(root, "tr")
    assert theirs.texts == ours.texts and theirs.item_ids == ours.item_ids
    assert theirs.media.names[0].startswith(layout.format(part="train2014"))


def test_no_pictures_are_needed_for_the_texts(copy):
    shutil.rmtree(copy / "train2014")
    assert load(copy, need_media=False).texts == load(copy, need_media=False).texts
    partial = load(copy, allow_partial=True)
    assert len(partial.item_ids) == languages.N_VAL
    with pytest.raises(RetrievalInputError, match="4 of 12 images; first missing: train2014/COCO"):
        load(copy)


def test_options_are_known(root):
    with pytest.raises(
        RetrievalInputError, match="language must be one of 'en', 'de', .*; got 'ja'"
    ):
        load(root, "ja")
    with pytest.raises(RetrievalInputError, match="split must be"):
        xtd10.load_xtd10(root, "train")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("XTD10/test_1kcaptions_es.txt", lambda x: x[1:], "has 11 lines, expected 12"),
        ("XTD10/test_1kcaptions_es.txt", lambda x: ["one", *x], "has 13 lines, expected 12"),
        ("XTD10/test_1kcaptions_es.txt", lambda x: [x[0], "", *x[2:]], "line 2: it must be a capt"),
        (NAMES, lambda x: [x[1], *x[1:]], "line 2 repeats line 1: COCO_train2014_000000900102"),
        (NAMES, lambda x: ["a.jpg", *x[1:]], "line 1: it must be the name of a COCO picture"),
        (NAMES, lambda x: ["../" + x[0], *x[1:]], "line 1: it must be the name of a COCO picture"),
    ],
)
def test_a_wrong_file(copy, name, change, message):
    edit(copy, name, change)
    with pytest.raises(RetrievalInputError, match=message):
        load(copy, "es", allow_partial=True)


def test_damaged_and_missing_files(copy):
    path = copy / "MIC/test_1kcaptions_de.txt"
    path.write_bytes(path.read_bytes().replace("ü".encode(), b"\xfc"))
    with pytest.raises(DamagedFileError, match=r"test_1kcaptions_de\.txt is not UTF-8"):
        load(copy, "de")
    path.unlink()
    with pytest.raises(MissingFileError, match=r"test_1kcaptions_de\.txt, itself or in XTD10"):
        load(copy, "de")
    (copy / MINIATURE).unlink()
    with pytest.raises(RetrievalInputError, match="found 12 of 1,000 images"):
        load(copy)
