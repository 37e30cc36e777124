"""Signs of projections: bits and scores by hand, and the estimate of the cosine."""

import faiss
import numpy as np

from lib.index import VectorSearchIndex
from lib.index.faiss_index import codes_of
from tests.index.clusters import clustered
from tests.index.oracle import refused

BASE, QUERIES = clustered(600, seed=1), clustered(20, seed=2)


def filled(metric="cosine", **options):
    index = VectorSearchIndex(16, "LSH", metric, **options)
    index.add(BASE)
    return index


def signs(rows, planes):
    return rows @ planes.T >= 0


def test_bits_and_scores_by_hand():
    index = filled(n_bits=40, seed=3)
    planes = faiss.vector_to_array(index._faiss.rrot.A).reshape(40, 16)
    bits = np.unpackbits(codes_of(index._faiss), axis=1, bitorder="little")[:, :40]
    np.testing.assert_array_equal(bits, signs(BASE, planes))
    different = (signs(QUERIES, planes)[:, None] != signs(BASE, planes)[None]).sum(-1)  # (q, n)
    order = np.argsort(different, axis=1, kind="stable")
    scores, ids = result = index.search(QUERIES, 600)
    np.testing.assert_array_equal(ids, order)
    nearest = np.take_along_axis(different, order, 1)
    np.testing.assert_allclose(scores, np.cos(np.pi * nearest / 40), atol=1e-6)
    assert result.work == {"codes": 20 * 600}


def test_without_rotation_the_bits_are_signs_of_coordinates():
    index = filled(n_bits=10, rotate=False)
    bits = np.unpackbits(codes_of(index._faiss), axis=1, bitorder="little")[:, :10]
    np.testing.assert_array_equal(bits, BASE[:, :10] >= 0)


def test_many_bits_estimate_the_cosine():
    scores, ids = filled(n_bits=1024).search(QUERIES, 600)
    cosines = np.take_along_axis(QUERIES @ BASE.T, ids, axis=1)
    # The share of equal bits has a standard deviation below 0.5 / 32, and the cosine pi times that.
    assert np.abs(scores - cosines).max() < 5 * np.pi * 0.5 / 32
    assert np.abs((scores - cosines).mean()) < 0.01


def test_lengths_are_lost_until_vectors_are_scored_again():
    for metric in ("inner_product", "l2"):
        index = filled(metric, n_bits=64, rerank=600)
        exact = index.search(QUERIES * 2, 3)
        index.set_search(rerank=0)
        estimated = index.search(QUERIES * 2, 3)[0]
        assert (estimated <= 1).all() and (estimated >= -1).all()
        assert not np.allclose(exact[0], estimated)


def test_seeds_differ_and_repeat():
    indexes = [filled(seed=seed) for seed in (1, 1, 2)]
    one, again, other = (codes_of(index._faiss) for index in indexes)
    assert (one == again).all() and (one != other).any()


def test_more_signs_than_coordinates():
    with refused("n_bits = 17 is more than the 16 coordinates.*rotate = True"):
        filled(n_bits=17, rotate=False)
