"""Bootstrap intervals of means and medians over queries, and intervals of a power law's exponent.

The bootstrap resamples clusters of queries; the gallery stays as it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lib.core.checks import RetrievalInputError, check_count, check_number, check_seed, real_numbers
from lib.metrics.runs import checked_groups

DRAWS_AT_ONCE = 2**20  # bounds the memory; the draws are the same for any value
KEPT_CELLS = 2**24  # of draws x clusters that stay for the next metric: 64 MB
MIDDLE_VALUES = 512  # up to this many different values near a median, counting by value is faster
MIDDLE_CELLS = 2**23  # of clusters x values that are counted so: 64 MB


def bootstrap_interval(
    values,
    groups=None,
    weights=None,
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Compute the percentile bootstrap interval of a mean over queries, by clusters.

        draw G clusters with replacement, m* = sum of their values / number of their queries
        (with weights, sum of w x values / sum of w);
        repeat; [quantile (1 - level) / 2, quantile (1 + level) / 2] of m*

    Captions of one image succeed and fail together; drawing them one by one gives an interval that
    is too narrow: on COCO captions +-0.56 points by query, +-0.85 by image.

    Args:
        values: `(n_queries,)` per-query values of a metric.
        groups: `(n_queries,)` cluster label of each query, for example its image. None: every query
            is a cluster.
        weights: `(n_queries,)` weights above 0 of a weighted mean, as of `subset_weights`. None:
            all are equal.
        level: coverage, between 0 and 1.
        n_resamples: how often the clusters are drawn.
        seed: of the draws; the same seed gives the same interval.

    Returns:
        `(low, high)`; both NaN for a single cluster, which says nothing about the sampling error.

    Reference: B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13.
    """
    values = real_numbers(values, "values")
    options = {"level": level, "n_resamples": n_resamples, "seed": seed}
    low, high = bootstrap_intervals(values[:, None], groups, weights, **options)
    return float(low[0]), float(high[0])


