"""Subsequence DTW: by hand, and against a table filled cell by cell."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.search.melody import DtwMatcher, subsequence_dtw
from lib.search.melody.dtw import tuned
from tests.search.melody.tunes import melody, sung


def dtw_by_cells(query, text, most):
    m, n = len(query), len(text)
    cost = np.minimum(np.abs(np.subtract.outer(query, text)), most)
    table = np.full((m, n), np.inf)
    table[0] = cost[0]
    for i in range(1, m):
        for j in range(1, n):
            table[i, j] = table[i - 1, j - 1] + cost[i, j]
            if j > 1:
                table[i, j] = min(table[i, j], table[i - 1, j - 2] + cost[i, j])
            if i > 1:
                table[i, j] = min(table[i, j], table[i - 2, j - 1] + cost[i - 1, j] + cost[i, j])
    return table[-1].min() / m


@pytest.mark.parametrize(
    ("text", "cost"),
    [
        ([1, 2, 3, 4], 0),
        ([9, 9, 1, 2, 3, 4, 9], 0),  # begins and ends anywhere
        ([1, 1, 2, 2, 3, 3, 4], 0),  # twice as slow
        ([1, 3, 4], 0.25),  # frame 2 takes the place of 1 or 3
        ([1, 2, 3, 6], 0.25),  # 3 takes two frames
        ([1], np.inf),
        ([1, 4], np.inf),  # more than twice as fast
    ],
)
def test_by_hand(text, cost):
    assert subsequence_dtw([1, 2, 3, 4], [text]).tolist() == [cost]


def test_a_cost_has_a_limit():
    assert subsequence_dtw([1, 2, 30, 4], [[1, 2, 3, 4]], most=2).tolist() == [0.5]


def test_one_frame():
    assert subsequence_dtw([3], [[1, 5, 4], [3]]).tolist() == [1, 0]


@pytest.mark.parametrize("most", [np.inf, 2.0])
def test_all_texts_at_once_are_as_each_alone(most):
    draw = np.random.default_rng(0)
    texts = [draw.integers(-4, 5, draw.integers(1, 30)) for _ in range(50)]
    for size in (1, 2, 3, 9):
        query = draw.normal(0, 3, size)
        expected = [dtw_by_cells(query, text, most) for text in texts]
        assert subsequence_dtw(query, texts, most=most) == pytest.approx(expected)


def test_the_matcher_finds_the_key_of_a_part():
    high = melody([60] * 4 + [72, 74, 76, 77, 79, 77, 76, 74, 72])
    low = melody([60, 62, 60, 62] * 4)
    hum = sung(np.array([72, 74, 76, 77, 79, 77]) - 20.0)
    matcher = DtwMatcher([low, high], step=0.1)
    run = matcher.search([hum], 2)
    assert run.ids[0].tolist() == [1, 0]
    assert run.scores[0, 0] > -0.5  # at most half a semitone from one of the shifts
    assert DtwMatcher([low, high], shifts=[0]).search([hum], 2).scores[0, 0] < run.scores[0, 0]


def test_a_tune_that_is_too_short_comes_last():
    tunes = [melody([60, 62]), melody(np.arange(60, 100))]
    matcher = DtwMatcher(tunes)
    run = matcher.search([sung(np.arange(60, 90))], 2)
    assert run.ids[0].tolist() == [1, 0]
    assert run.scores[0, 1] == -matcher.most


def test_wrong_arguments():
    with pytest.raises(RetrievalInputError, match=r"texts\[1\] must be"):
        subsequence_dtw([1], [[1], []])
    with pytest.raises(RetrievalInputError, match="most must be"):
        subsequence_dtw([1], [[1]], most=0)


def test_pitches_between_the_semitones_are_tuned():
    assert tuned(np.array([60.3, 62.3, 64.3])) == pytest.approx([-2, 0, 2])
    assert tuned(np.array([59.9, 61.1, 62.0])) == pytest.approx([-1.1, 0.1, 1], abs=0.01)
