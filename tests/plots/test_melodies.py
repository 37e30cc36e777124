"""Figures of melodies: lines with gaps, notes as bars, a path through a table."""

import numpy as np
import pytest

from lib import plots
from lib.core.checks import RetrievalInputError

NOTES = (np.array([0.0, 1.0]), np.array([1.0, 0.5]), np.array([60.0, 63.0]))
LABELS = {"xlabel": "tune", "ylabel": "hum", "label": "cost"}


def test_traces_have_no_markers_and_marks_have_names():
    ax = plots.traces(
        {"a": ([0, 1, 2], [1, np.nan, 2]), "b": ([0, 1], [0, 1])}, xlabel="s", ylabel="p",
        marks={"here": (1, 2)},
    )  # fmt: skip
    assert [line.get_marker() for line in ax.lines] == ["", "", "v"]
    assert [text.get_text() for text in ax.texts] == ["here"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["a", "b"]


def test_notes_are_bars_at_their_pitches_with_names():
    ax = plots.note_bars({"written": NOTES, "heard": NOTES})
    bars = [bar for container in ax.containers for bar in container]
    assert [(bar.get_x(), bar.get_width()) for bar in bars[:2]] == [(0, 1), (1, 0.5)]
    assert bars[2].get_height() < bars[0].get_height()
    assert ax.get_yticklabels()[0].get_text() == plots.tone_name(60) == "C4"


def test_the_path_goes_through_its_cells():
    ax = plots.warping(np.eye(2), [(0, 0), (1, 1)], rows="ab", columns="cd", **LABELS)
    assert ax.lines[-1].get_xydata().tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plots.traces({}, xlabel="", ylabel=""), "series must be 1 to 7, got 0"),
        (lambda: plots.traces({"a": ([0], [1, 2])}, xlabel="", ylabel=""), "one length, got 1"),
        (lambda: plots.note_bars({}), "voices must be 1 to 3, got 0"),
        (
            lambda: plots.warping(np.eye(2), [(0, 2)], rows="ab", columns="cd", **LABELS),
            "path must hold cells",
        ),
    ],
)
def test_bad_figures(draw, message):
    with pytest.raises(RetrievalInputError, match=message):
        draw()
