"""Score-aware quantisation: errors along the vector change its best scores, errors across it hardly
do.
"""

import numpy as np
from scipy.special import betainc

from lib.core.checks import RetrievalInputError, as_embeddings, check_count, unit_rows
from lib.index.from_scratch.product_codes import decode, dimension, encode, split


def parallel_weight(threshold: float, d: int) -> float:
    """How much more an error along the vector counts than one across it, in the limit of large d.

        eta ~ (d - 1) t^2 / (1 - t^2),    t = T / |x|

    For queries spread evenly over the sphere and only scores above T counting. It is what ScaNN
    computes: its default t = 0.2 gives 10.6 at d = 256. `exact_parallel_weight` is larger, 12.6
    there, and it is 1 at t = 0, where this is 0.

    Reference: Guo et al. 2020, "Accelerating Large-Scale Inference with Anisotropic Vector
    Quantization", section 3.
    """
    return (check_count(d, "d") - 1) * _checked(threshold) ** 2 / (1 - threshold**2)


def exact_parallel_weight(threshold: float, d: int) -> float:
    """How much more an error along the vector counts than one across it, in d dimensions.

        eta = E[c^2; c >= t] / (E[1 - c^2; c >= t] / (d - 1)),    c the cosine of vector and query

    Over evenly spread queries both integrals are incomplete beta functions of 1 - t^2, whose
    factors cancel.
    """
    half, rest = (check_count(d, "d", least=2) - 1) / 2, 1 - _checked(threshold) ** 2
    return float(betainc(half, 1.5, rest) / betainc(half + 1, 0.5, rest))


def _checked(threshold: float) -> float:
    if not 0 <= threshold < 1:
        raise RetrievalInputError(
            f"the threshold is a share of the norm, 0 <= t < 1, got {threshold}"
        )
    return threshold


def score_aware_loss(rows, decoded, eta: float) -> np.ndarray:
    """Weighted squared error of each row, `(n,)` float64.

        r = x - x~        loss = eta |r_par|^2 + |r_perp|^2,        r_par = (r . x) x / |x|^2

    With eta = 1 it is |r|^2.
    """
    rows = as_embeddings(rows, "rows")
    residual = rows - as_embeddings(decoded, "decoded", dim=rows.shape[1])
    parallel = np.einsum("nd,nd->n", residual, unit_rows(rows, "rows"), dtype=np.float64)
    return np.einsum("nd,nd->n", residual, residual, dtype=np.float64) + (eta - 1) * parallel**2


def encode_score_aware(rows, codebooks: np.ndarray, eta: float, sweeps: int = 5) -> np.ndarray:
    """Product codes that lower the score-aware loss: `(n, m)` uint8.

        loss = sum_j |r_j|^2 + (eta - 1) (sum_j r_j . u_j)^2,        u = x / |x|, cut into pieces as
        x

    The second term ties the pieces together, so they cannot be chosen one by one as in `encode`.
    Coordinate descent: each piece in turn takes the code that is best while the others stay. No
    step raises the loss.

    Args:
        rows: `(n, d)`, none of them zero.
        codebooks: `(m, n_codes, d / m)`, such as `train_codebooks` finds.
        eta: weight of the parallel error, at least 0; see `parallel_weight`.
        sweeps: rounds over the pieces; it stops earlier when a round changes nothing.

    Relations: eta = 1 gives `encode`. ScaNN trains its codebooks with this loss as well; here they
    are given.
    """
    if not (np.isfinite(eta) and eta >= 0):
        raise RetrievalInputError(f"eta must be finite and at least 0, got {eta}")
    rows = as_embeddings(rows, "rows", dim=dimension(codebooks))
    pieces, directions = (split(x, len(codebooks)) for x in (rows, unit_rows(rows, "rows")))
    codes = encode(rows, codebooks)
    chosen = split(rows - decode(codes, codebooks), len(codebooks)) * directions
    parallel = chosen.sum(axis=2, dtype=np.float64)  # (m, n): what each piece adds to r . u
    for _ in range(check_count(sweeps, "sweeps")):
        before = codes.copy()
        for j, book in enumerate(codebooks.astype(np.float64)):
            square = ((pieces[j][:, None] - book) ** 2).sum(
                axis=2
            )  # (n, n_codes) |r_j|^2 of every code
            along = (
                np.einsum("np,np->n", pieces[j], directions[j])[:, None] - directions[j] @ book.T
            )
            others = parallel.sum(axis=0) - parallel[j]
            codes[:, j] = (square + (eta - 1) * (others[:, None] + along) ** 2).argmin(axis=1)
            parallel[j] = np.take_along_axis(along, codes[:, j, None].astype(np.int64), axis=1)[
                :, 0
            ]
        if (codes == before).all():
            break
    return codes
