"""Learning: a batch of pairs, a triplet with its margin, and forces on a circle."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Annulus, Circle

from lib.core.checks import RetrievalInputError
from lib.plots.lettering import wrap_text
from lib.plots.schematics.canvas import (
    BIG,
    GREY,
    NORMAL,
    SMALL,
    WIDTH,
    cell,
    colour_of,
    described,
    new_canvas,
    tile,
    tint,
    write,
)
from lib.plots.style import styled

LARGEST_BATCH = 8


@styled
def batch_matrix(
    texts: Sequence[str],
    images: Sequence[np.ndarray],
    similarities: np.ndarray | None = None,
    *,
    right: np.ndarray | None = None,
    kinds: tuple[str, str] = ("texts", "images"),
) -> Figure:
    """Draw a batch as a matrix of pairs: texts down, images across, the right pairs framed.

    Args:
        texts, images: B of each, 2 to 8; text i belongs to image i.
        similarities: `(B, B)`, written in the cells where they are given.
        right: `(B, B)` booleans, the pairs that belong together; the diagonal by default.
        kinds: names of both sides, for a batch of other modalities.
    """
    n = len(texts)
    if not 2 <= n <= LARGEST_BATCH or len(images) != n:
        got = f"{n} and {len(images)}"
        raise RetrievalInputError(
            f"{kinds[0]} and {kinds[1]} must be equally many, 2 to {LARGEST_BATCH}, got {got}"
        )
    right = np.eye(n, dtype=bool) if right is None else np.asarray(right, dtype=bool)
    for name, values in (("right", right), ("similarities", similarities)):
        if values is not None and np.shape(values) != (n, n):
            raise RetrievalInputError(f"{name} must have shape {(n, n)}, got {np.shape(values)}")
    side = min(0.95, 5.0 / n)
    left, base = 2.75, 0.2
    top = base + side * n
    figure, ax = new_canvas(top + side + 0.55)
    write(ax, left + side * n / 2, top + side + 0.3, f"{n} {kinds[1]}", color=colour_of("image"))
    write(ax, left - 0.15, top + side / 2, f"{n} {kinds[0]}", ha="right", color=colour_of("text"))
    for i, text in enumerate(texts):
        y = top - (i + 0.5) * side
        tile(ax, images[i], left + (i + 0.5) * side, top + side / 2 + 0.03, side - 0.14)
        shown = wrap_text(text, left - 0.25, NORMAL, max(1, int(side / 0.28)))
        write(ax, left - 0.15, y, shown, ha="right", color=colour_of("text"))
        for j in range(n):
            role, x = "score" if right[i, j] else "wrong", left + (j + 0.5) * side
            cell(ax, x, y, side, side, tint(role, 0.45 if right[i, j] else 0.14))
            if similarities is not None:
                weight = "bold" if right[i, j] else "normal"
                write(ax, x, y, f"{similarities[i][j]:.2f}", SMALL, weight=weight)
            elif right[i, j]:
                write(ax, x, y, "✓", BIG, weight="bold")
            if right[i, j]:
                corner = x - side / 2 + 0.04, y - side / 2 + 0.04
                frame = {"fill": False, "ec": colour_of("score"), "lw": 3.5, "zorder": 5}
                ax.add_patch(plt.Rectangle(corner, side - 0.08, side - 0.08, **frame))
    _write_legend(ax, left + side * n + 0.4, (base + top) / 2, right)
    n_right = int(right.sum())
    return described(
        figure,
        f"A batch of {n} pairs as a matrix of {n * n} pairs: {n_right} are right and framed, the"
        f" other {n * n - n_right} are the wrong pairs of the loss.",
    )


def _write_legend(ax: Axes, x: float, y: float, right: np.ndarray) -> None:
    n, room = len(right), WIDTH - x - 0.7
    on = int(np.trace(right))
    aside = int(right.sum()) - on
    rows = [("score", f"{on} right pairs, on the diagonal")]
    if aside:
        pairs = "pair" if aside == 1 else "pairs"
        rows.append(("score", f"{aside} right {pairs} beside it: false negatives of a loss"))
    rows.append(("wrong", f"{n * n - on - aside} wrong pairs, all other cells"))
    y += 0.55 * (len(rows) - 1)
    for role, text in rows:
        strength = 0.45 if role == "score" else 0.14
        cell(ax, x + 0.25, y, 0.5, 0.5, tint(role, strength))
        write(ax, x + 0.65, y, wrap_text(text, room, NORMAL, 4), ha="left")
        y -= 1.1


@styled
def triplet(
    d_ap: float,
    d_an: float | Sequence[float],
    margin: float,
    *,
    anchor: str | np.ndarray | None = None,
    positive: str | np.ndarray | None = None,
    negatives: Sequence[str | np.ndarray] | None = None,
) -> Figure:
    """Draw a triplet: the anchor, the positive, the margin ring around it, and the negatives.

        loss = max(0, d(a, p) - d(a, n) + margin)

    Args:
        d_ap: distance from anchor to positive, above 0.
        d_an: distance from anchor to the negative, or up to 4 of them.
        margin: above 0; the ring reaches from d_ap to d_ap + margin.
        anchor, positive, negatives: pictures, shown beside the points, or names, beside the losses.
    """
    far = [float(d) for d in np.atleast_1d(d_an)]
    if not 1 <= len(far) <= 4 or min(far) <= 0 or not np.isfinite(far).all():
        raise RetrievalInputError(f"d_an must be 1 to 4 distances above 0, got {d_an}")
    if not d_ap > 0 or not margin > 0:
        raise RetrievalInputError(f"d_ap and margin must be above 0, got {d_ap} and {margin}")
    if negatives is not None and len(negatives) != len(far):
        raise RetrievalInputError(f"negatives must be {len(far)} items, got {len(negatives)}")
    figure, ax = new_canvas(5.6)
    centre = np.array([2.85, 2.8])
    unit = (2.35 if anchor is positive is negatives is None else 1.9) / max(
        d_ap + margin, *far
    )  # inches for a distance of 1
    ring = {"fc": tint("wrong", 0.22), "ec": "none", "zorder": 0}
    ax.add_patch(Annulus(centre, (d_ap + margin) * unit, margin * unit, **ring))
    ax.add_patch(Circle(centre, d_ap * unit, fc=tint("score", 0.16), ec="none", zorder=0))
    for radius, role, dash in ((d_ap, "score", "-"), (d_ap + margin, "wrong", "--")):
        look = {"fill": False, "ec": colour_of(role), "lw": 2, "ls": dash}
        ax.add_patch(Circle(centre, radius * unit, **look))
    if margin * unit > 0.34:
        place = centre[1] - (d_ap + margin / 2) * unit
        write(ax, centre[0], place, "margin", SMALL, color="#8A3C00")
    labels = [f"n{i}" for i in range(1, len(far) + 1)] if len(far) > 1 else ["n"]
    angles = {1: [20], 2: [50, -25], 3: [62, 8, -46], 4: [75, 28, -18, -62]}[len(far)]
    _place_point(ax, centre, centre + d_ap * unit * _turn(165), "p", "score", positive)
    for label, d, angle, at in zip(labels, far, angles, range(len(far)), strict=True):
        item = None if negatives is None else negatives[at]
        _place_point(ax, centre, centre + d * unit * _turn(angle), label, "wrong", item)
    _place_point(ax, centre, centre, "a", "text", anchor)
    parts = _write_losses(ax, d_ap, far, margin, labels, negatives)
    _write_key(ax, 2.5 - 0.5 * len(far), anchor, positive)
    return described(
        figure,
        f"A triplet with d(a, p) = {d_ap:.2f} and margin {margin:.2f}: the ring reaches from"
        f" {d_ap:.2f} to {d_ap + margin:.2f} around the anchor. {' '.join(parts)}",
    )


def _turn(angle: float) -> np.ndarray:
    return np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])


def _place_point(ax: Axes, anchor, place, label: str, role: str, item) -> None:
    """Draw a point with its letter, a line from the anchor, and its picture if it has one."""
    look = {"color": colour_of(role), "lw": 2, "ls": "-", "marker": "", "zorder": 2}
    ax.plot(*np.stack([anchor, place]).T, **look)
    ax.add_patch(Circle(place, 0.21, fc=colour_of(role), ec="white", lw=1.5, zorder=5))
    write(ax, *place, label, NORMAL, color="white", weight="bold", zorder=6)
    offset = place - anchor
    length = float(np.hypot(*offset))
    # The picture of a point lies beyond it, that of the anchor where no line is.
    outward = offset / length if length else np.array([-0.6, -0.8])
    if item is not None and not isinstance(item, str):
        tile(ax, item, *(place + 0.54 * outward), 0.56, role, 1.8)


def _write_losses(
    ax: Axes, d_ap: float, far: Sequence[float], margin: float, labels, negatives
) -> list[str]:
    """Write the loss of each negative beside the circles, and return sentences about them."""
    x, parts = 5.95, []
    y = 2.8 + 0.5 * len(far)
    write(ax, x, y + 0.35, "loss = max(0, d(a, p) - d(a, n) + margin)", NORMAL, ha="left",
          weight="bold")  # fmt: skip
    for at, (label, d) in enumerate(zip(labels, far, strict=True)):
        kind = (
            "hard: nearer than the positive" if d < d_ap
            else "semi-hard: in the margin ring" if d < d_ap + margin
            else "easy: beyond the ring"
        )  # fmt: skip
        loss = max(0.0, d_ap - d + margin)
        ax.add_patch(Circle((x + 0.2, y - 0.45), 0.21, fc=colour_of("wrong"), ec="white", zorder=5))
        write(ax, x + 0.2, y - 0.45, label, NORMAL, color="white", weight="bold", zorder=6)
        sum_of = f"{d_ap:.2f} - {d:.2f} + {margin:.2f}"
        write(ax, x + 0.55, y - 0.3, f"max(0, {sum_of}) = {loss:.2f}", NORMAL, ha="left")
        name = None if negatives is None else negatives[at]
        said = wrap_text(f"{name}, {kind}" if isinstance(name, str) else kind, 4.2, SMALL, 1)
        write(ax, x + 0.55, y - 0.6, said, SMALL, ha="left", color=GREY)
        parts.append(f"{label} at {d:.2f} is {kind.replace(':', ',')}, loss {loss:.2f}.")
        y -= 1.0
    return parts


def _write_key(ax: Axes, y: float, anchor, positive) -> None:
    """Name the anchor and the positive under the losses, where they are texts."""
    x = 5.95
    for letter, role, item in (("a", "text", anchor), ("p", "score", positive)):
        if isinstance(item, str):
            ax.add_patch(Circle((x + 0.2, y), 0.21, fc=colour_of(role), ec="white", zorder=5))
            write(ax, x + 0.2, y, letter, NORMAL, color="white", weight="bold", zorder=6)
            write(ax, x + 0.55, y, wrap_text(item, 1.7, SMALL, 1), SMALL, ha="left")
            x += 2.4
