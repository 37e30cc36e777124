"""The length in the header of a sound: cut files are refused, unknown lengths are not guessed."""

import struct
import wave

import numpy as np
import pytest

from lib.core.reading import DamagedFileError
from lib.datasets.media.decoding import read_waveform
from lib.datasets.media.sound_length import wav_seconds

RATE, SECONDS = 16_000, 4
NOISE = (np.random.default_rng(0).normal(size=RATE * SECONDS) * 3_000).astype("<i2")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("sounds") / "whole.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(NOISE.tobytes())
    return path


def chunk(kind, content):
    return struct.pack("<4sI", kind, len(content)) + content + b"\0" * (len(content) % 2)


def test_seconds_by_hand(whole, tmp_path):
    content = whole.read_bytes()
    assert wav_seconds(whole) == SECONDS
    path = tmp_path / "other.wav"
    list_chunk = chunk(b"LIST", b"a title")  # an odd size has a byte behind it
    path.write_bytes(content[:12] + list_chunk + content[12:])
    assert wav_seconds(path) == SECONDS
    for unknown in (0, 0x7FFFF000, 0xFFFFFFFF):  # as programs write them to a pipe
        path.write_bytes(content[:40] + struct.pack("<I", unknown) + content[44:])
        assert wav_seconds(path) is None
    for part in (0, 11, 12, 20, 30, 40):
        path.write_bytes(content[:part])
        assert wav_seconds(path) is None
    path.write_bytes(b"RIFX" + content[4:])
    assert wav_seconds(path) is None


def test_a_cut_sound_is_refused_and_a_part_that_is_there_is_read(whole, tmp_path):
    pytest.importorskip("av")
    assert len(read_waveform(whole, RATE)) == SECONDS * RATE
    cut = tmp_path / "cut.wav"
    cut.write_bytes(whole.read_bytes()[: 44 + 2 * 2 * RATE])  # two of four seconds
    with pytest.raises(DamagedFileError, match=r"cut\.wav ends before the 4\.00 s of its header"):
        read_waveform(cut, RATE)
    with pytest.raises(DamagedFileError, match="ends before"):
        read_waveform(cut, RATE, 1.0, 4.0)
    assert len(read_waveform(cut, RATE, 0.5, 1.5)) == RATE
    piped = tmp_path / "piped.wav"
    piped.write_bytes(cut.read_bytes()[:40] + b"\xff\xff\xff\xff" + cut.read_bytes()[44:])
    assert len(read_waveform(piped, RATE)) == 2 * RATE


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp3", "libmp3lame"), ("mkv", "libopus"), ("mp4", "aac")]
)
def test_cut_files_of_other_formats(tmp_path, suffix, codec):
    av = pytest.importorskip("av")
    path = tmp_path / f"whole.{suffix}"
    options = {"movflags": "faststart"} if suffix == "mp4" else {}  # the index comes first
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(NOISE[None], format="s16", layout="mono")
        frame.sample_rate = RATE
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=RATE)
        for part in [*resampler.resample(frame), None]:
            container.mux(stream.encode(part))
    assert abs(len(read_waveform(path, RATE)) / RATE - SECONDS) < 0.2
    with av.open(str(path)) as container:
        packets = [packet.pos for packet in container.demux() if packet.pos]
    path.write_bytes(path.read_bytes()[: packets[len(packets) // 2]])  # no packet is cut in two
    with pytest.raises(DamagedFileError, match="ends before"):
        read_waveform(path, RATE)
