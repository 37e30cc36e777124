"""A hand: random deformations of a drawing, as when another person draws it.

The parameters of `measured_hand()` are fitted by `lib.studies.hand` to Omniglot, in which twenty
people draw each character; `data/artifacts/hand/hand.csv` holds them with intervals. Lengths are
shares of the drawing's size, the longer side of its box. The terms act in this order:

    care     one factor on all moves of a drawing: some people draw with more care than others
    drop     a stroke is left out, the last one with probability `drop`, earlier ones less often
    gap      the pen is lifted within a stroke, and a piece is left out
    strokes  each stroke is moved and scaled on its own
    ends     both ends of a stroke run too far or stop too early
    warp     a smooth field moves everything: far points differently, near points alike
    jitter   points move along and across the line, independently beyond a short distance
    affine   the whole drawing is turned, stretched and sheared
    width    the pen is broader or finer; see `pen_widths`
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache

import numpy as np

from lib.core.checks import (
    check_choices,
    check_count,
    check_number,
    check_seed,
)
from lib.core.paths import artifacts_dir
from lib.core.reading import verify
from lib.datasets.csv_files import read_table
from lib.datasets.strokes.drawing import Drawing, checked_drawings
from lib.datasets.strokes.geometry import SMALLEST, subdivided

TERMS = {
    "care": ("care",),
    "drop": ("drop",),
    "gap": ("gap_rate", "gap_length"),
    "strokes": ("stroke_shift", "stroke_scale"),
    "ends": ("overshoot",),
    "warp": ("warp",),
    "jitter": ("jitter",),
    "affine": ("rotation", "aspect", "shear"),
    "width": ("width",),
}
NAME, FILE, REBUILD = "hand", "hand.csv", "crossmodal bench hand"
COLUMNS = ("parameter", "value", "low", "high", "source")
SPACING = 0.03  # largest distance of points that are moved
FADE = 0.1  # length over which the move of an end fades
WAVES = 8  # of the smooth field
MOST_OVERSHOOT = 0.5
BATCH = 256  # drawings in one array


@dataclass(frozen=True)
class Hand:
    """Standard deviations and rates of the deformations; 0 switches one off.

    Args:
        rotation: of the whole drawing, radians.
        aspect: of the logarithm of width / height.
        shear: of the slope that upright lines get.
        stroke_shift: of the move of a stroke, along each axis.
        stroke_scale: of the logarithm of a stroke's scale.
        overshoot: of the length by which an end runs too far, negative where it stops early.
        warp: of the moves by the smooth field, along each axis.
        warp_length: distance over which that field changes.
        jitter: of the moves of points, along each axis.
        jitter_length: distance along the line beyond which these moves are independent.
        drop: probability that the last of several strokes is left out. The first one never is;
            between them the probability grows evenly.
        gap_rate: expected number of lifts of the pen per length of the drawing's size.
        gap_length: expected length of the piece that is left out at a lift.
        care: of the logarithm of a factor, one for each drawing, on everything but `drop`,
            `gap` and `width`.
        width: of the logarithm of the pen's width.
    """

    rotation: float = 0.0
    aspect: float = 0.0
    shear: float = 0.0
    stroke_shift: float = 0.0
    stroke_scale: float = 0.0
    overshoot: float = 0.0
    warp: float = 0.0
    warp_length: float = 0.5
    jitter: float = 0.0
    jitter_length: float = 0.1
    drop: float = 0.0
    gap_rate: float = 0.0
    gap_length: float = 0.0
    care: float = 0.0
    width: float = 0.0

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0.01 if field.name in ("warp_length", "jitter_length") else 0.0
            most = 10.0 if field.name in ("warp_length", "gap_rate") else 1.0
            object.__setattr__(self, field.name, check_number(value, field.name, least, most))

    def without(self, *terms: str) -> "Hand":
        """Return the hand with some `TERMS` switched off."""
        names = (name for term in check_choices(terms, TERMS, "terms") for name in TERMS[term])
        return replace(self, **dict.fromkeys(names, 0.0))

    def only(self, *terms: str) -> "Hand":
        """Return the hand with all `TERMS` switched off but these."""
        kept = check_choices(terms, TERMS, "terms")
        return self.without(*(term for term in TERMS if term not in kept))


def deform(drawing: Drawing, hand: Hand, seed: int | Iterable[int]) -> Drawing:
    """Draw a drawing again by another hand, see `deform_drawings`."""
    return deform_drawings([drawing], hand, seed)[0]


def deform_drawings(
    drawings: Sequence[Drawing], hand: Hand, seed: int | Iterable[int]
) -> list[Drawing]:
    """Draw each drawing again, each by another hand; times are dropped.

    Args:
        drawings: at least one.
        hand: parameters of the deformations.
        seed: a whole number from 0, or several. The same drawings and seed give the same result.

    Returns:
        New drawings at about the same place and in about the same size, with points at most 0.03
        of the size apart.
    """
    rng = np.random.default_rng(_seeds(seed))
    drawings = checked_drawings(drawings)
    return [
        again
        for start in range(0, len(drawings), BATCH)
        for again in _deformed(drawings[start : start + BATCH], hand, rng)
    ]


def _deformed(drawings: list[Drawing], hand: Hand, rng: np.random.Generator) -> list[Drawing]:
    ink, places, sizes = _laid_out(drawings)
    care = np.exp(hand.care * rng.standard_normal(len(drawings)))
    ink = _dropped(ink, hand, rng)
    ink.points, ink.lengths = subdivided(ink.points, ink.lengths, SPACING)
    _leave_gaps(ink, hand, rng)
    along = ink.along()
    _move_strokes(ink, care, hand, rng)
    _move_ends(ink, along, care, hand, rng)
    forms = _affine_forms(care, hand, rng)  # drawn before the jitter, which draws many or few
    moves = _warp_field(ink, hand, rng) + _jitter(ink, along, hand, rng)
    ink.points += moves * care[ink.drawing_of_point(), None]
    forms = forms[ink.drawing_of_point()]
    ink.points = (forms @ ink.points[:, :, None])[:, :, 0]
    owner = ink.drawing_of_point()
    points = ink.points * sizes[owner, None] + places[owner]
    strokes = np.split(points, ink.starts()[1:])
    last = np.searchsorted(ink.drawing, np.arange(len(drawings)), side="right")
    return [Drawing(tuple(strokes[i:j])) for i, j in zip([0, *last[:-1]], last)]


def pen_widths(hand: Hand, width: float, n: int, seed: int | Iterable[int]) -> np.ndarray:
    """Draw widths of `n` pens around `width`, log-normal, float64 (n,).

    They do not depend on the deformations that the same seed gives.
    """
    width, n = check_number(width, "width", 0, above=True), check_count(n, "n")
    rng = np.random.default_rng(np.random.SeedSequence(_seeds(seed), spawn_key=(1,)))
    return width * np.exp(hand.width * rng.standard_normal(n))


def _seeds(seed) -> list[int]:
    seeds = list(seed) if isinstance(seed, Iterable) else [seed]
    return [check_seed(one) for one in seeds]


@dataclass
class _Ink:
    """Strokes of many drawings in one array.

    Args:
        points: (points, 2), stroke after stroke, in units of the size of the drawing.
        lengths: points of each stroke.
        drawing: which drawing each stroke belongs to, ascending.
    """

    points: np.ndarray
    lengths: np.ndarray
    drawing: np.ndarray

    def starts(self) -> np.ndarray:
        """First point of each stroke."""
        return np.cumsum(self.lengths) - self.lengths

    def stroke(self) -> np.ndarray:
        """Stroke of each point."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def drawing_of_point(self) -> np.ndarray:
        """Drawing of each point."""
        return np.repeat(self.drawing, self.lengths)

    def along(self) -> np.ndarray:
        """Length of each stroke up to each of its points."""
        starts = self.starts()
        steps = np.hypot(*np.diff(self.points, axis=0, prepend=self.points[:1]).T)
        steps[starts] = 0
        total = np.cumsum(steps)
        return total - np.repeat(total[starts], self.lengths)


