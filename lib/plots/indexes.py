"""Indexes in the plane: what a search looks at before it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes

from lib.checks import RetrievalInputError
from lib.plots.charts import points_of
from lib.plots.style import COLOURS, STYLE, labelled, looks, new_axes, styled


@styled
def graph(
    points: np.ndarray,
    neighbours: np.ndarray,
    *,
    query: Sequence[float] | None = None,
    path: Sequence[int] = (),
    marked: Mapping[str, Sequence[int]] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Shows a graph of points in the plane, and a walk over it if there is one.

    Args:
        points: `(n, 2)`.
        neighbours: `(n, degree)` positions, -1 where a node has fewer. A link is a line, whichever its way.
        query: a point that is no node: a star.
        path: nodes in the order of their visit, numbered from 1; arrows join them.
        marked: name to positions; each group has its colour and marker, and a node is in the last that
            names it.
        title: of the axes.
        ax: axes to draw into.

    Raises:
        RetrievalInputError: points that are not `(n, 2)`, not a row of neighbours for each, or a position
            that does not exist.
    """
    points, neighbours = points_of(points, "points"), np.asarray(neighbours)
    marked = {name: np.asarray(nodes, np.int64) for name, nodes in (marked or {}).items()}
    path = np.asarray(path, np.int64)
    _check(len(points), neighbours, {"path": path, **marked})
    ax = new_axes(ax, (7.0, 6.0))
    ends = np.argwhere(neighbours >= 0)[:, 0], neighbours[neighbours >= 0]
    links = mpl.collections.LineCollection(
        points[np.stack(ends, axis=1)], colors="0.75", linewidths=1.2, zorder=1
    )
    ax.add_collection(links)
    group = np.full(len(points), -1)
    for number, nodes in enumerate(marked.values()):
        group[nodes] = number
    ax.scatter(*points[group < 0].T, s=55, color="0.6", zorder=2, label="node")
    for number, (name, (colour, marker, _)) in enumerate(zip(marked, looks(), strict=False)):
        ax.scatter(*points[group == number].T, s=95, color=colour, marker=marker, zorder=3, label=name)
    for start, end in zip(points[path[:-1]], points[path[1:]], strict=True):
        arrow = {"arrowstyle": "-|>", "color": COLOURS[6], "lw": 2.0, "shrinkA": 6, "shrinkB": 6}
        ax.annotate("", end, start, arrowprops=arrow, zorder=4)
    for step, node in enumerate(path, start=1):
        # Beside the node, and outlined, so that it can be read over lines.
        text = ax.annotate(str(step), points[node], (7, 7), textcoords="offset points", fontsize=14, zorder=6)
        text.set_path_effects([patheffects.withStroke(linewidth=4, foreground="white")])
    if query is not None:
        ax.plot(*query, marker="*", markersize=20, color=COLOURS[5], mec="black", linestyle="none",
                zorder=5, label="query")  # fmt: skip
    ax.grid(False)
    ax.margins(0.06)
    ax.set_aspect("equal", adjustable="datalim")
    ax.legend(fontsize=STYLE["legend.fontsize"], loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return labelled(ax, "first coordinate", "second coordinate", title)


def _check(n: int, neighbours: np.ndarray, positions: Mapping[str, np.ndarray]) -> None:
    if neighbours.ndim != 2 or len(neighbours) != n:
        raise RetrievalInputError(f"neighbours have shape {neighbours.shape}, expected ({n}, degree)")
    for name, nodes in {"neighbours": neighbours[neighbours >= 0], **positions}.items():
        if nodes.size and not 0 <= nodes.min() <= nodes.max() < n:
            raise RetrievalInputError(
                f"{name} holds positions {nodes.min()} to {nodes.max()} of {n} points, 0 to {n - 1}"
            )
