import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib import metrics
from lib.core.checks import RetrievalInputError
from lib.metrics import (
    Qrels,
    average_precision,
    average_precision_at_r,
    evaluate,
    first_rank,
    hit_rate_at_k,
    map_at_r,
    mean_average_precision,
    mean_rank,
    mean_reciprocal_rank,
    median_rank,
    ndcg_at_k,
    precision_at_k,
    r_precision,
    recall_at_k,
    reciprocal_rank,
)
from lib.search import Run, reciprocal_rank_fusion, rerank

# Two images ask for captions: image 0 owns captions 0, 1, 2 and image 1 owns 3, 4.
CAPTIONS = Qrels.from_owner([0, 0, 0, 1, 1], 2)
RUN = [[3, 1, 0], [2, 4, 3]]


def test_hit_rate_and_recall_by_hand():
    assert hit_rate_at_k(RUN, CAPTIONS, 1).tolist() == [0, 0]
    assert hit_rate_at_k(RUN, CAPTIONS, 2).tolist() == [1, 1]
    np.testing.assert_allclose(recall_at_k(RUN, CAPTIONS, 2), [1 / 3, 1 / 2])
    np.testing.assert_allclose(recall_at_k(RUN, CAPTIONS, 3), [2 / 3, 1])
    assert reciprocal_rank(RUN, CAPTIONS).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    "ranking, relevant, k, hit, recall, rr",
    [
        ([0, 9], [0, 1, 2], 2, 1, 1 / 3, 1),  # two relevant items were never retrieved
        ([0, 8, 1, 9], [0, 1], 1, 1, 1 / 2, 1),
        ([5, 8, 6, 9], [5, 6, 1, 2, 3], 3, 1, 2 / 5, 1),
        ([8, 9, 5, 6], [5], 2, 0, 0, 0),  # the first relevant item is beyond k
        ([8, 9, 5, 6], [5], 4, 1, 1, 1 / 3),
        ([-1, -1], [0], 2, 0, 0, 0),  # nothing was returned
        ([7, -1, 0], [0], 3, 1, 1, 1 / 3),
    ],
)
def test_one_query_by_hand(ranking, relevant, k, hit, recall, rr):
    assert hit_rate_at_k([ranking], [relevant], k).tolist() == [hit]
    np.testing.assert_allclose(recall_at_k([ranking], [relevant], k), [recall])
    np.testing.assert_allclose(reciprocal_rank([ranking], [relevant], k), [rr])


def test_five_captions_per_image_cap_recall_at_one_at_a_fifth():
    captions = Qrels.from_owner(np.repeat(np.arange(4), 5), 4)
    perfect = np.arange(20).reshape(4, 5)
    assert hit_rate_at_k(perfect, captions, 1).tolist() == [1] * 4
    assert recall_at_k(perfect, captions, 1).tolist() == [0.2] * 4
    assert recall_at_k(perfect, captions, 5).tolist() == [1] * 4


def test_mean_reciprocal_rank_averages_over_all_queries():
    assert mean_reciprocal_rank([[3, 1, 2], [0, 1, 2]], [2, 0]) == pytest.approx((1 / 3 + 1) / 2)
    assert mean_reciprocal_rank([[3, 1, 2], [0, 1, 2]], [2, 0], k=2) == 0.5
    assert isinstance(mean_reciprocal_rank([[0]], [0]), float)


@pytest.mark.parametrize(
    "targets",
    [
        Qrels.from_pairs([0, 1], [1, 0], shape=(2, 5)),
        [1, 0],
        np.array([1, 0]),
        np.array([[1], [0]]),
        [[1], [0]],
        [{1}, (0,)],
        [1, [0]],
    ],
)
def test_targets_in_every_form(targets):
    assert hit_rate_at_k([[1, 0], [1, 0]], targets, 1).tolist() == [1, 0]


def test_a_grade_says_nothing_to_a_binary_metric():
    assert recall_at_k(
        [[1, 0]], Qrels.from_pairs([0, 0], [0, 1], [3, 1], shape=(1, 2)), 1
    ).tolist() == [0.5]


