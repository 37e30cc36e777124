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
    bootstrap_interval,
    bootstrap_median_interval,
    chance_of,
    evaluate,
    hit_rate_at_k,
    recall_at_k,
)
from lib.metrics.kernels import RandomOrder, chance_of_names, metric_names, rank_chance

# Three queries over four items; query 2 has two answers, of which item 0 is graded 3.
QRELS = Qrels.from_pairs([0, 1, 2, 2], [0, 1, 0, 3], [2, 1, 3, 1], shape=(3, 4))
IDS = np.array([[0, 1, 2], [0, 2, 1], [1, 3, 0]])
SCORES = np.array([[9.0, 8, 7], [9, 8, 7], [9, 8, 7]])


def test_by_hand():
    result = evaluate(
        (SCORES, IDS), QRELS, ks=(1, 2), name="toy", split="test", direction="text_to_image"
    )
    assert result.per_query["R@1"].tolist() == [1, 0, 0]
    assert result.per_query["R@2"].tolist() == [1, 0, 1]
    assert result.per_query["recall@2"].tolist() == [1, 0, 0.5]
    np.testing.assert_allclose(result.per_query["MRR@3"], [1, 1 / 3, 1 / 2])
    assert result.mean("R@2") == pytest.approx(2 / 3)
    assert (result.n_queries, result.n_gallery, result.k, result.tie_share) == (3, 4, 3, 0.0)
    assert repr(result) == (
        "Evaluation(toy test text_to_image: 3 queries x 4 items; "
        "R@1 0.3333, R@2 0.6667, recall@1 0.3333, recall@2 0.5000, MRR@3 0.6111)"
    )


def test_rows_are_tidy():
    result = evaluate((SCORES, IDS), QRELS, ks=(1,), split="test", direction="text_to_image")
    rows = result.rows()
    assert [row["metric"] for row in rows] == ["R@1", "recall@1", "MRR@3"]
    low, high = bootstrap_interval(result.per_query["R@1"])
    assert rows[0] == {
        "metric": "R@1",
        "value": pytest.approx(1 / 3),
        "low": low,
        "high": high,
        "chance": pytest.approx((1 / 4 + 1 / 4 + 2 / 4) / 3),
        "n_queries": 3,
        "n_gallery": 4,
        "split": "test",
        "direction": "text_to_image",
    }
    assert [row["metric"] for row in result.rows(["MRR@3"])] == ["MRR@3"]


def test_ids_alone_know_no_ties():
    result = evaluate(IDS, QRELS, ks=(1,))
    assert result.tie_share is None and result.per_query["R@1"].tolist() == [1, 0, 0]


def test_a_hit_can_ask_for_a_grade():
    result = evaluate(IDS, QRELS, ks=(3,), hit_grade=2, no_relevant="zero")
    assert result.per_query["R@3"].tolist() == [1, 0, 1]
    assert result.per_query["recall@3"].tolist() == [
        1,
        0,
        1,
    ]  # item 3 is no longer relevant to query 2
    assert (result.hit_grade, result.n_without_relevant) == (2, 1)


def test_skipping_queries_is_counted_and_keeps_the_rest_aligned():
    groups = np.array(["a", "b", "b"])
    result = evaluate((SCORES, IDS), QRELS, ks=(1,), hit_grade=2, groups=groups, no_relevant="skip")
    assert (
        result.queries.tolist() == [0, 2]
        and result.n_queries == 2
        and result.n_without_relevant == 1
    )
    assert result.per_query["R@1"].tolist() == [1, 0] and result.groups.tolist() == ["a", "b"]
    assert result.chance["R@1"] == 0.25


def test_queries_without_relevant_items_are_an_error_by_default():
    with pytest.raises(
        RetrievalInputError, match=r"query 1 has no relevant item, .*no_relevant='zero'"
    ):
        evaluate(IDS, QRELS, ks=(1,), hit_grade=2)
    with pytest.raises(RetrievalInputError, match="skipping them leaves nothing"):
        evaluate(IDS, QRELS, ks=(1,), hit_grade=4, no_relevant="skip")


