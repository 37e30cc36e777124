"""Pipelines: steps from left to right, and the way back."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from lib.core.checks import RetrievalInputError, check_choices
from lib.plots.lettering import height_of, wrap_text
from lib.plots.schematics.canvas import (
    GREY,
    ROLES,
    SMALL,
    WIDTH,
    arrow,
    box,
    described,
    new_canvas,
    write,
)
from lib.plots.style import styled

MOST_STEPS = 6
TALL = 0.9  # inches of a step
NOTE_LINES = 4


@styled
def pipeline(
    steps: Mapping[str, str], *, roles: Sequence[str] | None = None, again: str = ""
) -> Figure:
    """Draw steps from left to right, with a note under each.

        plots.pipeline({"folder": "files", "encode": "a vector each"}, again="only what is new")

    Args:
        steps: name to note; 2 to 6 of them.
        roles: a colour for each, see `ROLES`; grey when None.
        again: text on a dashed arrow from the last step back to the first; none when empty.
    """
    if not 2 <= len(steps) <= MOST_STEPS:
        raise RetrievalInputError(f"steps must be 2 to {MOST_STEPS}, got {len(steps)}")
    roles = ["plain"] * len(steps) if roles is None else check_choices(roles, ROLES, "roles")
    if len(roles) != len(steps):
        raise RetrievalInputError(f"roles must be one for each of {len(steps)} steps: {roles}")
    gap = 0.42
    wide = (WIDTH - 0.2 - gap * (len(steps) - 1)) / len(steps)
    notes = [wrap_text(note, wide + 0.15, SMALL, NOTE_LINES) for note in steps.values()]
    below = height_of(max(note.count("\n") + 1 for note in notes), SMALL)
    over = 0.75 if again else 0.1
    figure, ax = new_canvas(over + TALL + below + 0.25)
    y = below + 0.2 + TALL / 2
    centres = 0.1 + wide / 2 + (wide + gap) * np.arange(len(steps))
    for x, name, note, role in zip(centres, steps, notes, roles, strict=True):
        box(ax, x, y, wide, TALL, name, role, weight="bold")
        write(ax, x, y - TALL / 2 - 0.1, note, SMALL, va="top", color=GREY)
    for left, right in zip(centres, centres[1:]):
        arrow(ax, (left + wide / 2 + 0.04, y), (right - wide / 2 - 0.04, y))
    if again:
        top = y + TALL / 2
        look = {"color": GREY, "lw": 2, "ls": "--", "marker": ""}
        first, last = centres[0], centres[-1]
        ax.plot([last, last, first], [top + 0.05, top + 0.3, top + 0.3], **look)
        arrow(ax, (first, top + 0.3), (first, top + 0.04), width=2)
        write(ax, (first + last) / 2, top + 0.5, again, SMALL, color=GREY)
    said = ", then ".join(f"{name} ({note})" if note else name for name, note in steps.items())
    back = f" From the end back to the start: {again}." if again else ""
    return described(figure, f"{len(steps)} steps: {said}.{back}")
