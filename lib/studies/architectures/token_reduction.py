"""Fewer tokens an item: those that queries look at most often, or one for all."""

import numpy as np

from lib.core.checks import RetrievalInputError, check_count
from lib.core.token_vectors import Tokens

CELLS = 2**22  # similarities held at one time


def wins(queries: Tokens, documents: Tokens) -> np.ndarray:
    """How often each token of a document is the best there for a token of a query.

        w[d, j] = sum over queries q and their tokens i of [argmax_j' <q_i, d_j'> = j]

    Args:
        queries: a sample like those to come, and not those on which the pruned gallery will be
            judged.
        documents: the gallery.

    Returns:
        `(n_documents, L_d)` int64, 0 where there is padding; each row adds up to the tokens of the
        queries. Of equal similarities the first token wins.

    Raises:
        RetrievalInputError: tokens of two dimensions.

    Relations: `keep_most` takes it; `lib.models.maxsim` adds up what the winners score.
    """
    if queries.dim != documents.dim:
        raise RetrievalInputError(
            f"tokens of queries have dimension {queries.dim}, those of documents {documents.dim}"
        )
    asked, length = queries.flat()[0].astype(np.float32).T, documents.mask.shape[1]
    counts = np.zeros(documents.mask.shape, np.int64)
    at_once = max(1, CELLS // max(1, length * asked.shape[1]))
    for start in range(0, len(documents), at_once):
        now = slice(start, start + at_once)
        similarities = documents.vectors[now].astype(np.float32) @ asked  # (b, L_d, T)
        best = np.where(documents.mask[now, :, None], similarities, -np.inf).argmax(
            axis=1
        )  # (b, T)
        cells = best + length * np.arange(len(best))[:, None]
        counts[now] = np.bincount(cells.ravel(), minlength=best.shape[0] * length).reshape(
            -1, length
        )
    return counts


def keep_most(tokens: Tokens, counts: np.ndarray, k: int) -> Tokens:
    """Of every item the k tokens with the largest counts, in the order in which they stood.

    Args:
        tokens: n items.
        counts: `(n, L)` numbers, for example `wins`; of equal ones the first token stays.
        k: from 1; an item that has fewer keeps all.

    Raises:
        RetrievalInputError: counts of another shape, or k below 1.
    """
    counts = np.asarray(counts)
    if counts.shape != tokens.mask.shape:
        raise RetrievalInputError(
            f"counts must be {tokens.mask.shape}, one a token, got {counts.shape}"
        )
    order = np.argsort(
        np.where(tokens.mask, -counts.astype(np.float64), np.inf), axis=1, kind="stable"
    )
    kept = np.sort(order[:, : check_count(k, "k")], axis=1)
    mask = np.take_along_axis(tokens.mask, kept, axis=1)
    return Tokens(np.take_along_axis(tokens.vectors, kept[:, :, None], axis=1), mask)


def pooled(tokens: Tokens) -> Tokens:
    """One unit vector an item: the direction of the mean of its tokens.

    Raises:
        RetrievalInputError: an item whose tokens add up to zero, and so have no direction.
    """
    sums = np.where(tokens.mask[:, :, None], tokens.vectors.astype(np.float64), 0).sum(
        axis=1, keepdims=True
    )
    lengths = np.linalg.norm(sums, axis=2, keepdims=True)
    if (lengths == 0).any():
        raise RetrievalInputError(
            f"the tokens of item {int((lengths[:, 0, 0] == 0).argmax())} add up to zero; leave"
            " it out"
        )
    return Tokens((sums / lengths).astype(np.float32))
