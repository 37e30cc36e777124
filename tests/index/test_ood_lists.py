"""Lists with copies: an inverted file when nobody has asked, everything wanted when somebody
has.
"""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.index import METRICS, QueryAwareLists, VectorSearchIndex, topk_exact


@pytest.fixture
def data():
    rng = np.random.default_rng(3)
    return (
        rng.standard_normal((600, 8)),
        rng.standard_normal((10, 8)),
        rng.standard_normal((40, 8)) + 1,
    )


def nobody(d: int = 8):
    return np.empty((0, d)), np.empty((0, 5), np.int64)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("nprobe", [1, 4, 10])
def test_without_training_queries_it_is_the_inverted_file(data, metric, nprobe):
    vectors, _, queries = data
    ivf = VectorSearchIndex(8, "IVF", metric=metric, nlist=10)
    ivf.train(vectors)
    ivf.add(vectors)
    lists = QueryAwareLists(ivf.centroids, vectors, *nobody(), metric)
    assert lists.stored == 600
    for index in (ivf, lists):
        index.set_search(nprobe=nprobe)
    scores, ids = lists.search(queries, 5)
    expected = ivf.search(queries, 5)
    np.testing.assert_array_equal(ids, expected[1])
    np.testing.assert_allclose(scores, expected[0], rtol=1e-5, atol=1e-6)
    assert lists.work == ivf.work


@pytest.mark.parametrize("metric", METRICS)
def test_all_lists_are_exact_search_and_copies_are_found_once(data, metric):
    vectors, centroids, queries = data
    wanted = topk_exact(queries, vectors, 5, metric)[1]
    lists = QueryAwareLists(centroids, vectors, queries, wanted, metric)
    assert lists.stored > 600
    lists.set_search(nprobe=10)
    scores, ids = lists.search(queries, 20)
    expected = topk_exact(queries, vectors, 20, metric)
    np.testing.assert_array_equal(ids, expected[1])
    np.testing.assert_array_equal(scores, expected[0])
    assert lists.work == {"distances": 40 * 600, "centroids": 400, "lists": 400}


def test_a_training_query_finds_what_it_wanted_in_one_list(data):
    vectors, centroids, queries = data
    wanted = topk_exact(queries, vectors, 5)[1]
    lists = QueryAwareLists(centroids, vectors, queries, wanted)
    np.testing.assert_array_equal(lists.search(queries, 5)[1], wanted)


def test_by_hand():
    # Two cells, at 0 and at 10; the query at 4 falls into the first and wants the vector at 6, of
    # the second.
    lists = QueryAwareLists([[0.0], [10.0]], [[1.0], [6.0], [9.0]], [[4.0]], [[1]], "l2")
    scores, ids = lists.search([[4.0]], 3)
    assert ids.tolist() == [[1, 0, -1]] and scores.tolist() == [[-4, -9, -np.inf]]
    assert lists.stored == 4 and lists.work == {"distances": 2, "centroids": 2, "lists": 1}


def test_blocks_of_queries_change_nothing(data, monkeypatch):
    vectors, centroids, queries = data
    lists = QueryAwareLists(centroids, vectors, *nobody())
    lists.set_search(nprobe=3)
    expected, work = lists.search(queries, 7), lists.work
    monkeypatch.setattr("lib.index.ood_lists.PAIRS_AT_ONCE", 1)
    for got, want in zip(lists.search(queries, 7), expected, strict=True):
        np.testing.assert_array_equal(got, want)
    assert lists.work == work


@pytest.mark.parametrize(
    "change, message",
    [
        ({"neighbours": [[0.5]]}, r"\(1, k\) positions, got float64"),
        ({"neighbours": [[0], [1]]}, r"\(1, k\) positions, got int64 \(2, 1\)"),
        ({"neighbours": [[3]]}, r"neighbours\[0, 0\] is 3, not among 3 vectors"),
        ({"neighbours": [[-1]]}, r"neighbours\[0, 0\] is -1"),
        ({"queries": [[1.0, 2.0]]}, "dimension"),
        ({"centroids": [[np.nan]]}, "centroids"),
        ({"metric": "euclid"}, "metric must be one of"),
    ],
)
def test_bad_input(change, message):
    given = {
        "centroids": [[0.0]],
        "vectors": [[1.0], [2.0], [3.0]],
        "queries": [[1.0]],
        "neighbours": [[0]],
    }
    with pytest.raises(RetrievalInputError, match=message):
        QueryAwareLists(**(given | {"metric": "l2"} | change))


def test_more_lists_than_there_are():
    lists = QueryAwareLists([[0.0]], [[1.0]], *nobody(1), "l2")
    with pytest.raises(RetrievalInputError, match="nprobe = 2 is more than the lists"):
        lists.set_search(nprobe=2)
