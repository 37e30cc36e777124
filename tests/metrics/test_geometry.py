"""Properties of a space: hand-worked points, the original implementation, and what must not change
them.
"""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lib.core.checks import RetrievalInputError
from lib.metrics.geometry import (
    alignment,
    effective_rank,
    modality_gap,
    to_int8,
    triangle_violations,
    truncate,
    uniformity,
)

EAST, NORTH, WEST = [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]
DIAGONAL = [math.sqrt(0.5), math.sqrt(0.5)]


def points(n=40, dim=8, seed=0):
    return np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)


def rotation(dim, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))[0]


MATRICES = arrays(
    np.float32,
    st.tuples(st.integers(2, 12), st.integers(2, 6)),
    elements=st.floats(-3, 3, width=32),
).filter(lambda x: (np.linalg.norm(x, axis=1) > 1e-3).all())


# ---- alignment


def test_alignment_by_hand():
    assert alignment([EAST, NORTH], [EAST, EAST]) == pytest.approx((0 + 2) / 2)
    assert alignment([EAST], [WEST]) == pytest.approx(4)
    assert alignment([EAST], [NORTH], alpha=1) == pytest.approx(math.sqrt(2))
    assert alignment([[5.0, 0.0]], [[0.1, 0.0]]) == 0  # lengths do not count


def test_alignment_is_two_minus_twice_the_mean_cosine():
    x, y = points(seed=1), points(seed=2)
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (x, y)]
    assert alignment(x, y) == pytest.approx(
        2 - 2 * (unit[0] * unit[1]).sum(axis=1).mean(), abs=1e-6
    )


# ---- uniformity


def test_uniformity_by_hand():
    assert uniformity([EAST, NORTH]) == pytest.approx(-4)  # one pair, squared distance 2, t = 2
    assert uniformity([EAST, WEST]) == pytest.approx(-8)
    three = (math.exp(-4) + math.exp(-8) + math.exp(-4)) / 3
    assert uniformity([EAST, NORTH, WEST]) == pytest.approx(math.log(three), abs=1e-6)
    assert uniformity([EAST, NORTH], t=0.5) == pytest.approx(-1)


@pytest.mark.parametrize("t", [0.5, 2.0, 20.0])
def test_uniformity_survives_far_pairs(t):
    # n points on two opposite poles: nothing but distance 0 and 4; with t = 20 the far pairs are
    # exp(-80).
    assert uniformity([EAST, [-1.0, 1e-4]], t=t) == pytest.approx(-4 * t, rel=1e-6)


@pytest.mark.parametrize("block", [1, 7, 40, 512])
@pytest.mark.parametrize("t", [1.0, 2.0])
def test_uniformity_equals_the_original_for_any_block(block, t):
    x = points()
    unit = torch.nn.functional.normalize(torch.from_numpy(x).double(), dim=1)
    original = torch.pdist(unit).pow(2).mul(-t).exp().mean().log().item()  # SsnL/align_uniform
    assert uniformity(x, t, block=block) == pytest.approx(original, abs=1e-6)


def test_a_collapsed_space_is_aligned_and_not_uniform():
    x = np.tile(np.float32([0.3, 0.4, 0.5]), (30, 1))
    assert alignment(x, 2 * x) == pytest.approx(0, abs=1e-12)
    assert uniformity(x) == pytest.approx(0, abs=1e-6)


def test_evenly_spread_points_in_many_dimensions():
    assert uniformity(points(400, 512)) == pytest.approx(-4, abs=0.02)


@settings(max_examples=30, deadline=None)
@given(MATRICES)
def test_uniformity_lies_between_opposite_and_equal(x):
    assert -8 - 1e-5 <= uniformity(x) <= 1e-6


# ---- modality gap


