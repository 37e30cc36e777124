"""The codebooks of the families with product codes: what `lib.index.from_scratch` computes from
them.
"""

import numpy as np
import pytest

from lib.index import VectorSearchIndex
from lib.index.from_scratch.product_codes import encode, look_up, query_tables
from tests.index.oracle import refused

ROWS = np.random.default_rng(0).standard_normal((10_000, 16)).astype(np.float32)


@pytest.mark.parametrize("metric", ["inner_product", "l2"])
def test_scores_are_sums_of_table_entries(metric):
    index = VectorSearchIndex(16, "PQ", metric, code_bytes=4)
    index.train(ROWS)
    index.add(ROWS[:500])
    books = index.codebooks
    assert books.shape == (4, 256, 4)
    expected = look_up(query_tables(ROWS[-20:], books, metric), encode(ROWS[:500], books))
    scores, ids = index.search(ROWS[-20:], 10)
    np.testing.assert_allclose(scores, -np.sort(-expected, axis=1)[:, :10], atol=1e-4)
    np.testing.assert_allclose(np.take_along_axis(expected, ids, axis=1), scores, atol=1e-4)


def test_a_fast_scan_has_sixteen_centroids_and_twice_as_many_pieces():
    index = VectorSearchIndex(16, "IVF-PQ", code_bytes=4, fast_scan=True, rotate=True, nlist=4)
    index.train(ROWS[:1_000])
    assert index.codebooks.shape == (8, 16, 2)


def test_there_are_none_before_training():
    with refused("call train"):
        _ = VectorSearchIndex(16, "PQ", code_bytes=4).codebooks
