"""What the small indexes share: scores of everything, scores of some, and the k best of each
row.
"""

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.index import exact
from lib.index.exact_scores import pack, prepare, score_block

DOT_OR_L2 = (
    "inner_product",
    "l2",
)  # cosine is the inner product of unit rows: normalise them once, outside


def similarities(queries, rows, metric: str = "inner_product") -> np.ndarray:
    """`q.x`, or `-|q - x|^2`, of every query with every row: `(n_queries, n)` float32, higher is
    better.
    """
    asked, items = checked(queries, rows, metric)
    return score_block(asked, items, metric)


def checked(queries, rows, metric: str):
    """Both sides ready for `score_block` and `score_pairs`, or `RetrievalInputError`."""
    check_choice(metric, DOT_OR_L2, "metric")
    items = prepare(rows, "rows", metric)
    return prepare(queries, "queries", metric, dim=items.rows.shape[1]), items


def best_of_pairs(
    queries, rows, query_at, item_at, k: int, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """Scores (query, item) pairs and keeps the k best of each query.

    Args:
        query_at, item_at: `(n_pairs,)` positions, ascending in `query_at`, no pair twice.

    Returns:
        `(scores, ids)`: float32 and int64 `(n_queries, k)`, best first, smaller ids first among
        equals; -inf and -1 where a query has fewer than k pairs.
    """
    asked, items = checked(queries, rows, metric)
    k = check_count(k, "k")
    return exact.best_of_pairs(asked, items, query_at, item_at, k, metric)


def best_of_row(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best columns of each row of `(n_queries, n)` scores, as `best_of_pairs` returns
    them.
    """
    if check_count(k, "k") > scores.shape[1]:
        raise RetrievalInputError(f"k = {k} is more than the {scores.shape[1]} items")
    keys = pack(np.asarray(scores, np.float32), np.arange(scores.shape[1]))
    return exact.hits_of(np.sort(np.partition(keys, k - 1, axis=1)[:, :k], axis=1))
