"""AudioSet and VGGSound: their files, the draw of five per class, pairs of sound and picture."""

import json

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import audio_video, audioset, vggsound
from lib.datasets.audio_video import five_per_class, shared_labels
from lib.datasets.completeness import MINIATURE, Count
from lib.datasets.media.decoding import available
from lib.datasets.miniatures.clips import AUDIOSET_LABELS, SILENT_CLIP
from lib.datasets.registry import CORPORA
from lib.metrics import evaluate_both
from lib.studies.published import Result, evaluate_rows

MODULES = {"audioset": audioset, "vggsound": vggsound}
MAN, BOING, BELL = AUDIOSET_LABELS


def fake_media(root):
    (root / "videos").mkdir(exist_ok=True)
    for path in root.glob("*5_per_class*.json"):
        for entry in json.loads(path.read_text())["data"]:
            (root / "videos" / f"{entry['video_id']}.mp4").write_bytes(b"x")
    return root


@pytest.fixture(params=list(MODULES))
def corpus(request, tmp_path):
    """A module, and annotations with files of one byte as clips."""
    CORPORA[request.param].write_miniature(tmp_path / "mini", media=False)
    return MODULES[request.param], fake_media(tmp_path / "mini")


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    if not available():
        pytest.skip("needs av")
    root = tmp_path_factory.mktemp("audioset") / "mini"
    CORPORA["audioset"].write_miniature(root)
    return root


@pytest.fixture
def bare(tmp_path):
    CORPORA["audioset"].write_miniature(tmp_path / "mini", media=False)
    return fake_media(tmp_path / "mini")


def test_sound_and_picture_of_a_clip_belong_together(heard):
    pairs = audioset.load_audioset(heard, n_frames=2)
    assert pairs.name == "audioset (miniature)" and len(pairs.item_ids) == 15
    for direction in ("audio_to_video", "video_to_audio"):
        task = pairs.task(direction)
        assert task.direction == direction and task.qrels.shape == (15, 15)
        assert (task.qrels.items == np.arange(15)).all()
    assert pairs.task("audio_to_video").queries is pairs.sounds
    # The second has its sound in a file of its own.
    for at in (0, SILENT_CLIP, 7):
        wave = pairs.sounds[at][:16_000]
        assert np.abs(np.fft.rfft(wave)).argmax() == 200 + 50 * at
        assert pairs.clips[at].shape == (2, 128, 128, 3)
    assert pairs.sounds.names[SILENT_CLIP].startswith("audio/")
    assert (
        len(
            {
                pairs.checksum(),
                audioset.load_audioset(heard).checksum(),
                audioset.load_audioset(heard, "eval").checksum(),
            }
        )
        == 3
    )


def test_what_is_drawn_is_five_of_each_class_and_always_the_same(heard):
    pairs = audioset.load_audioset(heard, "eval", n_frames=1)
    assert len(pairs.item_ids) == 15 and pairs.split == "eval, five per class, seed 0"
    assert len(audioset.load_audioset(heard, "eval", subset="all").item_ids) == 16
    assert pairs.item_ids == audioset.load_audioset(heard, "eval").item_ids
    assert len(audioset.load_audioset(heard, "balanced_train").item_ids) == 3


def test_relevance_by_label_is_graded_by_what_is_shared():
    qrels = shared_labels([(MAN, BOING), (BOING,), (BOING, MAN, BELL), (BELL,)])
    expected = [[2, 1, 2, 0], [1, 1, 1, 0], [2, 1, 3, 1], [0, 0, 1, 1]]
    assert qrels.grades_of(np.tile(np.arange(4), (4, 1))).tolist() == expected
    assert qrels == qrels.T


def test_relevance_by_a_label_that_all_have_is_refused_where_it_is_too_much(monkeypatch):
    monkeypatch.setattr(audio_video, "MAX_JUDGEMENTS", 99)
    assert shared_labels([(MAN,)] * 9).items.size == 81
    with pytest.raises(RetrievalInputError, match="10 clips have more than 99 pairs"):
        shared_labels([(MAN,)] * 10)


def test_too_many_judgements_are_refused_when_the_corpus_is_loaded(bare, monkeypatch):
    monkeypatch.setattr(audio_video, "MAX_JUDGEMENTS", 30)
    options = {"subset": "all", "need_media": False}
    with pytest.raises(RetrievalInputError, match=r"16 clips have more than 30 pairs.*--option"):
        audioset.load_audioset(bare, "eval", relevance="labels", **options)
    assert len(audioset.load_audioset(bare, "eval", **options).item_ids) == 16


def test_pairs_are_evaluated_from_embeddings_in_both_directions(corpus):
    module, root = corpus
    pairs = CORPORA[module.NAME].load(root, relevance="labels")
    rows = np.random.default_rng(0).normal(size=(len(pairs.item_ids), 8))
    there, back = evaluate_both(rows, rows, pairs.qrels, directions=pairs.directions)
    assert there.mean("R@1") == back.mean("R@1") == 1.0  # each finds itself first


