"""Graphs side by side: each is the graph of its vectors, and the hits are the best of all."""

import numpy as np

from lib.index import HNSWIndex, VectorSearchIndex, merge_hits
from tests.index.clusters import clustered
from tests.index.oracle import assert_same, refused

BASE, QUERIES = clustered(1100, seed=1), clustered(30, seed=2)
OPTIONS = {"links": 8, "ef_construction": 40}


def graph(vectors, **options):
    made = HNSWIndex(16, **OPTIONS | options)
    made.add(vectors)
    return made


def shards(**options):
    return VectorSearchIndex(16, "HNSW shards", shard_rows=500, **OPTIONS | options)


def test_hits_are_the_best_of_separate_graphs():
    index = shards(ef_search=20)
    index.add(BASE)
    assert index.n_shards == 3
    found = []
    for first in (0, 500, 1000):
        one = HNSWIndex(16, **OPTIONS, ef_search=20)
        one.add(BASE[first : first + 500], ids=np.arange(first, min(first + 500, 1100)))
        found.append(one.search(QUERIES, 10))
    expected = merge_hits(found, 10)
    result = index.search(QUERIES, 10)
    assert_same(result, expected)
    assert result.work == expected.work


def test_graphs_built_elsewhere_make_the_same_index():
    whole, index = shards(), shards()
    ids = 3 * np.arange(1100) + 1
    whole.add(BASE, ids)
    for first in (0, 500, 1000):
        index.add_shard(graph(BASE[first : first + 500]), ids[first : first + 500])
    assert_same(index.search(QUERIES, 10), whole.search(QUERIES, 10))
    assert index.bytes_by_part() == whole.bytes_by_part()
    index.set_search(ef_search=500)
    whole.set_search(ef_search=500)
    allowed = ids[490:1010:2]
    found = index.search(QUERIES, 10, allowed)
    assert_same(found, whole.search(QUERIES, 10, allowed))
    assert np.isin(found.ids, allowed).all()


def test_a_few_allowed_in_one_graph_fill_their_places_only():
    index = shards(ef_search=1000)
    index.add(BASE)
    scores, ids = index.search(QUERIES[:1], 10, allowed=[501, 502])
    assert sorted(ids[0, :2].tolist()) == [501, 502] and (ids[0, 2:] == -1).all()
    assert np.isneginf(scores[0, 2:]).all()


def test_graphs_that_do_not_fit():
    index = shards()
    with refused("links of the graph must be 8, got 9"):
        index.add_shard(graph(BASE[:500], links=9))
    with refused("metric of the graph must be cosine, got l2"):
        index.add_shard(graph(BASE[:500], metric="l2"))
    with refused(r"must have 500 vectors, only the last one fewer; got \[501\]"):
        index.add_shard(graph(BASE[:501]))
    index.add_shard(graph(BASE[:100]))
    with refused(r"only the last one fewer; got \[100, 500\]"):
        index.add_shard(graph(BASE[:500]))
    assert index.ntotal == 100
    index.add(BASE[100:])
    assert index.n_shards == 3 and index.ntotal == 1100
