"""Product quantisation: a vector as a few bytes, and distances read from tables."""

import numpy as np

from lib.core.checks import RetrievalInputError, as_embeddings, check_choice, check_count
from lib.index.from_scratch.cells import assign, first_centroids, kmeans
from lib.index.from_scratch.hits import DOT_OR_L2, similarities


def split(rows, m: int) -> np.ndarray:
    """Cuts each row into m pieces: `(m, n, d / m)`."""
    rows = as_embeddings(rows, "rows")
    if rows.shape[1] % check_count(m, "m"):
        raise RetrievalInputError(
            f"{m} pieces do not divide d = {rows.shape[1]}; choose an m that does"
        )
    return np.ascontiguousarray(rows.reshape(len(rows), m, -1).transpose(1, 0, 2))


def train_codebooks(
    rows, m: int, n_codes: int = 256, iterations: int = 25, seed: int = 0
) -> np.ndarray:
    """k-means in each piece of the space: `(m, n_codes, d / m)` float32.

    m codebooks of 256 centroids stand for 256^m points of the whole space, and a code takes m
    bytes.

    Reference: Jegou, Douze and Schmid 2011, "Product Quantization for Nearest Neighbor Search".
    """
    if check_count(n_codes, "n_codes") > 256:
        raise RetrievalInputError(f"a code is one byte, so n_codes is at most 256, got {n_codes}")
    return np.stack(
        [kmeans(x, first_centroids(x, n_codes, seed), iterations)[0] for x in split(rows, m)]
    )


def encode(rows, codebooks: np.ndarray) -> np.ndarray:
    """The nearest centroid of each piece: `(n, m)` uint8."""
    pieces = split(as_embeddings(rows, "rows", dim=dimension(codebooks)), len(codebooks))
    return np.stack([assign(x, book) for x, book in zip(pieces, codebooks)], axis=1).astype(
        np.uint8
    )


def decode(codes, codebooks: np.ndarray) -> np.ndarray:
    """The point that a code stands for, `(n, d)` float32: its centroids one after the other."""
    codes = check_codes(codes, *codebooks.shape[:2])
    return codebooks[np.arange(len(codebooks)), codes].reshape(len(codes), dimension(codebooks))


def query_tables(queries, codebooks: np.ndarray, metric: str = "l2") -> np.ndarray:
    """Scores of each piece of a query with each centroid: `(n_queries, m, n_codes)`.

        T[q, j, c] = -|q_j - b_jc|^2    or    q_j . b_jc

    Both metrics are sums over pieces, so the score of a code is m numbers from the table, added.
    """
    check_choice(metric, DOT_OR_L2, "metric")
    pieces = split(as_embeddings(queries, "queries", dim=dimension(codebooks)), len(codebooks))
    return np.stack([similarities(q, book, metric) for q, book in zip(pieces, codebooks)], axis=1)


def look_up(tables: np.ndarray, codes) -> np.ndarray:
    """Asymmetric scores `s(q, x) ~ sum_j T[q, j, code_j(x)]`: `(n_queries, n)` float32.

    Asymmetric, because the query stays as it is and only the stored vector is rounded.

    Args:
        tables: `(n_queries, m, n_codes)` from `query_tables`.
        codes: `(n, m)`.
    """
    codes = check_codes(codes, *tables.shape[1:])
    scores = np.zeros((len(tables), len(codes)), np.float32)
    for j in range(
        tables.shape[1]
    ):  # m steps; each reads one column of codes for all queries and vectors
        scores += tables[:, j, codes[:, j]]
    return scores


def symmetric_scores(query_codes, codes, codebooks: np.ndarray, metric: str = "l2") -> np.ndarray:
    """Scores between codes, `(n_queries, n)`: the query is rounded too, so the error is larger.

    Nothing depends on the query but its code: one table `(m, n_codes, n_codes)` serves all of them.

    Relations: `look_up(query_tables(decode(query_codes), ...), codes)` is the same.
    """
    return look_up(query_tables(decode(query_codes, codebooks), codebooks, metric), codes)


def dimension(codebooks: np.ndarray) -> int:
    """d, from codebooks `(m, n_codes, d / m)`."""
    return codebooks.shape[0] * codebooks.shape[2]


def check_codes(codes, m: int, n_codes: int) -> np.ndarray:
    """Codes as `(n, m)` whole numbers below n_codes, or `RetrievalInputError`."""
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.shape[1] != m or codes.dtype.kind not in "iu":
        raise RetrievalInputError(
            f"codes must be whole numbers of shape (n, {m}), got {codes.dtype} {codes.shape}"
        )
    if codes.size and not 0 <= codes.min() <= codes.max() < n_codes:
        raise RetrievalInputError(
            f"codes are 0 to {n_codes - 1}, got {codes.min()} to {codes.max()}"
        )
    return codes