@pytest.mark.parametrize(
    "metric", [hit_rate_at_k, recall_at_k, reciprocal_rank, mean_reciprocal_rank]
)
def test_queries_without_relevant_items(metric):
    targets = Qrels.from_pairs([1], [0], shape=(4, 3))
    run = [[0, 1]] * 4
    with pytest.raises(
        RetrievalInputError, match=r"query 0 has no relevant item \(and 2 more queries\)"
    ):
        metric(run, targets, 1)
    assert np.mean(metric(run, targets, 1, no_relevant="zero")) == 0.25
    with pytest.raises(RetrievalInputError, match="no_relevant must be one of 'error', 'zero'"):
        metric(run, targets, 1, no_relevant="skip")


@pytest.mark.parametrize("metric", [hit_rate_at_k, recall_at_k, reciprocal_rank])
@pytest.mark.parametrize(
    "run, targets, k, message",
    [
        ([[0, 1], [2, 2]], [0, 0], 1, "id 2 is twice in row 1 of the run"),
        (
            [[0, 1], [0, 5]],
            Qrels.from_owner([0, 1], 2),
            1,
            r"id 5 in row 1 of the run is outside -1\.\.1",
        ),
        ([[0, 1], [0, -2]], [0, 0], 1, "id -2 in row 1 of the run is outside -1 or more"),
        ([[0, 1]], [0], 3, r"k must be at most 2 \(the run\), got 3"),
        ([[0, 1]], [0], 0, "k must be at least 1, got 0"),
        ([[0, 1]], [0], True, "k must be a whole number"),
        ([[0, 1]], [0, 1], 1, r"targets must be for 1 queries \(the run\), got 2"),
        ([[0.0, 1.0]], [0], 1, r"a run must be whole numbers.*got float64 \(1, 2\)"),
        ([0, 1], [0], 1, r"shape \(n_queries, depth\).*got int64 \(2,\)"),
        (np.empty((0, 3), int), [], 1, r"at least one of each, got int64 \(0, 3\)"),
        ([[0, 1]], ["0"], 1, "targets.* must be a list of"),
        ([[0, 1]], [0.5], 1, "targets.* must be a list of"),
        ([[0, 1]], [[0, 0]], 1, "must be distinct"),
        ([[0, 1]], [-1], 1, "item -1"),
        ([[0, 1]], [[]], 1, "query 0 has no relevant item, so its metrics are undefined"),
    ],
)
def test_bad_input_is_named(metric, run, targets, k, message):
    with pytest.raises(RetrievalInputError, match=message):
        metric(run, targets, k)


def test_missing_items_may_repeat():
    assert hit_rate_at_k([[2, -1, -1, -1]], [2], 4).tolist() == [1]


@st.composite
def runs(draw):
    n_queries, n_items = draw(st.integers(1, 6)), draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    depth = draw(st.integers(1, n_items))
    ids = rng.permuted(np.tile(np.arange(n_items), (n_queries, 1)), axis=1)[:, :depth]
    relevant = rng.random((n_queries, n_items)) < 0.3
    relevant[np.arange(n_queries), rng.integers(n_items, size=n_queries)] = True
    return ids, relevant


def qrels_of(relevant):
    return Qrels.from_pairs(*np.nonzero(relevant), shape=relevant.shape)


@settings(deadline=None)
@given(runs())
def test_every_metric_against_a_loop(run):
    ids, relevant = run
    depth = ids.shape[1]
    for k in range(1, depth + 1):
        hit, recall, rr = [], [], []
        for row, truth in zip(ids, relevant, strict=True):
            ranks = [rank for rank, item in enumerate(row[:k], start=1) if truth[item]]
            hit.append(float(bool(ranks)))
            recall.append(len(ranks) / truth.sum())
            rr.append(1 / ranks[0] if ranks else 0)
        assert hit_rate_at_k(ids, qrels_of(relevant), k).tolist() == hit
        np.testing.assert_allclose(recall_at_k(ids, qrels_of(relevant), k), recall)
        np.testing.assert_allclose(reciprocal_rank(ids, qrels_of(relevant), k), rr)


@settings(deadline=None)
@given(runs())
def test_metrics_are_ordered(run):
    ids, relevant = run
    qrels, depth = qrels_of(relevant), ids.shape[1]
    previous = np.zeros(len(ids))
    for k in range(1, depth + 1):
        hit, recall, rr = (m(ids, qrels, k) for m in (hit_rate_at_k, recall_at_k, reciprocal_rank))
        assert (hit >= previous).all() and (recall <= hit).all()
        assert (hit_rate_at_k(ids, qrels, 1) <= rr).all() and (rr <= hit).all()
        assert (recall <= np.minimum(k, qrels.counts) / qrels.counts + 1e-12).all()
        single = qrels.counts == 1
        assert (recall[single] == hit[single]).all()
        previous = hit


