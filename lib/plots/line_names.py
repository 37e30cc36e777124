"""Names of lines beside their ends, instead of a legend: apart, in the colour of the line."""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from lib.plots.lettering import wrap_text
from lib.plots.style import LINE_NAME, STYLE

MOST_NAMED = 4  # lines that are named beside their ends; more get a legend
WIDEST = 2.1  # inches of a name; longer ones are wrapped
GAP = 10  # points from the axes to the names
FAR = 24  # points between the end of a line and its name, from which on a thin line joins them


def name_lines(ax: Axes, lines: Sequence[Line2D]) -> None:
    """Write the names of lines right of the axes, at the height of their last points."""
    size = STYLE["legend.fontsize"]
    ax.add_artist(_Arranger(ax))  # before the names, so that it places them first
    for line in lines:
        points = line.get_xydata()
        known = points[np.isfinite(points).all(axis=1)]
        joint = {"arrowstyle": "-", "color": line.get_color(), "lw": 1, "shrinkA": 1, "shrinkB": 5}
        ax.annotate(
            wrap_text(line.get_label(), WIDEST, size), known[-1] if len(known) else (0, 0),
            (GAP, 0), textcoords="offset points", fontsize=size, color=line.get_color(),
            va="center", annotation_clip=False, gid=LINE_NAME, parse_math=False, linespacing=1.1,
            arrowprops=joint,
        )  # fmt: skip


class _Arranger(Artist):
    """Places the names whenever the figure is drawn: limits and sizes may have changed."""

    def __init__(self, ax: Axes) -> None:
        super().__init__()
        self.host = ax
        self.set_clip_on(False)  # what is clipped to the axes takes no part in the layout

    def draw(self, renderer) -> None:
        names = [text for text in self.host.texts if text.get_gid() == LINE_NAME]
        ends = np.array([self.host.transData.transform(text.xy) for text in names])
        if not names:
            return
        points = 72 / self.host.figure.dpi
        heights = np.array([1.25 * t.get_fontsize() * len(t.get_text().split("\n")) for t in names])
        places = spread_apart(ends[:, 1], heights / points)
        edge = self.host.get_window_extent(renderer).x1
        for text, (x, y), place in zip(names, ends, places, strict=True):
            shift = (edge - x) * points + GAP, (place - y) * points
            text.set_position(shift)
            text.arrow_patch.set_visible(np.hypot(*shift) > FAR)

    def get_tightbbox(self, renderer=None) -> Bbox:
        self.draw(renderer)
        return Bbox.null()


def spread_apart(wanted: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Move places as little as possible (least squares) until things of these heights are apart."""
    order = np.argsort(wanted, kind="stable")
    tall = heights[order]
    below = np.concatenate([[0], np.cumsum((tall[1:] + tall[:-1]) / 2)])
    blocks: list[list[float]] = []  # sum and number of neighbours that touch
    for value in wanted[order] - below:
        blocks.append([float(value), 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, n = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += n
    level = np.concatenate([np.full(int(n), total / n) for total, n in blocks])
    places = np.empty(len(wanted))
    places[order] = level + below
    return places
