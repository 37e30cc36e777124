"""Cells: k-means cuts the space, a query looks into the few cells whose centres are nearest."""

import numpy as np

from lib.core.checks import RetrievalInputError, as_embeddings, check_count, check_seed
from lib.index.from_scratch.hits import best_of_pairs, best_of_row, similarities
from lib.index.token_index.candidates import spans


def kmeans(rows, centroids, iterations: int = 25) -> tuple[np.ndarray, np.ndarray]:
    """Lloyd's algorithm: each row goes to its nearest centroid, each centroid to the mean of its
    rows.

        a_i = argmin_c |x_i - m_c|^2        m_c = mean of { x_i : a_i = c }

    Neither step can raise `sum_i |x_i - m_{a_i}|^2`, so it ends; where depends on the start.

    Args:
        rows: `(n, d)`.
        centroids: `(k, d)` to start from, k <= n; `first_centroids` draws some.
        iterations: rounds.

    Returns:
        `(centroids, errors)`: `(k, d)` float32, and `(iterations,)` the sum above before each
        update.

    Raises:
        RetrievalInputError: what is not finite, two different d, or more centroids than rows.

    Relations: equals `faiss.Kmeans` from the same start as long as no cell runs empty; an empty
    cell keeps its centroid here, faiss splits a full one.

    Reference: Lloyd 1982, "Least squares quantization in PCM".
    """
    rows = as_embeddings(rows, "rows")
    centroids = as_embeddings(centroids, "centroids", dim=rows.shape[1])
    if len(centroids) > len(rows):
        raise RetrievalInputError(
            f"{len(centroids)} centroids need at least as many rows, got {len(rows)}"
        )
    errors = np.empty(check_count(iterations, "iterations"))
    for iteration in range(iterations):
        scores = similarities(rows, centroids, "l2")  # (n, k), minus the squared distances
        nearest = scores.argmax(axis=1)
        errors[iteration] = -scores.max(axis=1).sum(dtype=np.float64)
        sums = np.zeros(centroids.shape)
        np.add.at(sums, nearest, rows)
        counts = np.bincount(nearest, minlength=len(centroids))
        means = sums / np.maximum(counts, 1)[:, None]
        centroids = np.where(counts[:, None] > 0, means, centroids).astype(np.float32)
    return centroids, errors


def first_centroids(rows, k: int, seed: int = 0) -> np.ndarray:
    """k different rows drawn at random, `(k, d)`: where k-means may start."""
    rows = as_embeddings(rows, "rows")
    if check_count(k, "k") > len(rows):
        raise RetrievalInputError(f"cannot draw k = {k} different rows of {len(rows)}")
    return rows[np.random.default_rng(check_seed(seed)).choice(len(rows), k, replace=False)]


def assign(rows, centroids, metric: str = "l2") -> np.ndarray:
    """The best centroid of each row under the metric, `(n,)`; the first of equals."""
    return similarities(rows, centroids, metric).argmax(axis=1)


def inverted_lists(nearest, nlist: int) -> tuple[np.ndarray, np.ndarray]:
    """Turns "which cell is row i in" around into "which rows are in cell c".

    Returns:
        `(members, limits)`: those of cell c are `members[limits[c]:limits[c + 1]]`, ascending.
    """
    nearest = np.asarray(nearest)
    if nearest.size and not 0 <= nearest.min() <= nearest.max() < check_count(nlist, "nlist"):
        raise RetrievalInputError(
            f"cells are 0 to {nlist - 1}, got {nearest.min()} to {nearest.max()}"
        )
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
    """The k best rows among those in the nprobe best cells of each query.

    With nprobe = all cells this is exact search. The work is nprobe lists instead of all rows:

        scored(q) = sum over the probed cells of their length  ~  nprobe n / nlist  (more, if cells
        differ)

    Args:
        queries, rows: `(n_queries, d)`, `(n, d)`.
        centroids: `(nlist, d)`; lists: from `inverted_lists`.
        k, nprobe: hits and cells per query.
        metric: "l2" or "inner_product", for cells and rows alike.

    Returns:
        `(scores, ids, scored)`: `(n_queries, k)` each of the first two, filled with -inf and -1
        where the cells hold fewer than k, and `(n_queries,)` rows scored.

    Raises:
        RetrievalInputError: nprobe above the number of cells, k below 1, or what `similarities`
            refuses.

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
