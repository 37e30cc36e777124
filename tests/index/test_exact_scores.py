import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lib.index import METRICS
from lib.index.exact_scores import (
    add_in_halves,
    pack,
    prepare,
    score_block,
    score_by_definition,
    score_pairs,
    unpack,
)
from tests.index.oracle import refused

every_pair = pytest.mark.parametrize("metric", METRICS)


def both_ways(queries, items, metric):
    q, x = prepare(queries, "queries", metric), prepare(items, "items", metric)
    query_at, item_at = np.indices((len(q), len(x))).reshape(2, -1)
    return score_block(q, x, metric), score_pairs(q, x, query_at, item_at, metric).reshape(
        len(q), -1
    )


def test_scores_by_hand():
    queries, items = [[3, 4]], [[3, 4], [4, -3], [0, 1]]
    assert both_ways(queries, items, "inner_product")[0].tolist() == [[25, 0, 4]]
    assert both_ways(queries, items, "l2")[0].tolist() == [[0, -50, -18]]
    np.testing.assert_allclose(both_ways(queries, items, "cosine")[0], [[1, 0, 0.8]], atol=1e-7)


def test_halves_are_added_in_this_order():
    assert add_in_halves(np.array([[1.0, 10, 100, 1000, 10000]])).tolist() == [11111]
    big = 2.0**53
    # (big + -big) + (1 + 1) = 2; from left to right the two ones would be lost one by one.
    assert add_in_halves(np.array([[big, 1, -big, 1]])).tolist() == [2]


@every_pair
@pytest.mark.parametrize("dtype", [np.float32, np.int8])
@pytest.mark.parametrize("dim", [1, 2, 7, 64, 257])
def test_a_block_and_single_pairs_agree_to_the_last_bit(metric, dtype, dim):
    rng = np.random.default_rng(dim)
    queries, items = ((rng.standard_normal((n, dim)) * 30).astype(dtype) for n in (5, 40))
    for rows in (queries, items):
        rows[~rows.any(axis=1), 0] = 1
    block, pairs = both_ways(queries, items, metric)
    np.testing.assert_array_equal(block, pairs)


@every_pair
def test_scores_are_what_the_definition_says(metric):
    rng = np.random.default_rng(3)
    # Opposite halves cancel: many sums are tiny beside their terms, where the order of adding
    # shows.
    half = rng.standard_normal((300, 16)).astype(np.float32)
    queries = np.concatenate([half, half], axis=1)
    items = (
        np.concatenate([half, -half], axis=1)
        + rng.standard_normal((300, 32)).astype(np.float32) * 1e-7
    )
    q, x = prepare(queries, "queries", metric), prepare(items, "items", metric)
    block, pairs = both_ways(queries, items, metric)
    query_at, item_at = np.indices(block.shape).reshape(2, -1)
    expected = (
        score_by_definition(q, x, query_at, item_at, metric).astype(np.float32).reshape(block.shape)
    )
    np.testing.assert_array_equal(block, expected)
    np.testing.assert_array_equal(pairs, expected)


@settings(deadline=None)
@given(hnp.arrays(np.float32, (2, 24), elements=st.floats(-100, 100, width=32)))
def test_scores_are_the_float32_nearest_to_the_exact_sum(rows):
    score = both_ways(rows[:1], rows[1:], "inner_product")[0][0, 0]
    exact = math.fsum(float(a) * float(b) for a, b in zip(*rows, strict=True))
    size = math.fsum(abs(float(a) * float(b)) for a, b in zip(*rows, strict=True))
    assert abs(float(score) - exact) <= abs(exact) * 2**-24 + size * 2**-48 + 2**-149


@every_pair
def test_equal_rows_have_equal_scores_wherever_they_stand(metric):
    rng = np.random.default_rng(0)
    row = rng.standard_normal((1, 48)).astype(np.float32)
    items = np.concatenate(
        [row, rng.standard_normal((60, 48)), row, rng.standard_normal((3, 48)), row]
    )
    block, pairs = both_ways(rng.standard_normal((9, 48)), items, metric)
    for scores in (block, pairs):
        assert (scores[:, 0] == scores[:, 61]).all() and (scores[:, 0] == scores[:, 65]).all()


def test_features_without_overlap_score_exactly_zero():
    bags = np.eye(50, 200, dtype=np.float32) / 3
    block, pairs = both_ways(bags[:20], bags[20:], "inner_product")
    assert not block.any() and not pairs.any()


def test_cosine_of_int8_divides_an_exact_integer():
    queries, items = np.array([[3, 4]], np.int8), np.array([[4, 3], [-127, 127]], np.int8)
    expected = np.array([24 / (5 * 5), 127 / (5 * np.sqrt(2 * 127**2))]).astype(np.float32)
    for scores in both_ways(queries, items, "cosine"):
        np.testing.assert_array_equal(scores[0], expected)


floats = st.floats(width=32, allow_nan=False)


@given(st.lists(st.tuples(floats, st.integers(0, 2**32 - 1)), min_size=1, max_size=30))
def test_keys_sort_as_hits_do(hits):
    scores, ranks = np.array([h[0] for h in hits], np.float32), np.array([h[1] for h in hits])
    keys = np.sort(pack(scores, ranks))
    order = np.lexsort((ranks, -scores))
    assert (unpack(keys)[0] == scores[order]).all() and (unpack(keys)[1] == ranks[order]).all()


def test_the_two_zeros_are_one_score():
    keys = pack(np.array([0.0, -0.0], np.float32), np.array([7, 7]))
    assert keys[0] == keys[1] and not np.signbit(unpack(keys)[0]).any()


def test_prepare_keeps_int8_and_normalises_floats():
    whole = prepare(np.array([[3, 4]], np.int8), "x", "cosine")
    assert whole.rows.dtype == np.int8 and whole.divide and whole.lengths.tolist() == [5]
    real = prepare([[3.0, 4.0]], "x", "cosine")
    assert not real.divide and real.rows.dtype == np.float32
    np.testing.assert_allclose(real.rows, [[0.6, 0.8]], rtol=1e-7)
    assert prepare([[3.0, 4.0]], "x", "l2").rows.tolist() == [[3, 4]]


def test_prepare_takes_arrays_that_are_read_only():
    x = np.ones((3, 2), np.float32)
    x.flags.writeable = False
    assert prepare(x, "x", "l2").rows.flags.writeable


def test_prepare_copies_only_to_own():
    x = np.ones((3, 2), np.float32)
    assert prepare(x, "x", "l2").rows is x
    assert not np.shares_memory(prepare(x, "x", "l2", copy=True).rows, x)


@pytest.mark.parametrize(
    "x, metric, message",
    [
        ([[1, 0], [0, 0]], "cosine", "x has only zeros in row 1"),
        (np.array([[1, 0], [0, 0]], np.int8), "cosine", "x has only zeros in row 1"),
        ([[1, 0], [3e18, 0]], "l2", r"got 3e\+18 in row 1; scale the rows"),
    ],
)
def test_prepare_refuses(x, metric, message):
    with refused(message):
        prepare(x, "x", metric)
