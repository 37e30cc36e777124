"""Product codes: scores by hand, tables, fast scan, rotation, re-ranking, and what training is
not.
"""

import faiss
import numpy as np
import pytest

from lib.core.checks import unit_rows
from lib.index import METRICS, VectorSearchIndex, topk_exact
from lib.index.faiss_index import codes_of
from tests.index.clusters import clustered
from tests.index.oracle import refused

DIM = 16
LEARN = clustered(39 * 256, seed=1)
BASE, QUERIES = clustered(2000, seed=2), clustered(30, seed=3)


def filled(metric="cosine", learn=LEARN, index_type="PQ", **options):
    index = VectorSearchIndex(DIM, index_type, metric, **options)
    index.train(learn)
    index.add(BASE)
    return index


def recall(index, k=10, queries=QUERIES):
    truth = topk_exact(queries, BASE, k, index.metric)[1]
    return (index.search(queries, k)[1][:, :, None] == truth[:, None]).sum() / truth.size


@pytest.mark.parametrize("metric", METRICS)
def test_scores_are_table_lookups(metric):
    index = filled(metric, code_bytes=4)
    scores, ids = result = index.search(QUERIES, 20)
    codes = codes_of(index._faiss)  # (n, 4)
    centroids = faiss.vector_to_array(index._faiss.pq.centroids).reshape(4, 256, 4)
    pieces = (unit_rows(QUERIES, "q") if metric == "cosine" else QUERIES).reshape(
        -1, 4, 1, 4
    )  # (q, M, 1, d/M)
    if metric == "inner_product":
        tables = (pieces * centroids[None]).sum(-1)  # (q, M, 256)
    else:
        tables = -((pieces - centroids[None]) ** 2).sum(-1)
    by_hand = tables[:, np.arange(4), codes].sum(-1)  # (q, n)
    if metric == "cosine":
        by_hand = 1 + by_hand / 2
    order = np.lexsort((np.broadcast_to(np.arange(len(BASE)), by_hand.shape), -by_hand.round(5)))[
        :, :20
    ]
    np.testing.assert_allclose(np.take_along_axis(by_hand, order, 1), scores, atol=2e-5)
    np.testing.assert_allclose(np.take_along_axis(by_hand, ids, 1), scores, atol=1e-5)
    assert result.work == {"codes": 30 * 2000}


def test_codes_are_nearest_centroids():
    index = filled(code_bytes=2)
    centroids = faiss.vector_to_array(index._faiss.pq.centroids).reshape(2, 256, 8)
    far = ((BASE.reshape(-1, 2, 1, 8) - centroids[None]) ** 2).sum(-1)  # (n, M, 256)
    assert (codes_of(index._faiss) == far.argmin(-1)).mean() > 0.999  # up to rounding


@pytest.mark.parametrize("metric", METRICS)
def test_codes_in_lists_are_those_of_differences(metric):
    index = filled(metric, index_type="IVF-PQ", code_bytes=4, nlist=8, nprobe=8)
    scores, ids = result = index.search(QUERIES, 10)
    index._faiss.make_direct_map()
    decoded = index._faiss.reconstruct_n(0, len(BASE))  # centroid of the cell + decoded code
    asked, rows = (unit_rows(x, "x") if metric == "cosine" else x for x in (QUERIES, BASE))
    expected = topk_exact(asked, decoded, 10, "l2" if metric == "cosine" else metric)[0]
    np.testing.assert_allclose(
        scores, 1 + expected / 2 if metric == "cosine" else expected, atol=2e-5
    )
    assert result.work == {"codes": 30 * 2000, "centroids": 30 * 8, "lists": 30 * 8}
    assert ((decoded - rows) ** 2).sum() < ((rows - rows.mean(0)) ** 2).sum() / 4


FORMS = [
    ("PQ", {"code_bytes": 2}),
    ("IVF-PQ", {"code_bytes": 2, "nlist": 8, "nprobe": 2}),
    ("PQ", {"code_bytes": 4, "fast_scan": True, "rotate": True}),
    ("IVF-PQ", {"code_bytes": 4, "nlist": 8, "nprobe": 2, "fast_scan": True, "rotate": True}),
]


