"""Result grids: a row for each query, with what was found, best first, and what is right."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.core.checks import RetrievalInputError
from lib.plots.lettering import height_of, wrap_text, write_lines
from lib.plots.pictures import dark_on_white
from lib.plots.style import COLOURS, styled

WIDTH = 10.7  # inches; with its margins 1100 pixels
QUERY = 2.15  # inches for the query
GAP = 0.35  # between query, results and truth
LARGEST = 1.3  # inches of a picture
NAMES = 12  # points of the names under pictures
RIGHT = COLOURS[2]


@styled
def result_grid(
    queries: Sequence[str | np.ndarray],
    results: Sequence[Sequence] | Mapping[str, Sequence[Sequence]],
    truth: Sequence[Sequence] | None = None,
    *,
    right: Sequence[Sequence[bool]] | Mapping[str, Sequence[Sequence[bool]]] | None = None,
    labels: Sequence[str] | None = None,
    names: Sequence[Sequence[str]] | Mapping[str, Sequence[Sequence[str]]] | None = None,
    note: str | None = None,
    beside: bool = False,
) -> Figure:
    """Draw "query | results | truth": a row for each query, its results in order of rank.

    A right result has a thick green frame and a check mark. A query, a result or a truth is a
    picture, `(height, width)` or `(height, width, 3)`, or a text. To compare systems, for example
    before and after a training, give a strip of results for each: `{"before": ..., "after": ...}`.

    Args:
        queries: one a row.
        results: for each query the k best items, best first; or system to such lists.
        truth: for each query its relevant items; the first few are drawn.
        right: booleans in the shape of `results`, which of them are relevant.
        labels: over each query, such as "best", "median", "worst: rank 212".
        names: texts under the results, in the shape of `results`.
        note: a line under the grid, such as who drew the pictures.
        beside: draw the systems next to each other, not one under the other.
    """
    systems = _by_system(results, len(queries), "results")
    shape = {name: [len(row) for row in rows] for name, rows in systems.items()}
    marks = _like(right, shape, "right")
    under = _like(names, shape, "names")
    for name, rows in (("truth", truth), ("labels", labels)):
        if rows is not None and len(rows) != len(queries):
            expected = f"{len(queries)} entries, one a query"
            raise RetrievalInputError(f"{name} must have {expected}, got {len(rows)}")
    k = max(len(row) for rows in systems.values() for row in rows)
    n_truth = min(2, max((len(row) for row in truth), default=0)) if truth is not None else 0
    across = len(systems) if beside else 1  # strips
    over_strips = not beside and (len(systems) > 1 or isinstance(results, Mapping))
    room = WIDTH - QUERY - across * GAP - (GAP if n_truth else 0)
    size = min(LARGEST, room / (across * k + n_truth))
    longest = 0
    if under is not None:
        every = [text for rows in under.values() for row in rows for text in row]
        longest = max(_name_of(text, size).count("\n") + 1 for text in every)
    elif truth is not None and max(map(len, truth)) > n_truth:
        longest = 1  # "and 2 more"
    line = size + height_of(longest, NAMES) + 0.06
    head = 0.3 if over_strips else 0.0  # for the name of a system
    row_height = len(systems) // across * (line + head) + 0.28
    if not all(isinstance(query, str) for query in queries):
        lines_of = [wrap_text(label, QUERY - 0.2, 13, 2).count("\n") + 1 for label in labels or ()]
        over = height_of(max(lines_of), 13) + 0.08 if lines_of else 0.0
        row_height = max(row_height, 0.12 + over + _query_size(size) + 0.04)
    height = 0.5 + len(queries) * row_height + (0.3 if note else 0.05)
    starts = [QUERY + number * (k * size + GAP) for number in range(across + 1)]  # truth is last
    width = starts[-1] + n_truth * size if n_truth else starts[-1] - GAP
    figure, ax = plt.subplots(figsize=(width + 0.1, height), layout="none")
    figure.subplots_adjust(0, 0, 1, 1)
    ax.set(xlim=(-0.05, width + 0.05), ylim=(height, 0), aspect="equal")
    ax.axis("off")
    ax.grid(False)
    _write_headings(ax, starts, size, k, n_truth, list(systems) if beside else None)
    for row, query in enumerate(queries):
        top = 0.5 + row * row_height
        ax.plot([0, width], [top, top], color="0.75", lw=1, ls="-", marker="")
        label = None if labels is None else labels[row]
        _draw_query(ax, query, label, top + 0.12, row_height, _query_size(size))
        for number, (system, rows) in enumerate(systems.items()):
            below_others, column = divmod(number, across)
            y = top + 0.14 + below_others * (line + head) + head
            if over_strips:
                look = {"va": "bottom", "ha": "left", "weight": "bold"}
                write_lines(ax, starts[0] + 0.05, y - 0.05, system, 13, **look)
            for rank, item in enumerate(rows[row]):
                good = marks is not None and bool(marks[system][row][rank])
                below = None if under is None else under[system][row][rank]
                _draw_item(ax, item, starts[column] + rank * size, y, size, good, below)
        if truth is not None:
            y = top + 0.14 + head
            for at, item in enumerate(truth[row][:n_truth]):
                _draw_item(ax, item, starts[-1] + at * size, y, size, True, None, mark=False)
            more = len(truth[row]) - n_truth
            if more > 0:
                x = starts[-1] + n_truth * size / 2
                write_lines(ax, x, y + size, f"and {more} more", NAMES, va="top")
    if note:
        write_lines(ax, width, height - 0.05, note, NAMES, ha="right", va="bottom", color="0.35")
    return figure


def _by_system(rows, n: int, name: str) -> dict[str, Sequence[Sequence]]:
    systems = dict(rows) if isinstance(rows, Mapping) else {"": rows}
    for system, lists in systems.items():
        if not n or len(lists) != n or not all(len(row) for row in lists):
            of = f" of {system!r}" if system else ""
            raise RetrievalInputError(
                f"{name}{of} must hold a list of items for each query, at least one; got"
                f" {len(lists)} lists for {n} queries"
            )
    if not systems:
        raise RetrievalInputError(f"{name} must hold at least one system, got none")
    return systems


def _like(values, shape: Mapping[str, list[int]], name: str):
    """Return values by system in the shape of the results, or None."""
    if values is None:
        return None
    systems = dict(values) if isinstance(values, Mapping) else {"": values}
    got = {system: [len(row) for row in rows] for system, rows in systems.items()}
    if got != dict(shape):
        raise RetrievalInputError(
            f"{name} must have the shape of results, {dict(shape)}, got {got}"
        )
    return systems


def _write_headings(
    ax: Axes, starts: list[float], size: float, k: int, n_truth: int, systems: list[str] | None
) -> None:
    look = {"va": "baseline", "weight": "bold"}
    write_lines(ax, 0.05, 0.4, "query", 14, ha="left", **look)
    for start, system in zip(starts, systems or ()):
        write_lines(ax, start + 0.05, 0.4, system, 14, ha="left", **look)
    for rank in range(1, 1 if systems else k + 1):
        x = starts[0] + (rank - 0.5) * size
        write_lines(ax, x, 0.4, f"rank {rank}" if rank == 1 else str(rank), 14, **look)
    if n_truth:
        write_lines(ax, starts[-1] + 0.05, 0.4, "truth", 14, ha="left", **look)


def _query_size(size: float) -> float:
    """Return inches of a query's picture: a little more than those of a result."""
    return min(LARGEST, QUERY - GAP, max(0.95, 1.3 * size))


