"""Provide the textbook's functions under its names and argument orders: arrays in, number out.

Each name calls the one of this library that does the work; per-query values, intervals, masks and
other options are there, in `lib.losses`, `lib.metrics` and `lib.index`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from lib import metrics
from lib.core.checks import RetrievalInputError, as_array
from lib.core.qrels import Qrels
from lib.index import VectorSearchIndex
from lib.losses import infonce_loss, sigmoid_loss, triplet_loss

__all__ = [
    "VectorSearchIndex",
    "infonce_loss",
    "mean_reciprocal_rank",
    "ndcg_at_k",
    "recall_at_k",
    "sigmoid_loss",
    "triplet_loss",
]


def recall_at_k(predictions, targets, k: int) -> float:
    """Compute recall@k, averaged over queries.

        recall@k = mean_i |first k of ranking i that are relevant| / |relevant items of i|

    With one relevant item a query this is the share of queries that find it, which cross-modal
    papers call R@K; with several it is not (`lib.metrics.hit_rate_at_k` is R@K).

    Args:
        predictions: `(n_queries, depth)` item ids, best first.
        targets: `(n_queries,)` one relevant id a query, or a list of relevant ids for each query.
        k: places of the ranking that count, from 1 to `depth`.

    Returns:
        A number from 0 to 1.
    """
    return float(metrics.recall_at_k(predictions, targets, k).mean())


def mean_reciprocal_rank(predictions, targets) -> float:
    """Compute MRR: the mean of 1 / rank of the first relevant item; 0 where none was returned.

    Args:
        predictions, targets: as for `recall_at_k`.

    Returns:
        A number from 0 to 1.
    """
    return float(metrics.mean_reciprocal_rank(predictions, targets))


def ndcg_at_k(predictions, relevances, k: int) -> float:
    """Compute nDCG@k with gain 2^grade - 1, averaged over queries.

        DCG@k = sum_{r <= k} (2^g_r - 1) / log2(r + 1),   nDCG@k = DCG@k / DCG@k of the best order

    The best order is that of all judged items, also of those that were not returned.

    Args:
        predictions: `(n_queries, depth)` item ids, best first.
        relevances: `(n_queries, n_items)` grades, row i for query i and column j for item j; or one
            `{item id: grade}` for each query. Grades are whole numbers, 0 for not relevant.
        k: places of the ranking that count, from 1 to `depth`.

    Returns:
        A number from 0 to 1.
    """
    return float(metrics.ndcg_at_k(predictions, _judgements(relevances), k).mean())


def _judgements(relevances) -> Qrels:
    """Turn a matrix of grades, or one mapping a query, into qrels."""
    if isinstance(relevances, Qrels):
        return relevances
    if isinstance(relevances, Sequence) and all(isinstance(row, Mapping) for row in relevances):
        judged = [
            (query, item, grade)
            for query, grade_by_item in enumerate(relevances)
            for item, grade in grade_by_item.items()
            if grade != 0
        ]
        queries, items, grades = zip(*judged, strict=True) if judged else ((), (), ())
        return Qrels.from_pairs(queries, items, grades, shape=(len(relevances), 2**62))
    grades = as_array(relevances, "relevances")
    if grades.ndim != 2:
        raise RetrievalInputError(
            "`relevances` must be a matrix of grades (n_queries, n_items) or one"
            f" {{item id: grade}} for each query, got shape {grades.shape}"
        )
    queries, items = np.nonzero(grades)
    return Qrels.from_pairs(queries, items, grades[queries, items], shape=grades.shape)
