"""Paired tests of two systems on the same queries, and correction for several comparisons."""

from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist

import numpy as np

from lib.core.checks import RetrievalInputError, check_count, check_number, check_seed, real_numbers
from lib.metrics.intervals import (
    DRAWS_AT_ONCE,
    checked_weights,
    cluster_sums,
    differences_of,
    paired_bootstrap_interval,
)


@dataclass(frozen=True)
class PairedTest:
    """Result of `paired_randomization`; p is two-sided, clusters are flipped as a whole."""

    difference: float
    p_value: float
    n_queries: int
    n_clusters: int


def paired_randomization(
    a, b, groups=None, *, n_resamples: int = 9999, seed: int = 0
) -> PairedTest:
    """Compute the two-sided sign-flip test of the mean difference of two systems.

        T = |sum_g d_g|,  d_g = sum of a - b over the queries of cluster g
        T* = |sum_g s_g d_g|, s_g = +1 or -1 by a fair coin
        p = (#{T* >= T} + 1) / (n_resamples + 1)

    The test supposes only that, if neither system is better, exchanging their names on a query is
    as likely as not. Captions of one image succeed and fail together, so their names are exchanged
    together. The +1 counts the data as one of its own reorderings: p is valid and above 0.

    Args:
        a, b: `(n_queries,)` values of one metric for two systems, in the same order of queries.
        groups: `(n_queries,)` cluster label of each query. None: every query is a cluster.
        n_resamples: number m of sign vectors; the smallest possible p is 1 / (m + 1).
        seed: of the coins; the same seed gives the same p.

    Returns:
        A `PairedTest`. p is 1 when no cluster differs. For several comparisons, adjust by `holm`.

    Reference: M. Smucker, J. Allan, B. Carterette, A Comparison of Statistical Significance Tests
    for Information Retrieval Evaluation, CIKM 2007; B. Phipson, G. Smyth, 2010, for the +1.
    """
    differences = differences_of(a, b)
    n_resamples = check_count(n_resamples, "n_resamples")
    sums, _ = cluster_sums(differences[:, None], groups)
    n_clusters = len(sums)
    weights = sums[sums[:, 0] != 0, 0]  # the others do not change the sum
    # Sums in another order differ in their last bits; a tie with the observed sum must count.
    observed = abs(weights.sum()) - 1e-12 * np.abs(weights).sum()
    rng = np.random.default_rng(check_seed(seed))
    n_words = -(-weights.size // 64)
    at_once = max(1, DRAWS_AT_ONCE // max(weights.size, 1))
    as_extreme = 0
    for start in range(0, n_resamples, at_once):
        now = min(at_once, n_resamples - start)
        words = rng.integers(2**64, size=(now, n_words), dtype=np.uint64).astype("<u8")
        # (now, n_clusters), 0 or 1
        heads = np.unpackbits(words.view(np.uint8), axis=1, count=weights.size)
        flipped = 2 * (heads.astype(np.float64) @ weights) - weights.sum()
        as_extreme += int((np.abs(flipped) >= observed).sum())
    return PairedTest(
        difference=float(differences.mean()),
        p_value=(as_extreme + 1) / (n_resamples + 1),
        n_queries=differences.size,
        n_clusters=n_clusters,
    )


@dataclass(frozen=True)
class SystemComparison:
    """The difference of two systems on the same queries, with its interval and its p-value.

    `low` and `high` are NaN for a single cluster. `p_value` is the two-sided p of the sign-flip
    test, not corrected for other comparisons.
    """

    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    p_value: float
    n_queries: int
    n_clusters: int


def compare_systems(
    values_a,
    values_b,
    groups=None,
    weights=None,
    *,
    level: float = 0.95,
    n_resamples: int = 9999,
    seed: int = 0,
) -> SystemComparison:
    """Compare two systems query by query: difference, interval and p-value.

    The interval is `paired_bootstrap_interval`, the p-value is `paired_randomization`. Read the
    interval first: a small p says that there is a difference, not that the difference matters.
    For several comparisons, adjust the p-values with `holm`.

    Args:
        values_a, values_b: `(n_queries,)` values of one metric, in the same order of queries.
        groups: `(n_queries,)` cluster label of each query, for example its image. None: every query
            is a cluster.
        weights: `(n_queries,)` weights above 0 of weighted means. None: all are equal.
        level: coverage of the interval, between 0 and 1.
        n_resamples: number of random sign vectors of the test.
        seed: seed of the interval and of the test.

    Returns:
        A `SystemComparison`, in the unit of the values.
    """
    differences_of(values_a, values_b, ("values_a", "values_b"))  # errors with these names
    systems = real_numbers(values_a, "values_a"), real_numbers(values_b, "values_b")
    low, high = paired_bootstrap_interval(*systems, groups, weights, level=level, seed=seed)
    if weights is not None:
        weights = checked_weights(weights, systems[0].size)
        systems = tuple(values * (weights / weights.mean()) for values in systems)
    test = paired_randomization(*systems, groups, n_resamples=n_resamples, seed=seed)
    return SystemComparison(
        mean_a=float(systems[0].mean()),
        mean_b=float(systems[1].mean()),
        difference=test.difference,
        low=low,
        high=high,
        p_value=test.p_value,
        n_queries=test.n_queries,
        n_clusters=test.n_clusters,
    )


@dataclass(frozen=True)
class McNemar:
    """Result of `mcnemar_exact`; `only_a` counts queries that only the first system got right."""

    only_a: int
    only_b: int
    p_value: float


def mcnemar_exact(a, b) -> McNemar:
    """Compute McNemar's exact test of two systems' hits on the same independent queries.

        p = min(1, 2 P[X <= min(only_a, only_b)]),  X ~ Binomial(only_a + only_b, 1/2)

    Queries that both get right, or both wrong, drop out. Captions of one image are not independent:
    use `paired_randomization` with the images as groups.

    Args:
        a, b: `(n_queries,)` hits, 0 or 1 (or booleans), in the same order of queries.

    Returns:
        A `McNemar`. The probability is a ratio of whole numbers, rounded once.

    Reference: Q. McNemar, Note on the sampling error of the difference between correlated
    proportions, Psychometrika 1947.
    """
    differences = differences_of(a, b)
    for name, values in (("a", real_numbers(a, "a")), ("b", real_numbers(b, "b"))):
        wrong = np.flatnonzero((values != 0) & (values != 1))
        if wrong.size:
            raise RetrievalInputError(
                f"{name}[{wrong[0]}] is {values[wrong[0]]}; McNemar's test compares hits of 0 or 1."
                " For other metrics use paired_randomization"
            )
    only_a, only_b = int((differences > 0).sum()), int((differences < 0).sum())
    n = only_a + only_b
    term = ways = 1  # ways to draw 0 of n; then each binomial coefficient from the one before
    for i in range(min(only_a, only_b)):
        term = term * (n - i) // (i + 1)
        ways += term
    return McNemar(only_a, only_b, float(min(Fraction(1), Fraction(2 * ways, 2**n))))


def holm(p_values) -> np.ndarray:
    """Adjust p-values for several comparisons by Holm's method.

        sort ascending p_(1) <= ... <= p_(m);  q_(i) = max over j <= i of min(1, (m - j + 1) p_(j))

    Of twenty systems that equal the baseline, one differs at p < 0.05 on average. Calling only
    q < 0.05 a difference errs anywhere with a probability of at most 0.05, however the tests depend
    on each other.

    Args:
        p_values: `(m,)` p-values of all comparisons that were made, not only of those reported.

    Returns:
        `(m,)` adjusted p-values in the same order, from p to Bonferroni's m p.

    Reference: S. Holm, A Simple Sequentially Rejective Multiple Test Procedure, Scand. J.
    Statistics 1979.
    """
    p = real_numbers(p_values, "p_values")
    wrong = np.flatnonzero(~((p >= 0) & (p <= 1)))
    if wrong.size:
        cell = f"p_values[{wrong[0]}]"
        raise RetrievalInputError(f"{cell} must be between 0 and 1, got {p[wrong[0]]}")
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, np.arange(p.size, 0, -1) * p[order]))
    return adjusted