def test_intervals_resample_clusters():
    rng = np.random.default_rng(0)
    qrels = Qrels.from_owner(np.repeat(np.arange(60), 5), 60).T  # five captions ask for each image
    ids = np.argsort(rng.random((60, 60)), axis=1)[np.repeat(np.arange(60), 5)][:, :10]
    groups = np.repeat(np.arange(60), 5)
    clustered, alone = evaluate(ids, qrels, groups=groups), evaluate(ids, qrels)
    assert clustered.interval("R@10") == pytest.approx(
        bootstrap_interval(clustered.per_query["R@10"], groups), abs=1e-12
    )
    assert np.diff(clustered.interval("R@10")) > 1.7 * np.diff(
        alone.interval("R@10")
    )  # sqrt(5) for exact copies


# ---- names


def test_metrics_are_given_by_name():
    names = ["nDCG@2", "R@1", "MRR", "MAP@2", "MRR@2", "R@1", "R-precision", "P"]
    result = evaluate(IDS, QRELS, metrics=names, ks=(3, 1), gain="linear")
    expected = ["nDCG@2", "R@1", "MRR@3", "MAP@2", "MRR@2", "R-precision", "P@1", "P@3"]
    assert list(result.per_query) == expected
    assert result.per_query["MRR@2"].tolist() == [1, 0, 1 / 2]
    assert result.per_query["MAP@2"].tolist() == metrics.average_precision(IDS, QRELS, 2).tolist()
    assert result.mean("MRR") == result.value("MRR@3") == result.mean("MRR@3")
    assert result.interval("MRR") == result.interval("MRR@3")
    row = result.rows(["MRR"])[0]
    assert (row["metric"], row["chance"]) == ("MRR", result.chance["MRR@3"])


def test_cut_offs_that_no_name_uses_are_not_checked():
    result = evaluate(
        (SCORES, IDS), QRELS, metrics=["R@2", "MRR"]
    )  # the run is 3 deep, ks reach 10
    assert list(result.per_query) == ["R@2", "MRR@3"]


@pytest.mark.parametrize(
    "name, expected",
    [("R@10", ("R", 10)), ("MAP@R", ("MAP@R", None)), ("nDCG", ("nDCG", None)), ("P@01", ("P", 1))],
)
def test_a_name_is_a_family_and_a_cut_off(name, expected):
    assert metrics.parse_metric(name) == expected


@pytest.mark.parametrize(
    "name, message",
    [
        ("ndcg@20", r"metrics must be one of 'R', .*'nDCG@20'.* Did you mean 'nDCG@20'\?"),
        ("recal", "Did you mean 'recall'"),  # codespell:ignore
        ("R@0", "the cut-off in 'R@0' must be at least 1, got 0"),
        ("R@ten", "metrics must be one of"),
        ("R@-1", "metrics must be one of"),
        ("R@" + "9" * 5_000, "metrics must be one of"),
        ("R@\u0663", "metrics must be one of"),
        ("R-precision@5", "metrics must be one of"),
        ("MAP@R@5", "metrics must be one of"),
        ("", "metrics must be one of"),
        (10, "metrics must be one of"),
        ("R@5", r"k must be at most 3 \(the run\), got 5"),
    ],
)
def test_unknown_names_are_refused_with_the_known_ones(name, message):
    with pytest.raises(RetrievalInputError, match=message):
        evaluate(IDS, QRELS, metrics=[name])


def test_one_name_alone_is_no_list():
    with pytest.raises(RetrievalInputError, match=r"list of names, got 'R@1'"):
        evaluate(IDS, QRELS, metrics="R@1")


# ---- ties


def test_equal_scores_are_put_in_order_of_id():
    qrels = Qrels.from_pairs([0, 1], [1, 2], shape=(2, 4))
    scores = np.array([[5.0, 5, 5, 1], [5, 4, 4, 4]])
    ids = np.array([[3, 1, 2, 0], [0, 3, 2, 1]])
    result = evaluate((scores, ids), qrels, ks=(1,))
    assert result.per_query["R@1"].tolist() == [1, 0]
    np.testing.assert_allclose(result.per_query["MRR@4"], [1, 1 / 3])
    assert ids[0].tolist() == [3, 1, 2, 0]  # the caller's run is left alone


