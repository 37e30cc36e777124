"""Draw many models on many corpora: one panel a corpus, a dot with its interval for each score."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.core.checks import RetrievalInputError
from lib.plots.lettering import wrap_text
from lib.plots.style import COLOURS, MARKERS, STYLE, labelled, styled

WIDTH = 11.0  # inches: 1100 pixels
ACROSS = 2  # panels in a row
NAMES = 2.3  # inches for the names of models
RANKS = ("MedR", "MeanR")


@styled
def model_scores(rows: Sequence[Mapping], models: Sequence[str] | None = None) -> Figure:
    """Draw the scores of models by corpus, with 95% intervals; first model on top.

    Directions of one corpus share a panel; each has another colour and another marker.

    Args:
        rows: of model, corpus, direction, metric, value, low, high; values are fractions, those of
            MedR and MeanR are ranks; low and high may be NaN.
        models: order of the models, also of such without a score; by default as in the rows.
    """
    if not rows:
        raise RetrievalInputError("there are no scores to draw")
    models = list(dict.fromkeys(models or [row["model"] for row in rows]))
    unknown = [row["model"] for row in rows if row["model"] not in models]
    if unknown:
        raise RetrievalInputError(f"models must hold {unknown[0]!r}, which has a score")
    corpora = list(dict.fromkeys(row["corpus"] for row in rows))
    across = min(ACROSS, len(corpora))
    down = math.ceil(len(corpora) / across)
    most = max(len(_series(rows, corpus)) for corpus in corpora)
    height = 1.35 + 0.3 * most + max(0.55, 0.26 * most) * len(models)
    figure, grid = plt.subplots(
        down, across, figsize=(WIDTH, down * height), squeeze=False, sharey=True
    )
    figure.get_layout_engine().set(wspace=0.06)  # for numbers at the ends of two axes
    panels = list(grid.ravel())
    for ax, corpus in zip(panels, corpora, strict=False):
        _draw_corpus(ax, [row for row in rows if row["corpus"] == corpus], models, corpus)
    for ax in panels[len(corpora) :]:
        ax.axis("off")
    for row in grid:
        names = [wrap_text(model, NAMES, STYLE["ytick.labelsize"], 2) for model in models]
        row[0].set_yticks(range(len(models)), names)
    grid[0, 0].set_ylim(len(models) - 0.4, -0.6)
    return figure


def _series(rows: Sequence[Mapping], corpus: str) -> list[tuple[str, str]]:
    """List direction and metric of each series of a corpus."""
    of_corpus = (row for row in rows if row["corpus"] == corpus)
    return list(dict.fromkeys((row["direction"], row["metric"]) for row in of_corpus))


def _draw_corpus(ax: Axes, rows: Sequence[Mapping], models: Sequence[str], corpus: str) -> None:
    series = _series(rows, corpus)
    for number, (direction, metric) in enumerate(series):
        shift = 0.3 * (number - (len(series) - 1) / 2)
        scale = 1 if metric in RANKS else 100
        drawn = [row for row in rows if (row["direction"], row["metric"]) == (direction, metric)]
        values = [scale * row["value"] for row in drawn]
        ends = [[scale * row[end] for row in drawn] for end in ("low", "high")]
        ends = [
            [value if math.isnan(end) else end for value, end in zip(values, side, strict=True)]
            for side in ends
        ]
        reach = [
            [max(value - end, 0) for value, end in zip(values, ends[0], strict=True)],
            [max(end - value, 0) for value, end in zip(values, ends[1], strict=True)],
        ]
        ax.errorbar(
            values, [models.index(row["model"]) + shift for row in drawn], xerr=reach,
            fmt=MARKERS[number % len(MARKERS)], color=COLOURS[number % len(COLOURS)],
            mfc="white" if number % 2 else None, mew=2.0, capsize=5, elinewidth=2.0, markersize=8,
            label=f"{direction.replace('_', ' ')}, {metric}",
        )  # fmt: skip
    for at, model in enumerate(models):
        if not any(row["model"] == model for row in rows):
            place = ax.get_yaxis_transform()
            ax.text(0.02, at, "no result", transform=place, va="center", color="0.35", fontsize=12)
    unit = "rank" if all(metric in RANKS for _, metric in series) else "%"
    ax.margins(x=0.08)
    low, high = ax.get_xlim()
    if unit == "%":
        low, high = _limits(low, high)
    ax.set_xlim(low, high)
    ax.set_xticks([tick for tick in ax.get_xticks() if low <= tick <= high])
    ax.legend(
        fontsize=12, loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2, frameon=False
    )
    labelled(ax, f"score ({unit}, 95% interval)", "", None)
    ax.set_title(corpus, fontsize=STYLE["axes.titlesize"], loc="left", pad=8 + 21 * len(series))


def _limits(low: float, high: float) -> tuple[float, float]:
    """Widen limits in percent to ten points, but hardly beyond 0 and 100."""
    middle = min(max((low + high) / 2, 5), 95)
    return max(min(low, middle - 5), -2), min(max(high, middle + 5), 102)
