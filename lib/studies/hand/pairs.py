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
from scipy.spatial.distance import cdist

from lib.datasets.strokes import Drawing, fit_box

N_POINTS = 32
BETWEEN = 1.0  # length between two strokes where all lie on one line
BANDS = {"bend": (1, 2), "slow": (2, 4), "middle": (4, 8), "fast": (8, 32)}
NAMES = ("rotation", "aspect", "shear", "shift", "scale", *BANDS, "end")
SPREAD = "spread"  # of the logarithm of a pair's form, its bands together, over pairs
IN_BANDS = [NAMES.index(name) for name in BANDS]
COUNTED = ("lifts", "bare", "gap")  # difference of strokes, ink without counterpart, size of a gap
BARE = 0.12  # distance from all ink of the other drawing
FAR = 0.15  # root mean square of the rest beyond which two drawings are not comparable


def stroke_points(drawings: Sequence[Drawing]) -> list[np.ndarray]:
    """Place 32 points along each stroke of drawings in the unit box, (strokes, 32, 2) for each."""
    boxes = [fit_box(drawing, 1.0, centre=True) for drawing in drawings]
    strokes = np.array([len(box.strokes) for box in boxes])
    points = np.concatenate([box.points for box in boxes])
    lengths = np.concatenate([box.lengths for box in boxes])
    starts = np.cumsum(lengths) - lengths
    steps = np.hypot(*np.diff(points, axis=0, prepend=points[:1]).T)
    steps[starts] = BETWEEN  # one line of all strokes, which are apart
    along = np.cumsum(steps)
    begin, end = along[starts], along[starts + lengths - 1]
    marks = begin[:, None] + (end - begin)[:, None] * np.linspace(0, 1, N_POINTS)
    placed = np.stack([np.interp(marks, along, axis) for axis in points.T], axis=-1)
    return np.split(placed, np.cumsum(strokes)[:-1])