@pytest.mark.parametrize("index_type, options", FORMS)
def test_scores_under_cosine_are_of_squared_distances_to_what_codes_stand_for(index_type, options):
    fast = "fast_scan" in options
    index = filled(index_type=index_type, learn=LEARN[:1000] if fast else LEARN, **options)
    scores, ids = index.search(3 * QUERIES, 500)
    there = ids >= 0
    if index_type == "IVF-PQ":
        assert not there.all()  # two of eight cells hold fewer
        np.testing.assert_allclose(np.linalg.norm(index.centroids, axis=1), 1, rtol=1e-5)
        faiss.extract_index_ivf(index._faiss).make_direct_map()
    decoded = index._faiss.reconstruct_n(0, len(BASE))
    lengths = np.linalg.norm(decoded, axis=1)
    assert lengths.mean() < 1 and lengths.std() > 0.003
    asked = unit_rows(QUERIES, "q")
    expected = 1 - ((asked[:, None] - decoded[np.maximum(ids, 0)]) ** 2).sum(-1) / 2
    np.testing.assert_allclose(scores[there], expected[there], atol=0.02 if fast else 1e-5)
    assert (scores[:, 1:] <= scores[:, :-1]).all() and np.isneginf(scores[~there]).all()
    cosines = (asked[:, None] * unit_rows(BASE, "x")[np.maximum(ids, 0)]).sum(-1)
    assert np.abs(scores - cosines)[there].mean() < 0.1  # they estimate the cosine


def test_a_code_under_cosine_by_hand():
    index = VectorSearchIndex(4, "PQ", code_bytes=2)
    index.train(clustered(39 * 256, dim=4))
    books = np.zeros((2, 256, 2), np.float32)
    books[0, 1, 0] = books[1, 2, 0] = 0.6
    faiss.copy_array_to_vector(books.ravel(), index._faiss.pq.centroids)
    index.add(
        [[5, 0, 5, 0]]
    )  # of unit length (0.7071, 0, 0.7071, 0); its code stands for (0.6, 0, 0.6, 0)
    assert codes_of(index._faiss).tolist() == [[1, 2]]
    scores = index.search([[3, 0, 0, 0], [1, 0, 1, 0]], 1)[0][:, 0]
    np.testing.assert_allclose(
        scores, [1 - (0.4**2 + 0.6**2) / 2, 1 - (0.5**0.5 - 0.6) ** 2], rtol=1e-6
    )


def test_lengths_of_what_codes_stand_for_cost_recall_under_dot_product():
    units = unit_rows(LEARN, "x")
    found = {}
    for metric in ("cosine", "inner_product"):
        index = VectorSearchIndex(DIM, "PQ", metric, code_bytes=4)
        index.train(units)
        index.add(unit_rows(BASE, "x"))
        found[metric] = recall(index)
    assert found["cosine"] > found["inner_product"] + 0.02


def test_centroids_are_chosen_alike_by_distance_and_dot_product():
    codes = filled(index_type="IVF-PQ", code_bytes=2, nlist=16)
    vectors = VectorSearchIndex(DIM, "IVF", "cosine", nlist=16)
    vectors.train(LEARN)
    vectors.add(BASE)
    np.testing.assert_allclose(codes.centroids, vectors.centroids, atol=1e-5)
    np.testing.assert_array_equal(codes.list_sizes, vectors.list_sizes)


@pytest.mark.parametrize("index_type, options", [("PQ", {}), ("IVF-PQ", {"nlist": 8})])
def test_codes_saved_with_dot_products_under_cosine_are_refused(
    tmp_path, index_type, options, monkeypatch
):
    with monkeypatch.context() as before:
        before.setattr(VectorSearchIndex.families[index_type], "_compared_by", "inner_product")
        filled(index_type=index_type, code_bytes=2, **options).save(tmp_path / "old")
    with refused("compared by another metric.*must have metric 1 .l2..*Build the index again"):
        VectorSearchIndex.load(tmp_path / "old")


def test_training_has_no_annealing_and_no_chatter(capfd):
    for index_type, options in (("PQ", {}), ("IVF-PQ", {"nlist": 16})):
        index = filled(index_type=index_type, code_bytes=2, **options)
        assert index._faiss.do_polysemous_training is False
        assert index._faiss.pq.cp.seed == 0
    assert capfd.readouterr() == ("", "")


