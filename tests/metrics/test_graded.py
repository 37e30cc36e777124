import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.metrics import (
    Qrels,
    average_precision,
    average_precision_at_r,
    first_rank,
    hit_rate_at_k,
    map_at_r,
    mean_average_precision,
    mean_rank,
    median_rank,
    ndcg_at_k,
    precision_at_k,
    r_precision,
    recall_at_k,
    reciprocal_rank,
)

# ---- by hand

GRADED = Qrels.from_pairs([0, 0, 0], [0, 1, 2], [3, 2, 1], shape=(1, 4))  # a 3, b 2, c 1, x 0
CBXA = [[2, 1, 3, 0]]


def test_gains_of_a_graded_list():
    linear = (1 + 2 / math.log2(3) + 3 / math.log2(5)) / (3 + 2 / math.log2(3) + 1 / 2)
    exponential = (1 + 3 / math.log2(3) + 7 / math.log2(5)) / (7 + 3 / math.log2(3) + 1 / 2)
    assert ndcg_at_k(CBXA, GRADED, 4, gain="linear") == pytest.approx(linear, abs=1e-15)
    assert ndcg_at_k(CBXA, GRADED, 4) == pytest.approx(exponential, abs=1e-15)
    assert (round(linear, 4), round(exponential, 4)) == (0.7463, 0.6289)


def test_the_ideal_counts_what_was_never_retrieved():
    run = [[0, 9, *[-1] * 8]]  # one of three relevant items, and nothing after rank 2
    expected = 1 / (1 + 1 / math.log2(3) + 1 / 2)
    assert ndcg_at_k(run, [[0, 1, 2]], 10).tolist() == [pytest.approx(expected, abs=1e-15)]
    assert round(expected, 4) == 0.4693
    assert (
        average_precision(run, [[0, 1, 2]]).tolist()
        == recall_at_k(run, [[0, 1, 2]], 10).tolist()
        == [1 / 3]
    )
    assert precision_at_k(run, [[0, 1, 2]], 10).tolist() == [
        0.1
    ]  # the list is short, the places are ten


