"""Exercises that look at the reader's own answer, and predictions made before a result is seen.

An exercise is a list of stages. A stage calls the reader's function on a small case and says what is wrong
with *this* answer: nothing returned, the wrong type, shape, scale, direction or order, a changed input. A
stage knows worked results and properties of the right answer, never the code that gives it.

Everything printed is the same on every run, so that a checked notebook may print it.
"""

from __future__ import annotations

import copy
import string
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lib.checks import RetrievalInputError, check_choice


class Wrong(Exception):
    """Raised by a stage: what is wrong with the answer, and a hint for exactly that mistake."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.what, self.hint = what, hint


class NotStarted(Exception):
    """Raised when the stub is still the stub."""


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Args:
        name: `"<notebook>.<task>"`, as in `course.check("start.top_k", top_k)`.
        statement: what is asked, in one sentence, with shapes.
        stages: functions of the reader's function, from the most basic property to the finest; each returns
            nothing when it is content and raises `Wrong` when it is not.
        hints: from a nudge to nearly the whole way, in words; shown one at a time by `course.hint`.
        insight: what to take away, said once the answer is right.
    """

    name: str
    statement: str
    stages: tuple[Callable[[Callable], None], ...]
    hints: tuple[str, ...]
    insight: str


class Verdict:
    """True or false, with the message that was printed; shows nothing more as the last line of a cell."""

    def __init__(self, passed: bool, message: str) -> None:
        self.passed, self.message = passed, message

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return f"<{'passed' if self.passed else 'not yet'}>"

    def _ipython_display_(self) -> None:
        """The message is already on the page."""


_EXERCISES: dict[str, Exercise] = {}
_HINTS_SHOWN: dict[str, int] = {}
_PREDICTIONS: dict[str, tuple[list[str], str | None]] = {}


def register(*exercises: Exercise) -> None:
    """Adds exercises; a name can be given once."""
    for exercise in exercises:
        if exercise.name in _EXERCISES:
            raise RetrievalInputError(f"an exercise named {exercise.name!r} is registered already")
        _EXERCISES[exercise.name] = exercise


def exercises() -> dict[str, Exercise]:
    """All exercises by name."""
    return dict(_EXERCISES)


def check(name: str, function: Callable) -> Verdict:
    """Tries the reader's function on the exercise's cases and prints what it finds.

    Args:
        name: of the exercise.
        function: the answer.

    Returns:
        A verdict, true when every stage passed; its `message` is what was printed.

    Raises:
        RetrievalInputError: an unknown name; the message lists the known ones.
    """
    exercise = _EXERCISES[check_choice(name, _EXERCISES, "exercise")]
    passed, message = _judge(exercise, function)
    message = _wrapped(message)
    print(message)
    return Verdict(passed, message)


def hint(name: str) -> None:
    """Prints the next hint of an exercise; each call says a little more."""
    exercise = _EXERCISES[check_choice(name, _EXERCISES, "exercise")]
    stage = _HINTS_SHOWN.get(name, 0)
    if stage == len(exercise.hints):
        print(f"{name}: that was the last hint. The solutions folder holds a worked answer.")
        return
    _HINTS_SHOWN[name] = stage + 1
    print(_wrapped(f"{name}, hint {stage + 1} of {len(exercise.hints)}: {exercise.hints[stage]}"))


def predict(key: str, question: str, options: Sequence[str], yours: str | None = None) -> None:
    """Asks for a prediction before the result is seen, and keeps it for `reveal`.

    Args:
        key: names the question.
        question: what will be measured.
        options: possible outcomes, two to six.
        yours: the reader's letter, "a", "b", ...; None for no prediction yet.

    Raises:
        RetrievalInputError: fewer than two options, more than six, or a letter that is none of them.
    """
    if not 2 <= len(options) <= 6:
        raise RetrievalInputError(f"a prediction needs 2 to 6 options, got {len(options)}")
    letters = string.ascii_lowercase[: len(options)]
    print(question)
    for letter, option in zip(letters, options, strict=True):
        print(f"  {letter}) {option}")
    if yours is not None:
        yours = check_choice(str(yours).strip().rstrip(")").lower(), letters, "yours")
        print(f"Your prediction: {yours}) {options[letters.index(yours)]}")
    else:
        print('Your prediction: none yet. Set yours="a", or another letter, and run the cell again.')
    _PREDICTIONS[key] = (list(options), yours)


def reveal(key: str, observed: str, because: str = "") -> None:
    """Prints what was observed, and whether the prediction was right.

    Args:
        key: the question's name in `predict`.
        observed: the right option: its letter, or its text. Compute it from the result, so that it cannot
            contradict the measurement.
        because: why, in a sentence; keep measured numbers in `report.sentence`, where they are checked.

    Raises:
        RetrievalInputError: the question was not asked, or `observed` is none of its options.
    """
    if key not in _PREDICTIONS:
        asked = ", ".join(map(repr, _PREDICTIONS)) or "none so far"
        raise RetrievalInputError(
            f"no prediction {key!r} (asked: {asked}); run the cell with course.predict first"
        )
    options, yours = _PREDICTIONS[key]
    letters = string.ascii_lowercase[: len(options)]
    if observed in options:
        observed = letters[options.index(observed)]
    observed = check_choice(str(observed).strip().rstrip(")").lower(), letters, "observed")
    print(f"Observed: {observed}) {options[letters.index(observed)]}")
    if yours is None:
        print(
            'You made no prediction: set yours="a", or another letter, in course.predict, and run both again.'
        )
    elif yours == observed:
        print("You predicted it.")
    else:
        print(f"You predicted {yours}) {options[letters.index(yours)]}.")
    if because:
        print(_wrapped(f"Why: {because}"))


