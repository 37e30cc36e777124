"""Exercises and their cases: arguments, the right answer, what to say about typical mistakes.

Every message is one text with two parts, `"what is wrong | how to go on"`.
"""

import copy
import decimal
import fractions
import re
from collections.abc import Callable, KeysView, ValuesView
from dataclasses import dataclass, field
from typing import Any

import numpy as np


class Wrong(Exception):
    """Raised by a check: what is wrong with the answer, and a hint for exactly that mistake."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        what = message
        if hint is None:
            what, _, hint = message.rpartition(" | ")
        super().__init__(what)
        self.what, self.hint = what, hint


class NotStarted(Exception):
    """Raised when the function returns None."""


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Args:
        name: `"<notebook>.<task>"`, as in `course.check("start.top_k", top_k)`.
        statement: the task in one sentence, with shapes.
        checks: from the most basic property to the finest. Each is a function of the student's
            function that raises `Wrong` (a `Case`, for example), or a tuple of such functions.
        hints: one per line that begins with "- ", from a small one to nearly the whole solution;
            `course.hint` shows one at a time.
        insight: what to learn from it, printed when the answer is right.
    """

    name: str
    statement: str
    checks: tuple[Callable | tuple[Callable, ...], ...]
    hints: str
    insight: str

    @property
    def task(self) -> str:
        """The statement on one line."""
        return _on_one_line(self.statement)

    @property
    def hint_list(self) -> list[str]:
        """The hints, each on one line."""
        return [_on_one_line(hint) for hint in re.split(r"(?:^|\n)\s*- ", self.hints)[1:]]


@dataclass(frozen=True)
class Case:
    """One case of an exercise. Call it with the student's function: it raises `Wrong` or returns.

    Args:
        arguments: of the student's function; or a function that calls it and returns its answer,
            for answers that come from several calls.
        right: the right answer. Its type says how the answer is read: a number, an array of
            numbers, integers or booleans of this shape, a tuple (an array of numbers), or a list (a
            flat list of whole numbers of any length; other lists are compared as they are).
        otherwise: the hint for an answer that is none of the `mistakes`; "what | hint" also
            replaces the default text, "it returns ..., expected ...".
        mistakes: {"what | hint": the answer that this mistake gives, or a test of the answer}.
            Answers, or a `Shape`, are compared first, tests are called last.
        given: the case in words, such as "with a scale of 2000", for the default text.
        meaning: what the answer should hold, for answers of another type or shape.
        finite: whether NaN and infinity get a message of their own.
        if_raises: the hint when the student's function raises an error.
        read: turns the returned value into what `right` is compared with.
    """

    arguments: tuple | Callable[[Callable], Any]
    right: Any
    otherwise: str
    mistakes: dict[str, Any] = field(default_factory=dict)
    given: str = ""
    meaning: str = ""
    finite: bool = True
    if_raises: str = ""
    read: Callable[[Any], Any] | None = None

    def __call__(self, function: Callable) -> None:
        try:
            ask = self.arguments
            result = ask(function) if callable(ask) else call(function, *ask)
        except Wrong as wrong:
            given = f"{self.given} " if self.given else ""
            raise Wrong(given + wrong.what, self.if_raises or wrong.hint) from None
        result = self.read(result) if self.read else result
        for text, wrong in self.mistakes.items():
            expect(callable(wrong) or not is_same(result, wrong), text)
        answer = self._typed(result)
        if is_same(answer, self.right):
            return
        for text, test in self.mistakes.items():
            expect(not callable(test) or not test(answer), text)
        if " | " in self.otherwise:
            raise Wrong(self.otherwise)
        raise Wrong(f"{self._setting()}{_difference(answer, self.right)}", self.otherwise)

    def _typed(self, result):
        """Return the answer as a value of the type of `right`."""
        if isinstance(self.right, list):
            return as_ids(result) if all(isinstance(each, int) for each in self.right) else result
        right = np.asarray(self.right)
        if right.ndim == 0:
            return as_number(result, meaning=self.meaning or "one number", finite=self.finite)
        meaning = self.meaning or f"an array of shape {right.shape}"
        if right.dtype.kind == "b":
            return as_mask(result, shape=right.shape, meaning=meaning)
        kind = "integers" if right.dtype.kind in "iu" else "numbers"
        return as_array(result, right.shape, kind=kind, meaning=meaning, finite=self.finite)

    def _setting(self) -> str:
        """Return the case in words, or its arguments where they are short."""
        if self.given or callable(self.arguments):
            return f"{self.given} ".lstrip()
        shown = ", ".join(
            str(each.tolist() if isinstance(each, np.ndarray) else each) for each in self.arguments
        )
        return f"for {shown} " if len(shown) <= 60 and " at 0x" not in shown else ""


