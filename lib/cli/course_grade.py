"""`crossmodal course release`, `exam` and `grade`: assignments out, submissions in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from lib.cli.options import bytes_of
from lib.cli.output import counted, print_rows, progress_bar, say, shown

PUBLIC_SEED = 1
SHOWN_PAIRS = 20

Assignments = Annotated[
    list[str] | None, Option("--assignment", help="Name, such as losses; repeat. All by default.")
]


def release(
    out: Annotated[Path, Option(help="Folder for the copies.")], assignment: Assignments = None
) -> None:
    """Write copies of the assignments for students, without solutions and rubrics."""
    from lib.course.assignments.release import release_assignments

    for path in release_assignments(out, assignment or ()):
        say(f"{path} written")


def exam(
    name: Annotated[str, Argument(help="midterm or final.")],
    out: Annotated[Path, Option(help="Markdown file for the questions.")],
) -> None:
    """Write the questions of an exam without the model answers."""
    from lib.core.writing import atomic_path
    from lib.course.assignments.release import exam_sheet

    sheet = exam_sheet(name)
    with atomic_path(out) as temporary:
        temporary.write_text(sheet, encoding="utf-8")
    say(f"{out} written")


def grade(
    submissions: Annotated[Path, Argument(help="Folder: a notebook, or a folder, a student.")],
    out: Annotated[Path, Option(help="CSV file for the points.")],
    feedback: Annotated[Path | None, Option(help="Folder for a page for each student.")] = None,
    answers: Annotated[Path | None, Option(help="Folder for the written answers.")] = None,
    written: Annotated[Path | None, Option(help="CSV with points that a person gave.")] = None,
    similar: Annotated[Path | None, Option(help="CSV file for similar pairs.")] = None,
    threshold: Annotated[float, Option(help="Similarity from which a pair is listed.")] = 0.6,
    assignment: Annotated[str | None, Option(help="Name; else the notebooks say it.")] = None,
    seed: Annotated[int, Option(help="Of the hidden tests; keep yours to yourself.")] = PUBLIC_SEED,
    jobs: Annotated[int, Option(help="Submissions at a time.")] = 1,
    time: Annotated[float, Option(help="Seconds of computing for one call.")] = 5.0,
    memory: Annotated[str, Option(help="Memory of a submission.")] = "2GB",
    isolation: Annotated[str, Option(help="kernel, or python: weaker, see the README.")] = "kernel",
) -> None:
    """Grade a class: each submission apart, with limits and without a network; resumable."""
    from lib.core.checks import RetrievalInputError, check_number
    from lib.course.assignments import feedback as pages
    from lib.course.assignments.grading import GRADED, assignment_of, grade_class
    from lib.course.assignments.runner import limits_here
    from lib.course.assignments.submissions import find_submissions
    from lib.course.instructor import INSTRUCTOR

    for place in filter(None, (out, feedback, answers, similar)):
        if place.resolve().is_relative_to(submissions.resolve()):
            raise RetrievalInputError(
                f"{place} must be outside of {submissions}, where everything is a submission"
            )
    check_number(threshold, "--threshold", low=0, high=1)
    found = find_submissions(submissions)
    task = assignment_of(found, assignment)
    limits = limits_here(isolation, time, bytes_of(memory, "--memory"), INSTRUCTOR, submissions)
    points = pages.read_written_points(written, task) if written else {}
    say(f"{task.name}: {len(found)} submissions, seed {seed}, isolation {limits.level}")
    if seed == PUBLIC_SEED:
        say(f"seed {seed} is known to everyone: give --seed with a number of your own")
    kept = out.with_name(out.name + ".kept")
    with progress_bar() as bar:
        done = counted(bar, "grading")
        grades = grade_class(
            found, task, kept=kept, seed=seed, limits=limits, jobs=jobs, progress=done
        )
    pages.check_students(points, grades)
    pages.write_rows(out, pages.grade_rows(grades, task, points), pages.grade_columns(task))
    say(f"{out} written; the result of each submission is kept in {kept}")
    if feedback:
        pages.write_feedback(feedback, grades, task, points)
    if answers:
        pages.write_answers(answers, grades, task)
    for each in grades:
        if each.status != GRADED:
            say(shown(f"{each.student}: {each.status}; {'; '.join(each.notes)}", 200))
    _report_pairs(found, task, threshold, similar)


def _report_pairs(found, task, threshold: float, similar: Path | None) -> None:
    """Print the pairs of similar submissions, and write all of them if a file is named."""
    from lib.course.assignments import feedback as pages
    from lib.course.assignments.similarity import pairs_of_class

    rows = pages.pair_rows(pairs_of_class(found, task, threshold))
    if similar:
        pages.write_rows(similar, rows, ("first", "second", "code", "names", "text"))
    if rows:
        safe = [{key: shown(value, 40) for key, value in row.items()} for row in rows]
        print_rows(safe[:SHOWN_PAIRS], f"similar pairs, {threshold:g} and above: look at them")
    if len(rows) > SHOWN_PAIRS:
        say(f"and {len(rows) - SHOWN_PAIRS} more; --similar FILE lists all")