def test_a_draw_by_hand():
    # The rare class chooses first and takes the shared clip, which the common one then cannot take
    # again.
    labels = [("common",), ("common", "rare"), ("common",), ("common",)]
    for seed in range(5):
        chosen = five_per_class(labels, n=2, seed=seed)
        assert chosen.size == 3 and 1 in chosen and chosen.tolist() == sorted(set(chosen.tolist()))
    many = [(f"class {at % 7}",) for at in range(100)]
    assert five_per_class(many).size == 35 and not np.array_equal(
        five_per_class(many), five_per_class(many, seed=1)
    )
    assert five_per_class([("a",)] * 3).tolist() == [0, 1, 2]
    with pytest.raises(RetrievalInputError, match="n must be at least 1"):
        five_per_class(many, n=0)


def test_segments_are_read_with_ids_quotes_and_header(bare):
    segments = audioset.read_segments(bare / "eval_segments.csv")
    assert segments.ids[:3] == ("-cene000000", "--ene000001", "scene000002") and len(segments) == 16
    assert segments.labels[0] == (MAN, BOING) and segments.labels[1] == (BOING,)
    assert segments.times[3] == (30.0, 40.0)
    assert segments.stems[3][1:] == ("scene000003_000030", "scene000003_30000_40000")
    classes = audioset.read_classes(bare / "class_labels_indices.csv")
    assert next(iter(classes.values())) == "Male speech, man speaking" and len(classes) == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("num_segs=16", "num_segs=17", r"num_segs=17 and has 16"),
        (
            "num_positive_labels=20",
            "num_positive_labels=21",
            "num_positive_labels=21 and has 20",
        ),
        (
            f', "{BOING}"',
            ', "/m/unknown"',
            "line 5: the label '/m/unknown' is not in class_labels_indices.csv",
        ),
        ("10.000, 20.000", "10.000, 9.000", "line 5: times must be seconds .* got 10.000, 9.000"),
        ("# YTID", "YTID", "line 3 names the columns and has lost the '#' in front of it"),
        ("-cene000000, 0.000", "#NAME?, 0.000", "line 4: the cell '#NAME.' is an error"),
        ("10.000, 20.000", "ten, 20.000", "line 5: times must be seconds .* got ten, 20.000"),
        (f'"{BOING}"', f'"{BOING},{BOING}"', "line 5: labels must differ"),
        (
            f'"{MAN},{BOING}"',
            f"{MAN},{BOING}",
            "line 4: expected 4 columns",
        ),  # the quotes are the trap
    ],
)
def test_a_segments_file_that_cannot_be_right(bare, old, new, message):
    path = bare / "eval_segments.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        audioset.load_audioset(bare, "eval")


def test_vggsound_has_no_header_and_commas_in_labels(tmp_path):
    CORPORA["vggsound"].write_miniature(tmp_path / "mini", media=False)
    path = tmp_path / "mini" / "vggsound.csv"
    segments = vggsound.read_segments(path, "test")
    assert len(segments) == 16 and segments.labels[1] == ("bird chirping, tweeting",)
    assert segments.ids[:2] == ("-ound000001_000000", "sound000001_000010")
    assert segments.times[1] == (10.0, 20.0) and len(vggsound.read_segments(path, "train")) == 2
    with path.open("a") as stream:
        stream.write("abc,1.5,dog barking,test\n")
    with pytest.raises(RetrievalInputError, match="line 19: expected id, whole seconds"):
        vggsound.read_segments(path, "test")
    path.write_text("abc,1,dog barking,train\n")
    with pytest.raises(RetrievalInputError, match="no row of the split 'test'"):
        vggsound.read_segments(path, "test")


def test_a_draw_of_our_own_is_compared_with_no_published_number(tmp_path):
    CORPORA["audioset"].write_miniature(tmp_path / "mini", media=False)
    pairs = audioset.load_audioset(tmp_path / "mini", "eval", need_media=False, allow_partial=True)
    stated = {count.what: count.published for count in pairs.counts}
    assert "clips" in stated and all(count.ok for count in pairs.counts if count.published is None)
    rows = np.eye(len(pairs.item_ids))
    result = evaluate_rows(rows, rows, pairs)
    assert result.save(tmp_path / "r.json") and Result.load(tmp_path / "r.json").rsum == 600
    unstated = Count("clips", 7, None)
    assert unstated.ok and unstated.text() == "found 7 clips"


def test_the_authors_list_of_the_test_set_is_read(tmp_path):
    CORPORA["vggsound"].write_miniature(tmp_path / "mini", media=False)
    path = tmp_path / "mini" / "vggsound.csv"
    segments = vggsound.read_segments(path, "test")
    quoted = [f'{id_}.mp4,"{one[0]}"\n' for id_, one in zip(segments.ids, segments.labels)]
    path.unlink()
    (tmp_path / "mini" / "data").mkdir()
    (tmp_path / "mini" / "data" / "test.csv").write_text("".join(quoted))
    pairs = vggsound.load_vggsound(tmp_path / "mini", "test", subset="all", need_media=False)
    assert pairs.item_ids == segments.ids and pairs.labels == segments.labels
    (tmp_path / "mini" / "data" / "test.csv").write_text("abc_12.mp4,rain\n")
    with pytest.raises(RetrievalInputError, match="line 1: expected <id>_<start as six digits>"):
        vggsound.load_vggsound(tmp_path / "mini", "test", need_media=False)


