"""Properties of an embedding space, each as one small function of arrays."""

import numpy as np

from lib.core.checks import (
    RetrievalInputError,
    as_embeddings,
    check_choice,
    check_count,
    check_number,
    check_seed,
    check_table,
    unit_rows,
)

INT8_MAX = 127
DISTANCES = ("one_minus_cosine", "euclidean", "angle")


def _pair(x, y) -> tuple[np.ndarray, np.ndarray]:
    x, y = unit_rows(x, "x"), unit_rows(y, "y")
    if x.shape != y.shape:
        raise RetrievalInputError(
            f"x and y are paired row by row; got shapes {x.shape} and {y.shape}"
        )
    return x, y


def alignment(x, y, alpha: float = 2.0) -> float:
    """How far apart the two halves of a pair lie: mean of ||x_i - y_i||^alpha. Lower is better, 0
    at best.

    Args:
        x, y: (n, d), paired row by row; normalised here.

    Relations: with alpha = 2 it is 2 - 2 * mean cosine of the pairs. `uniformity` is its
    counterweight: a collapsed space has perfect alignment.

    Reference: Wang and Isola 2020, "Understanding Contrastive Representation Learning through
    Alignment and Uniformity on the Hypersphere".
    """
    x, y = _pair(x, y)
    alpha = check_number(alpha, "alpha", 0, above=True)
    return float(np.mean(np.linalg.norm(x - y, axis=1).astype(np.float64) ** alpha))


def uniformity(x, t: float = 2.0, *, block: int = 512) -> float:
    """How evenly points cover the sphere: log of the mean of exp(-t ||x_i - x_j||^2) over pairs i <
    j.

    0 when all points coincide; about -2t for points spread evenly in many dimensions. Lower is more
    even.

    Args:
        x: (n, d), n >= 2; normalised here.
        t: how quickly far pairs stop counting, 0 < t <= 20 (beyond that exp would vanish in
            float32).
        block: rows held at a time; the n x n matrix never exists.

    Reference: as for `alignment`.
    """
    x = unit_rows(x, "x")
    n = len(x)
    if n < 2:
        raise RetrievalInputError(f"uniformity needs at least 2 points, got {n}")
    t = check_number(t, "t", 0, 20, above=True)
    total = 0.0
    for start in range(0, n, check_count(block, "block")):
        kernel = x[start : start + block] @ x[start:].T  # (rows, n - start) cosines
        kernel -= 1
        kernel *= 2 * t
        np.exp(np.minimum(kernel, 0, out=kernel), out=kernel)
        total += np.triu(kernel, k=1).sum(dtype=np.float64)  # row r of the block starts at column r
    return float(np.log(total / (n * (n - 1) / 2)))


def modality_gap(x, y) -> np.ndarray:
    """The vector from the centre of one modality to the centre of the other: mean(x) - mean(y),
    unit rows.

    Args:
        x, y: (n, d) and (m, d); normalised here. They need not be paired.

    Returns:
        (d,); its length is the gap, between 0 and 2.

    Reference: Liang et al. 2022, "Mind the Gap".
    """
    x = unit_rows(as_embeddings(x, "x"), "x")
    y = unit_rows(as_embeddings(y, "y", dim=x.shape[1]), "y")
    return x.mean(axis=0, dtype=np.float64) - y.mean(axis=0, dtype=np.float64)


def effective_rank(x) -> float:
    """How many directions the points really use: exp of the entropy of the covariance's spectrum, 1
    to d.

    With p_k the share of the variance along the k-th principal axis:

        erank = exp(-sum_k p_k log p_k)

    Args:
        x: (n, d), n >= 2; centred here, not normalised.

    Raises:
        RetrievalInputError: all points coincide.

    Reference: Roy and Vetterli 2007, "The effective rank", applied to the covariance matrix
    (applied to x itself it would weigh by standard deviations instead of variances).
    """
    x = as_embeddings(x, "x").astype(np.float64)  # so that equal rows leave exactly 0
    centred = x - x.mean(axis=0)
    values = np.linalg.eigvalsh(centred.T @ centred)  # rounding leaves some a hair below 0
    values = values[values > 0]
    if len(values) == 0:
        raise RetrievalInputError("all points coincide: they span no direction")
    share = values / values.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def truncate(x, dim: int) -> np.ndarray:
    """Keeps the first `dim` coordinates and normalises again (Matryoshka truncation).

    Args:
        x: (n, d).
        dim: 1 to d.

    Returns:
        float32 (n, dim), unit rows.

    Raises:
        RetrievalInputError: `dim` outside 1 to d, or a row that is 0 in all the coordinates kept.
    """
    x = as_embeddings(x, "x")
    if check_count(dim, "dim") > x.shape[1]:
        raise RetrievalInputError(f"dim must lie between 1 and {x.shape[1]}, got {dim}")
    return unit_rows(x[:, :dim], "x truncated")


def triangle_violations(
    x, n_triples: int, *, distance: str = "one_minus_cosine", seed: int = 0
) -> float:
    """Share of random triples where going via a third point is *shorter* than going straight.

    A metric never lets that happen. d = 1 - cos does; sqrt(2 - 2 cos), the straight line, and
    arccos, the angle, do not.

    Args:
        x: (n, d), n >= 3; normalised here.
        n_triples: how many (a, b, via) to draw, with replacement.
        distance: "one_minus_cosine", "euclidean" or "angle".

    Returns:
        A share between 0 and 1.
    """
    check_choice(distance, DISTANCES, "distance")
    x = unit_rows(x, "x").astype(np.float64)
    x /= np.linalg.norm(
        x, axis=1, keepdims=True
    )  # unit to the last bit: arccos near 1 is that sensitive
    if len(x) < 3:
        raise RetrievalInputError(f"a triple needs 3 points, got {len(x)}")
    n_triples = check_table(check_count(n_triples, "n_triples"), "n_triples")
    a, b, via = np.random.default_rng(check_seed(seed)).integers(len(x), size=(3, n_triples))

    def between(i: np.ndarray, j: np.ndarray) -> np.ndarray:
        chord = np.linalg.norm(x[i] - x[j], axis=1)
        if distance == "euclidean":
            return chord
        if distance == "one_minus_cosine":
            return chord**2 / 2
        return 2 * np.arctan2(
            chord, np.linalg.norm(x[i] + x[j], axis=1)
        )  # arccos(cos), exact at both ends

    return float(np.mean(between(a, via) + between(via, b) < between(a, b) - 1e-9))


def to_int8(x) -> np.ndarray:
    """Rounds each row to int8, scaled so that its largest coordinate becomes 127.

    Cosines do not see the scale of a row, so it need not be stored. Dot products of the result are
    integers below 2^24 for d <= 1024, which float32 holds exactly however it adds them up: every
    machine ranks alike.

    Args:
        x: (n, d), no zero rows.

    Returns:
        int8 (n, d).
    """
    x = unit_rows(x, "x")
    return np.rint(x * (INT8_MAX / np.abs(x).max(axis=1, keepdims=True))).astype(np.int8)
