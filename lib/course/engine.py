"""Exercises that check the student's own answer.

An exercise is a sequence of checks (`lib.course.cases`). A check calls the student's function on
small cases and says what is wrong with *this* answer: nothing returned, the wrong type, shape,
scale, direction or order, a changed input. It knows right answers of these cases and properties of
any right answer, never the code that computes it.

Whatever the student's function does, `check` ends in a verdict: tensors, tables and lists are read
as arrays, every exception becomes a sentence, what the function prints is cut, and a check that
takes too long is stopped. The printed text is the same on every run, because notebooks store it.
"""

import contextlib
import ctypes
import functools
import importlib
import io
import pkgutil
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from lib.core.checks import RetrievalInputError, check_choice
from lib.course import exercises
from lib.course.cases import (
    Exercise,
    NotStarted,
    Wrong,
    describe,
    describe_error,
    plain_value,
)
from lib.course.progress import keep_progress

TIME_LIMIT_S = 10.0  # of one check, of processor time; a right answer takes milliseconds
WAITING = 6  # a check that waits, for other programs or for itself, gets this many times as long
MAX_PRINTED = 4_000  # characters of what the student's function prints
T = TypeVar("T")


class OutOfTime(BaseException):
    """Raised in a check that takes too long; the student's `except Exception` does not catch it."""


class Verdict:
    """The result of a check: true or false, with the printed `message`."""

    def __init__(self, passed: bool, message: str) -> None:
        self.passed, self.message = passed, message

    def __bool__(self) -> bool:
        return self.passed

    def __repr__(self) -> str:
        return f"<{'passed' if self.passed else 'not yet'}>"

    def _ipython_display_(self) -> None:
        """Show nothing: the message is printed already."""


_EXERCISES: dict[str, Exercise] = {}
_HINTS_SHOWN: dict[str, int] = {}


def all_exercises() -> dict[str, Exercise]:
    """Return all exercises by name, in the order of the notebooks."""
    _load_exercises()
    return dict(_EXERCISES)


def register(*new: Exercise) -> None:
    """Add exercises of your own; a name can be added once."""
    _load_exercises()
    _add(*new)


@functools.cache
def _load_exercises() -> None:
    """Add every exercise that a module of the folder `exercises` holds."""
    for module in pkgutil.iter_modules(exercises.__path__, f"{exercises.__name__}."):
        contents = vars(importlib.import_module(module.name)).values()
        _add(*(each for each in contents if isinstance(each, Exercise)))


def _add(*new: Exercise) -> None:
    for exercise in new:
        if exercise.name in _EXERCISES:
            raise RetrievalInputError(f"an exercise named {exercise.name!r} is registered already")
        _EXERCISES[exercise.name] = exercise


def check(name: str, function: Callable) -> Verdict:
    """Try the student's function on the cases of an exercise and print the verdict.

    A check that computes for more than `TIME_LIMIT_S` is stopped, on every system and in every
    thread, between two steps of Python code. Two things cannot be stopped and need a restart of the
    kernel: one long call into C (a sleep, one huge matrix product), and an endless loop inside a
    `try` that catches everything.

    Args:
        name: of the exercise.
        function: the answer.

    Returns:
        A verdict, true when every check passed; its `message` is the printed text.
    """
    exercise = _exercise(name)
    with (
        contextlib.redirect_stdout(CutStream(sys.stdout)),
        contextlib.redirect_stderr(CutStream(sys.stderr)),
    ):
        passed, message = _judge(exercise, function)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    message = wrapped(message).encode(encoding, "backslashreplace").decode(encoding)
    print(message)
    if passed:
        keep_progress("exercises", name, {"passed": True})
    return Verdict(passed, message)


def hint(name: str) -> None:
    """Print the next hint of an exercise; each call says a little more."""
    hints, shown = _exercise(name).hint_list, _HINTS_SHOWN.get(name, 0)
    if shown == len(hints):
        print(f"{name}: that was the last hint. The solutions folder holds a worked answer.")
        return
    _HINTS_SHOWN[name] = shown + 1
    print(wrapped(f"{name}, hint {shown + 1} of {len(hints)}: {hints[shown]}"))


