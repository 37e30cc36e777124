"""MSR-VTT: 1k-A with its repeated sentence, the full set, lists, layouts and bad input."""

import csv
import json

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import msrvtt
from lib.datasets.completeness import MINIATURE
from lib.datasets.media.decoding import available
from lib.datasets.miniatures.clips import SHORT_OF_ONE
from lib.datasets.registry import CORPORA


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("msrvtt") / "mini"
    CORPORA["msrvtt"].write_miniature(folder, media=available())
    if not available():
        fake_media(folder, json.loads((folder / "MSRVTT_data.json").read_text()))
    return folder


@pytest.fixture
def bare(tmp_path):
    """A copy to break: annotations, and files of one byte as clips."""
    CORPORA["msrvtt"].write_miniature(tmp_path / "mini", media=False)
    fake_media(tmp_path / "mini", json.loads((tmp_path / "mini" / "MSRVTT_data.json").read_text()))
    return tmp_path / "mini"


def fake_media(folder, data):
    (folder / "videos" / "all").mkdir(parents=True)
    for video in data["videos"]:
        (folder / "videos" / "all" / f"{video['video_id']}.mp4").write_bytes(b"x")


def edit(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def test_1k_has_one_sentence_a_clip_and_the_same_words_twice(root):
    corpus = msrvtt.load_msrvtt(root)
    assert (corpus.name, corpus.split, corpus.captions) == (
        "msrvtt (miniature)",
        "1k-A",
        "own video",
    )
    assert len(corpus.item_ids) == len(corpus.texts) == 20 and corpus.text_ids[0] == "ret0"
    assert corpus.item_ids[0] != min(corpus.item_ids)  # file order, not the order of ids
    assert corpus.texts[-1] == corpus.texts[-2] and len(set(corpus.texts)) == 19
    assert (corpus.qrels.items == np.arange(20)).all() and corpus.qrels.items.size == 20
    assert all(count.ok for count in corpus.counts)
    assert corpus.task("text_to_video").qrels.shape == (20, 20)


def test_same_words_make_both_clips_relevant(root):
    own, shared = msrvtt.load_msrvtt(root), msrvtt.load_msrvtt(root, captions="same words")
    assert shared.qrels.counts.tolist() == [1] * 18 + [2, 2]
    assert shared.text_ids == own.text_ids  # each sentence stays a query


def test_full_has_twenty_sentences_a_clip_and_nineteen_for_one(root):
    corpus = msrvtt.load_msrvtt(root, "full")
    counts = dict(zip(corpus.item_ids, corpus.qrels.T.counts.tolist()))
    assert len(counts) == 22 and counts.pop(SHORT_OF_ONE) == 19 and set(counts.values()) == {20}
    assert corpus.text_ids[:2] == ("video7010#0", "video7010#1")
    assert corpus.task("text_to_video").query_groups.tolist()[:21] == [0] * 20 + [1]


def test_training_lists_leave_out_the_test_clips(root):
    test = set(msrvtt.load_msrvtt(root).item_ids)
    for split, size in (("train_9k", 4), ("train_7k", 2), ("full_train", 1), ("full_val", 1)):
        corpus = msrvtt.load_msrvtt(root, split)
        assert len(corpus.item_ids) == size and not test & set(corpus.item_ids)


def test_1k_b_asks_with_the_first_sentence_of_each_clip(root):
    assert msrvtt.PUBLISHED["1k-B"] == {"videos": 1_000, "captions": 1_000}
    assert msrvtt.PUBLISHED["train_1k-B"] == {"videos": 6_656, "captions": 20 * 6_656}
    corpus = msrvtt.load_msrvtt(root, "1k-B")
    assert corpus.item_ids == tuple((root / "test_list_miech.txt").read_text().split())
    data = json.loads((root / "MSRVTT_data.json").read_text())
    first = {}
    for sentence in data["sentences"]:
        first.setdefault(sentence["video_id"], sentence["caption"])
    assert corpus.texts == tuple(first[video] for video in corpus.item_ids)
    assert corpus.text_ids == tuple(f"{video}#0" for video in corpus.item_ids)
    train = msrvtt.load_msrvtt(root, "train_1k-B")
    assert len(train.item_ids) == 10 and not set(train.item_ids) & set(corpus.item_ids)
    # As in the real lists: the official training split and train_9k hold test clips of 1k-B.
    assert set(corpus.item_ids) & set(msrvtt.load_msrvtt(root, "full_train").item_ids)


def test_a_test_clip_of_1k_b_in_its_training_list_is_a_leak(bare):
    with open(bare / "train_list_miech.txt", "a") as stream:
        stream.write(msrvtt.load_msrvtt(bare, "1k-B").item_ids[0] + "\n")
    with pytest.raises(RetrievalInputError, match="1 of its videos are in the 1k-B test set"):
        msrvtt.load_msrvtt(bare, "train_1k-B")


def test_1k_b_lists_under_the_names_of_their_authors(bare):
    whole = msrvtt.load_msrvtt(bare, "1k-B")
    (bare / "test_list_miech.txt").rename(bare / "test_list.txt")
    assert msrvtt.load_msrvtt(bare, "1k-B").item_ids == whole.item_ids
    (bare / "test_list.txt").write_text("video99999\n")
    with pytest.raises(RetrievalInputError, match="1 of its videos lack an annotation"):
        msrvtt.load_msrvtt(bare, "1k-B")
    (bare / "test_list.txt").unlink()
    with pytest.raises(MissingFileError, match="does not have test_list_miech.txt"):
        msrvtt.load_msrvtt(bare, "1k-B")


def test_clips_are_scenes_that_move(root):
    pytest.importorskip("av")
    clip = msrvtt.load_msrvtt(root, n_frames=4).media[0]
    assert clip.shape == (4, 128, 128, 3) and np.abs(np.diff(clip.astype(int), axis=0)).mean() > 1


def test_two_official_files_and_other_folders_give_the_same(root, bare):
    data = json.loads((bare / "MSRVTT_data.json").read_text())
    (bare / "MSRVTT_data.json").unlink()
    (bare / "annotations").mkdir()
    for name, parts in (("train_val", {"train", "validate"}), ("test", {"test"})):
        ids = {video["video_id"] for video in data["videos"] if video["split"] in parts}
        part = {
            key: [one for one in data[key] if one["video_id"] in ids]
            for key in ("videos", "sentences")
        }
        (bare / "annotations" / f"{name}_videodatainfo.json").write_text(json.dumps(part))
    (bare / "videos" / "all").rename(bare / "TestVideo")
    other = msrvtt.load_msrvtt(bare, "full")
    assert other.texts == msrvtt.load_msrvtt(root, "full").texts
    assert other.media.names[0] == "TestVideo/video7010.mp4"


def test_missing_clips_are_named_and_left_out_only_if_allowed(bare):
    gone = msrvtt.load_msrvtt(bare).item_ids[3]
    (bare / "videos" / "all" / f"{gone}.mp4").unlink()
    with pytest.raises(
        RetrievalInputError, match=rf"found 19 of 20 videos; first missing: .*{gone}.mp4"
    ):
        msrvtt.load_msrvtt(bare)
    corpus = msrvtt.load_msrvtt(bare, allow_partial=True)
    assert corpus.missing == (f"videos/all/{gone}.mp4",) and gone not in corpus.item_ids
    assert len(corpus.texts) == 19 and "found 19 of 20 videos" in corpus.describe()


def test_wrong_counts_are_refused(bare):
    (bare / MINIATURE).unlink()  # now it claims to be the real corpus
    with pytest.raises(RetrievalInputError, match="found 19 of 995 distinct sentences"):
        msrvtt.load_msrvtt(bare)
    with pytest.raises(
        RetrievalInputError, match="found 22 of 2,990 videos; found 439 of 59,800 captions"
    ):
        msrvtt.load_msrvtt(bare, "full")
    assert len(msrvtt.load_msrvtt(bare, allow_partial=True).texts) == 20


def test_a_test_clip_in_a_training_list_is_a_leak(bare):
    with open(bare / "MSRVTT_train.9k.csv", "a") as stream:
        stream.write(msrvtt.load_msrvtt(bare).item_ids[0] + "\n")
    with pytest.raises(RetrievalInputError, match="1 of its videos are in the 1k-A test set"):
        msrvtt.load_msrvtt(bare, "train_9k")


def test_sentences_with_commas_and_quotes_survive(bare):
    path = bare / msrvtt.TEST_1K
    rows = list(csv.reader(path.open(newline="")))
    rows[1][3] = 'a man says "hi, you", and waves'
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    assert msrvtt.load_msrvtt(bare).texts[0] == 'a man says "hi, you", and waves'


@pytest.mark.parametrize("name", ["../../outside", "/etc/passwd"])
def test_ids_cannot_lead_out_of_the_root(bare, name):
    path = bare / msrvtt.TEST_1K
    path.write_text(path.read_text().replace("video7015", name))
    with pytest.raises(RetrievalInputError, match="must be a relative path inside|first missing"):
        msrvtt.load_msrvtt(bare)


def test_damaged_and_missing_files_say_so(bare, tmp_path):
    with pytest.raises(
        MissingFileError, match=r"not have MSRVTT_JSFUSION_test.csv.*crossmodal data download"
    ):
        msrvtt.load_msrvtt(tmp_path)
    (bare / "MSRVTT_train.7k.csv").unlink()
    with pytest.raises(MissingFileError, match="not have MSRVTT_train.7k.csv"):
        msrvtt.load_msrvtt(bare, "train_7k")
    path = bare / "MSRVTT_data.json"
    edit(
        path,
        lambda data: data["sentences"].append({"caption": "x", "video_id": "video1", "sen_id": 1}),
    )
    with pytest.raises(RetrievalInputError, match="'video1' is not one of"):
        msrvtt.load_msrvtt(bare, "full")
    path.write_text(path.read_text()[:-40])
    with pytest.raises(DamagedFileError, match="MSRVTT_data.json is not a JSON file"):
        msrvtt.load_msrvtt(bare, "full")
    (bare / msrvtt.TEST_1K).write_text("video_id,sentence\nvideo1,x\n")
    with pytest.raises(RetrievalInputError, match="line 1: expected 4 columns"):
        msrvtt.load_msrvtt(bare)
    (bare / msrvtt.TEST_1K).write_text("ret0,msr1,video1,a man waves\n")
    with pytest.raises(
        RetrievalInputError, match="begin 'key,vid_key,video_id,sentence', got 'ret0,"
    ):
        msrvtt.load_msrvtt(bare)


def test_a_row_too_long_is_named_by_its_line(bare):
    with open(bare / msrvtt.TEST_1K, "a") as stream:
        stream.write("ret20,msr1,video1,a man, waving\n")
    with pytest.raises(RetrievalInputError, match="line 22: expected 4 columns"):
        msrvtt.load_msrvtt(bare)


def test_unknown_names_are_refused(bare):
    with pytest.raises(RetrievalInputError, match="split must be one of '1k-A'"):
        msrvtt.load_msrvtt(bare, "test")
    with pytest.raises(RetrievalInputError, match="Did you mean 'same words'"):
        msrvtt.load_msrvtt(bare, captions="same word")
