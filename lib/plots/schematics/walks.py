"""Walks: the levels of an HNSW, drawn as a tower, and one search step by step."""

import itertools
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from lib.core.checks import RetrievalInputError
from lib.plots.schematics.canvas import (
    GREY,
    INK,
    NORMAL,
    SMALL,
    arrow,
    colour_of,
    described,
    new_canvas,
    write,
)
from lib.plots.style import as_points, styled

FLOOR, DEPTH, SHEAR = 6.3, 1.25, 1.3  # inches of a level: its width, its height, its slant
LEFT, BASE, STOREY = 1.75, 0.45, 1.85


@styled
def hnsw_levels(
    points: np.ndarray,
    levels: Sequence[Sequence[int]],
    links: Sequence[np.ndarray],
    query: Sequence[float],
    path: Sequence[tuple[int, int]],
    *,
    steps: int | None = None,
) -> Figure:
    """Draw the levels of an HNSW above one another, and the walk of one query through them.

    Args:
        points: `(n, 2)`.
        levels: nodes of each level, bottom first, at most 4 levels.
        links: for each level the neighbours `(n, degree)` of every node, -1 where it has fewer.
        query: `(2,)`.
        path: `(level, node)` of each visited node, in order; it starts on the highest level.
        steps: draws the first so many visits; all by default. For a walk step by step.
    """
    points, query = as_points(points, "points"), as_points([query], "query")[0]
    levels = [np.asarray(nodes, dtype=int) for nodes in levels]
    if not 1 <= len(levels) <= 4 or len(links) != len(levels):
        raise RetrievalInputError(
            f"levels and links must be equally many, 1 to 4, got {len(levels)} and {len(links)}"
        )
    for level, node in path:
        if not 0 <= level < len(levels) or node not in levels[level]:
            raise RetrievalInputError(
                f"path must visit nodes of their level, got node {node} on level {level}"
            )
    if steps is not None and not 0 <= steps <= len(path):
        raise RetrievalInputError(f"steps must be 0 to {len(path)}, the visits, got {steps}")
    walked = [
        (int(level), int(node)) for level, node in path[: len(path) if steps is None else steps]
    ]
    figure, ax = new_canvas(STOREY * (len(levels) - 1) + DEPTH + 0.75)
    everything = np.vstack([points, query])
    low, span = everything.min(axis=0), np.ptp(everything, axis=0)
    unit = 0.06 + 0.88 * (everything - low) / np.where(span > 0, span, 1)

    def place(level: int, node: int) -> np.ndarray:
        """Return where a node of a level is drawn; -1 is the query."""
        x, y = unit[node]
        return np.array([LEFT + x * FLOOR + y * SHEAR, BASE + level * STOREY + y * DEPTH])

    for level, nodes in enumerate(levels):
        _draw_level(ax, level, nodes, np.asarray(links[level]), place)
        visits = sum(step[0] == level for step in walked)
        said = f"{visits} visited" if visits else ""
        write(ax, LEFT + FLOOR + SHEAR + 0.1, BASE + 0.55 + level * STOREY, said, NORMAL, ha="left")
    for (level, node), (after, target) in itertools.pairwise(walked):
        start, end = place(level, node), place(after, target)
        gap = 0.19 * (end - start) / max(float(np.hypot(*(end - start))), 1e-9)
        role = "plain" if level != after else "score"
        arrow(ax, start + gap, end - gap, role, width=2.8, dashed=level != after)
    for number, (level, node) in enumerate(walked, start=1):
        last = number == len(path)
        colour = colour_of("score") if last else INK
        spot = place(level, node)
        ax.add_patch(Circle(spot, 0.17, fc=colour, ec="white", lw=1.5, zorder=6 + number))
        write(ax, *spot, str(number), SMALL, color="white", weight="bold", zorder=6.5 + number)
    write(ax, 0.1, 0.22, "★ query", NORMAL, ha="left", color=colour_of("text"))
    sizes = ", ".join(f"{len(nodes)} on level {level}" for level, nodes in enumerate(levels))
    said = ", ".join(f"{node} on level {level}" for level, node in walked)
    walk = f"The walk visits node {said}." if walked else "The walk has not begun."
    return described(figure, f"An HNSW of {len(points)} nodes: {sizes}. {walk}")


def _draw_level(ax: Axes, level: int, nodes: np.ndarray, neighbours: np.ndarray, place) -> None:
    base = BASE + level * STOREY
    corners = [(LEFT, base), (LEFT + FLOOR, base),
               (LEFT + FLOOR + SHEAR, base + DEPTH), (LEFT + SHEAR, base + DEPTH)]  # fmt: skip
    ax.add_patch(plt.Polygon(corners, fc="0.955", ec="0.8", lw=1.2, zorder=0))
    write(ax, 0.1, base + 0.75, f"level {level}", NORMAL, ha="left", weight="bold")
    counted = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
    write(ax, 0.1, base + 0.48, counted, SMALL, ha="left", color=GREY)
    drawn = {tuple(sorted((int(a), int(b)))) for a in nodes for b in neighbours[a] if b >= 0}
    for a, b in sorted(drawn):
        line = np.stack([place(level, a), place(level, b)]).T
        ax.plot(*line, color="0.72", lw=1.3, ls="-", marker="", zorder=1)
    for node in nodes:
        ax.plot(*place(level, node), marker="o", ms=8, color="0.5", mec="white", zorder=2)
    pale = {"alpha": 1.0 if level == 0 else 0.45}
    ax.plot(*place(level, -1), marker="*", ms=19, color=colour_of("text"), mec="white", zorder=3,
            **pale)  # fmt: skip
