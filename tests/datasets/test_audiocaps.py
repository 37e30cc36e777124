"""AudioCaps: clips of scattered rows, two releases, a list, names of files, bad input."""

import json

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import audiocaps
from lib.datasets.completeness import MINIATURE
from lib.datasets.miniatures.sounds import TWICE
from lib.datasets.registry import CORPORA


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audiocaps") / "mini"
    CORPORA["audiocaps"].write_miniature(folder)
    return folder


@pytest.fixture
def bare(tmp_path):
    """A copy to break, without sounds."""
    CORPORA["audiocaps"].write_miniature(tmp_path / "mini", media=False)
    return tmp_path / "mini"


def load(folder, split="test", **options):
    return audiocaps.load_audiocaps(folder, split, need_media=False, **options)


def test_published_counts():
    test, val = audiocaps.PUBLISHED["test"], audiocaps.PUBLISHED["val"]
    assert test["captions"] == 5 * test["sounds"] == 4_875
    assert val["captions"] == 5 * val["sounds"] == 2_475
    assert test["captions, WavCaps"] == 5 * test["sounds, WavCaps"]
    assert test["sounds"] - test["sounds, WavCaps"] == 18


def test_scattered_rows_become_clips_with_five_captions_each(root):
    corpus = audiocaps.load_audiocaps(root)
    assert corpus.directions == ("text_to_audio", "audio_to_text") and not corpus.missing
    assert len(corpus.item_ids) == 15 and corpus.qrels.T.counts.tolist() == [5] * 15
    assert corpus.text_ids[:5] == ("1000", "1001", "1002", "1003", "1004")
    assert corpus.texts[0] == "A low hum sounds steadily"
    assert corpus.texts[4] == 'A low hum sounds steadily, and somebody says "hush, please"'
    assert corpus.texts[7] == corpus.texts[8] and corpus.texts[5] == corpus.texts[10]
    assert corpus.task("text_to_audio").qrels.counts.tolist() == [1] * 75  # the own clip alone
    assert corpus.item_ids[3] == "-ound_00003"
    assert corpus.item_ids[4:6] == (f"{TWICE}_0", f"{TWICE}_30")


def test_every_name_that_circulates_is_found(root):
    names = audiocaps.load_audiocaps(root).media.names
    assert names[0] == "audio/sound_00000_0.wav" and names[8] == "audio/1042.wav"
    assert names[6:8] == ("audio/Ysound_00006.wav", "audio/sound_00007.wav")
    assert audiocaps.load_audiocaps(root, captions="WavCaps").media.names[6] == "audio/1042.wav"


@pytest.mark.parametrize(
    "path",
    [
        "audio/test/sound_00001_30.flac",
        "waveforms/test/Ysound_00001.wav",
        "test/1007.mp3",
        "audio_32000Hz/test/sound_00001_30.flac",
        "audio/sound_00001_30000_40000.opus",
        "audio/Ysound_00001_30.mp4",
        "audio/sound_00001_000030.m4a",
    ],
)
def test_folders_and_suffixes_of_other_programs(bare, path):
    (bare / path).parent.mkdir(parents=True)
    (bare / path).write_bytes(b"x")
    corpus = audiocaps.load_audiocaps(bare, allow_partial=True)
    assert corpus.media.names == (path,) and corpus.item_ids == ("sound_00001",)


def test_a_video_with_two_clips_needs_the_start_in_the_name(bare):
    (bare / "audio").mkdir()
    (bare / "audio" / f"Y{TWICE}.wav").write_bytes(b"x")
    with pytest.raises(RetrievalInputError, match="found 0 of 15 sounds"):
        audiocaps.load_audiocaps(bare)


def test_sounds_are_decoded_and_cut_from_whole_recordings(root):
    pytest.importorskip("av")
    corpus = audiocaps.load_audiocaps(root)
    steady = corpus.media[0]
    assert steady.shape == (24_000,) and np.abs(steady).max() == pytest.approx(0.5, abs=0.01)
    spectrum = np.abs(np.fft.rfft(steady))
    assert np.argmax(spectrum) / 1.5 == pytest.approx(120, abs=1)  # hertz
    whole = audiocaps.load_audiocaps(root, trimmed=False).media
    assert whole.segments[:2] == ((0.0, 10.0), (30.0, 40.0))
    with pytest.raises(DamagedFileError, match="no sample that can be decoded from 30 s on"):
        whole[1]


# The decoder of MP3 adds its delay to the start: about a twentieth of a second.
@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("wav", "pcm_s16le"), ("flac", "flac"), ("mp3", "libmp3lame"), ("ogg", "libopus")],
)
def test_ten_seconds_of_a_stereo_recording_in_each_format(bare, suffix, codec):
    av = pytest.importorskip("av")
    rate, hertz = 24_000, np.repeat([300, 700, 1_100], 15 * 24_000)
    left = np.sin(2 * np.pi * np.cumsum(hertz) / rate).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(np.stack([left, 0 * left]), format="fltp", layout="stereo")
    frame.sample_rate = rate
    (bare / "audio").mkdir()
    with av.open(str(bare / "audio" / f"{TWICE}_30.{suffix}"), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="stereo")
        for part in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(part)
    corpus = audiocaps.load_audiocaps(bare, trimmed=False, allow_partial=True)
    samples = corpus.media[0]
    assert corpus.media.rate == 16_000 and len(samples) == 160_000  # 30 to 40 s, mono
    spectrum = np.abs(np.fft.rfft(samples[1_600:]))
    assert np.argmax(spectrum) / 9.9 == pytest.approx(1_100, abs=1)
    assert np.abs(samples[1_600:]).max() == pytest.approx(0.5, abs=0.05)  # the mean of two channels


