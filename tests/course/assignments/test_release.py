"""Copies for students: no solution, no rubric, no hidden test, and a notebook that opens."""

import json
import re

import nbformat
import pytest

from lib.core.checks import RetrievalInputError
from lib.course.assignments.notebook_cells import Cell, written_answers
from lib.course.assignments.release import SOLUTION, release_assignments, released_notebook
from lib.course.assignments.sources import assignment_names, read_assignment

NAMES = assignment_names()


def test_there_are_four():
    assert NAMES == ["losses", "evaluation", "indexes", "project"]
    for name in NAMES:
        assignment = read_assignment(name)
        machine = sum(task.points for task in assignment.tasks)
        person = sum(question.points for question in assignment.questions)
        assert machine + person == 40
        assert f"{machine} for" in assignment.cells[0].source
        assert f"{person} for" in assignment.cells[0].source


@pytest.fixture(scope="module", params=NAMES)
def assignment(request):
    return read_assignment(request.param)


def solution_lines(assignment):
    """List the lines of the solutions that say more than a name."""
    blocks = (SOLUTION.search(cell.source) for cell in assignment.cells if cell.is_code)
    lines = [line.strip() for block in blocks if block for line in block[0].splitlines()[1:-1]]
    return [line for line in lines if len(line) > 12]


def test_no_solution_leaks(assignment):
    released = released_notebook(assignment)
    text = json.dumps(released, ensure_ascii=False)
    lines = solution_lines(assignment)
    assert len(lines) > 10
    assert not [line for line in lines if line in text]
    assert not re.search("SOLUTION|instructor|rubric|hidden", text, re.I)
    for question in assignment.questions:
        for sample in question.samples:
            assert not [part for part in sample.answer.split(". ") if part in text]
        assert not [line for _, line in question.criteria if line in text]
    for task in assignment.tasks:
        assert not [test.hint for test in task.tests if test.hint in text]


def test_the_copy_is_a_notebook_with_stubs_and_no_outputs(assignment):
    released = nbformat.from_dict(released_notebook(assignment))
    nbformat.validate(released)
    code = [cell for cell in released.cells if cell.cell_type == "code"]
    assert not [cell for cell in code if cell.outputs or cell.execution_count]
    names: dict = {}
    for task in assignment.tasks:
        (cell,) = [cell for cell in code if f"def {task.function}(" in cell.source]
        exec(cell.source, names)
        arguments = names[task.function].__code__.co_argcount
        assert names[task.function](*range(arguments)) is None
        head = f"`{task.function}({', '.join(names[task.function].__code__.co_varnames)})`"
        heading = next(c.source for c in released.cells if c.source.startswith("## Task ") and
                       f"`{task.function}(" in c.source)  # fmt: skip
        assert head in heading and f", {task.points} points" in heading


def test_questions_have_a_cell_a_rubric_and_two_graded_samples(assignment):
    cells = assignment.cells
    assert set(written_answers(cells)) == {question.name for question in assignment.questions}
    for question in assignment.questions:
        (asked,) = [
            cell.source
            for cell in cells
            if re.match(rf"## (Question|Report) {question.name}: ", cell.source)
        ]
        assert f", {question.points} points\n" in asked
        totals = [sum(sample.points) for sample in question.samples]
        assert len(totals) == 2 and totals[0] == question.points > totals[1] > 0
        for sample in question.samples:
            most = [points for points, _ in question.criteria]
            assert len(sample.points) == len(most)
            assert all(0 <= got <= of for got, of in zip(sample.points, most))
            assert sample.why


def test_files_are_written_once(tmp_path):
    paths = release_assignments(tmp_path, ["losses", "project"])
    assert [path.name for path in paths] == ["1_losses.ipynb", "4_project.ipynb"]
    before = paths[0].read_bytes()
    with pytest.raises(RetrievalInputError, match="1_losses.ipynb exists. Move it away"):
        release_assignments(tmp_path)
    assert paths[0].read_bytes() == before and len(list(tmp_path.iterdir())) == 2
    with pytest.raises(RetrievalInputError, match="--assignment must be"):
        release_assignments(tmp_path, ["essays"])


def test_an_open_marker_is_an_error(monkeypatch, assignment):
    broken = [Cell("def f():\n    # BEGIN SOLUTION\n    return 1", True)]
    monkeypatch.setattr(type(assignment), "cells", broken)
    with pytest.raises(RetrievalInputError, match="BEGIN SOLUTION"):
        released_notebook(assignment)
