"""Frames and waveforms: which ones come out, and that files from strangers cannot do harm."""

import struct
import wave
from fractions import Fraction

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.media import decoding
from lib.datasets.media.decoding import RATE, read_frames, read_waveform, sample_times
from lib.datasets.media.encoding import write_clip


@pytest.fixture(scope="module")
def grey(tmp_path_factory):
    """Clip of 80 frames at 4 a second, frame i with the grey value 3 i, and 440 Hz."""
    pytest.importorskip("av")
    root = tmp_path_factory.mktemp("clips")
    frames = np.broadcast_to(
        (3 * np.arange(80, dtype=np.uint8))[:, None, None, None], (80, 32, 48, 3)
    )
    seconds = np.arange(20 * RATE) / RATE
    write_clip(
        root / "grey.mp4", frames, 4, 0.5 * np.sin(2 * np.pi * 440 * seconds).astype(np.float32)
    )
    write_clip(root / "short.mp4", frames[:2], 4)
    return root


def shown(frames: np.ndarray) -> list[int]:
    return np.rint(frames.mean(axis=(1, 2, 3)) / 3).astype(int).tolist()


def test_times_are_the_middles_of_equal_segments():
    assert sample_times(8, 4).tolist() == [1, 3, 5, 7]
    assert sample_times(10, 1).tolist() == [5]
    with pytest.raises(RetrievalInputError, match="above 0 s, got 0"):
        sample_times(0, 4)
    with pytest.raises(RetrievalInputError, match="n_frames must be at least 1"):
        sample_times(5, 0)


def test_frames_are_those_on_screen_at_the_times(grey):
    frames = read_frames(grey / "grey.mp4", 5)  # at 2, 6, 10, 14, 18 seconds
    assert frames.dtype == np.uint8 and frames.shape == (5, 32, 48, 3)
    assert shown(frames) == [8, 24, 40, 56, 72]


def test_a_part_of_a_clip_is_the_same_with_and_without_a_jump(grey):
    assert shown(read_frames(grey / "grey.mp4", 4, 10, 12)) == [41, 43, 45, 47]
    everything = read_frames(grey / "grey.mp4", 80)
    assert shown(everything) == list(range(80))
    assert np.array_equal(read_frames(grey / "grey.mp4", 4, 10, 12), everything[[41, 43, 45, 47]])
    assert shown(read_frames(grey / "grey.mp4", 2, 18, 99)) == [
        74,
        78,
    ]  # an end behind the clip is its end


def test_a_short_clip_repeats_frames_rather_than_give_fewer(grey):
    assert shown(read_frames(grey / "short.mp4", 5)) == [
        0,
        0,
        1,
        1,
        1,
    ]  # at .05, .15, .25, .35, .45 of .5 s


def test_waveforms_have_the_tone_the_rate_and_the_part_that_is_asked_for(grey):
    whole = read_waveform(grey / "grey.mp4")
    assert (
        whole.dtype == np.float32 and abs(whole.size - 20 * 16_000) < 2_048
    )  # AAC frames are 1,024 long
    part = read_waveform(grey / "grey.mp4", 8_000, 2, 3)
    assert part.shape == (8_000,)
    assert np.abs(np.fft.rfft(part)).argmax() == 440
    assert np.array_equal(read_waveform(grey / "grey.mp4", 16_000, 2, 3), whole[32_000:48_000])
    later = read_waveform(grey / "grey.mp4", 16_000, 15, 16)  # far enough to jump
    assert np.allclose(later, whole[240_000:256_000], atol=1e-3)


def test_bounds_on_what_is_decoded(grey):
    with pytest.raises(RetrievalInputError, match="1,536 pixels, more than max_pixels = 1,000"):
        read_frames(grey / "grey.mp4", max_pixels=1_000)
    with pytest.raises(RetrievalInputError, match="max_seconds = 5"):
        read_waveform(grey / "grey.mp4", max_seconds=5)
    with pytest.raises(RetrievalInputError, match="max_seconds = 5"):
        read_waveform(grey / "grey.mp4", 16_000, 1, 1_000, max_seconds=5)
    assert read_waveform(grey / "grey.mp4", 16_000, 17, 1_000, max_seconds=5).size >= 3 * 16_000
    with pytest.raises(RetrievalInputError, match="lasts 20.00 s; the part from 30 to 40"):
        read_frames(grey / "grey.mp4", 4, 30, 40)
    with pytest.raises(RetrievalInputError, match="no sound between 30 and 40"):
        read_waveform(grey / "grey.mp4", 16_000, 30, 40)
    for start, end in ((3, 3), (-1, 3), (float("nan"), 3)):
        with pytest.raises(RetrievalInputError, match="a part must run from"):
            read_frames(grey / "grey.mp4", 4, start, end)


