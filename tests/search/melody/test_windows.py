"""Windows of tunes and hums, by hand: rests, tempo, places, and the cuts of a hum."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.tunes import SungNotes
from lib.models.contour_encoder import FRAMES
from lib.search.melody import windows
from lib.search.melody.windows import (
    check_positive,
    cuts_of,
    sounding_at,
    window_contours,
    window_starts,
)
from tests.search.melody.tunes import melody


def test_the_encoder_reads_the_windows():
    assert windows.FRAMES == FRAMES


def test_rests_are_silent_and_hold_the_pitch():
    notes = SungNotes([0, 1.0], [0.5, 1.0], [60, 62])
    assert sounding_at(notes, np.array([0.2, 0.7, 1.5, 2.5])).tolist() == [True, False, True, False]
    pitches, voiced = window_contours(notes, np.array([0.0, 1.0]), 2.0)
    assert pitches[0].tolist() == [60] * 40 + [62] * 40 and (pitches[1] == 62).all()
    assert voiced[0].tolist() == [True] * 20 + [False] * 20 + [True] * 40
    assert voiced[1].tolist() == [True] * 40 + [False] * 40  # the notes end after a second


def test_each_window_may_have_its_own_length():
    notes = SungNotes([0, 1.0], [1.0, 1.0], [60, 62])
    pitches, _ = window_contours(notes, np.zeros(2), np.array([1.0, 2.0]))
    assert (pitches[0] == 60).all() and pitches[1].tolist() == [60] * 40 + [62] * 40


def test_a_melody_is_read_at_its_humming_tempo():
    steps = np.ones(10)  # 0.3 s each
    pitches, voiced = window_contours(melody(range(60, 70), steps), np.array([0.3]), 1.2)
    assert pitches[0].tolist() == list(np.repeat([61, 62, 63, 64], 20)) and voiced.all()


def test_places_are_apart_and_have_half_a_window():
    tune = melody([60] * 10)  # 3 s in notes of 0.3 s
    assert window_starts(tune, 2.0) == pytest.approx([0, 0.6, 1.2, 1.8])
    assert window_starts(tune, 2.0, 0.1) == pytest.approx(np.arange(7) * 0.3)
    assert window_starts(tune, 8.0).tolist() == [0]  # too short, kept once


def test_a_hum_is_cut_to_the_longest_window_that_it_fills():
    lengths, tempos = np.array([4.0, 8.0]), np.array([0.5, 1.0, 2.0])
    # Five seconds hold 2.5, 5 and 10 seconds of a tune at these tempos.
    assert cuts_of(np.array([5.0]), lengths, tempos).tolist() == [[0, 0, 1]]
    assert cuts_of(np.array([1.0, 100.0]), lengths, tempos).tolist() == [[0, 0, 0], [1, 1, 1]]
    nearly = 0.951 * 8.0
    assert cuts_of(np.array([nearly]), lengths, np.array([1.0])).tolist() == [[1]]


@pytest.mark.parametrize("values", [[0, 1], [2, 1], [1, 1], [-1]])
def test_lengths_must_rise(values):
    with pytest.raises(RetrievalInputError, match="lengths must be numbers above 0 that rise"):
        check_positive(values, "lengths")
