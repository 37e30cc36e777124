"""Rows in a line: a ranking that is cut before or after a condition, files that are held out."""

from collections.abc import Mapping, Sequence
from itertools import groupby

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.core.checks import RetrievalInputError, check_count
from lib.plots.lettering import width_of, wrap_text
from lib.plots.schematics.canvas import (
    GREY,
    NORMAL,
    SMALL,
    WIDTH,
    cell,
    colour_of,
    described,
    new_canvas,
    tint,
    write,
)
from lib.plots.style import styled

LABEL = 2.9  # inches for the names of lines
CELL = 0.52  # of a ranked item
TICKS = 120  # places of a strip of files


@styled
def cut_rankings(kept: Sequence[bool], k: int, *, condition: str = "meets the condition") -> Figure:
    """Draw one ranking twice: cut to k and then filtered, and filtered and then cut to k.

    Args:
        kept: whether the item at each rank meets the condition, best first, 4 to 13 items.
        k: hits on a page, at most as many as there are items.
        condition: of an item that is kept, in words.
    """
    kept = np.asarray(kept, dtype=bool)
    if kept.ndim != 1 or not 4 <= len(kept) <= 13:
        raise RetrievalInputError(f"kept must be 4 to 13 booleans, got shape {kept.shape}")
    k = check_count(k, "k", most=len(kept))
    figure, ax = new_canvas(3.9)
    ranks = np.arange(len(kept))
    after = ranks[:k][kept[:k]]
    before = ranks[kept][:k]
    rows = (
        ("ranking of all", ranks, ""),
        (f"cut to {k}, then the condition", after, f"{len(after)} of {k}"),
        (f"the condition, then cut to {k}", before, f"{len(before)} of {k}"),
    )
    for row, (name, shown, count) in enumerate(rows):
        y = 3.15 - row * 1.0
        words = wrap_text(name, LABEL - 0.3, NORMAL, 2)
        write(ax, 0.1, y, words, NORMAL, ha="left", weight="bold" if row else "normal")
        for rank in ranks:
            drawn = rank in shown
            _draw_rank(ax, rank, y, bool(kept[rank]), drawn, hit=bool(row) and drawn)
        if row == 1:
            x = LABEL + k * CELL
            look = {"color": colour_of("wrong"), "lw": 3, "ls": "-", "marker": ""}
            ax.plot([x, x], [y - 0.4, y + 0.4], **look)
        if count:
            role = "score" if len(shown) == min(k, int(kept.sum())) else "wrong"
            look = {"ha": "left", "weight": "bold", "color": colour_of(role)}
            write(ax, LABEL + len(kept) * CELL + 0.12, y, count, SMALL, **look)
    key = f"green: {condition}; the number is the rank"
    write(ax, LABEL, 0.35, key, SMALL, ha="left", color=GREY)
    return described(
        figure,
        f"A ranking of {len(kept)} items, of which {int(kept.sum())} are green ({condition}). Cut"
        f" to {k} first, {len(after)} of them are left; with the condition first, {len(before)}.",
    )


def _draw_rank(ax: Axes, rank: int, y: float, kept: bool, drawn: bool, hit: bool) -> None:
    x = LABEL + (rank + 0.5) * CELL
    colour = tint("score", 0.45) if kept else "0.88"
    cell(ax, x, y, CELL, CELL, colour if drawn else "0.97")
    write(ax, x, y, str(rank + 1), SMALL, color="0.15" if drawn else "0.75")
    if hit:
        frame = {"fill": False, "ec": colour_of("score"), "lw": 3, "zorder": 5}
        corner = x - CELL / 2 + 0.04, y - CELL / 2 + 0.04
        ax.add_patch(plt.Rectangle(corner, CELL - 0.08, CELL - 0.08, **frame))


@styled
def held_out_rows(kinds: Sequence[str], held: Mapping[str, Sequence[int]]) -> Figure:
    """Draw rows in the order of a file, by kind, and where the rows of each hold-out lie.

    Args:
        kinds: (n,) kind of each row, in the order of the file.
        held: name of a hold-out to the positions of its rows; 1 to 4 of them.
    """
    kinds = list(kinds)
    if not kinds or not 1 <= len(held) <= 4:
        raise RetrievalInputError(
            f"there must be rows, and 1 to 4 hold-outs, got {len(kinds)} and {len(held)}"
        )
    for name, rows in held.items():
        rows = np.asarray(rows)
        if not len(rows) or rows.min() < 0 or rows.max() >= len(kinds):
            raise RetrievalInputError(
                f"held[{name!r}] must be positions from 0 to {len(kinds) - 1}, got {rows[:5]}"
            )
    figure, ax = new_canvas(1.45 + 0.8 * len(held))
    left, wide = 2.1, WIDTH - 2.3
    top = 1.05 + 0.8 * (len(held) - 0.5)
    write(ax, 0.1, top, "rows, by kind", ha="left")
    start = 0
    for number, (kind, run) in enumerate(groupby(kinds)):
        size = len(list(run))
        x, room = left + wide * start / len(kinds), wide * size / len(kinds)
        colour = tint("image", 0.16 + 0.22 * (number % 2))
        ax.add_patch(plt.Rectangle((x, top - 0.25), room, 0.5, fc=colour, ec="white", lw=1.5))
        if width_of(kind, SMALL) < room - 0.1:
            write(ax, x + room / 2, top, kind, SMALL)
        start += size
    for number, (name, rows) in enumerate(held.items()):
        y = top - 0.8 * (number + 1)
        write(ax, 0.1, y, wrap_text(name, left - 0.2, NORMAL, 2), ha="left", weight="bold")
        share, edges = np.histogram(rows, bins=TICKS, range=(0, len(kinds)))
        shade = share / max(share.max(), 1)
        for value, edge in zip(shade, edges):
            x = left + wide * edge / len(kinds)
            colour = tint("score", 0.85 * value) if value else "0.95"
            ax.add_patch(
                plt.Rectangle((x, y - 0.25), wide / TICKS, 0.5, fc=colour, ec=colour, lw=0.5)
            )
    said = []
    for name, rows in held.items():
        found = {kinds[row] for row in np.asarray(rows).tolist()}
        said.append(f"{name} holds {len(found)} of {len(set(kinds))} kinds")
    key = f"green: rows that are held out; {len(kinds):,} rows in the order of the file"
    write(ax, left, 0.18, key, SMALL, ha="left", color=GREY)
    return described(figure, f"{len(kinds):,} rows in the order of the file: {', '.join(said)}.")
