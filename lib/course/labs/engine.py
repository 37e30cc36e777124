"""Labs: measure an open answer, give points by a rubric, and keep the result in the leaderboard.

`grade` is a function of the answer alone: it prints nothing, writes nothing and never raises for
what the answer does, so a grader can call it in a process of its own.
"""

import contextlib
import functools
import importlib
import pkgutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lib.core.checks import check_choice
from lib.core.reading import DamagedFileError
from lib.core.writing import UnwritableFileError
from lib.course.cases import Wrong, describe_error
from lib.course.engine import CutStream, OutOfTime, in_time, wrapped
from lib.course.labs import leaderboard as board_file
from lib.course.labs.hidden_answers import refuse_hidden_answers

SPLITS = {"validation": "practice queries", "test": "test queries"}


@dataclass(frozen=True)
class Criterion:
    """One line of a rubric.

    Args:
        name: what is judged.
        points: for a full answer; half of them for a half answer.
        value: name of the measured value that decides; empty where a person decides.
        full, half: bounds of that value, or texts where a person decides. If `full` is less than
            `half`, small values are good.
        advice: how to earn the next points.
        none: text of an answer without points, where a person decides.
    """

    name: str
    points: float
    value: str
    full: float | str
    half: float | str
    advice: str = ""
    none: str = ""

    def share(self, measured: float) -> float:
        """Return 1, 0.5 or 0: the share of the points that a value earns."""
        sign = 1 if self.full > self.half else -1
        return (
            1.0
            if sign * (measured - self.full) >= 0
            else 0.5 * (sign * (measured - self.half) >= 0)
        )

    def row(self) -> dict[str, Any]:
        """Make the row of a rubric; "none" stands in it where a person judges."""
        row = {"criterion": self.name, "points": f"{self.points:g}"}
        if not self.value:
            return row | {"full": self.full, "half": self.half, "none": self.none}
        bound = "at least" if self.full > self.half else "at most"
        return row | {
            "full": f"{self.value} {bound} {self.full:g}",
            "half": f"{bound} {self.half:g}",
        }


@dataclass(frozen=True)
class Measured:
    """Values (the first is the score), intervals of some, costs, and symptoms of an answer."""

    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    costs: Mapping[str, float]
    symptoms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lab:
    """An open task.

    Args:
        name: as in `course.submit(name, answer)`.
        statement: the task in one sentence: what the answer takes and gives.
        measure: answer and split -> `Measured`; raises `Wrong` for an answer that cannot count.
        criteria: the rubric.
        limit_s: seconds of one measurement.
        may_use: modules with stored answers that the answer may use all the same.
    """

    name: str
    statement: str
    measure: Callable[[Any, str], Measured]
    criteria: tuple[Criterion, ...]
    limit_s: float = 120.0
    may_use: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabResult:
    """The result of `grade`: points with reasons, or the problem for which nothing was measured."""

    lab: str
    split: str
    points: float
    of: float  # points that the machine gives at most
    by_person: float  # points of the rubric that a person gives
    marks: tuple[tuple[str, float, float, str], ...] = ()  # criterion, points, of, what is missing
    measured: Measured | None = None
    problem: str = ""
    hint: str = ""
    score: tuple[float, float, float] = field(default=(0.0, 0.0, 0.0))  # value, low, high

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        return asdict(self)

    def rows(self) -> list[dict[str, Any]]:
        """Make the rows of a table of the measured values, with their intervals."""
        if self.measured is None:
            return [{"problem": self.problem}]
        shown = []
        for name, value in self.measured.values.items():
            shown.append(
                {"value of": name, "value": (value, *self.measured.intervals[name])}
                if name in self.measured.intervals
                else {"value of": name, "value": value}
            )
        return shown

    def __repr__(self) -> str:
        return f"<{self.lab}, {SPLITS[self.split]}: {self.points:g} of {self.of:g} points>"

    def _ipython_display_(self) -> None:
        """Show nothing: the result is printed already."""


@functools.cache
def all_labs() -> dict[str, Lab]:
    """Return the labs by name, in the order of the parts."""
    folder = importlib.import_module(__package__)
    names = [m.name for m in pkgutil.iter_modules(folder.__path__) if m.name.startswith("lab_")]
    found = [vars(importlib.import_module(f"{__package__}.{name}")) for name in sorted(names)]
    labs = [value for each in found for value in each.values() if isinstance(value, Lab)]
    return {lab.name: lab for lab in labs}


def rubric(lab: str, by: str) -> list[dict[str, Any]]:
    """Return the rubric of a lab as the rows of a table.

    Args:
        lab: name of the lab.
        by: who judges, "machine" or "person".
    """
    machine = check_choice(by, ("machine", "person"), "by") == "machine"
    return [criterion.row() for criterion in _lab(lab).criteria if bool(criterion.value) == machine]


