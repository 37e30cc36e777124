"""Scores defined to the last bit, and hits sorted by them, whatever blocks, threads or BLAS.

A score is a sum over dimensions, and a float32 matrix product adds in an order that depends on the
processor, on the BLAS and on where in a block a row stands. Two equal gallery rows can then get
scores that differ in the last bit, and "equal scores are ordered by id" means nothing. Here a score
is *defined*: the products in float64 (exact for float32 and int8 factors), added pairwise in a
fixed order, rounded once to float32. Every step is elementwise IEEE arithmetic, so the bits are the
same everywhere, and equal rows have equal scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lib.core.checks import RetrievalInputError, as_embeddings, as_real_matrix, row_norms, unit_rows
from lib.index.ids import NO_ID, place_in_row

if TYPE_CHECKING:
    import torch

METRICS = ("cosine", "inner_product", "l2")
TERMS_AT_ONCE = 2**15  # float64 products at one time: 256 KiB, which stay in the second-level cache
FLOAT64_ROUNDOFF = 2.0**-53
LARGEST_NORM = 1e18
NO_HIT = np.iinfo(np.int64).max  # a key that sorts after every hit


@dataclass(frozen=True)
class Vectors:
    """Rows that are ready to be scored under one metric."""

    rows: np.ndarray  # (n, d) float32, of unit length under cosine, or int8 as they were given
    lengths: np.ndarray  # (n,) float64 Euclidean norms of `rows`
    divide: bool = False  # by `lengths`, in the score: under cosine, for int8 rows

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: slice | list[int]) -> Vectors:
        return Vectors(self.rows[index], self.lengths[index], self.divide)

    @property
    def scored_lengths(self) -> np.ndarray:
        """`(n,)` norms of `as_float32`, which is what the metric multiplies."""
        return np.ones(len(self)) if self.divide else self.lengths

    def as_float32(self) -> torch.Tensor:
        """Rows as float32, divided by their norms where the metric divides; for rough products."""
        import torch  # takes a second; most families search without it

        rows = torch.from_numpy(self.rows).float()
        return rows / torch.from_numpy(self.lengths[:, None]).float() if self.divide else rows


def prepare(
    x,
    name: str,
    metric: str,
    *,
    dim: int | None = None,
    allow_empty: bool = False,
    copy: bool = False,
) -> Vectors:
    """Check embeddings `(n, d)` and bring them into the form that `metric` needs.

    int8 stays int8; other types become float32, of unit length under cosine. A row of zeros under
    cosine is refused, and a norm above 1e18: its square overflows. With `copy` the rows share no
    memory with `x`.
    """
    matrix = as_real_matrix(x, name, dim=dim, allow_empty=allow_empty)
    divide = metric == "cosine" and matrix.dtype == np.int8
    if matrix.dtype == np.int8:
        rows = np.ascontiguousarray(matrix)
    elif metric == "cosine":
        rows = unit_rows(matrix, name)
    else:
        rows = as_embeddings(matrix, name, allow_empty=True)
    lengths = row_norms(rows, name, allow_zero=metric != "cosine")
    if lengths.max(initial=0.0) > LARGEST_NORM:
        row = int(lengths.argmax())
        norm = f"{lengths[row]:.3g} in row {row}"
        raise RetrievalInputError(f"{name} must have norms up to 1e18, got {norm}; scale the rows")
    if not rows.flags.writeable or (copy and np.may_share_memory(rows, matrix)):
        rows = rows.copy()  # torch takes no arrays that are read-only
    return Vectors(rows, lengths, divide)


# ---- scores


def score_pairs(queries: Vectors, items: Vectors, query_at, item_at, metric: str) -> np.ndarray:
    """Score (query, item) pairs, `(n_pairs,)` float32, from their row positions `(n_pairs,)`.

    inner_product  sum_j q_j x_j        cosine  the same over unit rows
    l2  -sum_j (q_j - x_j)^2
    """
    dim = items.rows.shape[1]
    query_rows = queries.rows.astype(np.float64)
    sums = np.empty(len(query_at))
    at_once = max(1, TERMS_AT_ONCE // dim)
    # Buffers are reused: fresh pages from the system take longer than the arithmetic.
    gathered = np.empty((at_once, dim), items.rows.dtype)
    q, x = np.empty((at_once, dim)), np.empty((at_once, dim))
    for start in range(0, len(query_at), at_once):
        now = slice(start, start + at_once)
        n = len(query_at[now])
        # mode "clip", because "raise" would copy once more.
        items.rows.take(item_at[now], axis=0, out=gathered[:n], mode="clip")
        query_rows.take(query_at[now], axis=0, out=q[:n], mode="clip")
        x[:n] = gathered[:n]
        if metric == "l2":
            x[:n] -= q[:n]
            np.negative(x[:n], out=q[:n])
        np.einsum("ij,ij->i", q[:n], x[:n], out=sums[now])
    magnitude = _largest_magnitude(queries.lengths[query_at], items.lengths[item_at], metric)
    return _rounded(sums, magnitude, queries, items, query_at, item_at, metric)


def score_block(queries: Vectors, items: Vectors, metric: str) -> np.ndarray:
    """Score all pairs, `(n_queries, n_items)` float32, bit for bit as `score_pairs`, but faster."""
    import torch

    q, x = (torch.from_numpy(side.rows).double() for side in (queries, items))
    sums = torch.mm(q, x.T).numpy()  # (n_queries, n_items) float64
    squares = queries.lengths[:, None] ** 2, items.lengths[None, :] ** 2
    if metric == "l2":
        sums = 2 * sums - squares[0] - squares[1]
        magnitude = _largest_magnitude(queries.lengths[:, None], items.lengths[None, :], metric)
    else:
        # Tighter than |q||x|: features without a shared dimension give 0 without any doubt.
        magnitude = torch.mm(q.abs_(), x.abs_().T).numpy()
    return _rounded(sums, magnitude, queries, items, *np.indices(sums.shape, sparse=True), metric)


def score_by_definition(
    queries: Vectors, items: Vectors, query_at, item_at, metric: str
) -> np.ndarray:
    """Add float64 sums `(n_pairs,)` in the order that defines a score, before the division."""
    sums = np.empty(len(query_at))
    at_once = max(1, TERMS_AT_ONCE // items.rows.shape[1])
    for start in range(0, len(query_at), at_once):
        now = slice(start, start + at_once)
        q = queries.rows[query_at[now]].astype(np.float64)
        x = items.rows[item_at[now]].astype(np.float64)
        sums[now] = add_in_halves(-((q - x) ** 2) if metric == "l2" else q * x)
    return sums


def add_in_halves(terms: np.ndarray) -> np.ndarray:
    """Add the columns of `(n, d)`: the first half to the last, until one is left; `(n,)`."""
    while (width := terms.shape[1]) > 1:
        half = width // 2
        middle = terms[:, half : width - half]  # one column where the width is odd, else none
        terms = np.concatenate([terms[:, :half] + terms[:, width - half :], middle], axis=1)
    return terms[:, 0]


def _rounded(sums, magnitude, queries, items, query_at, item_at, metric) -> np.ndarray:
    """Round float64 sums of any order to the float32 that the defined order gives.

    Two sums of the same terms t_j differ by at most `2 gamma_d sum_j |t_j|`. Where both ends of
    that interval round to the same float32 the order cannot matter; the few other pairs are added
    again, in order.

    Reference: N. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 4.2.
    """
    divisor = np.float64(1)
    for side, at in ((queries, query_at), (items, item_at)):
        if side.divide:
            divisor = divisor * side.lengths[at]
    radius = 2 * (items.rows.shape[1] + 8) * FLOAT64_ROUNDOFF * magnitude
    scores = ((sums - radius) / divisor).astype(np.float32)
    doubtful = np.nonzero(scores != ((sums + radius) / divisor).astype(np.float32))
    if doubtful[0].size:
        arrays = np.broadcast_arrays(query_at, item_at, divisor, sums)[:3]
        query, item, divisor = (array[doubtful] for array in arrays)
        scores[doubtful] = score_by_definition(queries, items, query, item, metric) / divisor
    return scores


def _largest_magnitude(
    query_lengths: np.ndarray, item_lengths: np.ndarray, metric: str
) -> np.ndarray:
    """Bound the sum of the absolute terms of a score, by Cauchy and Schwarz."""
    return (query_lengths + item_lengths) ** 2 if metric == "l2" else query_lengths * item_lengths


# ---- sort keys: hits in order


def pack(scores: np.ndarray, ranks: np.ndarray) -> np.ndarray:
    """Make an int64 key per hit that sorts ascending: higher float32 score, then smaller rank.

    Ranks are whole numbers below 2**32.
    """
    return descending(scores) << 32 | ranks


def unpack(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recover `(scores, ranks)` from the keys of `pack`."""
    ascending = ~(keys >> 32).astype(np.int32)
    return (ascending ^ ((ascending >> 31) & 0x7FFFFFFF)).view(np.float32), keys & 0xFFFFFFFF


