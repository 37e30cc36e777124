"""How sure a mean over queries is: bootstrap intervals that resample clusters of queries.

The gallery stays as it is; what another gallery would give is another question.
"""

from collections.abc import Iterator

import numpy as np

from lib.core.checks import RetrievalInputError, check_count, check_number, check_seed, real_numbers
from lib.metrics.runs import checked_groups

DRAWS_AT_ONCE = 2**20  # bounds the memory; the draws are the same for any value
MIDDLE_VALUES = (
    512  # different values around a median, up to which counting by value is the faster way
)


def bootstrap_interval(
    values, groups=None, *, level: float = 0.95, n_resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The percentile bootstrap interval of a mean over queries, clusters resampled whole.

        draw G clusters with replacement, m* = sum of their values / number of their queries;
        repeat; [quantile (1 - level) / 2, quantile (1 + level) / 2] of m*

    Captions of one image succeed and fail together, so drawing them one by one would promise too
    narrow an interval: on COCO captions +-0.56 points by query, +-0.85 by image.

    Args:
        values: `(n_queries,)` per-query values of a metric.
        groups: `(n_queries,)` cluster label of each query, for example its image; each its own when
            None.
        level: coverage, between 0 and 1.
        n_resamples: how often the clusters are drawn.
        seed: of the draws; the same seed gives the same interval.

    Returns:
        `(low, high)`; both NaN for a single cluster, whose sampling error nobody can know.

    Raises:
        RetrievalInputError: no values, a value that is not finite, groups of another length, or a
            level that is not between 0 and 1.

    Relations: `Evaluation.interval` is this for every metric, with the clusters of the task.

    Reference: B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13.
    """
    values = real_numbers(values, "values")
    low, high = bootstrap_intervals(
        values[:, None], groups, level=level, n_resamples=n_resamples, seed=seed
    )
    return float(low[0]), float(high[0])


def bootstrap_intervals(
    values: np.ndarray, groups=None, *, level: float = 0.95, n_resamples: int = 2000, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """`bootstrap_interval` of several metrics over the same draws: `(n_queries, m)` to two
    `(m,)`.
    """
    if values.shape[0] == 0:
        raise RetrievalInputError("there are no values, so they have no interval")
    if not np.isfinite(values).all():
        row, column = np.argwhere(~np.isfinite(values))[0]
        raise RetrievalInputError(f"value {values[row, column]} of query {row} is not finite")
    _check_level(level)
    sums, sizes = cluster_sums(values, groups)
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
    """The percentile bootstrap interval of a median over queries, clusters resampled whole.

        draw G clusters with replacement, m* = median of the values of their queries; repeat;
        [quantile (1 - level) / 2, quantile (1 + level) / 2] of m*

    The median of ranks moves in steps of a half, so that the interval is an interval of such
    values, each of which some resample had: nothing is interpolated.

    Args:
        values: `(n_queries,)` ranks; infinity where the rank is only known to be beyond the run.
        groups: `(n_queries,)` cluster label of each query; each its own when None.
        level: coverage, between 0 and 1.
        n_resamples: how often the clusters are drawn.
        seed: of the draws; they are those of `bootstrap_interval`.

    Returns:
        `(low, high)`, perhaps infinite; both NaN for a single cluster.

    Raises:
        RetrievalInputError: what `bootstrap_interval` refuses, infinity excepted.

    Relations: `Evaluation.interval("MedR")`.

    Reference: B. Efron, R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    values = real_numbers(values, "values", infinite=True)
    _check_level(level)
    cluster, n_clusters = clusters_of(groups, values.size)
    if n_clusters == 1:
        return np.nan, np.nan
    order = np.argsort(values)
    ascending, cluster = values[order], cluster[order]
    drawn = ascending, cluster, n_clusters, n_resamples, seed
    medians = _medians_near_the_middle(*drawn)
    if medians is None:
        medians = _medians_anywhere(*drawn)
    low = np.quantile(medians, (1 - level) / 2, method="lower")
    return float(low), float(np.quantile(medians, (1 + level) / 2, method="higher"))


def _medians_anywhere(
    ascending, cluster, n_clusters: int, n_resamples: int, seed: int
) -> np.ndarray:
    """The median of every draw, `(n_resamples,)`, by counting the drawn values up to each."""
    medians = []
    for counts in _draws(n_clusters, n_resamples, seed, ascending.size):
        upto = np.cumsum(
            counts[:, cluster], axis=1
        )  # (draws, n_queries) drawn values up to each, ascending
        middle = (
            (upto[:, -1:] - 1) // 2,
            upto[:, -1:] // 2,
        )  # the same place twice for an odd number
        lower, upper = (ascending[(upto <= place).sum(axis=1)] for place in middle)
        medians.append((lower + upper) / 2)
    return np.concatenate(medians)


def _medians_near_the_middle(
    ascending, cluster, n_clusters: int, n_resamples: int, seed: int
) -> np.ndarray | None:
    """The same, looking only at the few different values around the median: ranks repeat.

    The share of a draw below any value varies by at most sqrt(sum of squared cluster sizes) / 2n;
    the window is six times that on either side. None where it holds too many values, or a median
    lies outside it.
    """
    n = ascending.size
    sizes = np.bincount(cluster, minlength=n_clusters)
    reach = int(3 * np.sqrt((sizes.astype(np.float64) ** 2).sum())) + 1
    first, last = ascending[max(0, n // 2 - reach)], ascending[min(n - 1, n // 2 + reach)]
    inside = (ascending >= first) & (ascending <= last)
    values, at = np.unique(ascending[inside], return_inverse=True)
    if values.size > MIDDLE_VALUES:
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
        places = [
            (totals[:, :-1] <= middle).sum(axis=1) for middle in ((n_drawn - 1) // 2, n_drawn // 2)
        ]
        if (
            min(place.min() for place in places) == 0
            or max(place.max() for place in places) > values.size
        ):
            return None
        lower, upper = (values[place - 1] for place in places)
        medians.append((lower + upper) / 2)
    return np.concatenate(medians)


def _draws(n_clusters: int, n_resamples: int, seed: int, width: int) -> Iterator[np.ndarray]:
    """How often each cluster was drawn, `(draws, n_clusters)`, for as many draws as `width` cells
    each allow.

    Multinomial counts turn resampling into one product.
    """
    n_resamples = check_count(n_resamples, "n_resamples")
    rng = np.random.default_rng(check_seed(seed))
    at_once = max(1, DRAWS_AT_ONCE // width)
    for start in range(0, n_resamples, at_once):
        now = min(at_once, n_resamples - start)
        drawn = (
            rng.integers(n_clusters, size=(now, n_clusters)) + np.arange(now)[:, None] * n_clusters
        )
        yield np.bincount(drawn.ravel(), minlength=now * n_clusters).reshape(now, n_clusters)


def _check_level(level: float) -> None:
    check_number(level, "level", 0, 1, above=True, below=True)


def paired_bootstrap_interval(
    a, b, groups=None, *, level: float = 0.95, n_resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """The bootstrap interval of the difference of two systems' means on the same queries.

        bootstrap_interval(a - b): both systems are always judged on the same resampled clusters

    What makes a query hard is hard for both systems and cancels, so this is far narrower than what
    the two separate intervals suggest: that those overlap says nothing about the difference.

    Args:
        a, b: `(n_queries,)` per-query values of one metric for two systems, query by query.
        groups: `(n_queries,)` cluster label of each query; each its own when None.
        level: coverage, between 0 and 1.
        n_resamples: how often the clusters are drawn.
        seed: of the draws.

    Returns:
        `(low, high)` of mean(a) - mean(b); both NaN for a single cluster.

    Raises:
        RetrievalInputError: what `bootstrap_interval` refuses, or lengths that differ.

    Relations: the effect and this interval belong beside every p-value of `paired_randomization`.
    """
    return bootstrap_interval(
        differences_of(a, b), groups, level=level, n_resamples=n_resamples, seed=seed
    )


def differences_of(a, b) -> np.ndarray:
    """`(n_queries,)` a - b, after checking that they are finite values of the same queries."""
    a, b = real_numbers(a, "a"), real_numbers(b, "b")
    if a.shape != b.shape:
        raise RetrievalInputError(
            f"a and b must be one number per query of the same queries, got shapes {a.shape} and"
            f" {b.shape}"
        )
    return a - b


def cluster_sums(values: np.ndarray, groups) -> tuple[np.ndarray, np.ndarray]:
    """Sums `(n_clusters, m)` and sizes `(n_clusters,)` of the clusters of `(n_queries, m)`
    values.
    """
    if groups is None:
        return values, np.ones(len(values))
    cluster, _ = clusters_of(groups, len(values))
    sizes = np.bincount(cluster).astype(np.float64)
    return np.stack([np.bincount(cluster, column) for column in values.T], axis=1), sizes


def clusters_of(groups, n_queries: int) -> tuple[np.ndarray, int]:
    """The cluster of every query, numbered from 0, `(n_queries,)`, and how many there are."""
    if groups is None:
        return np.arange(n_queries), n_queries
    names, cluster = np.unique(checked_groups(groups, n_queries), return_inverse=True)
    return cluster, names.size
