"""Tests of the pictures of indexes: what is drawn is what was searched."""

from __future__ import annotations

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest

from lib import plots
from lib.checks import RetrievalInputError

SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
RING = np.array([[1, 3], [2, -1], [3, -1], [-1, -1]])


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_every_link_is_a_line_between_its_nodes():
    ax = plots.graph(SQUARE, RING)
    drawn = [segment.tolist() for segment in ax.collections[0].get_segments()]
    assert drawn == [SQUARE[[a, b]].tolist() for a, b in [(0, 1), (0, 3), (1, 2), (2, 3)]]


def test_a_walk_is_numbered_and_a_node_is_in_the_last_group_that_names_it():
    ax = plots.graph(SQUARE, RING, query=(0.9, 0.9), path=[0, 1, 2], marked={"seen": [0, 1, 2], "end": [2]})
    assert [text.get_text() for text in ax.texts if text.get_text()] == ["1", "2", "3"]
    places = {c.get_label(): c.get_offsets().tolist() for c in ax.collections[1:]}
    assert places == {"node": [[0.0, 1.0]], "seen": [[0.0, 0.0], [1.0, 0.0]], "end": [[1.0, 1.0]]}
    markers = [c.get_paths()[0].vertices.shape for c in ax.collections[2:]]
    assert markers[0] != markers[1]  # not told apart by colour alone
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["node", "seen", "end", "query"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.graph(SQUARE[:, :1], RING), "points has shape .4, 1., expected .n, 2."),
        (lambda: plots.graph(SQUARE, RING[:3]), "neighbours have shape .3, 2., expected .4, degree."),
        (lambda: plots.graph(SQUARE, RING + 1), "neighbours holds positions 0 to 4 of 4 points"),
        (lambda: plots.graph(SQUARE, RING, path=[0, 4]), "path holds positions 0 to 4"),
        (lambda: plots.graph(SQUARE, RING, marked={"end": [-1]}), "end holds positions -1 to -1"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call()
