"""Indexes adapted to queries of another modality: links of a graph, copies in lists."""

import numpy as np
import pytest

from lib.index import METRICS, QueryAwareLists, VectorSearchIndex, link_by_queries, topk_exact
from tests.index.oracle import refused


def graph(
    n: int = 400, d: int = 6, links: int = 4, ids=None
) -> tuple[VectorSearchIndex, np.ndarray]:
    vectors = np.random.default_rng(5).standard_normal((n, d))
    index = VectorSearchIndex(d, "HNSW", metric="l2", links=links, ef_construction=20)
    index.add(vectors, ids)
    return index, vectors


def linked(index) -> set[tuple[int, int]]:
    links = index.bottom_links
    return {(i, int(j)) for i, row in enumerate(links) for j in row if j >= 0}


def test_what_one_query_wants_is_linked_both_ways():
    index, _ = graph()
    before = linked(index)
    free = [i for i, row in enumerate(index.bottom_links) if (row < 0).sum() >= 3]
    a, b, c = next((a, b, c) for a in free for b in free for c in free if a < b < c
                   and not {(a, b), (b, a), (a, c), (c, a)} & before)  # fmt: skip
    assert link_by_queries(index, [[a, b, c]]) == 4
    assert linked(index) == before | {(a, b), (b, a), (a, c), (c, a)}


def test_links_are_added_and_none_is_lost_or_doubled():
    index, vectors = graph()
    before, size = linked(index), index.bytes_by_part()
    queries = np.random.default_rng(6).standard_normal((200, 6)) + 0.5
    added = link_by_queries(index, topk_exact(queries, vectors, 8, "l2")[1])
    after = linked(index)
    assert before < after and len(after) == len(before) + added
    assert all(i != j for i, j in after)
    assert (np.diff((index.bottom_links < 0).astype(int), axis=1) >= 0).all(), (
        "free places come last"
    )
    assert index.bytes_by_part() == size
    assert link_by_queries(index, topk_exact(queries, vectors, 8, "l2")[1]) <= added


def test_training_queries_are_answered_better():
    index, vectors = graph(links=2)
    queries = np.random.default_rng(7).standard_normal((300, 6)) * 0.3 + 1
    wanted = topk_exact(queries, vectors, 5, "l2")[1]
    index.set_search(ef_search=5)

    def found() -> int:
        ids = index.search(queries, 5)[1]
        return int((ids[:, :, None] == wanted[:, None, :]).any(axis=2).sum())

    before = found()
    link_by_queries(index, wanted)
    assert found() > before


def test_ids_are_ids_and_not_positions():
    plain, _ = graph()
    named, _ = graph(ids=np.arange(400)[::-1] * 3 + 7)
    wanted = np.random.default_rng(8).integers(0, 400, (50, 4))
    link_by_queries(plain, wanted)
    link_by_queries(named, (399 - wanted) * 3 + 7)
    np.testing.assert_array_equal(plain.bottom_links, named.bottom_links)


def test_what_more_queries_want_comes_first():
    index, _ = graph()
    row = next(i for i, links in enumerate(index.bottom_links) if (links < 0).sum() == 1)
    have = set(index.bottom_links[row])
    full = [i for i in range(400) if i not in have and i != row][:2]
    link_by_queries(index, [[row, full[0]], [row, full[1]], [row, full[1]]])
    assert index.bottom_links[row, -1] == full[1]


@pytest.mark.parametrize(
    "neighbours, message",
    [
        ([[1]], r"\(n_queries, k >= 2\)"),
        ([1, 2], r"\(n_queries, k >= 2\)"),
        ([[0.5, 1.0]], "float64"),
        ([[0, 400]], r"neighbours\[0, 1\] is 400"),
        ([[0, 1], [-1, 2]], r"neighbours\[1, 0\] is -1"),
    ],
)
def test_bad_neighbours_of_a_graph(neighbours, message):
    index, _ = graph()
    with refused(message):
        link_by_queries(index, neighbours)


