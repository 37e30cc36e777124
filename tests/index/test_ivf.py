"""The inverted file beside exact search, and what faiss is told to do."""

import faiss
import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.index import METRICS, IVFIndex, VectorSearchIndex, topk_exact
from lib.index.faiss_index import best_first, check_metric, one_thread
from lib.index.ivf import default_nlist
from tests.index.clusters import clustered
from tests.index.oracle import refused

BASE, QUERIES = clustered(4000, seed=1), clustered(50, seed=2)


def filled(metric="cosine", vectors=BASE, **options):
    index = VectorSearchIndex(vectors.shape[1], "IVF", metric, **options)
    index.train(vectors)
    index.add(vectors)
    return index


@pytest.mark.parametrize(
    "n, nlist",
    [(1, 1), (38, 1), (78, 2), (4000, 64), (12_000, 256), (100_000, 1024), (10**6, 2048)],
)
def test_lists_by_size(n, nlist):
    # 4 sqrt(n) from about 24,000 on, n / 39 below: 4000 / 39 = 102.6; 12,000 / 39 = 307.7; 4 *
    # 316.2 = 1264.9
    assert default_nlist(n) == nlist


@pytest.mark.parametrize("metric", METRICS)
def test_all_lists_are_exact_search_and_more_lists_find_more(metric):
    index = filled(metric)
    assert index.build_options == {"nlist": 64, "seed": 0}
    truth = topk_exact(QUERIES, BASE, 10, metric)[1]
    recalls, distances = [], []
    for nprobe in (1, 2, 4, 8, 16, 32, 64):
        index.set_search(nprobe=nprobe)
        result = index.search(QUERIES, 10)
        recalls.append((result.ids[:, :, None] == truth[:, None]).sum())
        distances.append(result.work["distances"])
        coarse = {"centroids": 50 * 64, "lists": 50 * nprobe}
        assert result.work == {"distances": distances[-1], **coarse}
    assert (
        recalls == sorted(recalls) and recalls[0] < 500 == recalls[-1]
    )  # never fewer, without any slack
    assert distances == sorted(distances) and distances[-1] == 50 * 4000


def test_distances_are_the_lengths_of_the_visited_lists():
    index = filled(nlist=16, nprobe=3)
    work = index.search(QUERIES, 10).work
    centroids = faiss.downcast_index(index._faiss.quantizer).reconstruct_n(0, 16)
    visited = topk_exact(QUERIES, centroids, 3, "inner_product")[1]
    assert work["distances"] == index.list_sizes[visited].sum()
    assert index.list_sizes.sum() == 4000
    assert index.imbalance == pytest.approx(16 * ((index.list_sizes / 4000) ** 2).sum())


@pytest.mark.parametrize("metric", METRICS)
def test_centroids_have_unit_length_but_for_l2(metric):
    index = filled(metric, BASE * 3, nlist=16)
    lengths = np.linalg.norm(
        faiss.downcast_index(index._faiss.quantizer).reconstruct_n(0, 16), axis=1
    )
    assert np.allclose(lengths, 1, atol=1e-5) == (metric != "l2")
    metric_type = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    assert index._faiss.metric_type == index._faiss.quantizer.metric_type == metric_type


def test_a_faiss_index_of_another_metric_is_refused():
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(4), 4, 2)  # faiss's default is squared distances
    with pytest.raises(RuntimeError, match="IndexIVFFlat must have metric 0 .* got 1"):
        check_metric(index, "cosine")
    with pytest.raises(RuntimeError, match="IndexFlatIP must have metric 1"):
        check_metric(index, "l2")


def test_seeds_differ_and_repeat():
    one, again, other = (filled(seed=seed, nlist=32).list_sizes.tolist() for seed in (1, 1, 2))
    assert one == again != other


def test_nothing_is_logged_and_threads_are_given_back(capfd):
    faiss.omp_set_num_threads(2)
    try:
        filled(vectors=BASE[: 39 * 16], nlist=16)  # faiss warns of fewer
        assert faiss.omp_get_max_threads() == 2
        with pytest.raises(KeyError), one_thread():
            assert faiss.omp_get_max_threads() == 1
            raise KeyError
        assert faiss.omp_get_max_threads() == 2
    finally:
        faiss.omp_set_num_threads(1)
    assert capfd.readouterr() == ("", "")


def test_training_says_how_many_vectors_it_needs():
    with pytest.raises(RetrievalInputError) as error:
        filled(vectors=BASE[: 39 * 16 - 1], nlist=16)
    assert (
        str(error.value)
        == "IVF with nlist = 16 needs at least 39 x 16 = 624 vectors to train on, got 623. Give"
        " more, or choose a smaller nlist"
    )


def test_more_lists_than_there_are():
    index = filled(nlist=4)
    assert index.search_options == {"nprobe": 4}  # the default of 8 gives way
    with refused("nprobe must be at most 4 .* got 5"):
        index.set_search(nprobe=5)
    with refused("nprobe must be at most 4"):
        filled(nlist=4, nprobe=8)  # asked for, so not
    with refused("untrained and has no lists"):
        _ = IVFIndex(16).list_sizes
    later = VectorSearchIndex(16, "IVF", nlist=4)
    later.set_search(nprobe=9)
    with refused("nprobe must be at most 4"):
        later.train(BASE)


def test_ties_are_ordered_and_holes_filled():
    smallest = -np.finfo(np.float32).max  # what faiss says where nothing was found
    scores = np.array([[3, 2, 2, 2], [5, 4, smallest, smallest]], np.float32)
    ids = np.array([[9, 8, 3, 5], [4, 2, -1, -1]])
    best_first(scores, ids)
    assert ids.tolist() == [[9, 3, 5, 8], [4, 2, -1, -1]]
    assert scores.tolist() == [[3, 2, 2, 2], [5, 4, -np.inf, -np.inf]]
