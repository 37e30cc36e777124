"""Vectors that need not fit into memory: read by blocks, held out at random, searched exactly."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from lib.core.checks import RetrievalInputError, as_real_matrix, check_seed
from lib.index.exact import topk_exact
from lib.index.exact_scores import prepare, score_pairs

BLOCK = 2**16  # rows in memory at one time
HELD_OUT = 2_000  # rows that become queries, or a tenth where there are fewer than 20,000


class VectorRows(Protocol):
    """Rows by position: an `ArrayRows`, a corpus, a collection."""

    @property
    def dim(self) -> int: ...

    def __len__(self) -> int: ...

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows at some positions, float32 `(len(rows), dim)`."""
        ...


class ArrayRows:
    """Rows of an array, which can be memory-mapped."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = as_real_matrix(array, "vectors")

    @property
    def dim(self) -> int:
        return self.array.shape[1]

    def __len__(self) -> int:
        return len(self.array)

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows at some positions."""
        return np.asarray(self.array[rows], dtype=np.float32)


class RowsAt:
    """Some rows of others, in the order of their positions."""

    def __init__(self, source: VectorRows, positions: np.ndarray) -> None:
        self.source, self.positions, self.dim = source, positions, source.dim

    def __len__(self) -> int:
        return len(self.positions)

    def vectors(self, rows: np.ndarray) -> np.ndarray:
        """Return the rows at some positions among these."""
        return self.source.vectors(self.positions[rows])


def blocks(rows: VectorRows, size: int = BLOCK) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the first position and the vectors of each block, in order."""
    for start in range(0, len(rows), size):
        yield start, rows.vectors(np.arange(start, min(start + size, len(rows))))


def hold_out(n: int, seed: int = 0, most: int = HELD_OUT) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows to ask with: positions of at most `most` of n, or a tenth, and of the others.

    They are drawn at random. The last rows of a file that is sorted by topic or by time are no
    sample of it: recall on them can be far from that of all.
    """
    if n < 2:
        raise RetrievalInputError(
            f"there must be at least 2 vectors to hold one out, got {n}; give queries"
        )
    n_held = max(1, min(most, n // 10))
    held = np.random.default_rng(check_seed(seed)).choice(n, n_held, replace=False)
    return np.sort(held), np.delete(np.arange(n), held)


def halves(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Split n queries at random: positions to choose settings on, and to report recall on."""
    order = np.random.default_rng(check_seed(seed)).permutation(n)
    return np.sort(order[: n // 2]), np.sort(order[n // 2 :])


def exact_scores_by_block(
    queries: np.ndarray, rows: VectorRows, k: int, metric: str, block: int = BLOCK
) -> np.ndarray:
    """Find the scores `(n_queries, k)` of the k best rows of each query, exactly, best first."""
    best = np.full((len(queries), k), -np.inf, np.float32)
    for _, vectors in blocks(rows, block):
        scores, _ = topk_exact(queries, vectors, min(k, len(vectors)), metric)
        both = np.concatenate([best, scores], axis=1)
        best = -np.sort(-both, axis=1)[:, :k]
    return best


def hits_by_score(
    queries: np.ndarray, found: np.ndarray, rows: VectorRows, least: np.ndarray, metric: str
) -> np.ndarray:
    """Count the found rows that are as good as the k-th true neighbour, `(n_queries,)`.

        h_q = |{ j <= k : s(q, x_j) >= s(q, x of the k-th true neighbour) }|,   recall = mean(h) / k

    Scores are computed from the vectors, in the fixed order of `lib.index.exact_scores`: those of
    codes are approximate. Of copies of a picture any counts.

    Args:
        queries: `(n_queries, d)`.
        found: `(n_queries, k)` positions, each once in a row; -1 where nothing was found.
        rows: what was searched.
        least: `(n_queries,)` scores of the k-th true neighbours.
        metric: of the scores.
    """
    items = prepare(rows.vectors(np.maximum(found, 0).ravel()), "rows", metric)
    asked = prepare(queries, "queries", metric)
    query_at = np.repeat(np.arange(len(found)), found.shape[1])
    scores = score_pairs(asked, items, query_at, np.arange(len(items)), metric)
    good = (scores.reshape(found.shape) >= least[:, None]) & (found >= 0)
    return good.sum(axis=1)
