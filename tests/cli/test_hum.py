"""`crossmodal hum`: files, the microphone, and what is refused."""

import types

import numpy as np
import pytest
from scipy.io import wavfile
from typer.testing import CliRunner

from lib.cli import app
from lib.cli import hum as command
from lib.core.checks import RetrievalInputError
from lib.datasets import tunes
from lib.datasets.media.decoding import available as can_decode
from lib.datasets.tunes import LEVELS
from lib.datasets.voices import sing_aloud
from lib.models.pitch import swift
from lib.search import melody
from lib.search.melody import HumSearch, videos
from tests.search.melody.tunes import random_tunes

TUNES = tuple(random_tunes(12, shortest=30, longest=40))
needs_hearing = pytest.mark.skipif(
    not (swift.available() and can_decode()), reason="swift-f0 and PyAV must be installed"
)


@pytest.fixture
def few_tunes(monkeypatch):
    monkeypatch.setattr(melody, "open_hum_search", lambda essen, log: HumSearch(TUNES, log=log))


@pytest.fixture(scope="module")
def samples():
    return sing_aloud(tunes.hum(TUNES[4], LEVELS["clean"], np.random.default_rng(1))).samples


def run(*arguments):
    return CliRunner().invoke(app, ["hum", *map(str, arguments)])


@needs_hearing
def test_a_file_is_searched(few_tunes, samples, tmp_path):
    path = tmp_path / "my hum.wav"
    wavfile.write(path, 16000, samples)
    shown = run(path, "-k", 3)
    assert shown.exit_code == 0, shown.exception
    assert "heard: " in shown.output and "12 tunes. Off" in shown.output
    assert "windows of 12 tunes. It takes a minute" in shown.output
    first = next(line for line in shown.output.splitlines() if line.startswith("│ 1 "))
    assert "tune 4" in first and " s, note " in first


class Microphone(types.SimpleNamespace):
    """A stand-in for sounddevice that plays a hum."""

    PortAudioError = RuntimeError


@needs_hearing
def test_the_microphone_is_recorded_kept_and_searched(few_tunes, samples, tmp_path, monkeypatch):
    asked = {}

    def rec(n, **options):
        asked.update(options, n=n)
        return samples[:n, None]

    fake = Microphone(query_devices=lambda kind: {"default_samplerate": 16000.0}, rec=rec)
    monkeypatch.setattr(command, "_sounddevice", lambda: fake)
    path = tmp_path / "kept.wav"
    shown = run(path, "--record", 7)
    assert shown.exit_code == 0, shown.exception
    assert asked["n"] == 112_000 and asked["channels"] == 1 and "tune 4" in shown.output
    assert wavfile.read(path)[0] == 16000
    assert isinstance(run(path, "--record", 7).exception, RetrievalInputError)  # exists already


def test_without_a_microphone_the_error_says_what_to_do(monkeypatch):
    def nothing(kind):
        raise RuntimeError("no device")

    monkeypatch.setattr(command, "_sounddevice", lambda: Microphone(query_devices=nothing))
    with pytest.raises(RetrievalInputError, match="no device. Record a file with another program"):
        command.record_microphone(5)
    monkeypatch.undo()
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RetrievalInputError, match=r"crossmodal-retrieval\[record\]"):
        command.record_microphone(5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give a file, or --record SECONDS"),
        (["--record", 1], "--record must be between 2 and 60"),
        (["a.mp3", "--record", 5], "a.mp3 is no .wav file"),
        (["none.wav"], "none.wav is missing"),
        (["none.wav", "--start", -1], "--start"),
    ],
)
def test_bad_requests_are_refused(arguments, message):
    if message.endswith("missing") and not can_decode():
        pytest.skip("PyAV must be installed")
    error = run(*arguments).exception
    assert isinstance(error, ValueError) and message in str(error)


@needs_hearing
def test_videos_of_a_folder_are_searched_and_unheard_ones_are_named(samples, tmp_path, monkeypatch):
    def heard(path):
        if path.name == "silent.mov":
            raise RetrievalInputError(f"{path} has no melody that can be heard")
        return TUNES[int(path.stem)]

    monkeypatch.setattr(videos, "melody_of_file", heard)
    folder = tmp_path / "films"
    (folder / "more").mkdir(parents=True)
    for name in ("3.mp4", "more/4.mkv", "silent.mov", "notes.txt"):
        (folder / name).write_bytes(b"x")
    wavfile.write(tmp_path / "hum.wav", 16000, samples)
    shown = run(tmp_path / "hum.wav", "--videos", folder, "-k", 1)
    assert shown.exit_code == 0, shown.exception
    said = " ".join(shown.output.split())
    assert "silent.mov has no melody" in said and "the music of 2 files" in said
    assert "more/4.mkv" in next(line for line in shown.output.splitlines() if "│ 1 " in line)
    for wrong, message in [
        (("--videos", tmp_path / "none"), "must be a folder"),
        (("--videos", folder, "--essen"), "give one of them"),
    ]:
        result = run(tmp_path / "hum.wav", *wrong)
        assert isinstance(result.exception, RetrievalInputError) and message in str(
            result.exception
        )
