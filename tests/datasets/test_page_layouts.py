"""Page layouts: shares and overlap by hand, generated pages, rough queries, judgements."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets import page_layouts
from lib.datasets.page_layouts import (
    GRADES,
    LINE,
    PICTURE,
    TEXT,
    Layout,
    cell_shares,
    generate_pages,
    layout_overlap,
    sketch_layout,
)

LEFT = Layout([[0, 0, 0.5, 1]], (TEXT,))
TOP = Layout([[0, 0, 1, 0.5]], (TEXT,))
WHOLE = Layout([[0, 0, 1, 1]], (TEXT,))
PICTURES = Layout([[0, 0, 1, 1]], (PICTURE,))


def test_shares_by_hand():
    layout = Layout([[0, 0, 0.75, 0.5], [0.5, 0.5, 1, 1], [0, 0.5, 1, 0.52]], (TEXT, PICTURE, LINE))
    shares = cell_shares([layout], (2, 2))[0]
    np.testing.assert_allclose(shares[0], [[1, 0.5], [0, 0]])
    np.testing.assert_allclose(shares[1], [[0, 0], [0, 1]])
    np.testing.assert_allclose(shares[2], [[0, 0], [0.04, 0.04]], atol=1e-6)
    twice = Layout([[0, 0, 1, 1], [0, 0, 1, 1]], (TEXT, TEXT))
    assert cell_shares([twice], (2, 2)).max() == 1


def test_overlap_by_hand():
    """Half and half share a quarter of the page and cover three quarters: 1 / 3."""
    found = layout_overlap([LEFT, WHOLE], [TOP, WHOLE, PICTURES, LEFT])
    np.testing.assert_allclose(found, [[1 / 3, 0.5, 0, 1], [0.5, 1, 0, 0.5]], atol=1e-6)


def test_pages_are_the_same_for_one_seed_and_splits_differ():
    pages, again = generate_pages("test", 12), generate_pages("test", 8)
    for one, other in zip(pages, again, strict=False):
        np.testing.assert_array_equal(one.boxes, other.boxes)
        assert one.kinds == other.kinds
    others = generate_pages("validation", 12)
    assert (layout_overlap(pages, others) < 0.999).all()
    counts = [len(page.boxes) for page in pages]
    assert min(counts) >= 1 and max(counts) < 200
    assert {kind for page in generate_pages("test", 40) for kind in page.kinds} == {
        TEXT,
        PICTURE,
        LINE,
    }


@pytest.mark.parametrize("seed", range(8))
def test_a_sketch_is_a_layout_that_resembles_its_page(seed):
    pages = generate_pages("validation", 32)
    sketches = [sketch_layout(page, [seed, i]) for i, page in enumerate(pages)]
    again = sketch_layout(pages[0], [seed, 0])
    np.testing.assert_array_equal(again.boxes, sketches[0].boxes)
    overlap = layout_overlap(sketches, pages)
    assert 0.3 < overlap.diagonal().mean() < 0.8 < 1
    assert overlap.diagonal().mean() > overlap.mean() + 0.15


def test_a_sketch_of_one_box_keeps_it():
    for seed in range(50):
        sketch = sketch_layout(Layout([[0.1, 0.1, 0.12, 0.12]], (PICTURE,)), seed)
        assert sketch.kinds == (PICTURE,)


def test_judgements_follow_the_overlap():
    task = page_layouts.task("test", 40)
    overlap = layout_overlap(task.gallery, task.gallery)
    grades = np.zeros((40, 40), int)
    grades[task.qrels.query_index, task.qrels.items] = task.qrels.grades
    assert (grades.diagonal() == 3).all() and task.hit_grade == 3
    for grade, least in GRADES.items():
        assert (overlap[grades >= grade] >= least).all() and (overlap[grades < grade] < least).all()
    np.testing.assert_array_equal(task.query_groups, np.arange(40) // 4)


@pytest.mark.parametrize(
    ("boxes", "kinds", "message"),
    [
        ([[0, 0, 1, 1]], ("table",), "a kind of a box must be one of"),
        ([[0, 0, 1, 1]], (), "kinds must have an entry for each of 1 boxes, got 0"),
        ([[0, 0, 0, 1]], (TEXT,), r"left < right .* got boxes\[0\]"),
        ([[0, 0, 1, 1], [0, 0.5, 1, 1.5]], (TEXT, TEXT), r"got boxes\[1\]"),
        ([[0, 0, 1, np.nan]], (TEXT,), r"got boxes\[0\]"),
        ([[0, 0, 1]], (TEXT,), "boxes must"),
        (np.empty((0, 4)), (), "boxes"),
    ],
)
def test_what_is_no_layout(boxes, kinds, message):
    with pytest.raises(RetrievalInputError, match=message):
        Layout(np.array(boxes), kinds)


def test_unknown_splits_and_too_many_pages():
    with pytest.raises(RetrievalInputError, match="split must be one of"):
        generate_pages("dev")
    with pytest.raises(RetrievalInputError, match="n_pages must be at most 400, got 401"):
        generate_pages("test", 401)
