"""Compute how well a score separates two sets: the area under the ROC curve, with an interval."""

import numpy as np

from lib.core.checks import RetrievalInputError, real_numbers
from lib.metrics.intervals import clusters_of

Z_95 = 1.959963984540054  # quantile of the normal distribution


def auroc(positives, negatives) -> float:
    """Compute the probability that a positive has the larger score; a tie counts half.

        AUROC = mean over pairs of [s+ > s-] + [s+ = s-] / 2

    Args:
        positives: (n,) scores of what should score high.
        negatives: (m,) scores of what should score low.

    Returns:
        1 for perfect separation, 0.5 for none.
    """
    return float(_placements(*_checked(positives, negatives)).mean())


def auroc_interval(positives, negatives, groups=None) -> tuple[float, float]:
    """Compute the 95% interval of `auroc`, with clusters among the positives.

    The variance is that of the mean placements of both sides, in sums over clusters.

    Args:
        positives, negatives: of `auroc`.
        groups: (n,) cluster of each positive, for example its concept; by default each is its own.

    Returns:
        `(low, high)`, within 0 and 1.

    Reference: DeLong, DeLong and Clarke-Pearson 1988; with clusters, Obuchowski 1997.
    """
    positives, negatives = _checked(positives, negatives)
    above = _placements(positives, negatives)
    below = 1 - _placements(negatives, positives)
    value, cluster = above.mean(), clusters_of(groups, len(above))[0]
    variance = sum(
        _variance(np.bincount(own, side - value), len(side))
        for side, own in ((above, cluster), (below, np.arange(len(below))))
    )
    half = Z_95 * np.sqrt(variance)
    return float(max(0.0, value - half)), float(min(1.0, value + half))


def _variance(sums: np.ndarray, n: int) -> float:
    """Variance of a mean of n values from the sums of their deviations by cluster."""
    if len(sums) < 2:
        raise RetrievalInputError("an interval needs at least two clusters on each side, got one")
    return (sums**2).sum() * len(sums) / (len(sums) - 1) / n**2


def _placements(scores: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Share of the others that lie below each score; a tie counts half."""
    others = np.sort(others)
    left, right = (np.searchsorted(others, scores, side) for side in ("left", "right"))
    return (left + right) / (2 * len(others))


def _checked(positives, negatives) -> tuple[np.ndarray, np.ndarray]:
    return real_numbers(positives, "positives"), real_numbers(negatives, "negatives")
