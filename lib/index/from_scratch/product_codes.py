"""Product quantisation: codes of a few bytes, scores from look-up tables, score-aware codes."""

import numpy as np
from scipy.special import betainc

from lib.core.checks import (
    RetrievalInputError,
    as_embeddings,
    check_choice,
    check_count,
    check_number,
    unit_rows,
)
from lib.index.from_scratch.cells import METRICS, assign, first_centroids, kmeans, similarities


def split(rows, m: int) -> np.ndarray:
    """Cut each row into m pieces: `(m, n, d / m)`."""
    rows = as_embeddings(rows, "rows")
    if rows.shape[1] % check_count(m, "m"):
        raise RetrievalInputError(f"m must divide d = {rows.shape[1]}, got {m}")
    return np.ascontiguousarray(rows.reshape(len(rows), m, -1).transpose(1, 0, 2))


def train_codebooks(
    rows, m: int, n_codes: int = 256, iterations: int = 25, seed: int = 0
) -> np.ndarray:
    """Run k-means in each piece of the space: `(m, n_codes, d / m)` float32; a code takes m bytes.

    Reference: Jegou, Douze and Schmid 2011, "Product Quantization for Nearest Neighbor Search".
    """
    check_count(n_codes, "n_codes", most=256)  # a code is one byte
    starts = [(piece, first_centroids(piece, n_codes, seed)) for piece in split(rows, m)]
    return np.stack([kmeans(piece, start, iterations)[0] for piece, start in starts])


def encode(rows, codebooks: np.ndarray) -> np.ndarray:
    """Find the nearest centroid of each piece: `(n, m)` uint8."""
    pieces = split(as_embeddings(rows, "rows", dim=_dimension(codebooks)), len(codebooks))
    codes = [assign(x, book) for x, book in zip(pieces, codebooks)]
    return np.stack(codes, axis=1).astype(np.uint8)


def decode(codes, codebooks: np.ndarray) -> np.ndarray:
    """Concatenate the centroids of each code: `(n, d)` float32."""
    codes = _checked_codes(codes, *codebooks.shape[:2])
    return codebooks[np.arange(len(codebooks)), codes].reshape(len(codes), _dimension(codebooks))


def query_tables(queries, codebooks: np.ndarray, metric: str = "l2") -> np.ndarray:
    """Score each piece of a query against each centroid: `(n_queries, m, n_codes)`.

        T[q, j, c] = -|q_j - b_jc|^2    or    q_j . b_jc

    Both metrics are sums over pieces, so the score of a code is m numbers of the table, added.
    """
    check_choice(metric, METRICS, "metric")
    pieces = split(as_embeddings(queries, "queries", dim=_dimension(codebooks)), len(codebooks))
    return np.stack([similarities(q, book, metric) for q, book in zip(pieces, codebooks)], axis=1)


def look_up(tables: np.ndarray, codes) -> np.ndarray:
    """Compute asymmetric scores `s(q, x) ~ sum_j T[q, j, code_j(x)]`: `(n_queries, n)` float32.

    Asymmetric, because the query stays as it is and only the stored vector is rounded.

    Args:
        tables: `(n_queries, m, n_codes)` from `query_tables`.
        codes: `(n, m)`.
    """
    codes = _checked_codes(codes, *tables.shape[1:])
    scores = np.zeros((len(tables), len(codes)), np.float32)
    for j in range(tables.shape[1]):  # m steps over all queries and vectors at once
        scores += tables[:, j, codes[:, j]]
    return scores


# ---- score-aware (anisotropic) quantisation


def parallel_weight(threshold: float, d: int) -> float:
    """Compute how much more an error along the vector counts than one across it, for large d.

        eta ~ (d - 1) t^2 / (1 - t^2),    t = T / |x|

    This assumes queries spread evenly over the sphere, of which only scores above T count. ScaNN
    computes the same: its default t = 0.2 gives 10.6 at d = 256. `exact_parallel_weight` is larger,
    12.6 there, and it is 1 at t = 0, where this is 0.

    Reference: Guo et al. 2020, "Accelerating Large-Scale Inference with Anisotropic Vector
    Quantization", section 3.
    """
    return (check_count(d, "d") - 1) * _checked_threshold(threshold) ** 2 / (1 - threshold**2)


