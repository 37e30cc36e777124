"""Codewords in the plane: which one a vector gets when errors in some directions count more."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse

from lib.core.checks import RetrievalInputError
from lib.plots.charts import points_of
from lib.plots.style import COLOURS, DASHES, MARKERS, STYLE, labelled, new_axes, styled


@styled
def allowed_errors(
    vector: Sequence[float],
    codewords: np.ndarray,
    chosen: Sequence[int],
    etas: Sequence[float],
    *,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Shows a vector, the codewords it may get, and where its loss is that of the one it gets.

        eta a^2 + b^2 = loss        a along the vector, b across it: an ellipse around the vector

    No codeword lies inside the ellipse of the chosen one, which is flat along the vector when eta
    is above 1.

    Args:
        vector: `(2,)`, not zero; an arrow from the origin.
        codewords: `(n, 2)`.
        chosen: position of the codeword for each eta.
        etas: weights of the error along the vector, above 0.
        title: of the axes.
        ax: axes to draw into.

    Raises:
        RetrievalInputError: a zero vector, codewords that are not `(n, 2)`, a position that does
            not exist, an eta that is not above 0, or another number of them.
    """
    codewords, vector = points_of(codewords, "codewords"), points_of([vector], "vector")[0]
    length = float(np.hypot(*vector))
    if length == 0:
        raise RetrievalInputError("the vector is zero and has no direction")
    if len(chosen) != len(etas) or min(etas, default=1) <= 0:
        raise RetrievalInputError(
            f"{len(chosen)} chosen codewords need as many etas above 0, got {etas}"
        )
    if not all(0 <= at < len(codewords) for at in chosen):
        raise RetrievalInputError(
            f"chosen holds {list(chosen)}; positions are 0 to {len(codewords) - 1}"
        )
    ax = new_axes(ax, (10.0, 5.0))
    ax.annotate(
        "", vector, (0, 0), arrowprops={"arrowstyle": "-|>", "lw": 2.6, "color": "black"}, zorder=4
    )
    ax.scatter(*codewords.T, s=70, color="0.6", zorder=2, label="codeword")
    for at, eta, colour, marker, dash in zip(chosen, etas, COLOURS, MARKERS, DASHES, strict=False):
        residual = codewords[at] - vector
        along = residual @ vector / length
        loss = eta * along**2 + (residual @ residual - along**2)
        ax.add_patch(
            Ellipse(
                vector, 2 * np.sqrt(loss / eta), 2 * np.sqrt(loss), fill=False, lw=2.2, zorder=3,
                angle=float(np.degrees(np.arctan2(*vector[::-1]))), edgecolor=colour, linestyle=dash,
            )
        )  # fmt: skip
        name = f"chosen at eta = {eta:g}, and equal loss"
        ax.plot(
            *codewords[at],
            marker,
            markersize=13,
            color=colour,
            linestyle=dash,
            zorder=5,
            label=name,
        )
    ax.plot(0, 0, marker="+", markersize=14, color="black", mew=2, linestyle="none", label="origin")
    ax.autoscale_view()
    ax.set_aspect("equal", adjustable="box")
    ax.legend(fontsize=STYLE["legend.fontsize"], loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return labelled(ax, "first coordinate", "second coordinate", title)
