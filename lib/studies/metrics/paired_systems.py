"""Two systems on the same queries: is the difference real? The second system is the first one,
truncated.
"""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import RetrievalInputError, as_embeddings, check_k
from lib.core.qrels import Qrels
from lib.metrics import (
    bootstrap_interval,
    evaluate_embeddings,
    holm,
    mcnemar_exact,
    minimum_detectable_difference,
    paired_bootstrap_interval,
    paired_randomization,
)


def hits_of_cut(queries, gallery, qrels: Qrels, dim: int | None = None) -> np.ndarray:
    """Hits at 1, `(n_queries,)`, by the cosines of the first `dim` coordinates (all of them when
    None).
    """
    queries, gallery = as_embeddings(queries, "queries"), as_embeddings(gallery, "gallery")
    dim = queries.shape[1] if dim is None else check_k(dim, queries.shape[1])
    return evaluate_embeddings(queries[:, :dim], gallery[:, :dim], qrels, ks=[1]).per_query["R@1"]


def compare(a: np.ndarray, b: np.ndarray, groups=None) -> dict:
    """All that a table should say about two systems' hits, query by query.

    Args:
        a, b: `(n_queries,)` hits, 0 or 1.
        groups: `(n_queries,)` clusters; sign flips keep them together, McNemar's test cannot.

    Returns:
        n_queries, n_clusters, difference, p of the sign flips and of McNemar, and `visible`: the
        smallest difference that a test set of this size shows four times out of five, given how the
        systems correlate and how much the clusters widen the paired interval.

    Raises:
        RetrievalInputError: hits of one system that are all alike, which correlate with nothing.
    """
    if min(np.ptp(a), np.ptp(b)) == 0:
        raise RetrievalInputError(
            "one of the two systems gets every query right, or none: nothing correlates"
        )
    test = paired_randomization(a, b, groups)
    by_query, by_cluster = (np.ptp(paired_bootstrap_interval(a, b, g)) for g in (None, groups))
    visible = minimum_detectable_difference(
        test.n_queries,
        float(np.mean(a)),
        correlation=max(0.0, float(np.corrcoef(a, b)[0, 1])),
        design_effect=float((by_cluster / by_query) ** 2) if by_query > 0 else 1.0,
    )
    return {
        "n_queries": test.n_queries,
        "n_clusters": test.n_clusters,
        "difference": test.difference,
        "p_flips": test.p_value,
        "p_mcnemar": mcnemar_exact(a, b).p_value,
        "visible": visible,
    }


def intervals(a: np.ndarray, b: np.ndarray, groups=None) -> list[dict]:
    """Three intervals of one difference: as if unpaired, paired by query, paired by cluster.

    Unpaired, the variances of both means add up: the half-width is the root of the sum of the
    squared ones.

    Returns:
        Rows of kind, value, low and high, as fractions.
    """
    value = float(np.mean(a) - np.mean(b))
    half = float(np.hypot(*(np.ptp(bootstrap_interval(hits, groups)) / 2 for hits in (a, b))))
    ends = {
        "unpaired": (value - half, value + half),
        "paired by query": paired_bootstrap_interval(a, b),
        "paired by cluster": paired_bootstrap_interval(a, b, groups),
    }
    return [
        {"kind": kind, "value": value, "low": low, "high": high}
        for kind, (low, high) in ends.items()
    ]


def against_all(queries, gallery, qrels: Qrels, dims: Sequence[int], groups=None) -> list[dict]:
    """The whole embedding against several truncations: one family of tests, before and after Holm.

    Returns:
        Rows of dim, difference (all coordinates minus `dim` of them), p and p_holm.
    """
    whole = hits_of_cut(queries, gallery, qrels)
    tests = [
        paired_randomization(whole, hits_of_cut(queries, gallery, qrels, dim), groups)
        for dim in dims
    ]
    adjusted = holm([test.p_value for test in tests]).tolist()
    return [
        {"dim": dim, "difference": test.difference, "p": test.p_value, "p_holm": p}
        for dim, test, p in zip(dims, tests, adjusted, strict=True)
    ]
