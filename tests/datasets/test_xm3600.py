"""XM3600: captions by language, all and first, as they stand in the file; and wrong entries."""

import json
import shutil
import unicodedata

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import xm3600
from lib.datasets.completeness import MINIATURE, Count
from lib.datasets.miniatures import languages
from lib.datasets.registry import CORPORA


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("xm3600") / "root"
    CORPORA["xm3600"].write_miniature(root)
    return root


@pytest.fixture
def copy(root, tmp_path):
    """The annotations alone."""
    for name in (xm3600.ANNOTATIONS, MINIATURE):
        shutil.copy(root / name, tmp_path / name)
    return tmp_path


@pytest.fixture(scope="module")
def entries(root):
    return [json.loads(line) for line in (root / xm3600.ANNOTATIONS).read_text().splitlines()]


def load(root, language="en", **options):
    return xm3600.load_xm3600(root, language=language, **{"need_media": False, **options})


def test_numbers_of_the_release():
    counts = xm3600.PUBLISHED["test"]
    assert counts["images"] == 3_600 and counts["captions, all"] == 261_375
    assert len(xm3600.N_CAPTIONS) == 36 and xm3600.LANGUAGES[0] == "en"
    assert xm3600.N_CAPTIONS["bn"] == 3_600 and xm3600.N_CAPTIONS["de"] == 8_643
    assert CORPORA["xm3600"].family == "many languages"


def test_one_language(root, entries):
    corpus = load(root, "de", need_media=True)
    assert corpus.name == "xm3600 (miniature)" and corpus.split == "test de"
    assert corpus.item_ids[0] == "5eed000000000000" and corpus.captions == "all"
    assert corpus.text_ids[:2] == ("5eed000000000000#de#0", "5eed000000000000#de#1")
    assert list(corpus.texts) == [text for e in entries for text in e["de"]["caption"]]
    assert corpus.qrels.T.counts.tolist() == [2, 2, 3] + [2] * 7
    assert corpus.counts == (Count("images", 10, 10), Count("captions", 21, 21))
    assert corpus.media.names[0] == "images/5eed000000000000.jpg"
    assert corpus.media[9].size == (64, 64)


def test_all_languages(root):
    everything = load(root, "all")
    parts = [load(root, language) for language in xm3600.N_CAPTIONS]
    assert everything.split == "test all" and len(everything.texts) == 711
    assert sorted(everything.text_ids) == sorted(id_ for part in parts for id_ in part.text_ids)
    text_of = dict(zip(everything.text_ids, everything.texts))
    for part in parts:
        assert [text_of[id_] for id_ in part.text_ids] == list(part.texts)
    owner = {
        id_: everything.item_ids[at] for id_, at in zip(everything.text_ids, everything.owners)
    }
    assert all(id_.startswith(f"{item}#") for id_, item in owner.items())
    assert everything.qrels.T.counts[2] == 72 and everything.qrels.T.counts[0] == 71


def test_the_first_caption_of_each_picture(root, entries):
    corpus = load(root, "ja", captions="first")
    # CLIP_benchmark, datasets/crossmodal3600.py: `captions = item[lang]["caption"]`, `captions[0]`.
    assert list(corpus.texts) == [entry["ja"]["caption"][0] for entry in entries]
    assert corpus.captions == "first" and corpus.counts[1] == Count("captions", 10, 10)
    assert len(load(root, "all", captions="first").texts) == 360
    assert load(root, "bn").texts == load(root, "bn", captions="first").texts


@pytest.mark.slow  # imports torchvision
@pytest.mark.parametrize("language", ["ja", "ar", "quz"])
def test_clip_benchmark_takes_the_same(root, tmp_path, language):
    theirs = pytest.importorskip("clip_benchmark.datasets.crossmodal3600")
    (tmp_path / "xm3600").symlink_to(root)
    theirs.create_annotation_file(str(tmp_path), language)
    written = tmp_path / theirs.OUTPUT_FILENAME_TEMPLATE.format(language)
    read = json.loads(written.read_text(encoding="utf-8"))
    corpus = load(root, language, captions="first")
    assert read["annotations"] == list(corpus.texts)
    assert [path.rpartition("/")[2] for path in read["image_paths"]] == [
        f"{item}.jpg" for item in corpus.item_ids
    ]