@dataclass(frozen=True)
class Refusal:
    """A case in which the student's function must raise a ValueError."""

    arguments: tuple
    case: str
    hint: str

    def __call__(self, function: Callable) -> ValueError:
        try:
            with np.errstate(all="ignore"):
                result = function(*copy.deepcopy(self.arguments))
        except ValueError as error:
            return error
        except Wrong:
            raise
        except Exception as error:
            what = f"for {self.case} it raises {type(error).__name__}"
            raise Wrong(what, "The caller expects a ValueError.") from None
        is_nan = isinstance(result, float | np.ndarray) and (np.asarray(result) != result).any()
        result = "NaN" if is_nan else describe(result)
        raise Wrong(f"for {self.case} it raises no error and returns {result}", self.hint)


def expect(condition, message: str) -> None:
    """Raise `Wrong` with the message "what | hint" unless the condition holds."""
    if not condition:
        raise Wrong(message)


class Shape(tuple):
    """The mistake to return an answer of this shape, whatever its values."""


def any_of(*answers) -> Callable[[Any], bool]:
    """Return a test of a mistake that gives one of several answers."""
    return lambda answer: any(is_same(answer, each) for each in answers)


def is_same(answer, expected) -> bool:
    """Tell whether an answer has the shape and, to four digits, the values of the expected one."""
    try:
        if isinstance(expected, Shape):
            return np.shape(answer) == expected
        if type(answer) is type(expected) and isinstance(answer, list) and answer == expected:
            return True  # lists of names
        answer = np.asarray(answer)
        return answer.shape == np.shape(expected) and bool(
            np.allclose(answer, expected, rtol=1e-4, atol=1e-6)
        )
    except Exception:  # text, lists of different lengths, objects of the student's
        return False


def call(function: Callable, *arguments):
    """Call the student's function on copies; refuse errors, changed inputs and missing results."""
    copies = copy.deepcopy(arguments)
    try:
        with np.errstate(all="ignore"):
            result = function(*copies)
    except NotImplementedError:
        raise NotStarted from None
    except Wrong:
        raise
    except Exception as error:
        shown = ", ".join(describe(each) for each in arguments)
        hint = f"Call it yourself with {shown} and read the last lines of the traceback."
        raise Wrong(f"it raised {describe_error(error)}", hint) from None
    expect(
        all(map(_unchanged, arguments, copies)),
        "it changed its input | The caller still needs it. Look for an assignment into it, an"
        " in-place operator such as /= or a method that sorts in place. Work on a new array.",
    )
    if result is None:
        raise NotStarted
    return result


def as_array(
    result, shape: tuple[int, ...], *, kind: str = "numbers", meaning: str, finite: bool = True
) -> np.ndarray:
    """Return the answer as an array of the expected shape and kind, or say how it differs.

    Args:
        result: what the student's function returned.
        shape: the expected shape.
        kind: "integers", which become int64, or "numbers".
        meaning: the axes in words, for the hint.
        finite: whether NaN and infinity are refused.
    """
    array = _readable(result, f"{meaning}, {shape}")
    expect(
        array.dtype.kind in "iuf",
        f"the result is {describe(result)}, not numbers | Expected an array: {meaning}.",
    )
    turned = " It is the transpose: rows and columns are swapped." if array.T.shape == shape else ""
    expect(
        array.shape == shape,
        f"the result has shape {array.shape}, expected {shape}.{turned} | Expected {meaning}.",
    )
    expect(
        not finite or np.isfinite(array).all(),
        "the result holds values that are not finite (NaN or infinity) | Something was divided by"
        " zero, or a logarithm or root got a value outside its domain.",
    )
    if kind == "integers" and array.dtype.kind == "f":
        what = f"the result holds {array.dtype} values, expected integers"
        whole = (array == np.round(array)).all()
        raise Wrong(
            what,
            "The values are whole, only their type is not: convert it to integers."
            if whole
            else f"Expected {meaning}: whole numbers. Are these the scores themselves, or means?",
        )
    return array.astype(float if array.dtype.kind == "f" else np.int64)


def as_mask(result, *, shape: tuple[int, ...], meaning: str) -> np.ndarray:
    """Return the answer as booleans of the expected shape; zeros and ones will do."""
    array = _readable(result, f"{meaning}, {shape}")
    zeros_and_ones = array.dtype.kind in "iuf" and ((array == 0) | (array == 1)).all()
    if array.shape != shape or not (array.dtype.kind == "b" or zeros_and_ones):
        what = f"it returns {describe(result)} of type {array.dtype}"
        raise Wrong(f"{what}, expected booleans of shape {shape}", meaning)
    return array.astype(bool)