def matched(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Put the strokes of `others` into the order and direction of those of `ones`."""
    both = np.stack([others, others[:, :, ::-1]], axis=1)  # (n, 2, strokes, 32, 2)
    away = np.linalg.norm(ones[:, None, :, None] - both[:, :, None], axis=-1).mean(axis=-1)
    order = np.array([linear_sum_assignment(one)[1] for one in away.min(axis=1)])
    row, stroke = np.arange(len(ones))[:, None], np.arange(ones.shape[1])
    turned = away.argmin(axis=1)[row, stroke, order]
    return both[row, turned, order]


def pair_statistics(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compare drawings with one number of strokes, float64 (n, 10), in the order of `NAMES`.

    All are nan where the two are too far apart to be compared. `shift` is nan for one stroke.

    Args:
        ones, others: (n, strokes, 32, 2).
    """
    n, n_strokes = ones.shape[:2]
    others = matched(ones, others)
    a, b = ones.reshape(n, -1, 2), others.reshape(n, -1, 2)
    design = np.concatenate([a, np.ones_like(a[..., :1])], axis=-1)
    solution = np.linalg.pinv(design, rcond=1e-12) @ b  # (n, 3, 2)
    rest = (b - design @ solution).reshape(ones.shape)
    angle, stretch, slope = _affine_parts(solution[:, :2].transpose(0, 2, 1))
    lengths = [np.linalg.norm(np.diff(x, axis=2), axis=-1).sum(axis=2) for x in (ones, others)]
    ratios = np.log(np.maximum(lengths[1], 1e-3) / np.maximum(lengths[0], 1e-3))
    energy = (dct(rest, axis=2, norm="ortho") ** 2).sum(axis=-1) / N_POINTS  # (n, strokes, 32)
    shift = np.sqrt(energy[:, :, 0].mean(axis=1)) if n_strokes > 1 else np.full(n, np.nan)
    bands = [
        np.sqrt(energy[:, :, low:high].sum(axis=2).mean(axis=1)) for low, high in BANDS.values()
    ]
    found = np.column_stack(
        [abs(angle), abs(stretch), abs(slope), shift, np.abs(ratios).mean(axis=1), *bands,
         _end_moves(ones, rest)]
    )  # fmt: skip
    found[np.sqrt((rest**2).sum(axis=-1).mean(axis=(1, 2))) > FAR] = np.nan
    return found


def _affine_parts(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn, logarithm of the stretch, and slope: matrix = turn @ [[sx, slope], [0, sy]]."""
    angle = np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, sine], [-sine, cosine]]).transpose(2, 0, 1)
    form = turn @ matrices
    sizes = [np.maximum(np.abs(form[:, i, i]), 1e-3) for i in (0, 1)]
    return angle, np.log(sizes[0] / sizes[1]), form[:, 0, 1]


def _end_moves(strokes: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Root mean square of the rest at both ends, along the line, (n,)."""
    ends, inner = strokes[:, :, [0, -1]], strokes[:, :, [2, -3]]
    ahead = ends - inner
    ahead = ahead / np.maximum(np.linalg.norm(ahead, axis=-1, keepdims=True), 1e-9)
    moves = (rest[:, :, [0, -1]] * ahead).sum(axis=-1)
    return np.sqrt((moves**2).mean(axis=(1, 2)))


def compare(pairs: Sequence[tuple[Drawing, Drawing]]) -> np.ndarray:
    """Compute the statistics of pairs, (n, 10); nan where strokes differ in number or too far."""
    found = np.full((len(pairs), len(NAMES)), np.nan)
    counts = np.array([[len(drawing.strokes) for drawing in pair] for pair in pairs])
    equal = np.flatnonzero(counts[:, 0] == counts[:, 1])
    if len(equal) == 0:
        return found
    ones = stroke_points([pairs[i][0] for i in equal])
    others = stroke_points([pairs[i][1] for i in equal])
    for count in np.unique(counts[equal, 0]):
        picks = np.flatnonzero(counts[equal, 0] == count)
        both = (np.stack([side[i] for i in picks]) for side in (ones, others))
        found[equal[picks]] = pair_statistics(*both)
    return found


# ---- of a character


def comparable_pairs(drawings: Sequence[Drawing], most: int, seed: int) -> list[tuple[int, int]]:
    """Draw up to `most` pairs with the commonest number of strokes."""
    counts = np.array([len(drawing.strokes) for drawing in drawings])
    usual = np.flatnonzero(counts == np.bincount(counts).argmax())
    pairs = list(combinations(usual.tolist(), 2))
    order = np.random.default_rng(seed).permutation(len(pairs))
    return [pairs[i] for i in order[:most]]


def character_statistics(rows: np.ndarray) -> np.ndarray:
    """Medians of the statistics of pairs of one character, and `SPREAD`, (11,).

    All are nan if most pairs cannot be compared. Pairs beyond `FAR` are left out, human and
    generated ones alike.
    """
    kept = rows[np.isfinite(rows[:, 0])]
    if len(kept) < max(3, len(rows) / 3):
        return np.full(len(NAMES) + 1, np.nan)
    form = np.sqrt((kept[:, IN_BANDS] ** 2).sum(axis=1))
    return np.append(np.median(kept, axis=0), np.log(np.maximum(form, 1e-4)).std())


def count_statistics(pairs: Sequence[tuple[Drawing, Drawing]]) -> np.ndarray:
    """Means over pairs of one character of what strokes are there: (3,), see `COUNTED`."""
    lifts, bare, gaps = [], [], []
    drawn = stroke_points([drawing for pair in pairs for drawing in pair])
    for one, other in zip(drawn[::2], drawn[1::2]):
        lifts.append(abs(len(one) - len(other)))
        bare.append(_bare_share(one, other))
        if lifts[-1]:
            gaps.append(_smallest_gap(max(one, other, key=len)))
    return np.array([np.mean(lifts), np.mean(bare), np.median(gaps) if gaps else np.nan])


def _bare_share(one: np.ndarray, other: np.ndarray) -> float:
    """Share of the ink that lies far from all ink of the other drawing, mean of both."""
    squared = cdist(one.reshape(-1, 2), other.reshape(-1, 2), "sqeuclidean")
    shares = []
    for strokes, nearest in ((one, squared.min(axis=1)), (other, squared.min(axis=0))):
        lengths = np.linalg.norm(np.diff(strokes, axis=1), axis=-1).sum(axis=1)
        ink = np.maximum(np.repeat(lengths, N_POINTS), 1e-9)
        shares.append(np.average(nearest > BARE**2, weights=ink))
    return float(np.mean(shares))


def _smallest_gap(strokes: np.ndarray) -> float:
    """Smallest distance between ends of two strokes: where the pen was lifted and put down."""
    ends = strokes[:, [0, -1]]
    away = np.linalg.norm(ends[:, None, :, None] - ends[None, :, None], axis=-1)  # (n, n, 2, 2)
    return away[~np.eye(len(ends), dtype=bool)].min()
