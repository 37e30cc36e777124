"""Fit a hand by simulated moments: generated pairs must have the statistics of human pairs.

For each pair of human drawings (a, b) of one character, the hand draws a twice. Both kinds of pairs
pass through the same code, which leaves the same pairs out, so what the comparison cannot see it
cannot see in either. With statistics s, the mean over characters, and parameters p, both as
logarithms, Gauss-Newton steps solve s_generated(p) = s_human. Intervals are percentiles over
characters, resampled for both sides at once, through the linear map of the last step.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lib.datasets.strokes import Drawing
from lib.datasets.strokes.hand import Hand, deform_drawings
from lib.studies.hand.pairs import (
    COUNTED,
    NAMES,
    SPREAD,
    character_statistics,
    comparable_pairs,
    count_statistics,
)

Pairs = list[tuple[Drawing, Drawing]]
START = Hand(
    rotation=0.05, aspect=0.1, shear=0.05, stroke_shift=0.025, stroke_scale=0.08, overshoot=0.04,
    warp=0.04, warp_length=0.2, jitter=0.015, jitter_length=0.1, drop=0.02, gap_rate=0.2,
    gap_length=0.03, care=0.4,
)  # fmt: skip
FITTED = (
    "rotation", "aspect", "shear", "stroke_shift", "stroke_scale", "overshoot", "warp",
    "warp_length", "jitter", "jitter_length", "drop", "gap_rate", "gap_length",
    "care",
)  # fmt: skip
LIMITS = {"warp_length": (0.1, 2.0), "jitter_length": (0.02, 0.3), "drop": (0.002, 0.5)}
STATISTICS = (*NAMES, SPREAD, *COUNTED)
MOST_PAIRS = 10  # of a character
STEP = 0.2  # of a parameter's logarithm, for the derivative
LONGEST_STEP = 0.4
ROUNDS, DERIVATIVES = 8, (0, 4)  # rounds, and those that compute the derivative anew
REPEATS = 1000


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


def generated_pairs(pairs: Sequence[tuple[Pairs, Pairs]], hand: Hand) -> list[tuple[Pairs, Pairs]]:
    """Let a hand draw the first drawing of each pair twice; the same seeds for every hand."""
    firsts = [one for both in pairs for part in both for one, _ in part]
    again = iter(zip(*(deform_drawings(firsts, hand, [0, seed]) for seed in (1, 2))))
    return [tuple([next(again) for _ in part] for part in both) for both in pairs]


def statistics_of(pairs: Sequence[tuple[Pairs, Pairs]]) -> np.ndarray:
    """Statistics of each character, (characters, 14); nan where it has none."""
    rows = []
    for alike, any_two in pairs:
        shape = character_statistics(alike)
        shape = np.full(len(NAMES) + 1, np.nan) if shape is None else shape
        rows.append(np.concatenate([shape, count_statistics(any_two)]))
    return np.array(rows)


def log_means(rows: np.ndarray) -> np.ndarray:
    """Logarithms of the means over characters that have the statistic."""
    return np.log(np.maximum(np.nanmean(rows, axis=0), 1e-6))


def _with_logs(hand: Hand, logs: np.ndarray) -> Hand:
    values = {
        name: float(np.clip(np.exp(value), *LIMITS.get(name, (1e-4, 1.0))))
        for name, value in zip(FITTED, logs)
    }
    return replace(hand, **values)


def _logs(hand: Hand) -> np.ndarray:
    return np.log([getattr(hand, name) for name in FITTED])


def fit_hand(
    characters: Sequence[Sequence[Drawing]],
    start: Hand = START,
    rounds: int = ROUNDS,
    log: Callable[[str], None] = print,
) -> HandFit:
    """Fit the parameters of a hand to drawings of characters, each by several people."""
    pairs = human_pairs(characters)
    human = statistics_of(pairs)

    def simulate(hand: Hand) -> np.ndarray:
        return statistics_of(generated_pairs(pairs, hand))

    hand, best = start, (np.inf, start, None)
    slopes = np.eye(len(FITTED))
    for turn in range(rounds):
        rows = simulate(hand)
        gap = log_means(human) - log_means(rows)
        log(f"round {turn}: root mean square of log ratios {np.sqrt((gap**2).mean()):.3f}")
        if (gap**2).sum() < best[0]:
            best = ((gap**2).sum(), hand, rows)
        if turn in DERIVATIVES:
            slopes = _derivative(hand, rows, simulate)
        # Damped: parameters that statistics hardly move stay near their value.
        step = np.linalg.solve(slopes.T @ slopes + 0.05 * np.eye(len(gap)), slopes.T @ gap)
        hand = _with_logs(hand, _logs(hand) + np.clip(step, -LONGEST_STEP, LONGEST_STEP))
    _, hand, rows = best
    return HandFit(
        hand,
        _intervals(hand, human, rows, slopes),
        dict(zip(STATISTICS, np.nanmean(human, axis=0).tolist())),
        dict(zip(STATISTICS, np.nanmean(rows, axis=0).tolist())),
        len(characters),
    )


def _derivative(hand: Hand, rows: np.ndarray, simulate: Callable) -> np.ndarray:
    """Derivative of log statistics by log parameters, (statistics, parameters)."""
    logs, base = _logs(hand), log_means(rows)
    columns = []
    for i in range(len(logs)):
        moved = _with_logs(hand, logs + STEP * np.eye(len(logs))[i])
        change = _logs(moved)[i] - logs[i]
        if change == 0:  # at its limit: step to the other side
            moved = _with_logs(hand, logs - STEP * np.eye(len(logs))[i])
            change = _logs(moved)[i] - logs[i]
        columns.append((log_means(simulate(moved)) - base) / change)
    return np.array(columns).T


def _intervals(
    hand: Hand, human: np.ndarray, rows: np.ndarray, slopes: np.ndarray
) -> dict[str, tuple[float, float]]:
    rng, moves = np.random.default_rng(0), []
    inverse = np.linalg.solve(slopes.T @ slopes + 0.05 * np.eye(slopes.shape[1]), slopes.T)
    gap = log_means(human) - log_means(rows)
    for _ in range(REPEATS):
        picks = rng.integers(len(human), size=len(human))
        moves.append(inverse @ (log_means(human[picks]) - log_means(rows[picks]) - gap))
    low, high = np.percentile(moves, [2.5, 97.5], axis=0)
    value = np.exp(_logs(hand))
    return {
        name: (float(value[i] * np.exp(low[i])), float(value[i] * np.exp(high[i])))
        for i, name in enumerate(FITTED)
    }
