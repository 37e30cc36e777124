"""Write what follows grading: the table of points, a page for each student, answers to judge."""

import csv
import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.core.reading import reading
from lib.core.writing import atomic_path
from lib.course.assignments.grading import GRADED, Grade
from lib.course.assignments.similarity import SimilarPair
from lib.course.assignments.sources import Assignment, Question

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run such a cell
LONGEST_NAME = 100
Written = Mapping[str, Mapping[str, float]]


def grade_rows(
    grades: Sequence[Grade], assignment: Assignment, written: Written | None = None
) -> list[dict]:
    """Make the rows of the table: points by task, points by question, and the total.

    Args:
        grades: of the class.
        assignment: with its tasks and questions.
        written: {student: {question: points}} that a person gave; others stay empty.
    """
    rows = []
    for grade in grades:
        by_person = (written or {}).get(grade.student, {})
        row = {"student": grade.student, "status": grade.status}
        row |= {task.function: grade.points_of(task.function) for task in assignment.tasks}
        row["tasks"] = grade.total
        row |= {each.name: by_person.get(each.name, "") for each in assignment.questions}
        rows.append(row | {"total": _plain(grade.total + math.fsum(by_person.values()))})
    return rows


def write_rows(path: Path, rows: Sequence[Mapping], columns: Sequence[str]) -> None:
    """Write a CSV file, whole or not at all; cells that a spreadsheet would run get a quote."""
    with (
        atomic_path(path) as temporary,
        open(temporary, "w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: safe_cell(row[key]) for key in columns} for row in rows)


def safe_cell(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula."""
    if isinstance(value, str):
        value = "".join(c if c.isprintable() or c in "\t\r\n" else "?" for c in value)
        return f"'{value}" if value.startswith(FORMULA) else value
    return value


def grade_columns(assignment: Assignment) -> list[str]:
    """List the columns of the table."""
    tasks = [task.function for task in assignment.tasks]
    questions = [question.name for question in assignment.questions]
    return ["student", "status", *tasks, "tasks", *questions, "total"]


def read_written_points(path: Path, assignment: Assignment) -> dict[str, dict[str, float]]:
    """Read the points that a person gave: a CSV with `student` and a column for each question."""
    advice = "It must be CSV with the columns student, " + ", ".join(
        question.name for question in assignment.questions
    )
    given: dict[str, dict[str, float]] = {}
    with reading(path, "no table of written points", advice):
        with open(path, newline="", encoding="utf-8-sig") as stream:
            lines = list(csv.DictReader(stream, strict=True))
        for row in lines:
            student = row["student"].removeprefix("'")
            if student in given:
                raise ValueError(f"the student {student!r} has two lines")
            given[student] = {
                question.name: _points(row[question.name], question, student)
                for question in assignment.questions
                if (row[question.name] or "").strip()
            }
    return given


def check_students(written: Written, grades: Sequence[Grade]) -> None:
    """Refuse written points for a student without a submission."""
    if strange := sorted(set(written) - {grade.student for grade in grades}):
        raise RetrievalInputError(
            f"--written must name students with a submission, got {', '.join(strange[:3])}"
        )


def write_feedback(
    folder: Path, grades: Iterable[Grade], assignment: Assignment, written: Written | None = None
) -> None:
    """Write one Markdown page for each student."""
    folder.mkdir(parents=True, exist_ok=True)
    for grade in grades:
        page = feedback_page(grade, assignment, (written or {}).get(grade.student, {}))
        with atomic_path(folder / f"{_file_name(grade.student)}.md") as temporary:
            temporary.write_text(page, encoding="utf-8")


def feedback_page(grade: Grade, assignment: Assignment, written: Mapping[str, float]) -> str:
    """Make the page of a student: points, what went wrong, a hint for each test not passed."""
    of = sum(task.points for task in assignment.tasks)
    lines = [f"# Assignment {assignment.name}: {_quoted(grade.student)}", ""]
    lines += [f"Tasks: {grade.total} of {of} points.", ""]
    if grade.status != GRADED:
        lines += [f"Status: {grade.status}.", ""]
    if grade.notes:
        lines += ["When your notebook was loaded:", ""]
        lines += [f"- {_quoted(note)}" for note in grade.notes] + [""]
    for task in assignment.tasks:
        lines += [f"## {task.function}: {grade.points_of(task.function)} of {task.points}", ""]
        hints = {test.name: test.hint for test in task.tests}
        for mark in (each for each in grade.marks if each.function == task.function):
            lines.append(f"- {mark.test}: {mark.points} of {mark.of}")
            if mark.problem:
                lines += [f"    - what happened: {_quoted(mark.problem)}"]
                lines += [f"    - hint: {hints[mark.test]}"]
        lines.append("")
    lines += ["## Written answers", ""]
    for question in assignment.questions:
        given = "given" if question.name in grade.answers else "not given"
        points = written.get(question.name)
        judged = "not judged yet" if points is None else f"{_plain(points)} of {question.points}"
        lines.append(f"- {question.name}: {given}, {judged}")
    return "\n".join(lines) + "\n"


def write_answers(folder: Path, grades: Sequence[Grade], assignment: Assignment) -> None:
    """Write one page for each question: rubric, graded samples, the answers of all students."""
    folder.mkdir(parents=True, exist_ok=True)
    for question in assignment.questions:
        with atomic_path(folder / f"{question.name}.md") as temporary:
            temporary.write_text(answer_sheet(question, grades), encoding="utf-8")


def answer_sheet(question: Question, grades: Sequence[Grade]) -> str:
    """Make the page by which a person judges one question for the whole class."""
    lines = [f"# Question {question.name}: {question.points} points", "", "## Rubric", ""]
    lines += [f"- {points}: {text}" for points, text in question.criteria]
    for number, sample in enumerate(question.samples, start=1):
        points = " + ".join(map(str, sample.points))
        lines += ["", f"## Sample {number}: {points} = {sum(sample.points)} points", ""]
        lines += [*(f"> {line}" for line in sample.answer.splitlines()), "", sample.why]
    lines += ["", "## Answers", ""]
    for grade in grades:
        text = grade.answers.get(question.name, "")
        lines += [f"### {_quoted(grade.student)}", ""]
        lines += (
            [*(f"    {line}" for line in text.splitlines()), ""] if text else ["No answer.", ""]
        )
    return "\n".join(lines)


def pair_rows(pairs: Sequence[SimilarPair]) -> list[dict[str, str]]:
    """Make the rows of similar pairs, with two decimals."""
    return [
        {"first": pair.first, "second": pair.second}
        | {name: f"{getattr(pair, name):.2f}" for name in ("code", "names", "text")}
        for pair in pairs
    ]


def _points(text: str, question: Question, student: str) -> float:
    try:
        points = float(text)
    except ValueError:
        points = math.nan
    if not 0 <= points <= question.points:
        raise ValueError(
            f"{question.name} of {student!r} must be from 0 to {question.points}, got {text!r}"
        )
    return points


def _plain(points: float) -> float | int:
    return int(points) if float(points).is_integer() else points


def _quoted(text: str) -> str:
    """Show a text of a student as code, so that it is no markup."""
    text = "".join(c if c.isprintable() else " " for c in text).replace("`", "'").strip()
    return f"`{text or ' '}`"


def _file_name(student: str) -> str:
    if len(student.encode()) <= LONGEST_NAME and re.fullmatch(r"[^/\\:*?\"<>|]+", student):
        return student
    digest = hashlib.sha256(student.encode()).hexdigest()[:8]
    return re.sub(r"[^\w.-]+", "_", student)[:30] + f"-{digest}"
