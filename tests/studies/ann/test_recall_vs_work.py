"""Curves: recall and work are the index's, and between two settings there is a mixture of both."""

import numpy as np
import pytest

from lib.index import VectorSearchIndex, topk_exact
from lib.studies.ann.recall_vs_work import (
    K,
    Point,
    hits_at_work,
    measure_curve,
    measure_curves,
    work_for,
)
from tests.studies.ann.toy import two_cones

POINTS = [
    Point({"nprobe": 1}, 100.0, np.array([0, 4])),
    Point({"nprobe": 2}, 200.0, np.array([10, 4])),
    Point({"nprobe": 4}, 400.0, np.array([10, 8])),
]


@pytest.mark.parametrize(
    "work, hits",
    [(100.0, [0, 4]), (150.0, [5, 4]), (200.0, [10, 4]), (300.0, [10, 6]), (400.0, [10, 8])],
)
def test_between_two_settings_queries_are_shared_out(work, hits):
    np.testing.assert_allclose(hits_at_work(work, POINTS), hits)


@pytest.mark.parametrize(
    ("recall", "work"), [(0.2, 100), (0.45, 150), (0.7, 200), (0.8, 300), (0.9, 400)]
)
def test_work_for_a_recall_is_the_way_back(recall, work):
    assert work_for(recall, POINTS) == pytest.approx(work)
    assert hits_at_work(work, POINTS).mean() / K == pytest.approx(recall)


def test_of_two_settings_of_one_recall_the_cheaper_is_enough():
    wasteful = [*POINTS[:2], Point({"nprobe": 3}, 300.0, POINTS[1].hits), POINTS[2]]
    assert work_for(0.7, wasteful) == pytest.approx(200)
    assert work_for(0.8, wasteful) == pytest.approx(350)


def test_nothing_is_extrapolated():
    assert hits_at_work(99.0, POINTS) is None and hits_at_work(401.0, POINTS) is None
    assert work_for(0.91, POINTS) is None and work_for(0.1, POINTS) == 100


def test_recall_of_a_point():
    assert POINTS[2].recall == 18 / 2 / K


@pytest.fixture(scope="module")
def cones():
    return two_cones(2000, 16, 1.0, n_queries=40, seed=2)


def test_work_counts_whole_vectors_and_centroids(cones):
    index = VectorSearchIndex(16, "IVF", nlist=8)
    index.train(cones.vectors())
    index.add(cones.vectors())
    both = measure_curves(cones, index, [{"nprobe": 1}, {"nprobe": 8}])
    assert set(both) == {"image", "text"}
    for few, all_lists in both.values():
        assert all_lists.recall == 1 and all_lists.work == 2000 + 8
        assert few.recall < 1 and 8 < few.work < 1000


def test_recall_among_what_is_allowed(cones):
    flat = VectorSearchIndex(16, "Flat")
    flat.add(cones.vectors())
    allowed = np.arange(0, 2000, 40)
    queries = cones.queries["text"]
    true = allowed[topk_exact(queries, cones.vectors(allowed), K)[1]]
    (point,) = measure_curve(flat, [{}], queries, true, allowed)
    assert point.recall == 1 and point.work == len(allowed)
