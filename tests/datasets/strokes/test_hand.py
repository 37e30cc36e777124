"""A hand: each term by its effect, seeds, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.datasets.strokes import Drawing, subdivide
from lib.datasets.strokes.geometry import arc_lengths
from lib.datasets.strokes.hand import (
    TERMS,
    Hand,
    deform,
    deform_drawings,
    measured_hand,
    pen_widths,
)
from tests.datasets.strokes.sketches import ANGLE, assert_same, drawings

STRONG = Hand(
    rotation=0.1, aspect=0.2, shear=0.1, stroke_shift=0.03, stroke_scale=0.1, overshoot=0.05,
    warp=0.05, jitter=0.02, drop=0.3, gap_rate=1, gap_length=0.05, care=0.3, width=0.2,
)  # fmt: skip
SQUARE = Drawing((np.array([[0.0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]),))
LINE = Drawing((np.array([[0.0, 0], [1, 0]]),))
MANY = 400


def many(drawing, **terms):
    return deform_drawings([drawing] * MANY, Hand(**terms), 0)


# ---- terms, one by one


@given(drawings(low=-50, high=50))
@settings(max_examples=30, deadline=None)
def test_no_term_changes_nothing(drawing):
    size = np.ptp(drawing.points, axis=0).max() or 1
    assert_same(deform(drawing, Hand(), 0), subdivide(drawing, 0.03 * size * (1 + 1e-12)), 1e-9)


def test_rotation_turns_the_whole_and_keeps_lengths():
    found = many(SQUARE, rotation=0.2)
    angles = [np.arctan2(*(d.points[1] - d.points[0])[::-1]) for d in found]
    assert np.mean(angles) == pytest.approx(0, abs=0.04)
    assert np.std(angles) == pytest.approx(0.2, rel=0.15)
    assert arc_lengths(found[0].points)[-1] == pytest.approx(4)


def test_aspect_stretches_one_axis_and_shrinks_the_other():
    ratios = [np.log(np.divide(*np.ptp(d.points, axis=0))) for d in many(SQUARE, aspect=0.3)]
    assert np.std(ratios) == pytest.approx(0.3, rel=0.15)
    areas = [np.prod(np.ptp(d.points, axis=0)) for d in many(SQUARE, aspect=0.3)]
    np.testing.assert_allclose(areas, 1)


def test_shear_leans_upright_lines_and_keeps_horizontal_ones():
    for drawing in many(SQUARE, shear=0.3)[:20]:
        assert len(np.unique(drawing.points[:, 1].round(9))) > 2
        top = drawing.points[drawing.points[:, 1] < 1e-9]
        np.testing.assert_allclose(np.ptp(top[:, 0]), 1)


def test_strokes_move_and_scale_on_their_own():
    two = Drawing((np.array([[0.0, 0], [1, 0]]), np.array([[0.0, 1], [1, 1]])))
    moves = [d.strokes[0].mean(axis=0) - [0.5, 0] for d in many(two, stroke_shift=0.1)]
    assert np.std(moves, axis=0) == pytest.approx([0.1, 0.1], rel=0.15)
    scales = [np.log(np.ptp(d.strokes[1][:, 0])) for d in many(two, stroke_scale=0.2)]
    assert np.std(scales) == pytest.approx(0.2, rel=0.15)


def test_ends_run_too_far_or_stop_early_along_the_line():
    found = many(LINE, overshoot=0.1)
    starts = np.array([d.points[0] for d in found])
    assert np.abs(starts[:, 1]).max() < 1e-12
    assert np.std(starts[:, 0]) == pytest.approx(0.1, rel=0.15)
    middles = [d.points[len(d.points) // 2, 0] for d in found]
    assert np.abs(np.subtract(middles, 0.5)).max() < 0.03


def test_warp_moves_near_points_alike_and_far_points_differently():
    found = many(LINE, warp=0.05, warp_length=0.3)
    moves = np.array([d.points for d in found])
    moves = moves - np.linspace([0, 0], [1, 0], moves.shape[1])
    assert moves.std(axis=0).mean() == pytest.approx(0.05, rel=0.15)
    near = np.corrcoef(moves[:, 0, 1], moves[:, 1, 1])[0, 1]
    far = np.corrcoef(moves[:, 0, 1], moves[:, -1, 1])[0, 1]
    assert near > 0.95 and abs(far) < 0.2


def test_jitter_is_independent_beyond_its_length():
    moves = np.array([d.points for d in many(LINE, jitter=0.02, jitter_length=0.1)])
    moves = moves - np.linspace([0, 0], [1, 0], moves.shape[1])
    assert moves.std(axis=0).mean() == pytest.approx(0.02, rel=0.15)
    step = 1 / (moves.shape[1] - 1)
    apart = round(0.2 / step) + 1
    assert abs(np.corrcoef(moves[:, 5, 1], moves[:, 5 + apart, 1])[0, 1]) < 0.15


def test_the_last_stroke_is_dropped_most_often_and_the_first_never():
    three = Drawing(tuple(np.array([[0.0, y], [1, y]]) for y in (0, 1, 2)))
    heights = [{stroke[0, 1] for stroke in d.strokes} for d in many(three, drop=0.4)]
    shares = [np.mean([y in found for found in heights]) for y in (0, 1, 2)]
    assert shares == pytest.approx([1, 0.8, 0.6], abs=0.07)


def test_gaps_lift_the_pen_as_often_and_as_long_as_asked():
    found = many(LINE, gap_rate=0.5, gap_length=0.1)
    assert np.mean([len(d.strokes) - 1 for d in found]) == pytest.approx(0.5, abs=0.1)
    gaps = [d.strokes[1][0, 0] - d.strokes[0][-1, 0] for d in found if len(d.strokes) == 2]
    assert 0.07 < np.mean(gaps) < 0.15  # a gap ends at a point, and points are 0.03 apart
    for drawing in found:
        np.testing.assert_allclose(drawing.points[[0, -1]], LINE.points, atol=1e-12)


def test_care_spreads_the_moves_of_drawings():
    """The logarithm of |N| has a spread of 1.11, that of exp(0.5 N) one of 0.5."""
    turns = [
        np.log(np.abs(np.arctan2(*(d.points[1] - d.points[0])[::-1])))
        for d in many(SQUARE, rotation=0.01, care=0.5)
    ]
    assert np.std(turns) == pytest.approx(np.hypot(1.11, 0.5), rel=0.12)


def test_the_measured_hand_is_complete_and_plausible():
    hand = measured_hand()
    for term, names in TERMS.items():
        assert all(getattr(hand, name) > 0 for name in names), term
    assert hand.rotation < 0.3 and hand.jitter < 0.05 and hand.warp < 0.1


def test_widths_of_pens():
    widths = pen_widths(Hand(width=0.2), 3, 2000, 0)
    assert np.std(np.log(widths)) == pytest.approx(0.2, rel=0.1)
    assert np.median(widths) == pytest.approx(3, rel=0.05)
    assert (pen_widths(Hand(), 3, 4, 0) == 3).all()
    turns = [np.arctan2(*(d.points[1] - d.points[0])[::-1]) for d in many(SQUARE, rotation=0.1)]
    independent = np.corrcoef(turns, pen_widths(Hand(width=0.2), 3, MANY, 0))[0, 1]
    assert abs(independent) < 0.2


# ---- terms switched off


def test_without_and_only():
    assert STRONG.without(*TERMS) == Hand()
    assert STRONG.only(*TERMS) == STRONG
    assert STRONG.only("affine") == Hand(rotation=0.1, aspect=0.2, shear=0.1)
    assert STRONG.without("warp").warp == 0 and STRONG.without("warp").jitter == 0.02
    with pytest.raises(RetrievalInputError, match="terms must be one of"):
        STRONG.without("wrap")


# ---- seeds and forms


def test_seeds():
    one, same, other = (deform(ANGLE, STRONG, seed) for seed in (1, 1, 2))
    assert_same(one, same)
    assert one.points.shape != other.points.shape or (one.points != other.points).any()
    assert_same(deform(ANGLE, STRONG, [1, 2]), deform(ANGLE, STRONG, (1, 2)))


def test_place_and_size_are_kept():
    moved = Drawing(tuple(1000 + 50 * stroke for stroke in SQUARE.strokes))
    small, large = deform(SQUARE, STRONG, 3), deform(moved, STRONG, 3)
    np.testing.assert_allclose(1000 + 50 * small.points, large.points)


@given(st.lists(drawings(), min_size=1, max_size=5), st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_any_drawing_can_be_deformed(batch, seed):
    found = deform_drawings(batch, STRONG, seed)
    assert len(found) == len(batch)
    for drawing, again in zip(batch, found):
        assert again.times is None and np.isfinite(again.points).all()
        size = np.ptp(drawing.points, axis=0).max() or 1
        middle = (drawing.points.min(axis=0) + drawing.points.max(axis=0)) / 2
        assert np.abs(again.points - middle).max() < 5 * size


# ---- bad input


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rotation": -0.1}, "rotation must be between 0 and 1"),
        ({"jitter": np.nan}, "jitter must be between 0 and 1"),
        ({"jitter_length": 0}, "jitter_length must be between 0.01 and 1"),
        ({"warp_length": 20}, "warp_length must be between 0.01 and 10"),
        ({"drop": 1.5}, "drop must be between"),
        ({"drop": "much"}, "drop must be between"),
    ],
)
def test_parameters_that_are_refused(values, message):
    with pytest.raises(RetrievalInputError, match=message):
        Hand(**values)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: deform_drawings([], STRONG, 0), "at least one drawing"),
        (lambda: deform("x", STRONG, 0), r"drawings\[0\] must be a Drawing"),
        (lambda: deform(ANGLE, STRONG, -1), "seed must be at least 0"),
        (lambda: deform(ANGLE, STRONG, 0.5), "seed must be a whole number"),
        (lambda: pen_widths(STRONG, 0, 3, 0), "width must be"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call()
