"""Latencies on a fake clock; plans from given costs, also with budgets on the edge."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.report import measure
from lib.search import StageCosts, TwoStageRetriever, fit_costs, measure_costs, plan_depth
from tests.search.fakes import TableRetriever, tables

COSTS = StageCosts(first_s=0.002, fixed_s=0.001, pair_s=0.0005)
CURVE = [0, 10, 20, 50, 100], [0.30, 0.40, 0.45, 0.48, 0.48]
QUERIES = ["0", "1", "2", "3", "4", "5"]
SECONDS = st.floats(0, 1)


# ---- latency


class Slow(TableRetriever):
    """Move the clock: 10 a search, 1 a query; as a scorer 4 a call, 0.5 a pair."""

    now = 0.0

    def search(self, queries, k):
        Slow.now += 10 + len(queries)
        return super().search(queries, k)

    def score(self, queries, ids):
        Slow.now += 4 + 0.5 * ids.size
        return super().score(queries, ids)


@pytest.fixture
def retriever(monkeypatch):
    clock = SimpleNamespace(perf_counter=lambda: Slow.now)
    monkeypatch.setattr(sys.modules[measure.__module__], "time", clock)
    one, two = tables()
    return TwoStageRetriever(Slow(one), Slow(two), 3)


def test_latency_of_one_query_at_a_time(retriever):
    measured = measure_costs(retriever, QUERIES, [1, 4, 9], repeats=2, k=5)
    assert measured.first_s == 11 and measured.depths.tolist() == [1, 4, 9]
    assert measured.seconds.tolist() == [15.5, 17, 19.5]
    assert [len(took) for took in measured.repeats] == [
        2 * len(QUERIES)
    ] * 4  # nothing is thrown away
    costs = fit_costs(*measured[:3])
    assert (costs.first_s, costs.fixed_s, costs.pair_s) == pytest.approx((11, 4, 0.5))


def test_latency_in_batches_the_overhead_is_shared(retriever):
    measured = measure_costs(retriever, np.array(QUERIES), [2, 4], repeats=1, k=5, batch_size=3)
    assert measured.first_s == pytest.approx((10 + 3) / 3)
    assert measured.seconds.tolist() == pytest.approx([(13 + 4 + 3) / 3, (13 + 4 + 6) / 3])


def test_bad_latency_requests(retriever):
    for wrong, message in (
        (lambda: measure_costs(retriever, [], [1]), "no queries to measure with"),
        (lambda: measure_costs(retriever, QUERIES, [0, 1], k=5), "k must be at least 1"),
        (lambda: measure_costs(retriever, QUERIES, [10], k=5), "k must be between 1 and 9"),
        (lambda: measure_costs(retriever, QUERIES, [1], 0, k=5), "repeats must be at least 1"),
        (
            lambda: measure_costs(retriever, QUERIES, [1], k=5, batch_size=0),
            "batch_size must be at least 1",
        ),
        (lambda: measure_costs(retriever, QUERIES, [1]), "k must be between 1 and 9"),
    ):
        with pytest.raises(RetrievalInputError, match=message):
            wrong()


# ---- costs


def test_a_line_is_found_again():
    depths = np.array([1, 5, 20, 100])
    fitted = fit_costs(0.002, depths, COSTS.seconds(depths))
    assert (fitted.first_s, fitted.fixed_s, fitted.pair_s) == pytest.approx((0.002, 0.001, 0.0005))
    assert fitted.misfit < 1e-12


def test_least_squares_by_hand():
    # Above the first stage 4, 5, 9 at depths 1, 2, 3: slope 5/2, 6 in the middle, so 1 at depth 0.
    fitted = fit_costs(1, [1, 2, 3], [5, 6, 10])
    assert (fitted.fixed_s, fitted.pair_s) == pytest.approx((1, 2.5))
    assert fitted.misfit == pytest.approx(1 / 6)  # 7 on the line, 6 measured
    # 2, 3, 7 would have -1 at depth 0, which no overhead is: the line goes through 0 instead.
    fitted = fit_costs(1, [1, 2, 3], [3, 4, 8])
    assert fitted.fixed_s == 0 and fitted.pair_s == pytest.approx((2 + 2 * 3 + 3 * 7) / (1 + 4 + 9))


def test_the_second_stage_costs_nothing_where_it_does_not_run():
    assert COSTS.seconds(0) == 0.002 and COSTS.seconds([0, 2]).tolist() == pytest.approx(
        [0.002, 0.004]
    )


@settings(deadline=None)
@given(SECONDS, SECONDS, SECONDS, st.floats(0, 3), st.integers(0, 200))
def test_the_deepest_fits_and_the_next_does_not(first, fixed, pair, budget, largest):
    costs = StageCosts(first, fixed, pair)
    depth = costs.deepest(budget, largest)
    if depth is None:
        assert first > budget
    else:
        assert costs.seconds(depth) <= budget and (
            depth == largest or costs.seconds(depth + 1) > budget
        )


# ---- plans


def test_the_budget_decides_while_quality_rises():
    plan = plan_depth(COSTS, 0.0105, *CURVE)  # 2 + 1 + 0.5 D <= 10.5 ms: 15
    assert (plan.depth, plan.affordable, plan.limit) == (15, 15, "budget")
    assert plan.quality == pytest.approx(0.425) and plan.seconds == pytest.approx(0.0105)
    assert plan.describe("R@1") == (
        "Rerank 15 items: 10.5 ms of 10.5 ms, R@1 0.425; the budget ends at depth 15, "
        "the best measured is 0.480 at depth 50."
    )


def test_more_depth_than_helps_is_not_taken():
    plan = plan_depth(COSTS, 1, *CURVE)
    assert (plan.depth, plan.affordable, plan.limit) == (50, 100, "quality")
    assert plan.describe("R@1") == (
        "Rerank 50 items: 28 ms of 1e+03 ms, R@1 0.480; 100 would fit, but more depth is no better."
    )
    assert plan_depth(COSTS, 1, *CURVE, tolerance=0.035).depth == 20


def test_where_the_curve_ends_nothing_is_known():
    plan = plan_depth(COSTS, 1, [0, 10, 20], [0.3, 0.4, 0.45])
    assert (plan.depth, plan.affordable, plan.limit) == (20, 20, "curve")
    assert plan.describe().endswith("quality 0.450; nothing deeper was measured.")


def test_a_second_stage_that_harms_is_left_out():
    plan = plan_depth(COSTS, 1, [0, 10, 100], [0.5, 0.4, 0.3])
    assert (plan.depth, plan.quality, plan.seconds, plan.limit) == (0, 0.5, 0.002, "quality")
    assert plan.describe().startswith("Leave the first stage as it is")


def test_quality_that_falls_again_is_left_at_its_best():
    plan = plan_depth(COSTS, 1, [0, 10, 100], [0.3, 0.5, 0.4])
    assert (plan.depth, plan.affordable, plan.limit) == (10, 100, "quality")


def test_only_the_first_stage_fits():
    plan = plan_depth(COSTS, 0.003, *CURVE)  # a single pair takes 3.5 ms
    assert (plan.depth, plan.affordable, plan.quality, plan.limit) == (0, 0, 0.3, "budget")


def test_nothing_fits():
    plan = plan_depth(COSTS, 0.001, *CURVE)
    assert (plan.depth, plan.affordable, plan.quality, plan.limit) == (
        None,
        None,
        None,
        "first stage",
    )
    assert plan.describe() == "No depth fits: the first stage alone takes 2 ms of 1 ms."


def test_a_budget_on_the_edge_is_enough():
    costs = StageCosts(0.1, 0.2, 0.1)  # 0.1 + 0.2 is not 0.3 in binary
    assert plan_depth(costs, float(costs.seconds(7)), [0, 9], [0, 1]).affordable == 7


@settings(deadline=None)
@given(st.floats(0.002, 0.06), st.floats(0, 0.05))
def test_more_budget_never_buys_less(budget, more):
    small, large = plan_depth(COSTS, budget, *CURVE), plan_depth(COSTS, budget + more, *CURVE)
    assert large.affordable >= small.affordable and large.quality >= small.quality


# ---- bad input


def test_bad_input():
    for wrong, message in (
        (lambda: StageCosts(-1, 0, 0), "first_s must be a finite number of at least 0, got -1"),
        (lambda: StageCosts(0, 0, float("nan")), "pair_s must be"),
        (lambda: fit_costs(0, [5, 5], [1, 1]), "at least two different"),
        (lambda: fit_costs(0, [0, 5], [1, 1]), "whole numbers"),
        (lambda: fit_costs(0, [1, 2.5], [1, 1]), "whole numbers"),
        (lambda: fit_costs(0, [1, 2], [1]), "seconds must be 2 finite numbers"),
        (lambda: fit_costs(0, [1, 2], [1, float("inf")]), "seconds.1. is inf, which is not finite"),
        (lambda: fit_costs(0, [1, 2], [1, -1]), "seconds must not be negative, got -1"),
        (lambda: plan_depth(COSTS, 1, [1, 2], [0, 1]), "ascend strictly from 0"),
        (lambda: plan_depth(COSTS, 1, [0, 2, 2], [0, 1, 1]), "ascend strictly from 0"),
        (lambda: plan_depth(COSTS, 1, [0, 2], [0, float("nan")]), "quality.1. is nan"),
        (lambda: plan_depth(COSTS, -1, *CURVE), "budget_s must be"),
        (lambda: plan_depth(COSTS, 1, *CURVE, tolerance=-0.1), "tolerance must be"),
    ):
        with pytest.raises(RetrievalInputError, match=message):
            wrong()
