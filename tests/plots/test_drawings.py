"""Figures of drawings: strokes in order, pieces of a line with their farthest points, edges."""

import numpy as np
import pytest

from lib import plots
from lib.core.checks import RetrievalInputError

L = np.array([[0.0, 0.0], [0.0, 3.0], [2.0, 3.0]])
DASH = np.array([[1.0, 1.0], [2.0, 1.0]])
ROOF = np.array([[0.0, 2.0], [1.0, 1.9], [2.0, 0.0], [3.0, 1.0], [4.0, 2.0]])


def test_strokes_are_numbered_at_their_starts_and_y_points_down():
    ax = plots.strokes_in_order([L, DASH], names=list("abcde"), title="two")
    badges = [text for text in ax.texts if text.get_text() in "01"]
    assert [tuple(badge.xy) for badge in badges] == [(0, 0), (1, 1)]
    assert [text.get_text() for text in ax.texts[2:]] == list("abcde")
    assert ax.yaxis_inverted() and ax.get_title("left") == "two"
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), L)


def test_a_point_beyond_the_tolerance_is_kept_and_others_are_dropped():
    steps = [(0, 4, 2, 2.0), (0, 2, 1, 0.63), (2, 4, 3, 0.0)]
    figure = plots.farthest_points(ROOF, steps, 0.5)
    titles = [ax.get_title("left") for ax in figure.axes]
    assert titles == ["1. 2.0: kept", "2. 0.6: kept", "3. 0.0: dropped"]
    rings = [
        sum(line.get_markerfacecolor() == "none" for line in ax.lines) for ax in figure.axes
    ]  # fmt: skip
    assert rings == [3, 4, 4]
    across = figure.axes[0].lines[2].get_xydata()
    np.testing.assert_allclose(across, [[2, 0], [2, 2]])


def test_the_foot_of_a_closed_line_is_its_end():
    ring = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    figure = plots.farthest_points(ring, [(0, 2, 1, 2**0.5)], 1.0)
    np.testing.assert_allclose(figure.axes[0].lines[2].get_xydata(), [[1, 1], [0, 0]])


def test_edges_run_across_the_gradient():
    image = np.zeros((8, 8), np.uint8)
    histogram = np.zeros((2, 2, 4))
    histogram[0, 1, 0] = 2.0  # gradient to the right: an upright edge
    below = plots.edge_histograms([image], [histogram], ["a"]).axes[1]
    (line,) = below.lines
    ends = line.get_xydata()
    assert ends.mean(axis=0) == pytest.approx([1, 0])
    assert abs(ends[1, 1] - ends[0, 1]) > 2 * abs(ends[1, 0] - ends[0, 0])


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.strokes_in_order([]), "at least one stroke, got none"),
        (lambda: plots.strokes_in_order([L[0]]), r"strokes\[0\] has shape \(2,\)"),
        (lambda: plots.strokes_in_order([L], names=["a"]), "names must be 3, one a point, got 1"),
        (lambda: plots.farthest_points(L, [], 1.0), "steps must be 1 to 8, got 0"),
        (lambda: plots.edge_histograms([], []), "equally many, got 0, 0"),
        (
            lambda: plots.edge_histograms([np.zeros((8, 8))], [np.zeros((2, 3, 4))]),
            r"\(cells, cells, bins\), got \(2, 3, 4\)",
        ),
    ],
)
def test_refuses_what_it_cannot_draw(draw, message):
    with pytest.raises(RetrievalInputError, match=message):
        draw()
