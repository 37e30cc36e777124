"""Answers are compared by value, shape and kind."""

import re

import numpy as np
import pytest

from lib.course.assignments.judging import problem_of

RIGHT = [
    (2, 2), (2.0, 2), (np.array([2.0]), 2), ([1, 2], np.array([1, 2])), ((1.0, 2.0), (1, 2)),
    (np.array([1.0, 2.0]), (1.0, 2.0)), (1.000001, 1.0), ([], np.zeros((0, 2), int)[:, 0]),
    ([True, False], np.array([True, False])), ([1, 0], np.array([True, False])), ("a", "a"),
    (float("nan"), float("nan")), (None, None),
]  # fmt: skip
WRONG = [
    (None, 2, "returned None"),
    (3, 2, "1 of 1 values"),
    (1.001, 1.0, "1 of 1 values"),
    ([1, 2, 4], np.array([1, 2, 3]), "1 of 3 values"),
    ([[1, 2]], np.array([1, 2]), r"shape \(1, 2\)"),
    ("2", 2, "numbers were expected"),
    ([[1], [1, 2]], np.array([1, 2]), "cannot be read"),
    (np.nan, 1.0, "not finite"),
    (np.inf, 1.0, "not finite"),
    ([], np.array([1]), "shape"),
    ((1, 3), (1, 2), "part 2"),
    ((1, 2, 3), (1, 2), "2 parts"),
    (1, (1, 2), "2 parts"),
    ({"a": 1}, 1, "numbers were expected"),
    ("b", "a", "another text"),
    (1.5, 1, "1 of 1 values"),
]


@pytest.mark.parametrize("answer, right", RIGHT, ids=str)
def test_right_answers(answer, right):
    assert problem_of(answer, right) == ""


@pytest.mark.parametrize("answer, right, message", WRONG, ids=str)
def test_wrong_answers(answer, right, message):
    assert re.search(message, problem_of(answer, right))


def test_the_problem_does_not_tell_the_right_values():
    assert "31.25" not in problem_of(np.zeros(3), np.full(3, 31.25))