def as_number(result, *, meaning: str, finite: bool = True) -> float:
    """Return the answer as one number, finite unless the caller checks that itself."""
    array = _readable(result, meaning)
    expect(
        array.dtype.kind in "biuf",
        f"the result is {describe(result)}, not a number | Expected {meaning}.",
    )
    expect(
        array.size == 1,
        f"the result has {array.size} values (shape {array.shape}), expected one number"
        f" | Expected {meaning}.",
    )
    expect(
        not finite or np.isfinite(array).all(),
        "the result is not finite | Something was divided by zero.",
    )
    return float(array.reshape(()))


def as_ids(result) -> list[int]:
    """Return the answer as a flat list of whole numbers."""
    array = np.asarray(result)
    expect(
        array.ndim == 1 and (array.size == 0 or array.dtype.kind in "iu"),
        f"the result is {array.ndim}-dimensional, of {array.dtype}, and not a list of whole numbers"
        " | Return one flat list of whole numbers.",
    )
    return [int(each) for each in array]


def plain_value(value):
    """Return a result in the types of numpy and Python, whichever package made it."""
    if hasattr(value, "detach"):  # a torch tensor: with gradients, as bfloat16, or on a GPU
        value = value.detach().cpu().to_dense()
        return np.array(value.tolist()).reshape(tuple(value.shape))
    if hasattr(value, "to_numpy"):  # a table or column of pandas or a similar package
        return plain_value(value.to_numpy())
    expect(
        not np.ma.is_masked(value),
        "it returns an array with masked places | Every place must hold a value.",
    )
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    if isinstance(value, fractions.Fraction | decimal.Decimal):
        return float(value)
    expect(
        not (hasattr(value, "__next__") or hasattr(value, "__await__")),
        f"it returns a {type(value).__name__}, which has computed nothing yet | Return an array, a"
        " list or a number. `yield`, map, zip and a bracket with `for` do not give one.",
    )
    if isinstance(value, dict):
        return {key: plain_value(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return tuple(plain_value(each) for each in value)
    if isinstance(value, list | KeysView | ValuesView):
        return [plain_value(each) for each in value]
    return value


def describe(value) -> str:
    """Describe a value in a few words: type and shape, or the value when it is short."""
    if isinstance(value, np.ndarray):
        kinds = {"b": "booleans", "O": "objects", "U": "texts", "c": "complex numbers"}
        kind = f" of {kinds[value.dtype.kind]}" if value.dtype.kind in kinds else ""
        return f"an array{kind} of shape {value.shape}"
    try:
        text = f"{{{', '.join(sorted(map(repr, value)))}}}" if type(value) is set else repr(value)
    except Exception:  # a class of the student's
        text = ""
    return text if 0 < len(text) <= 40 and " at 0x" not in text else f"a {type(value).__name__}"


def describe_error(error: BaseException) -> str:
    """Describe an exception: its type and message."""
    try:
        text = str(error)[:300]
    except Exception:  # a class of the student's
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def rounded(values) -> str:
    """Show a number with six digits, an array with four decimals, other values as they are."""
    if isinstance(values, list):
        return str(values)
    if np.asarray(values).dtype.kind not in "iuf":
        return str(values.tolist() if isinstance(values, np.ndarray) else values)
    return f"{values:.6g}" if np.ndim(values) == 0 else str(np.round(values, 4).tolist())


def _on_one_line(text: str) -> str:
    return " ".join(text.split())


def _difference(answer, right) -> str:
    """Describe how an answer differs from the right one; of a matrix, the first such row."""
    if isinstance(right, list) or np.ndim(right) < 2:
        return f"it returns {rounded(answer)}, expected {rounded(right)}"
    row = next(i for i in range(len(right)) if not is_same(answer[i], right[i]))
    return f"row {row} is {rounded(answer[row])}, expected {rounded(right[row])}"


def _unchanged(before, after) -> bool:
    try:
        if isinstance(before, np.ndarray):
            return np.array_equal(before, after, equal_nan=before.dtype.kind == "f")
        return bool(before == after)
    except Exception:  # the changed value cannot even be compared
        return False


def _readable(result, expected: str) -> np.ndarray:
    """Return the result as an array of any kind."""
    try:
        return np.asarray(result)
    except Exception as error:  # above all lists of different lengths
        hint = f"Expected {expected}, and no lists of different lengths: {describe_error(error)}"
        raise Wrong("the result cannot be read as an array", hint) from None
