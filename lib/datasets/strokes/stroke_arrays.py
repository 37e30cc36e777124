"""The arrays stroke-3 and stroke-5 of sketch-rnn (Ha and Eck, 2017, arXiv:1704.03477).

stroke-3: rows `dx, dy, lift`; the pen moves by (dx, dy) from the point before (from the origin in
the first row) and is lifted after the point if `lift` is 1. stroke-5: rows `dx, dy, down, up, end`,
of which one of the last three is 1; rows `0, 0, 0, 0, 1` fill the array up to its length.
"""

import numpy as np

from lib.core.checks import RetrievalInputError, as_real_matrix, check_count, check_finite
from lib.datasets.strokes.drawing import Drawing, check_size

PEN = ("down", "up", "end")
FIX = "Coordinates and pen states must be finite"


def from_stroke3(rows: np.ndarray) -> Drawing:
    """Convert stroke-3 to a drawing.

    The last point ends its stroke, also where its `lift` is 0.

    Args:
        rows: (points, 3), dx, dy, lift.
    """
    rows = as_real_matrix(rows, "rows", dim=3)
    check_size(1, len(rows))
    check_finite(rows, "rows", FIX)
    lift = rows[:, 2]
    wrong = np.flatnonzero((lift != 0) & (lift != 1))
    if len(wrong):
        raise RetrievalInputError(
            f"rows[{wrong[0]}, 2] must be 0 (pen stays down) or 1 (lifted), got {lift[wrong[0]]}"
        )
    check_size(1 + int(lift[:-1].sum()), len(rows))
    with np.errstate(over="ignore"):  # `Drawing` refuses what is too far away
        points = np.cumsum(rows[:, :2], axis=0, dtype=np.float64)
    return Drawing(tuple(np.split(points, np.flatnonzero(lift[:-1]) + 1)))


def to_stroke3(drawing: Drawing) -> np.ndarray:
    """Convert a drawing to stroke-3, float64 (points, 3); times are not part of it."""
    rows = np.zeros((len(drawing.points), 3))
    rows[:, :2] = np.diff(drawing.points, axis=0, prepend=np.zeros((1, 2)))
    rows[np.cumsum(drawing.lengths) - 1, 2] = 1
    return rows


def from_stroke5(rows: np.ndarray) -> Drawing:
    """Convert stroke-5 to a drawing; it ends at the first row whose `end` is 1.

    Args:
        rows: (points, 5), dx, dy, down, up, end.
    """
    rows = as_real_matrix(rows, "rows", dim=5)
    check_finite(rows, "rows", FIX)
    pen = rows[:, 2:]
    wrong = np.flatnonzero(((pen != 0) & (pen != 1)).any(axis=1) | (pen.sum(axis=1) != 1))
    if len(wrong):
        raise RetrievalInputError(
            f"rows[{wrong[0]}] must have a single 1 among {PEN}, got {pen[wrong[0]].tolist()}"
        )
    ends = np.flatnonzero(pen[:, 2])
    kept = rows[: ends[0]] if len(ends) else rows
    if len(kept) == 0:
        raise RetrievalInputError("rows must hold a point before the end, got none")
    if (rows[len(kept) :, :2] != 0).any() or (pen[len(kept) :, 2] == 0).any():
        raise RetrievalInputError(f"rows after the end, row {len(kept)}, must be 0, 0, 0, 0, 1")
    return from_stroke3(kept[:, [0, 1, 3]])


def to_stroke5(drawing: Drawing, length: int | None = None) -> np.ndarray:
    """Convert a drawing to stroke-5.

    Args:
        drawing: the strokes.
        length: rows of the result, at least the number of points; one more than these by default.

    Returns:
        float64 (length, 5).
    """
    rows = to_stroke3(drawing)
    length = len(rows) + 1 if length is None else check_count(length, "length")
    if length < len(rows):
        raise RetrievalInputError(
            f"length must be at least {len(rows)} (the number of points), got {length}. Simplify"
            " the drawing, or take a larger length"
        )
    big = np.zeros((length, 5))
    big[: len(rows), :2] = rows[:, :2]
    big[: len(rows), 2], big[: len(rows), 3] = 1 - rows[:, 2], rows[:, 2]
    big[len(rows) :, 4] = 1
    return big
