import numpy as np
import pytest

from lib.index import METRICS, FlatIndex, VectorSearchIndex, topk_exact
from tests.index.oracle import assert_same, refused

rng = np.random.default_rng(0)
GALLERY = rng.standard_normal((300, 16)).astype(np.float32)
QUERIES = rng.standard_normal((7, 16)).astype(np.float32)
WITH_NAN = GALLERY.copy()
WITH_NAN[4, 2] = np.nan


def filled(metric="cosine", vectors=GALLERY, ids=None):
    index = VectorSearchIndex(16, "Flat", metric)
    index.add(vectors, ids)
    return index


def test_the_factory_gives_the_family():
    index = VectorSearchIndex(16)
    assert type(index) is FlatIndex and isinstance(index, VectorSearchIndex)
    assert (index.dimension, index.metric, index.index_type, index.ntotal) == (
        16,
        "cosine",
        "Flat",
        0,
    )
    assert repr(filled("l2")) == "FlatIndex(dimension=16, metric='l2', ntotal=300)"
    assert repr(FlatIndex(4)) == "FlatIndex(dimension=4, metric='cosine', ntotal=0)"


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_it_finds_what_exact_search_finds(metric, dtype):
    gallery, queries = (GALLERY * 40).astype(dtype), (QUERIES * 40).astype(dtype)
    assert_same(filled(metric, gallery).search(queries, 5), topk_exact(queries, gallery, 5, metric))


@pytest.mark.parametrize("metric", METRICS)
def test_adding_in_parts_is_adding_at_once(metric):
    index = VectorSearchIndex(16, metric=metric)
    for part in (GALLERY[:1], GALLERY[1:200], GALLERY[:0], GALLERY[200:]):
        index.add(part)
        if index.ntotal in (1, 200):
            index.search(QUERIES, 1)  # what was found before must not linger
    assert_same(index.search(QUERIES, 9), filled(metric).search(QUERIES, 9))


def test_ids_of_the_user_come_back_and_decide_ties():
    index = VectorSearchIndex(2, metric="inner_product")
    index.add([[1, 0], [1, 0], [1, 0], [2, 0]], ids=[2**40, -5, 7, 100])
    scores, ids = index.search([[1, 0]], 3)
    assert ids.tolist() == [[100, -5, 7]] and scores.tolist() == [[2, 1, 1]]
    index.add([[1, 0]], ids=np.array([-6], np.int16))
    assert index.search([[1, 0]], 2)[1].tolist() == [[100, -6]]
    assert index.search([[1, 0]], 5)[1].tolist() == [[100, -6, -5, 7, 2**40]]


def test_the_order_of_adding_does_not_matter():
    ids = np.random.default_rng(1).permutation(1000)[:300]
    twins = np.concatenate([GALLERY[:150], GALLERY[:150]])  # every vector twice
    order = np.random.default_rng(2).permutation(300)
    assert_same(
        filled("cosine", twins[order], ids[order]).search(QUERIES, 11),
        filled("cosine", twins, ids).search(QUERIES, 11),
    )


def test_the_index_owns_its_vectors():
    for metric in METRICS:
        vectors = GALLERY.copy()
        index = filled(metric, vectors)
        vectors[:] = 0
        assert_same(index.search(QUERIES, 3), filled(metric).search(QUERIES, 3))


def test_cost_is_a_formula():
    parts = {"vectors": 19200, "norms": 2400, "ids": 2400, "id_map": 0, "total": 24000}
    # Not in the file: the order of ties, which is made again; in it: 128 bytes that say what the
    # array is.
    assert filled().bytes_by_part() == {**parts, "serialised": 24000 - 2400 + 128}
    assert filled(ids=np.arange(1, 301)).bytes_by_part()["id_map"] == 2400
    assert filled(vectors=np.ones((10, 16), np.int8)).bytes_by_part()["vectors"] == 160
    assert VectorSearchIndex(16).bytes_by_part()["total"] == 0


# ---- bad input


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        ((0,), {}, "dimension must be at least 1"),
        ((16.0,), {}, "dimension must be a whole number"),
        ((16, "flat"), {}, "index_type must be one of 'Flat'.*got 'flat'. Did you mean 'Flat'"),
        ((16, "Flat", "dot"), {}, "metric must be one of 'cosine', 'inner_product', 'l2'"),
        ((16,), {"nprobe": 4}, "index type 'Flat' has no option 'nprobe'"),
    ],
)
def test_an_index_that_cannot_be(arguments, options, message):
    with refused(message):
        VectorSearchIndex(*arguments, **options)


@pytest.mark.parametrize(
    "vectors, ids, message",
    [
        (GALLERY[:, :8], None, "vectors must have dimension 16, got 8"),
        (GALLERY[0], None, r"vectors\[None, :\]"),
        (WITH_NAN, None, "vectors has the value nan in row 4, column 2"),
        (np.zeros((2, 16)), None, "vectors has only zeros in row 0"),
        (GALLERY[:2], [1, 1], "id 1 is given twice"),
        (GALLERY[:2], [5, 3], "id 3 is in the index already$"),
        (GALLERY[:2], [5], r"ids must be 2 whole numbers.*got int64 \(1,\)"),
        (GALLERY[:2], [5.0, 6.0], "got float64"),
        (
            GALLERY[:2],
            np.array([5, 2**63], np.uint64),
            "id 9223372036854775808 does not fit into int64",
        ),
        (GALLERY[:4], None, "id 3 is in the index already; the index has ids of your own"),
        (
            GALLERY[:2].astype(np.int8) + np.int8(1),
            [5, 6],
            "the index holds float32 vectors, these are int8",
        ),
    ],
)
def test_adding_what_is_wrong_adds_nothing(vectors, ids, message):
    index = filled(vectors=GALLERY[:1], ids=[3])
    with refused(message):
        index.add(vectors, ids)
    assert index.ntotal == 1
    assert index.search(QUERIES, 1)[1].tolist() == [[3]] * 7


@pytest.mark.parametrize(
    "queries, k, message",
    [
        (QUERIES, 0, "k must be at least 1"),
        (QUERIES, 301, "k must be between 1 and 300"),
        (QUERIES[:, :5], 3, "queries must have dimension 16, got 5"),
        (QUERIES * np.inf, 3, "queries has the value .*inf in row 0, column 0"),
        (QUERIES * 0, 3, "queries has only zeros in row 0"),
    ],
)
def test_asking_what_is_wrong(queries, k, message):
    with refused(message):
        filled().search(queries, k)


def test_an_empty_index_finds_nothing():
    with refused("the index is empty: add vectors before searching"):
        VectorSearchIndex(16).search(QUERIES, 1)
