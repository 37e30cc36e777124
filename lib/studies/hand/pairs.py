"""Statistics of pairs: two drawings of one character, compared stroke by stroke and point by point.

Strokes are matched whatever their order and direction, 32 points each. An affine map is fitted from
one drawing to the other; the rest is split by how fast it changes along a stroke (a cosine
transform): the mean is a stroke's move, slow parts are form, fast parts are jitter.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy.fft import dct
from scipy.optimize import linear_sum_assignment

from lib.datasets.strokes import Drawing, fit_box, resample, resample_to

N_POINTS = 32
BANDS = {"bend": (1, 2), "slow": (2, 4), "middle": (4, 8), "fast": (8, 32)}
NAMES = ("rotation", "aspect", "shear", "shift", "scale", *BANDS, "end")
SPREAD = "spread"  # of the logarithm of a pair's form, its bands together, over pairs
IN_BANDS = [NAMES.index(name) for name in BANDS]
COUNTED = ("lifts", "bare", "gap")  # difference of strokes, ink without counterpart, size of a gap
INK_SPACING = 0.06
BARE = 0.12  # distance from all ink of the other drawing
FAR = 0.15  # root mean square of the rest beyond which two drawings are not comparable


def stroke_points(drawing: Drawing) -> np.ndarray:
    """Place 32 points along each stroke of a drawing in the unit box, (strokes, 32, 2)."""
    return np.stack(resample_to(fit_box(drawing, 1.0, centre=True), N_POINTS).strokes)


def matched(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Put the strokes of `other` into the order and direction of those of `one`."""
    both = np.stack([other, other[:, ::-1]])  # (2, strokes, 32, 2)
    away = np.linalg.norm(one[None, :, None] - both[:, None], axis=-1).mean(axis=-1)
    order = linear_sum_assignment(away.min(axis=0))[1]
    turned = away.argmin(axis=0)[np.arange(len(one)), order]
    return both[turned, order]


def pair_statistics(one: np.ndarray, other: np.ndarray) -> np.ndarray | None:
    """Compare two drawings with the same number of strokes, float64 (10,), in the order of `NAMES`.

    None where they are too far apart to be compared. `shift` is nan for one stroke.
    """
    other = matched(one, other)
    a, b = one.reshape(-1, 2), other.reshape(-1, 2)
    design = np.column_stack([a, np.ones(len(a))])
    solution = np.linalg.lstsq(design, b, rcond=None)[0]
    rest = (b - design @ solution).reshape(one.shape)
    if np.sqrt((rest**2).sum(axis=-1).mean()) > FAR:
        return None
    angle, stretch, slope = _affine_parts(solution[:2].T)
    lengths = [np.linalg.norm(np.diff(x, axis=1), axis=-1).sum(axis=1) for x in (one, other)]
    ratios = np.log(np.maximum(lengths[1], 1e-3) / np.maximum(lengths[0], 1e-3))
    energy = (dct(rest, axis=1, norm="ortho") ** 2).sum(axis=-1) / N_POINTS  # (strokes, 32)
    shift = np.sqrt(energy[:, 0].mean()) if len(one) > 1 else np.nan
    bands = [np.sqrt(energy[:, low:high].sum(axis=1).mean()) for low, high in BANDS.values()]
    return np.array(
        [abs(angle), abs(stretch), abs(slope), shift, np.abs(ratios).mean(), *bands,
         _end_moves(one, rest)]
    )  # fmt: skip


def _affine_parts(matrix: np.ndarray) -> tuple[float, float, float]:
    """Turn, logarithm of the stretch, and slope: matrix = turn @ [[sx, slope], [0, sy]]."""
    angle = np.arctan2(matrix[1, 0], matrix[0, 0])
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    form = turn @ matrix
    stretch = np.log(max(form[0, 0], 1e-3) / max(abs(form[1, 1]), 1e-3))
    return angle, stretch, form[0, 1]


def _end_moves(strokes: np.ndarray, rest: np.ndarray) -> float:
    """Root mean square of the rest at both ends, along the line."""
    ahead = np.stack([strokes[:, 0] - strokes[:, 2], strokes[:, -1] - strokes[:, -3]], axis=1)
    ahead = ahead / np.maximum(np.linalg.norm(ahead, axis=-1, keepdims=True), 1e-9)
    ends = np.stack([rest[:, 0], rest[:, -1]], axis=1)
    return np.sqrt(((ends * ahead).sum(axis=-1) ** 2).mean())


# ---- of a character


def comparable_pairs(drawings: Sequence[Drawing], most: int, seed: int) -> list[tuple[int, int]]:
    """Draw up to `most` pairs with the commonest number of strokes."""
    counts = np.array([len(drawing.strokes) for drawing in drawings])
    usual = np.flatnonzero(counts == np.bincount(counts).argmax())
    pairs = list(combinations(usual.tolist(), 2))
    order = np.random.default_rng(seed).permutation(len(pairs))
    return [pairs[i] for i in order[:most]]


def character_statistics(pairs: Sequence[tuple[Drawing, Drawing]]) -> np.ndarray | None:
    """Medians of the statistics of pairs of one character, and `SPREAD`, (11,).

    None if most pairs cannot be compared.

    The first statistics of a hand that is wide are beyond `FAR` more often: the median counts what
    can be compared, in human and generated pairs alike.
    """
    found = [
        pair_statistics(stroke_points(one), stroke_points(other))
        for one, other in pairs
        if len(one.strokes) == len(other.strokes)
    ]
    kept = [row for row in found if row is not None]
    if len(kept) < max(3, len(pairs) / 3):
        return None
    rows = np.array(kept)
    form = np.sqrt((rows[:, IN_BANDS] ** 2).sum(axis=1))
    return np.append(np.median(rows, axis=0), np.log(np.maximum(form, 1e-4)).std())


def count_statistics(pairs: Sequence[tuple[Drawing, Drawing]]) -> np.ndarray:
    """Means over pairs of one character of what strokes are there: (3,), see `COUNTED`."""
    lifts, bare, gaps = [], [], []
    for pair in pairs:
        one, other = (fit_box(drawing, 1.0, centre=True) for drawing in pair)
        lifts.append(abs(len(one.strokes) - len(other.strokes)))
        bare.append(_bare_share(one, other))
        if lifts[-1]:
            gaps.append(_smallest_gap(max(one, other, key=lambda drawing: len(drawing.strokes))))
    return np.array([np.mean(lifts), np.mean(bare), np.median(gaps) if gaps else np.nan])


def _bare_share(one: Drawing, other: Drawing) -> float:
    """Share of the ink that lies far from all ink of the other drawing, mean of both."""
    a, b = (resample(drawing, INK_SPACING).points for drawing in (one, other))
    squared = ((a[:, None] - b) ** 2).sum(axis=-1)
    return np.mean([(squared.min(axis=axis) > BARE**2).mean() for axis in (0, 1)])


def _smallest_gap(drawing: Drawing) -> float:
    """Smallest distance between ends of two strokes: where the pen was lifted and put down."""
    ends = np.array([stroke[[0, -1]] for stroke in drawing.strokes])
    away = np.linalg.norm(ends[:, None, :, None] - ends[None, :, None], axis=-1)  # (n, n, 2, 2)
    return away[~np.eye(len(ends), dtype=bool)].min()
