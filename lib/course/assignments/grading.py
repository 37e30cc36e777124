"""Grade the submissions of a class: hidden tests in processes apart, judged in this one.

A test is passed or not by what a function returns for arguments drawn from the seed. The right
answers are computed here and never reach a submission's process. Results are kept one by one, so a
stopped run goes on where it was.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_count, check_seed
from lib.core.writing import atomic_path, temporary_folder
from lib.course.assignments.judging import problem_of
from lib.course.assignments.notebook_cells import code_of, written_answers
from lib.course.assignments.runner import ProcessLimits, Runner, Stopped
from lib.course.assignments.sources import (
    Assignment,
    HiddenCase,
    HiddenTest,
    Task,
    assignment_names,
    hidden_cases,
    read_assignment,
)
from lib.course.assignments.submissions import Submission
from lib.course.cases import describe_error

GRADED, UNREADABLE, OTHER, NOTHING, FAILED, BROKEN = (
    "graded",
    "unreadable",
    "another assignment",
    "no function of the assignment",
    "cannot be loaded",
    "error of the grader",
)
MOST_STOPS = 2  # of one task: its further tests are not run
VERSION = 1  # of the grader; results of another version are not used again
Cases = dict[tuple[str, str], list[HiddenCase]]


@dataclass(frozen=True)
class Mark:
    """The result of one hidden test."""

    function: str
    test: str
    points: int
    of: int
    problem: str = ""


@dataclass(frozen=True)
class Grade:
    """The result of one submission: marks of the machine, answers for a person."""

    student: str
    status: str
    marks: tuple[Mark, ...] = ()
    notes: tuple[str, ...] = ()  # what was skipped when the notebook was loaded
    answers: dict[str, str] = field(default_factory=dict)

    def points_of(self, function: str) -> int:
        """Points of one task."""
        return sum(mark.points for mark in self.marks if mark.function == function)

    @property
    def total(self) -> int:
        """Points of all tasks."""
        return sum(mark.points for mark in self.marks)


def assignment_of(submissions: Sequence[Submission], name: str | None = None) -> Assignment:
    """Read the assignment that the user names, or that the submissions say they are."""
    if name is None:
        said = sorted({each.assignment for each in submissions} & set(assignment_names()))
        if len(said) != 1:
            got = " and ".join(said) or "none"
            raise RetrievalInputError(
                f"the submissions must say one assignment, got {got}. Give --assignment NAME, one"
                f" of {', '.join(assignment_names())}"
            )
        name = said[0]
    return read_assignment(name)


def grade_class(
    submissions: Sequence[Submission],
    assignment: Assignment,
    *,
    kept: Path,
    seed: int,
    limits: ProcessLimits,
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Grade]:
    """Grade all submissions, in the order given.

    Args:
        submissions: what the class handed in.
        assignment: with its hidden tests.
        kept: folder of finished results; those of the same notebook, tests, seed and limits are
            used again.
        seed: of the hidden tests, from 0.
        limits: of each process.
        jobs: how many submissions run at a time.
        progress: receives how many of how many are graded.
    """
    check_seed(seed)
    check_count(jobs, "jobs")
    cases = hidden_cases(assignment, seed)
    kept.mkdir(parents=True, exist_ok=True)
    progress(0, len(submissions))
    with temporary_folder() as parent, ThreadPoolExecutor(jobs) as pool:

        def finish(submission: Submission) -> Grade:
            key = _key(submission, assignment, seed, limits)
            if (known := _kept(kept, key)) is not None:
                return known
            try:
                grade = grade_one(submission, assignment, cases, limits, parent)
            except Exception as error:  # no submission stops the others; this one is not kept
                notes = (describe_error(error),)
                return Grade(submission.student, BROKEN, _no_marks(assignment), notes)
            return _keep(kept, key, grade)

        futures = [pool.submit(finish, submission) for submission in submissions]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                progress(done, len(submissions))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [future.result() for future in futures]


def grade_one(
    submission: Submission,
    assignment: Assignment,
    cases: Cases,
    limits: ProcessLimits,
    parent: Path,
) -> Grade:
    """Grade one submission."""
    if submission.problem:
        return Grade(submission.student, UNREADABLE, _no_marks(assignment), (submission.problem,))
    if submission.assignment not in ("", assignment.name):
        note = f"its notebook says {submission.assignment!r:.60}"
        return Grade(submission.student, OTHER, _no_marks(assignment), (note,))
    wanted = [task.function for task in assignment.tasks]
    session = _Session(code_of(submission.cells), wanted, limits, parent)
    marks: list[Mark] = []
    try:
        for task in assignment.tasks:
            marks += _task_marks(session, task, cases)
    except Stopped as stopped:  # while the notebook was loaded, the second time too
        notes = (f"while the notebook was loaded, {stopped}",)
        done = {(mark.function, mark.test) for mark in marks}
        rest = [mark for mark in _no_marks(assignment) if (mark.function, mark.test) not in done]
        marks, status = marks + rest, FAILED
    else:
        notes = tuple(session.notes)
        status = GRADED if set(session.functions) & set(wanted) else NOTHING
    finally:
        session.close()
    released = written_answers(assignment.cells)
    written = written_answers(submission.cells)
    answers = {
        question.name: text
        for question in assignment.questions
        if (text := written.get(question.name)) and text != released[question.name]
    }
    return Grade(submission.student, status, tuple(marks), notes, answers)


class _Session:
    """The processes of one submission, one after the other: a new one after each that ends.

    A notebook that does not survive its loading is loaded once more with its definitions alone.
    """

    def __init__(
        self, code: list[str], wanted: list[str], limits: ProcessLimits, parent: Path
    ) -> None:
        self.code, self.wanted, self.limits, self.parent = code, wanted, limits, parent
        self.everything = True
        self.notes: list[str] = []
        self.functions: list[str] = []
        self._runner: Runner | None = None

    def runner(self) -> Runner:
        """Return the process, a new one where it ended; `Stopped` where it cannot be loaded."""
        if self._runner is None:
            try:
                self._runner = self._started()
            except Stopped as stopped:
                if not self.everything:
                    raise
                self.everything = False
                self._runner = self._started()
                why = f"while the whole notebook was loaded, {stopped}"
                self.notes = [f"{why}; only imports, functions, classes and assignments were run"]
            self.notes = self.notes or self._runner.problems
            self.functions = self._runner.functions
        return self._runner

    def close(self) -> None:
        """End the process."""
        if self._runner is not None:
            self._runner.close()
        self._runner = None

    def _started(self) -> Runner:
        return Runner(self.code, self.wanted, self.limits, self.parent, self.everything)


def _task_marks(session: _Session, task: Task, cases: Cases) -> list[Mark]:
    stops, marks = 0, []
    for test in task.tests:
        problem = "not run: the tests before it did not end"
        if stops < MOST_STOPS:
            runner = session.runner()
            try:
                problem = _test_problem(runner, task, test, cases[task.function, test.name])
            except Stopped as stopped:
                problem, stops = str(stopped), stops + 1
                session.close()
        points = 0 if problem else test.points
        marks.append(Mark(task.function, test.name, points, test.points, problem))
    return marks


def _test_problem(runner: Runner, task: Task, test: HiddenTest, cases: Sequence[HiddenCase]) -> str:
    for case in cases:
        answer = runner.call(task.function, case.arguments)
        if answer.missing:
            return "there is no such function"
        problem = answer.problem or problem_of(answer.value, case.right, task.close)
        if problem:
            return problem
    return ""


def _no_marks(assignment: Assignment) -> tuple[Mark, ...]:
    return tuple(
        Mark(task.function, test.name, 0, test.points, "not run")
        for task in assignment.tasks
        for test in task.tests
    )


# ---- results that are kept


def _key(submission: Submission, assignment: Assignment, seed: int, limits: ProcessLimits) -> str:
    parts = [VERSION, submission.student, submission.digest, submission.problem]
    parts += [assignment.name, assignment.version, seed]
    parts += [limits.call_s, limits.memory, limits.level]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _kept(folder: Path, key: str) -> Grade | None:
    with suppress(OSError, ValueError, TypeError, KeyError):
        row = json.loads((folder / f"{key}.json").read_text(encoding="utf-8"))
        marks = tuple(Mark(**mark) for mark in row["marks"])
        return Grade(row["student"], row["status"], marks, tuple(row["notes"]), row["answers"])
    return None


def _keep(folder: Path, key: str, grade: Grade) -> Grade:
    with atomic_path(folder / f"{key}.json") as temporary:
        temporary.write_text(json.dumps(asdict(grade)), encoding="utf-8")
    return grade