def grade(lab: str, answer: Any, split: str = "test") -> LabResult:
    """Measure an answer and give the points that a machine can give.

    Args:
        lab: name of the lab.
        answer: what the lab asks for, mostly a function.
        split: "validation" to practise, "test" for the final score.
    """
    task, split = _lab(lab), check_choice(split, SPLITS, "split")
    machine = [criterion for criterion in task.criteria if criterion.value]
    total = sum(criterion.points for criterion in machine)
    rest = sum(criterion.points for criterion in task.criteria) - total
    problem = functools.partial(LabResult, task.name, split, 0.0, total, rest)
    cut = CutStream(sys.stdout), CutStream(sys.stderr)
    try:
        with contextlib.redirect_stdout(cut[0]), contextlib.redirect_stderr(cut[1]):
            refuse_hidden_answers(answer, task.may_use)
            measured = in_time(lambda: task.measure(answer, split), task.limit_s)
    except Wrong as wrong:
        return problem(problem=wrong.what, hint=wrong.hint)
    except OutOfTime:
        hint = "Time one call of your function. Is there a loop over pairs that one product can do?"
        return problem(problem=f"it was stopped after {task.limit_s:g} seconds", hint=hint)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever the answer raises, exit() too
        hint = (
            "Call your function yourself on a few rows, and read the last lines of the traceback."
        )
        return problem(problem=f"it raised {describe_error(error)}", hint=hint)
    marks = []
    for criterion in machine:
        value = measured.values.get(criterion.value, measured.costs.get(criterion.value))
        earned = criterion.points * criterion.share(value)
        goal = criterion.full if criterion.share(value) else criterion.half
        missing = f"{criterion.value} is {value:.4g}; the next points are at {goal:g}."
        marks.append(
            (
                criterion.name,
                earned,
                criterion.points,
                "" if earned == criterion.points else f"{missing} {criterion.advice}",
            )
        )
    points = sum(mark[1] for mark in marks)
    first = next(iter(measured.values))
    value = measured.values[first]
    score = value, *measured.intervals.get(first, (value, value))
    return LabResult(task.name, split, points, total, rest, tuple(marks), measured, score=score)


def practise(lab: str, answer: Any) -> LabResult:
    """Measure an answer on the practice queries and print what it would earn; nothing is kept."""
    result = grade(lab, answer, "validation")
    _say(_described(result))
    return result


def submit(lab: str, answer: Any, *, name: str, board: str | Path | None = None) -> LabResult:
    """Measure an answer on the test queries, keep the score in the leaderboard, print the place.

    Args:
        lab: name of the lab.
        answer: what the lab asks for, mostly a function.
        name: yours, or that of your team.
        board: leaderboard file; by default `leaderboard.csv` beside the working copies.
    """
    name = board_file.check_name(name)
    result = grade(lab, answer, "test")
    lines = [_described(result)]
    path = Path(board) if board else board_file.leaderboard_file()
    if result.measured is None:
        lines.append("Not kept: an answer that cannot be measured is no submission.")
    elif path is None:
        lines.append("Not kept: this folder holds no working copies. `make lab` opens them.")
    else:
        row = {"when": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}", "name": name, "lab": result.lab}
        row |= dict(zip(("score", "low", "high"), result.score, strict=True))
        costs = "; ".join(f"{key} {value:g}" for key, value in result.measured.costs.items())
        row |= {"points": result.points, "of": result.of, "costs": costs}
        try:
            rows = board_file.append_row(path, row)
        except (DamagedFileError, UnwritableFileError) as error:
            lines.append(f"Not kept: {error}")
        else:
            lines.append(_standing(board_file.ranked(rows, result.lab), name, path))
    _say("\n".join(lines))
    return result


def leaderboard(lab: str, board: str | Path | None = None) -> None:
    """Print the leaderboard of a lab: the last submission of each name, the best first."""
    lab = _lab(lab).name
    path = Path(board) if board else board_file.leaderboard_file()
    rows = board_file.ranked(board_file.read_rows(path), lab) if path else []
    lines = [
        f"{place:3}. {row['name']:<20.20} {row['points']:g} of {row['of']:g} points, score"
        f" {row['score']:.1f} [{row['low']:.1f}, {row['high']:.1f}], submission"
        f" {row['submissions']}, {row['costs']}"
        for place, row in enumerate(rows, start=1)
    ]
    _say("\n".join(lines) or f"{lab}: nobody has submitted an answer here yet.")


def _standing(rows: list[dict], name: str, path: Path) -> str:
    place = next(at for at, row in enumerate(rows, start=1) if row["name"] == name)
    row = rows[place - 1]
    text = (
        f"Place {place} of {len(rows)} in {path.name}, submission {row['submissions']} of {name}."
    )
    if row["submissions"] > 1:
        luck = board_file.luck_of_the_best(row["low"], row["high"], row["submissions"])
        text += (
            f" Submissions are counted because each one looks at the test: the best of"
            f" {row['submissions']} equally good answers may look up to {luck:.1f} too good."
            " Choose on the practice queries. The last submission counts, not the best."
        )
    return text


def _described(result: LabResult) -> str:
    """Describe a result: values, costs, points, and what would earn the next ones."""
    head = f"{result.lab}, {SPLITS[result.split]}"
    if result.measured is None:
        return f"{head}: no score.\n  What is wrong: {result.problem}.\n  Hint: {result.hint}"
    values = []
    for name, value in result.measured.values.items():
        low, high = result.measured.intervals.get(name, (None, None))
        values.append(f"{name} {value:.1f}" + ("" if low is None else f" [{low:.1f}, {high:.1f}]"))
    costs = ", ".join(f"{name} {value:,.6g}" for name, value in result.measured.costs.items())
    lines = [f"{head}: {'; '.join(values)}", *([f"  Costs: {costs}"] if costs else [])]
    lines += [f"  Symptom: {symptom}" for symptom in result.measured.symptoms]
    lines.append(
        f"  Points: {result.points:g} of {result.of:g}; a person gives up to {result.by_person:g}"
        " more."
    )
    lines += [
        f"    {name}: {got:g} of {of:g}. {why}".rstrip() for name, got, of, why in result.marks
    ]
    return "\n".join(lines)


def _say(text: str) -> None:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    print(wrapped(text).encode(encoding, "backslashreplace").decode(encoding))


def _lab(name: str) -> Lab:
    labs = all_labs()
    return labs[check_choice(name, labs, "lab")]