def test_a_memory_mapped_graph_cannot_change(tmp_path):
    index, _ = graph()
    index.save(tmp_path / "graph")
    mapped = VectorSearchIndex.load(tmp_path / "graph", memory_map=True)
    with refused("memory-mapped index cannot change"):
        link_by_queries(mapped, [[0, 1, 2]])


def test_only_graphs_have_links():
    index = VectorSearchIndex(2, "Flat", metric="l2")
    index.add([[1.0, 2.0]])
    with refused("Flat"):
        link_by_queries(index, [[0, 0]])


# ---- lists with copies


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
    scores, ids = result = lists.search(queries, 5)
    expected = ivf.search(queries, 5)
    np.testing.assert_array_equal(ids, expected[1])
    np.testing.assert_allclose(scores, expected[0], rtol=1e-5, atol=1e-6)
    assert result.work == expected.work


@pytest.mark.parametrize("metric", METRICS)
def test_all_lists_are_exact_search_and_copies_are_found_once(data, metric):
    vectors, centroids, queries = data
    wanted = topk_exact(queries, vectors, 5, metric)[1]
    lists = QueryAwareLists(centroids, vectors, queries, wanted, metric)
    assert lists.stored > 600
    lists.set_search(nprobe=10)
    scores, ids = result = lists.search(queries, 20)
    expected = topk_exact(queries, vectors, 20, metric)
    np.testing.assert_array_equal(ids, expected[1])
    np.testing.assert_array_equal(scores, expected[0])
    assert result.work == {"distances": 40 * 600, "centroids": 400, "lists": 400}


def test_a_training_query_finds_what_it_wanted_in_one_list(data):
    vectors, centroids, queries = data
    wanted = topk_exact(queries, vectors, 5)[1]
    lists = QueryAwareLists(centroids, vectors, queries, wanted)
    np.testing.assert_array_equal(lists.search(queries, 5)[1], wanted)


def test_by_hand():
    # Two cells, at 0 and at 10; the query at 4 falls into the first and wants the vector at 6, of
    # the second.
    lists = QueryAwareLists([[0.0], [10.0]], [[1.0], [6.0], [9.0]], [[4.0]], [[1]], "l2")
    scores, ids = result = lists.search([[4.0]], 3)
    assert ids.tolist() == [[1, 0, -1]] and scores.tolist() == [[-4, -9, -np.inf]]
    assert lists.stored == 4 and result.work == {"distances": 2, "centroids": 2, "lists": 1}


def test_blocks_of_queries_change_nothing(data, monkeypatch):
    vectors, centroids, queries = data
    lists = QueryAwareLists(centroids, vectors, *nobody())
    lists.set_search(nprobe=3)
    expected = lists.search(queries, 7)
    monkeypatch.setattr("lib.index.ood.PAIRS_AT_ONCE", 1)
    result = lists.search(queries, 7)
    np.testing.assert_array_equal(result.scores, expected.scores)
    np.testing.assert_array_equal(result.ids, expected.ids)
    assert result.work == expected.work


@pytest.mark.parametrize(
    "change, message",
    [
        ({"neighbours": [[0.5]]}, r"\(1, k\) integers, got float64"),
        ({"neighbours": [[0], [1]]}, r"\(1, k\) integers, got int64 \(2, 1\)"),
        ({"neighbours": [[3]]}, r"neighbours\[0, 0\] must be below 3 .* got 3"),
        ({"neighbours": [[-1]]}, r"neighbours\[0, 0\] .* got -1"),
        ({"queries": [[1.0, 2.0]]}, "dimension"),
        ({"centroids": [[np.nan]]}, "centroids"),
        ({"metric": "euclid"}, "metric must be one of"),
    ],
)
def test_bad_input_of_lists(change, message):
    given = {
        "centroids": [[0.0]],
        "vectors": [[1.0], [2.0], [3.0]],
        "queries": [[1.0]],
        "neighbours": [[0]],
    }
    with refused(message):
        QueryAwareLists(**(given | {"metric": "l2"} | change))


def test_more_lists_than_there_are():
    lists = QueryAwareLists([[0.0]], [[1.0]], *nobody(1), "l2")
    with refused("nprobe must be at most 1"):
        lists.set_search(nprobe=2)