def test_recall_grows_with_bytes_lists_and_reranking():
    by_bytes = [
        recall(filled(code_bytes=size, fast_scan=True, learn=LEARN[:2000])) for size in (1, 2, 4, 8)
    ]
    assert by_bytes == sorted(by_bytes) and by_bytes[0] < 0.5
    index = filled(code_bytes=2, fast_scan=True, rerank=1, learn=LEARN[:2000])
    by_factor = []
    for factor in (0, 1, 2, 8, 200):
        index.set_search(rerank=factor)
        by_factor.append(recall(index))
        exact = {"distances": 30 * min(10 * factor, 2000)} if factor else {}
        assert index.search(QUERIES, 10).work == {"codes": 30 * 2000, **exact}
    # Codes alone and re-ranking of the same ten find the same; then never fewer.
    assert by_factor[0] == by_factor[1] and by_factor == sorted(by_factor) and by_factor[-1] == 1
    lists = filled(
        index_type="IVF-PQ", code_bytes=2, fast_scan=True, rerank=200, nlist=16, learn=LEARN[:2000]
    )
    by_lists = []
    for nprobe in (1, 2, 4, 8, 16):
        lists.set_search(nprobe=nprobe)
        by_lists.append(recall(lists))
    assert by_lists == sorted(by_lists) and by_lists[-1] == 1


def test_a_rotation_helps_where_dimensions_are_unequal():
    rng = np.random.default_rng(0)
    base = (rng.standard_normal((3000, DIM)) * 0.7 ** np.arange(DIM)).astype(
        np.float32
    )  # the first say it all
    found = {}
    for rotate in (False, True):
        index = VectorSearchIndex(DIM, "PQ", "l2", code_bytes=2, fast_scan=True, rotate=rotate)
        index.train(base)
        index.add(base)
        truth = topk_exact(base[:100], base, 10, "l2")[1]
        found[rotate] = (index.search(base[:100], 10)[1][:, :, None] == truth[:, None]).mean() * 10
    assert found[True] > found[False] + 0.05


# ---- bad input


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"code_bytes": 3},
            "3 bytes of 8-bit codes are 3 sub-quantisers, which do not .* example code_bytes = 2",
        ),
        (
            {"code_bytes": 16, "fast_scan": True},
            "16 bytes of 4-bit codes are 32 sub-quantisers, which do not",
        ),
        ({}, "32 bytes of 8-bit codes"),
        ({"code_bytes": 2, "rotate": 1}, "rotate must be True or False, got 1"),
    ],
)
@pytest.mark.parametrize("index_type", ["PQ", "IVF-PQ"])
def test_codes_that_cannot_be(index_type, options, message):
    with refused(message):
        VectorSearchIndex(DIM, index_type, **options)


def test_codebooks_need_vectors():
    with refused("a codebook of 8 bits needs at least 39 x 256 = 9984.*got 9983"):
        filled(learn=LEARN[:-1], code_bytes=2)
    with refused("a codebook of 4 bits needs at least 39 x 16 = 624.*got 600"):
        filled(learn=LEARN[:600], code_bytes=2, fast_scan=True, index_type="IVF-PQ", nlist=1)
    with refused("IVF with nlist = 300 needs at least 39 x 300 = 11700"):
        filled(code_bytes=2, index_type="IVF-PQ", nlist=300)


def test_reranking_needs_what_was_kept():
    index = filled(code_bytes=2, fast_scan=True)
    with refused("rerank = 4 needs the vectors themselves.*make one with rerank"):
        index.set_search(rerank=4)
    index.set_search(rerank=0)
    assert "vectors" not in index.bytes_by_part()
    assert (
        filled(code_bytes=2, fast_scan=True, rerank=3).bytes_by_part()["vectors"] == 2000 * DIM * 4
    )


def test_fast_scan_cannot_remove():
    index = filled(code_bytes=2, fast_scan=True)
    with refused("index type 'PQ' with fast_scan = True cannot remove vectors"):
        index.remove([1])
