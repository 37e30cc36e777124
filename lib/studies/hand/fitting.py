"""Fit a hand by simulated moments: generated pairs must have the statistics of human pairs.

For each pair of human drawings (a, b) of one character, the hand draws a twice. Both kinds of pairs
pass through the same code, which leaves the same pairs out, so what the comparison cannot see it
cannot see in either. Statistics of form come from pairs with equally many strokes, which the hand
draws without `drop` and `gap`; what is counted comes from any two drawings, and the whole hand.

With statistics s, the mean over characters, standard errors e of log s, and parameters p, least
squares (scipy's `least_squares`, steps of Levenberg and Marquardt within bounds) minimise

    sum ((log s_generated(p) - log s_human) / e)^2 + sum (log(p / p_start) / log 2)^2

The second sum is a weak prior, a factor of two around the start. It decides only where statistics
say nothing: a long warp looks like a turn. Every hand draws with the same random numbers. Intervals
are those of the normal distribution at the minimum, in log p.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares

from lib.datasets.strokes import Drawing
from lib.datasets.strokes.hand import Hand, deform_drawings
from lib.metrics.separation import Z_95
from lib.studies.hand.pairs import (
    COUNTED,
    NAMES,
    SPREAD,
    character_statistics,
    comparable_pairs,
    compare,
    count_statistics,
)

Pairs = list[tuple[Drawing, Drawing]]
START = Hand(
    rotation=0.05, aspect=0.1, shear=0.05, stroke_shift=0.025, stroke_scale=0.08, overshoot=0.04,
    warp=0.04, warp_length=0.3, jitter=0.015, jitter_length=0.1, drop=0.02, gap_rate=0.1,
    gap_length=0.03, care=0.3,
)  # fmt: skip
FITTED = (
    "rotation", "aspect", "shear", "stroke_shift", "stroke_scale", "overshoot", "warp",
    "warp_length", "jitter", "jitter_length", "drop", "gap_rate", "gap_length",
    "care",
)  # fmt: skip
STATISTICS = (*NAMES, SPREAD, *COUNTED)
MOST_PAIRS = 10  # of a character
PRIOR = np.log(2)  # standard deviation of log(p / p_start)
FARTHEST = 10.0  # factor between a parameter and its start; none is above 1
STEP = 0.2  # of a parameter, as a share of it, for the derivative
EVALUATIONS, TOLERANCE = 10, 1e-2


@dataclass(frozen=True)
class HandFit:
    """A fitted hand, 95% intervals of its parameters, and both sides of each statistic."""

    hand: Hand
    intervals: dict[str, tuple[float, float]]
    human: dict[str, float]
    generated: dict[str, float]
    n_characters: int


def human_pairs(characters: Sequence[Sequence[Drawing]]) -> list[tuple[Pairs, Pairs]]:
    """Draw pairs of each character: with the commonest number of strokes, and any."""
    found = []
    for i, drawings in enumerate(characters):
        alike = [(drawings[a], drawings[b]) for a, b in comparable_pairs(drawings, MOST_PAIRS, i)]
        picks = np.random.default_rng([i, 1]).permutation(len(drawings))
        any_two = [(drawings[a], drawings[b]) for a, b in zip(picks[::2], picks[1::2])]
        found.append((alike, any_two))
    return found


def generated_pairs(parts: Sequence[Pairs], hand: Hand) -> list[Pairs]:
    """Let a hand draw the first drawing of each pair twice; the same seeds for every hand."""
    firsts = [one for part in parts for one, _ in part]
    again = iter(zip(*(deform_drawings(firsts, hand, [0, seed]) for seed in (1, 2))))
    return [[next(again) for _ in part] for part in parts]


def statistics_of(alike: Sequence[Pairs], any_two: Sequence[Pairs]) -> np.ndarray:
    """Statistics of form and count for each character, (characters, 14); nan where it has none."""
    rows = compare([pair for part in alike for pair in part])
    stops = np.cumsum([len(part) for part in alike])
    form = [character_statistics(part) for part in np.split(rows, stops[:-1])]
    return np.hstack([form, [count_statistics(part) for part in any_two]])


def fit_hand(
    characters: Sequence[Sequence[Drawing]],
    start: Hand = START,
    log: Callable[[str], None] = print,
) -> HandFit:
    """Fit the parameters of a hand to drawings of characters, each by several people."""
    alike, any_two = zip(*human_pairs(characters))
    human = statistics_of(alike, any_two)
    goal, errors = log_means(human), _log_errors(human)
    first = np.array([getattr(start, name) for name in FITTED])

    def hand_of(shares: np.ndarray) -> Hand:
        return replace(start, **dict(zip(FITTED, (first * shares).tolist())))

    def simulate(hand: Hand) -> np.ndarray:
        form = generated_pairs(alike, hand.without("drop", "gap"))
        return statistics_of(form, generated_pairs(any_two, hand))

    def residuals(shares: np.ndarray) -> np.ndarray:
        gaps = (log_means(simulate(hand_of(shares))) - goal) / errors
        log(f"root mean square of log ratios {np.sqrt(((gaps * errors) ** 2).mean()):.3f}")
        return np.concatenate([gaps, np.log(shares) / PRIOR])

    ones = np.ones(len(first))
    bounds = ones / FARTHEST, np.minimum(FARTHEST, 1 / first)
    found = least_squares(
        residuals, ones, bounds=bounds, diff_step=STEP, max_nfev=EVALUATIONS, ftol=TOLERANCE,
        xtol=TOLERANCE,
    )  # fmt: skip
    log(f"{found.nfev} steps: {found.message}")
    drawn = simulate(hand_of(found.x))
    sides = (dict(zip(STATISTICS, _means(rows).tolist())) for rows in (human, drawn))
    intervals = _intervals(FITTED, first, found.x, found.jac)
    return HandFit(hand_of(found.x), intervals, *sides, len(characters))


def log_means(rows: np.ndarray) -> np.ndarray:
    """Logarithms of the means over characters that have the statistic."""
    return np.log(np.maximum(_means(rows), 1e-6))


def _means(rows: np.ndarray) -> np.ndarray:
    """Means of what is not nan."""
    known = np.isfinite(rows)
    return np.where(known, rows, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)


def _log_errors(rows: np.ndarray) -> np.ndarray:
    """Standard errors of differences of two `log_means`, at least 0.01."""
    mean, n = _means(rows), np.maximum(np.isfinite(rows).sum(axis=0), 1)
    spread = np.sqrt(_means((rows - mean) ** 2))
    return np.maximum(np.sqrt(2 / n) * spread / np.maximum(mean, 1e-6), 0.01)


def _intervals(
    names: Sequence[str], first: np.ndarray, shares: np.ndarray, slopes: np.ndarray
) -> dict[str, tuple[float, float]]:
    """95% intervals; `slopes` are those of the residuals by the shares."""
    slopes = slopes * shares  # by the logarithms
    spread = np.exp(Z_95 * np.sqrt(np.diag(np.linalg.inv(slopes.T @ slopes))))
    value = first * shares
    return {
        name: (float(value[i] / spread[i]), float(value[i] * spread[i]))
        for i, name in enumerate(names)
    }
