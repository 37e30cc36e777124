import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.index import topk_exact
from lib.index.from_scratch.cells import (
    assign,
    first_centroids,
    inverted_lists,
    kmeans,
    search_cells,
)
from tests.index.clusters import clustered
from tests.index.oracle import refused

ROWS, QUERIES = clustered(600, seed=1), clustered(25, seed=2)
CENTROIDS, ERRORS = kmeans(ROWS, first_centroids(ROWS, 12), 8)
LISTS = inverted_lists(assign(ROWS, CENTROIDS), 12)


def test_one_step_by_hand():
    centroids, errors = kmeans([[0.0], [1.0], [9.0]], [[0.0], [8.0]], 1)
    assert centroids.tolist() == [[0.5], [9.0]] and errors.tolist() == [
        2.0
    ]  # 0 + 1 + 1 before the update


def test_an_empty_cell_keeps_its_centroid():
    assert kmeans([[0.0], [2.0]], [[1.0], [50.0]], 3)[0].tolist() == [[1.0], [50.0]]


def test_the_error_never_grows():
    assert (np.diff(ERRORS) <= 1e-6 * ERRORS[0]).all() and ERRORS[-1] < ERRORS[0]


def test_equals_faiss_from_the_same_start():
    faiss = pytest.importorskip("faiss")
    start = first_centroids(ROWS, 12, seed=3)
    theirs = faiss.Kmeans(16, 12, niter=8, min_points_per_centroid=1)
    theirs.train(ROWS, init_centroids=start)
    ours, errors = kmeans(ROWS, start, 8)
    np.testing.assert_allclose(ours, theirs.centroids, atol=1e-5)
    np.testing.assert_allclose(errors, theirs.obj, rtol=1e-5)


def test_lists_partition_the_rows():
    members, limits = LISTS
    assert np.sort(members).tolist() == list(range(600)) and limits[-1] == 600
    for cell in range(12):
        assert (assign(ROWS, CENTROIDS)[members[limits[cell] : limits[cell + 1]]] == cell).all()


@pytest.mark.parametrize("metric", ["l2", "inner_product"])
def test_all_cells_are_exact_search(metric):
    scores, ids, scored = search_cells(QUERIES, ROWS, CENTROIDS, LISTS, 10, 12, metric)
    expected = topk_exact(QUERIES, ROWS, 10, metric)
    assert np.array_equal(scores, expected[0]) and np.array_equal(ids, expected[1])
    assert (scored == 600).all()


@pytest.mark.parametrize("metric", ["l2", "inner_product"])
@pytest.mark.parametrize("nprobe", [1, 3])
def test_equals_a_faiss_inverted_file_with_these_centroids(metric, nprobe):
    faiss = pytest.importorskip("faiss")
    kind = {"l2": faiss.METRIC_L2, "inner_product": faiss.METRIC_INNER_PRODUCT}[metric]
    coarse = faiss.IndexFlat(16, kind)
    coarse.add(CENTROIDS)
    index = faiss.IndexIVFFlat(coarse, 16, 12, kind)
    index.add(ROWS)
    lists = inverted_lists(assign(ROWS, CENTROIDS, metric), 12)
    index.nprobe = nprobe
    faiss.cvar.indexIVF_stats.reset()
    theirs = index.search(QUERIES, 5)[1]
    _, ids, scored = search_cells(QUERIES, ROWS, CENTROIDS, lists, 5, nprobe, metric)
    assert np.array_equal(ids, theirs)
    assert scored.sum() == faiss.cvar.indexIVF_stats.ndis


@given(nprobe=st.integers(1, 11))
@settings(max_examples=10, deadline=None)
def test_more_cells_never_find_worse(nprobe):
    few, more = (
        search_cells(QUERIES, ROWS, CENTROIDS, LISTS, 5, n)[0] for n in (nprobe, nprobe + 1)
    )
    assert (more >= few).all()


def test_too_few_rows_in_the_cells_are_filled_up():
    lists = inverted_lists([0, 1, 1], 2)
    scores, ids, scored = search_cells([[0.0]], [[0.0], [9.0], [8.0]], [[0.0], [9.0]], lists, 2, 1)
    assert (
        ids.tolist() == [[0, -1]] and scores.tolist() == [[0.0, -np.inf]] and scored.tolist() == [1]
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kmeans(ROWS[:3], ROWS[:4]), "rows must be at least 4 .* got 3"),
        (lambda: kmeans(ROWS, ROWS[:4, :2]), "centroids must have dimension 16, got 2"),
        (lambda: kmeans(ROWS, ROWS[:4], 0), "iterations must be at least 1"),
        (lambda: first_centroids(ROWS, 601), "cannot draw k = 601 different rows of 600"),
        (lambda: inverted_lists([0, 5], 5), "cells must be 0 to 4, got 0 to 5"),
        (
            lambda: search_cells(QUERIES, ROWS, CENTROIDS, LISTS, 5, 13),
            "nprobe = 13 is more than the 12 cells",
        ),
        (
            lambda: search_cells(QUERIES, ROWS, CENTROIDS, LISTS, 5, 1, "cosine"),
            "metric must be one of",
        ),
    ],
)
def test_bad_input(call, message):
    with refused(message):
        call()
