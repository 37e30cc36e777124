"""Parsons code, edit distance and LCSS: by hand, and against tables filled cell by cell."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.search.melody import edit_distances, lcss_lengths, parsons_code
from tests.search.melody.tunes import melody, sung


def edit_by_cells(query, text, span):
    table = np.zeros((len(query) + 1, len(text) + 1))
    table[:, 0] = np.arange(len(query) + 1)
    for i, q in enumerate(query, start=1):
        for j, t in enumerate(text, start=1):
            cost = min(abs(q - t) / span, 1) if span else float(q != t)
            table[i, j] = min(table[i - 1, j - 1] + cost, table[i - 1, j] + 1, table[i, j - 1] + 1)
    return table[-1].min()


def lcss_by_cells(query, text, tolerance):
    table = np.zeros((len(query) + 1, len(text) + 1))
    for i, q in enumerate(query, start=1):
        for j, t in enumerate(text, start=1):
            both = table[i - 1, j - 1] + 1 if abs(q - t) <= tolerance else 0
            table[i, j] = max(table[i - 1, j], table[i, j - 1], both)
    return table[-1, -1]


def test_parsons_code_of_twinkle_twinkle():
    tune = melody([60, 60, 67, 67, 69, 69, 67, 65, 65, 64, 64, 62, 62, 60])
    letters = "".join("DRU"[int(symbol) + 1] for symbol in parsons_code(tune))
    assert letters == "RURURDDRDRDRD"


def test_parsons_code_forgives_a_fraction_of_a_semitone():
    assert parsons_code(sung([60, 60.4, 60.1, 61.0, 59.9])).tolist() == [0, 0, 1, -1]


@pytest.mark.parametrize(
    ("text", "distance"),
    [
        ([1, 2, 3], 0),
        ([9, 1, 2, 3, 9], 0),  # begins and ends anywhere
        ([1, 5, 3], 1),  # another symbol
        ([1, 3], 1),  # one is missing
        ([1, 2, 7, 3], 1),  # one more
        ([7, 8], 3),
        ([], 3),
    ],
)
def test_edit_distance_by_hand(text, distance):
    assert edit_distances([1, 2, 3], [text]).tolist() == [distance]


def test_graded_costs_by_hand():
    assert edit_distances([4, -2], [[4, -1]], span=2).tolist() == [0.5]
    assert edit_distances([4, -2], [[4.5, -2.5]], span=2).tolist() == [0.5]
    assert edit_distances([4, -2], [[4, 3]], span=2).tolist() == [1]


@pytest.mark.parametrize(
    ("text", "length"),
    [([1, 2, 3], 3), ([1, 9, 9, 2, 9, 3], 3), ([3, 2, 1], 1), ([2, 3], 2), ([7], 0), ([], 0)],
)
def test_lcss_by_hand(text, length):
    assert lcss_lengths([1, 2, 3], [text]).tolist() == [length]


def test_lcss_tolerance():
    assert lcss_lengths([1, 2], [[1.4, 2.6]], tolerance=0.5).tolist() == [1]


@pytest.mark.parametrize("span", [0, 1.5])
def test_all_texts_at_once_are_as_each_alone(span):
    draw = np.random.default_rng(0)
    texts = [draw.integers(-3, 4, draw.integers(0, 30)) for _ in range(60)]
    for size in (1, 2, 9, 25):
        query = draw.integers(-3, 4, size)
        assert edit_distances(query, texts, span=span) == pytest.approx(
            [edit_by_cells(query, text, span) for text in texts]
        )
        assert lcss_lengths(query, texts, tolerance=span).tolist() == [
            lcss_by_cells(query, text, span) for text in texts
        ]


def test_wrong_arguments():
    with pytest.raises(RetrievalInputError, match="query must be"):
        edit_distances([], [[1]])
    with pytest.raises(RetrievalInputError, match="span must be"):
        edit_distances([1], [[1]], span=-1)
    with pytest.raises(RetrievalInputError, match="tolerance must be"):
        lcss_lengths([1], [[1]], tolerance=np.nan)