@settings(deadline=None)
@given(runs(), st.integers(0, 2**32 - 1))
def test_names_of_items_and_order_of_queries_do_not_matter(run, seed):
    ids, relevant = run
    rng = np.random.default_rng(seed)
    new_name = rng.permutation(relevant.shape[1])
    shuffled = rng.permutation(len(ids))
    renamed = np.empty_like(relevant)
    renamed[:, new_name] = relevant
    for metric in (hit_rate_at_k, recall_at_k, reciprocal_rank):
        before = metric(ids, qrels_of(relevant), ids.shape[1])
        after = metric(new_name[ids][shuffled], qrels_of(renamed[shuffled]), ids.shape[1])
        assert (before[shuffled] == after).all()


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


def graded_qrels(grades):
    queries, items = np.nonzero(grades)
    return Qrels.from_pairs(queries, items, grades[queries, items], shape=grades.shape)


def dcg(grades, gain):
    return sum(
        (2.0**g - 1 if gain == "exponential" else g) / math.log2(r + 2)
        for r, g in enumerate(grades)
    )


@settings(deadline=None)
@given(graded_runs(), st.sampled_from(["exponential", "linear"]))
def test_every_metric_against_a_loop_of_graded(run, gain):
    ids, grades = run
    qrels, depth = graded_qrels(grades), ids.shape[1]
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
        one, row, r = graded_qrels(truth[None]), ids[i : i + 1], int((truth > 0).sum())
        assert r_precision(row, one) == precision_at_k(row, one, r) == recall_at_k(row, one, r)
        assert average_precision_at_r(row, one) == average_precision(row, one, r)
    together = graded_qrels(grades)
    assert (average_precision_at_r(ids, together) <= r_precision(ids, together) + 1e-12).all()
    assert (average_precision_at_r(ids, together) <= average_precision(ids, together) + 1e-12).all()


# ---- properties


@settings(deadline=None)
@given(graded_runs(), st.sampled_from(["exponential", "linear"]))
def test_gain_is_one_exactly_when_the_best_grades_come_first(run, gain):
    ids, grades = run
    qrels, depth = graded_qrels(grades), ids.shape[1]
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
    qrels, depth = graded_qrels(grades), ids.shape[1]
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
def test_names_of_items_and_order_of_queries_do_not_matter_of_graded(run, seed):
    ids, grades = run
    rng = np.random.default_rng(seed)
    ids = np.concatenate([ids, np.full((len(ids), 1 + grades.shape[1] - ids.shape[1]), -1)], axis=1)
    new_name, shuffled = rng.permutation(grades.shape[1]), rng.permutation(len(ids))
    renamed = np.empty_like(grades)
    renamed[:, new_name] = grades
    new_ids = np.where(ids < 0, -1, new_name[ids])[shuffled]
    for metric in ALL:
        before, after = (
            metric(ids, graded_qrels(grades)),
            metric(new_ids, graded_qrels(renamed[shuffled])),
        )
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
def test_queries_without_relevant_items_of_graded(metric):
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
        ([[0, 1]], [0, 1], r"targets must be for 1 queries \(the run\), got 2"),
        ([[0.0, 1.0]], [0], "a run must be whole numbers"),
        ([[0, 1]], [[0, 0]], "must be distinct"),
        ([[0, 1]], [-1], "item -1"),
    ],
)
def test_bad_input_is_named_of_graded(metric, run, targets, message):
    with pytest.raises(RetrievalInputError, match=message):
        metric(run, targets)


