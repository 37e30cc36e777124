"""The internal form of a drawing: properties by hand, packing, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings

from lib.core.checks import RetrievalInputError
from lib.datasets.strokes import Drawing, pack_drawings, unpack_drawings
from lib.datasets.strokes.drawing import MOST_POINTS, MOST_STROKES
from tests.datasets.strokes.sketches import ANGLE, assert_same, drawings


def test_points_lie_stroke_after_stroke():
    np.testing.assert_array_equal(ANGLE.points, [[0, 0], [10, 0], [10, 20], [5, 5]])
    assert ANGLE.lengths.tolist() == [3, 1] and ANGLE.points.dtype == np.float64


def test_lists_and_whole_numbers_become_float64():
    drawing = Drawing(([[1, 2], [3, 4]],), ([0, 16],))
    assert drawing.strokes[0].dtype == drawing.times[0].dtype == np.float64


def test_other_points_in_the_same_strokes():
    moved = ANGLE.with_points(ANGLE.points + np.array([1, 2]))
    assert_same(moved, Drawing(tuple(stroke + np.array([1, 2]) for stroke in ANGLE.strokes)))
    with pytest.raises(RetrievalInputError, match=r"points must have shape \(4, 2\), got \(3, 2\)"):
        ANGLE.with_points(ANGLE.points[:3])


@given(drawings(whole=False), drawings())
@settings(max_examples=30, deadline=None)
def test_packed_drawings_come_back(one, other):
    again = unpack_drawings(pack_drawings([one, other, one]))
    for mine, theirs in zip(again, (one, other, one), strict=True):
        assert_same(mine, theirs)


def test_arrays_that_do_not_fit_together_are_refused():
    packed = pack_drawings([ANGLE])
    for name in packed:
        with pytest.raises(RetrievalInputError, match="arrays must fit together"):
            unpack_drawings(packed | {name: packed[name][:-1]})


@pytest.mark.parametrize(
    ("strokes", "message"),
    [
        ((), "at least one stroke, got none"),
        ((np.zeros((0, 2)),), r"strokes\[0\] must have shape .* at least one point, got \(0, 2\)"),
        ((np.zeros((2, 2)), []), r"strokes\[1\] must have shape"),
        ((np.zeros((2, 3)),), r"strokes\[0\] must have shape \(points, 2\)"),
        ((np.zeros(2),), r"strokes\[0\] must have shape"),
        (([[0, 0], [1, np.nan]],), r"strokes\[0\]\[1\]\[1\] must be a finite number.*got nan"),
        (([[0, 0]], [[np.inf, 0]]), r"strokes\[1\]\[0\]\[0\] must be a finite number.*got inf"),
        (([[0, 2e6]],), r"between -1,000,000 and 1,000,000, got 2000000"),
        (([["a", "b"]],), r"strokes\[0\] must be an array"),
        (([[0, 1], [2]],), r"strokes\[0\] must be an array of numbers"),
        ("abc", "strokes must be a list of arrays"),
        (None, "strokes must be a list of arrays"),
        (3, "strokes must be a list of arrays"),
        ((np.zeros((1, 2)),) * (MOST_STROKES + 1), "at most 65,535 strokes"),
        ((np.zeros((MOST_POINTS + 1, 2)),), "at most .* 1,000,000 points, got .* 1,000,001"),
    ],
)
def test_what_is_no_drawing(strokes, message):
    with pytest.raises(RetrievalInputError, match=message):
        Drawing(strokes)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (([0, 1],), "times must have one number for each point of a stroke"),
        (([0, 1, 2], []), "times must have one number"),
        (([0, 1, np.nan], [0]), r"times\[0\]\[2\] must be a finite number, got nan"),
    ],
)
def test_times_must_fit(times, message):
    with pytest.raises(RetrievalInputError, match=message):
        Drawing(ANGLE.strokes, times)
