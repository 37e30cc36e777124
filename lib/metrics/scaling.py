"""How a cost grows with size: the exponent of a power law, with its interval."""

from dataclasses import dataclass

import numpy as np
from scipy import stats

from lib.core.checks import RetrievalInputError, check_number, real_numbers


@dataclass(frozen=True)
class PowerLaw:
    """`y ~ coefficient n^exponent`.

    Args:
        exponent, low, high: of n, with the interval.
        coefficient: y at n = 1.
        worst: largest |y / fit - 1| at the given points: how far from a power law they are.
    """

    exponent: float
    low: float
    high: float
    coefficient: float
    worst: float

    def __call__(self, n):
        """The fit at n. Beyond the sizes that were fitted it is a guess."""
        return self.coefficient * np.asarray(n, float) ** self.exponent


def power_law(n, y, level: float = 0.95) -> PowerLaw:
    """Fits a power law by least squares of logarithms.

        log y_i = log a + b log n_i + e_i        b +- t se(b),    t of Student with (points - 2)
        degrees

    The interval holds for independent, equally spread e_i; a curve that bends is no power law, and
    `worst` is then large however narrow the interval. Exact search has b = 1, an inverted file with
    nlist ~ sqrt(n) 1/2.

    Args:
        n: `(points,)` sizes, at least three of them different.
        y: `(points,)` costs, above 0.
        level: of the interval.

    Raises:
        RetrievalInputError: lengths that differ, fewer than three sizes, or what has no logarithm.
    """
    n, y = real_numbers(n, "n"), real_numbers(y, "y")
    if n.shape != y.shape:
        raise RetrievalInputError(
            f"n and y must be as long as each other, got shapes {n.shape} and {y.shape}"
        )
    for name, values in (("n", n), ("y", y)):
        bad = np.flatnonzero(values <= 0)
        if bad.size:
            raise RetrievalInputError(
                f"{name}[{bad[0]}] = {values[bad[0]]} has no logarithm; give values above 0"
            )
    if len(np.unique(n)) < 3:
        raise RetrievalInputError(
            f"an interval needs at least 3 different sizes, got {len(np.unique(n))}"
        )
    check_number(level, "level", 0, 1, above=True, below=True)
    log_n, log_y = np.log(n), np.log(y)
    centred = log_n - log_n.mean()
    spread = (centred**2).sum()
    slope = (centred * log_y).sum() / spread
    intercept = log_y.mean() - slope * log_n.mean()
    residuals = log_y - intercept - slope * log_n
    half = stats.t.ppf((1 + level) / 2, len(n) - 2) * np.sqrt(
        (residuals**2).sum() / (len(n) - 2) / spread
    )
    worst = np.abs(np.expm1(residuals)).max()
    return PowerLaw(*map(float, (slope, slope - half, slope + half, np.exp(intercept), worst)))
