"""Score matrices in blocks of queries: given as an array, or made from embeddings while they are
read.
"""

from collections.abc import Iterator

import numpy as np

from lib.core.checks import RetrievalInputError, as_embeddings, as_real_matrix, unit_rows

CELLS_AT_ONCE = 2**18  # scores held at a time; bounds the memory, not the result


class Cosines:
    """The cosines of queries and gallery as a score matrix that is never held whole.

    Takes the place of a `(n_queries, n_items)` array in every function of `lib.metrics.hubness`.

    Args:
        queries: `(n_queries, d)` embeddings.
        gallery: `(n_items, d)` embeddings.

    Raises:
        RetrievalInputError: what `unit_rows` refuses, or dimensions that differ.
    """

    def __init__(self, queries, gallery) -> None:
        self.gallery = unit_rows(as_embeddings(gallery, "gallery"), "gallery")
        queries = as_embeddings(queries, "queries", dim=self.gallery.shape[1])
        self.queries = unit_rows(queries, "queries")
        self.shape = len(self.queries), len(self.gallery)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """`(stop - start, n_items)` float32."""
        return self.queries[start:stop] @ self.gallery.T


def checked_scores(scores, name: str):
    """Returns `Cosines` as they are, anything else as a finite matrix; an error names row and
    column.
    """
    if isinstance(scores, Cosines):
        return scores
    array = as_real_matrix(scores, name)
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise RetrievalInputError(
            f"{name} has the value {array[row, column]} in row {row}, column {column}"
        )
    return array


def blocks_of(scores) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, float64 scores) of consecutive queries."""
    n_queries, n_items = scores.shape
    size = max(1, CELLS_AT_ONCE // n_items)
    for start in range(0, n_queries, size):
        stop = min(start + size, n_queries)
        block = scores.rows(start, stop) if isinstance(scores, Cosines) else scores[start:stop]
        yield start, block.astype(np.float64)


def top_of(block: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k highest of each row, best first, equal values by position: `(values, positions)`."""
    n_items = block.shape[1]
    if k == n_items:
        ids = np.argsort(-block, axis=1)  # twice as fast as a stable sort, which only ties need
        values = np.take_along_axis(block, ids, axis=1)
        tied = (values[:, 1:] == values[:, :-1]).any(axis=1)
        if tied.any():
            ids[tied] = np.argsort(-block[tied], axis=1, kind="stable")
        return values, ids
    last = np.partition(block, n_items - k, axis=1)[:, n_items - k, None]  # the k-th highest
    above, level = block > last, block == last
    # Of the values level with the k-th, as many of the first positions as there is room for.
    room = k - above.sum(axis=1, keepdims=True)
    crowded = np.flatnonzero(level.sum(axis=1, keepdims=True) > room)
    level[crowded] &= np.cumsum(level[crowded], axis=1) <= room[crowded]
    ids = np.nonzero(above | level)[1].reshape(len(block), k)  # ascending within a row
    values = np.take_along_axis(block, ids, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return np.take_along_axis(values, order, axis=1), np.take_along_axis(ids, order, axis=1)
