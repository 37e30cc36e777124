"""Compare an answer of a submission with the right one, both plain values."""

from typing import Any

import numpy as np

from lib.course.cases import describe

ABSOLUTE = 1e-8


def problem_of(answer: Any, right: Any, close: float = 1e-5) -> str:
    """Say how an answer differs from the right one; an empty text where it does not.

    The text never tells the right values, so that a page of feedback is no key.

    Args:
        answer: as `child.decode` gives it: None, numbers, texts, arrays, lists, tuples, dicts.
        right: the right answer. Its type says how the answer is read: a number, an array, a tuple
            of answers, a list of whole numbers, a text, or None.
        close: relative tolerance of numbers; the absolute one is 1e-8.
    """
    if answer is None or right is None:
        return "" if answer is right else "it returned None"
    if isinstance(right, tuple):
        return _problem_of_parts(answer, right, close)
    if isinstance(right, str):
        return "" if isinstance(answer, str) and answer == right else "another text was expected"
    try:
        given = np.asarray(answer)
    except Exception:
        return "it cannot be read as an array"
    expected = np.asarray(right)
    if given.size == expected.size == 0:
        return ""
    if given.dtype.kind not in "biuf":
        return f"it returned {_short(answer)}, and numbers were expected"
    if expected.ndim == 0 and given.size == 1:
        given = given.reshape(())
    if given.shape != expected.shape:
        return _shapes(given, expected)
    if expected.dtype.kind == "f" and np.isfinite(expected).all() and not np.isfinite(given).all():
        return "it returned values that are not finite"
    if expected.dtype.kind in "biu":
        same = given == expected
    else:
        same = np.isclose(given, expected, rtol=close, atol=ABSOLUTE, equal_nan=True)
    wrong = int(np.size(same) - np.count_nonzero(same))
    return f"{wrong} of {np.size(same)} values are wrong" if wrong else ""


def _problem_of_parts(answer: Any, right: tuple, close: float) -> str:
    if isinstance(answer, np.ndarray):
        answer = list(answer)
    if not isinstance(answer, list | tuple) or len(answer) != len(right):
        return f"it returned {_short(answer)}, and {len(right)} parts were expected"
    for number, (given, expected) in enumerate(zip(answer, right, strict=True), start=1):
        if problem := problem_of(given, expected, close):
            return f"part {number}: {problem}"
    return ""


def _shapes(given: np.ndarray, expected: np.ndarray) -> str:
    return f"it returned the shape {given.shape}, and {expected.shape} was expected"


def _short(value: Any) -> str:
    return describe(value)[:60]
