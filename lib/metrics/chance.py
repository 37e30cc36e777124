"""What a random order of the gallery would score: the row beside every result."""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import (
    RetrievalInputError,
    check_choice,
    check_choices,
    check_count,
    check_k,
    check_table,
    whole_numbers,
)
from lib.core.qrels import Qrels, check_qrels
from lib.metrics.graded import GAINS, gain_of, ideal_gain

FAMILIES = ("R", "recall", "P", "nDCG", "MRR", "MAP", "R-precision", "MAP@R")


def chance_of(
    counts: np.ndarray,
    n_gallery: int,
    ks: Sequence[int],
    depth: int,
    *,
    metrics: Sequence[str] = ("R", "recall", "MRR"),
) -> dict[str, float]:
    """Expected values of the binary metrics of `evaluate` when the order of the gallery is random.

        no hit in the first i   S_i = prod_{j < i} (n - R - j) / (n - j)
        R@k  1 - S_k        recall@k  k / n        P@k, R-precision  R / n
        MRR@K  sum_{i = 1..K} (S_{i-1} - S_i) / i
        MAP@K  (H_K + (K - H_K) (R - 1) / (n - 1)) / n,  H_K = 1 + 1/2 + ... + 1/K;   MAP@R  with K
        = R

    Args:
        counts: `(n_queries,)` number of relevant items R of each query.
        n_gallery: n, the size of the gallery.
        ks: cut-offs.
        depth: K, the depth of the run.
        metrics: families of metrics, as in `evaluate`; "nDCG" is left to `chance_of_gain`.
    """
    metrics = check_choices(metrics, FAMILIES, "metrics")
    different, weights, no_hit = _no_hit(counts, n_gallery, depth)
    ks = [check_k(k, depth) for k in whole_numbers(ks, "ks").tolist()]
    drawn = np.arange(depth)
    any_relevant = different > 0
    harmonic = np.concatenate(
        [[0], np.cumsum(1 / np.arange(1, max(depth, different.max(initial=0)) + 1))]
    )

    def precision_sums(cut):
        rest = (different - 1) / max(n_gallery - 1, 1)
        return any_relevant * (harmonic[cut] + (cut - harmonic[cut]) * rest) / n_gallery

    of_each_r = {
        "R": lambda k: 1 - no_hit[:, k],
        "recall": lambda k: k / n_gallery * any_relevant,
        "P": lambda k: different / n_gallery,
        "MRR": lambda k: ((no_hit[:, :k] - no_hit[:, 1 : k + 1]) / (drawn[:k] + 1)).sum(axis=1),
        "MAP": precision_sums,
        "R-precision": lambda _: different / n_gallery,
        "MAP@R": lambda _: precision_sums(different),
    }
    names = metric_names([family for family in metrics if family != "nDCG"], ks, depth)
    return {name: float(weights @ of_each_r[family](k)) for name, (family, k) in names.items()}


def chance_of_ranks(counts: np.ndarray, n_gallery: int, depth: int) -> dict[str, float]:
    """Median and expectation of the first relevant rank when the order of the gallery is random.

        MedR   the i at which P[r <= i] = 1 - S_i, averaged over queries, passes 1/2
        MeanR  mean of (n + 1) / (R + 1);   both infinite as soon as they depend on ranks beyond the
        run

    Args:
        counts, n_gallery, depth: as in `chance_of`.
    """
    different, weights, no_hit = _no_hit(counts, n_gallery, depth)
    found = weights @ (
        1 - no_hit
    )  # (depth + 1,) probability that the first relevant rank is at most 0, 1, ...
    # Where P[r <= i] is exactly 1/2 the median is halfway to the next rank, as np.median has it.
    places = np.searchsorted(found, 0.5 - 1e-12), np.searchsorted(found, 0.5 + 1e-12, side="right")
    median = np.mean([place if place <= depth else np.inf for place in places])
    all_within = different.min() > 0 and depth > n_gallery - different.min()
    mean = weights @ ((n_gallery + 1) / (different + 1)) if all_within else np.inf
    return {"MedR": float(median), "MeanR": float(mean)}


def chance_of_gain(qrels: Qrels, k: int, gain: str) -> float:
    """Expected nDCG@k of a random order: the mean gain of the gallery, at every rank, over the
    ideal.
    """
    check_qrels(qrels)
    check_k(k, qrels.n_items)
    check_choice(gain, GAINS, "gain")
    gains = np.bincount(qrels.query_index, gain_of(qrels.grades, gain), minlength=qrels.shape[0])
    expected = gains / qrels.n_items * (1 / np.log2(np.arange(k) + 2)).sum()
    ideal = ideal_gain(qrels, k, gain)
    return float(np.divide(expected, ideal, out=np.zeros(ideal.size), where=ideal > 0).mean())


def _no_hit(counts, n_gallery: int, depth: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The different R, their shares among the queries, and S_0, ..., S_depth of each, `(Rs, depth +
    1)`.
    """
    counts = whole_numbers(counts, "counts")
    n_gallery = check_count(n_gallery, "n_gallery")
    if counts.size == 0 or counts.min() < 0 or counts.max() > n_gallery:
        raise RetrievalInputError(
            f"counts must be one number of relevant items per query, from 0 to {n_gallery} (the"
            f" gallery), got {counts}"
        )
    check_table(check_k(depth, n_gallery), "depth")
    different, index = np.unique(counts, return_inverse=True)
    drawn = np.arange(depth)
    stays = np.maximum(n_gallery - different[:, None] - drawn, 0) / (n_gallery - drawn)
    no_hit = np.concatenate([np.ones((different.size, 1)), np.cumprod(stays, axis=1)], axis=1)
    return different, np.bincount(index) / counts.size, no_hit


def metric_names(
    metrics: Sequence[str], ks: Sequence[int], depth: int
) -> dict[str, tuple[str, int]]:
    """`{name: (family, cut-off)}` of what a report of these families holds, in its order."""
    names: dict[str, tuple[str, int]] = {}
    for family in metrics:
        if family in ("MRR", "MAP"):
            names[f"{family}@{depth}"] = family, depth
        elif family in ("R-precision", "MAP@R"):
            names[family] = family, depth
        else:
            names |= {f"{family}@{k}": (family, k) for k in ks}
    return names
