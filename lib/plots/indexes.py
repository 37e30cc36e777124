"""Indexes in the plane: the graph, the cells or the codewords that a search looks at."""

import itertools
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse

from lib.core.checks import RetrievalInputError
from lib.plots.style import COLOURS, add_legend, as_points, labelled, looks, new_axes, styled

GRID = 400  # places a side at which the nearest centroid is computed


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
    """Draw a graph of points in the plane, and a walk over it if there is one.

    Args:
        points: `(n, 2)`.
        neighbours: `(n, degree)` positions, -1 where a node has fewer. A link both ways is a line,
            a link one way is a dashed arrow.
        query: a point that is no node: a star.
        path: nodes in the order of their visit, numbered from 1; arrows join them, dotted ones
            where the walk returns to a node that it had seen from another.
        marked: name to positions; each group has its colour and marker, and a node belongs to the
            last group with it.
        title, ax: title of the axes, and axes to draw into.
    """
    points, neighbours = as_points(points, "points"), np.asarray(neighbours)
    marked = {name: np.asarray(nodes, np.int64) for name, nodes in (marked or {}).items()}
    path = np.asarray(path, np.int64)
    if neighbours.ndim != 2 or len(neighbours) != len(points):
        shape = f"({len(points)}, degree)"
        raise RetrievalInputError(f"neighbours must have shape {shape}, got {neighbours.shape}")
    linked_nodes = neighbours[neighbours >= 0]
    _check_positions(len(points), {"neighbours": linked_nodes, "path": path, **marked})
    ax = new_axes(ax, (7.0, 6.0))
    linked = {(int(a), int(b)) for a, row in enumerate(neighbours) for b in row if b >= 0}
    mutual = [points[[a, b]] for a, b in sorted(linked) if (b, a) in linked and a < b]
    lines = mpl.collections.LineCollection(mutual, colors="0.7", linewidths=1.4, zorder=1)
    ax.add_collection(lines)
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
        nodes = points[group == number]
        ax.scatter(*nodes.T, s=95, color=colour, marker=marker, zorder=3, label=name)
    for start, end in itertools.pairwise(path):
        look = {"arrowstyle": "-|>", "color": COLOURS[6], "shrinkA": 6, "shrinkB": 7, "lw": 2.2}
        if (start, end) not in linked:
            look |= {"linestyle": ":", "lw": 1.4, "connectionstyle": "arc3,rad=0.25"}
        ax.annotate("", points[end], points[start], arrowprops=look, zorder=4)
    for step, node in enumerate(path, start=1):
        # Beside the node, with an outline: it can be read over lines.
        style = {"textcoords": "offset points", "fontsize": 14, "zorder": 6}
        text = ax.annotate(str(step), points[node], (7, 7), **style)
        text.set_path_effects([patheffects.withStroke(linewidth=3, foreground="white")])
    ax.grid(False)
    ax.margins(0.06)
    return _finish(ax, query, title, adjustable="datalim")


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
    """Draw cells in the plane, their borders and centres, and the cells that a query looks into.

    A point, or a place between points, belongs to the nearest centroid by distance.

    Args:
        points: `(n, 2)`, small dots; those in probed cells are dark.
        centroids: `(k, 2)`, crosses.
        query: a star.
        probed: cells that the query looks into: hatched.
        marked: name to positions of points, framed; each group has its colour and marker.
        title, ax: title of the axes, and axes to draw into.
    """
    points, centroids = as_points(points, "points"), as_points(centroids, "centroids")
    marked = {name: np.asarray(nodes, np.int64) for name, nodes in (marked or {}).items()}
    probed = np.asarray(probed, np.int64)
    _check_positions(len(centroids), {"probed": probed})
    _check_positions(len(points), marked)
    ax = new_axes(ax, (7.0, 6.0))
    everything = np.concatenate([points, centroids, *([] if query is None else [[query]])])
    low, high = everything.min(axis=0), everything.max(axis=0)
    margin = 0.06 * (high - low)
    draw_borders(ax, centroids, probed, low - margin, high + margin, "0.93", "//")
    seen = np.isin(nearest_centroids(points, centroids), probed)
    ax.scatter(*points[~seen].T, s=22, color="0.6", linewidths=0, zorder=2, label="vector")
    if seen.any():
        look = {"color": "black", "linewidths": 0, "zorder": 2}
        ax.scatter(*points[seen].T, s=26, label="vector looked at", **look)
    look = {"marker": "P", "color": COLOURS[2], "ec": "white"}
    ax.scatter(*centroids.T, s=110, zorder=3, label="centroid", **look)
    for name, (colour, marker, _) in zip(marked, looks(), strict=False):
        frame = {"facecolors": "none", "edgecolors": colour, "linewidths": 2.2}
        ax.scatter(*points[marked[name]].T, s=170, marker=marker, zorder=4, label=name, **frame)
    ax.grid(False)
    return _finish(ax, query, title)