def test_a_file_that_is_missing_cut_or_silent_is_named(grey, tmp_path):
    data = (grey / "grey.mp4").read_bytes()
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    for name in ("empty.mp4", "cut.mp4"):
        with pytest.raises(
            DamagedFileError, match=f"{name} cannot be read as video.*Get the file again"
        ):
            read_frames(tmp_path / name)
    with pytest.raises(MissingFileError, match="gone.mp4 is missing"):
        read_frames(tmp_path / "gone.mp4")
    with pytest.raises(DamagedFileError, match="short.mp4 holds no audio"):
        read_waveform(grey / "short.mp4")


def test_numbers_that_no_sound_has_are_damage(tmp_path):
    """An impossible rate, samples that are not finite, a table of 2^31 entries in an mp4."""
    pytest.importorskip("av")

    def sound(name, rate, samples):
        data = samples.astype("<f4").tobytes()
        head = struct.pack(
            "<4sI8sIHHIIHH", b"RIFF", 36 + len(data), b"WAVEfmt ", 16, 3, 1, rate, 4, 4, 32
        )
        (tmp_path / name).write_bytes(head + struct.pack("<4sI", b"data", len(data)) + data)

    sound("fast.wav", 2**31 - 1, np.zeros(100))
    sound("nan.wav", RATE, np.full(100, np.nan))
    write_clip(tmp_path / "good.mp4", np.zeros((4, 32, 32, 3), np.uint8), 4)
    data = (tmp_path / "good.mp4").read_bytes()
    at = data.index(b"stts") + 8
    (tmp_path / "table.mp4").write_bytes(data[:at] + struct.pack(">I", 2**31 - 1) + data[at + 4 :])
    for name, why in (
        ("fast.wav", "samples a second, got 2,147,483,647"),
        ("nan.wav", "not finite numbers"),
    ):
        with pytest.raises(DamagedFileError, match=f"{name}.*{why}"):
            read_waveform(tmp_path / name)
    with pytest.raises(DamagedFileError, match="table.mp4 cannot be read as video"):
        read_frames(tmp_path / "table.mp4")


def test_a_slide_show_is_held_and_a_film_that_ends_early_is_damaged(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "slides.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=4)
        stream.height, stream.width = 32, 32
        for stamp, grey in (
            (0, 60),
            (1, 90),
            (2, 120),
            (60, 150),
        ):  # the third stays for 14.5 seconds
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), grey, np.uint8), format="rgb24")
            frame.pts = stamp
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert shown(read_frames(tmp_path / "slides.mkv", 4)) == [39, 39, 39, 39]  # 117 of 120: lossy
    data = (tmp_path / "slides.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(
        data[: data.rindex(b"\x1f\x43\xb6\x75")]
    )  # without the last cluster
    with pytest.raises(DamagedFileError, match="ends before the 15.25 s of its header"):
        read_frames(tmp_path / "cut.mkv", 4)


@pytest.mark.parametrize(
    "text",
    ["#EXTM3U\n#EXTINF:10,\ngrey.mp4\n#EXT-X-ENDLIST\n", "ffconcat version 1.0\nfile grey.mp4\n"],
)
def test_a_playlist_under_the_name_of_a_clip_is_not_followed(grey, text):
    (grey / "list.mp4").write_text(text)
    with pytest.raises(DamagedFileError, match="of a kind other than mov"):
        read_frames(grey / "list.mp4")


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(decoding, "available", lambda: False)
    with pytest.raises(RetrievalInputError, match=r"pip install 'crossmodal-retrieval\[video\]'"):
        read_frames(tmp_path / "any.mp4")