def minimum_detectable_difference(
    n_queries: int,
    p: float,
    *,
    correlation: float = 0.0,
    design_effect: float = 1.0,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float:
    """Compute the smallest true difference of two hit rates that a test set of this size shows.

        delta = (z_{1 - alpha/2} + z_power) sqrt(2 p (1 - p) (1 - correlation) design_effect / n)

    Compute it before a comparison: a smaller difference is usually not significant, and one that is
    significant is exaggerated. 1,000 queries at 43% show 6.2 points between two papers' runs, and
    2.8 points between two systems compared query by query with hits that correlate at 0.8.

    Args:
        n_queries: size n of the test set.
        p: the hit rate, between 0 and 1, both excluded.
        correlation: of the two systems' hits over queries, in [0, 1); 0 also when they are not
            compared query by query, for example against a printed number.
        design_effect: factor by which clusters increase the variance, 1 + (m - 1) rho for clusters
            of m queries with correlation rho. The squared ratio of the clustered to the plain
            bootstrap interval estimates it (about (0.85 / 0.56)^2 = 2.3 for COCO captions).
        alpha: two-sided level of the test.
        power: probability of a significant result when the difference is delta.

    Returns:
        delta as a fraction, by the normal approximation. More than max(p, 1 - p): no difference can
        be shown.

    Reference: D. Card et al., With Little Power Comes Great Responsibility, EMNLP 2020.
    """
    n_queries = check_count(n_queries, "n_queries")
    for name, value in (("p", p), ("alpha", alpha), ("power", power)):
        check_number(value, name, 0, 1, above=True, below=True)
    check_number(correlation, "correlation", 0, 1, below=True)
    check_number(design_effect, "design_effect", 0, above=True)
    quantile = NormalDist().inv_cdf
    variance = 2 * p * (1 - p) * (1 - correlation) * design_effect / n_queries
    return (quantile(1 - alpha / 2) + quantile(power)) * variance**0.5
