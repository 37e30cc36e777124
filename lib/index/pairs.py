"""Rank (query, item) pairs, and list the positions of ranges in a flat array."""

import numpy as np

from lib.index.exact_scores import Vectors, pack, score_pairs, unpack
from lib.index.ids import NO_ID

NO_HIT = np.iinfo(np.int64).max  # a key that sorts after every hit


def owners(counts: np.ndarray) -> np.ndarray:
    """Repeat the number of each group as often as its count: [2, 1] gives [0, 0, 1]."""
    return np.repeat(np.arange(len(counts)), counts)


def spans(starts: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """List the positions starts[i], starts[i] + 1, ... of all ranges, and the i of each."""
    owner = owners(counts)
    return owner, starts[owner] + place_in_row(owner, len(counts))


def place_in_row(row: np.ndarray, n_rows: int) -> np.ndarray:
    """Count 0, 1, 2, ... within each row, for row numbers in ascending order."""
    counts = np.bincount(row, minlength=n_rows)
    return np.arange(row.size) - np.repeat(np.cumsum(counts) - counts, counts)


def keys_of_pairs(
    queries: Vectors,
    items: Vectors,
    query_at: np.ndarray,
    item_at: np.ndarray,
    ranks: np.ndarray,
    metric: str,
) -> np.ndarray:
    """Score pairs and return their sort keys, a row per query, filled up with `NO_HIT`.

    Args:
        query_at, item_at: `(n_pairs,)` positions, ascending in `query_at`, no pair twice.
        ranks: `(n_pairs,)` whole numbers below 2**32 that order equal scores.
    """
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