def descending(scores: np.ndarray) -> np.ndarray:
    """Map float32 scores to int64 numbers within +-2**31 that ascend as the scores descend."""
    bits = (scores + np.float32(0)).view(np.int32)  # -0.0 + 0.0 = 0.0: the two zeros are one score
    ascending = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # the patterns of negative floats run backwards
    return (~ascending).astype(np.int64)


def keys_of_pairs(
    queries: Vectors,
    items: Vectors,
    query_at: np.ndarray,
    item_at: np.ndarray,
    ranks: np.ndarray,
    metric: str,
) -> np.ndarray:
    """Score pairs, ascending in `query_at`; return their keys, a row per query with `NO_HIT`."""
    place = place_in_row(query_at, len(queries))
    keys = np.full((len(queries), place.max(initial=-1) + 1), NO_HIT)
    keys[query_at, place] = pack(score_pairs(queries, items, query_at, item_at, metric), ranks)
    return keys


def best_of_pairs(
    queries: Vectors, items: Vectors, query_at: np.ndarray, item_at: np.ndarray, k: int, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return `(scores, positions)` of the k best pairs of each query, as `hits_of` does."""
    keys = np.sort(keys_of_pairs(queries, items, query_at, item_at, item_at, metric), axis=1)[:, :k]
    return hits_of(np.pad(keys, ((0, 0), (0, k - keys.shape[1])), constant_values=NO_HIT))


def hits_of(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `(scores, ranks)` of sorted keys, with -inf and -1 where there is no hit."""
    scores, ranks = unpack(keys)
    missing = keys == NO_HIT
    return np.where(missing, np.float32(-np.inf), scores), np.where(missing, NO_ID, ranks)