def test_a_constant_model_scores_chance_and_is_all_ties():
    n = 20
    qrels = Qrels.from_owner(np.arange(n), n)
    run = np.zeros((n, n)), np.tile(np.arange(n), (n, 1))
    result = evaluate(run, qrels, ks=(1, 5))
    assert result.mean("R@1") == 1 / n and result.mean("R@5") == 5 / n
    assert result.tie_share == 1
    assert result.chance["R@1"] == pytest.approx(1 / n) and result.mean("MRR@20") == pytest.approx(
        result.chance["MRR@20"]
    )


@pytest.mark.parametrize(
    "scores, relevant, share",
    [
        ([9, 8, 7, 6], 0, 0),
        ([9, 9, 8, 7], 3, 1),  # across the cut-off at 1
        ([9, 8, 8, 7], 0, 0),  # neither at a cut-off nor at the first relevant item
        ([9, 8, 8, 7], 1, 1),  # at the first relevant item
        ([9, 8, 8, 7], 2, 1),
        ([9, 8, 7, 7], 0, 1),  # across the cut-off at 3
        ([9, 8, 7, 6], None, 0),
    ],
)
def test_a_tie_counts_where_it_can_decide(scores, relevant, share):
    qrels = Qrels.from_pairs([0], [4 if relevant is None else relevant], shape=(1, 5))
    result = evaluate((np.array([scores], float), np.arange(4)[None]), qrels, ks=(1, 3))
    assert result.tie_share == share


def test_items_that_were_not_returned_are_no_ties():
    qrels = Qrels.from_pairs([0], [2], shape=(1, 5))
    result = evaluate(
        (np.array([[1.0, np.nan, np.nan]]), np.array([[2, -1, -1]])), qrels, ks=(1, 2)
    )
    assert result.tie_share == 0 and result.mean("R@1") == 1


# ---- chance


BINARY = ("R", "recall", "P", "MRR", "MAP")


@pytest.mark.parametrize(
    "n, relevant, depth", [(5, 1, 5), (5, 2, 3), (6, 3, 6), (4, 4, 2), (5, 0, 3)]
)
def test_chance_is_the_mean_over_all_orders(n, relevant, depth):
    ids = np.array(list(itertools.permutations(range(n))))[:, :depth]
    qrels = Qrels.from_pairs(*np.indices((len(ids), relevant)).reshape(2, -1), shape=(len(ids), n))
    result = evaluate(ids, qrels, ks=(1, depth), metrics=BINARY, no_relevant="zero")
    for metric, expected in result.chance.items():
        assert result.value(metric) == pytest.approx(expected, abs=1e-12), metric


@pytest.mark.parametrize("gain", ["exponential", "linear"])
@pytest.mark.parametrize("grades", [[1], [3, 1], [2, 2, 1], [4, 1, 1, 1, 1]])
def test_chance_of_metrics_at_r_and_of_gain_is_the_mean_over_all_orders(grades, gain):
    ids = np.array(list(itertools.permutations(range(5))))
    cells = np.indices((len(ids), len(grades))).reshape(2, -1)
    qrels = Qrels.from_pairs(*cells, np.array(grades)[cells[1]], shape=(len(ids), 5))
    result = evaluate(ids, qrels, ks=(1, 3, 5), metrics=("nDCG", "R-precision", "MAP@R"), gain=gain)
    assert set(result.chance) == {
        "nDCG@1",
        "nDCG@3",
        "nDCG@5",
        "R-precision",
        "MAP@R",
        "MedR",
        "MeanR",
    }
    for metric, expected in result.chance.items():
        assert result.value(metric) == pytest.approx(expected, abs=1e-12), metric


def test_chance_by_the_hypergeometric_formula():
    n, k = 1416, 10
    counts = np.array([1, 1, 5, 40])
    expected = np.mean([1 - math.comb(n - r, k) / math.comb(n, k) for r in counts])
    assert chance_of(counts, n, (k,), 50)[f"R@{k}"] == pytest.approx(expected, rel=1e-12)
    assert chance_of(np.array([3]), 3, (1,), 3) == pytest.approx(
        {"R@1": 1, "recall@1": 1 / 3, "MRR@3": 1}
    )


