"""Runs: order, ties, stages, and refused input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.search.base import Run, Work, best_first, merge_best
from tests.search.fakes import sorted_by_definition

ROWS = st.lists(st.integers(-3, 3), min_size=1, max_size=40)


@settings(deadline=None)
@given(ROWS, st.data())
def test_best_first_is_a_stable_sort_cut_off(row, data):
    scores, k = np.float32([row]), data.draw(st.integers(1, len(row)))
    sorted_scores, ids = best_first(scores, np.arange(len(row))[None], k)
    expected = sorted_by_definition(scores)[:, :k]
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_array_equal(sorted_scores, np.take_along_axis(scores, expected, axis=1))


def test_hits_of_several_searches_are_merged():
    one = np.float32([0.9, 0.5, 0.1]), np.array([4, 7, -1])
    two = np.float32([0.5, 0.95]), np.array([2, 9])
    scores, ids = merge_best([one, two], 3)
    assert ids.tolist() == [9, 4, 2] and scores.tolist() == pytest.approx([0.95, 0.9, 0.5])
    assert merge_best([one, two], 10)[1].tolist() == [9, 4, 2, 7]
    nothing = np.empty(0, np.float32), np.empty(0, np.int64)
    assert merge_best([nothing, nothing], 5)[1].shape == (0,)


def test_missing_items_come_last_whatever_stands_in_their_place():
    scores, ids = np.float32([[np.nan, 1, 9, -2]]), np.array([[-1, 7, -1, 4]])
    sorted_scores, order = best_first(scores, ids, 4)
    assert order.tolist() == [[7, 4, -1, -1]] and sorted_scores.tolist() == [
        [1, -2, -np.inf, -np.inf]
    ]


def test_negative_zero_ties_with_zero():
    assert best_first(np.float32([[-0.0, 0.0]]), np.array([[3, 1]]), 2)[1].tolist() == [[1, 3]]


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_refuses_a_score_without_a_place(wrong):
    with pytest.raises(RetrievalInputError, match="score of query 1 and item 5 is"):
        best_first(np.float32([[1, 2], [1, wrong]]), np.array([[4, 5], [4, 5]]), 1)


def test_top_keeps_the_work_and_describe_says_it_all():
    run = Run(
        np.float32([[2, 0.5, 0.4]]),
        np.array([[4, 1, 0]]),
        np.int8([[2, 1, 1]]),
        ("cosine", "logit"),
        (Work("dual encoder", 1000, 1000), Work("cross-encoder", 1, 0)),
    )
    assert run.top(2).ids.tolist() == [[4, 1]] and run.top(2).work == run.work
    assert run.describe() == (
        "1 queries x 3 items, ranked by logit, below that by cosine "
        "(dual encoder: 1,000 pairs, 1,000 products; cross-encoder: 1 pairs, 0 products)"
    )
    assert run.top(1).describe().startswith("1 queries x 1 items, ranked by logit (")
    with pytest.raises(RetrievalInputError, match="k must be between 1 and 3"):
        run.top(4)


def test_refuses_arrays_that_do_not_fit():
    with pytest.raises(RetrievalInputError, match="must share a shape"):
        Run(np.zeros((1, 2)), np.zeros((1, 3), int), np.ones((1, 3), np.int8), ("cosine",))
    with pytest.raises(RetrievalInputError, match=r"stages must lie in 0..1"):
        Run(np.zeros((1, 2)), np.zeros((1, 2), int), np.full((1, 2), 2, np.int8), ("cosine",))
