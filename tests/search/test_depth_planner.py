"""The planner on costs that are made up: exact fits, budgets on the edge, and quality that stops
rising.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.search import QualityCurve, StageCosts, fit_costs, plan_depth

COSTS = StageCosts(first_s=0.002, fixed_s=0.001, pair_s=0.0005)
CURVE = QualityCurve([0, 10, 20, 50, 100], [0.30, 0.40, 0.45, 0.48, 0.48], "R@1")
SECONDS = st.floats(0, 1)


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
    plan = plan_depth(COSTS, 0.0105, CURVE)  # 2 + 1 + 0.5 D <= 10.5 ms: 15
    assert (plan.depth, plan.affordable, plan.limit) == (15, 15, "budget")
    assert plan.quality == pytest.approx(0.425) and plan.seconds == pytest.approx(0.0105)
    assert plan.describe() == (
        "Rerank 15 items: 10.5 ms of 10.5 ms, R@1 0.425; the budget ends at depth 15, "
        "the best measured is 0.480 at depth 50."
    )


def test_more_depth_than_helps_is_not_taken():
    plan = plan_depth(COSTS, 1, CURVE)
    assert (plan.depth, plan.affordable, plan.limit) == (50, 100, "quality")
    assert plan.describe() == (
        "Rerank 50 items: 28 ms of 1e+03 ms, R@1 0.480; 100 would fit, but more depth is no better."
    )
    assert plan_depth(COSTS, 1, CURVE, tolerance=0.035).depth == 20


def test_where_the_curve_ends_nothing_is_known():
    plan = plan_depth(COSTS, 1, QualityCurve([0, 10, 20], [0.3, 0.4, 0.45]))
    assert (plan.depth, plan.affordable, plan.limit) == (20, 20, "curve")
    assert plan.describe().endswith("quality 0.450; nothing deeper was measured.")


def test_a_second_stage_that_harms_is_left_out():
    plan = plan_depth(COSTS, 1, QualityCurve([0, 10, 100], [0.5, 0.4, 0.3]))
    assert (plan.depth, plan.quality, plan.seconds, plan.limit) == (0, 0.5, 0.002, "quality")
    assert plan.describe().startswith("Leave the first stage as it is")


def test_quality_that_falls_again_is_left_at_its_best():
    plan = plan_depth(COSTS, 1, QualityCurve([0, 10, 100], [0.3, 0.5, 0.4]))
    assert (plan.depth, plan.affordable, plan.limit) == (10, 100, "quality")


def test_only_the_first_stage_fits():
    plan = plan_depth(COSTS, 0.003, CURVE)  # a single pair takes 3.5 ms
    assert (plan.depth, plan.affordable, plan.quality, plan.limit) == (0, 0, 0.3, "budget")


def test_nothing_fits():
    plan = plan_depth(COSTS, 0.001, CURVE)
    assert (plan.depth, plan.affordable, plan.quality, plan.limit) == (
        None,
        None,
        None,
        "first stage",
    )
    assert plan.describe() == "No depth fits: the first stage alone takes 2 ms of 1 ms."


def test_a_budget_on_the_edge_is_enough():
    costs = StageCosts(0.1, 0.2, 0.1)  # 0.1 + 0.2 is not 0.3 in binary
    assert plan_depth(costs, float(costs.seconds(7)), QualityCurve([0, 9], [0, 1])).affordable == 7


@settings(deadline=None)
@given(st.floats(0.002, 0.06), st.floats(0, 0.05))
def test_more_budget_never_buys_less(budget, more):
    small, large = plan_depth(COSTS, budget, CURVE), plan_depth(COSTS, budget + more, CURVE)
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
        (lambda: fit_costs(0, [1, 2], [1, -1]), "a time is not negative"),
        (lambda: QualityCurve([1, 2], [0, 1]), "ascend strictly from 0"),
        (lambda: QualityCurve([0, 2, 2], [0, 1, 1]), "ascend strictly from 0"),
        (lambda: QualityCurve([0, 2], [0, float("nan")]), "values.1. is nan, which is not finite"),
        (lambda: CURVE.at(101), r"depth 101 is outside 0..100"),
        (lambda: plan_depth(COSTS, -1, CURVE), "budget_s must be"),
        (lambda: plan_depth(COSTS, 1, CURVE, tolerance=-0.1), "tolerance must be"),
    ):
        with pytest.raises(RetrievalInputError, match=message):
            wrong()