def wrapped(text: str, width: int = 100) -> str:
    """Break lines at the width of a projector and indent what continues."""
    lines = (
        textwrap.fill(
            line, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
        for line in text.splitlines()
    )
    return "\n".join(lines)


def _exercise(name: str) -> Exercise:
    known = all_exercises()
    return known[check_choice(name, known, "exercise")]


class CutStream(io.TextIOBase):
    """A stream that passes on the first `MAX_PRINTED` characters."""

    def __init__(self, stream) -> None:
        self.stream, self.left = stream, MAX_PRINTED

    def write(self, text: str) -> int:
        if self.left > 0:
            self.stream.write(text[: self.left])
            self.left -= len(text)
            if self.left <= 0:
                self.stream.write("\n(what your function prints is cut here)\n")
        return len(text)

    def flush(self) -> None:
        self.stream.flush()


def _judge(exercise: Exercise, function: Callable) -> tuple[bool, str]:
    """Return whether the answer is right, and the message."""
    name = exercise.name
    if not callable(function):
        shown = describe(function)
        return False, f"{name}: pass the function itself, without calling it; this is {shown}."
    returned = []  # the last result, as the student's function gave it

    def guarded(*arguments):
        try:
            returned[:] = [function(*arguments)]
        except (Exception, OutOfTime):
            raise
        except BaseException as error:  # SystemExit and KeyboardInterrupt would end the notebook
            hint = "Was it interrupted, or does it call exit()? Give the answer with `return`."
            raise Wrong(f"it raised {describe_error(error)}", hint) from None
        return plain_value(returned[0])

    try:
        in_time(lambda: _pass_checks(exercise, guarded, returned))
    except NotStarted:
        return False, f"{name}: not started, it returns None.\n  Task: {exercise.task}"
    except Wrong as wrong:
        what, hint = wrong.what, wrong.hint
    except OutOfTime:
        what = f"it was stopped after {TIME_LIMIT_S:g} seconds of computing"
        hint = "Is there an endless loop? Print in it what should change from round to round."
    except BaseException as error:  # an object of the student's that raises when it is looked at
        what = f"the result cannot be read: it raised {describe_error(error)}"
        hint = "Return an array, a list or a number."
    else:
        return True, f"OK {name}: all {len(exercise.checks)} checks passed. {exercise.insight}"
    with contextlib.suppress(Exception):  # such an object again
        if "float16" in str(getattr(returned[0] if returned else None, "dtype", "")):
            hint += " Besides, the result has half precision, three digits: return float64."
    stop = "" if what.endswith((".", "?", "!")) else "."
    return False, (
        f"{name}: not yet.\n  What is wrong: {what}{stop}\n  Hint: {hint}\n"
        f'  More help: course.hint("{name}")'
    )


def _pass_checks(exercise: Exercise, function: Callable, returned: list) -> None:
    """Run the checks; every exception leaves as `Wrong`, or as `NotStarted` from the first."""
    for at, check in enumerate(exercise.checks):
        try:
            for part in check if isinstance(check, tuple) else (check,):
                part(function)
        except NotStarted:
            if at == 0:
                raise
            raise Wrong(
                "it returned None for one of the cases | Is a `return` missing on one path?"
            ) from None
        except Wrong:
            raise
        except Exception as error:  # the check cannot read the result: text, objects
            shown = describe(returned[0] if returned else None)
            what = f"the result, {shown}, is not of the expected kind ({describe_error(error)})"
            raise Wrong(what, f"The task: {exercise.task}") from None


def in_time(function: Callable[[], T], limit_s: float | None = None) -> T:
    """Run a function and raise `OutOfTime` in it when it takes too long, again if it goes on.

    The limit counts the processor time of this thread, so a busy machine stops no right answer; a
    function that waits is stopped after `WAITING` times the limit. Where a system cannot read the
    processor time of another thread, both count the time of the clock. An exception set for a
    thread works on every system and in every thread; signals and their timers do not.
    """
    thread = ctypes.c_ulong(threading.get_ident())
    computed = _processor_clock()
    raise_in = ctypes.pythonapi.PyThreadState_SetAsyncExc
    finished = threading.Event()

    def watch() -> None:
        limit = TIME_LIMIT_S if limit_s is None else limit_s
        work, began = computed(), time.monotonic()
        while not finished.wait(limit / 20):
            waited = time.monotonic() - began > WAITING * limit
            if waited or computed() - work > limit:
                raise_in(thread, ctypes.py_object(OutOfTime))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        try:
            return function()
        finally:
            finished.set()
    finally:
        finished.set()  # once more: the exception may have come while it was being set
        watcher.join()
        raise_in(thread, None)  # one that was sent and has not arrived


def _processor_clock() -> Callable[[], float]:
    """Return a clock of the processor time of this thread, which other threads can read."""
    try:
        clock = time.pthread_getcpuclockid(threading.get_ident())
        time.clock_gettime(clock)
    except (AttributeError, OSError):  # Windows, macOS
        return time.monotonic
    return lambda: time.clock_gettime(clock)
