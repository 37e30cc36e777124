"""A rendered clip: what a reader of the file finds in it, and what is missing without packages."""

from dataclasses import replace

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.datasets.media import decoding
from lib.datasets.media.decoding import read_frames, read_waveform
from lib.datasets.tunes_videos import (
    clip_file,
    clip_score,
    films,
    load_recipes,
    pictures,
    soundtrack,
)
from lib.datasets.voices import soundfont
from lib.datasets.voices.soundfont import PARTS_RATE
from lib.metrics.pitch import pitch_accuracy
from lib.models.pitch import hear_melody

needs_soundfont = pytest.mark.skipif(
    not soundfont.available(), reason="tinysoundfont and pretty_midi must be installed"
)


@pytest.fixture(scope="module")
def recipe():
    return replace(load_recipes()[0], seconds=8, lead=0)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSMODAL_CACHE", str(tmp_path))
    return tmp_path


def test_each_shot_is_another_scene_and_cuts_are_on_the_beat(recipe):
    frames = pictures(recipe)
    assert frames.shape == (80, 128, 128, 3) and frames.dtype == np.uint8
    changed = np.abs(np.diff(frames.astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    cuts = np.rint(clip_score(recipe).cuts[1:] * films.FPS).astype(int)
    assert set(np.argsort(-changed)[: cuts.size] + 1) == set(cuts)


@needs_soundfont
def test_the_melody_alone_is_heard_as_the_score_has_it(recipe):
    sound = soundtrack(recipe, accompanied=False)
    assert sound.size == 8 * PARTS_RATE and np.abs(sound).max() == pytest.approx(0.8)
    melody, track = clip_score(recipe).melody, hear_melody(sound, PARTS_RATE).track
    at = np.searchsorted(melody.onsets, track.times, side="right") - 1
    sounds = (at >= 0) & (track.times < melody.onsets[at] + melody.durations[at])
    truth = np.where(sounds, melody.pitches[at], np.nan)
    assert pitch_accuracy(truth, track.pitches, track.voiced).raw_chroma > 0.9


@needs_soundfont
def test_the_accompaniment_is_as_loud_as_the_balance_says(recipe):
    equal = replace(recipe, balance=6.0)
    alone, both = soundtrack(equal, accompanied=False), soundtrack(equal)
    scale = np.dot(alone, both) / np.dot(alone, alone)
    rest = both - scale * alone
    decibels = 20 * np.log10(scale * alone.std() / rest.std())
    assert decibels == pytest.approx(6.0, abs=1.0)  # the two are not quite uncorrelated


@needs_soundfont
def test_a_file_is_rendered_once_and_again_where_it_is_damaged(recipe, cache):
    pytest.importorskip("av")
    path = clip_file(recipe)
    assert path.parent == cache / "tunes_videos"
    made, time = path.read_bytes(), path.stat().st_mtime_ns
    assert clip_file(recipe).stat().st_mtime_ns == time
    path.write_bytes(made[:1000])
    assert clip_file(recipe).read_bytes() == made
    sound = read_waveform(path, PARTS_RATE)
    assert sound.size == pytest.approx(8 * PARTS_RATE, abs=3000)
    late = 1024  # samples; the encoder begins with a frame that no decoder is told to drop
    heard, played = sound[late:][: 7 * PARTS_RATE], soundtrack(recipe)[: 7 * PARTS_RATE]
    assert np.corrcoef(heard, played)[0, 1] > 0.95
    assert np.abs(read_frames(path, 80).astype(int) - pictures(recipe)).mean() < 8  # of 255


def test_without_a_package_the_error_says_what_to_install(recipe, cache, monkeypatch):
    monkeypatch.setattr(decoding, "available", lambda: False)
    with pytest.raises(RetrievalInputError, match=r"crossmodal-retrieval\[video\]"):
        clip_file(recipe)
    monkeypatch.undo()
    monkeypatch.setenv("CROSSMODAL_CACHE", str(cache))
    monkeypatch.setattr(soundfont, "available", lambda: False)
    if decoding.available():
        with pytest.raises(MissingFileError, match="tinysoundfont"):
            clip_file(recipe)
    assert not list(cache.rglob("*.mp4"))
