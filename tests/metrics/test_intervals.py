import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lib.core.checks import RetrievalInputError
from lib.metrics import bootstrap_interval, bootstrap_median_interval, intervals
from lib.metrics.intervals import power_law


def test_without_spread_there_is_no_uncertainty():
    assert bootstrap_interval([0.25] * 7) == (0.25, 0.25)


def test_half_width_of_a_proportion():
    values = np.repeat([1.0, 0.0], [430, 570])
    low, high = bootstrap_interval(values, n_resamples=4000)
    assert (high - low) / 2 == pytest.approx(
        1.96 * np.sqrt(0.43 * 0.57 / 1000), rel=0.08
    )  # 3.1 points
    assert (low + high) / 2 == pytest.approx(0.43, abs=0.004)


def test_copies_of_a_query_add_no_certainty():
    values = np.random.default_rng(1).random(40)
    groups = np.repeat(np.arange(40), 5)
    once = bootstrap_interval(values)
    assert bootstrap_interval(np.repeat(values, 5), groups) == pytest.approx(once, abs=1e-12)
    low, high = bootstrap_interval(np.repeat(values, 5))
    assert high - low < 0.6 * (once[1] - once[0])  # 1 / sqrt(5) of it


def test_labels_of_clusters_are_only_labels():
    values = np.random.default_rng(2).random(30)
    groups = np.arange(30) % 7
    assert bootstrap_interval(values, groups) == bootstrap_interval(
        values, [f"image {g}" for g in groups]
    )


def test_a_higher_level_is_wider():
    values = np.random.default_rng(3).random(50)
    low90, high90 = bootstrap_interval(values, level=0.9)
    low99, high99 = bootstrap_interval(values, level=0.99)
    assert low99 < low90 < high90 < high99


def test_the_seed_decides():
    values = np.random.default_rng(4).random(50)
    assert bootstrap_interval(values, seed=1) == bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values, seed=1) != bootstrap_interval(values, seed=2)


def test_against_scipy():
    values = np.random.default_rng(5).beta(2, 5, 200)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=9999, random_state=0
    )
    ours = bootstrap_interval(values, n_resamples=9999)
    np.testing.assert_allclose(ours, theirs.confidence_interval, atol=0.002)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(1, 30), st.booleans())
def test_against_a_loop_and_for_any_memory(seed, n_clusters, at_once, kept):
    rng = np.random.default_rng(seed)
    groups = np.concatenate([np.arange(n_clusters), rng.integers(n_clusters, size=20)])
    values = rng.random(groups.size)
    draws = np.random.default_rng(9).integers(n_clusters, size=(50, n_clusters))
    means = [
        np.concatenate([values[groups == cluster] for cluster in draw]).mean() for draw in draws
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "DRAWS_AT_ONCE", at_once * n_clusters)
        patch.setattr(intervals, "KEPT_CELLS", 2**24 * kept)
        ours = bootstrap_interval(values, groups, n_resamples=50, seed=9)
    np.testing.assert_allclose(ours, np.quantile(means, [0.025, 0.975]), rtol=1e-12)


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_an_interval_stays_among_the_values(values):
    low, high = bootstrap_interval(values, n_resamples=50)
    assert min(values) - 1e-12 <= low <= high <= max(values) + 1e-12


def test_the_error_of_a_single_cluster_is_unknown():
    assert np.isnan(bootstrap_interval([1.0])).all()
    assert np.isnan(bootstrap_interval([1.0, 0.0], ["a", "a"])).all()


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        (([],), {}, "at least one number, got float64"),
        (([0.5, np.nan],), {}, "values.1. is nan, which is not finite"),
        (([[0.5, 1.0]],), {}, r"list of at least one number, got float64 \(1, 2\)"),
        (([0.5, 1.0], [1]), {}, r"groups have shape \(1,\) for 2 queries"),
        (([0.5, 1.0],), {"level": 95}, r"level must be between 0 and 1 \(not 0, not 1\), got 95"),
        (([0.5, 1.0],), {"level": 0}, "level must be between 0 and 1"),
        (([0.5, 1.0],), {"n_resamples": 0}, "n_resamples must be at least 1"),
    ],
)
def test_bad_input_is_named(arguments, options, message):
    with pytest.raises(RetrievalInputError, match=message):
        bootstrap_interval(*arguments, **options)


