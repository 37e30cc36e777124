"""The table of points, pages for students, and the points that a person gives."""

import csv

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError
from lib.course.assignments.feedback import (
    answer_sheet,
    check_students,
    feedback_page,
    grade_columns,
    grade_rows,
    read_written_points,
    safe_cell,
    write_feedback,
    write_rows,
)
from lib.course.assignments.grading import Grade, Mark
from lib.course.assignments.sources import read_assignment

ASSIGNMENT = read_assignment("evaluation")


def grade(student="ada", **options):
    """Make a grade with full points but one."""
    marks = tuple(
        Mark(task.function, test.name, test.points, test.points)
        for task in ASSIGNMENT.tasks
        for test in task.tests
    )
    first = Mark("first_rank", marks[0].test, 0, 2, "it raised `x`: [link](http://a) <b>")
    return Grade(student, "graded", (first, *marks[1:]), **options)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\tx", "\rx"])
def test_formulas_are_neutralised(text):
    assert safe_cell(text) == f"'{text}"
    assert safe_cell("a=1") == "a=1" and safe_cell(-1) == -1


def test_the_table(tmp_path):
    rows = grade_rows([grade("=ada"), grade("bo")], ASSIGNMENT, {"bo": {"E1": 3.5}})
    write_rows(tmp_path / "g.csv", rows, grade_columns(ASSIGNMENT))
    with open(tmp_path / "g.csv", newline="") as stream:
        ada, bo = csv.DictReader(stream)
    assert (ada["student"], ada["first_rank"], ada["tasks"], ada["total"]) == (
        "'=ada", "4", "28", "28",
    )  # fmt: skip
    assert (bo["E1"], bo["E2"], bo["total"]) == ("3.5", "", "31.5")


def test_a_page_shows_points_hints_and_no_markup_of_others(tmp_path):
    student = grade("ad`a\n# x", notes=("<script>`",), answers={"E1": "text"})
    page = feedback_page(student, ASSIGNMENT, {"E1": 4})
    assert page.startswith("# Assignment evaluation: `ad'a # x`\n\nTasks: 28 of 30 points.\n")
    assert "## first_rank: 4 of 6" in page and "- scores that all differ: 0 of 2" in page
    assert "    - what happened: `it raised 'x': [link](http://a) <b>`" in page
    assert "    - hint: Ranks count from 1" in page and page.count("hint:") == 1
    assert "- E1: given, 4 of 5" in page and "- E2: not given, not judged yet" in page
    write_feedback(tmp_path, [student, grade("x" * 200), grade("x" * 201)], ASSIGNMENT)
    assert len(list(tmp_path.glob("*.md"))) == 3


def test_a_sheet_for_the_person_who_judges():
    (question, _) = ASSIGNMENT.questions
    sheet = answer_sheet(question, [grade(answers={"E1": "# big\n<b>"}), grade("bo")])
    assert "## Sample 1: 2 + 1 + 2 = 5 points" in sheet and "### `ada`" in sheet
    assert "    # big\n    <b>" in sheet and "### `bo`\n\nNo answer." in sheet


def test_written_points_are_checked(tmp_path):
    path = tmp_path / "written.csv"
    path.write_text("student,E1,E2\n'=ada,3,\nbo,0.5,5\n")
    points = read_written_points(path, ASSIGNMENT)
    assert points == {"=ada": {"E1": 3}, "bo": {"E1": 0.5, "E2": 5}}
    with pytest.raises(RetrievalInputError, match="got bo"):
        check_students(points, [grade("=ada")])
    for text, message in {
        "student,E1,E2\nbo,6,0\n": "E1 of 'bo' must be from 0 to 5, got '6'",
        "student,E1,E2\nbo,nan,0\n": "got 'nan'",
        "student,E1,E2\nbo,1,0\nbo,1,0\n": "'bo' has two lines",
        "student,E1\nbo,1\n": "columns student, E1, E2",
    }.items():
        path.write_text(text)
        with pytest.raises(DamagedFileError, match=message):
            read_written_points(path, ASSIGNMENT)
