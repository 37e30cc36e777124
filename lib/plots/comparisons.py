"""Results of benchmarks: paired differences of two systems, and published numbers by year."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from lib.core.checks import RetrievalInputError
from lib.plots.charts import intervals
from lib.plots.style import COLOURS, MARKERS, add_legend, labelled, new_axes, styled

# Numbers that differ in one of these columns are not comparable.
SAME = ("dataset", "split", "direction", "metric", "gallery", "judgements")
RECALLED = "recalled, unchecked"
REMEDY = "with a remedy that sees other queries"
# Points of one year stand side by side where they would overlap, at most this far from it.
SPREAD = 0.4
STEP = 0.1  # years between two points side by side
ROOM = 1 / 45  # of the range of all values: two points closer than this would overlap


@styled
def paired_differences(
    rows: Sequence[Mapping],
    *,
    names: tuple[str, str] = ("A", "B"),
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the differences of two systems with paired intervals, and the line of no difference.

    Args:
        rows: of direction, metric, difference, low, high (fractions), as a comparison returns them.
        names: of the two systems; the difference is the first minus the second.
        title, ax: title of the axes, and axes to draw into.
    """
    if not rows:
        raise RetrievalInputError("there are no differences to draw")
    columns = ("difference", "low", "high")
    values, lows, highs = ([100 * row[name] for row in rows] for name in columns)
    labels = [f"{row['direction'].replace('_to_', ' to ')}, {row['metric']}" for row in rows]
    xlabel = f"{names[0]} - {names[1]} (points, 95% interval)"
    line = {"reference": 0, "reference_label": "no difference"}
    return intervals(labels, values, lows, highs, xlabel=xlabel, title=title, ax=ax, **line)


@styled
def published_over_years(
    rows: Sequence,
    *,
    own: Mapping[str, tuple[float, float, float, float]] | None = None,
    name_best: bool = True,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one published number of many models by year, and the user's own results beside them.

    A marker for each kind: zero-shot, trained on the benchmark, helped by a remedy against hubs.
    Numbers quoted from memory are hollow and grey. Within a year no date is known: points that
    would overlap stand side by side, in turn to the left and to the right, which means nothing.
    Rows without a year are not drawn; the x label says how many.

    Args:
        rows: objects with year, value, kind, verified, inference, model, and the columns of `SAME`,
            in which all must agree.
        own: name to `(year, value, low, high)` of the user's results, drawn as stars with
            intervals.
        name_best: write the name of the best model of each year above it, unless its number is
            from memory.
        title, ax: title of the axes, and axes to draw into.
    """
    dated = [row for row in rows if row.year is not None]
    dated.sort(key=lambda row: (row.year, row.model))
    if not dated:
        raise RetrievalInputError("there are no published numbers with a year to draw")
    for name in SAME:
        values = sorted({getattr(row, name) for row in dated})
        if len(values) > 1:
            got = " and ".join(map(repr, values[:3]))
            raise RetrievalInputError(f"{name} must be the same in all rows, got {got}")
    ax = new_axes(ax, (10.0, 5.6))
    y = np.array([row.value for row in dated], dtype=float)
    x = _side_by_side([row.year for row in dated], y)
    kinds = np.array([_kind(row) for row in dated])
    order = ("zero-shot", "trained", REMEDY)
    kind_looks = {
        kind: {"color": colour, "marker": marker}
        for kind, colour, marker in zip(order, COLOURS, MARKERS)
    }
    kind_looks[RECALLED] = {"marker": "o", "mfc": "none", "mec": "0.55"}
    for kind, look in kind_looks.items():
        of_kind = kinds == kind
        label = "trained on this benchmark" if kind == "trained" else kind
        if of_kind.any():
            ax.plot(x[of_kind], y[of_kind], linestyle="none", label=label, **look)
    if name_best:
        place = {"xytext": (0, 9), "textcoords": "offset points", "fontsize": 12, "ha": "center"}
        sure = [at for at, row in enumerate(dated) if _kind(row) != RECALLED]
        for year in sorted({dated[at].year for at in sure}):
            same_year = [at for at in sure if dated[at].year == year]
            at = max(same_year, key=lambda at: dated[at].value)
            ax.annotate(dated[at].model, (x[at], y[at]), color="0.25", **place)
    own = own or {}
    star = {"fmt": "*", "markersize": 20, "capsize": 6, "elinewidth": 2.2, "zorder": 5}
    for (name, result), colour in zip(own.items(), (COLOURS[6], COLOURS[3], COLOURS[5])):
        year, value, low, high = result
        reach = [[value - low], [high - value]]
        ax.errorbar([year], [value], yerr=reach, color=colour, label=name, **star)
    years = [row.year for row in dated] + [int(year) for year, *_ in own.values()]
    ax.set_xticks(range(min(years), max(years) + 1))
    ax.set_xlim(min(years) - 1.2, max(years) + 1)
    ax.margins(y=0.14)
    left_out = sum(row.year is None for row in rows)
    note = f" ({left_out} numbers without a year are not drawn)" if left_out else ""
    add_legend(ax)
    first = dated[0]
    unit = "rank" if first.metric in ("MedR", "MeanR") else "%"
    ylabel = f"{first.direction.replace('_', ' ')} {first.metric} ({unit})"
    return labelled(ax, f"year of the model{note}", ylabel, title)


def _kind(row) -> str:
    if row.verified == "recalled":
        return RECALLED
    return REMEDY if row.inference in ("querybank", "transductive") else row.kind


def _side_by_side(years: Sequence[int], values: np.ndarray) -> np.ndarray:
    """Place points at their year, and those that would overlap in turn to its left and right."""
    years = np.asarray(years, dtype=float)
    places, room = years.copy(), ROOM * np.ptp(values)
    furthest = int(SPREAD / STEP)
    for year in np.unique(years):
        taken: dict[int, float] = {}  # the last value at each step from the year
        same = np.flatnonzero(years == year)
        for turn, at in enumerate(same[np.argsort(values[same], kind="stable")]):
            first = 1 if turn % 2 else -1
            steps = [0, *(sign * n for n in range(1, furthest + 1) for sign in (first, -first))]
            # Where all are taken, the one whose last point is the furthest below.
            step = next(
                (n for n in steps if values[at] - taken.get(n, -np.inf) > room),
                min(steps, key=lambda n: taken.get(n, -np.inf)),
            )
            taken[step] = values[at]
            places[at] += step * STEP
    return places
