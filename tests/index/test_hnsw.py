"""The graph: built the same every time, found more with longer lists."""

import faiss
import numpy as np

from lib.index import VectorSearchIndex, topk_exact
from tests.index.clusters import clustered
from tests.index.oracle import refused

BASE, QUERIES = clustered(1500, seed=1), clustered(60, seed=2)
SLACK = 3  # hits of 600 that a longer list may lose: the walk differs, and with it what is seen


def filled(**options):
    index = VectorSearchIndex(16, "HNSW", **options)
    index.add(BASE)
    return index


def links(index):
    return faiss.vector_to_array(index._faiss.hnsw.neighbors)


def test_recall_and_work_grow_with_the_list():
    index = filled(links=6, ef_construction=30)
    truth = topk_exact(QUERIES, BASE, 10)[1]
    hits, distances = [], []
    for ef_search in (10, 20, 40, 80, 160, 1500):
        index.set_search(ef_search=ef_search)
        result = index.search(QUERIES, 10)
        hits.append((result.ids[:, :, None] == truth[:, None]).sum())
        distances.append(result.work["distances"])
    assert all(later >= earlier - SLACK for earlier, later in zip(hits, hits[1:]))
    assert hits[0] < hits[-1] and hits[-1] > 590
    assert distances == sorted(distances) and distances[0] < 60 * 1500 / 3


def test_the_list_is_at_least_as_long_as_the_answer_unless_it_is_chosen():
    index = filled()
    truth = topk_exact(QUERIES, BASE, 1000)[1]
    found = index.search(QUERIES, 1000)[1]
    assert (found >= 0).all()
    assert np.mean([np.isin(mine, right).mean() for mine, right in zip(found, truth)]) > 0.99
    index.set_search(ef_search=1000)
    np.testing.assert_array_equal(index.search(QUERIES, 1000)[1], found)
    index.set_search(ef_search=16)
    scores, few = index.search(QUERIES, 1000)
    assert (few[:, -1] == -1).any() and np.isneginf(scores[few == -1]).all()
    index.set_search(ef_search=None)
    np.testing.assert_array_equal(index.search(QUERIES, 1000)[1], found)


def test_threads_do_not_change_the_graph_and_are_given_back():
    one = links(filled())
    faiss.omp_set_num_threads(2)
    try:
        two = links(filled())
        assert faiss.omp_get_max_threads() == 2
    finally:
        faiss.omp_set_num_threads(1)
    np.testing.assert_array_equal(one, two)
    assert links(filled(seed=1)).tolist() != one.tolist()


def test_options_reach_faiss():
    index = filled(links=5, ef_construction=17, ef_search=23)
    assert index._faiss.hnsw.nb_neighbors(0) == 10 and index._faiss.hnsw.nb_neighbors(1) == 5
    assert index._faiss.hnsw.efConstruction == 17
    assert index._parameters(None, 10).efSearch == index._parameters(None, 100).efSearch == 23
    assert index._faiss.metric_type == faiss.METRIC_INNER_PRODUCT


def test_what_is_filtered_out_is_still_walked_over():
    index = filled()
    allowed = np.arange(0, 1500, 2)
    result = index.search(QUERIES, 5, allowed)
    assert np.isin(result.ids, allowed).all()
    assert result.work["distances"] > 60 * 16


def test_a_graph_needs_two_links():
    with refused("links must be at least 2, got 1"):
        filled(links=1)
