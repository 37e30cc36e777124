"""Sounds with their truth: range, pitch of notes, noise."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.tunes import Melody, SungNotes
from lib.datasets.voices import RATE, SungSound, in_range, with_noise
from lib.datasets.voices.sound import LEAD, TAIL, check_sung, note_pitches, sample_times, scaled
from tests.datasets.voices.notes import PITCHES, TUNE, middles


@pytest.mark.parametrize("centre", [36, 48.0, 50, 60, 83.9])
def test_the_range_is_reached_by_octaves(centre):
    moved = in_range(TUNE, centre).pitches - TUNE.pitches
    assert (moved == moved[0]).all() and moved[0] % 12 == 0
    assert abs(np.median(TUNE.pitches + moved) - centre) <= 6


def test_the_pitch_of_each_sample_is_that_of_its_note():
    pitches, times = note_pitches(TUNE), sample_times(TUNE)
    assert pitches.size == times.size == round((LEAD + 2.2 + TAIL) * RATE)
    at = np.searchsorted(times, middles(0))
    assert pitches[at] == pytest.approx(PITCHES)
    silent = (times < 0) | ((times > 1.2) & (times < 1.6)) | (times > 2.2)
    assert np.isnan(pitches[silent]).all() and np.isfinite(pitches[~silent]).mean() > 0.999


def test_a_sound_gives_its_pitch_at_any_time():
    sound = SungSound(np.zeros(3, np.float32), np.array([60, np.nan, 62], np.float32))
    found = sound.pitches_at([-1, 0, 1 / RATE, 2 / RATE, 1])
    assert found[[1, 3]].tolist() == [60, 62] and np.isnan(found[[0, 2, 4]]).all()
    assert sound.seconds == 3 / RATE and len(sound) == 3


def test_the_noise_has_the_power_that_is_asked_for():
    t = np.arange(RATE) / RATE
    sung = SungSound(np.sin(440 * t).astype(np.float32), np.full(RATE, 60, np.float32))
    for decibels in (20, 0):
        added = with_noise(sung, decibels, np.random.default_rng(0)).samples - sung.samples
        ratio = np.mean(sung.samples.astype(float) ** 2) / np.mean(added.astype(float) ** 2)
        assert 10 * np.log10(ratio) == pytest.approx(decibels, abs=0.01)


def test_silence_stays_silent():
    assert not scaled(np.zeros(4)).any()
    assert scaled(np.array([0.1, -0.2])).tolist() == [0.25, -0.5]


def test_other_things_than_sung_notes_are_refused():
    with pytest.raises(RetrievalInputError, match="SungNotes, got Melody. `sing`"):
        check_sung(Melody([0], [1], [60]))
    with pytest.raises(RetrievalInputError, match="at most 600 s, got 700 s"):
        check_sung(SungNotes([0], [700], [60.0]))
    with pytest.raises(RetrievalInputError, match="decibels"):
        with_noise(SungSound(np.zeros(1), np.zeros(1)), np.nan, np.random.default_rng(0))
