"""Accuracy of pitch, by hand."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.metrics.pitch import pitch_accuracy

NAN = np.nan


def test_each_share_by_hand():
    truth = [60, 60, 60, 60, 60, NAN, NAN, NAN]
    found = [60.5, 60.6, 72.2, NAN, 59.6, 60, 61, NAN]
    voiced = [1, 1, 0, 0, 1, 1, 0, 0]
    accuracy = pitch_accuracy(truth, found, voiced)
    assert accuracy.raw_pitch == 2 / 5  # 60.5 and 59.6
    assert accuracy.raw_chroma == 3 / 5  # 72.2 too
    assert accuracy.voicing_recall == 3 / 5
    assert accuracy.voicing_false_alarm == 1 / 3
    assert (accuracy.n_sung, accuracy.n_other) == (5, 3)


def test_octaves_both_ways_are_forgiven_by_chroma_alone():
    accuracy = pitch_accuracy([60, 60, 60], [48.1, 83.9, 54], [1, 1, 1])
    assert accuracy.raw_pitch == 0 and accuracy.raw_chroma == pytest.approx(2 / 3)


def test_the_tolerance_and_a_track_without_pauses():
    assert pitch_accuracy([60.0], [60.9], [0], tolerance=1).raw_pitch == 1
    assert pitch_accuracy([60.0], [60.0], [True]).voicing_false_alarm == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([60, 61], [60], [1, 1]), "one entry for each frame"),
        (([NAN], [60], [1]), "at least one sung frame"),
        (([60], [60], [NAN]), "voiced"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, message):
    with pytest.raises(RetrievalInputError, match=message):
        pitch_accuracy(*arguments)
