"""Geometry of drawings: resampling by arc length, simplification, fitting into a box."""

import numpy as np

from lib.core.checks import RetrievalInputError, check_count, check_number
from lib.datasets.strokes.drawing import MOST_POINTS, Drawing

SIDE = 255.0  # of QuickDraw's box
SPACING, TOLERANCE = 1.0, 2.0  # of QuickDraw's simplified drawings
SMALLEST = 1e-9  # a smaller drawing is a dot
MOST_VISITS = 200_000_000  # distances that one simplification may compute, about 3 s


def arc_lengths(points: np.ndarray) -> np.ndarray:
    """Return the length of a line up to each of its points, float64 (n,), from 0."""
    steps = np.diff(points, axis=0)
    return np.concatenate([[0.0], np.cumsum(np.hypot(steps[:, 0], steps[:, 1]))])


def resample(drawing: Drawing, spacing: float = SPACING) -> Drawing:
    """Place points at equal distances along each stroke.

    A stroke of length L gets points at 0, s, 2s, ... and at L, so that both ends stay; corners
    between two points are cut. Times are interpolated.

    Args:
        drawing: the strokes.
        spacing: distance s along the line, in the units of the drawing.
    """
    spacing = check_number(spacing, "spacing", 0, above=True)
    along = [arc_lengths(stroke) for stroke in drawing.strokes]
    expected = sum(length[-1] / spacing + 2 for length in along)
    if expected > MOST_POINTS:
        raise RetrievalInputError(
            f"spacing must leave at most {MOST_POINTS:,} points, got {spacing:g}, which makes"
            f" {expected:,.0f}. Fit the drawing into a box, or take a larger spacing"
        )
    at = [_marks(length[-1], spacing) for length in along]
    return _interpolated(drawing, along, at)


def resample_to(drawing: Drawing, n_points: int) -> Drawing:
    """Place `n_points` points at equal distances along each stroke; both ends stay."""
    n_points = check_count(n_points, "n_points", least=2, most=MOST_POINTS)
    along = [arc_lengths(stroke) for stroke in drawing.strokes]
    return _interpolated(drawing, along, [np.linspace(0, one[-1], n_points) for one in along])


def _marks(length: float, spacing: float) -> np.ndarray:
    marks = spacing * np.arange(np.floor(length / spacing) + 1)
    return np.append(marks, length) if length - marks[-1] > 1e-9 * length else marks


def _interpolated(drawing: Drawing, along: list, at: list) -> Drawing:
    strokes = [
        np.stack([np.interp(marks, length, axis) for axis in stroke.T], axis=1)
        for stroke, length, marks in zip(drawing.strokes, along, at)
    ]
    times = drawing.times and [
        np.interp(marks, length, time) for time, length, marks in zip(drawing.times, along, at)
    ]
    return Drawing(tuple(strokes), times and tuple(times))


def subdivide(drawing: Drawing, longest: float) -> Drawing:
    """Insert points so that neighbours are at most `longest` apart; times are dropped.

    All points stay, and those that are inserted lie at equal distances between two of them.
    """
    longest = check_number(longest, "longest", 0, above=True)
    points, lengths = subdivided(drawing.points, drawing.lengths, longest)
    return Drawing(tuple(np.split(points, np.cumsum(lengths)[:-1])))


def subdivided(
    points: np.ndarray, lengths: np.ndarray, longest: float
) -> tuple[np.ndarray, np.ndarray]:
    """Do the same for strokes that lie in one array; points, and points of each stroke."""
    stops = np.cumsum(lengths)
    steps = np.diff(points, axis=0, append=points[-1:])
    steps[stops - 1] = 0
    count = np.maximum(np.ceil(np.hypot(*steps.T) / longest), 1)
    if count.sum() > MOST_POINTS:
        raise RetrievalInputError(
            f"longest must leave at most {MOST_POINTS:,} points, got {longest:g}, which makes"
            f" {count.sum():,.0f}"
        )
    count = count.astype(np.int64)
    ends = np.cumsum(count)
    of = np.repeat(np.arange(len(points)), count)
    share = (np.arange(len(of)) - np.repeat(ends - count, count)) / count[of]
    fine = points[of] + share[:, None] * steps[of]
    return fine, np.diff(ends[stops - 1], prepend=0)


