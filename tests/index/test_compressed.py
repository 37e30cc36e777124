"""Rows for float32 libraries, and exact scores of chosen candidates."""

import numpy as np
import pytest

from lib.index import METRICS
from lib.index.compressed import RawVectors
from lib.index.exact_scores import prepare
from lib.index.faiss_index import float_rows
from tests.index.oracle import refused

rng = np.random.default_rng(0)
ROWS = rng.standard_normal((40, 8))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", [1e-25, 1e-3, 1, 1e16])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rows_are_those_of_the_exact_index(metric, scale, dtype):
    rows = (ROWS * scale).astype(dtype)
    found = float_rows(rows, "x", metric, 8)
    assert found.dtype == np.float32 and found.flags.c_contiguous
    np.testing.assert_allclose(found, prepare(rows, "x", metric).rows, rtol=1e-6)


def test_whole_numbers_become_floats():
    codes = rng.integers(-127, 128, (5, 8), np.int8)
    assert float_rows(codes, "x", "l2", 8).tolist() == codes.tolist()
    np.testing.assert_allclose(
        np.linalg.norm(float_rows(codes, "x", "cosine", 8), axis=1), 1, rtol=1e-6
    )
    assert float_rows(codes * 0, "x", "l2", 8).dtype == np.float32


@pytest.mark.parametrize("metric", METRICS)
def test_rows_are_owned_where_they_must_be(metric):
    rows = ROWS.astype(np.float32)
    assert not np.may_share_memory(float_rows(rows, "x", metric, 8, copy=True), rows)
    assert float_rows(rows[:0], "x", metric, 8).shape == (0, 8)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    "value, message",
    [(np.nan, "nan in row 3, column 2"), (np.inf, "inf in row 3"), (1e39, "1e.?39 in row 3")],
)
def test_what_is_not_finite_is_named(metric, value, message):
    rows = ROWS.copy()
    rows[3, 2] = value
    with refused(message):
        float_rows(rows, "x", metric, 8)


def test_rows_that_cannot_be_scored():
    rows = ROWS.copy()
    rows[5] = 0
    with refused("x has only zeros in row 5"):
        float_rows(rows, "x", "cosine", 8)
    assert float_rows(rows, "x", "l2", 8)[5].tolist() == [0] * 8
    with refused("norms up to 1e18"):
        float_rows(ROWS * 1e19, "x", "inner_product", 8)
    with refused("dimension 9, got 8"):
        float_rows(ROWS, "x", "l2", 9)


def test_candidates_are_scored_and_ordered_by_hand():
    raw = RawVectors(np.array([[1, 0], [0, 2], [3, 0]], np.float32))
    raw.append(np.array([[0, 4]], np.float32))
    candidates = np.array([[0, 1, 2, 3], [3, 0, -1, -1]])
    queries = np.array([[1, 1], [1, 0]], np.float32)
    scores, positions = raw.best(queries, candidates, 3, "inner_product")
    assert positions.tolist() == [[3, 2, 1], [0, 3, -1]] and scores[0].tolist() == [4, 3, 2]
    scores, positions = raw.best(queries, candidates, 2, "l2")
    assert positions.tolist() == [[0, 1], [0, 3]] and scores.tolist() == [[-1, -2], [0, -17]]
    raw.remove(np.array([0, 2]))
    assert raw.rows.tolist() == [[0, 2], [0, 4]]
