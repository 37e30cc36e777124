"""What a search or a training will have to do, before anything is built."""

import math

import numpy as np

from lib.core.checks import LARGEST_INT64, RetrievalInputError, check_count

POINTS_A_CENTROID, ITERATIONS = 64, 10  # of k-means on billions of vectors
LEAST_POINTS = 39  # a centroid below which faiss warns


def imbalance(list_sizes) -> float:
    """How much longer the list of a random member is than the mean list: `nlist sum_c s_c^2 / n^2`.

    It is 1 for lists of equal length, nlist where one holds everything. Queries that fall where
    base vectors are dense meet long lists; text queries may meet others.

    Args:
        list_sizes: `(nlist,)` vectors per cell.
    """
    counts = np.asarray(list_sizes, np.float64)
    if counts.ndim != 1 or not (counts.size and (counts >= 0).all() and counts.sum() > 0):
        raise RetrievalInputError(
            f"list_sizes must be counts of at least one vector, got {list_sizes!r}"
        )
    return float(counts.size * np.square(counts).sum() / counts.sum() ** 2)


def predicted_codes_scanned(n: int, nlist: int, nprobe: int, imbalance: float = 1.0) -> float:
    """Expected codes (or vectors) that a query meets: `nprobe n / nlist imbalance`, n at most.

    Relations: `search` of an inverted file counts them as `work["codes"]` or `work["distances"]`.

    Raises:
        RetrievalInputError: counts below 1, nprobe above nlist, or an imbalance that is not
            positive.
    """
    n, nlist, nprobe = (
        check_count(v, name) for v, name in ((n, "n"), (nlist, "nlist"), (nprobe, "nprobe"))
    )
    if nprobe > nlist:
        raise RetrievalInputError(f"nprobe = {nprobe} is more than the {nlist} cells")
    return min(n, nprobe * n / nlist * positive(imbalance, "imbalance"))


def training_flop(
    nlist: int, d: int, n_train: int | None = None, iterations: int = ITERATIONS
) -> float:
    """k-means compares every training vector with every centroid: `2 n_train nlist d iterations`.

    `n_train` is 64 nlist when None, so the cost grows with nlist^2; two-level k-means avoids that.
    """
    n_train = POINTS_A_CENTROID * nlist if n_train is None else n_train
    return 2.0 * n_train * nlist * d * iterations


def cells_for(n: int) -> int:
    """Cells of an inverted file of n vectors: a power of two that n can train.

        below 1M: at most min(4 sqrt(n), n / 39)        above 1M: 2^16, above 10M: 2^18, above 100M:
        2^20

    Reference: facebookresearch/faiss wiki, "Guidelines to choose an index".
    """
    n = check_count(n, "n")
    for least, nlist in ((10**8, 2**20), (10**7, 2**18), (10**6, 2**16)):
        if n >= max(least, LEAST_POINTS * nlist):
            return nlist
    return 2 ** int(math.log2(max(1, min(4 * math.sqrt(n), n / LEAST_POINTS))))


def positive(value, name: str) -> float:
    """Returns a number above 0 and up to 1e18, so that products stay finite, or
    `RetrievalInputError`.
    """
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not (number and 1e-18 <= value < LARGEST_INT64):
        raise RetrievalInputError(
            f"{name} must be a finite number above 0, got {value!s:.20} (at most 2^63)"
        )
    return float(value)
