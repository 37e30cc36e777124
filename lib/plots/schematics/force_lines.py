"""Forces of a loss on a line of cosines: each item at its cosine, with an arrow where it goes."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from lib.core.checks import RetrievalInputError
from lib.plots.lettering import height_of, wrap_text
from lib.plots.schematics.canvas import (
    BIG,
    GREY,
    SMALL,
    WIDTH,
    arrow,
    colour_of,
    described,
    new_canvas,
    tile,
    tint,
    write,
)
from lib.plots.style import styled

LABEL = 2.0  # inches for the label of a line
TILE = 0.62  # inches of a picture
LINE = 1.3  # inches of a line without stacked pictures
LONGEST = 0.95  # inches of the longest arrow


@styled
def force_lines(
    lines: Mapping[str, Sequence[float]],
    pictures: Sequence[np.ndarray],
    right: Sequence[int],
    *,
    gradients: Sequence[Sequence[float]] | None = None,
    margins: float | Sequence[float] | None = None,
) -> Figure:
    """Draw one line of cosines for each query: every item at its cosine, right items in green.

    An arrow to the left pushes an item away from the query, one to the right pulls it near; its
    length is proportional to the gradient of the loss on that cosine. A step goes against the
    gradient, so a positive gradient pushes.

    Args:
        lines: label, such as the query or the loss, to the cosines (n,) of the items.
        pictures: n items, `(height, width)` or `(height, width, 3)`.
        right: the position of the right item of each line.
        gradients: (n,) for each line, dL/dc; without them there are no arrows.
        margins: shades the cosines that are less than this below the right one; one number, or one
            for each line.
    """
    cosines = np.asarray(list(lines.values()), dtype=float)
    n_lines, n_items = len(lines), len(pictures)
    forces = np.zeros_like(cosines) if gradients is None else np.asarray(gradients, dtype=float)
    for name, values in (("lines", cosines), ("gradients", forces)):
        if values.shape != (n_lines, n_items) or not values.size or not np.isfinite(values).all():
            raise RetrievalInputError(
                f"{name} must hold {n_items} finite numbers, one a picture, for each of {n_lines}"
                f" lines, at least one; got shape {values.shape}"
            )
    if len(right) != n_lines or not all(0 <= item < n_items for item in right):
        raise RetrievalInputError(
            f"right must name one of {n_items} pictures for each of {n_lines} lines, got {right}"
        )
    wide = None if margins is None else np.broadcast_to(margins, n_lines)
    low, high = cosines.min() - 0.12, cosines.max() + 0.12
    inches = (WIDTH - LABEL - 0.2) / (high - low)
    place = LABEL + (cosines - low) * inches  # (n_lines, n_items)
    levels = np.array([_levels(row) for row in place])
    heights = LINE + (TILE + 0.08) * levels.max(axis=1)
    figure, ax = new_canvas(heights.sum() + 0.65)
    longest = max(np.abs(forces).max(), 1e-12)
    base = heights.sum() + 0.65
    for at, label in enumerate(lines):
        base -= heights[at]
        y, own = base + 0.42, place[at, right[at]]
        if wide is not None:
            corner = (own - wide[at] * inches, base + 0.05)
            size = wide[at] * inches, heights[at] - 0.15
            ax.add_patch(plt.Rectangle(corner, *size, fc=tint("wrong", 0.16), ec="none", zorder=0))
            if gradients is None and wide[at] * inches > 0.7:
                write(ax, own - wide[at] * inches / 2, base + 0.14, "margin", SMALL, color=GREY)
        ax.plot([own, own], [base + 0.05, base + heights[at] - 0.1], color=colour_of("score"),
                lw=1.8, ls="--", marker="", zorder=1)  # fmt: skip
        ax.plot([LABEL, WIDTH - 0.2], [y, y], color="0.6", lw=1.5, ls="-", marker="", zorder=1)
        room = max(1, int(heights[at] / height_of(1, BIG)))
        write(ax, 0.1, y + 0.2, wrap_text(label, LABEL - 0.3, BIG, room), BIG, ha="left")
        for item in range(n_items):
            x, up = place[at, item], y + 0.06 + TILE / 2 + (TILE + 0.08) * levels[at, item]
            is_right = item == right[at]
            frame = ("score", 3.5) if is_right else ("plain", 1.2)
            tile(ax, pictures[item], x, up, TILE, *frame)
            length = -LONGEST * forces[at, item] / longest
            if abs(length) > 0.04:
                role = "wrong" if length < 0 else "score"
                drop = y - 0.16 - 0.13 * levels[at, item]
                arrow(ax, (x, drop), (x + length, drop), role, width=3.2)
    step = 0.2 if high - low > 0.6 else 0.1
    for tick in np.arange(np.ceil(low / step) * step, high, step):
        x = LABEL + (tick - low) * inches
        ax.plot([x, x], [0.52, 0.6], color=GREY, lw=1.5, ls="-", marker="")
        write(ax, x, 0.38, f"{abs(tick) if abs(tick) < 0.01 else tick:.1f}", SMALL, color=GREY)
    write(ax, (LABEL + WIDTH) / 2, 0.12, "cosine with the query", SMALL, color=GREY)
    pushed = int((forces > 0.02 * longest).sum())
    says = f", {pushed} of {forces.size - n_lines} wrong ones with an arrow away from the query"
    return described(
        figure,
        f"Lines of cosines, one for each of {', '.join(lines)}: the right item stands in a green"
        f" frame{says if gradients is not None else ''}.",
    )


def _levels(places: np.ndarray) -> np.ndarray:
    """Stack pictures that would overlap: the level of each, from 0."""
    levels = np.zeros(len(places), dtype=int)
    ends: list[float] = []  # of the last picture on each level
    for item in np.argsort(places, kind="stable"):
        start = places[item] - TILE / 2
        level = next((at for at, end in enumerate(ends) if end <= start), len(ends))
        ends[level : level + 1] = [places[item] + TILE / 2 + 0.03]
        levels[item] = level
    return levels
