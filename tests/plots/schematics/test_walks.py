"""The tower of an HNSW: nodes and links of each level, and the visits in their order."""

import numpy as np
import pytest
from matplotlib.patches import Circle, FancyArrowPatch, Polygon

from lib import plots
from lib.core.checks import RetrievalInputError

POINTS = np.array([[0.0, 0.0], [1.0, 0.1], [2.0, 0.9], [2.9, 0.2], [0.2, 1.0]])
LEVELS = [[0, 1, 2, 3, 4], [0, 3]]
LINKS = [
    np.array([[1, 4], [0, 2], [1, 3], [2, -1], [0, -1]]),
    np.array([[3, -1], [-1, -1], [-1, -1], [0, -1], [-1, -1]]),
]
QUERY = [2.2, 0.6]
PATH = [(1, 0), (1, 3), (0, 3), (0, 2)]


def drawn(**options):
    return plots.hnsw_levels(POINTS, LEVELS, LINKS, QUERY, PATH, **options)


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def of_kind(figure, kind) -> list:
    return [patch for patch in figure.axes[0].patches if isinstance(patch, kind)]


def test_levels_links_and_visits_are_drawn_once(check_lettering):
    figure = drawn()
    assert len(of_kind(figure, Polygon)) == 2 and len(of_kind(figure, FancyArrowPatch)) == 3
    lines = [line for line in figure.axes[0].lines if line.get_marker() == ""]
    assert len(lines) == 4 + 1
    assert [t for t in texts(figure) if t.isdigit()] == ["1", "2", "3", "4"]
    assert {"5 nodes", "2 nodes", "level 1"} <= set(texts(figure))
    assert texts(figure).count("2 visited") == 2
    assert "node 0 on level 1, 3 on level 1, 3 on level 0, 2 on level 0" in plots.description(
        figure
    )
    check_lettering(figure)


def test_a_walk_can_be_drawn_step_by_step():
    assert [len(of_kind(drawn(steps=n), Circle)) for n in range(5)] == [0, 1, 2, 3, 4]
    assert "has not begun" in plots.description(drawn(steps=0))


def test_going_down_a_level_is_a_dashed_arrow_straight_down():
    down = [arrow for arrow in of_kind(drawn(), FancyArrowPatch) if arrow.get_linestyle() == "--"]
    (start, end) = down[0]._posA_posB
    assert len(down) == 1 and start[0] == pytest.approx(end[0]) and start[1] > end[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"links": LINKS[:1]}, "equally many, 1 to 4, got 2 and 1"),
        ({"path": [(1, 2)]}, "got node 2 on level 1"),
        ({"path": [(2, 0)]}, "got node 0 on level 2"),
        ({"steps": 5}, "steps must be 0 to 4"),
        ({"points": POINTS[:, :1]}, r"points has shape \(5, 1\)"),
    ],
)
def test_what_cannot_be_drawn_is_refused(change, message):
    options = {"points": POINTS, "levels": LEVELS, "links": LINKS, "query": QUERY, "path": PATH}
    with pytest.raises(RetrievalInputError, match=message):
        plots.hnsw_levels(**(options | change))
