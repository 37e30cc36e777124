"""Whole vectors beside their codes, to score again the few that the codes found."""

import faiss
import numpy as np

from lib.core.checks import as_real_matrix, unit_rows
from lib.index.exact_scores import prepare
from lib.index.ids import NO_ID

SAFE_SQUARES = 1e-30, 1e30  # squared norms that float32 sums without losing digits


def float_rows(x, name: str, metric: str, dim: int, own: bool = False) -> np.ndarray:
    """Checks embeddings at the border of a library that takes float32 only.

    Args:
        x: `(n, dim)` numbers.
        name: what the caller calls it.
        metric: of `lib.index.exact_scores.METRICS`; rows get unit length under cosine.
        dim: expected.
        own: whether the rows must not share memory with `x`.

    Returns:
        `(n, dim)` float32; unit rows may differ from those of `prepare` in the last bits.

    Raises:
        RetrievalInputError: what `lib.index.exact_scores.prepare` refuses.
    """
    matrix = as_real_matrix(x, name, dim=dim, allow_empty=True)
    with np.errstate(over="ignore"):
        rows = np.ascontiguousarray(matrix, np.float32)
    squares = np.einsum("ij,ij->i", rows, rows)
    # Searches must not wait for checks in float64: they are for rows that are odd, and to say how.
    # What is not a number fails every comparison.
    ordinary = bool(
        len(rows) and SAFE_SQUARES[0] < squares.min() and squares.max() < SAFE_SQUARES[1]
    )
    if metric == "cosine":
        return rows * (1 / np.sqrt(squares))[:, None] if ordinary else unit_rows(matrix, name)
    if not ordinary:
        return prepare(matrix, name, metric, allow_empty=True, own=own).rows.astype(
            np.float32, copy=False
        )
    return rows.copy() if own and np.may_share_memory(rows, matrix) else rows


class RawVectors:
    """Rows by position, and the exact scores of chosen ones.

    Args:
        rows: `(n, d)` float32, C-contiguous.
    """

    def __init__(self, rows: np.ndarray) -> None:
        self._parts = [rows]

    @property
    def rows(self) -> np.ndarray:
        """`(n, d)` float32."""
        self.join()
        return self._parts[0]

    def join(self) -> None:
        """Makes one array of what was added in parts; done when it is needed, not at every step."""
        if len(self._parts) > 1:
            self._parts = [np.concatenate(self._parts)]

    def append(self, rows: np.ndarray) -> None:
        self._parts.append(rows)

    def remove(self, positions: np.ndarray) -> None:
        self._parts = [np.delete(self.rows, positions, axis=0)]

    def best(
        self, queries: np.ndarray, candidates: np.ndarray, k: int, metric: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """The k best of the candidates of every query, by whole vectors.

        Args:
            queries: `(n_queries, d)` float32, of unit length under cosine, like the rows.
            candidates: `(n_queries, m)` int64 positions, -1 for none, m at least k.
            k: how many.
            metric: of `lib.index.exact_scores.METRICS`.

        Returns:
            `(scores, positions)`, float32 and int64, both `(n_queries, k)`, best first; position
            -1, with any score, at the end of a row that had fewer candidates.
        """
        n_queries, m = candidates.shape
        rows = self.rows
        scores, positions = np.empty((n_queries, k), np.float32), np.empty((n_queries, k), np.int64)
        by_metric = faiss.knn_L2sqr_by_idx if metric == "l2" else faiss.knn_inner_products_by_idx
        pointers = (faiss.swig_ptr(array) for array in (queries, rows, candidates))
        shape = rows.shape[1], n_queries, len(rows), m, k
        by_metric(*pointers, *shape, faiss.swig_ptr(scores), faiss.swig_ptr(positions), m)
        return np.subtract(0, scores) if metric == "l2" else scores, positions


def number_of(candidates: np.ndarray) -> int:
    """How many candidates there are, places without one not counted."""
    return int(np.count_nonzero(candidates != NO_ID))
