"""Recall by id and by distance, beside ann-benchmarks' own loops written out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.index import METRICS, topk_exact
from lib.studies.ann import ground_truth, harness
from lib.studies.ann.configs import standard_configs
from lib.studies.ann.ground_truth import exact_ids, truth
from tests.studies.ann.toy import toy, two_cones

INF = np.inf


def ann_benchmarks_hits(true, run, count, threshold, epsilon):
    """`get_recall_values` of ann-benchmarks: the hits of every query."""
    hits = np.zeros(len(run))
    for i in range(len(run)):
        t = threshold(true[i], count, epsilon)
        actual = 0
        for d in run[i][:count]:
            if d <= t:
                actual += 1
        hits[i] = actual
    return hits


def knn_threshold(data, count, epsilon):
    return data[count - 1] + epsilon


def epsilon_threshold(data, count, epsilon):
    return data[count - 1] * (1 + epsilon)


# ---- by hand


def test_ids_count_once_and_minus_one_never():
    true = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [1, 2, 3]]
    run = [[3, 9, 1], [4, 4, 4], [-1, -1, 8], [-1, -1, -1]]
    assert ground_truth.hits_by_id(run, true, 3).tolist() == [2, 1, 1, 0]
    assert ground_truth.hits_by_id(run, true, 1).tolist() == [0, 1, 0, 0]
    assert ground_truth.hits_by_id([[-1, 2]], [[-1, 2]], 2).tolist() == [
        1
    ]  # a missing truth is not found by a missing hit


def test_distances_count_up_to_the_kth_and_a_thousandth_more():
    true = [[0.1, 0.2, 0.3]]
    assert ground_truth.hits_by_distance([[0.3005, 0.30101, 0.1]], true, 3).tolist() == [2]
    assert ground_truth.hits_by_distance([[0.1, 0.2, INF]], true, 3).tolist() == [2]
    assert ground_truth.hits_by_distance([[0.1, 0.2]], true, 2, slack=0).tolist() == [2]


def test_a_tie_at_the_cut_off_counts_by_distance_and_not_by_id():
    # Items 2 and 3 are equally far; exact search keeps the smaller id, the index returned the
    # other.
    assert ground_truth.hits_by_id([[0, 1, 3]], [[0, 1, 2]], 3).tolist() == [2]
    assert ground_truth.hits_by_distance(
        [[0.0, 0.5, 0.7]], [[0.0, 0.5, 0.7]], 3, slack=0
    ).tolist() == [3]


def test_distances_are_computed_again_and_repeats_are_infinitely_far():
    items = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]])
    ids = np.array([[2, 0, 2, -1]])
    queries = np.array([[3.0, 4.0]])
    rows = items[np.maximum(ids, 0).ravel()]
    expected = {"cosine": [0, 0.4], "l2": [0, np.sqrt(20)], "inner_product": [-25, -3]}
    for metric, distances in expected.items():
        result = ground_truth.recomputed_distances(queries, rows, ids, metric)
        np.testing.assert_allclose(result, [[*distances, INF, INF]], atol=1e-7)


def test_relative_error():
    assert ground_truth.relative_error([[1.0, 3.0]], [[1.0, 1.0]], 2) == 2
    assert ground_truth.relative_error([[0.0]], [[0.0]], 1) == INF
    assert ground_truth.relative_error([[1.0, INF]], [[1.0, 1.0]], 2) == INF


# ---- ann-benchmarks

ties = st.integers(0, 6).map(lambda step: step * 5e-4)  # steps of half the slack, so that many tie


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 5), st.integers(1, 6))
def test_counts_are_those_of_ann_benchmarks(data, k, n_queries):
    def rows(values):
        return np.array(
            data.draw(
                st.lists(
                    st.lists(values, min_size=k, max_size=k), min_size=n_queries, max_size=n_queries
                )
            )
        )

    true = np.sort(rows(ties), axis=1)
    run = rows(st.one_of(ties, st.just(INF)))
    theirs = ann_benchmarks_hits(true, run, k, knn_threshold, 1e-3)
    ours = ground_truth.hits_by_distance(run, true, k)
    assert ours.tolist() == theirs.tolist()
    assert ours.mean() / k == np.mean(theirs) / float(k)  # to the last bit
    for slack in (0.01, 0.1):
        theirs = ann_benchmarks_hits(true, run, k, epsilon_threshold, slack)
        assert (
            ground_truth.hits_by_relative_distance(run, true, k, slack).tolist() == theirs.tolist()
        )


@pytest.mark.parametrize("metric", METRICS)
def test_exact_search_has_full_recall_and_a_worse_answer_less(metric):
    rng = np.random.default_rng(0)
    items = rng.integers(-2, 3, (60, 6)).astype(np.float32)  # many ties
    items[~items.any(axis=1)] = 1
    queries = rng.standard_normal((20, 6))
    ids = topk_exact(queries, items, 8, metric)[1]
    true = ground_truth.recomputed_distances(queries, items[ids.ravel()], ids, metric)
    assert (np.diff(true, axis=1) >= 0).all()
    assert (ground_truth.hits_by_id(ids, ids, 8) == 8).all() and (
        ground_truth.hits_by_distance(true, true, 8) == 8
    ).all()
    worse = np.where(rng.random(ids.shape) < 0.5, rng.integers(-1, 60, ids.shape), ids)
    result = ground_truth.recomputed_distances(
        queries, items[np.maximum(worse, 0).ravel()], worse, metric
    )
    by_id, by_distance = (
        ground_truth.hits_by_id(worse, ids, 8),
        ground_truth.hits_by_distance(result, true, 8),
    )
    assert (by_id <= by_distance).all() and by_distance.sum() < 160
    sets = [
        len({i for i in row if i >= 0} & set(right))
        for row, right in zip(worse.tolist(), ids.tolist())
    ]
    assert by_id.tolist() == sets


# ---- a corpus


def test_neighbours_that_came_with_the_data_are_the_truth():
    corpus = toy()
    made_up = np.tile(np.arange(5, dtype=np.int32), (12, 1))
    given = toy(neighbours={"image": (made_up, np.zeros((12, 5)))})
    assert np.array_equal(truth(given, 3)["image"].ids, made_up[:, :3])
    for k in (3, 6):  # there are five for images, none for texts
        assert np.array_equal(truth(given, k)["text"].ids, truth(corpus, k)["text"].ids)
    assert np.array_equal(truth(given, 6)["image"].ids, truth(corpus, 6)["image"].ids)


def test_exact_ids():
    cones = two_cones(4000, 16, 1.0, n_queries=60, seed=2)
    ids = exact_ids(cones, cones.learn["text"][:5], 10)
    np.testing.assert_array_equal(ids, topk_exact(cones.learn["text"][:5], cones.vectors(), 10)[1])


def test_an_id_is_left_out_wherever_it_stands():
    ids = np.array([[7, 1, 2], [1, 8, 2], [1, 2, 3]])
    assert ground_truth.without_own(ids, np.array([7, 8, 9])).tolist() == [[1, 2], [1, 2], [1, 2]]


def test_who_finds_itself_finds_more():
    corpus = two_cones(2000, 16, 1.0, n_queries=50)
    index = harness.build(corpus, standard_configs(2000, 16, ["IVF"])[-1])[0]
    index.set_search(nprobe=1)
    result = ground_truth.recall_by_query_source(corpus, index, 200)
    assert list(result) == [
        "base, itself counted",
        "base, itself left out",
        "new images",
        "new texts",
    ]
    assert (
        100
        > result["base, itself counted"]
        > result["base, itself left out"]
        > result["new texts"]
        > 0
    )
    index.set_search(nprobe=index.build_options["nlist"])
    assert set(ground_truth.recall_by_query_source(corpus, index, 200).values()) == {100.0}


# ---- mistakes


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ground_truth.hits_by_id([[1.0]], [[1]], 1), "ids of the run have dtype float64"),
        (
            lambda: ground_truth.hits_by_id([[1]], [[1]], 2),
            r"shape \(1, 1\); expected \(1, 2\) or wider",
        ),
        (
            lambda: ground_truth.hits_by_id([[1], [2]], [[1]], 1),
            r"ids of the true .* expected \(2, 1\)",
        ),
        (
            lambda: ground_truth.hits_by_distance([[np.nan]], [[1.0]], 1),
            "a distance of the run is NaN in row 0",
        ),
        (lambda: ground_truth.hits_by_id([[1]], [[1]], 0), "k must be at least 1"),
        (
            lambda: ground_truth.recomputed_distances(
                np.ones((2, 3)), np.ones((3, 3)), np.zeros((2, 2), int), "l2"
            ),
            "2 queries, 3 items and ids of shape",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, says):
    with pytest.raises(RetrievalInputError, match=says):
        call()
