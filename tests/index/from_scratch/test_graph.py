import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.index import topk_exact
from lib.index.from_scratch.graph import beam_search, build_graph, descend, levels_of
from tests.index.clusters import clustered
from tests.index.oracle import refused

ROWS, QUERIES = clustered(400, spread=1.5, seed=1), clustered(15, spread=1.5, seed=2)
GRAPH = build_graph(ROWS, 6)
LINE = np.arange(6.0)[:, None]
ALONG = np.array([[1, -1], [0, 2], [1, 3], [2, 4], [3, 5], [4, -1]])


def reachable(neighbours, entry):
    """Mark the nodes that a walk from `entry` can reach, `(n,)` bool."""
    reached = np.zeros(len(neighbours), bool)
    frontier = np.array([entry])
    while frontier.size:
        reached[frontier] = True
        linked = neighbours[frontier]
        frontier = np.unique(linked[linked >= 0])
        frontier = frontier[~reached[frontier]]
    return reached


def test_a_walk_along_a_line_by_hand():
    walk = beam_search([4.2], LINE, ALONG, entry=1, ef=1)
    assert walk.path == [1, 2, 3, 4] and walk.scored == [1, 0, 2, 3, 4, 5]
    assert walk.ids.tolist() == [4] and walk.scores == pytest.approx([-0.04], abs=1e-6)


def test_a_larger_beam_gets_out_of_a_dead_end():
    rows = np.array([[0.0], [-1.0], [5.0]])  # from 0 the target 5 is reached through -1 alone
    links = np.array([[1], [2], [1]])
    assert beam_search([5.0], rows, links, 0, ef=1).ids.tolist() == [0]
    assert beam_search([5.0], rows, links, 0, ef=2).ids.tolist() == [2]


@pytest.mark.parametrize("metric", ["l2", "inner_product"])
def test_a_beam_as_wide_as_the_gallery_is_exact_search(metric):
    walk = beam_search(QUERIES[0], ROWS, GRAPH, 0, ef=400, k=10, metric=metric)
    scores, ids = topk_exact(QUERIES[:1], ROWS, 10, metric)
    assert walk.ids.tolist() == ids[0].tolist() and np.array_equal(walk.scores, scores[0])
    assert len(walk.path) == len(walk.scored) == 400


@given(ef=st.integers(1, 30), query=st.integers(0, 14))
@settings(max_examples=20, deadline=None)
def test_what_a_walk_says_of_itself(ef, query):
    walk = beam_search(QUERIES[query], ROWS, GRAPH, 0, ef)
    assert len(set(walk.scored)) == len(walk.scored) and set(walk.path) <= set(walk.scored)
    assert walk.path[0] == 0 and walk.ids[0] in walk.scored
    distances = np.square(ROWS[walk.scored] - QUERIES[query]).sum(axis=1)
    assert -walk.scores[0] == pytest.approx(distances.min(), abs=1e-5)


@pytest.mark.parametrize("metric", ["l2", "inner_product"])
@pytest.mark.parametrize("ef", [1, 8, 32])
def test_equals_faiss_over_its_own_links(metric, ef):
    faiss = pytest.importorskip("faiss")
    kind = {"l2": faiss.METRIC_L2, "inner_product": faiss.METRIC_INNER_PRODUCT}[metric]
    index = faiss.IndexHNSWFlat(16, 4, kind)  # few links, so that 400 vectors reach several levels
    index.add(ROWS)
    index.hnsw.efSearch = ef
    levels = levels_of(index.hnsw)
    assert len(levels) > 2 and levels[0].shape == (400, 8) and levels[1].shape == (400, 4)
    k = min(ef, 5)
    entry = index.hnsw.entry_point
    walks = [descend(query, ROWS, levels, entry, ef, k, metric) for query in QUERIES]
    faiss.cvar.hnsw_stats.reset()
    scores, ids = index.search(QUERIES, k)
    assert np.array_equal([walk.ids for walk in walks], ids)
    theirs = -scores if metric == "l2" else scores
    np.testing.assert_allclose([walk.scores for walk in walks], theirs, atol=1e-5)
    assert faiss.cvar.hnsw_stats.nhops == sum(len(walk.path) for walk in walks)


@pytest.mark.parametrize("select", ["heuristic", "nearest"])
def test_links_go_both_ways_unless_cut_and_never_to_oneself(select):
    graph = build_graph(ROWS[:60], 40, select=select)  # 80 places: no list is ever cut
    linked = np.zeros((60, 60), bool)
    for node, others in enumerate(graph):
        linked[node, others[others >= 0]] = True
    assert np.array_equal(linked, linked.T) and not linked.diagonal().any()
    assert GRAPH.shape == (400, 12) and all(
        len(set(row[row >= 0])) == (row >= 0).sum() for row in GRAPH
    )


def test_the_heuristic_by_hand():
    # The last node, at 0, has 0 and 1 on its right, 2 on its left; 1 is nearer to 0 than to it.
    rows = np.array([[1.0], [1.5], [-1.2], [0.0]])
    assert sorted(build_graph(rows, 3, select="nearest")[3]) == [-1, -1, -1, 0, 1, 2]
    assert sorted(build_graph(rows, 3, select="heuristic")[3]) == [-1, -1, -1, -1, 0, 2]


def test_the_heuristic_keeps_clusters_connected():
    rows = clustered(300, n_clusters=12, spread=0.05, seed=3)
    order = np.argsort((rows @ clustered(1, spread=0.0)[0]), kind="stable")  # cluster after cluster
    heuristic, nearest = (
        reachable(build_graph(rows, 3, select=select, order=order), order[0]).mean()
        for select in ("heuristic", "nearest")
    )
    assert heuristic == 1 > nearest


def test_inserting_in_another_order_permutes():
    order = np.random.default_rng(0).permutation(100)
    by_order = build_graph(ROWS[:100], 4, order=order)
    permuted = build_graph(ROWS[:100][order], 4)
    assert np.array_equal(np.where(permuted < 0, -1, order[permuted]), by_order[order])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: beam_search([1.0], LINE, ALONG, 6, 1),
            "entry must be a position from 0 to 5, got 6",
        ),
        (
            lambda: beam_search([1.0], LINE, ALONG, -1, 1),
            "entry must be a position from 0 to 5, got -1",
        ),
        (
            lambda: beam_search([1.0], LINE, ALONG + 1, 0, 1),
            "neighbours must be positions below 6, got 0 to 6",
        ),
        (
            lambda: beam_search([1.0], LINE, ALONG[:5], 0, 1),
            "integers .6, degree., got int64 .5, 2.",
        ),
        (lambda: beam_search([1.0], LINE, ALONG, 0, 2, k=3), "ef = 2 cannot return k = 3"),
        (
            lambda: beam_search([1.0, 2.0], LINE, ALONG, 0, 1),
            "queries must have dimension 1, got 2",
        ),
        (
            lambda: build_graph(LINE, 2, select="best"),
            "select must be one of 'heuristic', 'nearest'",
        ),
        (
            lambda: build_graph(LINE, 2, order=[0, 1, 1, 2, 3, 4]),
            "order must hold each of 0 to 5 once",
        ),
    ],
)
def test_bad_input(call, message):
    with refused(message):
        call()
