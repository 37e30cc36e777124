"""Drawings as strokes: their order and points, how a line is simplified, edges by cell."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.core.checks import RetrievalInputError
from lib.plots.pictures import draw_image
from lib.plots.style import COLOURS, as_points, looks, new_axes, styled

MOST_STEPS = 8
ROSE = 0.45  # half length of the longest line of a cell, in cells
Step = tuple[int, int, int, float]  # first, last, farthest, distance


@styled
def strokes_in_order(
    strokes: Sequence[np.ndarray],
    *,
    names: Sequence[str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw strokes with their points, y downwards; a number stands at the start of each.

    Args:
        strokes: arrays (n, 2) of x and y, in the order of drawing.
        names: texts beside all points, in order, such as their steps.
        title, ax: title of the axes, and axes to draw into.
    """
    lines = [as_points(stroke, f"strokes[{i}]") for i, stroke in enumerate(strokes)]
    if not lines:
        raise RetrievalInputError("strokes must hold at least one stroke, got none")
    if names is not None and len(names) != sum(map(len, lines)):
        raise RetrievalInputError(
            f"names must be {sum(map(len, lines))}, one a point, got {len(names)}"
        )
    ax = new_axes(ax, (4.6, 4.6))
    for number, (line, (colour, marker, _)) in enumerate(zip(lines, looks(), strict=False)):
        size = 8 if len(line) <= 12 else 4
        ax.plot(*line.T, color=colour, marker=marker, markersize=size, linestyle="-")
        look = {"color": "white", "fontsize": 12, "ha": "center", "va": "center", "zorder": 5}
        badge = {"boxstyle": "circle,pad=0.25", "fc": colour, "ec": "white"}
        ax.annotate(str(number), line[0], bbox=badge, **look)
    for name, point in zip(names or (), np.concatenate(lines)):
        ax.annotate(name, point, (12, 8), textcoords="offset points", fontsize=12)
    return _page(ax, title)


def _page(ax: Axes, title: str | None) -> Axes:
    """Give axes the look of a page: equal units, y downwards, no ticks."""
    ax.set_aspect("equal")
    ax.invert_yaxis()
    ax.margins(0.12)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.grid(False)
    if title:
        ax.set_title(title, fontsize=14, loc="left")
    return ax


@styled
def farthest_points(points: np.ndarray, steps: Sequence[Step], tolerance: float) -> Figure:
    """Draw how a line is simplified: a panel for each piece, with the point farthest from it.

    A point that is farther than the tolerance is kept (green), otherwise all points of the piece
    are dropped (orange).

    Args:
        points: (n, 2), x and y, y downwards.
        steps: for each piece the places of its first, last and farthest point, and the distance of
            the farthest one; at most 8.
        tolerance: the largest distance of a point that is dropped.
    """
    points = as_points(points, "points")
    steps = list(steps)
    if not 1 <= len(steps) <= MOST_STEPS:
        raise RetrievalInputError(f"steps must be 1 to {MOST_STEPS}, got {len(steps)}")
    columns = min(len(steps), 3)
    rows = -(-len(steps) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(3.6 * columns, 2.7 * rows), squeeze=False
    )  # fmt: skip
    for ax in axes.ravel()[len(steps) :]:
        ax.axis("off")
    kept = {0, len(points) - 1}
    for number, (ax, step) in enumerate(zip(axes.ravel(), steps), start=1):
        first, last, farthest, distance = step
        ax.plot(*points.T, color="0.75", marker="o", markersize=6, linestyle="-")
        ax.plot(*points[[first, last]].T, color=COLOURS[0], marker="", linestyle="--")
        far = distance > tolerance
        colour, word = (COLOURS[2], "kept") if far else (COLOURS[1], "dropped")
        foot = _foot(points[farthest], points[first], points[last])
        ax.plot(*np.stack([points[farthest], foot]).T, color=colour, marker="", linestyle="-")
        ax.plot(*points[farthest], color=colour, marker="s" if far else "X", markersize=12)
        kept |= {farthest} if far else set()
        for place in sorted(kept):
            look = {"markerfacecolor": "none", "color": COLOURS[2], "markersize": 16}
            ax.plot(*points[place], marker="o", **look)
        _page(ax, f"{number}. {distance:.1f}: {word}")
    return figure


def _foot(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Return the nearest point of a piece."""
    along = end - start
    squared = float(along @ along)
    share = np.clip((point - start) @ along / squared, 0, 1) if squared else 0.0
    return start + share * along


@styled
def edge_histograms(
    images: Sequence[np.ndarray],
    histograms: Sequence[np.ndarray],
    titles: Sequence[str] | None = None,
) -> Figure:
    """Draw images above their edges by cell: in each cell a line for each direction of an edge.

    The stronger the edges of a direction, the longer its line.

    Args:
        images: `(height, width)` or `(height, width, 3)`, as for `contact_sheet`.
        histograms: one an image, `(cells, cells, bins)`, strengths from 0. Bin b holds gradients
            from b to b + 1 of `bins` equal parts of 180 degrees; edges run across gradients.
        titles: one an image.
    """
    n = len(images)
    if not n or len(histograms) != n or (titles is not None and len(titles) != n):
        raise RetrievalInputError(
            f"images, histograms and titles must be equally many, got {n}, {len(histograms)}"
        )
    figure, axes = plt.subplots(2, n, figsize=(10.6 / max(n, 4) * n, 5.4), squeeze=False)
    for column, (image, histogram) in enumerate(zip(images, histograms)):
        histogram = np.asarray(histogram, dtype=float)
        if histogram.ndim != 3 or histogram.shape[0] != histogram.shape[1]:
            raise RetrievalInputError(
                f"histograms[{column}] must have shape (cells, cells, bins), got {histogram.shape}"
            )
        top, below = axes[:, column]
        draw_image(top, np.asarray(image))
        top.set(xticks=[], yticks=[])
        top.grid(False)
        if titles is not None:
            top.set_title(titles[column], fontsize=14)
        _draw_roses(below, histogram)
    return figure


def _draw_roses(ax: Axes, histogram: np.ndarray) -> None:
    cells, _, bins = histogram.shape
    strength = histogram / max(histogram.max(), 1e-12)
    angles = (np.arange(bins) + 0.5) * np.pi / bins + np.pi / 2  # of the edges
    step = ROSE * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for row, column, b in np.argwhere(strength > 0.08):
        move = step[b] * strength[row, column, b]
        centre = np.array([column, row])
        ends = np.stack([centre - move, centre + move])
        ax.plot(*ends.T, color=COLOURS[0], linestyle="-", marker="", linewidth=1.8)
    ax.set(xlim=(-0.5, cells - 0.5), ylim=(cells - 0.5, -0.5), aspect="equal")
    ax.set_xticks(np.arange(cells + 1) - 0.5, [])
    ax.set_yticks(np.arange(cells + 1) - 0.5, [])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(True)
