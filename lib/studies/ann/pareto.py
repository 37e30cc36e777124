"""The frontier: what no other setting beats in both respects."""

import numpy as np

from lib.core.checks import RetrievalInputError


def frontier(x, y, *, higher_x: bool = True, higher_y: bool = True) -> np.ndarray:
    """Positions of the points that no other beats, best y first; ann-benchmarks' definition.

        sort by y, best first (ties: better x first); keep each point whose x is strictly better
        than all before it. A zero in x or y means "not measured" and is left out.

    Args:
        x: `(n,)` numbers, for example recall.
        y: `(n,)` numbers, for example queries per second.
        higher_x, higher_y: whether more is better.

    Returns:
        Positions, int64: y worsens and x improves along them.

    Raises:
        RetrievalInputError: unequal lengths, or a NaN.

    Reference: `create_pointset` in erikbern/ann-benchmarks, plotting/utils.py.
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise RetrievalInputError(
            f"x and y are one number per point; got shapes {x.shape} and {y.shape}"
        )
    if (wrong := np.flatnonzero(np.isnan(x) | np.isnan(y))).size:
        raise RetrievalInputError(
            f"point {wrong[0]} is ({x[wrong[0]]}, {y[wrong[0]]}); leave it out"
        )
    measured = np.flatnonzero((x != 0) & (y != 0))
    gain_x, gain_y = (1 if higher_x else -1) * x[measured], (1 if higher_y else -1) * y[measured]
    order = np.lexsort((-gain_x, -gain_y))
    best_before = np.maximum.accumulate(np.concatenate([[-np.inf], gain_x[order]]))[:-1]
    return measured[order[gain_x[order] > best_before]]
