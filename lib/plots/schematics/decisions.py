"""Decisions: a flow chart of questions, answers and results, for example to choose an index."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lib.core.checks import RetrievalInputError
from lib.plots.lettering import width_of
from lib.plots.schematics.canvas import (
    GREY,
    NORMAL,
    SMALL,
    WIDTH,
    arrow,
    box,
    described,
    new_canvas,
    write,
)
from lib.plots.style import styled

ROW = 1.12  # inches from one result to the next
LONGEST = 5  # boxes from the first question to a result


@styled
def flow_chart(
    questions: Mapping[str, Mapping[str, str]], *, notes: Mapping[str, str] | None = None
) -> Figure:
    """Draw a tree of decisions from left to right: questions are grey, results are green.

        plots.flow_chart({
            "Must every neighbour be found?": {"yes": "Flat", "no": "Does it fit in memory?"},
            "Does it fit in memory?": {"yes": "HNSW", "no": "IVF-PQ"},
        })

    Args:
        questions: question to `{answer: next question, or result}`; the first one is the root.
        notes: a small line for some questions or results.
    """
    if not questions:
        raise RetrievalInputError("questions must hold at least one question, got none")
    root, notes = next(iter(questions)), notes or {}
    asked: list[str] = []
    leaves: list[tuple[int, str]] = []
    places: dict[tuple[str, ...], tuple[int, float]] = {}

    def lay_out(name: str, trail: tuple[str, ...]) -> float:
        """Give a box its column and row, its answers first, and return the row."""
        if name in questions:
            if name in asked:
                raise RetrievalInputError(
                    f"questions must be a tree, but two answers lead to {name!r}"
                )
            asked.append(name)
            if not questions[name]:
                raise RetrievalInputError(f"questions must have answers, got none for {name!r}")
            rows = [lay_out(after, (*trail, answer)) for answer, after in questions[name].items()]
            row = (rows[0] + rows[-1]) / 2
        else:
            row = float(len(leaves))
            leaves.append((len(trail), name))
        places[trail] = (len(trail), row)
        return row

    lay_out(root, ())
    unused = [name for name in questions if name not in asked]
    if unused:
        raise RetrievalInputError(
            f"questions must be reached by an answer; none leads to {unused[0]!r}"
        )
    columns = 1 + max(column for column, _ in places.values())
    if columns > LONGEST:
        raise RetrievalInputError(
            f"questions must lead to a result in {LONGEST - 1}, got {columns - 1}"
        )
    answers = [answer for after in questions.values() for answer in after]
    gap = max(0.75, max(width_of(answer, SMALL) for answer in answers) + 0.5)
    wide = min(2.9, (WIDTH - 0.3 - gap * (columns - 1)) / columns)
    figure, ax = new_canvas(ROW * len(leaves) + 0.2)
    left = (WIDTH - columns * wide - (columns - 1) * gap) / 2
    _draw_tree(ax, questions, root, (), places, notes, (left, wide, gap, len(leaves)))
    asked_of = "one question" if len(questions) == 1 else f"{len(questions)} questions"
    results = ", ".join(dict.fromkeys(name for _, name in leaves))
    first = " or ".join(f"{answer}: {after}" for answer, after in questions[root].items())
    return described(
        figure,
        f"A flow chart of {asked_of} that leads to {results}. It starts with “{root}” ({first}).",
    )


def _draw_tree(ax: Axes, questions, name, trail, places, notes, sizes) -> None:
    left, wide, gap, n = sizes

    def centre(at: tuple[str, ...]) -> np.ndarray:
        column, row = places[at]
        x = left + wide / 2 + column * (wide + gap)
        return np.array([x, 0.1 + ROW * (n - row - 0.5)])

    x, y = centre(trail)
    is_question = name in questions
    look = {"role": "plain"} if is_question else {"role": "score", "weight": "bold"}
    size = NORMAL if wide > 2 else SMALL
    box(ax, x, y, wide, ROW - 0.18, name, size=size, note=notes.get(name, ""), **look)
    for answer, after in (questions[name] if is_question else {}).items():
        end = centre((*trail, answer))
        elbow, start, stop = x + wide / 2 + 0.18, x + wide / 2, end[0] - wide / 2 - 0.05
        ax.plot([start, elbow, elbow], [y, y, end[1]], color=GREY, lw=2, ls="-", marker="")
        arrow(ax, (elbow, end[1]), (stop, end[1]), width=2)
        middle = (elbow + stop) / 2 - 0.04
        write(ax, middle, end[1] + 0.16, answer, SMALL, weight="bold")
        _draw_tree(ax, questions, after, (*trail, answer), places, notes, sizes)