@styled
def allowed_errors(
    vector: Sequence[float],
    codewords: np.ndarray,
    chosen: Sequence[int],
    etas: Sequence[float],
    *,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a vector, codewords, and the ellipse of errors with the loss of the chosen codeword.

        eta a^2 + b^2 = loss        a along the vector, b across it: an ellipse around the vector

    No codeword lies inside the ellipse of the chosen one, which is flat along the vector when eta
    is above 1.

    Args:
        vector: `(2,)`, not zero; an arrow from the origin.
        codewords: `(n, 2)`.
        chosen: position of the codeword for each eta.
        etas: weights of the error along the vector, above 0.
        title, ax: title of the axes, and axes to draw into.
    """
    codewords, vector = as_points(codewords, "codewords"), as_points([vector], "vector")[0]
    length = float(np.hypot(*vector))
    if length == 0:
        raise RetrievalInputError("the vector is zero and has no direction")
    if len(chosen) != len(etas) or min(etas, default=1) <= 0:
        raise RetrievalInputError(f"etas must be {len(chosen)} numbers above 0, got {etas}")
    if not all(0 <= at < len(codewords) for at in chosen):
        last = len(codewords) - 1
        raise RetrievalInputError(f"chosen must be positions 0 to {last}, got {list(chosen)}")
    ax = new_axes(ax, (10.0, 5.0))
    arrow = {"arrowstyle": "-|>", "lw": 2.6, "color": "black"}
    ax.annotate("", vector, (0, 0), arrowprops=arrow, zorder=4)
    ax.scatter(*codewords.T, s=70, color="0.6", zorder=2, label="codeword")
    angle = float(np.degrees(np.arctan2(*vector[::-1])))
    for at, eta, (colour, marker, dash) in zip(chosen, etas, looks(), strict=False):
        residual = codewords[at] - vector
        along = residual @ vector / length
        loss = eta * along**2 + (residual @ residual - along**2)
        look = {"edgecolor": colour, "linestyle": dash, "fill": False, "lw": 2.2, "zorder": 3}
        width, height = 2 * np.sqrt(loss / eta), 2 * np.sqrt(loss)
        ax.add_patch(Ellipse(vector, width, height, angle=angle, **look))
        look = {"color": colour, "linestyle": dash, "markersize": 13, "zorder": 5}
        label = f"chosen at eta = {eta:g}, and equal loss"
        ax.plot(*codewords[at], marker, label=label, **look)
    ax.plot(0, 0, marker="+", markersize=14, color="black", mew=2, linestyle="none", label="origin")
    ax.autoscale_view()
    return _finish(ax, None, title)


def _finish(
    ax: Axes, query: Sequence[float] | None, title: str | None, adjustable: str = "box"
) -> Axes:
    """Draw the query as a star, and give the plane equal units, a legend and labels."""
    if query is not None:
        star = {"marker": "*", "markersize": 20, "color": COLOURS[5], "mec": "black"}
        ax.plot(*query, **star, linestyle="none", zorder=5, label="query")
    ax.set_aspect("equal", adjustable=adjustable)
    add_legend(ax, beside=True)
    return labelled(ax, "first coordinate", "second coordinate", title)


def draw_borders(
    ax: Axes, centroids: np.ndarray, probed: np.ndarray, low, high, colour, hatch: str | None = None
) -> None:
    """Draw the borders of cells between two corners, and fill the probed ones."""
    x, y = np.linspace(low, high, GRID).T
    places = np.stack(np.meshgrid(x, y), axis=-1)  # (GRID, GRID, 2)
    owner = nearest_centroids(places, centroids)
    for cell in range(len(centroids)):
        ax.contour(x, y, owner == cell, [0.5], colors="0.35", linewidths=1.1, zorder=1)
    if probed.size:
        mask = np.isin(owner, probed).astype(float)
        with mpl.rc_context({"hatch.color": "0.8"}):
            ax.contourf(x, y, mask, [0.5, 1.5], colors=[colour], hatches=[hatch], zorder=0)


def nearest_centroids(places: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """Return the position of the nearest centroid of places `(..., 2)`."""
    return ((places[..., None, :] - centroids) ** 2).sum(axis=-1).argmin(axis=-1)


def _check_positions(n: int, positions: Mapping[str, np.ndarray]) -> None:
    for name, nodes in positions.items():
        if nodes.size and not 0 <= nodes.min() <= nodes.max() < n:
            raise RetrievalInputError(
                f"{name} holds positions {nodes.min()} to {nodes.max()} of {n} points, 0 to {n - 1}"
            )
