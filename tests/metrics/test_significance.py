"""Two systems on the same queries: intervals and p-values of a difference, many of them, and how
small.
"""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lib.core.checks import RetrievalInputError
from lib.metrics import bootstrap_interval, paired_bootstrap_interval, significance
from lib.metrics.significance import (
    compare_systems,
    holm,
    mcnemar_exact,
    minimum_detectable_difference,
    paired_randomization,
)


def hits(rng, n, rates):
    """Hits of two systems that share the difficulty of their queries."""
    return (rng.random(n)[:, None] < np.asarray(rates)).astype(float).T


# ---- difference, interval and p in one call


@pytest.mark.parametrize("groups", [None, np.arange(200) // 5])
def test_a_comparison_is_the_interval_and_the_test_of_the_same_seed(groups):
    a, b = hits(np.random.default_rng(7), 200, [0.5, 0.4])
    result = compare_systems(a, b, groups, level=0.9, n_resamples=499, seed=3)
    test = paired_randomization(a, b, groups, n_resamples=499, seed=3)
    interval = paired_bootstrap_interval(a, b, groups, level=0.9, seed=3)
    assert (result.mean_a, result.mean_b) == (a.mean(), b.mean())
    assert (result.low, result.high) == interval
    assert (result.difference, result.p_value) == (test.difference, test.p_value)
    assert (result.n_queries, result.n_clusters) == (200, 200 if groups is None else 40)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "a, b, message",
    [
        ([1, np.nan], [1, 2], r"values_a\[1\] is nan"),
        ([1, 2], [1], "values_a and values_b must be values of the same queries"),
        ([1e308, 0], [-1e308, 0], "values_a - values_b.* is inf"),
    ],
)
def test_bad_values_of_a_comparison_are_named(a, b, message):
    with pytest.raises(RetrievalInputError, match=message):
        compare_systems(a, b)


# ---- interval of a difference


def test_an_interval_of_a_constant_gain_has_no_width():
    a = np.random.default_rng(0).random(30)
    assert paired_bootstrap_interval(a + 0.25, a) == pytest.approx((0.25, 0.25), abs=1e-12)


def test_pairing_takes_away_what_is_hard_for_both():
    a, b = hits(np.random.default_rng(1), 1000, [0.45, 0.43])
    low, high = paired_bootstrap_interval(a, b)
    alone = bootstrap_interval(a)
    assert low > 0 and high - low < 0.4 * (alone[1] - alone[0])
    assert bootstrap_interval(b)[1] > alone[0]  # the separate intervals overlap all the same


def test_an_interval_of_a_difference_changes_sign_with_the_order():
    rng = np.random.default_rng(2)
    a, b, groups = rng.random(60), rng.random(60), np.arange(60) // 5
    low, high = paired_bootstrap_interval(a, b, groups)
    assert paired_bootstrap_interval(b, a, groups) == pytest.approx((-high, -low), abs=1e-12)


# ---- sign flips


def exact_p(sums):
    """All 2^n sign vectors."""
    flips = np.array(list(itertools.product([1, -1], repeat=len(sums)))) @ np.asarray(sums, float)
    return np.mean(np.abs(flips) >= abs(sum(sums)) - 1e-12)


@pytest.mark.parametrize(
    "differences, p",
    [
        ([1, 1, 1], 2 / 8),  # only the two vectors of equal signs are as extreme
        ([1, 1, 1, -1], 10 / 16),
        ([3, 1, 1], 2 / 8),
        ([1, -1], 1),
        ([0, 0, 1, 1, 1], 2 / 8),  # queries without difference change nothing
    ],
)
def test_p_by_hand(differences, p):
    assert exact_p(differences) == p
    test = paired_randomization(differences, np.zeros(len(differences)), n_resamples=49_999)
    assert test.p_value == pytest.approx(p, abs=0.01)
    assert test.difference == np.mean(differences) and test.n_queries == len(differences)


def test_p_is_never_zero_and_counts_the_data_itself():
    assert paired_randomization(np.ones(500), np.zeros(500), n_resamples=99).p_value == 1 / 100
    assert paired_randomization([1.0, 0], [1.0, 0]).p_value == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7))
def test_p_against_all_sign_vectors(seed, n_clusters):
    rng = np.random.default_rng(seed)
    groups = np.concatenate([np.arange(n_clusters), rng.integers(n_clusters, size=9)])
    a, b = rng.random((2, groups.size))
    sums = np.bincount(groups, a - b)
    ours = paired_randomization(a, b, groups, n_resamples=19_999)
    assert ours.p_value == pytest.approx(exact_p(sums), abs=0.02) and ours.n_clusters == n_clusters


