"""Exercises that look at the reader's own answer.

An exercise is a list of stages. A stage calls the reader's function on a small case and says what
is wrong with *this* answer: nothing returned, the wrong type, shape, scale, direction or order, a
changed input. A stage knows worked results and properties of the right answer, never the code that
gives it.

Whatever the reader's function does, `check` ends in a verdict: tensors, tables and lists are read
as arrays, every exception becomes a sentence, what the function prints is cut, and a check that
takes too long is stopped. Everything printed is the same on every run, so that a checked notebook
may print it.
"""

import contextlib
import copy
import ctypes
import decimal
import fractions
import io
import sys
import textwrap
import threading
from collections.abc import Callable, KeysView, Sequence, ValuesView
from dataclasses import dataclass

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice

TIME_LIMIT_S = 10.0  # of one check; a right answer takes milliseconds
MOST_PRINTED = 4_000  # characters of what the reader's function prints


class Wrong(Exception):
    """Raised by a stage: what is wrong with the answer, and a hint for exactly that mistake."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.what, self.hint = what, hint


class NotStarted(Exception):
    """Raised when the stub is still the stub."""


class _OutOfTime(BaseException):
    """Raised inside a check that takes too long; no `except Exception` of the reader's catches
    it.
    """


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Args:
        name: `"<notebook>.<task>"`, as in `course.check("start.top_k", top_k)`.
        statement: what is asked, in one sentence, with shapes.
        stages: functions of the reader's function, from the most basic property to the finest; each
            returns nothing when it is content and raises `Wrong` when it is not.
        hints: from a nudge to nearly the whole way, in words; shown one at a time by `course.hint`.
        insight: what to take away, said once the answer is right.
    """

    name: str
    statement: str
    stages: tuple[Callable[[Callable], None], ...]
    hints: tuple[str, ...]
    insight: str


class Verdict:
    """True or false, with the message that was printed; shows nothing more as the last line of a
    cell.
    """

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


def register(*exercises: Exercise) -> None:
    """Adds exercises; a name can be given once."""
    for exercise in exercises:
        if exercise.name in _EXERCISES:
            raise RetrievalInputError(f"an exercise named {exercise.name!r} is registered already")
        _EXERCISES[exercise.name] = exercise


def all_exercises() -> dict[str, Exercise]:
    """All exercises by name."""
    return dict(_EXERCISES)


def check(name: str, function: Callable) -> Verdict:
    """Tries the reader's function on the exercise's cases and prints what it finds.

    A check that takes more than `TIME_LIMIT_S` is stopped, on every system and in every thread,
    between two steps of Python code. Two things escape it, and want the kernel to be restarted: a
    single long call into C (a sleep, one huge matrix product), and an endless loop inside a `try`
    that catches everything.

    Args:
        name: of the exercise.
        function: the answer.

    Returns:
        A verdict, true when every stage passed; its `message` is what was printed.

    Raises:
        RetrievalInputError: an unknown name; the message lists the known ones.
    """
    exercise = _EXERCISES[check_choice(name, _EXERCISES, "exercise")]
    with contextlib.redirect_stdout(_Cut(sys.stdout)), contextlib.redirect_stderr(_Cut(sys.stderr)):
        passed, message = _judge(exercise, function)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    message = wrapped(message).encode(encoding, "backslashreplace").decode(encoding)
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
    print(wrapped(f"{name}, hint {stage + 1} of {len(exercise.hints)}: {exercise.hints[stage]}"))


def call(function: Callable, *arguments):
    """Calls the reader's function on copies, and objects to errors, changed inputs and missing
    results.

    Stages use it for every call, so that no exercise forgets these checks.
    """
    given = copy.deepcopy(arguments)
    try:
        result = function(*given)
    except NotImplementedError:
        raise NotStarted from None
    except Wrong:
        raise
    except Exception as error:
        raise Wrong(
            f"it raised {_named(error)}",
            f"It was called with {', '.join(describe(a) for a in arguments)}. Call it so yourself"
            " and read the last lines of the traceback.",
        ) from None
    if not all(map(_unchanged, arguments, given)):
        raise Wrong(
            "it changed its input",
            "The caller still needs it. Look for an assignment into it, an in-place operator such"
            " as /= or a method that sorts in place, and work on a new array instead.",
        )
    if result is None:
        raise NotStarted
    return result


def expect_refusal(function: Callable, *arguments, case: str, hint: str) -> ValueError:
    """Returns the ValueError with which the reader's function must refuse a case; anything else is
    wrong.
    """
    try:
        with np.errstate(all="ignore"):
            result = function(*copy.deepcopy(arguments))
    except ValueError as error:
        return error
    except Wrong:
        raise
    except Exception as error:
        what = f"for {case} it raises {type(error).__name__}"
        raise Wrong(what, "The caller expects a ValueError.") from None
    is_nan = isinstance(result, float | np.ndarray) and (np.asarray(result) != result).any()
    raise Wrong(f"for {case} it goes on, and returns {'NaN' if is_nan else describe(result)}", hint)


