"""Drawings to pictures, with anti-aliasing, in numpy alone.

A pixel whose centre has the distance d from a stroke of width w is covered by

    clip(w / 2 + 1/2 - d, 0, 1),

so ends and joins are round. Strokes are cut into short pieces. A piece can only touch a small
square of pixels of a fixed size: thousands of pieces, of many drawings, become one array. Where
pieces meet, the larger coverage counts.
"""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import (
    RetrievalInputError,
    as_array,
    check_choice,
    check_count,
    check_number,
    check_switch,
)
from lib.datasets.strokes.drawing import Drawing, checked_drawings
from lib.datasets.strokes.geometry import SMALLEST

SIZE, WIDTH = 64, 2.0  # pixels
CAPS = ("round", "butt", "square")
LARGEST_SIZE = 4096
BATCH = 256  # drawings whose pieces are laid out at once
BATCH_PIXELS = 2**24  # of the pictures of a batch
BLOCK = 2**15  # pixels of squares that are computed at once; they stay in the cache
MOST_WORK = 300_000_000  # pixels of squares of one drawing, about 5 s


def render_drawing(drawing: Drawing, size: int = SIZE, width: float = WIDTH, **options):
    """Draw one drawing as a picture, uint8 (size, size); see `render_drawings`."""
    return render_drawings([drawing], size, width, **options)[0]


