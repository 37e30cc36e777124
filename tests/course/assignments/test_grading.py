"""A class is graded: known points, the same table however it is run, and kept results."""

import json

import pytest

from lib.core.checks import RetrievalInputError
from lib.course.assignments import confinement, grading
from lib.course.assignments.feedback import grade_columns, grade_rows, write_rows
from lib.course.assignments.grading import assignment_of, grade_class
from lib.course.assignments.runner import ProcessLimits, limits_here
from lib.course.assignments.sources import read_assignment
from lib.course.assignments.submissions import find_submissions
from lib.course.instructor import INSTRUCTOR
from tests.course.assignments.class_of_thirty import CLASS, TASKS, write_class

LEVEL = "python" if confinement.kernel_problem() else "kernel"
LIMITS = limits_here(LEVEL, 1.0, 2**31, INSTRUCTOR)
QUICK = tuple(each for each in CLASS if each.name in {"ada", "carl", "sam", "uwe", "zz_patch"})


def graded(folder, kept, **options):
    """Grade a folder; return the grades and the bytes of the table."""
    found = find_submissions(folder)
    assignment = assignment_of(found, "evaluation")
    options = {"seed": 5, "limits": LIMITS, "jobs": 1} | options
    grades = grade_class(found, assignment, kept=kept, **options)
    table = kept / "grades.csv"
    write_rows(table, grade_rows(grades, assignment), grade_columns(assignment))
    return grades, table.read_bytes()


def differences(grades, students):
    """List the students whose points or status are not the known ones."""
    known = {each.name: (each.points, each.status) for each in students}
    found = {
        each.student: (tuple(each.points_of(task) for task in TASKS), each.status)
        for each in grades
    }
    assert set(found) == set(known)
    return {name: (found[name], known[name]) for name in known if found[name] != known[name]}


def test_a_few_submissions_get_their_known_points(tmp_path):
    folder, kept = tmp_path / "in", tmp_path / "kept"
    folder.mkdir()
    write_class(folder, QUICK)
    steps = []
    grades, table = graded(folder, kept, progress=lambda *step: steps.append(step))
    assert differences(grades, QUICK) == {}
    assert steps == [(done, 5) for done in range(6)]
    assert table.decode().splitlines()[:3] == [
        "student,status,first_rank,average_precision,ndcg,cluster_interval,p_value,tasks,E1,E2"
        ",total",
        "ada,graded,6,6,6,6,6,30,,,30",
        "carl,graded,6,0,6,6,6,24,,,24",
    ]


@pytest.mark.slow
def test_a_class_of_thirty(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    write_class(folder)
    grades, table = graded(folder, tmp_path / "one", jobs=2)
    assert differences(grades, CLASS) == {}
    again = [each for each in CLASS if "while True" not in str(each) and "_exit" not in str(each)]
    for each in folder.iterdir():  # the slow ones need not run twice
        if each.stem not in {student.name for student in again}:
            each.unlink()
    _, alone = graded(folder, tmp_path / "two", jobs=1)
    assert set(alone.splitlines()) <= set(table.splitlines())
    assert len(alone.splitlines()) == len(again) + 1


def test_finished_results_are_used_again(tmp_path, monkeypatch):
    folder, kept = tmp_path / "in", tmp_path / "kept"
    folder.mkdir()
    write_class(folder, QUICK[:2])
    first = graded(folder, kept)
    calls = []

    def count(submission, *_):
        calls.append(submission.student)
        raise KeyboardInterrupt

    monkeypatch.setattr(grading, "grade_one", count)
    assert graded(folder, kept) == first and not calls
    for options in ({"seed": 6}, {"limits": ProcessLimits(2.0, LIMITS.memory, LEVEL)}):
        with pytest.raises(KeyboardInterrupt):
            graded(folder, kept, **options)
    damaged = sorted(kept.glob("*.json"))[0]
    damaged.write_text("{")
    with pytest.raises(KeyboardInterrupt):
        graded(folder, kept)


def test_an_error_of_the_grader_stops_nobody_and_is_not_kept(tmp_path, monkeypatch):
    folder, kept = tmp_path / "in", tmp_path / "kept"
    folder.mkdir()
    write_class(folder, QUICK[:2])
    grade_one = grading.grade_one

    def fail(submission, *others):
        if submission.student == "ada":
            raise ZeroDivisionError("here")
        return grade_one(submission, *others)

    monkeypatch.setattr(grading, "grade_one", fail)
    (ada, carl), _ = graded(folder, kept)
    assert (ada.status, ada.total, ada.notes) == (
        "error of the grader", 0, ("ZeroDivisionError: here",),
    )  # fmt: skip
    assert carl.total == 24 and len(list(kept.glob("*.json"))) == 1


@pytest.mark.parametrize("name", ["losses", "evaluation", "indexes", "project"])
def test_the_solutions_get_all_points_and_trivial_answers_none(tmp_path, name):
    """The tests are run here, without a process: the code is ours."""
    assignment = read_assignment(name)
    functions = assignment.reference()
    shown = (0, 1, -1, 0.5, float("nan"), [], (0.0, 0.0), [[0.0]], True)
    for seed in (1, 2, 77):
        cases = grading.hidden_cases(assignment, seed)
        again = grading.hidden_cases(assignment, seed)
        for task in assignment.tasks:
            for test in task.tests:
                tried = cases[task.function, test.name]
                other = again[task.function, test.name]
                where = f"{task.function}, {test.name}, seed {seed}"
                for case, same in zip(tried, other, strict=True):
                    answer = functions[task.function](*case.arguments)
                    assert not grading.problem_of(answer, case.right, task.close), where
                    assert not grading.problem_of(answer, same.right, task.close), where
                for constant in shown:
                    assert any(grading.problem_of(constant, case.right) for case in tried), where


def test_the_seed_changes_the_tests():
    assignment = read_assignment("evaluation")
    first, second = (grading.hidden_cases(assignment, seed) for seed in (1, 2))
    key = ("first_rank", "scores that all differ")
    assert [case.right for case in first[key]] != [case.right for case in second[key]]


def test_the_assignment_comes_from_the_notebooks(tmp_path):
    for name, said in {"a": "losses", "b": "losses", "c": None, "d": "unknown"}.items():
        content = {"cells": [], "metadata": {"crossmodal": {"assignment": said}}}
        (tmp_path / f"{name}.ipynb").write_text(json.dumps(content))
    assert assignment_of(find_submissions(tmp_path)).name == "losses"
    content = {"cells": [], "metadata": {"crossmodal": {"assignment": "project"}}}
    (tmp_path / "e.ipynb").write_text(json.dumps(content))
    with pytest.raises(RetrievalInputError, match="got losses and project. Give --assignment"):
        assignment_of(find_submissions(tmp_path))
    with pytest.raises(RetrievalInputError, match="--assignment must be"):
        assignment_of(find_submissions(tmp_path), "essays")