def as_array(result, *, shape: tuple[int, ...], kind: str, meaning: str) -> np.ndarray:
    """Returns the answer as an array of the expected shape and kind, or says how it differs.

    Args:
        result: what the reader's function returned.
        shape: what is expected.
        kind: "integers", which become int64, or "numbers".
        meaning: what the axes are, for the hint.
    """
    array = _readable(result, f"{meaning}, {shape}")
    if array.dtype.kind not in "iuf":
        raise Wrong(
            f"the result is {describe(result)}, not numbers", f"Expected an array: {meaning}."
        )
    if array.shape != shape:
        turned = (
            " It is the transpose of what is asked: rows and columns are swapped."
            if array.T.shape == shape
            else ""
        )
        raise Wrong(
            f"the result has shape {array.shape}, expected {shape}.{turned}", f"Expected {meaning}."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise Wrong(
            "the result holds values that are not finite (NaN or infinity)",
            "Something was divided by zero, or a logarithm or root left its domain.",
        )
    if kind == "integers" and array.dtype.kind == "f":
        whole = (array == np.round(array)).all()
        raise Wrong(
            f"the result holds {array.dtype} values, expected integers",
            (
                "The values are whole, only their type is not: convert it to integers."
                if whole
                else (
                    f"Expected {meaning}: whole numbers. Are these the scores themselves, or means?"
                )
            ),
        )
    return array.astype(float if array.dtype.kind == "f" else np.int64)


def as_mask(result, *, shape: tuple[int, ...], meaning: str) -> np.ndarray:
    """Returns the answer as booleans of the expected shape; zeros and ones will do."""
    array = _readable(result, f"{meaning}, {shape}")
    if array.shape != shape or not (array.dtype.kind == "b" or _is_zero_or_one(array)):
        raise Wrong(
            f"it returns {describe(result)} of type {array.dtype}, expected booleans of shape"
            f" {shape}",
            meaning,
        )
    return array.astype(bool)


def as_number(result, *, meaning: str, finite: bool = True) -> float:
    """Returns the answer as one number, finite unless the stage has more to say about that."""
    array = _readable(result, meaning)
    if array.dtype.kind not in "biuf":
        raise Wrong(f"the result is {describe(result)}, not a number", f"Expected {meaning}.")
    if array.size != 1:
        raise Wrong(
            f"the result has {array.size} values (shape {array.shape}), expected one number",
            f"Expected {meaning}.",
        )
    if finite and not np.isfinite(array).all():
        raise Wrong("the result is not finite", "Something was divided by zero.")
    return float(array.reshape(()))


def is_same(value, expected) -> bool:
    """Whether an answer has the shape of the expected one and its values, to four digits."""
    return np.shape(value) == np.shape(expected) and np.allclose(
        value, expected, rtol=1e-4, atol=1e-6
    )


def object_to_mistakes(value, mistakes: Sequence[tuple]) -> None:
    """Raises `Wrong` with what is to be said where an answer is a known mistake's: (answer, said)
    each.
    """
    for wrong, said in mistakes:
        if is_same(value, wrong):
            raise Wrong(*said)


def describe(value) -> str:
    """A value in a few words: type and shape, or the value when it is short."""
    if isinstance(value, np.ndarray):
        kind = {
            "b": " of booleans",
            "O": " of objects",
            "U": " of texts",
            "c": " of complex numbers",
        }
        return f"an array{kind.get(value.dtype.kind, '')} of shape {value.shape}"
    try:
        text = repr(value)
    except Exception:  # a class of the reader's
        text = ""
    return text if 0 < len(text) <= 40 and " at 0x" not in text else f"a {type(value).__name__}"


def _named(error: BaseException) -> str:
    """The type of an exception and what it says."""
    try:
        text = str(error)[:300]
    except Exception:  # a class of the reader's
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _unchanged(before, after) -> bool:
    try:
        if isinstance(before, np.ndarray):
            return np.array_equal(before, after, equal_nan=before.dtype.kind == "f")
        return bool(before == after)
    except Exception:  # what stands there now cannot even be compared
        return False


def _is_zero_or_one(array: np.ndarray) -> bool:
    return array.dtype.kind in "iuf" and bool(((array == 0) | (array == 1)).all())


def _readable(result, expected: str) -> np.ndarray:
    """The result as an array of any kind."""
    try:
        return np.asarray(result)
    except Exception as error:  # lists of different lengths above all
        raise Wrong(
            "the result cannot be read as an array",
            f"Expected {expected}. Lists of different lengths are none: {_named(error)}",
        ) from None


def _plain(value):
    """What a result holds in the types of numpy and Python, whichever package made it."""
    if hasattr(
        value, "detach"
    ):  # a torch tensor: it may track gradients, be bfloat16, lie on a GPU
        value = value.detach().cpu().to_dense()
        return np.array(value.tolist()).reshape(tuple(value.shape))
    if hasattr(value, "to_numpy"):  # a table or column of pandas, or one of its kin
        return _plain(value.to_numpy())
    if np.ma.is_masked(value):
        raise Wrong("it returns an array with masked places", "Every place must hold a value.")
    if isinstance(value, np.ndarray):
        return np.asarray(value)
    if isinstance(value, fractions.Fraction | decimal.Decimal):
        return float(value)
    if hasattr(value, "__next__") or hasattr(value, "__await__"):
        raise Wrong(
            f"it returns a {type(value).__name__}, which has computed nothing yet",
            "Return an array, a list or a number; `yield`, map, zip and a bracket with `for` give"
            " none yet.",
        )
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return tuple(_plain(each) for each in value)
    return (
        [_plain(each) for each in value]
        if isinstance(value, list | KeysView | ValuesView)
        else value
    )


class _Cut(io.TextIOBase):
    """Passes text on until there was enough of it."""

    def __init__(self, stream) -> None:
        self.stream, self.left = stream, MOST_PRINTED

    def write(self, text: str) -> int:
        if self.left > 0:
            self.stream.write(text[: self.left])
            self.left -= len(text)
            if self.left <= 0:
                self.stream.write("\n(what your function prints is cut here)\n")
        return len(text)

    def flush(self) -> None:
        self.stream.flush()


def wrapped(text: str, width: int = 100) -> str:
    """Breaks long lines where a projector would, and indents what continues."""
    lines = (
        textwrap.fill(
            line, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
        for line in text.splitlines()
    )
    return "\n".join(lines)


def _judge(exercise: Exercise, function: Callable) -> tuple[bool, str]:
    if not callable(function):
        return (
            False,
            (
                f"{exercise.name}: pass the function itself, without calling it; this is"
                f" {describe(function)}."
            ),
        )
    returned = []  # the last result, as the reader's function gave it

    def guarded(*arguments):
        try:
            returned[:] = [function(*arguments)]
        except (Exception, _OutOfTime):
            raise
        except (
            BaseException
        ) as error:  # SystemExit, KeyboardInterrupt: they would end more than the check
            raise Wrong(
                f"it raised {_named(error)}",
                "Was it interrupted, or does it call exit()? A function gives its answer with"
                " `return`.",
            ) from None
        return _plain(returned[0])

    try:
        _in_time(lambda: _pass_stages(exercise, guarded, returned))
    except NotStarted:
        return (
            False,
            f"{exercise.name}: not started, it returns None.\n  Task: {exercise.statement}",
        )
    except Wrong as wrong:
        what, hint = wrong.what, wrong.hint
    except _OutOfTime:
        what = f"it was stopped after {TIME_LIMIT_S:g} seconds"
        hint = (
            "Is there a loop that never ends? Print in it what should change from round to round."
        )
    except (
        BaseException
    ) as error:  # an object of the reader's that leaves, or raises even when it is described
        what = f"the result cannot be looked at: it raised {_named(error)}"
        hint = "Return an array, a list or a number."
    else:
        return (
            True,
            f"OK {exercise.name}: all {len(exercise.stages)} checks passed. {exercise.insight}",
        )
    with contextlib.suppress(Exception):  # such an object again
        if "float16" in str(getattr(returned[0] if returned else None, "dtype", "")):
            hint += (
                " Besides, the result has half precision, three digits: return float32 or float64."
            )
    return False, (
        f"{exercise.name}: not yet.\n  What is wrong:"
        f" {what}{'' if what.endswith(('.', '?', '!')) else '.'}\n"
        f'  Hint: {hint}\n  More help: course.hint("{exercise.name}")'
    )


def _pass_stages(exercise: Exercise, function: Callable, returned: list) -> None:
    """Runs the stages; whatever one raises leaves as `Wrong`, or as `NotStarted` from the first."""
    for stage in exercise.stages:
        try:
            stage(function)
        except NotStarted:
            if stage is exercise.stages[0]:
                raise
            raise Wrong(
                "it returned None for one of the cases", "Is a `return` missing on one path?"
            ) from None
        except Wrong:
            raise
        except (
            Exception
        ) as error:  # the stage could not read the result: text, ragged lists, objects
            raise Wrong(
                f"the result, {describe(returned[0] if returned else None)}, is not what is asked"
                f" for ({_named(error)})",
                f"The task: {exercise.statement}",
            ) from None


def _in_time(function: Callable[[], None]) -> None:
    """Runs a function and raises `_OutOfTime` in it when it takes too long, again if that is
    swallowed.

    An exception set for a thread works on every system and in every thread; signals and their
    timers do not.
    """
    thread, raise_in = (
        ctypes.c_ulong(threading.get_ident()),
        ctypes.pythonapi.PyThreadState_SetAsyncExc,
    )
    finished = threading.Event()

    def watch() -> None:
        pause = TIME_LIMIT_S
        while not finished.wait(pause):
            raise_in(thread, ctypes.py_object(_OutOfTime))
            pause = TIME_LIMIT_S / 20

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        try:
            function()
        finally:
            finished.set()
    finally:
        finished.set()  # once more: the exception may have come while it was being set
        watcher.join()
        raise_in(thread, None)  # one that was sent and has not arrived
