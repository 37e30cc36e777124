"""Links between what queries want together."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.index import VectorSearchIndex, link_by_queries, topk_exact


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
    before, size = linked(index), index.cost()
    queries = np.random.default_rng(6).standard_normal((200, 6)) + 0.5
    added = link_by_queries(index, topk_exact(queries, vectors, 8, "l2")[1])
    after = linked(index)
    assert before < after and len(after) == len(before) + added
    assert all(i != j for i, j in after)
    assert (np.diff((index.bottom_links < 0).astype(int), axis=1) >= 0).all(), (
        "free places come last"
    )
    assert index.cost() == size
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
        ([[0, 400]], "neighbours has id 400 in row 0, column 1"),
        ([[0, 1], [-1, 2]], "neighbours has id -1 in row 1, column 0"),
    ],
)
def test_bad_input(neighbours, message):
    index, _ = graph()
    with pytest.raises(RetrievalInputError, match=message):
        link_by_queries(index, neighbours)


def test_a_memory_mapped_graph_cannot_change(tmp_path):
    index, _ = graph()
    index.save(tmp_path / "graph")
    mapped = VectorSearchIndex.load(tmp_path / "graph", memory_map=True)
    with pytest.raises(RetrievalInputError, match="memory-mapped index cannot change"):
        link_by_queries(mapped, [[0, 1, 2]])


def test_only_graphs_have_links():
    index = VectorSearchIndex(2, "Flat", metric="l2")
    index.add([[1.0, 2.0]])
    with pytest.raises(RetrievalInputError, match="Flat"):
        link_by_queries(index, [[0, 0]])