def _laid_out(drawings: Sequence[Drawing]) -> tuple[_Ink, np.ndarray, np.ndarray]:
    """Strokes around 0 in units of the size; middle of the box (n, 2), and size (n,)."""
    ink = _Ink(
        np.concatenate([drawing.points for drawing in drawings]),
        np.concatenate([drawing.lengths for drawing in drawings]),
        np.repeat(np.arange(len(drawings)), [len(drawing.strokes) for drawing in drawings]),
    )
    owner = ink.drawing_of_point()
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    low = np.minimum.reduceat(ink.points, starts)
    high = np.maximum.reduceat(ink.points, starts)
    sizes = (high - low).max(axis=1)
    sizes = np.where(sizes > SMALLEST, sizes, 1.0)
    places = (low + high) / 2
    ink.points = (ink.points - places[owner]) / sizes[owner, None]
    return ink, places, sizes


def _dropped(ink: _Ink, hand: Hand, rng: np.random.Generator) -> _Ink:
    """Leave strokes out, late ones more often."""
    first = np.searchsorted(ink.drawing, ink.drawing)
    count = np.bincount(ink.drawing)[ink.drawing]
    late = (np.arange(len(first)) - first) / np.maximum(count - 1, 1)
    kept = rng.random(len(late)) >= hand.drop * late
    return _Ink(ink.points[kept[ink.stroke()]], ink.lengths[kept], ink.drawing[kept])


