"""k-means, inverted lists, and the exact scores that every index from scratch uses."""

import numpy as np

from lib.core.checks import (
    RetrievalInputError,
    as_embeddings,
    check_choice,
    check_count,
    check_seed,
)
from lib.index import exact_scores
from lib.index.exact_scores import Vectors, pack, prepare, score_block
from lib.index.ids import spans

METRICS = ("inner_product", "l2")  # for cosine, normalise the rows and use inner_product


def similarities(queries, rows, metric: str = "inner_product") -> np.ndarray:
    """Compute `q.x` or `-|q - x|^2` of every query and row: `(n_queries, n)` float32."""
    return score_block(*_prepared(queries, rows, metric), metric)


def best_of_row(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the k best columns of each row of `(n_queries, n)` scores, as `best_of_pairs` does."""
    if check_count(k, "k") > scores.shape[1]:
        raise RetrievalInputError(f"`k` must be at most {scores.shape[1]} (the items), got {k}")
    keys = pack(np.asarray(scores, np.float32), np.arange(scores.shape[1]))
    return exact_scores.hits_of(np.sort(np.partition(keys, k - 1, axis=1)[:, :k], axis=1))


def best_of_pairs(
    queries, rows, query_at, item_at, k: int, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """Score (query, item) pairs, ascending in `query_at`, and return the k best of each query.

    Returns `(scores, ids)`: float32 and int64 `(n_queries, k)`, best first, of equal scores the
    smaller id first; -inf and -1 where a query has fewer than k pairs.
    """
    query_vectors, items = _prepared(queries, rows, metric)
    check_count(k, "k")
    return exact_scores.best_of_pairs(query_vectors, items, query_at, item_at, k, metric)


def kmeans(rows, centroids, iterations: int = 25) -> tuple[np.ndarray, np.ndarray]:
    """Run Lloyd's algorithm: assign rows to the nearest centroid, then move centroids to the means.

        a_i = argmin_c |x_i - m_c|^2        m_c = mean of { x_i : a_i = c }

    Neither step can raise `sum_i |x_i - m_{a_i}|^2`, so it converges; to which minimum depends on
    the start. It equals `faiss.Kmeans` from the same start while no cell is empty: an empty cell
    keeps its centroid here, faiss splits a full one.

    Args:
        rows: `(n, d)`.
        centroids: `(k, d)` to start from, k <= n; `first_centroids` draws some.
        iterations: rounds.

    Returns:
        `(centroids, errors)`: `(k, d)` float32, and `(iterations,)` the sum above before each
        update.

    Reference: Lloyd 1982, "Least squares quantization in PCM".
    """
    rows = as_embeddings(rows, "rows")
    centroids = as_embeddings(centroids, "centroids", dim=rows.shape[1])
    if len(centroids) > len(rows):
        n, k = len(rows), len(centroids)
        raise RetrievalInputError(f"rows must be at least {k} (one per centroid), got {n}")
    errors = np.empty(check_count(iterations, "iterations"))
    for iteration in range(iterations):
        scores = similarities(rows, centroids, "l2")  # (n, k), minus the squared distances
        nearest = scores.argmax(axis=1)
        errors[iteration] = -scores.max(axis=1).sum(dtype=np.float64)
        order = np.argsort(nearest, kind="stable")  # cell by cell
        filled, first = np.unique(nearest[order], return_index=True)
        sums = np.add.reduceat(rows[order].astype(np.float64), first)
        counts = np.diff(first, append=len(rows))
        centroids = centroids.copy()  # an empty cell keeps its own
        centroids[filled] = sums / counts[:, None]
    return centroids, errors


def first_centroids(rows, k: int, seed: int = 0) -> np.ndarray:
    """Draw k different rows at random, `(k, d)`, as a start for k-means."""
    rows = as_embeddings(rows, "rows")
    if check_count(k, "k") > len(rows):
        raise RetrievalInputError(f"cannot draw k = {k} different rows of {len(rows)}")
    return rows[np.random.default_rng(check_seed(seed)).choice(len(rows), k, replace=False)]


def assign(rows, centroids, metric: str = "l2") -> np.ndarray:
    """Find the best centroid of each row, `(n,)`; the first of equals."""
    return similarities(rows, centroids, metric).argmax(axis=1)


def inverted_lists(nearest, nlist: int) -> tuple[np.ndarray, np.ndarray]:
    """Group rows by cell, from the cell of each row.

    Returns:
        `(members, limits)`: the rows of cell c are `members[limits[c]:limits[c + 1]]`, ascending.
    """
    nearest = np.asarray(nearest)
    if nearest.size and not 0 <= nearest.min() <= nearest.max() < check_count(nlist, "nlist"):
        cells = f"{nearest.min()} to {nearest.max()}"
        raise RetrievalInputError(f"cells must be 0 to {nlist - 1}, got {cells}")
    members = np.argsort(nearest, kind="stable")
    return members, np.searchsorted(nearest[members], np.arange(nlist + 1))


def search_cells(
    queries,
    rows,
    centroids,
    lists: tuple[np.ndarray, np.ndarray],
    k: int,
    nprobe: int,
    metric: str = "l2",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the k best rows among those in the nprobe best cells of each query.

    With all cells this is exact search. The work is nprobe lists instead of all rows:

        scored(q) = sum of the lengths of the probed lists  ~  nprobe n / nlist

    (more, if cells differ in size).

    Args:
        queries, rows: `(n_queries, d)`, `(n, d)`.
        centroids: `(nlist, d)`.
        lists: from `inverted_lists`.
        k, nprobe: hits and cells per query.
        metric: "l2" or "inner_product", for cells and rows alike.

    Returns:
        `(scores, ids, scored)`: two arrays `(n_queries, k)` as `best_of_pairs` returns them, and
        `(n_queries,)` rows that were scored.

    Reference: Sivic and Zisserman 2003, "Video Google"; Jegou et al. 2011, section IV.
    """
    members, limits = lists
    if check_count(nprobe, "nprobe") > len(centroids):
        raise RetrievalInputError(f"nprobe = {nprobe} is more than the {len(centroids)} cells")
    _, cells = best_of_row(similarities(queries, centroids, metric), nprobe)  # (n_queries, nprobe)
    lengths = np.diff(limits)[cells]
    span, at = spans(limits[cells].ravel(), lengths.ravel())
    hits = best_of_pairs(queries, rows, span // nprobe, members[at], k, metric)
    return *hits, lengths.sum(axis=1)


def _prepared(queries, rows, metric: str) -> tuple[Vectors, Vectors]:
    check_choice(metric, METRICS, "metric")
    items = prepare(rows, "rows", metric)
    return prepare(queries, "queries", metric, dim=items.rows.shape[1]), items
