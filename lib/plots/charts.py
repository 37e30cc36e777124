"""Charts: estimates with intervals, curves, points in the plane, distributions."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from lib.core.checks import RetrievalInputError
from lib.plots.line_names import MOST_NAMED, name_lines
from lib.plots.style import (
    COLOURS,
    add_legend,
    as_points,
    labelled,
    looks,
    new_axes,
    styled,
)


@styled
def intervals(
    labels: Sequence[str],
    values: Sequence[float],
    lows: Sequence[float],
    highs: Sequence[float],
    *,
    xlabel: str,
    reference: float | None = None,
    reference_label: str = "chance",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw estimates with their intervals, one line each, first on top: a forest plot.

    Args:
        labels: one for each estimate.
        values, lows, highs: estimate and ends of its interval; `low <= value <= high`.
        xlabel: the quantity and its unit.
        reference: a vertical line to compare with, named `reference_label`.
        title, ax: title of the axes, and axes to draw into.
    """
    values, lows, highs = (np.asarray(v, dtype=float) for v in (values, lows, highs))
    if not len(labels) == len(values) == len(lows) == len(highs):
        raise RetrievalInputError(
            f"{len(labels)} labels, {len(values)} values, {len(lows)} lows, {len(highs)} highs"
        )
    outside = np.flatnonzero((lows > values) | (values > highs))
    if outside.size:
        i = int(outside[0])
        interval = f"its interval [{lows[i]}, {highs[i]}]"
        raise RetrievalInputError(f"{labels[i]!r} must be in {interval}, got {values[i]}")
    ax = new_axes(ax, (9.0, 1.6 + 0.55 * len(labels)))
    places = np.arange(len(labels))[::-1]
    ax.errorbar(
        values, places, xerr=[values - lows, highs - values], fmt="o", color=COLOURS[0],
        capsize=6, elinewidth=2.2, markersize=9,
    )  # fmt: skip
    ax.set_yticks(places, labels)
    ax.set_ylim(-0.6, len(labels) - 0.4)
    if reference is not None:
        ax.axvline(reference, color="0.35", linestyle="--", linewidth=1.8, label=reference_label)
        # Above the axes: inside, it would lie on an interval sooner or later.
        add_legend(ax, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
    return labelled(ax, xlabel, "", title)


@styled
def curves(
    series: Mapping[str, tuple],
    *,
    xlabel: str,
    ylabel: str,
    xscale: str = "linear",
    yscale: str = "linear",
    xticks: Sequence[float] | None = None,
    yticks: Sequence[float] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw lines with markers, each with its interval if it has one, in the order given.

    Up to four lines are named right of the axes, at their last point, more in a legend.

    Args:
        series: name to `(x, y)` or `(x, y, low, high)`.
        xlabel, ylabel: quantities and units.
        xscale, yscale: "linear" or "log"; powers of two on a log axis are written as plain numbers.
        xticks, yticks: places of the ticks; each is written as a plain number.
        title, ax: title of the axes, and axes to draw into.
    """
    if not series:
        raise RetrievalInputError("there are no series to draw")
    ax, lines = new_axes(ax), []
    for (name, arrays), (colour, marker, dash) in zip(series.items(), looks(), strict=False):
        x, y, *band = (np.asarray(a, dtype=float) for a in arrays)
        if len({len(a) for a in (x, y, *band)}) != 1 or len(band) not in (0, 2):
            lengths = ", ".join(str(len(a)) for a in arrays)
            raise RetrievalInputError(
                f"series {name!r} needs (x, y) or (x, y, low, high) of one length; it has {lengths}"
            )
        lines += ax.plot(x, y, color=colour, marker=marker, linestyle=dash, label=name)
        if band:
            ax.fill_between(x, *band, color=colour, alpha=0.18, linewidth=0)
    ax.set(xscale=xscale, yscale=yscale)
    for axis, ticks in ((ax.xaxis, xticks), (ax.yaxis, yticks)):
        if ticks is not None:
            axis.set_ticks(ticks, [f"{tick:,.10g}" for tick in ticks])
            axis.minorticks_off()
    if 1 < len(series) <= MOST_NAMED:
        name_lines(ax, lines)
    elif len(series) > 1:
        add_legend(ax)
    return labelled(ax, xlabel, ylabel, title)


@styled
def scatter(
    groups: Mapping[str, np.ndarray],
    *,
    xlabel: str,
    ylabel: str,
    pairs: tuple[np.ndarray, np.ndarray] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw groups of points in the plane, for example two modalities on one map.

    Args:
        groups: name to `(n, 2)` points.
        xlabel, ylabel: meaning of the axes; a map such as UMAP has no units, so say that.
        pairs: two `(n, 2)` arrays; a thin line joins row i of one to row i of the other.
        title, ax: title of the axes, and axes to draw into.
    """
    ax = new_axes(ax, (8.0, 6.5))
    if pairs is not None:
        first, second = (as_points(p, "pairs") for p in pairs)
        if len(first) != len(second):
            raise RetrievalInputError(f"pairs join {len(first)} points with {len(second)}")
        segments = np.stack([first, second], axis=1)
        lines = mpl.collections.LineCollection(segments, colors="0.6", linewidths=0.7)
        ax.add_collection(lines)
    for (name, points), (colour, marker, _) in zip(groups.items(), looks(), strict=False):
        points = as_points(points, name)
        size = float(np.clip(12_000 / max(len(points), 1), 14, 90))  # many points are drawn small
        look = {"color": colour, "marker": marker, "alpha": 0.75, "linewidths": 0}
        ax.scatter(*points.T, s=size, label=name, **look)
    if len(groups) > 1:
        add_legend(ax, markerscale=1.6)
    return labelled(ax, xlabel, ylabel, title)


@styled
def distributions(
    groups: Mapping[str, np.ndarray],
    *,
    xlabel: str,
    bins: int = 40,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw histograms of groups over common bins, each summing to 100%.

    Shares, not counts: there are a thousand times more wrong pairs than right ones.

    Args:
        groups: name to `(n,)` values.
        xlabel: the quantity and its unit.
        bins: number of bins over the common range.
        title, ax: title of the axes, and axes to draw into.
    """
    arrays = {name: np.asarray(values, dtype=float).ravel() for name, values in groups.items()}
    for name, values in arrays.items():
        if values.size == 0 or not np.isfinite(values).all():
            raise RetrievalInputError(f"group {name!r} must hold finite values, at least one")
    ax = new_axes(ax)
    edges = np.histogram_bin_edges(np.concatenate(list(arrays.values())), bins=bins)
    for (name, values), (colour, marker, dash) in zip(arrays.items(), looks(), strict=False):
        share = 100 * np.histogram(values, edges)[0] / len(values)
        ax.stairs(share, edges, fill=True, color=colour, alpha=0.2)
        middle = (edges[:-1] + edges[1:]) / 2

        look = {"color": colour, "linestyle": dash, "marker": marker}
        ax.plot(middle, share, markevery=max(1, bins // 12), label=name, **look)
    if len(arrays) > 1:
        add_legend(ax)
    ax.set_ylim(bottom=0)
    return labelled(ax, xlabel, "share of the group (%)", title)