def test_vggsound_clips_have_their_own_tones(tmp_path):
    pytest.importorskip("av")
    CORPORA["vggsound"].write_miniature(tmp_path / "mini")
    pairs = vggsound.load_vggsound(tmp_path / "mini", "test", subset="all", n_frames=1)
    assert [np.abs(np.fft.rfft(pairs.sounds[at][:16_000])).argmax() for at in (0, 9)] == [300, 660]
    assert len(vggsound.load_vggsound(tmp_path / "mini", "test").item_ids) == 15


def test_the_published_subset_is_found_by_its_ids_alone(corpus):
    module, root = corpus
    pairs = CORPORA[module.NAME].load(root)
    assert pairs.split == "retrieval" and len(pairs.item_ids) == 15 and not pairs.missing
    assert all(name.startswith("videos/") for name in pairs.clips.names + pairs.sounds.names)
    (root / "other_5_per_class_for_retrieval.json").write_text("{}")
    with pytest.raises(RetrievalInputError, match="one subset, got 2"):
        CORPORA[module.NAME].load(root)


def test_missing_clips_are_named_and_left_out_only_if_allowed(corpus):
    module, root = corpus
    gone = CORPORA[module.NAME].load(root).item_ids[4]
    (root / "videos" / f"{gone}.mp4").unlink()
    with pytest.raises(
        RetrievalInputError, match=f"found 14 of 15 clips; first missing: videos/{gone}.mp4"
    ):
        CORPORA[module.NAME].load(root)
    pairs = CORPORA[module.NAME].load(root, allow_partial=True)
    assert pairs.missing == (f"videos/{gone}.mp4",) and gone not in pairs.item_ids
    assert (
        len(pairs.labels) == len(pairs.sounds) == 14 and "found 14 of 15 clips" in pairs.describe()
    )
    assert pairs.task("video_to_audio").qrels.shape == (14, 14)


def test_wrong_counts_are_refused(corpus):
    module, root = corpus
    (root / MINIATURE).unlink()
    published = module.PUBLISHED["retrieval"]["clips"]
    with pytest.raises(RetrievalInputError, match=f"found 15 of {published:,} clips"):
        CORPORA[module.NAME].load(root)
    segments = module.PUBLISHED[module.SPLITS[1]]["segments"]
    with pytest.raises(RetrievalInputError, match=f"found 16 of {segments:,} segments; found 3 of"):
        CORPORA[module.NAME].load(root, module.SPLITS[1])


def test_an_id_cannot_lead_out_of_the_root_and_comes_once(corpus):
    module, root = corpus
    path = next(root.glob("*5_per_class*.json"))
    data = json.loads(path.read_text())
    data["data"][2]["video_id"] = data["data"][1]["video_id"]
    path.write_text(json.dumps(data))
    with pytest.raises(RetrievalInputError, match="ids must differ"):
        CORPORA[module.NAME].load(root)
    data["data"][2]["video_id"] = "../../../etc/passwd"
    path.write_text(json.dumps(data))
    with pytest.raises(RetrievalInputError, match="must be a relative path inside"):
        CORPORA[module.NAME].load(root)
    path.write_text('{"data": []}')
    with pytest.raises(RetrievalInputError, match=r"\.json lists no clip"):
        CORPORA[module.NAME].load(root, relevance="labels", allow_partial=True)


def test_damaged_and_missing_files_say_so(corpus, tmp_path):
    module, root = corpus
    with pytest.raises(MissingFileError, match=f"crossmodal data download {module.NAME}"):
        CORPORA[module.NAME].load(tmp_path)
    with pytest.raises(MissingFileError, match="does not have"):
        CORPORA[module.NAME].load(tmp_path, module.SPLITS[1])
    with pytest.raises(RetrievalInputError, match="no times; trimmed must be True"):
        CORPORA[module.NAME].load(root, trimmed=False)
    path = next(root.glob("*5_per_class*.json"))
    path.write_text(path.read_text()[:-9])
    with pytest.raises(DamagedFileError, match="is not a JSON file"):
        CORPORA[module.NAME].load(root)
    path.write_text('{"data": [{"video_id": "a"}]}')
    with pytest.raises(RetrievalInputError, match="entry 0: 'labels' must be str"):
        CORPORA[module.NAME].load(root)


def test_whole_videos_are_read_at_the_times_of_the_file(bare):
    pairs = audioset.load_audioset(bare, "eval", trimmed=False, allow_partial=True)
    assert pairs.clips.segments == pairs.sounds.segments
    assert pairs.clips.segments[pairs.item_ids.index("scene000007")] == (70.0, 80.0)