def test_gap_by_hand():
    np.testing.assert_allclose(modality_gap([EAST, NORTH], [WEST]), [1.5, 0.5])
    assert np.linalg.norm(modality_gap([EAST, EAST], [WEST])) == pytest.approx(
        2
    )  # the largest there is
    np.testing.assert_allclose(modality_gap([EAST, WEST], [NORTH, [0.0, -1.0]]), [0, 0], atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(MATRICES, st.integers(0, 100))
def test_gap_is_antisymmetric_and_at_most_two(x, seed):
    y = points(5, x.shape[1], seed)
    gap = modality_gap(x, y)
    assert gap.shape == (x.shape[1],) and np.linalg.norm(gap) <= 2 + 1e-6
    np.testing.assert_array_equal(modality_gap(y, x), -gap)


# ---- effective rank


def test_effective_rank_counts_equal_directions():
    corners = np.array(
        [[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)], dtype=np.float32
    )
    assert effective_rank(corners) == pytest.approx(3)
    assert effective_rank(corners * [1, 1, 0]) == pytest.approx(2)
    assert effective_rank(corners * [1, 0, 0] + 7) == pytest.approx(1)  # the centre does not count


def test_effective_rank_by_hand():
    # Variances 4 and 1: shares 0.8 and 0.2.
    x = np.array([[2, 1], [2, -1], [-2, 1], [-2, -1]], dtype=np.float32)
    assert effective_rank(x) == pytest.approx(math.exp(-0.8 * math.log(0.8) - 0.2 * math.log(0.2)))


def test_effective_rank_of_isotropic_noise_is_nearly_the_dimension():
    assert 15.5 < effective_rank(points(2000, 16)) <= 16


def test_effective_rank_with_fewer_points_than_dimensions():
    assert effective_rank(points(5, 64)) <= 4 + 1e-9  # centring takes one direction


def test_points_that_coincide_span_nothing():
    # 0.1 is not exact in binary: a mean in float32 would leave rounding noise that looks like one
    # direction.
    with pytest.raises(RetrievalInputError, match="all points coincide"):
        effective_rank(np.tile(np.float32([0.1, 0.3, 0.7]), (7, 1)))


# ---- truncation


def test_truncate_keeps_the_first_coordinates_and_the_length():
    np.testing.assert_allclose(truncate([[3.0, 4.0, 12.0]], 2), [[0.6, 0.8]], atol=1e-7)
    x = points()
    np.testing.assert_allclose(np.linalg.norm(truncate(x, 3), axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(truncate(truncate(x, 5), 3), truncate(x, 3), atol=1e-6)
    assert truncate(x, 8).dtype == np.float32


@pytest.mark.parametrize(
    ("dim", "message"),
    [
        (0, "at least 1, got 0"),
        (9, "between 1 and 8, got 9"),
        (True, "whole number"),
        (4.0, "whole number, got 4.0"),
    ],
)
def test_truncate_refuses_sizes_outside(dim, message):
    with pytest.raises(RetrievalInputError, match=message):
        truncate(points(), dim)


def test_truncate_refuses_a_row_without_direction():
    with pytest.raises(RetrievalInputError, match="x truncated has only zeros in row 1"):
        truncate([[1.0, 2.0], [0.0, 2.0]], 1)


# ---- triangle inequality


def test_one_minus_cosine_breaks_the_triangle_by_hand():
    # Straight: 1 - 0 = 1. Via the diagonal: 2 (1 - cos 45 degrees) = 0.59.
    x = [EAST, NORTH, DIAGONAL]
    share = triangle_violations(x, 20_000)
    assert share == pytest.approx(
        2 / 27, abs=0.01
    )  # (east, north) and (north, east), via the diagonal


@pytest.mark.parametrize("distance", ["euclidean", "angle"])
@pytest.mark.parametrize("dim", [2, 3, 32])
def test_metrics_never_break_it(distance, dim):
    # On a circle (dim 2) going via a point between costs exactly as much: the hardest case for
    # rounding.
    close = np.concatenate([points(60, dim), points(60, dim) + 1e-4])
    assert triangle_violations(close, 20_000, distance=distance) == 0


def test_one_minus_cosine_breaks_it_on_random_points():
    assert triangle_violations(points(100, 4), 20_000) > 0.01


def test_triples_follow_the_seed():
    x = points(20, 3)
    assert triangle_violations(x, 500, seed=3) == triangle_violations(x, 500, seed=3)
    assert len({triangle_violations(x, 500, seed=seed) for seed in range(5)}) > 1


# ---- int8


def test_int8_by_hand():
    np.testing.assert_array_equal(to_int8([[2.0, -0.5, 0.0]]), [[127, -32, 0]])  # -31.75
    np.testing.assert_array_equal(to_int8([[-3e-8, 1e-8]]), [[-127, 42]])
    assert to_int8([EAST]).dtype == np.int8


@settings(max_examples=50, deadline=None)
@given(MATRICES, st.floats(0.01, 100))
def test_int8_uses_the_range_and_forgets_the_scale(x, scale):
    rounded = to_int8(x).astype(int)
    assert (np.abs(rounded).max(axis=1) == 127).all()
    # Another scale may move a coordinate that sits on a rounding edge, by one.
    assert np.abs(to_int8(x * np.float32(scale)).astype(int) - rounded).max() <= 1


def test_int8_dot_products_are_exact_in_float32():
    # The worst case: 1024 coordinates, all 127. One more coordinate of that size would pass 2^24 at
    # d = 1041.
    extreme = to_int8(np.ones((2, 1024), dtype=np.float32))
    extreme[1, ::2] *= -1
    random = to_int8(points(50, 1024))
    for x in (extreme, random):
        exact = x.astype(np.int64) @ x.astype(np.int64).T
        np.testing.assert_array_equal(x.astype(np.float32) @ x.astype(np.float32).T, exact)
        assert exact.max() <= 127**2 * 1024 < 2**24


def test_int8_keeps_cosines():
    x, rounded = points(100, 256), to_int8(points(100, 256)).astype(np.float64)
    cosines = [
        v @ v.T / np.outer(*[np.linalg.norm(v, axis=1)] * 2)
        for v in (x.astype(np.float64), rounded)
    ]
    assert np.abs(cosines[0] - cosines[1]).max() < 0.005


# ---- invariance and bad input


@pytest.mark.parametrize(
    "measure",
    [
        lambda x, y: alignment(x, y),
        lambda x, y: uniformity(x),
        lambda x, y: np.linalg.norm(modality_gap(x, y)),
        lambda x, y: effective_rank(x),
        lambda x, y: triangle_violations(x, 2000),
    ],
)
def test_rotating_the_space_changes_nothing(measure):
    x, y, turn = points(seed=1), points(seed=2), rotation(8)
    assert measure(x @ turn, y @ turn) == pytest.approx(measure(x, y), abs=1e-5)


def test_accepts_torch():
    x = torch.from_numpy(points())
    assert uniformity(x.requires_grad_()) == uniformity(points())


def test_refuses_what_is_not_paired():
    with pytest.raises(RetrievalInputError, match=r"one shape, got \(40, 8\) and \(39, 8\)"):
        alignment(points(), points(39))


def test_refuses_too_few_points():
    with pytest.raises(RetrievalInputError, match="at least 2 points, got 1"):
        uniformity([EAST])
    with pytest.raises(RetrievalInputError, match="a triple needs 3 points"):
        triangle_violations([EAST, NORTH], 10)


def test_refuses_zero_rows_and_nan():
    for function in (uniformity, to_int8, lambda x: alignment(x, x), lambda x: modality_gap(x, x)):
        with pytest.raises(RetrievalInputError, match="only zeros in row 1"):
            function([EAST, [0.0, 0.0]])
        with pytest.raises(RetrievalInputError, match="the value nan in row 0, column 1"):
            function([[1.0, math.nan], EAST])


def test_refuses_bad_settings():
    with pytest.raises(RetrievalInputError, match="t must be between 0 and 20 .not 0., got 0"):
        uniformity(points(), t=0)
    with pytest.raises(RetrievalInputError, match="Did you mean 'euclidean'"):
        triangle_violations(points(), 10, distance="euclid")
    with pytest.raises(RetrievalInputError, match="n_triples must be at least 1"):
        triangle_violations(points(), 0)


def test_two_point_sets_must_share_a_dimension():
    with pytest.raises(RetrievalInputError, match="y must have dimension 1, got 5"):
        modality_gap(np.ones((3, 1)), np.ones((3, 5)))
