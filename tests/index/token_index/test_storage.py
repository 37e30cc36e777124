"""Residual codes: bits are packed exactly, errors fall with bits, the seed decides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.index.token_index.storage import (
    BITS,
    ResidualStorage,
    nearest_centroids,
    pack_bits,
    sample,
    train_centroids,
    unpack_bits,
)
from tests.index.clusters import clustered, unit
from tests.index.oracle import refused

# Two dimensions, two centroids, one bit.
BY_HAND = ResidualStorage(np.eye(2, dtype=np.float32), np.float32([0]), np.float32([-0.25, 0.25]))


def trained(rows, centroids, bits=2):
    return ResidualStorage.train(rows, rows, centroids, bits)


def coded(storage, rows):
    nearest = nearest_centroids(rows, storage.centroids)
    return storage.encode(rows, rows, nearest), nearest


def test_one_vector_by_hand():
    # (0.6, 0.8) less (0, 1) is (0.6, -0.2): above, below
    packed, nearest = coded(BY_HAND, np.float32([[0.6, 0.8], [0.8, 0.6]]))
    assert nearest.tolist() == [1, 0] and packed.tolist() == [[0b01], [0b10]]
    assert BY_HAND.decode(packed, nearest).tolist() == [
        pytest.approx([0.25 / np.sqrt(0.625), 0.75 / np.sqrt(0.625)]),
        pytest.approx([0.75 / np.sqrt(0.625), 0.25 / np.sqrt(0.625)]),
    ]
    assert (BY_HAND.bits, BY_HAND.token_bytes(2)) == (1, 1)


def test_a_residual_at_the_limit_belongs_below_it():
    storage = ResidualStorage(np.eye(2, dtype=np.float32), np.float32([0]), np.float32([-1, 1]))
    assert coded(storage, np.float32([[1, 0]]))[0].tolist() == [[0]]


@pytest.mark.parametrize("bits", BITS)
def test_every_pattern_of_a_byte_survives(bits):
    every = np.arange(256, dtype=np.uint8)[:, None]
    levels = unpack_bits(every, bits, 8 // bits)
    assert levels.max() == 2**bits - 1 and (pack_bits(levels, bits) == every).all()


def test_the_first_dimension_has_the_lowest_bits():
    assert pack_bits(np.array([[1, 2, 3, 0, 1]]), 2).tolist() == [[0b00111001, 0b01]]


@given(st.sampled_from(BITS), st.integers(1, 20), st.integers(0, 5), st.integers(0, 99))
def test_packing_is_exact_for_every_dimension(bits, dim, n, seed):
    levels = np.random.default_rng(seed).integers(2**bits, size=(n, dim)).astype(np.uint8)
    packed = pack_bits(levels, bits)
    assert packed.shape == (n, -(-dim * bits // 8)) and packed.dtype == np.uint8
    assert (unpack_bits(packed, bits, dim) == levels).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.sampled_from([4, 32]), st.sampled_from([0.1, 0.5, 2.0]))
def test_more_bits_never_leave_a_larger_error(seed, n_centroids, spread):
    rows = clustered(400, spread=spread, seed=seed)
    centroids = train_centroids(rows, n_centroids, seed)
    nearest = nearest_centroids(rows, centroids)
    errors, cosines = [((rows - centroids[nearest]) ** 2).sum(axis=1).mean()], []
    for bits in BITS:
        storage = trained(rows, centroids, bits)
        packed = storage.encode(rows, rows, nearest)
        sums = centroids[nearest] + storage.values[unpack_bits(packed, bits, 16)]
        errors.append(((rows - sums) ** 2).sum(axis=1).mean())
        decoded = storage.decode(packed, nearest)
        assert np.linalg.norm(decoded, axis=1) == pytest.approx(1, abs=1e-6)
        cosines.append((rows * decoded).sum(axis=1).mean())
    assert errors == sorted(errors, reverse=True)
    assert cosines == sorted(cosines)


def test_what_normal_residuals_leave_is_known():
    """A bucket's mean explains 2 / pi of a normal square with one bit, 0.8605 with quartiles."""
    rows = np.random.default_rng(0).standard_normal((5000, 16)).astype(np.float32)
    for bits, left in ((1, 1 - 2 / np.pi), (2, 1 - (0.32465**2 + 1.27111**2) / 2)):
        storage = trained(rows, np.zeros((1, 16), np.float32), bits)
        packed = storage.encode(rows, rows, np.zeros(5000, np.uint8))
        errors = rows - storage.values[unpack_bits(packed, bits, 16)]
        assert (errors**2).mean() == pytest.approx(left, rel=0.02)


def test_vectors_that_were_not_trained_on_are_nearly_as_good():
    rows, others = clustered(4000), clustered(1000, seed=5)
    storage = trained(rows, train_centroids(rows, 20, 0))
    seen, unseen = (
        (storage.decode(*coded(storage, x)) * x).sum(axis=1).mean() for x in (rows, others)
    )
    assert unseen == pytest.approx(seen, abs=0.002) and unseen > 0.97


def test_vectors_that_are_centroids_and_empty_buckets():
    rows = np.repeat(np.eye(3, dtype=np.float32), 4, axis=0)  # all residuals are 0
    storage = trained(rows, rows[::4])
    assert (storage.values == 0).all()
    assert (storage.decode(*coded(storage, rows)) == rows).all()


def test_values_are_the_means_of_their_buckets():
    rows = clustered(300, seed=3)
    centroids = train_centroids(rows, 8, 0)
    storage = trained(rows, centroids)
    residuals = rows - centroids[nearest_centroids(rows, centroids)]
    buckets = np.searchsorted(storage.cutoffs, residuals, side="left")
    assert np.abs(np.bincount(buckets.ravel()) / residuals.size - 0.25).max() < 0.001
    expected = [residuals[buckets == bucket].mean(dtype=np.float64) for bucket in range(4)]
    assert storage.values == pytest.approx(expected, abs=1e-6)


def test_the_seed_decides():
    rows = clustered(500)
    first, again, other = (train_centroids(rows, 8, seed) for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


def test_the_nearest_centroid_is_the_first_of_equals():
    centroids = np.float32([[0, 1], [1, 0], [1, 0]])
    assert nearest_centroids(np.float32([[1, 0], [0, 1]]), centroids).tolist() == [1, 0]
    assert nearest_centroids(np.zeros((0, 2), np.float32), centroids).shape == (0,)
    many = unit(np.random.default_rng(0).standard_normal((300, 4)))
    assert (nearest_centroids(many, many) == np.arange(300)).all()
    assert nearest_centroids(many, many).dtype == np.uint16


def test_a_sample_keeps_order_and_has_no_row_twice():
    rows = np.arange(100)
    drawn = sample(rows, 30, 0)
    assert len(drawn) == 30 and (np.diff(drawn) > 0).all() and sample(rows, 100, 0) is rows


def test_no_vectors():
    nothing = np.zeros((0, 2), np.float32)
    packed, nearest = coded(BY_HAND, nothing)
    assert len(packed) == len(nearest) == 0 and BY_HAND.decode(packed, nearest).shape == (0, 2)


def test_refuses():
    rows = clustered(10)
    with refused("11 centroids need at least as many .* got 10"):
        train_centroids(rows, 11, 0)
    with refused("bits must be 1, 2 or 4, which fill bytes.*3"):
        trained(rows, rows[:2], 3)