@pytest.mark.parametrize("language", ["ar", "he", "fa"])
def test_marks_of_scripts_from_right_to_left_stay(root, language):
    mark = "\u200c" if language == "fa" else "\u200f"
    texts = load(root, language).texts
    assert [mark in text for text in texts] == [at // 2 == languages.MARKED for at in range(20)]


@pytest.mark.parametrize("language", ["vi", "ko", "hi", "te", "cs"])
def test_the_unicode_form_of_the_file_stays(root, language, entries):
    texts = load(root, language).texts
    decomposed = texts[2 * languages.DECOMPOSED]
    assert decomposed == unicodedata.normalize("NFD", decomposed)
    assert decomposed == entries[languages.DECOMPOSED][language]["caption"][0]
    raw = (root / xm3600.ANNOTATIONS).read_text().splitlines()
    assert json.dumps(texts[0])[1:-1] in raw[0]  # escaped in this line, plain in the next
    assert texts[2] in raw[1]


def test_tokenised_copies_are_not_read(root):
    assert not any(" ;" in text for text in load(root, "all").texts)


def test_every_miniature_language_has_its_words():
    assert set(languages.WORDS) == set(xm3600.N_CAPTIONS) - {"en"}
    for words in languages.WORDS.values():
        assert len(set(words.split(", "))) == 8


def change(root, number, edit):
    lines = (root / xm3600.ANNOTATIONS).read_text().splitlines()
    entry = json.loads(lines[number])
    edit(entry)
    lines[number] = json.dumps(entry)
    (root / xm3600.ANNOTATIONS).write_text("\n".join(lines))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda e: e.pop("image/key"), "line 2: 'image/key' must be str, got None"),
        (lambda e: e.update({"image/key": "5eed000000000000"}), "line 2: ids must be distinct"),
        (lambda e: e.pop("de"), "line 2: 'de' must be dict, got None"),
        (lambda e: e.update(de=["words"]), "line 2: 'de' must be dict"),
        (lambda e: e["de"].pop("caption"), "line 2, de: 'caption' must be list, got None"),
        (lambda e: e["de"].update(caption=[]), r"line 2, de: caption must hold texts, got \[\]"),
        (lambda e: e["de"].update(caption=["a", None]), "line 2, de: caption must hold texts"),
        (lambda e: e["de"].update(caption=["a", " "]), "line 2, de: caption must hold texts"),
        (lambda e: e["de"].update(caption="words"), "line 2, de: 'caption' must be list"),
        (lambda e: e.update({"image/key": "../../etc/passwd"}), "relative path inside"),
    ],
)
def test_a_wrong_entry(copy, edit, message):
    change(copy, 1, edit)
    with pytest.raises(RetrievalInputError, match=message):
        load(copy, "de", allow_partial=True, need_media=True)


def test_other_languages_do_not_matter(copy):
    change(copy, 1, lambda entry: entry.pop("de"))
    assert len(load(copy, "en").texts) == 20


def test_damaged_and_missing_files(copy):
    path = copy / xm3600.ANNOTATIONS
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DamagedFileError, match=r"captions\.jsonl, line 10 is not JSON"):
        load(copy)
    path.unlink()
    with pytest.raises(MissingFileError, match=r"captions\.jsonl, itself or in captions"):
        load(copy)


def test_a_miniature_is_not_the_real_thing(copy):
    (copy / MINIATURE).unlink()
    with pytest.raises(RetrievalInputError, match="10 of 3,600 images; found 20 of 7,200 captions"):
        load(copy)
    with pytest.raises(RetrievalInputError, match="found 711 of 261,375 captions"):
        load(copy, "all")
