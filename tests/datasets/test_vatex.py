"""VATEX: halves of the validation set in several forms, two languages, and whole films."""

import json

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import vatex
from lib.datasets.completeness import MINIATURE
from lib.datasets.registry import CORPORA
from tests.datasets.film_miniatures import write_with_clips


@pytest.fixture
def bare(tmp_path):
    """Annotations alone."""
    CORPORA["vatex"].write_miniature(tmp_path / "mini", media=False)
    return tmp_path / "mini"


def load(root, split="test", **options):
    return vatex.load_vatex(root, split, need_media=False, **options)


def entries(root, name="validation"):
    return json.loads((root / vatex.OFFICIAL[name]).read_text(encoding="utf-8"))


def test_published_sizes():
    sizes = {split: counts["videos"] for split, counts in vatex.PUBLISHED.items()}
    assert sizes["test"] + sizes["val"] == sizes["validation"] == 3_000
    assert (sizes["test"], sizes["train"], sizes["public_test"]) == (1_500, 25_991, 6_000)
    captions = {split: counts["captions"] for split, counts in vatex.PUBLISHED.items()}
    assert captions["train"] == 259_910 and captions["test"] == 15_000


def test_a_half_has_ten_sentences_a_clip_in_the_order_of_its_list(bare):
    corpus = load(bare)
    names = np.load(bare / "tst_names.npy").tolist()
    by_id = {entry["videoID"]: entry for entry in entries(bare)}
    assert corpus.item_ids == tuple(names) and names != [n for n in by_id if n in names]
    assert corpus.texts[:10] == tuple(by_id[names[0]]["enCap"])
    assert corpus.text_ids[:2] == (f"{names[0]}#0", f"{names[0]}#1")
    assert corpus.qrels.T.counts.tolist() == [10] * 5
    assert not set(names) & set(load(bare, "val").item_ids)
    assert len(load(bare, "validation").texts) == 100 and len(load(bare, "train").texts) == 30


def test_chinese_sentences(bare):
    corpus = load(bare, language="zh")
    assert corpus.item_ids == load(bare).item_ids and corpus.captions == "every sentence, zh"
    assert all("在" in text and text.endswith("。") for text in corpus.texts)
    assert corpus.checksum() != load(bare).checksum()
    assert len(load(bare, "public_test").texts) == 20
    with pytest.raises(RetrievalInputError, match="language must be 'en' for 'public_test'"):
        load(bare, "public_test", language="zh")
    with pytest.raises(RetrievalInputError, match="language must be one of 'en'"):
        load(bare, language="de")


def test_other_forms_give_the_same(bare):
    whole = load(bare)
    names = np.load(bare / "tst_names.npy").tolist()
    (bare / "tst_names.npy").unlink()
    (bare / "vatex_data").mkdir()
    (bare / "vatex_data" / "test_list.txt").write_text("\n".join(names))
    assert load(bare).texts == whole.texts
    described = {entry.pop("videoID"): entry for entry in entries(bare)}
    (bare / vatex.OFFICIAL["validation"]).unlink()
    (bare / "vatex_data" / "vatex_data.json").write_text(json.dumps(described))
    assert load(bare).texts == whole.texts and load(bare, language="zh").texts[0]
    (bare / "vatex_data" / "vatex_data.json").unlink()
    english = {clip: entry["enCap"] for clip, entry in described.items()}
    (bare / "ref_captions.json").write_text(json.dumps(english))
    assert load(bare).texts == whole.texts
    with pytest.raises(MissingFileError, match="vatex_validation_v1.0.json or vatex_data.json,"):
        load(bare, language="zh")


def test_whole_films_are_read_at_the_times_in_the_name(bare):
    clip = load(bare).item_ids[0]
    film, start = clip[:-14], float(clip[-13:-7])
    media = load(bare, trimmed=False).media
    assert media.names[0] == f"videos/{film}.mp4" and media.segments[0] == (start, start + 10)
    assert load(bare).media.segments is None
    data = entries(bare, "train")
    data[0]["videoID"] = "no_times"
    (bare / vatex.OFFICIAL["train"]).write_text(json.dumps(data))
    assert len(load(bare, "train").item_ids) == 3
    with pytest.raises(RetrievalInputError, match="'no_times': trimmed=False needs ids such as"):
        load(bare, "train", trimmed=False)


def test_clips_are_decoded(tmp_path):
    pytest.importorskip("av")
    root = write_with_clips("vatex", tmp_path / "mini", [7])
    corpus = vatex.load_vatex(root, n_frames=2, allow_partial=True)
    assert corpus.media[0].shape == (2, 128, 128, 3) and len(corpus.missing) == 4


def test_halves_that_share_a_clip_are_refused(bare):
    names = np.load(bare / "tst_names.npy")
    np.save(bare / "val_names.npy", names[:2])
    with pytest.raises(RetrievalInputError, match="2 of its videos are in the list of 'val'"):
        load(bare)


@pytest.mark.parametrize(
    "names",
    [
        np.array([["a"]]),
        np.array(["a", "a"]),
        np.array([], dtype=str),
        np.array([1, 2]),
        np.array(["a", None], dtype=object),
        np.array(["unknown"]),
    ],
)
def test_arrays_that_are_no_list_of_clips_are_refused(bare, names):
    np.save(bare / "tst_names.npy", names)
    with pytest.raises((RetrievalInputError, DamagedFileError), match="tst_names.npy"):
        load(bare)


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("videoID", 7, "clip 1: 'videoID' must be str"),
        ("enCap", "a man", "clip 1: 'enCap' must be list"),
        ("enCap", [], "clip 1: it must have a list of texts"),
        ("enCap", ["a", None], "clip 1: sentences must be texts"),
    ],
)
def test_bad_entries_are_named(bare, field, value, message):
    data = entries(bare)
    data[1][field] = value
    (bare / vatex.OFFICIAL["validation"]).write_text(json.dumps(data))
    with pytest.raises(RetrievalInputError, match=message):
        load(bare)


def test_wrong_files_say_so(bare, tmp_path):
    data = entries(bare)
    (bare / vatex.OFFICIAL["validation"]).write_text(json.dumps([*data, data[2]]))
    with pytest.raises(RetrievalInputError, match="clip 10: 's.*' is also clip 2"):
        load(bare)
    (bare / vatex.OFFICIAL["validation"]).write_text("{}")
    with pytest.raises(RetrievalInputError, match="must be a list of clips, got dict"):
        load(bare)
    with pytest.raises(MissingFileError, match="tst_names.npy or test_list.txt.*download vatex"):
        load(tmp_path)
    with pytest.raises(MissingFileError, match="vatex_training_v1.0.json"):
        load(tmp_path, "train")
    (bare / MINIATURE).unlink()
    with pytest.raises(RetrievalInputError, match="found 3 of 25,991 videos; found 30 of 259,910"):
        load(bare, "train")
