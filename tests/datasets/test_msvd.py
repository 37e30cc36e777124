"""MSVD: forty sentences a clip from a pickle, the order of the lists, and files that are not so."""

import json
import pickle

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import msvd
from lib.datasets.completeness import MINIATURE
from lib.datasets.registry import CORPORA
from tests.datasets.film_miniatures import write_with_clips


@pytest.fixture
def bare(tmp_path):
    """Annotations alone."""
    CORPORA["msvd"].write_miniature(tmp_path / "mini", media=False)
    return tmp_path / "mini"


def load(root, split="test", **options):
    return msvd.load_msvd(root, split, need_media=False, **options)


def change(path, edit):
    words = pickle.loads(path.read_bytes())
    edit(words)
    path.write_bytes(pickle.dumps(words))


def test_published_sizes():
    # collaborative-experts' README; the sentences add up to the total that captioning papers give.
    videos, captions = (
        {split: counts[what] for split, counts in msvd.PUBLISHED.items()}
        for what in ("videos", "captions")
    )
    assert videos == {"test": 670, "val": 100, "train": 1_200} and sum(videos.values()) == 1_970
    assert captions["test"] == 27_763 and sum(captions.values()) == 80_827


def test_every_sentence_is_a_query_in_the_order_of_the_list(bare):
    corpus = load(bare)
    listed = (bare / "test_list.txt").read_text().split("\n")
    assert corpus.item_ids == tuple(listed) and len(listed) == 12
    words = pickle.loads((bare / "raw-captions.pkl").read_bytes())
    assert next(iter(words)) != listed[0]  # the pickle has another order
    assert corpus.texts[0] == " ".join(words[listed[0]][0])
    assert corpus.text_ids[:6] == (*(f"{listed[0]}#{n}" for n in range(5)), f"{listed[1]}#0")
    counts = corpus.qrels.T.counts
    assert counts.tolist() == [5] * 8 + [2] + [5] * 3 and corpus.qrels.items.size == 57
    assert len(set(corpus.texts)) == 56  # a sentence twice stays two queries
    assert corpus.task("text_to_video").query_groups.tolist()[:6] == [0] * 5 + [1]
    assert len(load(bare, "train").texts) == 15 and len(load(bare, "val").texts) == 10


def test_the_release_has_the_sentences_as_typed(bare):
    raw, release = load(bare), load(bare, sentences="release")
    assert release.captions == "every sentence, release" != raw.captions
    assert release.item_ids == raw.item_ids and release.text_ids == raw.text_ids
    assert release.texts[0] == raw.texts[0].capitalize() + "."
    (count,) = release.counts  # nobody publishes the number of these sentences
    assert count.what == "videos"


def test_json_with_the_content_of_the_pickle_is_read(bare):
    whole = load(bare)
    words = pickle.loads((bare / "raw-captions.pkl").read_bytes())
    (bare / "raw-captions.pkl").unlink()
    (bare / "annotations").mkdir()
    (bare / "annotations" / "raw-captions.json").write_text(json.dumps(words))
    assert load(bare).texts == whole.texts
    sentences = {video: [" ".join(one) for one in of_video] for video, of_video in words.items()}
    (bare / "annotations" / "raw-captions.json").write_text(json.dumps(sentences))
    assert load(bare).texts == whole.texts


def test_the_form_of_umt_has_its_own_order(bare):
    whole, umt = load(bare), load(bare, sentences="umt")
    entries = json.loads((bare / "msvd_ret_test.json").read_text())
    assert umt.item_ids == tuple(entry["video"].removesuffix(".avi") for entry in entries)
    assert umt.item_ids != whole.item_ids and set(umt.item_ids) == set(whole.item_ids)
    assert dict(zip(umt.text_ids, umt.texts)) == dict(zip(whole.text_ids, whole.texts))
    (bare / "msvd_ret_test.json").write_text(
        json.dumps([*entries, {**entries[0], "video": "x/" + entries[0]["video"]}])
    )
    with pytest.raises(RetrievalInputError, match="video 12: '.*' occurs twice"):
        load(bare, sentences="umt")
    with pytest.raises(MissingFileError, match="msvd_ret_val.json"):
        load(bare, "val", sentences="umt")