# ---- properties


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_what_must_not_matter(seed):
    rng = np.random.default_rng(seed)
    n_queries, n_items = 7, 12
    scores = rng.integers(-3, 4, (n_queries, n_items)).astype(float)  # many ties
    relevant = rng.random((n_queries, n_items)) < 0.25
    relevant[:, 0] |= ~relevant.any(axis=1)
    qrels = Qrels.from_pairs(*np.nonzero(relevant), shape=relevant.shape)

    def measure(scores, qrels, dtype=np.float64):
        ids = np.argsort(-scores, axis=1, kind="stable")
        return evaluate(
            (np.take_along_axis(scores, ids, axis=1).astype(dtype), ids), qrels, ks=(1, 3, 12)
        )

    before = measure(scores, qrels)
    for transformed in (np.exp(scores), scores - 10, scores**3):
        after = measure(transformed, qrels)
        assert after.tie_share == before.tie_share
        assert all((after.per_query[m] == before.per_query[m]).all() for m in before.per_query)
    assert measure(scores, qrels, np.float16).tie_share == before.tie_share
    order = rng.permutation(n_queries)
    after = measure(scores[order], qrels.take_queries(order))
    assert all((after.per_query[m] == before.per_query[m][order]).all() for m in before.per_query)
    # Names of items decide ties, so they may be changed only where there are none.
    scores = scores + rng.permuted(np.tile(np.linspace(0, 0.5, n_items), (n_queries, 1)), axis=1)
    name = rng.permutation(n_items)
    renamed = np.empty_like(scores)
    renamed[:, name] = scores
    renamed_qrels = Qrels.from_pairs(qrels.query_index, name[qrels.items], shape=qrels.shape)
    before, after = measure(scores, qrels), measure(renamed, renamed_qrels)
    assert all((after.per_query[m] == before.per_query[m]).all() for m in before.per_query)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_agrees_with_the_single_metrics(seed):
    rng = np.random.default_rng(seed)
    ids = rng.permuted(np.tile(np.arange(9), (4, 1)), axis=1)[:, :5]
    targets = rng.integers(9, size=4)
    result = evaluate(ids, Qrels.from_pairs(np.arange(4), targets, shape=(4, 9)), ks=(2, 5))
    assert (result.per_query["R@2"] == hit_rate_at_k(ids, targets, 2)).all()
    assert (result.per_query["recall@5"] == recall_at_k(ids, targets, 5)).all()


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["exponential", "linear"]))
def test_every_family_is_the_metric_of_its_name(seed, gain):
    rng = np.random.default_rng(seed)
    ids = rng.permuted(np.tile(np.arange(9), (6, 1)), axis=1)
    grades = rng.integers(1, 4, (6, 9)) * (rng.random((6, 9)) < 0.4)
    grades[:, 3] = 2
    queries, items = np.nonzero(grades)
    qrels = Qrels.from_pairs(queries, items, grades[queries, items], shape=grades.shape)
    families = ("nDCG", "P", "MAP", "R-precision", "MAP@R", "R", "recall", "MRR")
    result = evaluate(ids, qrels, ks=(2, 5), metrics=families, gain=gain)
    expected = {f"nDCG@{k}": metrics.ndcg_at_k(ids, qrels, k, gain=gain) for k in (2, 5)}
    expected |= {f"P@{k}": metrics.precision_at_k(ids, qrels, k) for k in (2, 5)}
    expected["MAP@9"] = metrics.average_precision(ids, qrels)
    expected["R-precision"] = metrics.r_precision(ids, qrels)
    expected["MAP@R"] = metrics.average_precision_at_r(ids, qrels)
    expected |= {f"R@{k}": hit_rate_at_k(ids, qrels, k) for k in (2, 5)}
    expected |= {f"recall@{k}": recall_at_k(ids, qrels, k) for k in (2, 5)}
    expected["MRR@9"] = metrics.reciprocal_rank(ids, qrels)
    assert list(result.per_query) == list(expected)
    assert all((result.per_query[name] == values).all() for name, values in expected.items())
    assert result.median_rank == metrics.median_rank(ids, qrels)
    assert result.mean_rank == metrics.mean_rank(ids, qrels)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_bounds_are_the_extremes_over_all_orders_of_ties(seed):
    rng = np.random.default_rng(seed)
    scores = -np.sort(-rng.integers(0, 3, 5).astype(float))[None]
    grades = rng.integers(0, 4, 5)
    grades[2] = 1
    items = np.flatnonzero(grades)
    qrels = Qrels.from_pairs(0 * items, items, grades[items], shape=(1, 5))
    families = ("R", "recall", "P", "nDCG", "MRR", "MAP", "R-precision", "MAP@R")
    options = {"ks": (1, 3), "metrics": families}
    ids = np.arange(5)[None]
    orders = np.array(list(itertools.permutations(range(5))))
    orders = orders[(scores[0][orders] == scores[0]).all(axis=1)]
    every = evaluate(orders, qrels.take_queries(np.zeros(len(orders), int)), **options)
    found = {
        ties: evaluate((scores, ids), qrels, ties=ties, **options)
        for ties in ("pessimistic", "id", "optimistic")
    }
    for name, values in every.per_query.items():
        assert found["id"].bounds[name] == (values.min(), values.max())
        assert found["pessimistic"].mean(name) == values.min()
        assert found["optimistic"].mean(name) == values.max()
    assert found["pessimistic"].median_rank == every.first_ranks.max()