# ---- of a median


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(1, 30), st.booleans())
def test_the_median_against_a_loop_and_for_any_memory(seed, n_clusters, at_once, kept):
    rng = np.random.default_rng(seed)
    groups = np.concatenate([np.arange(n_clusters), rng.integers(n_clusters, size=10)])
    ranks = rng.choice([1, 2, 3, 7, 20, np.inf], groups.size)
    draws = np.random.default_rng(5).integers(n_clusters, size=(40, n_clusters))
    medians = [np.median(np.concatenate([ranks[groups == g] for g in draw])) for draw in draws]
    expected = [np.quantile(medians, q, method=m) for q, m in ((0.1, "lower"), (0.9, "higher"))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "DRAWS_AT_ONCE", at_once * n_clusters)
        patch.setattr(intervals, "KEPT_CELLS", 2**24 * kept)
        found = bootstrap_median_interval(ranks, groups, level=0.8, n_resamples=40, seed=5)
    assert found == tuple(expected)


def test_the_median_of_one_cluster_has_no_known_error():
    assert np.isnan(bootstrap_median_interval([1, 2, 3], [0, 0, 0])).all()
    assert bootstrap_median_interval([4, 4, 4]) == (4, 4)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([1, np.nan],), {}, "values.1. is nan"),
        (([],), {}, "values must be a list of at least one number"),
        (([[1]],), {}, r"got int64 \(1, 1\)"),
        (([1, 2], [0]), {}, r"groups have shape \(1,\) for 2 queries"),
        (([1, 2],), {"level": 95}, "level must be between 0 and 1"),
        (([1, 2],), {"n_resamples": 0}, "n_resamples must be at least 1"),
    ],
)
def test_bad_ranks_are_named(arguments, options, message):
    with pytest.raises(RetrievalInputError, match=message):
        bootstrap_median_interval(*arguments, **options)


@pytest.mark.parametrize("limit", ["MIDDLE_VALUES", "MIDDLE_CELLS"])
@pytest.mark.parametrize("seed", range(4))
def test_medians_near_the_middle_are_those_of_all_values(seed, limit, monkeypatch):
    rng = np.random.default_rng(seed)
    ranks = np.floor(rng.exponential(4 + 40 * seed, 3000)) + 1
    ranks[:20] = np.inf
    groups = np.sort(rng.integers(600, size=ranks.size)) if seed % 2 else None
    quick = bootstrap_median_interval(ranks, groups, n_resamples=300)
    monkeypatch.setattr(f"lib.metrics.intervals.{limit}", 0)
    assert quick == bootstrap_median_interval(ranks, groups, n_resamples=300)


# ---- scaling

SIZES = np.array([1e3, 3e3, 1e4, 3e4, 1e5, 1e6])


@given(exponent=st.floats(-2, 2), coefficient=st.floats(1e-3, 1e3))
@settings(max_examples=30, deadline=None)
def test_an_exact_power_law_is_recovered(exponent, coefficient):
    fit = power_law(SIZES, coefficient * SIZES**exponent)
    assert fit.exponent == pytest.approx(exponent, abs=1e-9) and fit.worst < 1e-9
    assert fit.coefficient == pytest.approx(coefficient, rel=1e-6)
    assert fit.high - fit.low < 1e-6
    assert fit(2e6) == pytest.approx(coefficient * 2e6**exponent, rel=1e-6)


def test_by_hand():
    # logs base 10: x = 1, 2, 3 and y = 1, 3, 4: slope 3/2, residuals (-1, 2, -1)/6, se = sqrt((1/6)
    # / 2).
    fit = power_law([10, 100, 1000], [10, 1000, 10_000])
    assert fit.exponent == pytest.approx(1.5)
    assert fit.high - fit.exponent == pytest.approx(12.7062 * np.sqrt(1 / 12), rel=1e-4)
    assert fit.worst == pytest.approx(10 ** (1 / 3) - 1)


def test_the_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        fit = power_law(SIZES, SIZES**0.5 * np.exp(0.2 * rng.standard_normal(len(SIZES))))
        covered += fit.low <= 0.5 <= fit.high
    assert covered / 400 == pytest.approx(0.95, abs=0.035)


def test_a_curve_that_bends_shows_in_worst():
    assert power_law(SIZES, SIZES + 1e5).worst > 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: power_law([1, 2, 3], [1, 2]), "must have one shape"),
        (lambda: power_law([1, 2, 3], [1, 0, 2]), "y.1. must be above 0"),
        (lambda: power_law([1, np.nan, 3], [1, 1, 2]), "n.1. is nan, which is not finite"),
        (lambda: power_law([1, 2, 2], [1, 2, 3]), "at least 3 different sizes, got 2"),
        (lambda: power_law([1, 2, 3], [1, 2, 3], level=1.0), "level must be between 0 and 1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call()