def _leave_gaps(ink: _Ink, hand: Hand, rng: np.random.Generator) -> None:
    """Leave pieces out within strokes, which then are two; both ends of a stroke stay."""
    starts, stroke = ink.starts(), ink.stroke()
    along = ink.along()
    length = along[starts + ink.lengths - 1]
    at = along + (np.cumsum(length) - length)[stroke]
    n_gaps = rng.poisson(hand.gap_rate * length)
    begin = np.repeat(np.cumsum(length) - length, n_gaps)
    cuts = begin + rng.random(n_gaps.sum()) * np.repeat(length, n_gaps)
    halves = rng.exponential(hand.gap_length / 2, len(cuts))
    if len(cuts) == 0:
        return
    order = np.argsort(cuts)
    cuts, halves = cuts[order], halves[order]
    after = np.searchsorted(cuts, at)
    removed = np.zeros(len(at), dtype=bool)
    for nearest in (np.maximum(after - 1, 0), np.minimum(after, len(cuts) - 1)):
        removed |= np.abs(at - cuts[nearest]) < halves[nearest]
    removed[starts] = removed[starts + ink.lengths - 1] = False
    piece = (stroke + after)[~removed]
    drawing = ink.drawing_of_point()[~removed]
    first = np.flatnonzero(np.diff(piece, prepend=-1))
    ink.points, ink.drawing = ink.points[~removed], drawing[first]
    ink.lengths = np.diff(np.append(first, len(piece)))


def _move_strokes(ink: _Ink, care: np.ndarray, hand: Hand, rng: np.random.Generator) -> None:
    care = care[ink.drawing, None]
    n, stroke = len(ink.lengths), ink.stroke()
    centres = np.add.reduceat(ink.points, ink.starts()) / ink.lengths[:, None]
    scales = np.exp(hand.stroke_scale * care * rng.standard_normal((n, 1)))
    shifts = hand.stroke_shift * care * rng.standard_normal((n, 2))
    ink.points = (ink.points - centres[stroke]) * scales[stroke] + (centres + shifts)[stroke]


def _move_ends(
    ink: _Ink, along: np.ndarray, care: np.ndarray, hand: Hand, rng: np.random.Generator
) -> None:
    """Move both ends along the line; the move fades within the stroke."""
    starts, stroke = ink.starts(), ink.stroke()
    stops, near = starts + ink.lengths - 1, np.minimum(ink.lengths - 1, 2)
    moves = hand.overshoot * care[ink.drawing] * rng.standard_normal((2, len(starts)))
    total = along[stops]
    for end, other, distance, move in (
        (starts, starts + near, along, moves[0]),
        (stops, stops - near, total[stroke] - along, moves[1]),
    ):
        ahead = ink.points[end] - ink.points[other]
        norm = np.hypot(*ahead.T)
        ahead = ahead / np.where(norm > 0, norm, 1)[:, None]
        step = np.clip(move, -total / 3, MOST_OVERSHOOT)[:, None] * ahead
        ink.points = ink.points + step[stroke] * np.exp(-distance / FADE)[:, None]


def _warp_field(ink: _Ink, hand: Hand, rng: np.random.Generator) -> np.ndarray:
    """Random waves, whose sum is nearly a Gaussian process; others for each drawing."""
    owner, n = ink.drawing_of_point(), ink.drawing[-1] + 1
    waves = rng.standard_normal((n, 2, WAVES)) / hand.warp_length
    phases = rng.uniform(0, 2 * np.pi, (n, WAVES))
    sizes = rng.standard_normal((n, WAVES, 2))
    heights = np.cos((ink.points[:, None] @ waves[owner])[:, 0] + phases[owner])
    return (heights[:, None] @ sizes[owner])[:, 0] * (hand.warp * np.sqrt(2 / WAVES))


def _jitter(ink: _Ink, along: np.ndarray, hand: Hand, rng: np.random.Generator) -> np.ndarray:
    """Random moves at equal distances along each stroke, with straight lines between them."""
    total = np.maximum.reduceat(along, ink.starts())
    n_knots = np.ceil(total / hand.jitter_length).astype(np.int64) + 2
    at = along / hand.jitter_length + (np.cumsum(n_knots) - n_knots)[ink.stroke()]
    knots = rng.standard_normal((n_knots.sum(), 2))
    left = at.astype(np.int64)
    share = (at - left)[:, None]
    moves = knots[left] * (1 - share) + knots[left + 1] * share
    return moves * (hand.jitter * np.sqrt(1.5))  # the mean variance between two knots is 2 / 3


def _affine_forms(care: np.ndarray, hand: Hand, rng: np.random.Generator) -> np.ndarray:
    """Matrices of the whole drawings, (n, 2, 2): turn @ [[stretch, slope], [0, 1 / stretch]]."""
    sizes = np.array([[hand.rotation], [hand.aspect / 2], [hand.shear]]) * care
    angle, stretch, slope = sizes * rng.standard_normal(sizes.shape)
    cosine, sine, zero = np.cos(angle), np.sin(angle), np.zeros(len(care))
    turn = np.array([[cosine, -sine], [sine, cosine]]).transpose(2, 0, 1)
    form = np.array([[np.exp(stretch), slope], [zero, np.exp(-stretch)]]).transpose(2, 0, 1)
    return turn @ form


@cache
def measured_hand() -> Hand:
    """Return the hand that is fitted to Omniglot, with an assumed spread of the pen's width."""
    path = verify(artifacts_dir() / NAME / FILE, rebuild=REBUILD)
    values = {row["parameter"]: float(row["value"]) for _, row in read_table(path, COLUMNS)}
    return Hand(**values)