def call(function: Callable, *arguments):
    """Calls the reader's function on copies, and objects to errors, changed inputs and missing results.

    Stages use it for every call, so that no exercise forgets these checks.
    """
    given = copy.deepcopy(arguments)
    try:
        result = function(*given)
    except NotImplementedError:
        raise NotStarted from None
    except Exception as error:
        raise Wrong(
            f"it raised {type(error).__name__}: {error}",
            f"It was called with {', '.join(describe(a) for a in arguments)}. Call it so yourself and read "
            f"the last lines of the traceback.",
        ) from None
    for before, after in zip(arguments, given, strict=True):
        changed = not np.array_equal(before, after) if isinstance(before, np.ndarray) else before != after
        if changed:
            raise Wrong(
                "it changed its input",
                "The caller still needs it. Look for an assignment into it, an in-place operator such as "
                "/= or a method that sorts in place, and work on a new array instead.",
            )
    if result is None:
        raise NotStarted
    return result


def as_array(result, *, shape: tuple[int, ...], kind: str, meaning: str) -> np.ndarray:
    """Returns the answer as an array of the expected shape and kind, or says how it differs.

    Args:
        result: what the reader's function returned.
        shape: what is expected.
        kind: "integers" or "numbers".
        meaning: what the axes are, for the hint.
    """
    try:
        array = np.asarray(result)
    except (ValueError, TypeError, RuntimeError):  # the last: a tensor that still tracks gradients
        raise Wrong("the result cannot be read as an array", f"Expected {meaning}, {shape}.") from None
    if array.dtype.kind not in "iuf":
        raise Wrong(f"the result is {describe(result)}, not numbers", f"Expected an array: {meaning}.")
    if array.shape != shape:
        turned = (
            " It is the transpose of what is asked: rows and columns are swapped."
            if array.T.shape == shape
            else ""
        )
        raise Wrong(f"the result has shape {array.shape}, expected {shape}.{turned}", f"Expected {meaning}.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise Wrong(
            "the result holds values that are not finite (NaN or infinity)",
            "Something was divided by zero, or a logarithm or root left its domain.",
        )
    if kind == "integers" and array.dtype.kind == "f":
        raise Wrong(
            f"the result holds {array.dtype} values, expected integers",
            "Ids are positions in the gallery: whole numbers. Are these the scores themselves?",
        )
    return array


def as_number(result, *, meaning: str) -> float:
    """Returns the answer as one finite number, or says what it is instead."""
    array = np.asarray(result)
    if array.dtype.kind not in "biuf":
        raise Wrong(f"the result is {describe(result)}, not a number", f"Expected {meaning}.")
    if array.size != 1:
        raise Wrong(
            f"the result has {array.size} values (shape {array.shape}), expected one number",
            f"Expected {meaning}.",
        )
    if not np.isfinite(array).all():
        raise Wrong("the result is not finite", "Something was divided by zero.")
    return float(array.reshape(()))


def is_same(value, expected) -> bool:
    """Whether an answer has the shape of the expected one and its values, to four digits."""
    return np.shape(value) == np.shape(expected) and np.allclose(value, expected, rtol=1e-4, atol=1e-6)


def object_to_mistakes(value, mistakes: Sequence[tuple]) -> None:
    """Raises `Wrong` with what is to be said where an answer is a known mistake's: (answer, said) each."""
    for wrong, said in mistakes:
        if is_same(value, wrong):
            raise Wrong(*said)


def describe(value) -> str:
    """A value in a few words: type and shape, or the value when it is short."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    text = repr(value)
    return text if len(text) <= 40 and " at 0x" not in text else f"a {type(value).__name__}"


def _wrapped(text: str, width: int = 100) -> str:
    """Breaks long lines where a projector would, and indents what continues."""
    lines = (
        textwrap.fill(line, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    )
    return "\n".join(lines)


def _judge(exercise: Exercise, function: Callable) -> tuple[bool, str]:
    if not callable(function):
        return False, (
            f"{exercise.name}: pass the function itself, without calling it; this is {describe(function)}."
        )
    first = exercise.stages[0]
    try:
        for stage in exercise.stages:
            try:
                stage(function)
            except NotStarted:
                if stage is first:
                    return (
                        False,
                        f"{exercise.name}: not started, it returns None.\n  Task: {exercise.statement}",
                    )
                raise Wrong(
                    "it returned None for one of the cases", "Is a `return` missing on one path?"
                ) from None
    except Wrong as wrong:
        what = wrong.what if wrong.what.endswith((".", "?", "!")) else wrong.what + "."
        return False, (
            f"{exercise.name}: not yet.\n  What is wrong: {what}\n  Hint: {wrong.hint}\n"
            f'  More help: course.hint("{exercise.name}")'
        )
    return True, f"OK {exercise.name}: all {len(exercise.stages)} checks passed. {exercise.insight}"
