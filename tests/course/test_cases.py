"""Cases: how an answer is read, which mistake it is, and the message for any other answer."""

import numpy as np
import pytest

from lib.course.cases import Case, NotStarted, Refusal, Shape, Wrong, any_of, as_array


def message(check, function) -> str | None:
    """Return the message of a check, None where the answer is right."""
    try:
        check(function)
    except Wrong as wrong:
        return f"{wrong.what} | {wrong.hint}"
    return None


DOUBLE = Case(
    (np.array([1.0, -2.0]),),
    np.array([2.0, -4.0]),
    "Add it to itself.",
    {
        "it is the square | Multiply by 2.": [1.0, 4.0],
        "it is one number | Keep the axis.": Shape(()),
        "it is three or four times as much | Twice.": any_of([3.0, -6.0], [4.0, -8.0]),
        "the sign is lost | Mind it.": lambda answer: (answer > 0).all(),
    },
    given="for two numbers",
)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: 2 * x, None),
        (lambda x: [2, -4], None),
        (lambda x: x**2, "it is the square | Multiply by 2."),
        (lambda x: x.sum(), "it is one number | Keep the axis."),
        (lambda x: 4 * x, "it is three or four times as much | Twice."),
        (lambda x: np.abs(2 * x), "the sign is lost | Mind it."),
        (
            lambda x: x,
            "for two numbers it returns [1.0, -2.0], expected [2.0, -4.0] | Add it to itself.",
        ),
    ],
)
def test_a_case_names_the_mistake(function, expected):
    assert message(DOUBLE, function) == expected


def test_a_case_shows_short_arguments_and_the_first_wrong_row():
    assert message(Case((2, 3), 6, "Multiply."), lambda a, b: a + b) == (
        "for 2, 3 it returns 5, expected 6 | Multiply."
    )
    matrix = Case((np.zeros((9, 9)),), np.eye(2), "Ones on the diagonal.", given="at last")
    assert message(matrix, lambda x: np.eye(2)[::-1] * [[0, 0], [1, 1]]) == (
        "at last row 0 is [0.0, 0.0], expected [1.0, 0.0] | Ones on the diagonal."
    )
    own_words = Case((1,), 2, "it does not double | Add it to itself.")
    assert message(own_words, lambda x: x) == "it does not double | Add it to itself."


@pytest.mark.parametrize(
    ("right", "answer", "expected"),
    [
        ([3, 1], np.array([3, 1]), None),
        ([3, 1], [3.0, 1.0], "not a list of whole numbers"),
        (["a", "b"], ["a", "b"], None),
        (["a", "b"], ["b", "a"], "it returns ['b', 'a'], expected ['a', 'b']"),
        ((1.0, 2.0), (1, 2), None),
        (np.array([1, 2]), np.array([1.0, 2.0]), "only their type is not"),
        (np.array([True, False]), [1, 0], None),
        (np.array([True, False]), [2, 0], "expected booleans of shape (2,)"),
        (1.0, np.nan, "not finite"),
        (1.0, "one", "not a number"),
    ],
)
def test_the_right_answer_says_how_an_answer_is_read(right, answer, expected):
    actual = message(Case((0,), right, "Hint."), lambda x: answer)
    assert actual is None if expected is None else expected in actual


def test_errors_get_the_hint_of_the_case():
    case = Case((0,), 1.0, "Hint.", given="at 0", if_raises="Do not divide.")
    assert message(case, lambda x: 1 / x) == (
        "at 0 it raised ZeroDivisionError: division by zero | Do not divide."
    )
    with pytest.raises(NotStarted):
        case(lambda x: None)


def test_a_case_may_call_several_times_and_read_the_answer():
    both = Case(lambda function: [function(1), function(2)], np.array([2.0, 4.0]), "Twice.")
    assert message(both, lambda x: 2 * x) is None
    named = Case((1,), 2.0, "Twice.", read=lambda answer: answer["value"])
    assert message(named, lambda x: {"value": 2}) is None


def test_a_refusal_expects_a_value_error():
    def refuse(x):
        raise ValueError("no")

    refusal = Refusal((np.zeros(1),), "a zero", "It has no direction.")
    assert message(refusal, refuse) is None and str(refusal(refuse)) == "no"
    assert message(refusal, lambda x: x / x) == (
        "for a zero it raises no error and returns NaN | It has no direction."
    )
    assert "it raises KeyError" in message(refusal, lambda x: {}[0])


@pytest.mark.parametrize(
    ("result", "kind", "phrase"),
    [
        ([[1, 2], [3]], "numbers", "cannot be read"),
        ([["a", "b"]], "numbers", "not numbers"),
        (np.zeros((2, 1)), "numbers", "transpose"),
        (np.zeros(3), "numbers", "shape (3,), expected (1, 2)"),
        (np.array([[1.0, np.nan]]), "numbers", "not finite"),
        (np.zeros((1, 2)), "integers", "expected integers"),
    ],
)
def test_arrays_are_judged_from_the_outside_in(result, kind, phrase):
    with pytest.raises(Wrong) as caught:
        as_array(result, (1, 2), kind=kind, meaning="one row")
    assert phrase in caught.value.what