def render_drawings(
    drawings: Sequence[Drawing],
    size: int = SIZE,
    width: float | np.ndarray = WIDTH,
    *,
    fit: bool = True,
    margin: float = 0.0,
    cap: str = "round",
) -> np.ndarray:
    """Draw pictures of drawings.

    Args:
        drawings: at least one.
        size: height and width of a picture in pixels.
        width: width of the pen in pixels, one for all or one for each drawing.
        fit: scale each drawing so that, with its pen, it fills the picture, centred. Otherwise
            coordinates are pixels: (0, 0) is the corner of the first one, and what lies outside is
            cut off.
        margin: free pixels on each side where drawings are fitted.
        cap: end of a stroke: "round", "butt" (at the last point) or "square" (half a width later).

    Returns:
        uint8 (n, size, size): 255 is a line, 0 is the page.
    """
    size = check_count(size, "size", least=4, most=LARGEST_SIZE)
    fit = check_switch(fit, "fit")
    check_choice(cap, CAPS, "cap")
    drawings = checked_drawings(drawings)
    width = _widths(width, len(drawings), size)
    room = size - 1 - float(width.max())
    margin = check_number(margin, "margin", 0, room / 2, below=True)
    batch = max(1, min(BATCH, BATCH_PIXELS // size**2))
    pictures = np.empty((len(drawings), size, size), dtype=np.uint8)
    for start in range(0, len(drawings), batch):
        part = slice(start, start + batch)
        inset = margin if fit else None
        pictures[part] = _render_batch(drawings[part], size, width[part], inset, cap)
    return pictures


def _widths(width, n: int, size: int) -> np.ndarray:
    width = as_array(width, "width")
    right_kind = width.dtype.kind in "iuf" and width.shape in ((), (n,))
    if not right_kind or not ((width > 0) & (width <= size / 2)).all():
        raise RetrievalInputError(
            f"width must be one number, or one for each of {n} drawings, above 0 and at most"
            f" {size / 2:g} (half the picture), got {str(width)[:60]} of shape {width.shape}"
        )
    return np.broadcast_to(width.astype(np.float32), n)


def _render_batch(
    drawings: list[Drawing], size: int, width: np.ndarray, inset: float | None, cap: str
) -> np.ndarray:
    points = np.concatenate([stroke for drawing in drawings for stroke in drawing.strokes])
    lengths = np.concatenate([drawing.lengths for drawing in drawings])
    of_stroke = np.repeat(np.arange(len(drawings)), [len(d.strokes) for d in drawings])
    of_point = np.repeat(of_stroke, lengths)
    if inset is not None:
        points = _fitted(points, of_point, size, width + np.float32(2 * inset))
    lines, of_line = _segments(points, lengths, of_point)
    reach = np.maximum(width, 1) / 2 + 0.5  # beyond it a pixel is not touched
    return _paint(lines, of_line, len(drawings), size, width, reach.max(), cap)


def _fitted(points: np.ndarray, owner: np.ndarray, size: int, edge: np.ndarray) -> np.ndarray:
    """Scale the points of each drawing into the picture, half an edge and half a pixel inside."""
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    low = np.minimum.reduceat(points, starts)
    extent = np.maximum.reduceat(points, starts) - low
    longest = extent.max(axis=1)
    dot = longest <= SMALLEST
    scale = np.where(dot, 0, (size - 1 - edge) / np.where(dot, 1, longest))[:, None]
    shift = (size - extent * scale) / 2 - low * scale
    return points * scale[owner] + shift[owner]


def _segments(
    points: np.ndarray, lengths: np.ndarray, owner: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Straight segments (n, 6): x0, y0, x1, y1, whether a stroke begins and ends; their owners."""
    stops = np.cumsum(lengths)
    begins, ends = np.zeros(len(points), bool), np.zeros(len(points), bool)
    begins[stops - lengths] = ends[stops - 1] = True
    start = np.flatnonzero(~ends | (begins & ends))  # a stroke of one point is a dot
    stop = np.where(ends[start], start, np.minimum(start + 1, len(points) - 1))
    flags = np.stack([begins[start], ends[stop]], axis=1)
    return np.concatenate([points[start], points[stop], flags], axis=1), owner[start]


def _clipped(lines: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Cut segments to a square (Liang and Barsky); the rest, and which segments they are."""
    begin, along = lines[:, :2], lines[:, 2:4] - lines[:, :2]
    steep = np.where(along == 0, 1, along)
    enter, leave = (low - begin) / steep, (high - begin) / steep
    enter, leave = np.minimum(enter, leave), np.maximum(enter, leave)
    inside = (begin >= low) & (begin <= high)
    still = along == 0
    enter = np.where(still, np.where(inside, 0, 2), enter).max(axis=1).clip(0)
    leave = np.where(still, np.where(inside, 1, -1), leave).min(axis=1).clip(max=1)
    kept = np.flatnonzero(enter <= leave)
    begin, along = begin[kept], along[kept]
    enter, leave = enter[kept, None], leave[kept, None]
    ends = [begin + enter * along, begin + leave * along]
    flags = lines[kept, 4:] * np.hstack([enter == 0, leave == 1])
    return np.concatenate([*ends, flags], axis=1), kept


def _pieces(lines: np.ndarray, longest: float) -> tuple[np.ndarray, np.ndarray]:
    """Cut segments into pieces of at most `longest` along both axes; whose piece each is."""
    along = lines[:, 2:4] - lines[:, :2]
    count = np.maximum(np.ceil(np.abs(along).max(axis=1) / longest), 1).astype(np.int64)
    of = np.repeat(np.arange(len(lines)), count)
    nth = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count)
    step = along[of] / count[of, None]
    begin = lines[of, :2] + nth[:, None] * step
    flags = lines[of, 4:] * np.stack([nth == 0, nth == count[of] - 1], axis=1)
    return np.concatenate([begin, step, flags], axis=1), of


def _paint(
    lines: np.ndarray,
    owner: np.ndarray,
    n: int,
    size: int,
    width: np.ndarray,
    reach: float,
    cap: str,
) -> np.ndarray:
    margin = 2 * reach  # a square cap, and its diagonal
    lines, kept = _clipped(lines, -margin, size + margin)
    owner = owner[kept]
    if cap != "round":
        reach = reach * np.sqrt(2)
    longest = 2 * reach + 1  # of a piece: the fewest pixels for a unit of length
    extent = np.abs(lines[:, 2:4] - lines[:, :2]).max(axis=1)
    work = np.bincount(owner, extent / longest + 1, n) * (2 * longest) ** 2
    if work.max(initial=0) > MOST_WORK:
        raise RetrievalInputError(
            f"drawings[{work.argmax()}] has too long lines: a picture of {size} pixels takes at"
            f" most {MOST_WORK:,} steps, got {work.max():,.0f}. Simplify it, or take a smaller size"
        )
    padding = int(2 * longest + 2 * margin) + 1
    canvas = np.zeros((n, size + 2 * padding, size + 2 * padding), dtype=np.uint8)
    tiny = extent <= 1  # the points of a curve: a smaller square is enough
    for chosen, limit in ((tiny, 1.0), (~tiny, longest)):
        pieces, of = _pieces(lines[chosen], limit)
        owners = owner[chosen][of]
        side = int(np.floor(limit + 2 * reach)) + 1  # pixels of a square
        block = max(1, BLOCK // side**2)
        for start in range(0, len(pieces), block):
            part = slice(start, start + block)
            _paint_squares(canvas, pieces[part], owners[part], width, side, reach, padding, cap)
    return canvas[:, padding : padding + size, padding : padding + size]


def _paint_squares(
    canvas: np.ndarray,
    pieces: np.ndarray,
    owner: np.ndarray,
    width: np.ndarray,
    side: int,
    reach: float,
    padding: int,
    cap: str,
) -> None:
    """Compute the coverage of the square around each piece and keep the larger values."""
    begin, along = pieces[:, :2], pieces[:, 2:4]
    corner = np.ceil(np.minimum(begin, begin + along) - reach - 0.5)  # (n, 2), whole numbers
    length = np.hypot(along[:, 0], along[:, 1])
    unit = (along / np.where(length == 0, 1, length)[:, None]).astype(np.float32)
    unit[length == 0, 0] = 1
    # From the middle of the piece to the centres of pixels, along x and along y: (n, side).
    offset = (corner + 0.5 - begin - along / 2).astype(np.float32)
    x = offset[:, :1] + np.arange(side, dtype=np.float32)
    y = offset[:, 1:] + np.arange(side, dtype=np.float32)
    ux, uy = unit[:, :1], unit[:, 1:]
    half = (length / 2).astype(np.float32)[:, None, None]
    lengthwise = (x * ux)[:, None, :] + (y * uy)[:, :, None]  # (n, side, side)
    across = (y * ux)[:, :, None] - (x * uy)[:, None, :]
    pen = width[owner][:, None, None]
    beyond = np.maximum(np.abs(lengthwise) - half, 0)
    distance = np.sqrt(across * across + beyond * beyond)
    covered = np.clip(np.maximum(pen, 1) / 2 + 0.5 - distance, 0, 1)
    if cap != "round":
        covered = _with_flat_ends(covered, lengthwise, across, half, pen, pieces[:, 4:] > 0, cap)
    values = (covered * (np.minimum(pen, 1) * 255) + 0.5).astype(np.uint8)
    row = canvas.shape[1]
    corner = corner.astype(np.int64) + padding
    first = (owner * row + corner[:, 1]) * row + corner[:, 0]
    square = (np.arange(side) * row)[:, None] + np.arange(side)
    inked = values > 0
    np.maximum.at(canvas.reshape(-1), (first[:, None, None] + square)[inked], values[inked])


def _with_flat_ends(covered, lengthwise, across, half, pen, ends, cap: str) -> np.ndarray:
    """Replace the round ends of strokes by straight ones."""
    extra = pen / 2 if cap == "square" else np.float32(0)
    beside = np.clip(np.maximum(pen, 1) / 2 + 0.5 - np.abs(across), 0, 1)
    for end, ahead in ((ends[:, 0], -lengthwise), (ends[:, 1], lengthwise)):
        flat = end[:, None, None] & (ahead > half - (0.5 if cap == "butt" else 0))
        covered = np.where(flat, beside * np.clip(half + extra + 0.5 - ahead, 0, 1), covered)
    return covered