def simplify(drawing: Drawing, tolerance: float = TOLERANCE) -> Drawing:
    """Drop points by the algorithm of Ramer, Douglas and Peucker.

    Both ends of a stroke stay. Between two kept points, the point farthest from the segment that
    joins them stays if its distance is above the tolerance (the first of several), and both halves
    are treated in the same way. All segments of one depth are treated at once, without recursion.
    The work is O(n log n) for most lines; a line that needs O(n^2) is refused beyond a limit.

    Args:
        drawing: the strokes; times of kept points stay.
        tolerance: distance in the units of the drawing, at least 0.
    """
    tolerance = check_number(tolerance, "tolerance", 0)
    stops = np.cumsum(drawing.lengths)
    kept = _kept_points(drawing.points, stops - drawing.lengths, stops - 1, tolerance)
    masks = np.split(kept, stops[:-1])
    strokes = tuple(stroke[mask] for stroke, mask in zip(drawing.strokes, masks))
    times = drawing.times and tuple(time[mask] for time, mask in zip(drawing.times, masks))
    return Drawing(strokes, times)


def _kept_points(
    points: np.ndarray, first: np.ndarray, last: np.ndarray, tolerance: float
) -> np.ndarray:
    """Mark the points that stay in lines from `first` to `last`, bool (n,)."""
    kept = np.zeros(len(points), dtype=bool)
    kept[first] = kept[last] = True
    x, y = np.ascontiguousarray(points.T)
    visits = 0
    while True:
        unsplit = last - first > 1
        first, last = first[unsplit], last[unsplit]
        if len(first) == 0:
            return kept
        count = last - first - 1
        visits += int(count.sum())
        if visits > MOST_VISITS:
            raise RetrievalInputError(
                f"the drawing needs more than {MOST_VISITS:,} distances to be simplified with"
                f" tolerance {tolerance:g}. Resample it with a wider spacing first"
            )
        start = np.cumsum(count) - count
        inner = np.arange(count.sum()) + np.repeat(first + 1 - start, count)
        squared = _squared_distances(x, y, inner, first, last, count)
        largest = np.maximum.reduceat(squared, start)
        hits = np.flatnonzero(squared == np.repeat(largest, count))
        hits = hits[np.unique(np.searchsorted(start, hits, side="right"), return_index=True)[1]]
        split = largest > tolerance**2
        middle = inner[hits[split]]
        kept[middle] = True
        first, last = (
            np.concatenate([first[split], middle]),
            np.concatenate([middle, last[split]]),
        )


def _squared_distances(x, y, inner, first, last, count) -> np.ndarray:
    """Squared distance of inner points to the segment from `first` to `last`, float64 (n,)."""
    along_x, along_y = x[last] - x[first], y[last] - y[first]
    squared = along_x**2 + along_y**2
    squared = np.where(squared == 0, 1, squared)
    from_x, from_y = x[inner] - np.repeat(x[first], count), y[inner] - np.repeat(y[first], count)
    long_x, long_y = np.repeat(along_x, count), np.repeat(along_y, count)
    share = (from_x * long_x + from_y * long_y) / np.repeat(squared, count)
    share = np.clip(share, 0, 1)
    return (from_x - share * long_x) ** 2 + (from_y - share * long_y) ** 2


def fit_box(drawing: Drawing, side: float = SIDE, *, centre: bool = False) -> Drawing:
    """Move and scale a drawing so that its longer side runs from 0 to `side`; shape stays.

    Args:
        drawing: the strokes. If all points are equal, within 1e-9, they are moved only.
        side: length of the box.
        centre: put the shorter side in the middle of the box; otherwise at 0, as QuickDraw does.
    """
    side = check_number(side, "side", 0, above=True)
    low, high = drawing.points.min(axis=0), drawing.points.max(axis=0)
    longest = (high - low).max()
    scale = side / longest if longest > SMALLEST else 1.0
    offset = (side - (high - low) * scale) / 2 if centre else 0.0
    points = (drawing.points - low) * scale + offset
    return drawing.with_points(np.clip(points, 0, side))


def quickdraw_simplified(drawing: Drawing) -> Drawing:
    """Simplify a raw drawing by the rule of QuickDraw's simplified files.

    Move to the origin, scale the longer side to 255, resample with spacing 1, simplify with
    tolerance 2, round to whole numbers. Times are dropped.
    """
    small = simplify(resample(fit_box(Drawing(drawing.strokes))))
    return small.with_points(np.rint(small.points))