def test_p_against_scipy():
    a, b = np.random.default_rng(3).random((2, 12)) + np.array([[0.15], [0]])
    theirs = stats.permutation_test(
        (a - b,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    ours = paired_randomization(a, b, n_resamples=99_999)
    assert ours.p_value == pytest.approx(theirs.pvalue, abs=0.005)
    assert ours.difference == pytest.approx(theirs.statistic, abs=1e-15)


def test_p_of_hits_is_mcnemars():
    a, b = hits(np.random.default_rng(4), 800, [0.46, 0.44])
    rng = np.random.default_rng(5)
    a[rng.random(800) < 0.05] = 0
    assert paired_randomization(a, b, n_resamples=49_999).p_value == pytest.approx(
        mcnemar_exact(a, b).p_value, abs=0.01
    )


def test_ignoring_clusters_finds_differences_that_are_not_there():
    rng = np.random.default_rng(6)
    false_alarms = np.zeros(2)
    for trial in range(150):
        a, b = rng.normal(size=(2, 30)).repeat(
            5, axis=1
        )  # five copies of each query; no system is better
        p = [
            paired_randomization(a, b, g, n_resamples=199, seed=trial)
            for g in (None, np.arange(150) // 5)
        ]
        false_alarms += [test.p_value <= 0.05 for test in p]
    assert false_alarms[0] > 40 and false_alarms[1] < 18  # of 150; 7.5 expected when p is right


def test_p_under_no_difference_is_uniform_or_larger():
    rng = np.random.default_rng(7)
    p = [
        paired_randomization(
            *hits(rng, 40, [0.5, 0.5])[:, :] + rng.normal(0, 1, (2, 40)), n_resamples=199
        )
        for _ in range(300)
    ]
    for level in (0.05, 0.2, 0.5):
        assert np.mean([test.p_value <= level for test in p]) <= level + 3 * np.sqrt(level / 300)


def test_order_of_systems_and_labels_and_memory_change_nothing(monkeypatch):
    rng = np.random.default_rng(8)
    a, b, groups = rng.random(90), rng.random(90), np.arange(90) % 41
    test = paired_randomization(a, b, groups)
    assert paired_randomization(b, a, groups).p_value == test.p_value
    assert paired_randomization(a, b, [f"image {g:02}" for g in groups]) == test
    assert paired_randomization(a, b, groups, seed=1).p_value != test.p_value
    monkeypatch.setattr(significance, "DRAWS_AT_ONCE", 7 * 41)
    assert paired_randomization(a, b, groups) == test


def test_ties_with_the_data_count_whatever_the_rounding():
    # 0.1 + 0.2 + 0.3 in another order is another double; all signs equal is p = 2 / 8 all the same.
    test = paired_randomization([0.1, 0.2, 0.3], np.zeros(3), n_resamples=49_999)
    assert test.p_value == pytest.approx(0.25, abs=0.01)


# ---- McNemar


@pytest.mark.parametrize(
    "only_a, only_b, p",
    [(0, 0, 1), (1, 0, 1), (3, 0, 0.25), (3, 1, 10 / 16), (5, 5, 1), (10, 1, 24 / 2048)],
)
def test_mcnemar_by_hand(only_a, only_b, p):
    a = np.repeat([1, 1, 0, 0], [4, only_a, only_b, 2])
    b = np.repeat([1, 0, 1, 0], [4, only_a, only_b, 2])
    test = mcnemar_exact(a, b)
    assert (test.only_a, test.only_b, test.p_value) == (only_a, only_b, p)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_against_scipy(only_a, only_b):
    a, b = np.repeat([True, False], [only_a, only_b]), np.repeat([False, True], [only_a, only_b])
    a, b = np.append(a, True), np.append(b, True)
    expected = stats.binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1
    assert mcnemar_exact(a, b).p_value == pytest.approx(expected, rel=1e-10)


def test_mcnemar_of_very_many_queries_neither_overflows_nor_vanishes():
    a = np.repeat([1.0, 0.0], [8000, 7000])
    expected = 2 * stats.norm.sf((1000 - 1) / np.sqrt(15_000))
    assert mcnemar_exact(a, 1 - a).p_value == pytest.approx(expected, rel=0.01)
    assert (
        mcnemar_exact(np.ones(3000), np.zeros(3000)).p_value == 0
    )  # 2^-2999, below the smallest double


# ---- many comparisons


def test_holm_by_hand():
    np.testing.assert_allclose(
        holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02], rtol=1e-12
    )
    np.testing.assert_array_equal(holm([0.6, 0.9, 0.0]), [1, 1, 0])
    np.testing.assert_array_equal(holm([0.03]), [0.03])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(p):
    p = np.array(p)
    adjusted = holm(p)
    assert (adjusted >= p).all() and (adjusted <= np.minimum(1, p.size * p)).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
    np.testing.assert_array_equal(holm(p[order]), adjusted[order])
    # The procedure step by step: compare the smallest with level / m, go on until one fails.
    rejected = np.zeros(p.size, bool)
    for step, at in enumerate(order):
        if (p.size - step) * p[at] > 0.05:
            break
        rejected[at] = True
    np.testing.assert_array_equal(adjusted <= 0.05, rejected)


# ---- what a test set can show


def test_minimum_detectable_difference_by_hand():
    z = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert z == pytest.approx(2.8016, abs=1e-4)
    delta = minimum_detectable_difference(1000, 0.43)
    assert (
        delta
        == pytest.approx(z * np.sqrt(2 * 0.43 * 0.57 / 1000), rel=1e-9)
        == pytest.approx(0.0620, abs=1e-4)
    )
    assert minimum_detectable_difference(1000, 0.43, correlation=0.8) == pytest.approx(
        0.0277, abs=1e-4
    )
    assert minimum_detectable_difference(4000, 0.43) == pytest.approx(delta / 2)
    assert minimum_detectable_difference(1000, 0.57) == pytest.approx(delta)
    assert minimum_detectable_difference(1000, 0.43, design_effect=4) == pytest.approx(2 * delta)


@pytest.mark.parametrize("shared_share", [0.0, 0.6])
def test_a_difference_of_that_size_is_found_four_times_out_of_five(shared_share):
    rng = np.random.default_rng(9)
    n, p, delta = 400, 0.4, 0.05
    for _ in range(20):  # how much the hits correlate depends on how much they differ
        both = np.sqrt(p * (1 - p) * (p + delta) * (1 - p - delta))
        correlation = shared_share * p * (1 - p - delta) / both
        delta = minimum_detectable_difference(n, p + delta / 2, correlation=correlation)
    found = 0
    for trial in range(300):
        shared, own = rng.random(n), rng.random((2, n))
        draws = np.where(
            rng.random(n) < shared_share, shared, own
        )  # some queries are equally hard for both
        a, b = draws[0] < p + delta, draws[1] < p
        found += paired_randomization(a, b, n_resamples=199, seed=trial).p_value <= 0.05
    assert found / 300 == pytest.approx(0.8, abs=0.07)


# ---- bad input


@pytest.mark.parametrize(
    "function", [paired_randomization, mcnemar_exact, paired_bootstrap_interval]
)
@pytest.mark.parametrize(
    "a, b, message",
    [
        ([1, 0], [1], r"same queries, got \(2,\) and \(1,\)"),
        ([[1, 0]], [[1, 0]], r"a must be a list of at least one number"),
        ([], [], "a must be a list of at least one number"),
        ([1, np.nan], [0, 1], r"a\[1\] is nan, which is not finite"),
        ([1, 0], [np.inf, 1], r"b\[0\] is inf, which is not finite"),
    ],
)
def test_bad_pairs_are_named(function, a, b, message):
    with pytest.raises(RetrievalInputError, match=message):
        function(a, b)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: mcnemar_exact([1, 0, 0.5], [1, 0, 0]), r"a\[2\] is 0.5; .* paired_randomization"),
        (lambda: mcnemar_exact([1, 0], [1, -1]), r"b\[1\] is -1"),
        (
            lambda: paired_randomization([1, 0], [0, 0], [7]),
            r"groups have shape \(1,\) for 2 queries",
        ),
        (lambda: paired_randomization([1], [0], n_resamples=0), "n_resamples must be at least 1"),
        (lambda: holm([]), "at least one number"),
        (lambda: holm([[0.1]]), r"got float64 \(1, 1\)"),
        (lambda: holm([0.1, 1.5]), r"p_values\[1\] must be between 0 and 1, got 1.5"),
        (lambda: holm([np.nan]), r"p_values\[0\] is nan"),
        (lambda: minimum_detectable_difference(0, 0.5), "n_queries must be at least 1"),
        (
            lambda: minimum_detectable_difference(10, 43),
            r"p must be between 0 and 1 \(not 0, not 1\), got 43",
        ),
        (
            lambda: minimum_detectable_difference(10, 0.5, power=1),
            r"power must be between 0 and 1 \(not 0, not 1\), got 1",
        ),
        (
            lambda: minimum_detectable_difference(10, 0.5, alpha=5),
            "alpha must be between 0 and 1 .*, got 5",
        ),
        (
            lambda: minimum_detectable_difference(10, 0.5, correlation=1),
            r"correlation must be between 0 and 1 \(not 1\), got 1",
        ),
        (
            lambda: minimum_detectable_difference(10, 0.5, design_effect=0),
            "design_effect must be a finite number above 0",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call()
