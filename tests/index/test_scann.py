"""ScaNN where its package is; a clear message where it is not."""

import sys

import faiss
import numpy as np
import pytest

from lib.index import METRICS, VectorSearchIndex, topk_exact
from tests.index.clusters import clustered
from tests.index.oracle import refused

BASE, QUERIES = clustered(1600, seed=1), clustered(40, seed=2)


def test_without_the_package_it_says_what_to_do(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "scann"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "scann", None)
    with refused(r"exists for Linux only: pip install '.*\[ann\]'.*'IVF-PQ'"):
        VectorSearchIndex(16, "ScaNN")


@pytest.fixture
def filled():
    pytest.importorskip("scann")

    def make(metric="cosine", vectors=BASE, **options):
        index = VectorSearchIndex(16, "ScaNN", metric, **options)
        index.add(vectors)
        return index

    return make


def hits(index):
    truth = topk_exact(QUERIES, BASE, 10, index.metric)[1]
    return (index.search(QUERIES, 10)[1][:, :, None] == truth[:, None]).sum()


@pytest.mark.parametrize("metric", METRICS)
def test_all_leaves_with_everything_scored_again_are_exact_search(filled, metric):
    index = filled(metric, n_leaves=20)
    index.finish()
    found = []
    for leaves in (1, 2, 5, 20):
        index.set_search(leaves_to_search=leaves, rerank=160)
        found.append(hits(index))
    # Not found[0] < 400: training takes no seed, and now and then one leaf holds nearly everything.
    assert found == sorted(found) and found[-1] == 400
    few = filled(metric, n_leaves=20, leaves_to_search=20, rerank=1)
    assert hits(few) < 400 and few.search(QUERIES, 10).work == {}


def test_where_few_leaves_hold_fewer_than_k_the_rest_is_empty(filled):
    index = filled(n_leaves=40, leaves_to_search=1)
    scores, ids = index.search(QUERIES, 1000)
    assert (ids[:, -1] == -1).all() and (scores[ids == -1] == -np.inf).all()
    assert np.isfinite(scores[ids >= 0]).all()
    # Training takes no seed and may leave a leaf empty: a query that is sent there finds nothing.
    assert (ids[:, 0] >= 0).mean() >= 0.9
    assert (np.diff((ids >= 0).astype(int), axis=1) <= 0).all()  # what is missing is at the end


def test_leaves_are_chosen_by_size_and_defaults_give_way(filled):
    index = filled()
    assert index.build_options["n_leaves"] is None
    index.finish()
    assert index.build_options["n_leaves"] == 40 and index.search_options["leaves_to_search"] == 8
    index = filled(vectors=BASE[:700])  # 700 / 39 = 17.9 is below the root, 26.5
    index.finish()
    assert index.build_options["n_leaves"] == 17
    with refused("leaves_to_search must be at most 17 .* got 18"):
        index.set_search(leaves_to_search=18)
    with refused("leaves_to_search must be at most 4"):
        filled(n_leaves=4, leaves_to_search=9).finish()


def test_two_threads_find_the_same(filled):
    index = filled()
    expected = index.search(QUERIES, 5)
    faiss.omp_set_num_threads(2)
    try:
        for found, same in zip(index.search(QUERIES, 5), expected):
            np.testing.assert_array_equal(found, same)
    finally:
        faiss.omp_set_num_threads(1)


def test_nothing_is_logged(filled, capfd, tmp_path):
    index = filled()
    index.search(QUERIES, 3)
    index.save(tmp_path / "a")
    VectorSearchIndex.load(tmp_path / "a").search(QUERIES, 3)
    assert capfd.readouterr() == ("", "")
    print("heard", file=sys.stderr)
    assert capfd.readouterr().err == "heard\n"


def test_a_pickle_beside_the_index_is_not_read(filled, tmp_path):
    filled().save(tmp_path / "a")
    (tmp_path / "a" / "scann_docids.pkl").write_bytes(b"not a pickle")
    assert VectorSearchIndex.load(tmp_path / "a").search(QUERIES, 3)[1].shape == (40, 3)


# ---- bad input


def test_what_is_built_takes_no_more(filled, tmp_path):
    index = filled()
    index.add(BASE[:10])
    index.search(QUERIES, 1)
    with refused("this ScaNN index is built.*Add everything before"):
        index.add(BASE[:1])
    assert index.ntotal == 1610
    with refused("the index is empty: add vectors before save"):
        filled(vectors=BASE[:0]).save(tmp_path / "a")


def test_it_learns_from_what_it_holds_and_needs_enough(filled):
    with refused("ScaNN with n_leaves = 15 needs at least 39 x 16 = 624.*got 623"):
        filled(vectors=BASE[:623]).search(QUERIES, 1)
    with refused("n_leaves = 50 needs at least 39 x 50"):
        filled(n_leaves=50).search(QUERIES, 1)


def test_whether_whole_vectors_are_kept_is_settled(filled):
    for made, wanted in ((0, 5), (5, 0)):
        with refused(f"rerank = {wanted}, but this index was made with {made}"):
            filled(rerank=made).set_search(rerank=wanted)
    assert "vectors" not in filled(rerank=0).bytes_by_part()


@pytest.mark.parametrize("threshold", [1.0, -0.1, "0.2", True])
def test_thresholds_are_cosines(filled, threshold):
    with refused("anisotropic_threshold must be between 0 and 1 .not 1."):
        filled(anisotropic_threshold=threshold)