def _draw_query(
    ax: Axes, query, label: str | None, top: float, row_height: float, size: float
) -> None:
    if label is not None:
        wrapped = wrap_text(label, QUERY - 0.2, 13, 2)
        write_lines(ax, 0.05, top, wrapped, 13, va="top", ha="left", color="0.35")
        top += height_of(wrapped.count("\n") + 1, 13) + 0.08
    if isinstance(query, str):
        room = row_height - 0.25 - (0 if label is None else 0.4)
        lines = max(1, int(room / height_of(1, 15)))
        write_lines(
            ax, 0.05, top, wrap_text(query, QUERY - 0.2, 15, lines), 15, va="top", ha="left"
        )
    else:
        _draw_item(ax, query, 0.0, top, size, False, None)


def _draw_item(
    ax: Axes, item, x: float, y: float, size: float, good: bool, below: str | None,
    mark: bool = True,
) -> None:  # fmt: skip
    """Draw a picture or a text into the square whose upper left corner is (x, y)."""
    inset = 0.06
    side = size - 2 * inset
    if isinstance(item, str):
        lines = max(1, int((side - 0.1) / height_of(1, NAMES)))
        text = wrap_text(item, side - 0.1, NAMES, lines)
        write_lines(ax, x + size / 2, y + size / 2, text, NAMES)
    else:
        image = dark_on_white(item)
        top = 255 if image.dtype == np.uint8 else 1
        extent = (x + inset, x + size - inset, y + size - inset, y + inset)
        ax.imshow(image, cmap="gray", vmin=0, vmax=top, extent=extent, interpolation="antialiased")
    line = {"ec": RIGHT, "lw": 3.5} if good else {"ec": "0.75", "lw": 1.0}
    ax.add_patch(plt.Rectangle((x + inset, y + inset), side, side, fill=False, **line))
    if good and mark:
        look = {"boxstyle": "square,pad=0.12", "fc": RIGHT, "ec": "none"}
        place = x + size - inset - 0.02, y + inset + 0.02
        ax.text(*place, "✓", fontsize=12, ha="right", va="top", color="white", bbox=look)
    if below:
        write_lines(ax, x + size / 2, y + size, _name_of(below, size), NAMES, va="top")


def _name_of(text: str, size: float) -> str:
    return wrap_text(text, size - 0.06, NAMES, 2)
