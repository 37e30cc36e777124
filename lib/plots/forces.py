"""Gradient matrices side by side: which pairs a loss pulls together, which it pushes apart, how
hard.
"""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from lib.core.checks import RetrievalInputError
from lib.plots.style import COLOURS, STYLE, labelled, panels, styled

# Purple pulls, orange pushes, white does neither: as far apart in grey and to every kind of colour
# vision.
FORCE_MAP = "PuOr_r"
MAX_WRITTEN = 12


@styled
def forces(
    gradients: Mapping[str, np.ndarray],
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    xlabel: str = "keys",
    ylabel: str = "queries",
    marks: np.ndarray | None = None,
    digits: int = 3,
    per_line: int = 3,
    shared: bool = True,
) -> Figure:
    """Shows the gradient of a loss on its logits, one panel per setting: + pushes apart, - pulls
    together.

    Args:
        gradients: title to `(n_rows, n_columns)`, dL/ds or dL/dc, all of one shape.
        rows, columns: names along the axes; positions by default, none for more than 12.
        xlabel, ylabel: what the axes are.
        marks: `(n_rows, n_columns)` booleans, the right pairs, framed; the diagonal by default.
        digits: decimals in the cells, with their sign; more than 12 columns get none.
        per_line: panels beside one another.
        shared: whether all panels share one colour scale, so that sizes compare; otherwise each has
            its own.

    Returns:
        The figure.

    Raises:
        RetrievalInputError: no matrices, different shapes, values that are not finite, or names or
            marks that do not fit.
    """
    arrays = {name: np.asarray(values, dtype=float) for name, values in gradients.items()}
    shapes = {values.shape for values in arrays.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise RetrievalInputError(f"expected matrices of one shape, got {sorted(shapes) or 'none'}")
    shape = shapes.pop()
    for name, values in arrays.items():
        if not np.isfinite(values).all():
            raise RetrievalInputError(
                f"{name!r} holds values that are not finite, which cannot be drawn"
            )
    marks = np.eye(*shape, dtype=bool) if marks is None else np.asarray(marks)
    rows, columns = _names(rows, shape[0]), _names(columns, shape[1])
    if (len(rows) or shape[0], len(columns) or shape[1]) != shape or marks.shape != shape:
        raise RetrievalInputError(
            f"the matrices have shape {shape}, the names say {(len(rows), len(columns))}, marks"
            f" {marks.shape}"
        )
    width = min(per_line, len(arrays))
    lines = -(-len(arrays) // width)
    axes = panels(lines, width, width=max(4.2, 1.0 + 0.95 * min(shape[1], 6)), height=4.4)
    largest = {name: max(np.abs(values).max(), 1e-30) for name, values in arrays.items()}
    for ax, (name, values) in zip(axes, arrays.items(), strict=False):
        reach = max(largest.values()) if shared else largest[name]
        picture = ax.imshow(values, cmap=FORCE_MAP, vmin=-reach, vmax=reach, aspect="auto")
        ax.grid(False)
        ax.set_xticks(range(len(columns)), columns)
        ax.set_yticks(range(len(rows)), rows)
        if shape[1] <= MAX_WRITTEN:
            for i, j in np.ndindex(shape):
                ink = "white" if abs(values[i, j]) > 0.6 * reach else "black"
                text = _signed(values[i, j], digits)
                ax.text(j, i, text, ha="center", va="center", color=ink, fontsize=12)
            for i, j in np.argwhere(marks):
                corner = (j - 0.46, i - 0.46)
                frame = mpl.patches.Rectangle(corner, 0.92, 0.92, fill=False, ec=COLOURS[6], lw=2)
                ax.add_patch(frame)
        labelled(ax, xlabel, ylabel, name)
    for ax in axes[len(arrays) :]:
        ax.set_axis_off()
    if shared:
        bar = axes[0].figure.colorbar(picture, ax=axes)
        bar.set_label("- pulls together     + pushes apart", fontsize=STYLE["axes.labelsize"])
        bar.ax.tick_params(labelsize=STYLE["ytick.labelsize"])
    return axes[0].figure


def _names(names: Sequence[str] | None, length: int) -> list[str]:
    if names is not None:
        return [str(name) for name in names]
    return [str(i) for i in range(length)] if length <= MAX_WRITTEN else []


def _signed(value: float, digits: int) -> str:
    """With its sign, and a bare 0 where nothing is left of it at that many decimals."""
    text = f"{value:+.{digits}f}"
    return "0" if float(text) == 0 else text
