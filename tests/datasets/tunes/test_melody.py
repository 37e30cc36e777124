"""Melodies: what they hold and what they refuse."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.tunes import Melody


def test_a_melody():
    melody = Melody([0, 1, 3], [1, 1.5, 2], [60, 64, 62], title="Three notes", key="C")
    assert len(melody) == 3
    assert melody.intervals.tolist() == [4, -2]
    assert melody.quarters == 5
    assert not melody.onsets.flags.writeable
    assert "Three notes" in repr(melody)


def test_seconds():
    melody = Melody([0, 1], [1, 1], [60, 62], tempo=60)
    assert melody.seconds()[0].tolist() == [0, 1]
    assert melody.seconds(120)[0].tolist() == [0, 0.5]
    assert Melody([0, 1], [1, 1], [60, 62]).seconds()[0].tolist() == [0, 0.5]


def test_arrays_of_the_caller_stay_writeable():
    onsets = np.array([0.0, 1.0])
    Melody(onsets, [1, 1], [60, 62])
    onsets[0] = 0.5


@pytest.mark.parametrize(
    ("onsets", "durations", "pitches", "message"),
    [
        ([], [], [], "at least one number"),
        ([0, 1], [1], [60, 62], "one entry for each note"),
        ([0], [0], [60], "durations must be above 0"),
        ([0, 1], [2, 1], [60, 62], "note 0 must end before note 1"),
        ([1, 0], [1, 1], [60, 62], "note 0 must end before note 1"),
        ([0], [1], [128], "0..127"),
        ([0], [1], [60.5], "whole numbers"),
        ([np.nan], [1], [60], "onsets.0. is nan"),
        ([0], ["a"], [60], "durations must be a list of at least one number"),
    ],
)
def test_wrong_melodies(onsets, durations, pitches, message):
    with pytest.raises(RetrievalInputError, match=message):
        Melody(onsets, durations, pitches)


@pytest.mark.parametrize("tempo", [0, -1, np.inf, "fast"])
def test_wrong_tempo(tempo):
    with pytest.raises(RetrievalInputError, match="tempo must be"):
        Melody([0], [1], [60]).seconds(tempo)
