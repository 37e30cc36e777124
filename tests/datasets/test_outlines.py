"""Outlines: coverage of pixels against areas by hand and against distances, strokes, bad input."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.datasets.outlines import Line, Pen, count_coverage, ring_edges, stroke_rings

SIZE = 16


def square(left, top, right, bottom):
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=float)


def coverage_of(rings, rule="nonzero", size=SIZE):
    """The whole picture, float (size, size)."""
    picture = np.zeros((size, size))
    box, coverage = count_coverage(ring_edges(rings), size, rule)
    picture[box] = coverage
    return picture


def stroke(points, pen, closed=False):
    return coverage_of(stroke_rings([Line(np.array(points, dtype=float), closed)], pen))


def circle(radius, corners=400, centre=SIZE / 2):
    angles = 2 * np.pi * np.arange(corners) / corners
    return centre + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


# ---- filled rings


def test_a_square_on_the_grid_fills_its_pixels_and_no_other():
    expected = np.zeros((SIZE, SIZE))
    expected[3:7, 2:10] = 1
    np.testing.assert_array_equal(coverage_of([square(2, 3, 10, 7)]), expected)


def test_half_pixels_are_half_covered():
    picture = coverage_of([square(2.5, 3, 4, 4.25)])
    np.testing.assert_array_equal(picture[3:5, 2:4], [[0.5, 1], [0.125, 0.25]])
    assert picture.sum() == 0.5 + 1 + 0.125 + 0.25


@pytest.mark.parametrize("radius", [3.3, 5.0, 7.5])
def test_the_area_of_a_circle_is_pi_r_squared(radius):
    assert coverage_of([circle(radius)]).sum() == pytest.approx(np.pi * radius**2, rel=0.02)


def test_a_hole_needs_the_even_odd_rule_or_the_other_turn():
    outer, inner = square(2, 2, 10, 10), square(4, 4, 8, 8)
    assert coverage_of([outer, inner]).sum() == 64
    assert coverage_of([outer, inner], "evenodd").sum() == 64 - 16
    assert coverage_of([outer, inner[::-1]]).sum() == 64 - 16
    assert coverage_of([outer, inner], "evenodd")[5, 5] == 0


def test_the_middle_of_a_pentagram_is_filled_by_the_nonzero_rule_alone():
    star = circle(7, corners=5)[[0, 2, 4, 1, 3]]
    assert coverage_of([star])[8, 8] == 1 and coverage_of([star], "evenodd")[8, 8] == 0


def test_what_lies_outside_is_cut_off():
    assert coverage_of([square(-100, -100, 100, 100)]).sum() == SIZE**2
    assert coverage_of([square(-5, 4, 3, 6)]).sum() == 6
    for outside in (square(20, 2, 30, 4), square(-9, 2, -1, 4), square(2, -9, 4, -1)):
        assert coverage_of([outside]).sum() == 0


def test_nothing_covers_nothing():
    (rows, columns), coverage = count_coverage(np.zeros((0, 4)), SIZE)
    assert coverage.size == 0 and (rows, columns) == (slice(0, 0), slice(0, 0))


corners = st.lists(st.tuples(st.integers(-4, 40), st.integers(-4, 40)), min_size=3, max_size=7).map(
    lambda points: np.array(points) / 2
)


@given(corners, st.sampled_from(["nonzero", "evenodd"]))
@settings(max_examples=60, deadline=None)
def test_every_point_is_inside_by_its_winding_number(ring, rule):
    # The angle under which the ring is seen from a point is 2 pi times its winding number.
    grid = (np.arange(SIZE * 4) + 0.5) / 4 + 1e-7  # off the corners of the ring
    y, x = np.meshgrid(grid, grid, indexing="ij")
    seen = ring[:, None, None, 0] - x + 1j * (ring[:, None, None, 1] - y)
    turns = np.angle(np.roll(seen, -1, axis=0) / seen).sum(axis=0) / (2 * np.pi)
    winding = np.rint(turns).astype(int)
    inside = winding != 0 if rule == "nonzero" else winding % 2 == 1
    # A point within 1e-6 of an edge may fall on either side.
    a, b = ring, np.roll(ring, -1, axis=0)
    near = np.zeros_like(inside)
    for start, end in zip(a, b, strict=True):
        near |= distance_to_piece(x, y, start, end) < 1e-5
    picture = coverage_of([ring], rule)
    blocks = inside.reshape(SIZE, 4, SIZE, 4).mean(axis=(1, 3))
    unsure = near.reshape(SIZE, 4, SIZE, 4).mean(axis=(1, 3))
    assert (np.abs(picture - blocks) <= unsure + 1e-6).all()


# ---- strokes


def distance_to_piece(x, y, start, end):
    along = end - start
    length = along @ along
    if length == 0:
        return np.hypot(x - start[0], y - start[1])
    t = np.clip(((x - start[0]) * along[0] + (y - start[1]) * along[1]) / length, 0, 1)
    return np.hypot(x - start[0] - t * along[0], y - start[1] - t * along[1])


def test_a_stroke_of_width_2_is_a_band_of_two_pixels():
    picture = stroke([[4, 8], [12, 8]], Pen(2))
    expected = np.zeros((SIZE, SIZE))
    expected[7:9, 4:12] = 1
    np.testing.assert_array_equal(picture, expected)


@pytest.mark.parametrize(("cap", "area"), [("butt", 16), ("square", 20), ("round", 16 + np.pi)])
def test_ends(cap, area):
    assert stroke([[4, 8], [12, 8]], Pen(2, cap)).sum() == pytest.approx(area, abs=0.2)


# Two bands of 2 x 9 and 2 x 9 meet in a right angle: 32 together with the inner corner counted
# once, and the outer corner of 1 x 1 is what the join decides.
@pytest.mark.parametrize(("join", "corner"), [("miter", 1.0), ("bevel", 0.5), ("round", np.pi / 4)])
@pytest.mark.parametrize("turn", [1, -1])
def test_joins_of_a_right_angle(join, corner, turn):
    points = [[3, 8], [8, 8], [8, 8 + 5 * turn]]
    assert stroke(points, Pen(2, "butt", join)).sum() == pytest.approx(19 + corner, abs=0.13)


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("join", ["miter", "bevel", "round"])
def test_what_overlaps_is_united_not_cut_out(join, turn):
    corner = np.array([[3, 8], [8, 8], [8, 8 + 5 * turn]], dtype=float)
    across = np.array([[8.5, 1], [8.5, 15]])
    pen = Pen(2, "butt", join)
    picture = coverage_of(stroke_rings([Line(corner), Line(across)], pen))
    both = np.maximum(*(coverage_of(stroke_rings([Line(p)], pen)) for p in (corner, across)))
    assert (picture >= both - 1e-6).all()


def test_a_miter_above_its_limit_becomes_a_bevel():
    points = [[3, 8], [10, 8], [3, 9]]  # a turn of about 172 degrees
    beveled = stroke(points, Pen(2, "butt", "bevel"))
    np.testing.assert_array_equal(stroke(points, Pen(2, "butt", "miter", 4)), beveled)
    assert stroke(points, Pen(2, "butt", "miter", 100)).sum() > beveled.sum() + 5


def test_a_closed_line_has_joins_at_every_corner_and_no_ends():
    picture = stroke(square(4, 4, 12, 12), Pen(2), closed=True)
    expected = np.zeros((SIZE, SIZE))
    expected[3:13, 3:13] = 1
    expected[5:11, 5:11] = 0
    np.testing.assert_array_equal(picture, expected)


def test_a_dot_is_drawn_where_its_ends_are():
    point = [[8, 8], [8, 8]]
    assert stroke(point, Pen(4, "round")).sum() == pytest.approx(4 * np.pi, rel=0.05)
    assert stroke(point, Pen(4, "square")).sum() == 16
    assert stroke(point, Pen(4, "butt")).sum() == 0


def test_dashes_by_hand():
    picture = stroke([[2, 8], [14, 8]], Pen(2, dashes=(3, 1)))
    assert picture[8].tolist() == [0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0, 0, 0]
    # An odd pattern is repeated: 2 drawn, 2 left out.
    picture = stroke([[2, 8], [14, 8]], Pen(2, dashes=(2,)))
    assert picture[8].tolist() == [0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 0, 0]
    np.testing.assert_array_equal(
        stroke([[2, 8], [14, 8]], Pen(2, dashes=(0, 0))), stroke([[2, 8], [14, 8]], Pen(2))
    )


def test_dashes_go_around_a_closed_line():
    whole = stroke(square(4, 4, 12, 12), Pen(2, "butt", "bevel"), closed=True)
    dashed = stroke(square(4, 4, 12, 12), Pen(2, "butt", "bevel", dashes=(8, 8)), closed=True)
    assert dashed[3:5, 5:11].min() == 1 and dashed[11:13, 5:11].min() == 1  # top and bottom
    assert dashed[6:10, 3:5].max() == 0 and whole[6:10, 3:5].min() == 1


@given(corners, st.floats(0.5, 5), st.booleans())
@example(np.array([[12.5, 5.5], [9.5, 2.5], [12.5, 5.5]]), 3.5, False)  # turns back
@settings(max_examples=60, deadline=None)
def test_a_round_stroke_is_all_within_half_its_width(points, width, closed):
    pen = Pen(width, "round", "round")
    rings = stroke_rings([Line(points, closed)], pen, detail=64)
    grid = (np.arange(SIZE * 4) + 0.5) / 4
    y, x = np.meshgrid(grid, grid, indexing="ij")
    pieces = list(zip(points, np.roll(points, -1, axis=0), strict=True))
    distance = np.min(
        [distance_to_piece(x, y, a, b) for a, b in (pieces if closed else pieces[:-1])], axis=0
    )
    inside, unsure = distance < width / 2, np.abs(distance - width / 2) < 0.03
    blocks = inside.reshape(SIZE, 4, SIZE, 4).mean(axis=(1, 3))
    unsure = unsure.reshape(SIZE, 4, SIZE, 4).mean(axis=(1, 3))
    assert (np.abs(coverage_of(rings) - blocks) <= unsure + 1e-6).all()


# ---- bad input


def test_bad_input_is_refused():
    line = [Line(np.array([[0.0, 0.0], [9.0, 0.0]]))]
    with pytest.raises(RetrievalInputError, match="rule must be one of 'nonzero', 'evenodd'"):
        count_coverage(ring_edges([square(1, 1, 2, 2)]), SIZE, "odd")
    with pytest.raises(RetrievalInputError, match="cap must be one of"):
        stroke_rings(line, Pen(1, "flat"))
    with pytest.raises(RetrievalInputError, match="join must be one of"):
        stroke_rings(line, Pen(1, "butt", "none"))
    with pytest.raises(RetrievalInputError, match=r"dashes must be at least 0, got \(3, -1\)"):
        stroke_rings(line, Pen(1, dashes=(3, -1)))
    with pytest.raises(RetrievalInputError, match=r"dashes must cut.*at most 1,000 times"):
        stroke_rings(line, Pen(1, dashes=(1e-9, 1e-9)))
