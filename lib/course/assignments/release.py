"""Copies of the assignments for students, without solutions; question sheets of the exams."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.reading import MissingFileError
from lib.core.writing import atomic_path
from lib.course.assignments.notebook_cells import ANSWER, Cell
from lib.course.assignments.sources import (
    FOLDER,
    Assignment,
    assignment_names,
    read_assignment,
)
from lib.course.assignments.submissions import METADATA
from lib.course.instructor import INSTRUCTOR

EXAMS = INSTRUCTOR / "exams"
INSTRUCTOR_TAG = "instructor"  # of cells that students do not get
SOLUTION = re.compile(r"^([ \t]*)# BEGIN SOLUTION\n.*?^[ \t]*# END SOLUTION$", re.MULTILINE | re.S)
STUB = r"\1return None  # write your code here, and remove this line"
MODEL_ANSWER = re.compile(r"^\*\*Answer\.\*\*.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def release_assignments(out: Path, names: Sequence[str] = (), folder: Path = FOLDER) -> list[Path]:
    """Write the students' copies of assignments into a folder; existing files are an error.

    Args:
        out: the folder, made if needed.
        names: of the assignments; all of them by default.
        folder: of the instructor's notebooks.
    """
    known = assignment_names(folder)
    chosen = [check_choice(name, known, "--assignment") for name in names] or known
    copies = {}
    for name in dict.fromkeys(chosen):
        assignment = read_assignment(name, folder)
        copies[out / assignment.path.name] = released_notebook(assignment)
    for path in copies:
        if path.exists():
            raise RetrievalInputError(f"{path} exists. Move it away, or name another folder")
    for path, notebook in copies.items():
        with atomic_path(path, replace=False) as temporary:
            text = json.dumps(notebook, indent=1, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")
    return list(copies)


def released_notebook(assignment: Assignment) -> dict:
    """Make the students' copy of an assignment as the content of a notebook file."""
    cells = [cell for cell in assignment.cells if INSTRUCTOR_TAG not in cell.tags]
    metadata = {
        "kernelspec": KERNEL,
        "language_info": {"name": "python"},
        METADATA: {"assignment": assignment.name},
    }
    return {
        "cells": [_cell(cell, number) for number, cell in enumerate(cells)],
        "metadata": metadata,
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def exam_names(folder: Path = EXAMS) -> list[str]:
    """List the exams."""
    return sorted(path.stem for path in folder.glob("*.md") if path.stem != "README")


def exam_sheet(name: str, folder: Path = EXAMS) -> str:
    """Return the questions of an exam without the model answers."""
    names = exam_names(folder)
    if not names:
        raise MissingFileError(f"{folder} holds no exams: run this in a checkout")
    path = folder / f"{check_choice(name, names, 'NAME')}.md"
    return MODEL_ANSWER.sub("", path.read_text(encoding="utf-8")).rstrip() + "\n"


def _cell(cell: Cell, number: int) -> dict:
    source = SOLUTION.sub(STUB, cell.source)
    if "SOLUTION" in source:
        raise RetrievalInputError(f"cell {number} must pair BEGIN SOLUTION with END SOLUTION")
    row = {"cell_type": "code" if cell.is_code else "markdown", "id": f"cell-{number}"}
    # Students edit their own cells alone; Jupyter then keeps the texts of the others.
    mine = bool(SOLUTION.search(cell.source) or (not cell.is_code and ANSWER.match(cell.source)))
    row |= {"metadata": {} if cell.is_code or mine else {"editable": False}, "source": source}
    return row | ({"execution_count": None, "outputs": []} if cell.is_code else {})