@pytest.mark.parametrize("metric", [precision_at_k, ndcg_at_k, average_precision])
@pytest.mark.parametrize(
    "k, message",
    [
        (0, "k must be at least 1"),
        (True, "k must be a whole"),
        (1.0, "k must be a whole"),
        (3, "k must be at most 2"),
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


# ---- large ids

SMALL_RUN = np.array([[0, 1, 2, 3], [3, 2, 1, -1], [1, 0, 3, 2]])
SMALL_TARGETS = [[1, 3], [0, 2], [2]]
EDGES = (2**31, 2**32, 2**40, 2**62)
AT_K = ("hit_rate_at_k", "recall_at_k", "precision_at_k", "ndcg_at_k")
WHOLE = (
    "average_precision",
    "average_precision_at_r",
    "first_rank",
    "map_at_r",
    "mean_average_precision",
    "mean_rank",
    "mean_reciprocal_rank",
    "median_rank",
    "r_precision",
    "reciprocal_rank",
)


@pytest.mark.parametrize("edge", EDGES)
def test_ids_on_both_sides_of_an_edge_give_the_metrics_of_small_ones(edge):
    name = np.array([edge - 1, edge, edge + 7, 7])  # 7 and edge + 7 agree in their low bits
    run = np.where(SMALL_RUN < 0, -1, name[SMALL_RUN])
    targets = [name[row] for row in SMALL_TARGETS]
    qrels = Qrels.from_pairs(
        np.repeat(np.arange(3), [2, 2, 1]), np.concatenate(targets), shape=(3, edge + 8)
    )
    small = Qrels.from_pairs([0, 0, 1, 1, 2], sum(SMALL_TARGETS, []), shape=(3, 4))
    for function in (*AT_K, *WHOLE):
        extra = (2,) if function in AT_K else ()
        expected = getattr(metrics, function)(SMALL_RUN, small, *extra)
        for form in (targets, qrels, dict(enumerate(targets))):
            found = getattr(metrics, function)(run, form, *extra)
            np.testing.assert_array_equal(
                found, expected, err_msg=f"{function} of {type(form).__name__}"
            )
    scores = -np.arange(12.0).reshape(3, 4) % 4
    scores = -np.sort(-scores, axis=1)
    measured = evaluate(
        (scores, run), qrels, ks=(1, 2), metrics=("R", "recall", "P", "nDCG", "MRR", "MAP")
    )
    for metric, values in evaluate(
        (scores, SMALL_RUN), small, ks=(1, 2), metrics=("R", "nDCG")
    ).per_query.items():
        np.testing.assert_array_equal(measured.per_query[metric], values)
    grades = np.where(
        np.isin(run, [-1]), 0, [[g in row for g in ids] for row, ids in zip(targets, run)]
    )
    assert (qrels.grades_of(run) == grades).all()
    assert qrels.at_least(1).take_queries([2, 0]).row(0)[0].tolist() == [name[2]]


@pytest.mark.parametrize("edge", EDGES)
def test_fusion_and_rerank_keep_large_ids(edge):
    ids = np.array([[edge + 7, 7, edge]])
    assert reciprocal_rank_fusion([ids, ids]).ids.tolist() == ids.tolist()
    run = Run.of_one_stage(np.array([[3.0, 2.0, 1.0]]), ids, "first")
    assert rerank(run, np.array([[1.0, 2.0, 2.0]]), 3, "second").ids.tolist() == [
        [7, edge, edge + 7]
    ]


def test_what_needs_a_table_as_wide_as_the_largest_id_is_refused_with_advice():
    wide = Qrels.from_pairs([0], [2**40], shape=(1, 2**40 + 1))
    for ask in (lambda: wide.T, lambda: metrics.k_occurrence([[2**40]], 2**40 + 1)):
        with pytest.raises(RetrievalInputError, match="8,192 GiB.*np.unique"):
            ask()
    with pytest.raises(RetrievalInputError, match=r"run holds 18446744073709551615; .* 2\^63 - 1"):
        metrics.hit_rate_at_k(np.array([[2**64 - 1]], np.uint64), [[1]], 1)


def test_the_issues_own_cases():
    assert metrics.hit_rate_at_k([[3_000_000_000, 7]], [[3_000_000_000]], 1).tolist() == [1]
    assert metrics.hit_rate_at_k([[7, 5]], [[2**32 + 7]], 1).tolist() == [0]


# ---- oracles

N_QUERIES, N_ITEMS, DEPTH = 40, 60, 40  # a run that ends before some relevant items


@pytest.fixture(params=range(3))
def judged(request):
    rng = np.random.default_rng(request.param)
    scores = rng.permuted(np.tile(np.arange(float(N_ITEMS)), (N_QUERIES, 1)), axis=1)
    ids = np.argsort(-scores, axis=1)[:, :DEPTH]
    grades = rng.integers(1, 5, (N_QUERIES, N_ITEMS)) * (rng.random((N_QUERIES, N_ITEMS)) < 0.15)
    grades[np.arange(N_QUERIES), rng.integers(N_ITEMS, size=N_QUERIES)] = 2
    queries, items = np.nonzero(grades)
    qrels = Qrels.from_pairs(queries, items, grades[queries, items], shape=grades.shape)
    truth = {
        f"q{q:02}": {f"d{i:02}": int(grades[q, i]) for i in np.flatnonzero(grades[q])}
        for q in range(N_QUERIES)
    }
    run = {f"q{q:02}": {f"d{i:02}": float(scores[q, i]) for i in ids[q]} for q in range(N_QUERIES)}
    return ids, qrels, truth, run


def ours(ids, qrels):
    return {
        "AP": average_precision(ids, qrels),
        "AP@10": average_precision(ids, qrels, 10),
        "nDCG@10 linear": ndcg_at_k(ids, qrels, 10, gain="linear"),
        "nDCG linear": ndcg_at_k(ids, qrels, DEPTH, gain="linear"),
        "nDCG@10": ndcg_at_k(ids, qrels, 10),
        "RR": reciprocal_rank(ids, qrels),
        "P@10": precision_at_k(ids, qrels, 10),
        "recall@10": recall_at_k(ids, qrels, 10),
        "R@10": hit_rate_at_k(ids, qrels, 10),
        "R-precision": r_precision(ids, qrels),
    }


def test_trec_eval(judged):
    pytrec_eval = pytest.importorskip("pytrec_eval", reason="pytrec-eval-terrier is optional")
    ids, qrels, truth, run = judged
    names = {
        "AP": "map",
        "AP@10": "map_cut_10",
        "nDCG@10 linear": "ndcg_cut_10",
        "nDCG linear": (
            "ndcg"
        ),  # its ideal has no cut-off; no query here has more than DEPTH answers
        "RR": "recip_rank",
        "P@10": "P_10",
        "recall@10": "recall_10",
        "R@10": "success_10",
        "R-precision": "Rprec",
    }
    asked = {
        "map",
        "map_cut.10",
        "ndcg_cut.10",
        "ndcg",
        "recip_rank",
        "P.10",
        "recall.10",
        "success.10",
        "Rprec",
    }
    theirs = pytrec_eval.RelevanceEvaluator(truth, asked).evaluate(run)
    mine = ours(ids, qrels)
    for name, trec in names.items():
        np.testing.assert_allclose(
            mine[name], [theirs[q][trec] for q in truth], rtol=0, atol=1e-12, err_msg=name
        )


def test_ranx(judged):
    ranx = pytest.importorskip("ranx", reason="ranx is optional")
    ids, qrels, truth, run = judged
    names = {
        "AP": "map",
        "AP@10": "map@10",
        "nDCG@10 linear": "ndcg@10",
        "nDCG linear": "ndcg",
        "nDCG@10": "ndcg_burges@10",
        "RR": "mrr",
        "P@10": "precision@10",
        "recall@10": "recall@10",
        "R@10": "hit_rate@10",
        "R-precision": "r-precision",
    }
    theirs = ranx.evaluate(
        ranx.Qrels(truth), ranx.Run(run), list(names.values()), return_mean=False
    )
    mine = ours(ids, qrels)
    for name, theirs_name in names.items():
        np.testing.assert_allclose(
            mine[name], theirs[theirs_name], rtol=0, atol=1e-12, err_msg=name
        )


@pytest.mark.slow
def test_torchmetrics_divides_by_what_was_found(judged):
    torch = pytest.importorskip("torch")
    retrieval = pytest.importorskip("torchmetrics.retrieval", reason="torchmetrics is optional")
    ids, qrels, _, _ = judged
    relevant = torch.from_numpy(qrels.grades_of(ids) > 0)
    scores = torch.arange(DEPTH, 0, -1).float().expand(N_QUERIES, DEPTH)
    queries = torch.arange(N_QUERIES)[:, None].expand(N_QUERIES, DEPTH)
    for k in (1, 10, DEPTH):
        theirs = retrieval.RetrievalMAP(top_k=k)(scores, relevant, indexes=queries)
        ours = average_precision(ids, qrels, k, denominator="hits").mean()
        assert float(theirs) == pytest.approx(ours, abs=1e-6)  # it computes in float32
