"""One drawing: strokes of points, in the order in which they were drawn.

All formats are read into this form and written from it. x points right and y points down, as in
pictures. A stroke of one point is a dot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lib.core.checks import RetrievalInputError, as_array

MOST_POINTS = 1_000_000
MOST_STROKES = 65_535
LARGEST = 1e6  # coordinate


@dataclass(frozen=True, eq=False)
class Drawing:
    """Strokes of one drawing.

    Args:
        strokes: arrays (n, 2) of x and y; they are kept as float64. At least one, none empty.
        times: one array (n,) for each stroke, usually milliseconds, or None.
    """

    strokes: tuple[np.ndarray, ...]
    times: tuple[np.ndarray, ...] | None = None

    def __post_init__(self):
        strokes = _float_arrays(self.strokes, "strokes", "(points, 2)")
        check_size(len(strokes), sum(map(len, strokes)))
        object.__setattr__(self, "strokes", strokes)
        for i, stroke in enumerate(strokes):
            if stroke.ndim != 2 or stroke.shape[1] != 2 or len(stroke) == 0:
                raise RetrievalInputError(
                    f"strokes[{i}] must have shape (points, 2) with at least one point, got"
                    f" {stroke.shape}. Leave empty strokes out"
                )
        self._refuse_numbers(strokes, "strokes")
        if self.times is not None:
            times = _float_arrays(self.times, "times", "(points,)")
            object.__setattr__(self, "times", times)
            if [time.shape for time in times] != [(len(stroke),) for stroke in strokes]:
                raise RetrievalInputError("times must have one number for each point of a stroke")
            self._refuse_numbers(times, "times", np.inf)

    @staticmethod
    def _refuse_numbers(arrays: Sequence[np.ndarray], name: str, largest: float = LARGEST) -> None:
        joined = np.concatenate(arrays)
        if np.isfinite(joined).all() and np.abs(joined).max() <= largest:
            return
        for i, array in enumerate(arrays):
            wrong = np.argwhere(~(np.isfinite(array) & (np.abs(array) <= largest)))
            if len(wrong):
                place = "".join(f"[{at}]" for at in wrong[0])
                limit = f" between -{largest:,.0f} and {largest:,.0f}" if largest < np.inf else ""
                raise RetrievalInputError(
                    f"{name}[{i}]{place} must be a finite number{limit}, got"
                    f" {array[tuple(wrong[0])]}"
                )

    @cached_property
    def points(self) -> np.ndarray:
        """All points, stroke after stroke, float64 (points, 2)."""
        return np.concatenate(self.strokes)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Number of points of each stroke, int64 (strokes,)."""
        return np.array([len(stroke) for stroke in self.strokes])

    def with_points(self, points: np.ndarray) -> "Drawing":
        """Return the drawing with other coordinates (points, 2) in the same strokes."""
        if np.shape(points) != (int(self.lengths.sum()), 2):
            raise RetrievalInputError(
                f"points must have shape ({self.lengths.sum()}, 2), got {np.shape(points)}"
            )
        return Drawing(tuple(np.split(points, np.cumsum(self.lengths)[:-1])), self.times)


def _float_arrays(values, name: str, shape: str) -> tuple[np.ndarray, ...]:
    if isinstance(values, str | bytes | dict) or not hasattr(values, "__len__"):
        raise RetrievalInputError(f"{name} must be a list of arrays {shape}, got {values!r:.80}")
    arrays = []
    for i, value in enumerate(values):
        array = as_array(value, f"{name}[{i}]")
        if array.size and array.dtype.kind not in "iuf":
            raise RetrievalInputError(
                f"{name}[{i}] must be an array {shape} of numbers, got {array.dtype} {array.shape}"
            )
        arrays.append(array.astype(np.float64, copy=False))
    return tuple(arrays)


def pack_drawings(drawings: Sequence[Drawing]) -> dict[str, np.ndarray]:
    """Lay drawings out as three arrays for a file; times are not part of them.

    Returns:
        `points` float64 (points, 2), `lengths` int64 points of each stroke, `strokes` int64 strokes
        of each drawing.
    """
    return {
        "points": np.concatenate([drawing.points for drawing in drawings]),
        "lengths": np.concatenate([drawing.lengths for drawing in drawings]),
        "strokes": np.array([len(drawing.strokes) for drawing in drawings]),
    }


def unpack_drawings(arrays: Mapping[str, np.ndarray]) -> list[Drawing]:
    """Rebuild the drawings of `pack_drawings`."""
    points, lengths, counts = (
        np.asarray(arrays[name]) for name in ("points", "lengths", "strokes")
    )
    if lengths.sum() != len(points) or counts.sum() != len(lengths):
        raise RetrievalInputError(
            f"arrays must fit together, got {len(points)} points, {lengths.sum()} in strokes,"
            f" {len(lengths)} strokes, {counts.sum()} in drawings"
        )
    strokes = np.split(points, np.cumsum(lengths)[:-1])
    stops = np.cumsum(counts)
    return [Drawing(tuple(strokes[stop - n : stop])) for stop, n in zip(stops, counts)]


def checked_drawings(drawings: Sequence[Drawing]) -> list[Drawing]:
    """Return a list of at least one `Drawing`."""
    drawings = [drawings] if isinstance(drawings, Drawing) else list(drawings)
    if not drawings:
        raise RetrievalInputError("drawings must hold at least one drawing, got none")
    for i, drawing in enumerate(drawings):
        if not isinstance(drawing, Drawing):
            raise RetrievalInputError(
                f"drawings[{i}] must be a Drawing, got {type(drawing).__name__}"
            )
    return drawings


def check_size(n_strokes: int, n_points: int) -> None:
    """Refuse a drawing without strokes, and one that is too large."""
    if n_strokes == 0:
        raise RetrievalInputError("a drawing must have at least one stroke, got none")
    if n_strokes > MOST_STROKES or n_points > MOST_POINTS:
        raise RetrievalInputError(
            f"a drawing must have at most {MOST_STROKES:,} strokes and {MOST_POINTS:,} points, got"
            f" {n_strokes:,} strokes and {n_points:,} points"
        )
