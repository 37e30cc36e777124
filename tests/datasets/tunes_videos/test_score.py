"""The score of a clip: notes in time, the tune again after its end, chords by rule, cuts."""

from dataclasses import replace

import numpy as np
import pytest

from lib.datasets.tunes import Melody
from lib.datasets.tunes_videos import clip_score, load_recipes
from lib.datasets.tunes_videos.recipes import meter_of
from lib.datasets.tunes_videos.score import bar_phase, harmonise, scale_of


def tune(onsets, pitches, key="C"):
    onsets = np.array(onsets, float)
    durations = np.append(np.diff(onsets), 1.0)
    return Melody(onsets, durations, np.array(pitches), key=key, meter="4/4")


@pytest.fixture(scope="module")
def recipe():
    return load_recipes()[0]


def test_the_melody_has_the_key_the_tempo_and_the_notes_of_the_tune(recipe):
    score, written = clip_score(recipe), recipe.melody
    assert score.positions[0] == recipe.first
    assert np.array_equal(score.melody.pitches, written.pitches[score.positions] + recipe.key)
    run = np.flatnonzero(np.diff(score.positions) == 1)
    steps = np.diff(score.melody.onsets)[run] * recipe.tempo / 60
    at = score.positions[run]
    assert steps == pytest.approx(written.onsets[at + 1] - written.onsets[at])
    assert score.melody.onsets[-1] < recipe.seconds


def test_a_tune_that_ends_begins_again_on_the_beat(recipe):
    long = replace(recipe, seconds=240)
    score = clip_score(long)
    again = np.flatnonzero(np.diff(score.positions) < 0) + 1
    assert again.size and (score.positions[again] == 0).all()
    bar = 4 * meter_of(recipe.melody).bar
    period = np.diff(score.melody.onsets[score.positions == 5]) * recipe.tempo / 60 / bar
    assert period == pytest.approx(np.rint(period))


def test_pictures_change_on_beats_and_stand_long_enough():
    for one in load_recipes()[::60]:
        cuts = clip_score(one).cuts
        beat = 60 / one.tempo * (1.5 if meter_of(one.melody).compound else 1)
        assert cuts[0] == 0 and np.diff(cuts) == pytest.approx(np.diff(cuts)[0])
        assert np.diff(cuts)[0] >= 1.5 - 1e-6
        assert cuts / beat == pytest.approx(np.rint(cuts / beat))


def test_bars_begin_where_long_notes_begin():
    upbeat = tune([0, 1, 3, 4, 5, 7], [60, 62, 64, 65, 67, 69])
    assert bar_phase(upbeat, 4) == 1.0


def test_a_half_bar_gets_the_triad_that_holds_its_melody():
    c_major = scale_of(tune([0], [60]))
    assert c_major.tolist() == [0, 2, 4, 5, 7, 9, 11]
    onsets, pitches = np.array([0.0, 1, 2, 3]), np.array([65.0, 69, 67, 71])
    chords = harmonise(c_major, onsets, np.ones(4), pitches, np.array([0.0, 2, 4]), 2.0)
    assert chords.tolist() == [[5, 9, 0], [7, 11, 2], [0, 4, 7]]  # F, G, and C for silence


def test_scales_begin_on_the_tonic_of_the_key():
    assert scale_of(tune([0], [60], "E Minor")).tolist() == [4, 6, 7, 9, 11, 0, 2]
    assert scale_of(tune([0], [60], "Bb")).tolist() == [10, 0, 2, 3, 5, 7, 9]
