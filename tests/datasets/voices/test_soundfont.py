"""Voices of the soundfont: the pitch that is asked for, one note at a time."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.datasets.voices import RATE, soundfont
from lib.datasets.voices.sound import LEAD, in_range
from lib.models.pitch import track_by_autocorrelation
from tests.datasets.voices.notes import PITCHES, TUNE, middles

needs_soundfont = pytest.mark.skipif(
    not soundfont.available(), reason="tinysoundfont and pretty_midi must be installed"
)


@needs_soundfont
@pytest.mark.parametrize("name", soundfont.PROGRAMS)
def test_a_sung_program_sounds_at_the_pitch_that_is_asked_for(name):
    sound = soundfont.play_notes(TUNE, soundfont.PROGRAMS[name])
    octave = in_range(TUNE, soundfont.CENTRE).pitches[0] - PITCHES[0]
    track = track_by_autocorrelation(sound.samples)
    for time, pitch in zip(middles(LEAD), PITCHES, strict=True):
        heard = np.median(track.pitches[np.abs(track.times - time) < 0.12])
        assert heard == pytest.approx(pitch + octave, abs=0.3)


@needs_soundfont
def test_notes_sound_alone_and_pauses_are_silent():
    sound = soundfont.play_notes(TUNE, 53)
    pause = slice(round((LEAD + 1.25) * RATE), round((LEAD + 1.55) * RATE))
    assert np.abs(sound.samples[pause]).max() < 0.01
    assert np.abs(sound.samples).max() == pytest.approx(0.5, abs=0.01)
    assert np.isnan(sound.pitches[pause]).all()


@needs_soundfont
def test_one_melody_sounds_the_same_twice():
    first, second = (soundfont.play_notes(TUNE, 85).samples for _ in range(2))
    assert np.abs(first - second).max() < 0.02


@needs_soundfont
def test_programs_that_do_not_exist_are_refused():
    with pytest.raises(RetrievalInputError, match="program must be at most 127"):
        soundfont.play_notes(TUNE, 128)


def test_without_the_packages_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(soundfont, "available", lambda: False)
    with pytest.raises(MissingFileError, match="--no-deps tinysoundfont"):
        soundfont.soundfont_path()
