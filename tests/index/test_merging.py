"""Merging: indexes of the same training become the index of all their vectors; hits of shards."""

import hashlib
import io
import pickle

import numpy as np
import pytest

from lib.index import SearchResult, VectorSearchIndex, merge_hits, topk_exact
from tests.index.contract import BASE, CASES, DIM, QUERIES, N, every_case
from tests.index.oracle import assert_same, refused

CUTS = (0, 500, 777, N)


def content(index):
    """SHA-256 of every file that `save` would write."""
    digests = {}
    for name, write in index._bodies().items():
        stream = io.BytesIO()
        write(stream)
        digests[name] = hashlib.sha256(stream.getvalue()).hexdigest()
    return digests


def merged(case, metric="cosine", ids=None):
    ids = np.arange(N) if ids is None else ids
    whole = case.empty(metric)
    for first, end in zip(CUTS, CUTS[1:]):
        part = pickle.loads(pickle.dumps(case.empty(metric)))
        part.add(BASE[first:end], ids[first:end])
        whole.merge(pickle.loads(pickle.dumps(part)))
    return whole


MERGING = [case for case in CASES if case.empty().can_merge]


def test_families_that_merge():
    assert {case.name for case in MERGING} == {
        "Flat", "IVF-nlist=16", "IVF-PQ-nlist=16-code_bytes=2",
    }  # fmt: skip


@pytest.mark.parametrize("case", MERGING, ids=lambda case: case.name)
@pytest.mark.parametrize("own_ids", [False, True])
def test_merged_parts_are_the_index_of_all(case, own_ids):
    ids = 7 * np.arange(N)[::-1] + 3 if own_ids else None
    index, whole = merged(case, ids=ids), case.filled(ids=ids)
    assert content(index) == content(whole)
    assert_same(index.search(QUERIES, 10), whole.search(QUERIES, 10))
    assert index.bytes_by_part() == whole.bytes_by_part()
    index.remove(whole._ids.array[:3])
    index.add(BASE[:2], ids=[10**6, 10**6 + 1])
    assert index.ntotal == N - 1


@every_case
def test_families_that_cannot_say_so(case):
    if not case.empty().can_merge:
        with refused("cannot take over .* Types that can: Flat, IVF, IVF-PQ"):
            case.filled().merge(case.filled())


def test_the_other_index_is_empty_afterwards():
    one, other = VectorSearchIndex(DIM), VectorSearchIndex(DIM)
    one.add(BASE[:5])
    other.add(BASE[5:9], ids=[5, 6, 7, 8])
    one.merge(other)
    assert (one.ntotal, other.ntotal) == (9, 0)
    assert one.search(BASE[7:8], 1).ids.tolist() == [[7]]
    with refused("the index is empty"):
        other.search(BASE[:1], 1)


def test_another_training_is_refused():
    index, other = VectorSearchIndex(DIM, "IVF", nlist=4), VectorSearchIndex(DIM, "IVF", nlist=4)
    index.train(BASE[:400])
    with refused("is_trained of the other index must be True, got False"):
        index.merge(other)
    other.train(BASE[400:900])
    with refused("other index has other centroids: train once"):
        index.merge(other)
    with refused("index_type of the other index must be IVF, got Flat"):
        index.merge(VectorSearchIndex(DIM))
    with refused("metric of the other index must be cosine, got l2"):
        VectorSearchIndex(DIM).merge(VectorSearchIndex(DIM, metric="l2"))
    one = VectorSearchIndex(DIM)
    one.add(BASE[:5])
    with refused("id 0 is in the index already"):
        one.merge(one)
    assert one.ntotal == 5


# ---- hits of shards


def test_hits_by_hand():
    left = SearchResult(np.float32([[0.9, 0.5]]), np.array([[4, 0]]), {"distances": 10, "lists": 1})
    right = SearchResult(
        np.float32([[0.9, 0.7, -np.inf]]), np.array([[3, 9, -1]]), {"distances": 5}
    )
    merged = merge_hits([left, right], 4)
    assert merged.ids.tolist() == [[3, 4, 9, 0]]
    assert merged.scores[0].tolist() == np.float32([0.9, 0.9, 0.7, 0.5]).tolist()
    assert merged.work == {"distances": 15, "lists": 1}
    assert merge_hits([left, right], 5).ids[0, -1] == -1


def test_shards_of_exact_search_are_exact():
    shards = []
    for first, end in zip(CUTS, CUTS[1:]):
        shard = VectorSearchIndex(DIM)
        shard.add(BASE[first:end], np.arange(first, end))
        shards.append(shard)
    found = merge_hits([shard.search(QUERIES, 10) for shard in shards], 10)
    assert_same(found, topk_exact(QUERIES, BASE, 10))


@pytest.mark.parametrize(
    ("found", "k", "problem"),
    [
        ([], 1, "at least one shard"),
        (
            [
                SearchResult(np.ones((1, 2), np.float32), np.ones((1, 2), int), {}),
                SearchResult(np.ones((3, 2), np.float32), np.ones((3, 2), int), {}),
            ],
            1,
            r"of the same queries, got \[1, 3\]",
        ),
        ([SearchResult(np.ones((1, 2), np.float32), np.ones((1, 2), int), {})], 3, "k must be"),
    ],
)
def test_hits_that_do_not_fit(found, k, problem):
    with refused(problem):
        merge_hits(found, k)