HITS_AT_1_3_5 = [[0, 10, 1, 11, 2]]  # of R = 5
FIVE = [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize(
    "denominator, value", [("relevant", 1 / 3), ("min(R,k)", 5 / 9), ("hits", 5 / 6)]
)
def test_three_average_precisions(denominator, value):
    run = [[0, 10, 1]]
    assert average_precision(run, FIVE, 3, denominator=denominator) == pytest.approx(
        value, abs=1e-15
    )
    assert mean_average_precision(HITS_AT_1_3_5, FIVE, 3, denominator=denominator) == pytest.approx(
        value
    )


def test_metrics_at_r():
    assert map_at_r(HITS_AT_1_3_5, FIVE) == pytest.approx((1 + 2 / 3 + 3 / 5) / 5, abs=1e-15)
    assert round(map_at_r(HITS_AT_1_3_5, FIVE), 4) == 0.4533
    assert r_precision(HITS_AT_1_3_5, FIVE).tolist() == [0.6]
    assert recall_at_k(HITS_AT_1_3_5, FIVE, 3).tolist() == [0.4]
    assert hit_rate_at_k(HITS_AT_1_3_5, FIVE, 3).tolist() == [1]
    beyond = [[9, 0, 1, 2]]  # with R = 2, ranks 3 and 4 do not count
    assert r_precision(beyond, [[0, 2]]).tolist() == [0.5]
    assert average_precision_at_r(beyond, [[0, 2]]).tolist() == [0.25]
    assert average_precision(beyond, [[0, 2]]).tolist() == [0.5]


def test_two_of_four():
    run, relevant = [[0, 2, 1, 3]], [[0, 1]]  # a hit, b hit at 3
    assert mean_average_precision(run, relevant) == pytest.approx(5 / 6)
    assert recall_at_k(run, relevant, 1).tolist() == [0.5]


@pytest.mark.parametrize(
    "ranks, median, mean",
    [([1, 2, 4, 10], 3, 4.25), ([1, 2, 3, 10], 2.5, 4), ([7], 7, 7), ([5, 1, 2], 2, 8 / 3)],
)
def test_ranks_count_from_one_and_the_median_is_the_middle(ranks, median, mean):
    run = np.tile(np.arange(10), (len(ranks), 1))
    targets = np.array(ranks) - 1
    assert first_rank(run, targets).tolist() == ranks
    assert median_rank(run, targets) == median
    assert mean_rank(run, targets) == pytest.approx(mean)


def test_an_item_beyond_the_run_has_no_known_rank():
    run = [[0, 1], [0, 1], [0, 1]]
    assert first_rank(run, [1, 0, 5]).tolist() == [2, 1, np.inf]
    assert median_rank(run, [1, 0, 5]) == 2
    assert mean_rank(run, [1, 0, 5]) == median_rank(run, [1, 7, 5]) == np.inf


def test_discounts_of_the_first_two_ranks():
    assert ndcg_at_k([[0, 1], [1, 0]], [0, 0], 2).tolist() == [1, pytest.approx(1 / math.log2(3))]
    assert ndcg_at_k([[1]], [0], 1).tolist() == [0]  # an irrelevant list gains nothing, not 2^-1


# ---- against loops


@st.composite
def graded_runs(draw):
    n_queries, n_items = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    depth = draw(st.integers(1, n_items))
    ids = rng.permuted(np.tile(np.arange(n_items), (n_queries, 1)), axis=1)[:, :depth]
    grades = rng.integers(1, 5, (n_queries, n_items)) * (rng.random((n_queries, n_items)) < 0.4)
    grades[np.arange(n_queries), rng.integers(n_items, size=n_queries)] = 1
    return ids, grades


def qrels_of(grades):
    queries, items = np.nonzero(grades)
    return Qrels.from_pairs(queries, items, grades[queries, items], shape=grades.shape)


def dcg(grades, gain):
    return sum(
        (2.0**g - 1 if gain == "exponential" else g) / math.log2(r + 2)
        for r, g in enumerate(grades)
    )


@settings(deadline=None)
@given(graded_runs(), st.sampled_from(["exponential", "linear"]))
def test_every_metric_against_a_loop(run, gain):
    ids, grades = run
    qrels, depth = qrels_of(grades), ids.shape[1]
    for k in range(1, depth + 1):
        precision, ndcg = [], []
        ap = {"relevant": [], "min(R,k)": [], "hits": []}
        for row, truth in zip(ids, grades, strict=True):
            found = [truth[item] for item in row[:k]]
            n_hits, n_relevant = sum(g > 0 for g in found), int((truth > 0).sum())
            precision.append(n_hits / k)
            total = sum(sum(g > 0 for g in found[:r]) / r for r in range(1, k + 1) if found[r - 1])
            ap["relevant"].append(total / n_relevant)
            ap["min(R,k)"].append(total / min(n_relevant, k))
            ap["hits"].append(total / n_hits if n_hits else 0)
            ndcg.append(dcg(found, gain) / dcg(sorted(truth, reverse=True)[:k], gain))
        np.testing.assert_allclose(precision_at_k(ids, qrels, k), precision, atol=1e-12)
        np.testing.assert_allclose(ndcg_at_k(ids, qrels, k, gain=gain), ndcg, atol=1e-12)
        for denominator, expected in ap.items():
            actual = average_precision(ids, qrels, k, denominator=denominator)
            np.testing.assert_allclose(actual, expected, atol=1e-12)


@settings(deadline=None)
@given(graded_runs())
def test_metrics_at_r_are_the_metrics_cut_at_each_querys_r(run):
    ids, grades = run
    ids = np.concatenate([ids, np.full((len(ids), grades.shape[1] - ids.shape[1]), -1)], axis=1)
    for i, truth in enumerate(grades):
        one, row, r = qrels_of(truth[None]), ids[i : i + 1], int((truth > 0).sum())
        assert r_precision(row, one) == precision_at_k(row, one, r) == recall_at_k(row, one, r)
        assert average_precision_at_r(row, one) == average_precision(row, one, r)
    together = qrels_of(grades)
    assert (average_precision_at_r(ids, together) <= r_precision(ids, together) + 1e-12).all()
    assert (average_precision_at_r(ids, together) <= average_precision(ids, together) + 1e-12).all()


# ---- properties


@settings(deadline=None)
@given(graded_runs(), st.sampled_from(["exponential", "linear"]))
def test_gain_is_one_exactly_when_the_best_grades_come_first(run, gain):
    ids, grades = run
    qrels, depth = qrels_of(grades), ids.shape[1]
    for k in range(1, depth + 1):
        value = ndcg_at_k(ids, qrels, k, gain=gain)
        assert (value >= 0).all() and (value <= 1).all()
        ideal = np.sort(grades, axis=1)[:, ::-1][:, :k]
        perfect = (np.take_along_axis(grades, ids[:, :k], axis=1) == ideal).all(axis=1)
        assert ((value == 1) == perfect).all()


@settings(deadline=None)
@given(graded_runs())
def test_relations_of_binary_metrics(run):
    ids, grades = run
    qrels, depth = qrels_of(grades), ids.shape[1]
    for k in range(1, depth + 1):
        recall, precision = recall_at_k(ids, qrels, k), precision_at_k(ids, qrels, k)
        np.testing.assert_allclose(k * precision, qrels.counts * recall)
        ap = [
            average_precision(ids, qrels, k, denominator=d)
            for d in ("relevant", "min(R,k)", "hits")
        ]
        assert (ap[0] <= ap[1] + 1e-12).all() and (ap[1] <= ap[2] + 1e-12).all()
        single = qrels.counts == 1
        np.testing.assert_array_equal(ap[0][single], reciprocal_rank(ids, qrels, k)[single])
        np.testing.assert_array_equal(recall[single], hit_rate_at_k(ids, qrels, k)[single])


ALL = [
    lambda ids, targets, **options: precision_at_k(ids, targets, 2, **options),
    lambda ids, targets, **options: ndcg_at_k(ids, targets, 2, **options),
    average_precision,
    average_precision_at_r,
    r_precision,
]


@settings(deadline=None)
@given(graded_runs(), st.integers(0, 2**32 - 1))
def test_names_of_items_and_order_of_queries_do_not_matter(run, seed):
    ids, grades = run
    rng = np.random.default_rng(seed)
    ids = np.concatenate([ids, np.full((len(ids), 1 + grades.shape[1] - ids.shape[1]), -1)], axis=1)
    new_name, shuffled = rng.permutation(grades.shape[1]), rng.permutation(len(ids))
    renamed = np.empty_like(grades)
    renamed[:, new_name] = grades
    new_ids = np.where(ids < 0, -1, new_name[ids])[shuffled]
    for metric in ALL:
        before, after = metric(ids, qrels_of(grades)), metric(new_ids, qrels_of(renamed[shuffled]))
        assert (before[shuffled] == after).all()


def test_linear_gain_ignores_the_unit_of_the_grades():
    runs = np.array(list(itertools.permutations(range(4))))
    cells = np.indices((len(runs), 3)).reshape(2, -1)
    once, twice = (Qrels.from_pairs(*cells, cells[1] * f + f, shape=(len(runs), 4)) for f in (1, 2))
    assert (
        ndcg_at_k(runs, once, 3, gain="linear") == ndcg_at_k(runs, twice, 3, gain="linear")
    ).all()
    assert (ndcg_at_k(runs, once, 3) != ndcg_at_k(runs, twice, 3)).any()


# ---- bad input


@pytest.mark.parametrize("metric", ALL)
def test_queries_without_relevant_items(metric):
    targets = Qrels.from_pairs([1], [0], shape=(2, 3))
    with pytest.raises(RetrievalInputError, match="query 0 has no relevant item"):
        metric([[0, 1], [0, 1]], targets)
    assert metric([[0, 1], [0, 1]], targets, no_relevant="zero")[0] == 0  # not 1, not NaN


@pytest.mark.parametrize("metric", ALL)
@pytest.mark.parametrize(
    "run, targets, message",
    [
        ([[0, 1], [2, 2]], [0, 0], "id 2 is twice in row 1 of the run"),
        (
            [[0, 1], [0, 5]],
            Qrels.from_owner([0, 1], 2),
            r"id 5 in row 1 of the run is outside -1\.\.1",
        ),
        ([[0, 1]], [0, 1], "targets are for 2 queries, the run has 1 rows"),
        ([[0.0, 1.0]], [0], "a run must be whole numbers"),
        ([[0, 1]], [[0, 0]], "given twice"),
        ([[0, 1]], [-1], "item -1"),
    ],
)
def test_bad_input_is_named(metric, run, targets, message):
    with pytest.raises(RetrievalInputError, match=message):
        metric(run, targets)


@pytest.mark.parametrize("metric", [precision_at_k, ndcg_at_k, average_precision])
@pytest.mark.parametrize(
    "k, message",
    [
        (0, "k must be at least 1"),
        (True, "k must be a whole"),
        (1.0, "k must be a whole"),
        (3, "k = 3 is deeper"),
    ],
)
def test_cut_offs(metric, k, message):
    with pytest.raises(RetrievalInputError, match=message):
        metric([[0, 1]], [0], k)


@pytest.mark.parametrize("metric", [r_precision, average_precision_at_r, map_at_r])
def test_a_run_must_reach_rank_r(metric):
    with pytest.raises(
        RetrievalInputError, match="query 1 has R = 3 relevant items, the run holds 2 items"
    ):
        metric([[0, 1], [0, 1]], [[0], [0, 1, 2]])


def test_names_and_grades():
    with pytest.raises(
        RetrievalInputError, match="denominator must be one of 'relevant', .*'hits'; got 'R'"
    ):
        average_precision([[0]], [0], denominator="R")
    with pytest.raises(
        RetrievalInputError, match="gain must be one of .* Did you mean 'exponential'"
    ):
        ndcg_at_k([[0]], [0], 1, gain="exponent")
    steep = Qrels.from_pairs([0, 1], [0, 1], [30, 31], shape=(2, 2))
    with pytest.raises(
        RetrievalInputError, match="grade 31 of query 1, item 1 is above 30.*gain='linear'"
    ):
        ndcg_at_k([[0, 1], [0, 1]], steep, 2)
    assert ndcg_at_k([[0, 1], [1, 0]], steep, 2, gain="linear").tolist() == [1, 1]
