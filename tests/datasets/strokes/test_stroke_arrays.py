"""stroke-3 and stroke-5: by hand, round trips, sketch-rnn's conversion, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings

from lib.core.checks import RetrievalInputError
from lib.datasets.strokes import Drawing, from_stroke3, from_stroke5, to_stroke3, to_stroke5
from tests.datasets.strokes.sketches import ANGLE, assert_same, drawings

ROWS = np.array([[0, 0, 0], [10, 0, 0], [0, 20, 1], [-5, -15, 1]])
BIG = np.array(
    [[0, 0, 1, 0, 0], [10, 0, 1, 0, 0], [0, 20, 0, 1, 0], [-5, -15, 0, 1, 0], [0, 0, 0, 0, 1]]
)


def test_an_angle_and_a_dot_by_hand():
    np.testing.assert_array_equal(to_stroke3(ANGLE), ROWS)
    np.testing.assert_array_equal(to_stroke5(ANGLE), BIG)
    assert_same(from_stroke3(ROWS), ANGLE)
    assert_same(from_stroke5(BIG), ANGLE)


def test_the_first_row_is_a_move_from_the_origin():
    np.testing.assert_array_equal(from_stroke3([[3, 4, 0], [1, 1, 1]]).points, [[3, 4], [4, 5]])


def test_the_last_point_ends_its_stroke():
    open_end = ROWS.copy()
    open_end[-1, 2] = 0
    assert_same(from_stroke3(open_end), ANGLE)


def test_stroke5_is_filled_up_to_its_length():
    filled = to_stroke5(ANGLE, 7)
    np.testing.assert_array_equal(filled[4:], np.tile([0, 0, 0, 0, 1], (3, 1)))
    assert_same(from_stroke5(filled), ANGLE)
    assert to_stroke5(ANGLE, 4).shape == (4, 5)
    assert_same(from_stroke5(to_stroke5(ANGLE, 4)), ANGLE)


@given(drawings())
@settings(max_examples=50, deadline=None)
def test_round_trips_of_whole_numbers_are_exact(drawing):
    assert_same(from_stroke3(to_stroke3(drawing)), drawing)
    assert_same(from_stroke5(to_stroke5(drawing, 40)), drawing)


@given(drawings(whole=False))
@settings(max_examples=50, deadline=None)
def test_round_trips_of_floats_are_close(drawing):
    assert_same(from_stroke3(to_stroke3(drawing)), drawing, atol=1e-9)


@given(drawings())
@settings(max_examples=20, deadline=None)
def test_stroke5_as_sketch_rnn_makes_it(drawing):
    rows, expected = to_stroke3(drawing), np.zeros((50, 5))
    expected[: len(rows), 0:2] = rows[:, 0:2]
    expected[: len(rows), 3] = rows[:, 2]
    expected[: len(rows), 2] = 1 - expected[: len(rows), 3]
    expected[len(rows) :, 4] = 1
    np.testing.assert_array_equal(to_stroke5(drawing, 50), expected)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.zeros((0, 3)), "rows is empty"),
        (np.zeros((3, 2)), "rows must have dimension 3, got 2"),
        ([[0, 0, 2]], r"rows\[0, 2\] must be 0 .* or 1 .*got 2"),
        ([[0, 0, 0], [0, 0, 0.5]], r"rows\[1, 2\] must be 0"),
        ([[0, np.nan, 0]], "value nan in row 0, column 1"),
        ([[1e6, 0, 0], [1e6, 0, 0]], r"strokes\[0\]\[1\]\[0\] must be a finite number between"),
        (np.zeros((1_000_001, 3)), "at most .* 1,000,000 points"),
    ],
)
def test_what_is_no_stroke3(rows, message):
    with pytest.raises(RetrievalInputError, match=message):
        from_stroke3(rows)


@pytest.mark.parametrize(
    ("place", "row", "message"),
    [
        (0, [0, 0, 0, 0, 0], r"rows\[0\] must have a single 1"),
        (1, [0, 0, 1, 1, 0], r"rows\[1\] must have a single 1"),
        (1, [0, 0, 0.5, 0.5, 0], r"rows\[1\] must have a single 1"),
        (0, [0, 0, 0, 0, 1], "a point before the end"),
        (2, [0, 0, 0, 0, 1], "rows after the end, row 2"),
        (4, [1, 0, 0, 0, 1], "rows after the end, row 4"),
    ],
)
def test_what_is_no_stroke5(place, row, message):
    rows = BIG.astype(float)
    rows[place] = row
    with pytest.raises(RetrievalInputError, match=message):
        from_stroke5(rows)


def test_a_length_below_the_points_is_refused():
    with pytest.raises(RetrievalInputError, match="length must be at least 4"):
        to_stroke5(ANGLE, 3)


def test_a_single_dot():
    dot = Drawing((np.array([[2.0, 3]]),))
    np.testing.assert_array_equal(to_stroke3(dot), [[2, 3, 1]])
