"""Figures of indexes: the drawn graph, cells and ellipses are those that were searched."""

import numpy as np
import pytest
from matplotlib.patches import Ellipse

from lib import plots
from lib.core.checks import RetrievalInputError

SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
RING = np.array([[1, 3], [0, 2], [1, -1], [2, -1]])  # 0 - 1 - 2 both ways, 0 -> 3 -> 2 one way


def test_links_both_ways_are_lines_and_the_others_arrows():
    ax = plots.graph(SQUARE, RING)
    drawn = [segment.tolist() for segment in ax.collections[0].get_segments()]
    assert drawn == [SQUARE[[0, 1]].tolist(), SQUARE[[1, 2]].tolist()]
    arrows = [(text.xyann, text.xy) for text in ax.texts]
    assert np.array_equal(arrows, [SQUARE[[0, 3]], SQUARE[[3, 2]]])


def test_where_a_walk_follows_no_link_its_arrow_is_dotted():
    ax = plots.graph(SQUARE, RING, path=[0, 1, 3])
    styles = [text.arrow_patch.get_linestyle() for text in ax.texts if text.arrow_patch is not None]
    assert styles == ["--", "--", "solid", ":"]


def test_a_walk_is_numbered_and_a_node_is_in_the_last_group_that_names_it():
    ax = plots.graph(
        SQUARE, RING, query=(0.9, 0.9), path=[0, 1, 2], marked={"seen": [0, 1, 2], "end": [2]}
    )
    assert [text.get_text() for text in ax.texts if text.get_text()] == ["1", "2", "3"]
    places = {c.get_label(): c.get_offsets().tolist() for c in ax.collections[1:]}
    assert places == {"node": [[0.0, 1.0]], "seen": [[0.0, 0.0], [1.0, 0.0]], "end": [[1.0, 1.0]]}
    markers = [c.get_paths()[0].vertices.shape for c in ax.collections[2:]]
    assert markers[0] != markers[1]  # not told apart by colour alone
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "node",
        "seen",
        "end",
        "query",
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.graph(SQUARE[:, :1], RING), "points has shape .4, 1., expected .n, 2."),
        (
            lambda: plots.graph(SQUARE, RING[:3]),
            "neighbours must have shape .4, degree., got .3, 2.",
        ),
        (lambda: plots.graph(SQUARE, RING + 1), "neighbours holds positions 0 to 4 of 4 points"),
        (lambda: plots.graph(SQUARE, RING, path=[0, 4]), "path holds positions 0 to 4"),
        (lambda: plots.graph(SQUARE, RING, marked={"end": [-1]}), "end holds positions -1 to -1"),
    ],
)
def test_bad_graphs_are_refused(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call()


CENTRES = np.array([[0.0, 0.5], [1.0, 0.5]])


def test_vectors_in_the_cells_that_are_looked_into_stand_out():
    ax = plots.cells(
        SQUARE, CENTRES, query=(0.2, 0.2), probed=[0], marked={"hit": [0], "missed": [1, 2]}
    )
    places = {c.get_label(): np.asarray(c.get_offsets()).tolist() for c in ax.collections}
    assert places["vector looked at"] == [[0.0, 0.0], [0.0, 1.0]]
    assert places["vector"] == [[1.0, 0.0], [1.0, 1.0]]
    assert places["centroid"] == CENTRES.tolist()
    assert places["hit"] == [[0.0, 0.0]] and places["missed"] == [[1.0, 0.0], [1.0, 1.0]]
    assert ax.get_lines()[0].get_xydata().tolist() == [[0.2, 0.2]]


def test_a_border_lies_half_way_between_two_centroids():
    ax = plots.cells(SQUARE, CENTRES)
    border = ax.collections[0].get_paths()[0].vertices
    np.testing.assert_allclose(border[:, 0], 0.5, atol=0.01)


def test_without_a_query_nothing_is_looked_at():
    labels = {c.get_label() for c in plots.cells(SQUARE, CENTRES).collections}
    assert {"vector", "centroid"} <= labels and "vector looked at" not in labels


def test_cells_and_positions_must_exist():
    with pytest.raises(RetrievalInputError, match=r"probed holds positions 2 to 2 of 2"):
        plots.cells(SQUARE, CENTRES, probed=[2])
    with pytest.raises(RetrievalInputError, match=r"hit holds positions"):
        plots.cells(SQUARE, CENTRES, marked={"hit": [4]})
    with pytest.raises(RetrievalInputError, match=r"centroids has shape"):
        plots.cells(SQUARE, CENTRES[:, :1])


# ---- codewords

BOOK = np.array([[2.0, 0.0], [1.0, 1.0], [3.0, 4.0]])


def test_an_ellipse_goes_through_the_chosen_codeword_and_is_flat_along_the_vector():
    ax = plots.allowed_errors((2.0, 2.0), BOOK, [1, 0], [1, 4])
    circle, flat = (patch for patch in ax.patches if isinstance(patch, Ellipse))
    assert circle.width == pytest.approx(circle.height) == pytest.approx(2 * np.sqrt(2))
    # (2, 0) misses by sqrt 2 along and sqrt 2 across: 4 * 2 + 2.
    assert (flat.width, flat.height) == pytest.approx((2 * np.sqrt(10 / 4), 2 * np.sqrt(10)))
    assert flat.angle == pytest.approx(45)
    assert [line.get_xydata()[0].tolist() for line in ax.get_lines()[:2]] == [
        [1.0, 1.0],
        [2.0, 0.0],
    ]
    assert ax.get_lines()[0].get_marker() != ax.get_lines()[1].get_marker()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plots.allowed_errors((0.0, 0.0), BOOK, [0], [1]), "zero and has no direction"),
        (lambda: plots.allowed_errors((1.0, 0.0), BOOK, [3], [1]), "positions 0 to 2"),
        (lambda: plots.allowed_errors((1.0, 0.0), BOOK, [0, 1], [1]), "etas must be 2 numbers"),
        (lambda: plots.allowed_errors((1.0, 0.0), BOOK, [0], [0]), "numbers above 0"),
        (lambda: plots.allowed_errors((1.0, 0.0), BOOK[:, :1], [0], [1]), "codewords has shape"),
    ],
)
def test_bad_codewords_are_refused(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call()
