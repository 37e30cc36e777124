"""The assignments: the instructor's notebook, hidden tests and rubric of each."""

import contextlib
import hashlib
import importlib.util
import io
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.reading import MissingFileError
from lib.course.assignments.child import load_code
from lib.course.assignments.notebook_cells import Cell, read_cells
from lib.course.instructor import INSTRUCTOR

FOLDER = INSTRUCTOR / "assignments"
RUBRICS = "rubrics.toml"


@dataclass(frozen=True)
class HiddenTest:
    """One test of a task: all its cases must be right for its points.

    Args:
        name: of the mistake or the property, as the feedback shows it.
        points: for a right answer to every case.
        cases: random generator -> lists of arguments, one a case.
        hint: for a student who does not pass it, without code.
    """

    name: str
    points: int
    cases: Callable[[np.random.Generator], Sequence[Sequence]]
    hint: str


@dataclass(frozen=True)
class Task:
    """One function that the student writes, with its hidden tests.

    Args:
        function: its name.
        tests: from the most basic to the finest.
        close: relative tolerance of numbers.
    """

    function: str
    tests: tuple[HiddenTest, ...]
    close: float = 1e-5

    @property
    def points(self) -> int:
        """Points of all tests."""
        return sum(test.points for test in self.tests)


@dataclass(frozen=True)
class GradedSample:
    """A written answer with the points that it gets, and the reasons."""

    answer: str
    points: tuple[int, ...]  # one a criterion
    why: str


@dataclass(frozen=True)
class Question:
    """A question that a person judges.

    Args:
        name: as in the line "Answer NAME" of the notebook.
        criteria: (points, text) of each line of the rubric.
        samples: answers that are graded already, to compare with.
    """

    name: str
    criteria: tuple[tuple[int, str], ...]
    samples: tuple[GradedSample, ...]

    @property
    def points(self) -> int:
        """Points of all criteria."""
        return sum(points for points, _ in self.criteria)


@dataclass(frozen=True)
class Assignment:
    """One assignment.

    Args:
        name: as in `--assignment NAME`.
        path: the instructor's notebook.
        tasks, questions: in its order.
        version: digest of the three files.
    """

    name: str
    path: Path
    tasks: tuple[Task, ...]
    questions: tuple[Question, ...]
    version: str

    @property
    def cells(self) -> list[Cell]:
        """The cells of the instructor's notebook."""
        return read_cells(self.path)

    def reference(self) -> dict[str, Any]:
        """Return the instructor's functions, from the solutions in the notebook."""
        sources = [cell.source for cell in self.cells if cell.is_code]
        with contextlib.redirect_stdout(io.StringIO()):
            names, problems = load_code(sources, everything=True)
        if problems:
            raise RetrievalInputError(f"{self.path} must run without an error: {problems[0]}")
        return names


@dataclass(frozen=True)
class HiddenCase:
    """Arguments of a call and the right answer; a test may have several."""

    arguments: Sequence
    right: Any


def assignment_names(folder: Path = FOLDER) -> list[str]:
    """List the assignments in their order."""
    return [path.stem.partition("_")[2] for path in _notebooks(folder)]


def read_assignment(name: str, folder: Path = FOLDER) -> Assignment:
    """Read an assignment with its hidden tests and its rubric."""
    names = assignment_names(folder)
    path = _notebooks(folder)[names.index(check_choice(name, names, "--assignment"))]
    tests, rubrics = path.with_name(f"{path.stem}_tests.py"), folder / RUBRICS
    spec = importlib.util.spec_from_file_location(f"hidden_{path.stem}", tests)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = tomllib.loads(rubrics.read_text(encoding="utf-8"))
    questions = tuple(map(_question, written[name]["question"]))
    files = b"".join(each.read_bytes() for each in (path, tests, rubrics))
    version = hashlib.sha256(files).hexdigest()[:16]
    return Assignment(name, path, tuple(module.TASKS), questions, version)


def hidden_cases(assignment: Assignment, seed: int) -> dict[tuple[str, str], list[HiddenCase]]:
    """Draw the arguments of every hidden test and compute the right answers.

    Returns:
        {(function, test): its cases}.
    """
    functions = assignment.reference()
    drawn = {}
    for task in assignment.tasks:
        for test in task.tests:
            digest = hashlib.sha256(f"{seed}|{task.function}|{test.name}".encode()).digest()
            random = np.random.default_rng(list(digest))
            drawn[task.function, test.name] = [
                HiddenCase(arguments, functions[task.function](*arguments))
                for arguments in test.cases(random)
            ]
    return drawn


def _notebooks(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("[0-9]_*.ipynb"))
    if not paths:
        raise MissingFileError(
            f"{folder} holds no assignments. They come with the repository, not with the package:"
            " run this in a checkout"
        )
    return paths


def _question(row: dict) -> Question:
    criteria = tuple((each["points"], each["text"]) for each in row["criteria"])
    samples = tuple(
        GradedSample(each["answer"].strip(), tuple(each["points"]), each["why"].strip())
        for each in row["sample"]
    )
    return Question(row["name"], criteria, samples)
