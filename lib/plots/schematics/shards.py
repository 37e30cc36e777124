"""Shards: one query goes to every machine, and their lists of hits are merged."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from lib.core.checks import RetrievalInputError
from lib.plots.schematics.canvas import (
    GREY,
    NORMAL,
    SMALL,
    WIDTH,
    arrow,
    box,
    described,
    new_canvas,
    tint,
    write,
)
from lib.plots.style import styled

Hits = Sequence[tuple[str, float]]  # names and scores, best first
MOST_SHARDS, MOST_HITS = 5, 5
ROW, CELL = 1.15, (1.02, 0.62)  # inches from a shard to the next; size of a hit


@styled
def merged_shards(shards: Mapping[str, Hits], k: int, *, query: str = "query") -> Figure:
    """Draw a search over shards: each returns its hits, and the best k of all are the answer.

    Args:
        shards: name of each shard to its hits: names and scores, best first.
        k: hits of the answer.
        query: text of the first box.
    """
    hits = [(-score, name) for found in shards.values() for name, score in found]
    longest = max(map(len, shards.values()), default=0)
    if not 2 <= len(shards) <= MOST_SHARDS or not 1 <= longest <= MOST_HITS:
        raise RetrievalInputError(
            f"shards must be 2 to {MOST_SHARDS}, with 1 to {MOST_HITS} hits each, got"
            f" {[len(found) for found in shards.values()]} hits"
        )
    if not 1 <= k <= min(len(hits), MOST_HITS):
        raise RetrievalInputError(f"k must be 1 to {min(len(hits), MOST_HITS)}, got {k}")
    best = [name for _, name in sorted(hits)[:k]]
    height = max(ROW * len(shards), 0.75 * k) + 0.4
    figure, ax = new_canvas(height)
    rows = height / 2 + ROW * (np.arange(len(shards))[::-1] - (len(shards) - 1) / 2)
    box(ax, 0.85, height / 2, 1.4, 0.8, query, "text")
    first = 4.35  # centre of the first hit of a shard
    for y, (shard, found) in zip(rows, shards.items(), strict=True):
        arrow(ax, (1.6, height / 2), (2.15, y), "text")
        box(ax, 2.95, y, 1.5, 0.8, shard)
        for at, (name, score) in enumerate(found):
            _hit(ax, first + CELL[0] * at, y, name, score, name in best)
        end = first + CELL[0] * (len(found) - 0.5)
        arrow(ax, (end + 0.1, y), (WIDTH - 1.5, height / 2), "score")
    scores = {name: -minus for minus, name in hits}
    for at, name in enumerate(best):
        y = height / 2 + 0.7 * ((k - 1) / 2 - at)
        _hit(ax, WIDTH - 0.85, y, name, scores[name], True)
    write(ax, WIDTH - 0.85, height / 2 + 0.35 * k + 0.12, f"best {k}", SMALL, color=GREY)
    sources = sum(any(name in best for name, _ in found) for found in shards.values())
    return described(
        figure,
        f"A query goes to {len(shards)} shards; each returns its hits, best first. The {k} best of"
        f" all, {', '.join(best)}, come from {sources} of them.",
    )


def _hit(ax, x: float, y: float, name: str, score: float, chosen: bool) -> None:
    """Draw a hit with its score; those of the answer are green."""
    patch = box(ax, x, y, CELL[0] - 0.1, CELL[1], "", "score" if chosen else "plain")
    patch.set_facecolor(tint("score", 0.25) if chosen else "white")
    write(ax, x, y + 0.12, name, NORMAL, weight="bold" if chosen else "normal")
    write(ax, x, y - 0.17, f"{score:.2f}", SMALL, color=GREY)
