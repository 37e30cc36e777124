"""Flow charts: a box for each question and each result, and no cycles."""

import pytest
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from lib import plots
from lib.core.checks import RetrievalInputError

INDEX = {
    "Fewer than 50,000 vectors?": {"yes": "Flat", "no": "Do all vectors fit in memory?"},
    "Do all vectors fit in memory?": {"yes": "HNSW", "no": "Is recall 0.9 enough?"},
    "Is recall 0.9 enough?": {"yes": "IVF-PQ", "no": "IVF-PQ and re-ranking"},
}


def test_every_question_and_result_has_a_box_and_every_answer_an_arrow(check_lettering):
    figure = plots.flow_chart(INDEX, notes={"Flat": "exact"})
    patches = figure.axes[0].patches
    assert sum(isinstance(patch, FancyBboxPatch) for patch in patches) == 3 + 4
    assert sum(isinstance(patch, FancyArrowPatch) for patch in patches) == 6
    said = [text.get_text() for text in figure.axes[0].texts]
    assert said.count("yes") == said.count("no") == 3 and "exact" in said
    assert "3 questions that leads to Flat, HNSW, IVF-PQ" in plots.description(figure)
    check_lettering(figure)


def test_boxes_do_not_overlap():
    figure = plots.flow_chart(INDEX)
    boxes = [p.get_bbox() for p in figure.axes[0].patches if isinstance(p, FancyBboxPatch)]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_three_answers_and_a_result_that_is_reached_twice(check_lettering):
    figure = plots.flow_chart({"Length?": {"shorter": "A", "equal": "B", "longer": "A"}})
    assert [t.get_text() for t in figure.axes[0].texts].count("A") == 2
    check_lettering(figure)


@pytest.mark.parametrize(
    ("questions", "message"),
    [
        ({}, "at least one question"),
        ({"a?": {}}, "got none for 'a"),
        ({"a?": {"yes": "a?"}}, "two answers lead to 'a"),
        ({"a?": {"yes": "b"}, "c?": {"yes": "d"}}, "none leads to 'c"),
        ({f"{i}?": {"yes": f"{i + 1}?"} for i in range(5)}, "lead to a result in 4, got 5"),
    ],
)
def test_what_is_no_tree_is_refused(questions, message):
    with pytest.raises(RetrievalInputError, match=message):
        plots.flow_chart(questions)