def test_clips_of_the_release_are_avi(bare):
    folder = bare / "YouTubeClips"
    folder.mkdir()
    for video in load(bare).item_ids[1:]:
        (folder / f"{video}.avi").write_bytes(b"x")
    gone = load(bare).item_ids[0]
    with pytest.raises(RetrievalInputError, match=f"first missing: YouTubeClips/{gone}.avi"):
        msvd.load_msvd(bare)
    corpus = msvd.load_msvd(bare, allow_partial=True)
    assert len(corpus.item_ids) == 11 and "found 52 of 57 captions" in corpus.describe()
    (folder / f"{gone}.mp4").write_bytes(b"x")
    assert msvd.load_msvd(bare).media.names[0] == f"YouTubeClips/{gone}.mp4"


def test_a_clip_moves(tmp_path):
    pytest.importorskip("av")
    root = write_with_clips("msvd", tmp_path / "mini", [11])
    clip = msvd.load_msvd(root, n_frames=4, allow_partial=True).media[0]
    assert clip.shape == (4, 128, 128, 3) and np.abs(np.diff(clip.astype(int), axis=0)).mean() > 1


def test_a_pickle_with_code_is_refused(bare):
    change(bare / "raw-captions.pkl", lambda words: words.update(x=[np.array(["a"])]))
    with pytest.raises(
        DamagedFileError, match="raw-captions.pkl is no pickle of plain data.*numpy"
    ):
        load(bare)


@pytest.mark.parametrize(
    "value, message",
    [
        ([], "must have a list of sentences"),
        ("a man", "must have a list of sentences"),
        ([["a", 1]], "sentence 0 must be a list of words"),
        ([["a"], None], "sentence 1 must be a list of words"),
        ([["a"], []], r"text \d+ \(id .*#1\) must be words"),
    ],
)
def test_an_entry_that_is_no_list_of_words_is_named(bare, value, message):
    first = load(bare).item_ids[0]
    change(bare / "raw-captions.pkl", lambda words: words.update({first: value}))
    with pytest.raises(RetrievalInputError, match=message):
        load(bare, allow_partial=True)


def test_a_list_in_a_list_many_times_is_refused(bare):
    deep, n = bare / "raw-captions.pkl", 50_000
    first = load(bare).item_ids[0].encode()
    lists = b"]" * n + b"a" * (n - 1)
    deep.write_bytes(b"\x80\x02" + lists + b".")
    with pytest.raises(RetrievalInputError, match="must map ids of videos to sentences, got list"):
        load(bare)
    # As a sentence of a clip: {id: [[[...]]]}
    deep.write_bytes(b"\x80\x04}\x8c" + bytes([len(first)]) + first + lists + b"s.")
    with pytest.raises(RetrievalInputError, match="sentence 0 must be a list of words, got list"):
        load(bare)


def test_wrong_files_say_so(bare, tmp_path):
    first = load(bare).item_ids[0]
    change(bare / "raw-captions.pkl", lambda words: words.pop(first))
    with pytest.raises(RetrievalInputError, match=f"no sentence for 1 of the 12 videos.*{first}"):
        load(bare)
    (bare / "raw-captions.pkl").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(RetrievalInputError, match="must map ids of videos to sentences"):
        load(bare)
    (bare / "AllVideoDescriptions.txt").write_text("# licence\nvideo_1_2\n")
    with pytest.raises(RetrievalInputError, match="line 2: expected an id, a space and a sentence"):
        load(bare, sentences="release")
    (bare / "raw-captions.pkl").unlink()
    with pytest.raises(MissingFileError, match="raw-captions.pkl or raw-captions.json"):
        load(bare)
    with pytest.raises(MissingFileError, match="not have test_list.txt.*data download msvd"):
        load(tmp_path)


def test_other_numbers_than_published_are_refused(bare):
    (bare / MINIATURE).unlink()
    with pytest.raises(RetrievalInputError, match="found 12 of 670 videos; found 57 of 27,763"):
        load(bare)
