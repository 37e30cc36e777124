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


def alignment(x, y, alpha: float = 2.0) -> float:
    """Compute the alignment of pairs: mean of ||x_i - y_i||^alpha. Lower is better, 0 is best.

    With alpha = 2 it is 2 - 2 * mean cosine of the pairs. A collapsed space has perfect alignment;
    `uniformity` shows that it is collapsed.

    Args:
        x, y: `(n, d)`, paired row by row; normalised here.
        alpha: power of the distance, above 0.

    Reference: Wang and Isola 2020, "Understanding Contrastive Representation Learning through
    Alignment and Uniformity on the Hypersphere".
    """
    x, y = unit_rows(x, "x"), unit_rows(y, "y")
    if x.shape != y.shape:
        raise RetrievalInputError(f"x and y must have one shape, got {x.shape} and {y.shape}")
    alpha = check_number(alpha, "alpha", 0, above=True)
    return float(np.mean(np.linalg.norm(x - y, axis=1).astype(np.float64) ** alpha))


def uniformity(x, t: float = 2.0, *, block: int = 512) -> float:
    """Compute how evenly points cover the sphere. Lower is more even.

        log of the mean of exp(-t ||x_i - x_j||^2) over pairs i < j

    Args:
        x: `(n, d)`, n >= 2; normalised here.
        t: weight of the distance, 0 < t <= 20 (beyond that exp would vanish in float32).
        block: rows held at a time; the n x n matrix never exists.

    Returns:
        0 when all points coincide; about -2t for points spread evenly in many dimensions.

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
    """Compute the vector between the centres of two modalities: mean(x) - mean(y) of unit rows.

    Args:
        x, y: `(n, d)` and `(m, d)`; normalised here. They need not be paired.

    Returns:
        `(d,)`; its length is the gap, between 0 and 2.

    Reference: Liang et al. 2022, "Mind the Gap".
    """
    x = unit_rows(as_embeddings(x, "x"), "x")
    y = unit_rows(as_embeddings(y, "y", dim=x.shape[1]), "y")
    return x.mean(axis=0, dtype=np.float64) - y.mean(axis=0, dtype=np.float64)


def effective_rank(x) -> float:
    """Compute the effective rank: the number of directions that the points use, from 1 to d.

        erank = exp(-sum_k p_k log p_k),    p_k: share of the variance along principal axis k

    Args:
        x: `(n, d)`, n >= 2 and not all equal; centred here, not normalised.

    Reference: Roy and Vetterli 2007, "The effective rank", applied to the covariance matrix
    (applied to x itself it would weigh by standard deviations instead of variances).
    """
    x = as_embeddings(x, "x").astype(np.float64)  # equal rows then leave exactly 0
    centred = x - x.mean(axis=0)
    values = np.linalg.eigvalsh(centred.T @ centred)  # rounding leaves some slightly below 0
    values = values[values > 0]
    if len(values) == 0:
        raise RetrievalInputError("all points coincide: they span no direction")
    share = values / values.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def truncate(x, dim: int) -> np.ndarray:
    """Keep the first `dim` coordinates and normalise again (Matryoshka truncation).

    Args:
        x: `(n, d)`.
        dim: 1 to d.

    Returns:
        `(n, dim)` float32 unit rows.
    """
    x = as_embeddings(x, "x")
    if check_count(dim, "dim") > x.shape[1]:
        raise RetrievalInputError(f"dim must lie between 1 and {x.shape[1]}, got {dim}")
    return unit_rows(x[:, :dim], "x truncated")


def triangle_violations(
    x, n_triples: int, *, distance: str = "one_minus_cosine", seed: int = 0
) -> float:
    """Compute the share of random triples where the way over a third point is the shorter one.

    In a metric that never happens. 1 - cos is no metric; sqrt(2 - 2 cos), the straight line, and
    arccos, the angle, are.

    Args:
        x: `(n, d)`, n >= 3; normalised here.
        n_triples: number of (a, b, via) to draw, with replacement.
        distance: "one_minus_cosine", "euclidean" or "angle".
        seed: of the draws.

    Returns:
        A share between 0 and 1.
    """
    check_choice(distance, DISTANCES, "distance")
    x = unit_rows(x, "x").astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)  # arccos near 1 needs units in float64
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
        sum_length = np.linalg.norm(x[i] + x[j], axis=1)
        return 2 * np.arctan2(chord, sum_length)  # arccos(cos), exact at both ends

    return float(np.mean(between(a, via) + between(via, b) < between(a, b) - 1e-9))


def to_int8(x) -> np.ndarray:
    """Round each row to int8, scaled to a largest coordinate of 127.

    Cosines do not depend on the scale of a row, so it is not stored. Dot products of the result are
    integers below 2^24 for d <= 1024. float32 holds them exactly in any order of the sum, so every
    machine ranks alike.

    Args:
        x: `(n, d)`, no zero rows.

    Returns:
        `(n, d)` int8.
    """
    x = unit_rows(x, "x")
    return np.rint(x * (INT8_MAX / np.abs(x).max(axis=1, keepdims=True))).astype(np.int8)
