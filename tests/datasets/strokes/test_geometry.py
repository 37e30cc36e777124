"""Resampling, simplification and fitting: by hand, against plain forms, and hostile drawings."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.datasets.strokes import (
    Drawing,
    fit_box,
    geometry,
    quickdraw_simplified,
    resample,
    resample_to,
    simplify,
)
from tests.datasets.strokes.sketches import ANGLE, assert_same, drawings


def line(*points, times=None):
    return Drawing((np.array(points, float),), times and (times,))


# ---- resampling


def test_points_at_equal_distances_by_hand():
    drawing = resample(line([0, 0], [0, 3], [4, 3], times=[0, 30, 70]), 2)
    np.testing.assert_allclose(drawing.points, [[0, 0], [0, 2], [1, 3], [3, 3], [4, 3]])
    np.testing.assert_allclose(drawing.times[0], [0, 20, 40, 60, 70])
    assert_same(resample(line([0, 0], [4, 0]), 2), line([0, 0], [2, 0], [4, 0]))


def test_dots_and_repeated_points_stay_where_they_are():
    assert_same(resample(line([3, 4]), 1), line([3, 4]))
    assert_same(resample(line([3, 4], [3, 4]), 1), line([3, 4]))
    assert_same(resample(line([0, 0], [0, 0], [0, 2], [0, 2]), 1), line([0, 0], [0, 1], [0, 2]))


def test_a_number_of_points():
    drawing = resample_to(line([0, 0], [0, 3], [1, 3]), 5)
    np.testing.assert_allclose(drawing.points, [[0, 0], [0, 1], [0, 2], [0, 3], [1, 3]])
    np.testing.assert_array_equal(resample_to(line([1, 2]), 3).points, [[1, 2]] * 3)


@given(drawings(), st.floats(1, 100))
@settings(max_examples=50, deadline=None)
def test_distances_along_the_line_are_equal(drawing, spacing):
    for before, after in zip(drawing.strokes, resample(drawing, spacing).strokes, strict=True):
        length = geometry.arc_lengths(before)[-1]
        assert len(after) == pytest.approx(length / spacing + 1, abs=1.001)
        np.testing.assert_allclose(after[[0, -1]], before[[0, -1]])
        assert (np.hypot(*np.diff(after, axis=0).T) <= spacing * (1 + 1e-9)).all()


# ---- simplification


def plain_rdp(points, tolerance):
    """The recursive form, one point at a time."""
    (x0, y0), (x1, y1) = points[0], points[-1]
    squared = (x1 - x0) ** 2 + (y1 - y0) ** 2 or 1
    away = []
    for x, y in points[1:-1] - points[0]:
        share = np.clip((x * (x1 - x0) + y * (y1 - y0)) / squared, 0, 1)
        away.append((x - share * (x1 - x0)) ** 2 + (y - share * (y1 - y0)) ** 2)
    if not away or max(away) <= tolerance**2:
        return [points[0], points[-1]]
    middle = int(np.argmax(away)) + 1
    left, right = points[: middle + 1], points[middle:]
    return plain_rdp(left, tolerance)[:-1] + plain_rdp(right, tolerance)


def test_a_corner_stays_and_a_small_bend_goes():
    bent = line([0, 0], [5, 1], [10, 0], [10, 9])
    assert_same(simplify(bent, 2), line([0, 0], [10, 0], [10, 9]))
    assert_same(simplify(bent, 0.9), bent)
    assert_same(simplify(line([0, 0], [1, 0], [2, 0]), 0), line([0, 0], [2, 0]))


def test_the_distance_is_to_the_segment_and_not_to_its_line():
    beyond = line([0, 0], [-5, 0], [10, 0])
    assert_same(simplify(beyond, 2), beyond)


def test_a_closed_stroke_keeps_its_farthest_point():
    assert_same(simplify(line([0, 0], [9, 0], [9, 1], [0, 0]), 2), line([0, 0], [9, 1], [0, 0]))


def test_the_first_of_equal_distances_stays_with_its_time():
    bumps = line([0, 0], [1, 3], [9, 3], [10, 0], times=[0, 1, 2, 3])
    assert_same(simplify(bumps, 2.9), line([0, 0], [1, 3], [10, 0], times=[0, 1, 3]))


@given(drawings(least=1), st.sampled_from([0.0, 1.0, 50.0, 400.0]))
@settings(max_examples=100, deadline=None)
def test_the_recursive_form_agrees(drawing, tolerance):
    expected = [
        np.array(plain_rdp(stroke, tolerance)) if len(stroke) > 1 else stroke
        for stroke in drawing.strokes
    ]
    assert_same(simplify(drawing, tolerance), Drawing(tuple(expected)))


@pytest.mark.parametrize(("height", "most"), [(1000, 300), (0, 2)])
def test_a_million_points_are_simplified(height, most):
    t = np.linspace(0, 2 * np.pi, 1_000_000)
    ellipse = np.stack([1000 * np.cos(t / 2), height * np.sin(t / 2)], axis=1)
    assert 2 <= len(simplify(Drawing((ellipse,)), 2.0).points) <= most


def test_a_line_that_needs_too_many_distances_is_refused(monkeypatch):
    monkeypatch.setattr(geometry, "MOST_VISITS", 1_000_000)
    n = 4_000
    comb = np.stack([np.arange(n) * 1e-3, (-1.0) ** np.arange(n) * np.arange(n, 0, -1)], axis=1)
    with pytest.raises(RetrievalInputError, match="more than 1,000,000 distances"):
        simplify(Drawing((comb,)), 0.5)


# ---- boxes


def test_the_longer_side_fills_the_box():
    tall = line([2, 1], [4, 5])
    assert_same(fit_box(tall, 8), line([0, 0], [4, 8]))
    assert_same(fit_box(tall, 8, centre=True), line([2, 0], [6, 8]))
    assert_same(fit_box(line([7, 7]), 8), line([0, 0]))
    assert_same(fit_box(line([7, 7]), 8, centre=True), line([4, 4]))


@given(drawings(whole=False))
@settings(max_examples=50, deadline=None)
def test_fitting_twice_changes_nothing(drawing):
    once = fit_box(drawing)
    assert once.points.min() >= 0 and once.points.max() <= 255
    assert_same(fit_box(once), once, atol=1e-6)


def test_the_rule_of_quickdraw_by_hand():
    """A right angle of 510 x 255 halves; a bend of 1 unit after scaling goes, one of 3 stays."""
    raw = line([100, 50], [355, 52], [610, 50], [610, 305], times=[0, 1, 2, 3])
    assert_same(quickdraw_simplified(raw), line([0, 0], [255, 0], [255, 128]))
    raw = line([100, 50], [355, 56], [610, 50])
    assert quickdraw_simplified(raw).points.tolist() == [[0, 0], [128, 3], [255, 0]]


@given(drawings())
@settings(max_examples=30, deadline=None)
def test_simplified_drawings_are_bytes(drawing):
    points = quickdraw_simplified(drawing).points
    assert (points == np.rint(points)).all() and points.min() == 0 and points.max() <= 255


# ---- bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: resample(ANGLE, 0), "spacing must be a finite number above 0, got 0"),
        (lambda: resample(ANGLE, np.nan), "spacing must be"),
        (lambda: resample(ANGLE, 1e-6), "spacing must leave at most 1,000,000 points"),
        (lambda: resample_to(ANGLE, 1), "n_points must be at least 2"),
        (lambda: simplify(ANGLE, -1), "tolerance must be"),
        (lambda: fit_box(ANGLE, 0), "side must be"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call()
