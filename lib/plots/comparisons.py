"""Results of benchmarks: what divides two systems, and a result among the numbers that were
printed.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from lib.core.checks import RetrievalInputError
from lib.plots.charts import intervals
from lib.plots.style import COLOURS, MARKERS, STYLE, labelled, new_axes, styled

SAME = (
    "dataset",
    "split",
    "direction",
    "metric",
    "gallery",
    "judgements",
)  # else numbers are not comparable
RECALLED = "recalled, unchecked"
REMEDY = "with a remedy that sees other queries"
SPREAD = (
    0.2  # of a year: points of one year stand side by side, by name, so that they draw no trend
)


@styled
def paired_differences(
    rows: Sequence[Mapping],
    *,
    names: tuple[str, str] = ("A", "B"),
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Shows by how much one system is better than another: paired intervals, and the line of no
    difference.

    Args:
        rows: of direction, metric, difference, low, high (fractions), as a comparison returns them.
        names: of the two systems; the difference is the first minus the second.
        title: of the axes.
        ax: axes to draw into.

    Raises:
        RetrievalInputError: no rows.

    Relations: `intervals`, of which this is a case.
    """
    if not rows:
        raise RetrievalInputError("there are no differences to draw")
    values, lows, highs = (
        [100 * row[name] for row in rows] for name in ("difference", "low", "high")
    )
    labels = [f"{row['direction'].replace('_', ' ')}, {row['metric']}" for row in rows]
    xlabel = f"{names[0]} - {names[1]} (points, 95% interval)"
    return intervals(
        labels,
        values,
        lows,
        highs,
        xlabel=xlabel,
        reference=0,
        reference_label="no difference",
        title=title,
        ax=ax,
    )


@styled
def published_over_years(
    rows: Sequence,
    *,
    own: Mapping[str, tuple[float, float, float, float]] | None = None,
    name_best: bool = True,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Shows one published number of many models by the year of the model, and the reader's own
    beside them.

    A marker for each kind: zero-shot, trained on the benchmark, helped by a remedy against hubs.
    What was only recalled is hollow and grey. Rows without a year are not drawn; the x label says
    how many.

    Args:
        rows: objects with year, value, kind, verified, inference, model, and the columns of `SAME`,
            in which all must agree.
        own: name to `(year, value, low, high)` of the reader's results, drawn as stars with
            intervals.
        name_best: write the name of the best model of each year beside it.
        title: of the axes.
        ax: axes to draw into.

    Raises:
        RetrievalInputError: no row with a year, or rows of several benchmarks, directions or
            metrics.
    """
    dated = sorted(
        (row for row in rows if row.year is not None), key=lambda row: (row.year, row.model)
    )
    if not dated:
        raise RetrievalInputError("there are no published numbers with a year to draw")
    for name in SAME:
        found = sorted({getattr(row, name) for row in dated})
        if len(found) > 1:
            raise RetrievalInputError(
                f"{name} is {' and '.join(map(repr, found[:3]))}: not comparable; draw one of them"
                " at a time"
            )
    ax = new_axes(ax, (10.0, 5.6))
    x, y = _side_by_side([row.year for row in dated]), np.array([row.value for row in dated])
    kinds = np.array([_kind(row) for row in dated])
    order = ("zero-shot", "trained", REMEDY)
    for kind, colour, marker in zip(order, COLOURS, MARKERS):
        label = {"trained": "trained on this benchmark"}.get(kind, kind)
        if (kinds == kind).any():
            look = {"color": colour, "marker": marker, "linestyle": "none", "label": label}
            ax.plot(x[kinds == kind], y[kinds == kind], **look)
    if (kinds == RECALLED).any():
        look = {"marker": "o", "mfc": "none", "mec": "0.55", "linestyle": "none", "label": RECALLED}
        ax.plot(x[kinds == RECALLED], y[kinds == RECALLED], **look)
    if name_best:
        for year in sorted({row.year for row in dated}):
            at = max(
                (i for i, row in enumerate(dated) if row.year == year), key=lambda i: dated[i].value
            )
            place = {
                "xytext": (0, 9),
                "textcoords": "offset points",
                "fontsize": 12,
                "ha": "center",
            }
            ax.annotate(dated[at].model, (x[at], y[at]), color="0.25", **place)
    for (name, (year, value, low, high)), colour in zip(
        (own or {}).items(), (COLOURS[6], COLOURS[3], COLOURS[5])
    ):
        bar = {"yerr": [[value - low], [high - value]], "capsize": 6, "elinewidth": 2.2}
        ax.errorbar(
            [year], [value], **bar, fmt="*", markersize=20, color=colour, label=name, zorder=5
        )
    years = [row.year for row in dated] + [int(year) for year, *_ in (own or {}).values()]
    ax.set_xticks(range(min(years), max(years) + 1))
    ax.set_xlim(min(years) - 1.2, max(years) + 0.8)
    ax.margins(y=0.14)
    left_out = sum(row.year is None for row in rows)
    note = f" ({left_out} numbers without a year are not drawn)" if left_out else ""
    ax.legend(fontsize=STYLE["legend.fontsize"])
    first = dated[0]
    unit = "rank" if first.metric in ("MedR", "MeanR") else "%"
    ylabel = f"{first.direction.replace('_', ' ')} {first.metric} ({unit})"
    return labelled(ax, f"year of the model{note}", ylabel, title)


def _kind(row) -> str:
    if row.verified == "recalled":
        return RECALLED
    return REMEDY if row.inference in ("querybank", "transductive") else row.kind


def _side_by_side(years: Sequence[int]) -> np.ndarray:
    """Each year with its points spread around it, in the order given."""
    years = np.asarray(years, dtype=float)
    places = years.copy()
    for year in np.unique(years):
        of = np.flatnonzero(years == year)
        places[of] += np.linspace(-SPREAD, SPREAD, of.size) if of.size > 1 else 0
    return places
