"""Outlines: from lines to the share of each pixel that they cover, in numpy alone.

A filled shape is a set of closed rings. A stroke becomes such rings too: one quadrilateral per
piece, a disc at each round join and end, all turned the same way, so that the nonzero rule unites
them. The winding number is counted at 4 x 4 points per pixel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice

SAMPLES = 4  # points per pixel and axis
RULES = ("nonzero", "evenodd")
CAPS = ("butt", "round", "square")
JOINS = ("miter", "round", "bevel")
MOST_DASHES = 1000  # repetitions of a pattern along one line
SQUARE = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
SMOOTH_TURN = np.cos(np.deg2rad(15))  # a smaller turn is a point of a curve: no disc is needed


@dataclass(frozen=True)
class Line:
    """A line of straight pieces.

    Args:
        points: float64 (n, 2), x and y; a point that repeats its predecessor is allowed.
        closed: whether the last point is joined to the first.
    """

    points: np.ndarray
    closed: bool = False


@dataclass(frozen=True)
class Pen:
    """Width and form of a stroke, as in SVG."""

    width: float
    cap: str = "butt"
    join: str = "miter"
    miter_limit: float = 4.0
    dashes: tuple[float, ...] = ()


def ring_edges(rings: Sequence[np.ndarray]) -> np.ndarray:
    """Return the edges of closed rings.

    Args:
        rings: float64 arrays (corners, 2), or stacks of rings (n, corners, 2).

    Returns:
        float64 (n, 4): x0, y0, x1, y1.
    """
    edges = [np.zeros((0, 4))]
    for ring in rings:
        ends = np.concatenate([ring[..., 1:, :], ring[..., :1, :]], axis=-2)
        edges.append(np.concatenate([ring, ends], axis=-1).reshape(-1, 4))
    return np.concatenate(edges)


def count_coverage(
    edges: np.ndarray, size: int, rule: str = "nonzero"
) -> tuple[tuple[slice, slice], np.ndarray]:
    """Measure the share of every pixel that lies inside closed rings.

    Args:
        edges: float64 (n, 4), x0, y0, x1, y1 in pixels; y points down.
        size: width and height of the picture in pixels.
        rule: `"nonzero"` or `"evenodd"`.

    Returns:
        `(rows, columns)`, the box of pixels that the rings touch, and float32 coverage 0..1 in it.
    """
    check_choice(rule, RULES, "rule")
    nothing = (slice(0, 0), slice(0, 0)), np.zeros((0, 0), np.float32)
    if len(edges) == 0:
        return nothing
    x, y = edges[:, 0::2], edges[:, 1::2]
    left, right = np.clip([np.floor(x.min()), np.ceil(x.max())], 0, size).astype(int)
    top, bottom = np.clip([np.floor(y.min()), np.ceil(y.max())], 0, size).astype(int)
    if right <= left or bottom <= top:
        return nothing
    # In points, from the corner of the box; the point i lies at i + 1/2.
    x, y = (x - left) * SAMPLES, (y - top) * SAMPLES
    height, width = (bottom - top) * SAMPLES, (right - left) * SAMPLES
    first, last = np.clip(np.ceil(np.sort(y, axis=1) - 0.5), 0, height).astype(int).T
    count = last - first  # rows of points that an edge crosses
    edge = np.repeat(np.arange(len(edges)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count - first, count)
    rise = y[:, 1] - y[:, 0]
    slope = (x[:, 1] - x[:, 0]) / np.where(rise == 0, 1, rise)
    crossing = x[edge, 0] + (row + 0.5 - y[edge, 0]) * slope[edge]
    column = np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)
    weights = np.sign(rise)[edge]
    winding = np.bincount(row * (width + 1) + column, weights, height * (width + 1))
    winding = winding.reshape(height, width + 1)[:, :width].cumsum(axis=1)
    inside = winding != 0 if rule == "nonzero" else winding % 2 != 0
    blocks = inside.reshape(bottom - top, SAMPLES, right - left, SAMPLES)
    coverage = blocks.sum(axis=(1, 3), dtype=np.float32) / SAMPLES**2
    return (slice(top, bottom), slice(left, right)), coverage


def _without_repeats(points: np.ndarray, closed: bool) -> np.ndarray:
    """Drop points that repeat their predecessor; the first one stays."""
    keep = np.ones(len(points), dtype=bool)
    keep[1:] = (np.diff(points, axis=0) != 0).any(axis=1)
    points = points[keep]
    return points[:-1] if closed and len(points) > 1 and (points[0] == points[-1]).all() else points


def _quads(starts: np.ndarray, ends: np.ndarray, radius: float) -> np.ndarray:
    """Rectangles of half width `radius` along pieces, float64 (n, 4, 2)."""
    along = ends - starts
    unit = along / np.hypot(along[:, 0], along[:, 1])[:, None]
    side = unit[:, ::-1] * [-radius, radius]
    return np.stack([starts - side, ends - side, ends + side, starts + side], axis=1)


def _discs(centres: np.ndarray, radius: float, detail: int) -> np.ndarray:
    """Polygons of `detail` corners around centres, float64 (n, detail, 2)."""
    angles = 2 * np.pi * (np.arange(detail) + 0.5) / detail
    return centres[:, None] + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def _joins(points: np.ndarray, closed: bool, pen: Pen, detail: int) -> list[np.ndarray]:
    """Triangles, miters or discs at the inner points of a line; each (n, corners, 2)."""
    radius = pen.width / 2
    before = points - np.roll(points, 1, axis=0)
    after = np.roll(points, -1, axis=0) - points
    if not closed:
        points, before, after = points[1:-1], before[1:-1], after[1:-1]
    if len(points) == 0:
        return []
    before = before / np.hypot(*before.T)[:, None]
    after = after / np.hypot(*after.T)[:, None]
    cosine = (before * after).sum(axis=1)
    turn = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    outer = np.where(turn > 0, -radius, radius)[:, None]  # the side on which a gap opens
    a, b = (points + outer * unit[:, ::-1] * [-1, 1] for unit in (before, after))
    wedges = np.stack([points, a, b], axis=1)
    wedges = np.where((turn > 0)[:, None, None], wedges, wedges[:, ::-1])
    sharp = cosine < SMOOTH_TURN
    shapes = [wedges[np.abs(turn) > 1e-9]]  # without area it would count points on it at random
    if pen.join == "round":
        shapes.append(_discs(points[sharp], radius, detail))
    if pen.join == "miter":
        # The miter is 1 / sin(angle / 2) of the width, and cos(turn) = -cos(angle).
        half = np.sqrt(np.maximum((1 + cosine) / 2, 1e-12))
        fits = sharp & (1 / half <= pen.miter_limit)
        middle = a + b - 2 * points
        length = np.hypot(*middle.T)[:, None]
        tip = points + middle / np.where(length == 0, 1, length) * (radius / half)[:, None]
        spikes = np.stack([a, tip, b], axis=1)
        spikes = np.where((turn > 0)[:, None, None], spikes, spikes[:, ::-1])
        shapes.append(spikes[fits])
    return shapes


def _dashed(line: Line, dashes: tuple[float, ...]) -> list[Line]:
    """Cut a line into its dashes: lengths that are drawn and left out in turn, again and again."""
    points = np.vstack([line.points, line.points[:1]]) if line.closed else line.points
    distance = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    if distance[-1] > MOST_DASHES * sum(dashes):
        raise RetrievalInputError(
            f"dashes must cut a line of length {distance[-1]:.4g} at most {MOST_DASHES:,} times,"
            f" got {dashes}"
        )
    pieces, start, dash = [], 0.0, 0
    while start < distance[-1]:
        end = min(start + dashes[dash % len(dashes)], distance[-1])
        if dash % 2 == 0:
            inner = points[(distance > start) & (distance < end)]
            ends = [[np.interp(at, distance, axis) for axis in points.T] for at in (start, end)]
            pieces.append(Line(np.vstack([ends[:1], inner, ends[1:]])))
        start, dash = end, dash + 1
    return pieces


def stroke_rings(lines: Sequence[Line], pen: Pen, detail: int = 16) -> list[np.ndarray]:
    """Return the rings that a pen leaves along lines; fill them with the nonzero rule.

    Args:
        lines: the lines, in the units of the pen's width.
        pen: width, ends, joins and dashes.
        detail: corners of a disc.

    Returns:
        Stacks of rings of one kind, float64 (n, corners, 2).
    """
    check_choice(pen.cap, CAPS, "cap")
    check_choice(pen.join, JOINS, "join")
    if any(dash < 0 for dash in pen.dashes):
        raise RetrievalInputError(f"dashes must be at least 0, got {pen.dashes}")
    if sum(pen.dashes) > 0:
        lines = [piece for line in lines for piece in _dashed(line, pen.dashes)]
    radius, rings = pen.width / 2, []
    for line in lines:
        points = _without_repeats(line.points, line.closed)
        closed = line.closed and len(points) > 2
        if len(points) == 0 or radius <= 0:
            continue
        if len(points) == 1:  # a dot, if its ends are drawn
            if pen.cap == "round":
                rings.append(_discs(points, radius, detail))
            elif pen.cap == "square":
                rings.append((points + radius * SQUARE)[None])
            continue
        starts = points if closed else points[:-1]
        ends = np.roll(points, -1, axis=0) if closed else points[1:]
        if pen.cap == "square" and not closed:
            starts, ends = starts.copy(), ends.copy()
            for own, other, at in ((starts, ends, 0), (ends, starts, -1)):
                along = own[at] - other[at]
                own[at] += along / np.hypot(*along) * radius
        shapes = [_quads(starts, ends, radius), *_joins(points, closed, pen, detail)]
        if pen.cap == "round" and not closed:
            shapes.append(_discs(points[[0, -1]], radius, detail))
        rings += shapes
    return rings