def test_the_second_release_has_other_words_and_the_list_fewer_clips(root):
    first, second = load(root), load(root, captions="2.0")
    assert second.item_ids == first.item_ids and second.captions == "2.0"
    assert second.texts[0] == "a low hum sounds steadily"
    listed = load(root, captions="WavCaps")
    assert len(listed.item_ids) == 11 and set(listed.item_ids) < set(first.item_ids)
    assert listed.text_ids[0] == "sound_00000#1" and listed.texts[:5] == first.texts[:5]
    assert len(load(root, "train").texts) == len(load(root, "train").item_ids) == 3
    assert len(load(root, "val").texts) == 10


def test_the_list_works_alone_but_has_no_times(bare):
    for path in bare.rglob("*.csv"):
        path.unlink()
    assert len(load(bare, captions="WavCaps").texts) == 55
    with pytest.raises(RetrievalInputError, match="states no times: put test.csv beside it"):
        load(bare, captions="WavCaps", trimmed=False)
    with pytest.raises(MissingFileError, match=r"does not have test\.csv.*data download audiocaps"):
        load(bare)
    with pytest.raises(RetrievalInputError, match="split must be 'test' for captions 'WavCaps'"):
        load(bare, "val", captions="WavCaps")


def test_missing_sounds_and_counts_are_stated(bare):
    (bare / "audio").mkdir()
    for name in ("sound_00000_0", "sound_00001_30"):
        (bare / "audio" / f"{name}.wav").write_bytes(b"x")
    with pytest.raises(RetrievalInputError, match="found 2 of 15 sounds; first missing: audio/s"):
        audiocaps.load_audiocaps(bare)
    corpus = audiocaps.load_audiocaps(bare, allow_partial=True)
    assert "found 2 of 15 sounds; found 10 of 75 captions" in corpus.describe()
    (bare / MINIATURE).unlink()  # now it claims to be the real corpus
    with pytest.raises(RetrievalInputError, match="found 15 of 975 sounds; found 75 of 4,875"):
        load(bare)
    with pytest.raises(RetrievalInputError, match="found 11 of 957 sounds; found 55 of 4,785"):
        load(bare, captions="WavCaps")
    with pytest.raises(RetrievalInputError, match="found 3 of 91,256 captions"):
        load(bare, "train", captions="2.0")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,abc,ten,words", "line 2: expected an audiocap_id.*'ten'"),
        ("1,abc,-3,words", "start_time in whole seconds"),
        (f"1,abc,{'9' * 5000},words", "start_time in whole seconds"),
        ("1,,3,words", "expected an audiocap_id, a youtube_id"),
        ("1,abc,3", "line 2: expected 4 columns"),
        ("1,abc,3,words\n1,abc,3,more", "text ids must differ, got .1. at 0 and 1"),
        ("1,abc,3, ", "must be words"),
        ("", "no row behind its header"),
    ],
)
def test_bad_rows_are_named(bare, rows, message):
    (bare / "test.csv").write_text(",".join(audiocaps.HEADER) + "\n" + rows + "\n")
    with pytest.raises(RetrievalInputError, match=message):
        load(bare, allow_partial=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"data": [{"id": "Yabc.wav"}]}', "clip 0: 'caption_1' must be str"),
        ('{"data": ["Yabc.wav"]}', "clip 0"),
        ('{"data": [null]}', "clip 0"),
        ('{"data": [1.5]}', "clip 0"),
        ('{"data": {}}', "'data' must be list"),
        ('{"data": []}', "lists no clip"),
        ('{"data": [', "not a JSON file"),
    ],
)
def test_a_bad_list_is_named(bare, content, message):
    (bare / "test.json").write_text(content)
    with pytest.raises((RetrievalInputError, DamagedFileError), match=message):
        load(bare, captions="WavCaps", allow_partial=True)


def test_a_clip_that_is_listed_twice_is_refused(bare):
    data = json.loads((bare / "test.json").read_text())
    data["data"].append(data["data"][0])
    (bare / "test.json").write_text(json.dumps(data))
    with pytest.raises(RetrievalInputError, match="sound_00000"):
        load(bare, captions="WavCaps", allow_partial=True)


def test_ids_cannot_lead_out_of_the_root(bare):
    (bare / "test.csv").write_text(",".join(audiocaps.HEADER) + "\n1,../../etc/x,3,words\n")
    with pytest.raises(RetrievalInputError, match="must be a relative path inside"):
        audiocaps.load_audiocaps(bare, allow_partial=True)
