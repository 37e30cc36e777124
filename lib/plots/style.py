"""The suite's style, and what every figure shares."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from lib.core.writing import atomic_path

# Okabe and Ito (2008), ordered by contrast on white; the yellow is left out, it vanishes on a
# projector.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (3, 1)), (0, (1, 1)))
# Sequential, monotonous in lightness, and the same in grey.
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

# Decorates every function that draws, so that figures look the same whether or not `use_style` was
# called.
styled = mpl.rc_context(STYLE)


def use_style() -> None:
    """Makes the suite's style the default for figures that a notebook draws with matplotlib
    itself.
    """
    plt.rcParams.update(STYLE)


def show() -> None:
    """Puts the open figures on the page now, so that the sentence after this line stands under
    them.
    """
    plt.show()


def save(figure: Figure | Axes, path: str | Path) -> Path:
    """Writes a figure as PNG, whole or not at all, closes it, and returns the path."""
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
    """Returns `rows * columns` axes of one figure in reading order; a panel is `width` by `height`
    inches.
    """
    _, axes = plt.subplots(rows, columns, figsize=(width * columns, height * rows), squeeze=False)
    return list(axes.ravel())


@styled
def one_legend(axes: Sequence[Axes]) -> Legend:
    """Gives panels that show the same series one legend, to the right of them all, in place of
    their own.
    """
    for ax in axes:
        if ax.get_legend() is not None:
            ax.get_legend().remove()
    handles, names = axes[0].get_legend_handles_labels()
    # Outside: over the data of one panel, it would hide some of it sooner or later.
    return axes[0].figure.legend(
        handles, names, loc="outside right upper", fontsize=STYLE["legend.fontsize"]
    )


def new_axes(ax: Axes | None, size: tuple[float, float] | None = None) -> Axes:
    if ax is not None:
        return ax
    return plt.subplots(figsize=size or STYLE["figure.figsize"])[1]


def labelled(ax: Axes, xlabel: str, ylabel: str, title: str | None) -> Axes:
    """Names the axes. Sizes are set on them, since ticks are made later, when the style is not
    active.
    """
    ax.tick_params(labelsize=STYLE["xtick.labelsize"])
    ax.set_xlabel(xlabel, fontsize=STYLE["axes.labelsize"])
    ax.set_ylabel(ylabel, fontsize=STYLE["axes.labelsize"])
    if title:
        ax.set_title(title, fontsize=STYLE["axes.titlesize"], loc="left")
    return ax


def looks() -> Iterator[tuple]:
    return itertools.cycle(zip(COLOURS, MARKERS, DASHES, strict=True))
