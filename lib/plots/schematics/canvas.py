"""Parts of schematic figures: a canvas in inches, boxes, arrows, tiles, strips, colours."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from lib.core.checks import RetrievalInputError, check_choice
from lib.plots.lettering import height_of, width_of, wrap_text, write_lines
from lib.plots.pictures import dark_on_white
from lib.plots.style import COLOURS

WIDTH = 10.8  # inches; with the margins of a saved figure 1100 pixels
BIG, NORMAL, SMALL = 17, 15, 13  # points
INK, GREY, PALE = "0.15", "0.45", "0.93"
# Each role has one colour in all schematics.
ROLES = {
    "text": COLOURS[0],  # blue
    "image": "#A8487F",  # the reddish purple of the palette, darker: it must carry letters
    "score": COLOURS[2],  # green; right answers too
    "wrong": COLOURS[1],  # orange
    "plain": GREY,
}


def new_canvas(height: float, width: float = WIDTH) -> tuple[Figure, Axes]:
    """Make a figure whose coordinates are inches, from the lower left corner."""
    figure, ax = plt.subplots(figsize=(width, height), layout="none")
    figure.subplots_adjust(0, 0, 1, 1)
    ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    ax.axis("off")
    ax.grid(False)
    return figure, ax


def colour_of(role: str) -> str:
    """Return the colour of a role: text, image, score, wrong or plain."""
    return ROLES[check_choice(role, tuple(ROLES), "role")]


def tint(role: str, strength: float = 0.13) -> tuple[float, ...]:
    """Mix the colour of a role with white."""
    return tuple(1 - strength * (1 - np.array(to_rgb(colour_of(role)))))


def write(ax: Axes, x: float, y: float, text: str, size: float = NORMAL, **look) -> None:
    """Write a text, centred and dark by default."""
    write_lines(ax, x, y, text, size, **{"color": INK, "zorder": 4} | look)


def box(
    ax: Axes,
    x: float,
    y: float,
    width: float,
    height: float,
    text: str = "",
    role: str = "plain",
    size: float = NORMAL,
    weight: str = "normal",
    note: str = "",
) -> FancyBboxPatch:
    """Draw a rounded box around its centre (x, y), with a text and a smaller note inside."""
    look = {"fc": tint(role), "ec": colour_of(role), "lw": 2.2}
    shape = "round,pad=0,rounding_size=0.12"
    corner = x - width / 2, y - height / 2
    patch = ax.add_patch(FancyBboxPatch(corner, width, height, boxstyle=shape, **look))
    room = width - 0.2
    lines = max(1, int(height / height_of(1, size)))
    words = wrap_text(text, room, size, lines, weight)
    if not note:
        write(ax, x, y, words, size, weight=weight)
        return patch
    notes = wrap_text(note, room, SMALL, 3)
    above, below = (
        height_of(part.count("\n") + 1, points) for part, points in ((words, size), (notes, SMALL))
    )
    write(ax, x, y + below / 2, words, size, weight=weight)
    write(ax, x, y - above / 2, notes, SMALL, color=GREY)
    return patch


def arrow(
    ax: Axes,
    start: Sequence[float],
    end: Sequence[float],
    role: str = "plain",
    bend: float = 0.0,
    width: float = 2.4,
    dashed: bool = False,
) -> FancyArrowPatch:
    """Draw an arrow from one place to another."""
    look = {
        "arrowstyle": "-|>,head_length=0.55,head_width=0.3", "mutation_scale": 14, "lw": width,
        "color": colour_of(role), "shrinkA": 0, "shrinkB": 0, "joinstyle": "miter",
        "linestyle": "--" if dashed else "-", "connectionstyle": f"arc3,rad={bend}",
    }  # fmt: skip
    return ax.add_patch(FancyArrowPatch(start, end, **look))


def tile(
    ax: Axes,
    image: np.ndarray,
    x: float,
    y: float,
    size: float,
    role: str = "image",
    width: float = 2.2,
) -> None:
    """Draw a picture into a square around its centre (x, y), with a frame."""
    half = size / 2
    top = 255 if np.asarray(image).dtype == np.uint8 else 1
    extent = (x - half, x + half, y - half, y + half)
    look = {"cmap": "gray", "vmin": 0, "vmax": top, "interpolation": "antialiased"}
    limits = ax.get_xlim(), ax.get_ylim()
    ax.imshow(dark_on_white(image), extent=extent, zorder=2, **look)
    ax.set(xlim=limits[0], ylim=limits[1])
    frame = {"fill": False, "ec": colour_of(role), "lw": width, "zorder": 3}
    ax.add_patch(plt.Rectangle((x - half, y - half), size, size, **frame))


def strip(
    ax: Axes,
    x: float,
    y: float,
    values: Sequence[float] | int,
    role: str,
    cell_size: float = 0.24,
    upright: bool = True,
) -> float:
    """Draw a vector as a strip of cells around (x, y), the darker the larger; return its length.

    `values` are numbers, or how many cells of one tint to draw.
    """
    if isinstance(values, int | np.integer):
        shades = np.full(int(values), 0.3)
    else:
        values = np.asarray(values, dtype=float)
        if values.ndim != 1 or not values.size or not np.isfinite(values).all():
            raise RetrievalInputError(f"a vector must be finite numbers (d,), got {values.shape}")
        shades = 0.08 + 0.82 * np.abs(values) / max(np.abs(values).max(), 1e-12)
    length = cell_size * len(shades)
    for at, shade in enumerate(shades):
        along = length / 2 - (at + 0.5) * cell_size
        place = (x, y + along) if upright else (x - along, y)
        cell(ax, *place, cell_size, cell_size, tint(role, float(shade)), line=1.2)
    size = (cell_size, length) if upright else (length, cell_size)
    corner = x - size[0] / 2, y - size[1] / 2
    ax.add_patch(plt.Rectangle(corner, *size, fill=False, ec=colour_of(role), lw=1.8, zorder=3))
    return length


def cell(
    ax: Axes, x: float, y: float, width: float, height: float, colour, line: float = 2.0
) -> None:
    """Draw a cell of a matrix around (x, y), parted from its neighbours by white lines."""
    corner = x - width / 2, y - height / 2
    ax.add_patch(plt.Rectangle(corner, width, height, fc=colour, ec="white", lw=line, zorder=2))


def fitting_size(text: str, width: float, largest: float = BIG, smallest: float = SMALL) -> float:
    """Return the largest font size at which a line fits into a width in inches."""
    sizes = np.arange(largest, smallest, -0.5)
    return next((float(s) for s in sizes if width_of(text, float(s)) <= width), float(smallest))


def described(figure: Figure, sentence: str) -> Figure:
    """Attach to a figure the sentence that describes it."""
    figure.set_label(sentence)
    return figure


def description(figure: Figure) -> str:
    """Return the sentence that describes a schematic figure, for `report.sentence`.

    figure = plots.two_towers("alarm clock", picture)
    plots.show()
    report.sentence("{says}", says=plots.description(figure))
    """
    text = figure.get_label() if isinstance(figure, Figure) else ""
    if not text:
        raise RetrievalInputError(f"figure must be a schematic figure of lib.plots, got {figure!r}")
    return text
