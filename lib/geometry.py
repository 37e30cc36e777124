"""Properties of an embedding space, each as one small function of arrays."""

from __future__ import annotations

import numpy as np

from lib.checks import RetrievalInputError, as_embeddings, unit_rows

INT8_MAX = 127


def _pair(x, y) -> tuple[np.ndarray, np.ndarray]:
    x, y = unit_rows(x, "x"), unit_rows(y, "y")
    if x.shape != y.shape:
        raise RetrievalInputError(f"x and y are paired row by row; got shapes {x.shape} and {y.shape}")
    return x, y


def alignment(x, y, alpha: float = 2.0) -> float:
    """How far apart the two halves of a pair lie: mean of ||x_i - y_i||^alpha. Lower is better, 0 at best.

    Args:
        x, y: (n, d), paired row by row; normalised here.

    Relations: with alpha = 2 it is 2 - 2 * mean cosine of the pairs. `uniformity` is its counterweight: a
    collapsed space has perfect alignment.

    Reference: Wang and Isola 2020, "Understanding Contrastive Representation Learning through Alignment and
    Uniformity on the Hypersphere".
    """
    x, y = _pair(x, y)
    return float(np.mean(np.linalg.norm(x - y, axis=1).astype(np.float64) ** alpha))


def uniformity(x, t: float = 2.0, *, block: int = 1024) -> float:
    """How evenly points cover the sphere: log of the mean of exp(-t ||x_i - x_j||^2) over pairs i < j.

    0 when all points coincide; about -2t for points spread evenly in many dimensions. Lower is more even.

    Args:
        x: (n, d), n >= 2; normalised here.
        block: rows held at a time; the n x n matrix never exists.

    Reference: as for `alignment`.
    """
    x = unit_rows(x, "x")
    n = len(x)
    if n < 2:
        raise RetrievalInputError(f"uniformity needs at least 2 points, got {n}")
    total = 0.0
    for start in range(0, n, block):
        cosine = x[start : start + block] @ x.T
        total += float(np.exp(np.minimum(2 * t * (cosine - 1), 0), dtype=np.float64).sum())
    return float(np.log((total - n) / (n * (n - 1))))  # each point met itself once, with exp(0) = 1


def modality_gap(x, y) -> np.ndarray:
    """The vector from the centre of one modality to the centre of the other: mean(x) - mean(y), unit rows.

    Args:
        x, y: (n, d) and (m, d); normalised here. They need not be paired.

    Returns:
        (d,); its length is the gap, between 0 and 2.

    Reference: Liang et al. 2022, "Mind the Gap".
    """
    x, y = unit_rows(x, "x"), unit_rows(y, "y")
    return x.mean(axis=0, dtype=np.float64) - y.mean(axis=0, dtype=np.float64)


def effective_rank(x) -> float:
    """How many directions the points really use: exp of the entropy of the covariance's spectrum, 1 to d.

    Reference: Roy and Vetterli 2007, "The effective rank".
    """
    x = as_embeddings(x, "x")
    values = np.linalg.svd(x - x.mean(axis=0), compute_uv=False).astype(np.float64) ** 2
    if values.sum() == 0:
        raise RetrievalInputError("all points coincide: they span no direction")
    share = values[values > 0] / values.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def truncate(x, dim: int) -> np.ndarray:
    """Keeps the first `dim` coordinates and normalises again (Matryoshka truncation).

    Args:
        x: (n, d).
        dim: 1 to d.

    Returns:
        float32 (n, dim), unit rows.
    """
    x = as_embeddings(x, "x")
    if isinstance(dim, bool) or not 1 <= dim <= x.shape[1]:
        raise RetrievalInputError(f"dim must lie between 1 and {x.shape[1]}, got {dim!r}")
    return unit_rows(x[:, :dim], "x truncated")


def triangle_violations(x, n_triples: int, *, distance: str = "one_minus_cosine", seed: int = 0) -> float:
    """Share of random triples where going via a third point is *shorter* than going straight.

    A metric never lets that happen. d = 1 - cos does; sqrt(2 - 2 cos), the straight line, and arccos, the
    angle, do not.

    Args:
        x: (n, d), n >= 3.
        n_triples: how many (a, b, via) to draw.
        distance: "one_minus_cosine", "euclidean" or "angle".
    """
    from_cosine = {
        "one_minus_cosine": lambda c: 1 - c,
        "euclidean": lambda c: np.sqrt(np.maximum(2 - 2 * c, 0)),
        "angle": lambda c: np.arccos(np.clip(c, -1, 1)),
    }
    if distance not in from_cosine:
        raise RetrievalInputError(f"distance must be one of {sorted(from_cosine)}, got {distance!r}")
    x = unit_rows(x, "x").astype(np.float64)
    if len(x) < 3:
        raise RetrievalInputError(f"a triple needs 3 points, got {len(x)}")
    a, b, via = np.random.default_rng(seed).integers(len(x), size=(3, n_triples))
    measure = from_cosine[distance]
    straight, first, second = (measure(np.einsum("nd,nd->n", x[i], x[j])) for i, j in ((a, b), (a, via), (via, b)))
    return float(np.mean(first + second < straight - 1e-9))


def to_int8(x) -> np.ndarray:
    """Rounds each row to int8, scaled so that its largest coordinate becomes 127.

    Cosines do not see the scale of a row, so it need not be stored; dot products of the result are exact integers
    in float32 up to d = 1024, which makes rankings equal on every machine.

    Args:
        x: (n, d), no zero rows.

    Returns:
        int8 (n, d).
    """
    x = unit_rows(x, "x")
    return np.rint(x * (INT8_MAX / np.abs(x).max(axis=1, keepdims=True))).astype(np.int8)
