"""Contours and linear scaling, by hand and cell by cell."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.search.melody import LinearScalingMatcher, contour
from lib.search.melody.contours import contour_points, times_of
from tests.search.melody.tunes import melody, random_tunes, sung


def test_contour_by_hand():
    notes = sung([60, 62.5, 64], [0.2, 0.1, 0.3])
    assert contour(notes).tolist() == [60, 60, 62.5, 64, 64, 64]
    assert contour(notes, step=0.3).tolist() == [60, 64]
    assert contour(sung([60], [0.01])).tolist() == [60]


def test_a_rest_holds_the_pitch_before_it():
    notes = sung([60, 62], [0.2, 0.2])
    gap = type(notes)(notes.onsets, [0.1, 0.2], notes.pitches)
    assert contour(gap).tolist() == contour(notes).tolist()


def test_a_melody_is_read_at_its_humming_tempo():
    tune = melody([60, 62, 64], [1, 1, 2])  # the median note takes 0.3 s
    assert contour(tune).tolist() == [60, 60, 60, 62, 62, 62, 64, 64, 64, 64, 64, 64]
    assert times_of(tune)[1] == pytest.approx(1.2)


def test_points_are_centred():
    assert contour_points(sung([60, 64], [0.2, 0.2]), 4).tolist() == [-2, -2, 2, 2]


def test_linear_scaling_by_hand():
    tune = melody([60, 62, 64, 60], title="tune")
    matcher = LinearScalingMatcher([tune], scales=[1], points=4)
    # Half the tempo of the tune: at scale 1 the first two notes lie under the four of the query.
    slow = sung([70, 72, 74, 70], [0.6] * 4)
    assert matcher.score([slow], np.array([[0]]))[0, 0] < 0
    wide = LinearScalingMatcher([tune], scales=[0.5, 1], points=4)
    assert wide.score([slow], np.array([[0]]))[0, 0] == pytest.approx(0, abs=1e-6)
    # -1 0 1 -0.25... : one note off by 4 of 4 points, means 61.5 and 62.5.
    wrong = sung([60, 62, 64, 64])
    expected = np.abs(np.array([-2.5, -0.5, 1.5, 1.5]) - np.array([-1.5, 0.5, 2.5, -1.5])).mean()
    assert matcher.score([wrong], np.array([[0]]))[0, 0] == pytest.approx(-expected)


def test_every_start_is_tried_or_only_the_first():
    tune = melody([60, 72, 60, 62, 64, 65, 67, 60])
    query = sung([50, 52, 54, 55])
    anywhere = LinearScalingMatcher([tune], scales=[1], points=8)
    beginning = LinearScalingMatcher([tune], scales=[1], points=8, start="beginning")
    ids = np.array([[0]])
    assert anywhere.score([query], ids)[0, 0] == pytest.approx(0, abs=1e-6)
    assert beginning.score([query], ids)[0, 0] < -1
    assert anywhere.comparisons_of(query, ids[0]) == 8 * beginning.comparisons_of(query, ids[0])


def test_scores_are_those_of_a_plain_loop():
    tunes = random_tunes(6, seed=3)
    scales, points = [0.8, 1.1], 12
    matcher = LinearScalingMatcher(tunes, scales=scales, points=points)
    query = sung(np.array([60, 62, 61, 65, 64]) + 0.3, [0.3, 0.2, 0.4, 0.3, 0.5])
    wanted, length = contour_points(query, points), times_of(query)[1]
    for number, tune in enumerate(tunes):
        frames, best = contour(tune), np.inf
        for onset in (times_of(tune)[0] / 0.1).astype(np.float32):
            for scale in scales:
                at = onset + (np.arange(points) + 0.5) / points * length / 0.1 * scale
                part = frames[np.minimum(at.astype(int), frames.size - 1)]
                best = min(best, np.abs(part - part.mean() - wanted).mean())
        found = matcher.score([query], np.array([[number]]))[0, 0]
        assert found == pytest.approx(-best, abs=1e-5)


def test_wrong_arguments():
    tunes = [melody([60, 62])]
    with pytest.raises(RetrievalInputError, match="scales must be above 0"):
        LinearScalingMatcher(tunes, scales=[0, 1])
    with pytest.raises(RetrievalInputError, match="start must be one of"):
        LinearScalingMatcher(tunes, start="end")
    with pytest.raises(RetrievalInputError, match="step must be"):
        contour(tunes[0], step=0)