def bootstrap_intervals(
    values: np.ndarray,
    groups=None,
    weights=None,
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Compute `bootstrap_interval` of each column of `(n_queries, m)` over the same draws."""
    if values.shape[0] == 0:
        raise RetrievalInputError("there are no values, so they have no interval")
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise RetrievalInputError(f"value {values[row, column]} of query {row} is not finite")
    check_level(level)
    if weights is None:
        sums, sizes = cluster_sums(values, groups)
    else:
        weights = checked_weights(weights, len(values))[:, None]
        sums, sizes = (cluster_sums(part, groups)[0] for part in (values * weights, weights))
    n_clusters = len(sizes)
    if n_clusters == 1:
        return np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    columns = np.column_stack([sums, sizes])  # (n_clusters, m + 1)
    means = []
    for counts in _draws(n_clusters, n_resamples, seed, n_clusters):
        totals = counts.astype(np.float64) @ columns
        means.append(totals[:, :-1] / totals[:, -1:])
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def bootstrap_median_interval(
    values, groups=None, *, level: float = 0.95, n_resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Compute the percentile bootstrap interval of a median over queries, by clusters.

        draw G clusters with replacement, m* = median of the values of their queries; repeat;
        [quantile (1 - level) / 2, quantile (1 + level) / 2] of m*

    The median of ranks moves in steps of a half. Both ends are medians of resamples: nothing is
    interpolated.

    Args:
        values: `(n_queries,)` ranks; infinity where the rank is beyond the run.
        groups, level, n_resamples, seed: as in `bootstrap_interval`, with the same draws.

    Returns:
        `(low, high)`, possibly infinite; both NaN for a single cluster.

    Reference: B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    values = real_numbers(values, "values", infinite=True)
    check_level(level)
    cluster, n_clusters = clusters_of(groups, values.size)
    if n_clusters == 1:
        return np.nan, np.nan
    order = np.argsort(values)
    arguments = values[order], cluster[order], n_clusters, n_resamples, seed
    medians = _medians_near_the_middle(*arguments)
    if medians is None:
        medians = _medians_anywhere(*arguments)
    low = np.quantile(medians, (1 - level) / 2, method="lower")
    return float(low), float(np.quantile(medians, (1 + level) / 2, method="higher"))


def _medians_anywhere(
    ascending, cluster, n_clusters: int, n_resamples: int, seed: int
) -> np.ndarray:
    """Return the median of every draw, by counting the drawn values up to each."""
    medians = []
    for counts in _draws(n_clusters, n_resamples, seed, ascending.size):
        upto = np.cumsum(counts[:, cluster], axis=1)  # (draws, n_queries) drawn values up to each
        n_drawn = upto[:, -1:]
        middle = (n_drawn - 1) // 2, n_drawn // 2  # the same place twice for an odd number
        lower, upper = (ascending[(upto <= place).sum(axis=1)] for place in middle)
        medians.append((lower + upper) / 2)
    return np.concatenate(medians)


def _medians_near_the_middle(
    ascending, cluster, n_clusters: int, n_resamples: int, seed: int
) -> np.ndarray | None:
    """Return the same from the few different values around the median: two to six times as fast.

    The window is six standard deviations wide on either side. None where it holds too many values
    for its memory, or a median lies outside it.
    """
    n = ascending.size
    sizes = np.bincount(cluster, minlength=n_clusters)
    reach = int(3 * np.sqrt((sizes.astype(np.float64) ** 2).sum())) + 1
    first, last = ascending[max(0, n // 2 - reach)], ascending[min(n - 1, n // 2 + reach)]
    inside = (ascending >= first) & (ascending <= last)
    values, at = np.unique(ascending[inside], return_inverse=True)
    if values.size > MIDDLE_VALUES or n_clusters * (values.size + 2) > MIDDLE_CELLS:
        return None
    upto = np.zeros((n_clusters, values.size + 2))  # of each cluster: values below, up to each, all
    upto[:, 0] = np.bincount(cluster[ascending < first], minlength=n_clusters)
    np.add.at(upto, (cluster[inside], at + 1), 1)
    upto[:, :-1] = np.cumsum(upto[:, :-1], axis=1)
    upto[:, -1] = sizes
    medians = []
    for counts in _draws(n_clusters, n_resamples, seed, n_clusters):
        totals = counts.astype(np.float64) @ upto  # whole numbers, exact
        n_drawn = totals[:, -1:]
        middle = (n_drawn - 1) // 2, n_drawn // 2
        places = np.stack([(totals[:, :-1] <= place).sum(axis=1) for place in middle])
        if places.min() == 0 or places.max() > values.size:
            return None
        lower, upper = values[places - 1]
        medians.append((lower + upper) / 2)
    return np.concatenate(medians)


def _draws(n_clusters: int, n_resamples: int, seed: int, width: int) -> Iterator[np.ndarray]:
    """Yield how often each cluster was drawn, `(draws, n_clusters)`; a draw needs `width` cells."""
    n_resamples, seed = check_count(n_resamples, "n_resamples"), check_seed(seed)
    at_once = max(1, DRAWS_AT_ONCE // width)
    if n_resamples * n_clusters > KEPT_CELLS:
        yield from _new_draws(n_clusters, n_resamples, seed, at_once)
        return
    counts = _kept_draws(n_clusters, n_resamples, seed)
    for start in range(0, n_resamples, at_once):
        yield counts[start : start + at_once]


@lru_cache(maxsize=1)
def _kept_draws(n_clusters: int, n_resamples: int, seed: int) -> np.ndarray:
    """Return all draws: each metric of an evaluation is resampled by the same."""
    at_once = max(1, DRAWS_AT_ONCE // n_clusters)
    parts = _new_draws(n_clusters, n_resamples, seed, at_once)
    counts = np.concatenate([part.astype(np.int32) for part in parts])
    counts.flags.writeable = False
    return counts


def _new_draws(n_clusters: int, n_resamples: int, seed: int, at_once: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(seed)
    for start in range(0, n_resamples, at_once):
        now = min(at_once, n_resamples - start)
        drawn = rng.integers(n_clusters, size=(now, n_clusters))
        drawn += np.arange(now)[:, None] * n_clusters
        yield np.bincount(drawn.ravel(), minlength=now * n_clusters).reshape(now, n_clusters)


def checked_weights(weights, n_queries: int) -> np.ndarray:
    """Return the weight of every query, `(n_queries,)` float64 above 0."""
    weights = real_numbers(weights, "weights")
    if weights.size != n_queries or weights.min() <= 0:
        raise RetrievalInputError(
            f"weights must be one number above 0 for each of {n_queries} queries, got"
            f" {weights.size}, the least is {weights.min()}"
        )
    return weights


def check_level(level: float) -> float:
    """Return the coverage of an interval, between 0 and 1."""
    return check_number(level, "level", 0, 1, above=True, below=True)


def paired_bootstrap_interval(
    a, b, groups=None, weights=None, *, level: float = 0.95, n_resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Compute the bootstrap interval of the difference of two systems' means on the same queries.

        bootstrap_interval(a - b): both systems are always judged on the same resampled clusters

    A query that is hard for both systems cancels, so this is far narrower than the two separate
    intervals suggest: their overlap says nothing about the difference.

    Args:
        a, b: `(n_queries,)` values of one metric for two systems, in the same order of queries.
        groups, weights, level, n_resamples, seed: as in `bootstrap_interval`.

    Returns:
        `(low, high)` of mean(a) - mean(b); both NaN for a single cluster.
    """
    options = {"level": level, "n_resamples": n_resamples, "seed": seed}
    return bootstrap_interval(differences_of(a, b), groups, weights, **options)


def differences_of(a, b, names: tuple[str, str] = ("a", "b")) -> np.ndarray:
    """Return `(n_queries,)` a - b of finite values of the same queries; `names` for errors."""
    a, b = real_numbers(a, names[0]), real_numbers(b, names[1])
    if a.shape != b.shape:
        shapes = f"{a.shape} and {b.shape}"
        both = " and ".join(names)
        raise RetrievalInputError(f"{both} must be values of the same queries, got {shapes}")
    with np.errstate(over="ignore"):
        return real_numbers(a - b, " - ".join(names))  # 1e308 - -1e308 is infinite


def cluster_sums(values: np.ndarray, groups) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums `(n_clusters, m)` and sizes `(n_clusters,)` of clusters of rows."""
    if groups is None:
        return values, np.ones(len(values))
    cluster, _ = clusters_of(groups, len(values))
    sizes = np.bincount(cluster).astype(np.float64)
    return np.stack([np.bincount(cluster, column) for column in values.T], axis=1), sizes


def clusters_of(groups, n_queries: int) -> tuple[np.ndarray, int]:
    """Return the cluster of every query, numbered from 0, and the number of clusters."""
    if groups is None:
        return np.arange(n_queries), n_queries
    names, cluster = np.unique(checked_groups(groups, n_queries), return_inverse=True)
    return cluster, names.size


# ---- growth with size


@dataclass(frozen=True)
class PowerLaw:
    """A power law `y ~ coefficient n^exponent`, fitted to points.

    Args:
        exponent, low, high: of n, with its interval.
        coefficient: y at n = 1.
        worst: largest |y / fit - 1| at the given points: how far they are from a power law.
    """

    exponent: float
    low: float
    high: float
    coefficient: float
    worst: float

    def __call__(self, n):
        """Return the fit at n. Beyond the sizes that were fitted it is a guess."""
        return self.coefficient * np.asarray(n, float) ** self.exponent


def power_law(n, y, level: float = 0.95) -> PowerLaw:
    """Fit a power law by least squares of logarithms.

        log y_i = log a + b log n_i + e_i
        b +- t se(b),    t of Student with (points - 2) degrees of freedom

    The interval holds for independent, equally spread e_i. A curve that bends is no power law:
    `worst` is then large, however narrow the interval. Exact search has b = 1, an inverted file
    with nlist ~ sqrt(n) has 1/2.

    Args:
        n: `(points,)` sizes, at least three of them different.
        y: `(points,)` costs, above 0.
        level: coverage of the interval.

    Returns:
        A `PowerLaw`.
    """
    from scipy import stats  # not needed by any metric, and slow to import

    n, y = real_numbers(n, "n"), real_numbers(y, "y")
    if n.shape != y.shape:
        raise RetrievalInputError(f"n and y must have one shape, got {n.shape} and {y.shape}")
    for name, values in (("n", n), ("y", y)):
        bad = np.flatnonzero(values <= 0)
        if bad.size:
            cell = f"{name}[{bad[0]}]"
            raise RetrievalInputError(f"{cell} must be above 0 (logarithm), got {values[bad[0]]}")
    if len(np.unique(n)) < 3:
        n_sizes = len(np.unique(n))
        raise RetrievalInputError(f"n must have at least 3 different sizes, got {n_sizes}")
    level = check_level(level)
    log_n, log_y = np.log(n), np.log(y)
    slope, intercept = np.polyfit(log_n, log_y, 1)
    residuals = log_y - intercept - slope * log_n
    variance = (residuals**2).sum() / (len(n) - 2) / ((log_n - log_n.mean()) ** 2).sum()
    half = stats.t.ppf((1 + level) / 2, len(n) - 2) * np.sqrt(variance)
    worst = np.abs(np.expm1(residuals)).max()
    return PowerLaw(*map(float, (slope, slope - half, slope + half, np.exp(intercept), worst)))
