"""Style of the suite, and the parts that every figure shares."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.legend import Legend

from lib.core.checks import RetrievalInputError
from lib.core.writing import atomic_path

# Okabe and Ito (2008), ordered by contrast on white, without yellow: it vanishes on a projector.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)), (0, (1, 1)))
# Sequential, monotonous in lightness, and equally readable in grey.
COLOUR_MAP = "cividis"

STYLE = {
    "font.size": 14,
    "axes.titlesize": 15,
    "axes.labelsize": 14,
    "xtick.labelsize": 13,
    "ytick.labelsize": 13,
    "legend.fontsize": 13,
    "figure.figsize": (9.0, 5.0),
    "figure.dpi": 100,
    "savefig.dpi": 100,
    "figure.constrained_layout.use": True,
    "axes.prop_cycle": mpl.cycler(color=COLOURS)
    + mpl.cycler(marker=MARKERS)
    + mpl.cycler(linestyle=DASHES),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.35,
    "lines.linewidth": 2.2,
    "lines.markersize": 8,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "image.cmap": COLOUR_MAP,
    # DejaVu ships with matplotlib, so the figure is the same on every machine.
    "font.family": "DejaVu Sans",
}

LINE_NAME = "name of a line"  # marks the texts that name lines beside their ends

# Decorates every function that draws: figures look the same with and without `use_style`.
styled = mpl.rc_context(STYLE)


def use_style() -> None:
    """Make the suite's style the default for figures drawn with matplotlib itself."""
    plt.rcParams.update(STYLE)


def show() -> None:
    """Show the open figures now: a sentence after this line is printed below them."""
    plt.show()


def save(figure: Figure | Axes, path: str | Path) -> Path:
    """Write a figure as PNG, completely or not at all, close it, and return the path."""
    figure = figure.figure if isinstance(figure, Axes) else figure
    with atomic_path(path) as temporary:
        # matplotlib would put its version into the file; without it, equal figures are equal bytes.
        figure.savefig(temporary, format="png", bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)
    return Path(path)


@styled
def panels(
    rows: int = 1, columns: int = 1, *, width: float = 6.0, height: float = 4.6
) -> list[Axes]:
    """Make `rows * columns` axes of one figure, in reading order; sizes are inches per panel."""
    _, axes = plt.subplots(rows, columns, figsize=(width * columns, height * rows), squeeze=False)
    return list(axes.ravel())


@styled
def one_legend(axes: Sequence[Axes]) -> Legend:
    """Replace the legends of panels with the same series by one legend, right of them all."""
    for ax in axes:
        if ax.get_legend() is not None:
            ax.get_legend().remove()
        for text in [text for text in ax.texts if text.get_gid() == LINE_NAME]:
            text.remove()
    handles, names = axes[0].get_legend_handles_labels()
    # Outside: over the data of one panel, it would hide some of it sooner or later.
    options = {"loc": "outside right upper", "fontsize": STYLE["legend.fontsize"]}
    return axes[0].figure.legend(handles, names, **options)


def new_axes(ax: Axes | None, size: tuple[float, float] | None = None) -> Axes:
    """Return `ax`, or new axes where it is None."""
    if ax is not None:
        return ax
    return plt.subplots(figsize=size or STYLE["figure.figsize"])[1]


def labelled(ax: Axes, xlabel: str, ylabel: str, title: str | None) -> Axes:
    """Label the axes with explicit sizes: ticks are made later, when the style is not active."""
    ax.tick_params(labelsize=STYLE["xtick.labelsize"])
    ax.set_xlabel(xlabel, fontsize=STYLE["axes.labelsize"])
    ax.set_ylabel(ylabel, fontsize=STYLE["axes.labelsize"])
    if title:
        ax.set_title(title, fontsize=STYLE["axes.titlesize"], loc="left")
    return ax


def add_legend(ax: Axes, beside: bool = False, **options) -> None:
    """Add a legend inside the axes, or `beside` them on the right."""
    if beside:
        options |= {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
    ax.legend(fontsize=STYLE["legend.fontsize"], **options)


def add_colour_bar(picture: AxesImage, axes: Axes | list[Axes], label: str) -> None:
    """Add a colour bar beside the axes."""
    figure = (axes[0] if isinstance(axes, list) else axes).figure
    bar = figure.colorbar(picture, ax=axes)
    bar.set_label(label, fontsize=STYLE["axes.labelsize"])
    bar.ax.tick_params(labelsize=STYLE["ytick.labelsize"])


def frame_cell(ax: Axes, row: int, column: int, colour: str, width: float) -> None:
    """Frame one cell of a matrix."""
    corner = (column - 0.46, row - 0.46)
    ax.add_patch(plt.Rectangle(corner, 0.92, 0.92, fill=False, ec=colour, lw=width))


def as_points(points, name: str) -> np.ndarray:
    """Return points as float `(n, 2)`; other shapes are refused."""
    points = np.asarray(points, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2:
        raise RetrievalInputError(f"{name} has shape {points.shape}, expected (n, 2)")
    return points


def looks() -> Iterator[tuple]:
    """Yield (colour, marker, dash) of one series after the other, endlessly."""
    return itertools.cycle(zip(COLOURS, MARKERS, DASHES, strict=True))
