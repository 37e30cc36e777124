"""Indexes in the plane: what a search looks at before it answers."""

import itertools
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes

from lib.core.checks import RetrievalInputError
from lib.plots.charts import points_of
from lib.plots.style import COLOURS, STYLE, labelled, looks, new_axes, styled

GRID = 400  # places a side at which the cell is asked for


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
        neighbours: `(n, degree)` positions, -1 where a node has fewer. A link both ways is a line,
            one that leads one way a dashed arrow.
        query: a point that is no node: a star.
        path: nodes in the order of their visit, numbered from 1; arrows join them, dotted ones
            where the walk goes back to a node that it had seen from another.
        marked: name to positions; each group has its colour and marker, and a node is in the last
            that names it.
        title: of the axes.
        ax: axes to draw into.

    Raises:
        RetrievalInputError: points that are not `(n, 2)`, not a row of neighbours for each, or a
            position that does not exist.
    """
    points, neighbours = points_of(points, "points"), np.asarray(neighbours)
    marked = {name: np.asarray(nodes, np.int64) for name, nodes in (marked or {}).items()}
    path = np.asarray(path, np.int64)
    _check(len(points), neighbours, {"path": path, **marked})
    ax = new_axes(ax, (7.0, 6.0))
    linked = {(int(a), int(b)) for a, row in enumerate(neighbours) for b in row if b >= 0}
    mutual = [points[[a, b]] for a, b in sorted(linked) if (b, a) in linked and a < b]
    ax.add_collection(
        mpl.collections.LineCollection(mutual, colors="0.7", linewidths=1.4, zorder=1)
    )
    for a, b in sorted(linked):
        if (b, a) not in linked:
            look = {"arrowstyle": "-|>", "color": "0.7", "lw": 1.2, "linestyle": "--", "shrinkB": 5}
            ax.annotate("", points[b], points[a], arrowprops=look, zorder=1)
    group = np.full(len(points), -1)
    for number, nodes in enumerate(marked.values()):
        group[nodes] = number
    if (group < 0).any():
        ax.scatter(*points[group < 0].T, s=55, color="0.6", zorder=2, label="node")
    for number, (name, (colour, marker, _)) in enumerate(zip(marked, looks(), strict=False)):
        ax.scatter(
            *points[group == number].T, s=95, color=colour, marker=marker, zorder=3, label=name
        )
    for start, end in itertools.pairwise(path):
        look = {"arrowstyle": "-|>", "color": COLOURS[6], "shrinkA": 6, "shrinkB": 7, "lw": 2.2}
        if (start, end) not in linked:
            look |= {"linestyle": ":", "lw": 1.4, "connectionstyle": "arc3,rad=0.25"}
        ax.annotate("", points[end], points[start], arrowprops=look, zorder=4)
    for step, node in enumerate(path, start=1):
        # Beside the node, and outlined, so that it can be read over lines.
        text = ax.annotate(
            str(step), points[node], (7, 7), textcoords="offset points", fontsize=14, zorder=6
        )
        text.set_path_effects([patheffects.withStroke(linewidth=3, foreground="white")])
    if query is not None:
        ax.plot(*query, marker="*", markersize=20, color=COLOURS[5], mec="black", linestyle="none",
                zorder=5, label="query")  # fmt: skip
    ax.grid(False)
    ax.margins(0.06)
    ax.set_aspect("equal", adjustable="datalim")
    ax.legend(fontsize=STYLE["legend.fontsize"], loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return labelled(ax, "first coordinate", "second coordinate", title)


@styled
def cells(
    points: np.ndarray,
    centroids: np.ndarray,
    *,
    query: Sequence[float] | None = None,
    probed: Sequence[int] = (),
    marked: Mapping[str, Sequence[int]] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Shows cells in the plane, their borders and centres, and which of them a query looks into.

    A point belongs to the nearest centroid by distance, whether it is a vector or a place between
    vectors.

    Args:
        points: `(n, 2)`, small dots; those in cells that are looked into are dark.
        centroids: `(k, 2)`, crosses.
        query: a star.
        probed: cells that are looked into: hatched.
        marked: name to positions of points, framed; each group has its colour and marker.
        title: of the axes.
        ax: axes to draw into.

    Raises:
        RetrievalInputError: points or centroids that are not `(n, 2)`, or a cell or position that
            does not exist.
    """
    points, centroids = points_of(points, "points"), points_of(centroids, "centroids")
    marked = {name: np.asarray(nodes, np.int64) for name, nodes in (marked or {}).items()}
    probed = np.asarray(probed, np.int64)
    _check_positions(len(centroids), {"probed": probed})
    _check_positions(len(points), marked)
    ax = new_axes(ax, (7.0, 6.0))
    everything = np.concatenate([points, centroids, *([] if query is None else [[query]])])
    low, high = everything.min(axis=0), everything.max(axis=0)
    margin = 0.06 * (high - low)
    x, y = np.linspace(low - margin, high + margin, GRID).T
    places = np.stack(np.meshgrid(x, y), axis=-1)  # (GRID, GRID, 2)
    owner = _nearest(places, centroids)
    for cell in range(len(centroids)):
        ax.contour(x, y, owner == cell, [0.5], colors="0.35", linewidths=1.1, zorder=1)
    if probed.size:
        mask = np.isin(owner, probed).astype(float)
        with mpl.rc_context({"hatch.color": "0.8"}):
            ax.contourf(x, y, mask, [0.5, 1.5], colors=["0.93"], hatches=["//"], zorder=0)
    seen = np.isin(_nearest(points, centroids), probed)
    ax.scatter(*points[~seen].T, s=22, color="0.6", linewidths=0, zorder=2, label="vector")
    if seen.any():
        ax.scatter(
            *points[seen].T, s=26, color="black", linewidths=0, zorder=2, label="vector looked at"
        )
    ax.scatter(
        *centroids.T, s=110, marker="P", color=COLOURS[2], ec="white", zorder=3, label="centroid"
    )
    for name, (colour, marker, _) in zip(marked, looks(), strict=False):
        frame = {"facecolors": "none", "edgecolors": colour, "linewidths": 2.2}
        ax.scatter(*points[marked[name]].T, s=170, marker=marker, zorder=4, label=name, **frame)
    if query is not None:
        ax.plot(*query, marker="*", markersize=20, color=COLOURS[5], mec="black", linestyle="none",
                zorder=5, label="query")  # fmt: skip
    ax.grid(False)
    ax.set_aspect("equal", adjustable="box")
    ax.legend(fontsize=STYLE["legend.fontsize"], loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return labelled(ax, "first coordinate", "second coordinate", title)


def _nearest(places: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The nearest centroid of places `(..., 2)`."""
    return ((places[..., None, :] - centroids) ** 2).sum(axis=-1).argmin(axis=-1)


def _check(n: int, neighbours: np.ndarray, positions: Mapping[str, np.ndarray]) -> None:
    if neighbours.ndim != 2 or len(neighbours) != n:
        raise RetrievalInputError(
            f"neighbours have shape {neighbours.shape}, expected ({n}, degree)"
        )
    _check_positions(n, {"neighbours": neighbours[neighbours >= 0], **positions})


def _check_positions(n: int, positions: Mapping[str, np.ndarray]) -> None:
    for name, nodes in positions.items():
        if nodes.size and not 0 <= nodes.min() <= nodes.max() < n:
            raise RetrievalInputError(
                f"{name} holds positions {nodes.min()} to {nodes.max()} of {n} points, 0 to {n - 1}"
            )