def write_film(path, first_frame=0, rotation=0, aspect=1, seconds_of_sound=10):
    """Film of 16 frames at 4 a second, frame i of grey 3 i with a white corner; longer sound."""
    av = pytest.importorskip("av")
    codec, sound = ("libvpx", "libopus") if path.suffix == ".webm" else ("mpeg4", "aac")
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=4)
        video.width, video.height, video.codec_context.sample_aspect_ratio = 64, 32, aspect
        if rotation:
            video.set_display_rotation(rotation)
        audio = container.add_stream(sound, rate=48_000, layout="mono")
        for i in range(16):
            pixels = np.full((32, 64, 3), 3 * i, np.uint8)
            pixels[:16, :16] = 255
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = first_frame + i
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for i in range(seconds_of_sound * 50):
            frame = av.AudioFrame.from_ndarray(
                np.zeros((1, 960), np.int16), format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = 48_000, i * 960
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    return path


def test_time_is_the_span_of_the_picture_not_of_the_sound(tmp_path):
    for suffix in ("mkv", "webm", "mp4"):
        for first in (0, 12):  # the picture begins with the sound, or three seconds later
            frames = read_frames(write_film(tmp_path / f"{first}.{suffix}", first), 4)
            middle = np.rint(frames[:, 20:, 40:].mean(axis=(1, 2, 3)) / 3)
            assert np.abs(middle - [2, 6, 10, 14]).max() <= 1, (suffix, first, middle)


def test_frames_are_upright(tmp_path):
    corners = {0: (0, 0), 90: (-1, 0), 180: (-1, -1), -90: (0, -1)}  # counter-clockwise degrees
    for degrees, (row, column) in corners.items():
        frame = read_frames(
            write_film(tmp_path / f"{degrees}.mp4", rotation=degrees, seconds_of_sound=1), 1
        )[0]
        assert frame.shape[:2] == ((32, 64) if degrees in (0, 180) else (64, 32))
        cut = [slice(1, 8) if at == 0 else slice(-8, -1) for at in (row, column)]
        assert frame[tuple(cut)].mean() > 200, degrees
        assert np.mean(frame > 200) < 0.2


def test_pixels_become_square(tmp_path):
    path = write_film(tmp_path / "wide.mkv", aspect=Fraction(3, 2), seconds_of_sound=1)
    frames = read_frames(path, 2)
    assert frames.shape == (2, 32, 96, 3)
    assert frames[0, 4, 18].mean() > 200  # the corner is half as wide again
    with pytest.raises(RetrievalInputError, match="max_pixels"):
        read_frames(path, 2, max_pixels=64 * 32)


def test_any_number_of_channels_is_averaged(tmp_path):
    for n in (1, 2, 6, 8, 9, 11, 16):  # 7.1 and more once ended the process
        levels = 3000 * np.arange(1, n + 1)
        with wave.open(str(tmp_path / "many.wav"), "wb") as sound:
            sound.setnchannels(n)
            sound.setsampwidth(2)
            sound.setframerate(RATE)
            sound.writeframes(np.tile(levels // n, (800, 1)).astype("<i2").tobytes())
        waveform = read_waveform(tmp_path / "many.wav")
        assert waveform.shape == (800,)
        assert abs(waveform[400] * 32768 - (levels // n).mean()) < 0.1, n


def test_a_very_short_sound_is_resampled(tmp_path):
    for n in (1, 10, 39, 41):
        with wave.open(str(tmp_path / "short.wav"), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(44_100)
            sound.writeframes(np.full(n, 3000, "<i2").tobytes())
        waveform = read_waveform(tmp_path / "short.wav")
        assert waveform.shape == (max(1, round(n * RATE / 44_100)),) and waveform.any()


def test_titles_in_other_encodings_and_unknown_codecs(tmp_path):
    data = bytearray(write_film(tmp_path / "film.mkv", seconds_of_sound=1).read_bytes())
    strange = data.replace(b"V_MPEG4/ISO/ASP", b"V_NOSUCH/ISO/ASP"[:15])
    (tmp_path / "codec.mkv").write_bytes(strange)
    with pytest.raises(DamagedFileError, match=r"codec\.mkv"):
        read_frames(tmp_path / "codec.mkv")
    with pytest.importorskip("av").open(str(tmp_path / "film.mkv")) as source:
        assert source.streams.video
    titled = data.replace(b"Lavf", b"\xe4\xf6\xfcf")  # the name of the writing program, in Latin-1
    (tmp_path / "latin.mkv").write_bytes(titled)
    assert read_frames(tmp_path / "latin.mkv", 1).shape == (1, 32, 64, 3)


def test_mutants_of_clips_raise_our_errors(tmp_path):
    rng, leaked = np.random.default_rng(0), []
    for suffix in ("mp4", "mkv"):
        data = write_film(tmp_path / f"film.{suffix}", seconds_of_sound=2).read_bytes()
        for trial in range(60):
            mutant = bytearray(data)
            for at in rng.integers(600 if trial % 2 else len(data), size=4):
                mutant[at] = rng.integers(256)
            (tmp_path / f"mutant.{suffix}").write_bytes(mutant)
            for read in (lambda path: read_frames(path, 2), read_waveform):
                try:
                    read(tmp_path / f"mutant.{suffix}")
                except (DamagedFileError, RetrievalInputError):
                    pass
                except Exception as error:
                    leaked.append((suffix, trial, repr(error)))
    assert not leaked, leaked[:5]
