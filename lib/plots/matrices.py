"""Matrices as colours: similarities, and gradients of a loss."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.core.checks import RetrievalInputError
from lib.plots.style import (
    COLOUR_MAP,
    COLOURS,
    add_colour_bar,
    frame_cell,
    labelled,
    new_axes,
    panels,
    styled,
)
from lib.plots.thumbnails import name_ticks

# Purple pulls, orange pushes, white does neither: distinct in grey and to every colour vision.
FORCE_MAP = "PuOr_r"
WIDEST = 11.0  # inches, of panels beside one another
MAX_WRITTEN = 12  # columns of a matrix with numbers in its cells


@styled
def heatmap(
    values: np.ndarray,
    rows: Sequence[str | np.ndarray],
    columns: Sequence[str | np.ndarray],
    *,
    xlabel: str,
    ylabel: str,
    label: str,
    marks: np.ndarray | None = None,
    digits: int | None = 2,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a matrix as colours, with its numbers when they fit and a frame around marked cells.

    Args:
        values: `(n_rows, n_columns)`.
        rows, columns: names along the axes, or pictures, `(height, width)` or `(height, width, 3)`.
        xlabel, ylabel, label: meaning of the axes and of the colour, with units.
        marks: `(n_rows, n_columns)` booleans, for example the relevant pairs.
        digits: decimals written in the cells; None writes none, and more than 12 columns get none.
        title, ax: title of the axes, and axes to draw into.
    """
    values = np.asarray(values)
    if values.shape != (len(rows), len(columns)):
        shape = (len(rows), len(columns))
        raise RetrievalInputError(f"values must have shape {shape} (names), got {values.shape}")
    if marks is not None and np.shape(marks) != values.shape:
        raise RetrievalInputError(f"marks have shape {np.shape(marks)}, values {values.shape}")
    size = (2.8 + 0.85 * len(columns), 1.8 + 0.55 * len(rows))
    ax = new_axes(ax, size)
    picture = ax.imshow(values, cmap=COLOUR_MAP, aspect="auto")
    ax.grid(False)
    short = all(isinstance(name, str) and len(name) <= 3 for name in columns)
    turned = {} if short else {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}
    name_ticks(ax, columns, "x", **turned)
    name_ticks(ax, rows, "y")
    if digits is not None and len(columns) <= MAX_WRITTEN:
        middle = (np.nanmin(values) + np.nanmax(values)) / 2
        for i, j in np.ndindex(values.shape):
            ink = "black" if values[i, j] > middle else "white"
            text = f"{values[i, j]:.{digits}f}"
            ax.text(j, i, text, ha="center", va="center", color=ink, fontsize=12)
    if marks is not None:
        for i, j in np.argwhere(marks):
            frame_cell(ax, i, j, COLOURS[1], width=3)
    add_colour_bar(picture, ax, label)
    return labelled(ax, xlabel, ylabel, title)


@styled
def forces(
    gradients: Mapping[str, np.ndarray],
    *,
    rows: Sequence[str | np.ndarray] | None = None,
    columns: Sequence[str | np.ndarray] | None = None,
    xlabel: str = "keys",
    ylabel: str = "queries",
    marks: np.ndarray | None = None,
    digits: int = 3,
    per_line: int = 3,
) -> Figure:
    """Draw the gradient of a loss on its logits, one panel a setting: + pushes apart, - pulls.

    All panels have one colour scale, so sizes can be compared.

    Args:
        gradients: title to `(n_rows, n_columns)`, dL/ds or dL/dc, all of one shape.
        rows, columns: names or pictures along the axes; positions by default, none above 12.
        xlabel, ylabel: of the axes.
        marks: `(n_rows, n_columns)` booleans, the right pairs, framed; the diagonal by default.
        digits: decimals in the cells, with their sign; more than 12 columns get none.
        per_line: panels beside one another.
    """
    arrays = {name: np.asarray(values, dtype=float) for name, values in gradients.items()}
    shapes = {values.shape for values in arrays.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise RetrievalInputError(f"expected matrices of one shape, got {sorted(shapes) or 'none'}")
    shape = shapes.pop()
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise RetrievalInputError(f"{name!r} must hold finite values")
    marks = np.eye(*shape, dtype=bool) if marks is None else np.asarray(marks)
    rows, columns = _names(rows, shape[0]), _names(columns, shape[1])
    if (len(rows) or shape[0], len(columns) or shape[1]) != shape or marks.shape != shape:
        got = f"{(len(rows), len(columns))} and {marks.shape}"
        raise RetrievalInputError(f"names and marks must have shape {shape}, got {got}")
    width = min(per_line, len(arrays))
    lines = -(-len(arrays) // width)
    wide = max(4.2, 1.0 + 0.95 * min(shape[1], 6))
    axes = panels(lines, width, width=min(wide, WIDEST / width), height=4.4)
    reach = max(1e-30, *(np.abs(values).max() for values in arrays.values()))
    for at, (ax, (name, values)) in enumerate(zip(axes, arrays.items(), strict=False)):
        picture = ax.imshow(values, cmap=FORCE_MAP, vmin=-reach, vmax=reach, aspect="auto")
        ax.grid(False)
        name_ticks(ax, columns, "x")
        name_ticks(ax, rows if at % width == 0 else [""] * len(rows), "y")
        if shape[1] <= MAX_WRITTEN:
            for i, j in np.ndindex(shape):
                ink = "white" if abs(values[i, j]) > 0.6 * reach else "black"
                text = _signed(values[i, j], digits)
                ax.text(j, i, text, ha="center", va="center", color=ink, fontsize=12)
            for i, j in np.argwhere(marks):
                frame_cell(ax, i, j, COLOURS[6], width=2)
        labelled(ax, xlabel, ylabel if at % width == 0 else "", name)
    for ax in axes[len(arrays) :]:
        ax.set_axis_off()
    add_colour_bar(picture, axes, "- pulls together     + pushes apart")
    return axes[0].figure


def _names(names: Sequence[str | np.ndarray] | None, length: int) -> list:
    if names is not None:
        return list(names)
    return [str(i) for i in range(length)] if length <= MAX_WRITTEN else []


def _signed(value: float, digits: int) -> str:
    """Format a value with its sign, and as a bare 0 where no decimal is left."""
    text = f"{value:+.{digits}f}"
    return "0" if float(text) == 0 else text
