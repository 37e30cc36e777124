"""Melodies: pitch over time as lines, notes as bars, and the path of a warped match."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from lib.core.checks import RetrievalInputError
from lib.plots.line_names import MOST_NAMED
from lib.plots.matrices import heatmap
from lib.plots.style import COLOURS, DASHES, MARKERS, add_legend, labelled, new_axes, styled

SIZE = (10.0, 4.2)
THICK = 0.35  # half height of the first bars, in semitones
TONES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")


@styled
def traces(
    series: Mapping[str, tuple],
    *,
    xlabel: str,
    ylabel: str,
    marks: Mapping[str, tuple[float, float]] | None = None,
    steps: bool = False,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw lines of many points without markers: pitch or sound over time. NaN breaks a line.

    Args:
        series: name to `(x, y)`; at most seven.
        xlabel, ylabel: quantities and units.
        marks: name to a point `(x, y)` that is marked and named.
        steps: hold each value until the next, as notes do.
        title, ax: title of the axes, and axes to draw into.
    """
    if not 1 <= len(series) <= len(COLOURS):
        raise RetrievalInputError(f"series must be 1 to {len(COLOURS)}, got {len(series)}")
    ax = new_axes(ax, SIZE)
    for number, (name, (x, y)) in enumerate(series.items()):
        x, y = np.asarray(x, float), np.asarray(y, float)
        if x.shape != y.shape:
            raise RetrievalInputError(
                f"series {name!r} needs x and y of one length, got {x.size} and {y.size}"
            )
        look = {"color": COLOURS[number], "linestyle": DASHES[number], "marker": ""}
        ax.plot(x, y, drawstyle="steps-post" if steps else "default", label=name, **look)
    for name, (x, y) in (marks or {}).items():
        ax.plot(x, y, marker="v", markersize=11, color=COLOURS[1], linestyle="", zorder=4)
        ax.annotate(name, (x, y), (9, 7), textcoords="offset points", fontsize=12)
    if len(series) > 1:
        below = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "ncols": MOST_NAMED}
        add_legend(ax, **below)
    return labelled(ax, xlabel, ylabel, title if len(series) == 1 else None)


@styled
def note_bars(
    voices: Mapping[str, tuple],
    *,
    xlabel: str = "time (s)",
    ylabel: str = "pitch",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw notes as bars from onset to end, later voices as thinner bars on top.

    Args:
        voices: name to `(onsets, durations, pitches)`; at most three.
        xlabel, ylabel: quantities and units; ticks at whole pitches bear the names of the tones.
        title, ax: title of the axes, and axes to draw into.
    """
    if not 1 <= len(voices) <= 3:
        raise RetrievalInputError(f"voices must be 1 to 3, got {len(voices)}")
    ax = new_axes(ax, SIZE)
    for number, (name, (onsets, durations, pitches)) in enumerate(voices.items()):
        half = THICK * (1 - 0.45 * number)
        ax.barh(
            pitches, durations, left=onsets, height=2 * half, color=COLOURS[number], label=name,
            alpha=0.45 if number == 0 else 0.9, edgecolor="white", linewidth=0.6,
        )  # fmt: skip
    lows, highs = zip(*((min(pitches), max(pitches)) for _, _, pitches in voices.values()))
    ticks = np.arange(np.floor(min(lows)), np.ceil(max(highs)) + 1)
    ticks = ticks[:: max(1, round(ticks.size / 12))]
    ax.set_yticks(ticks, [tone_name(int(tick)) for tick in ticks])
    if len(voices) > 1:
        add_legend(ax, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3)
    return labelled(ax, xlabel, ylabel, title if len(voices) == 1 else None)


def tone_name(pitch: int) -> str:
    """Return the name of a MIDI pitch, C4 for 60."""
    return f"{TONES[pitch % 12]}{pitch // 12 - 1}"


@styled
def warping(
    table: np.ndarray,
    path: Sequence[tuple[int, int]],
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    xlabel: str,
    ylabel: str,
    label: str,
    digits: int | None = 0,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a table of costs with the path of the best match through it.

    Args:
        table: `(n_rows, n_columns)`.
        path: cells `(row, column)` of the match, in order.
        rows, columns: what stands at each row and column, such as pitches.
        xlabel, ylabel, label: meaning of the axes and of the colour.
        digits: decimals in the cells.
        title, ax: title of the axes, and axes to draw into.
    """
    table, cells = np.asarray(table), np.asarray(path, dtype=int).reshape(-1, 2)
    if not len(cells) or (cells < 0).any() or (cells >= table.shape).any():
        raise RetrievalInputError(f"path must hold cells of a table {table.shape}, got {path!r}")
    ax = heatmap(
        table, rows, columns, xlabel=xlabel, ylabel=ylabel, label=label, digits=digits,
        title=title, ax=ax,
    )  # fmt: skip
    ax.plot(
        cells[:, 1], cells[:, 0], color=COLOURS[1], marker=MARKERS[0], markersize=30,
        markerfacecolor="none", markeredgewidth=2.5, linewidth=2.5, linestyle="-",
    )  # fmt: skip
    return ax
