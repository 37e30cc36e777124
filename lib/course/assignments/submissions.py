"""Find the submissions in a folder: one notebook, or one folder with a notebook, a student."""

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.core.reading import MissingFileError
from lib.course.assignments.notebook_cells import LARGEST, Cell, cells_of

METADATA = "crossmodal"  # of a released notebook: {"assignment": name}
IGNORED = "__MACOSX"


@dataclass(frozen=True)
class Submission:
    """One notebook that a student handed in.

    Args:
        student: the name of the file or folder.
        path: the notebook, or the folder where there is none.
        digest: of the notebook.
        cells: its cells.
        assignment: which it says that it is; empty where it says nothing.
        problem: why it cannot be read; empty where it can.
    """

    student: str
    path: Path
    digest: str = ""
    cells: list[Cell] = field(default_factory=list)
    assignment: str = ""
    problem: str = ""


def find_submissions(folder: Path) -> list[Submission]:
    """List the submissions of a folder by the names of students, each with what is wrong with it.

    Files that are no notebooks, hidden ones and empty folders are submissions too: nobody is left
    out without a word. Links are not followed.
    """
    if not folder.is_dir():
        raise MissingFileError(f"{folder} must be a folder with one notebook, or one folder, each")
    entries = sorted(
        entry for entry in folder.iterdir() if entry.name[0] != "." and entry.name != IGNORED
    )
    if not entries:
        raise RetrievalInputError(f"{folder} must hold submissions, and is empty")
    students = [entry.stem if entry.suffix == ".ipynb" else entry.name for entry in entries]
    found = []
    students = [os.fsencode(name).decode("utf-8", "backslashreplace") for name in students]
    for entry, student in zip(entries, students, strict=True):
        if students.count(student) > 1:  # ada.ipynb and ada/
            student = f"{student} ({'folder' if entry.is_dir() else 'file'})"
        found.append(_submission(entry, student))
    return found


def _submission(entry: Path, student: str) -> Submission:
    try:
        path = _notebook_of(entry)
        if path.stat().st_size > LARGEST:
            raise ValueError(f"its notebook has more than {LARGEST >> 20} MB")
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        cells = cells_of(content)
        return Submission(student, path, digest, cells, _assignment_of(content))
    except (ValueError, OSError) as error:
        problem = error.strerror or "it cannot be opened" if isinstance(error, OSError) else error
        return Submission(student, entry, problem=str(problem))


def _notebook_of(entry: Path) -> Path:
    if entry.is_symlink():
        raise ValueError("it is a link")
    if entry.is_dir():
        inside = [
            path
            for path in sorted(entry.rglob("*.ipynb"))
            if path.is_file()
            and not path.is_symlink()
            and not any(part[0] == "." or part == IGNORED for part in path.relative_to(entry).parts)
        ]
        if len(inside) != 1:
            raise ValueError(f"its folder holds {len(inside)} notebooks, and must hold one")
        return inside[0]
    if not entry.is_file() or entry.suffix != ".ipynb":
        raise ValueError("it is no notebook (.ipynb)")
    return entry


def _assignment_of(content: bytes) -> str:
    metadata = json.loads(content.decode("utf-8-sig")).get("metadata")
    mark = metadata.get(METADATA) if isinstance(metadata, dict) else None
    name = mark.get("assignment") if isinstance(mark, dict) else None
    return name if isinstance(name, str) else ""