def test_ties_are_reported_on_request():
    n = 4
    run = np.zeros((n, n)), np.tile(np.arange(n), (n, 1))
    result = evaluate(run, Qrels.from_owner(np.arange(n), n), ks=(1,))
    assert result.bounds["R@1"] == (0, 1) and result.median_rank == 2.5
    row = result.rows(["R@1"], ties=True)[0]
    assert (row["ties"], row["tie_share"], row["value"]) == ("id", 1, 1 / n)
    assert (row["pessimistic"], row["optimistic"]) == (0, 1)
    row = evaluate(run[1], Qrels.from_owner(np.arange(n), n), ks=(1,)).rows(["R@1"], ties=True)[0]
    assert (
        row["tie_share"] is row["pessimistic"] is row["optimistic"] is None
    )  # ids alone know no ties


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.float16])
def test_ties_of_scores_of_any_dtype(dtype):
    scores = np.array([[120, 7, 7]] * 3, dtype)
    ids = np.array([[2, 1, 0], [2, 0, 1], [2, 1, 0]])
    result = evaluate((scores, ids), Qrels.from_owner(np.arange(3), 3), ks=(1,))
    assert result.first_ranks.tolist() == [
        2,
        3,
        1,
    ]  # 0 before 1 where they tie, whatever order came
    assert result.bounds["MeanR"] == (7 / 3, 5 / 3) and result.tie_share == 2 / 3


# ---- ranks


def test_the_median_rank_has_an_interval_and_chance():
    groups = np.array(["a", "b", "b"])
    result = evaluate((SCORES, IDS), QRELS, ks=(1,), groups=groups)
    assert result.first_ranks.tolist() == [1, 3, 2] and (
        result.value("MedR"),
        result.value("MeanR"),
    ) == (
        2,
        2,
    )
    assert result.interval("MedR") == bootstrap_median_interval([1, 3, 2], groups) == (1, 2.5)
    row = result.rows(["MedR"], ties=True)[0]
    # One answer among four: 1, 2, 3 or 4 alike; two answers: 1, 2 or 3 with 3, 2 and 1 sixths.
    assert (row["value"], row["low"], row["high"], row["pessimistic"]) == (2, 1, 2.5, 2)
    assert row["chance"] == 2
    assert (
        result.chance["MeanR"] == np.inf
    )  # the run is 3 deep, a random order can have the item at 4
    assert result.interval("MeanR") == pytest.approx(bootstrap_interval([1, 3, 2], groups))


def test_a_rank_beyond_the_run_is_infinite_and_so_is_what_depends_on_it():
    result = evaluate(IDS[:, :1], QRELS, ks=(1,))
    assert result.value("MedR") == np.inf and result.interval("MedR")[1] == np.inf
    assert result.value("MeanR") == np.inf and np.isnan(result.interval("MeanR")).all()