def exact_parallel_weight(threshold: float, d: int) -> float:
    """Compute how much more an error along the vector counts than one across it, in d dimensions.

        eta = E[c^2; c >= t] / (E[1 - c^2; c >= t] / (d - 1)),    c the cosine of vector and query

    For evenly spread queries both integrals are incomplete beta functions of 1 - t^2; their factors
    cancel.
    """
    half = (check_count(d, "d", least=2) - 1) / 2
    rest = 1 - _checked_threshold(threshold) ** 2
    return float(betainc(half, 1.5, rest) / betainc(half + 1, 0.5, rest))


def score_aware_loss(rows, decoded, eta: float) -> np.ndarray:
    """Compute the weighted squared error of each row, `(n,)` float64.

        r = x - x~        loss = eta |r_par|^2 + |r_perp|^2,        r_par = (r . x) x / |x|^2

    With eta = 1 it is |r|^2.
    """
    rows = as_embeddings(rows, "rows")
    residual = rows - as_embeddings(decoded, "decoded", dim=rows.shape[1])
    parallel = np.einsum("nd,nd->n", residual, unit_rows(rows, "rows"), dtype=np.float64)
    return np.einsum("nd,nd->n", residual, residual, dtype=np.float64) + (eta - 1) * parallel**2


def encode_score_aware(rows, codebooks: np.ndarray, eta: float, sweeps: int = 5) -> np.ndarray:
    """Choose product codes that lower the score-aware loss: `(n, m)` uint8.

        loss = sum_j |r_j|^2 + (eta - 1) (sum_j r_j . u_j)^2

    with u = x / |x|, cut into pieces as x is. The second term couples the pieces, so they cannot be
    chosen one by one as in `encode`. Coordinate descent: each piece in turn takes the code that is
    best while the others stay. No step raises the loss. eta = 1 gives `encode`.

    Args:
        rows: `(n, d)`, none of them zero.
        codebooks: `(m, n_codes, d / m)`, for example from `train_codebooks`. (ScaNN trains its
            codebooks with this loss as well.)
        eta: weight of the parallel error, at least 0; see `parallel_weight`.
        sweeps: rounds over the pieces; it stops earlier when a round changes nothing.
    """
    check_number(eta, "eta", 0)
    rows = as_embeddings(rows, "rows", dim=_dimension(codebooks))
    pieces, directions = (split(x, len(codebooks)) for x in (rows, unit_rows(rows, "rows")))
    codes = encode(rows, codebooks)
    chosen = split(rows - decode(codes, codebooks), len(codebooks)) * directions
    parallel = chosen.sum(axis=2, dtype=np.float64)  # (m, n): the share of each piece in r . u
    for _ in range(check_count(sweeps, "sweeps")):
        before = codes.copy()
        for j, book in enumerate(codebooks.astype(np.float64)):
            square = ((pieces[j][:, None] - book) ** 2).sum(axis=2)  # (n, n_codes): |r_j|^2
            along = np.einsum("np,np->n", pieces[j], directions[j])[:, None]
            along = along - directions[j] @ book.T
            others = parallel.sum(axis=0) - parallel[j]
            codes[:, j] = (square + (eta - 1) * (others[:, None] + along) ** 2).argmin(axis=1)
            best = np.take_along_axis(along, codes[:, j, None].astype(np.int64), axis=1)
            parallel[j] = best[:, 0]
        if (codes == before).all():
            break
    return codes


def _dimension(codebooks: np.ndarray) -> int:
    return codebooks.shape[0] * codebooks.shape[2]


def _checked_codes(codes, m: int, n_codes: int) -> np.ndarray:
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.shape[1] != m or codes.dtype.kind not in "iu":
        expected = f"whole numbers of shape (n, {m})"
        raise RetrievalInputError(f"codes must be {expected}, got {codes.dtype} {codes.shape}")
    if codes.size and not 0 <= codes.min() <= codes.max() < n_codes:
        limits = f"{codes.min()} to {codes.max()}"
        raise RetrievalInputError(f"codes must be 0 to {n_codes - 1}, got {limits}")
    return codes


def _checked_threshold(threshold: float) -> float:
    return check_number(threshold, "threshold (a share of the norm)", 0, 1, below=True)