@pytest.mark.parametrize(
    "counts, n, median, mean",
    [([1], 1000, 500.5, 500.5), ([5], 1000, 130, 1001 / 6), ([1, 0], 4, np.inf, np.inf)],
)
def test_chance_of_ranks_of_a_whole_gallery(counts, n, median, mean):
    chance = rank_chance(RandomOrder(counts, n, n))
    assert chance == {"MedR": median, "MeanR": pytest.approx(mean)}


def test_chance_in_parts_is_that_of_the_whole(monkeypatch):
    counts = np.random.default_rng(0).integers(0, 40, size=200)
    names = metric_names(["R", "MRR", "recall", "MAP", "MAP@R"], (1, 10), 90, lambda k, n: k)
    whole = RandomOrder(counts, 100, 90)
    expected = chance_of_names(names, whole) | rank_chance(whole)
    monkeypatch.setattr("lib.metrics.kernels.ORDER_CELLS", 300)
    assert len(list(whole.parts())) > 10
    for order in (whole, RandomOrder(counts, 100, 90)):
        assert chance_of_names(names, order) | rank_chance(order) == pytest.approx(expected)


# ---- bad input


@pytest.mark.parametrize(
    "run, options, message",
    [
        (IDS, {"ks": (1, 4)}, r"k must be at most 3 \(the run\), got 4"),
        (IDS, {"ks": (0,)}, "k must be at least 1"),
        (IDS[:2], {}, r"the run must have 3 rows \(qrels\), got 2"),
        (IDS + 2, {}, r"id 4 in row 0 of the run is outside -1\.\.3"),
        (np.zeros((3, 2), int), {}, "id 0 is twice in row 0"),
        (np.array([[0, 1, 2, 3, -1]] * 3), {}, "the run must be at most 4 deep, got 5"),
        (
            (SCORES[:, ::-1], IDS),
            {},
            r"row 0 rises from 7\.0 to 8\.0 at rank 2; negate distances",
        ),
        ((SCORES * np.array([[1], [np.nan], [1]]), IDS), {}, "got NaN in row 1 at rank 1"),
        (
            (SCORES[:, :2], IDS),
            {},
            r"scores must be numbers of shape \(3, 3\), got float64 \(3, 2\)",
        ),
        ((SCORES.astype(str), IDS), {}, "scores must be numbers .* got <U"),
        (IDS, {"groups": [0, 1]}, r"groups have shape \(2,\) for 3 queries"),
        (IDS, {"hit_grade": 0}, "hit_grade must be at least 1"),
        (IDS, {"metrics": ("R", "ndcg")}, "metrics must be one of .* Did you mean 'nDCG'"),
        (IDS, {"gain": "log"}, "gain must be one of 'exponential', 'linear'"),
        (IDS, {"ties": "expected"}, "ties must be one of 'id', 'pessimistic', 'optimistic'"),
        (IDS, {"ties": "pessimistic"}, "ties='pessimistic' needs scores"),
        (IDS[:, :1], {"metrics": ("MAP@R",)}, "query 2 has R = 2 relevant items, the run holds 1"),
        (IDS, {"no_relevant": "drop"}, "no_relevant must be one of 'error', 'skip', 'zero'"),
    ],
)
def test_bad_input_is_named(run, options, message):
    with pytest.raises(RetrievalInputError, match=message):
        evaluate(run, QRELS, **{"ks": (1,), **options})


def test_judgements_must_be_qrels():
    with pytest.raises(RetrievalInputError, match="qrels must be Qrels, got list"):
        evaluate(IDS, [0, 1, 2], ks=(1,))


@pytest.mark.parametrize("ask", ["mean", "interval"])
def test_unknown_metrics_list_the_known(ask):
    with pytest.raises(
        RetrievalInputError, match="metric must be one of 'R@1', .* got 'r@1'. Did you mean 'R@1'"
    ):
        getattr(evaluate(IDS, QRELS, ks=(1,)), ask)("r@1")
    with pytest.raises(RetrievalInputError, match=r"metric must be one of .* got \['R@1'\]"):
        getattr(evaluate(IDS, QRELS, ks=(1,)), ask)(["R@1"])
