"""Working copies of the notebooks: a student predicts, fills in and runs there.

A copy holds no output from the first prediction on, so that no answer is told before the question.
A copy that exists is never written again: `reset_copy` moves it to another name first. The metadata
of a copy hold the version of the course that it was made from. Where a notebook of the course has a
new number, its copy is renamed; what is in it stays.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.core.paths import ROOT
from lib.core.reading import MissingFileError, reading
from lib.core.writing import (
    UnwritableFileError,
    atomic_path,
    explain_write_errors,
    rename_new,
)
from lib.course.progress import LABS, PROGRESS, drop_progress, read_progress, unused_name

NOTEBOOKS = ROOT / "notebooks"
WORK = ROOT / "work"
METADATA = "crossmodal"  # of a copy: {"version": ...}
PREDICTS = re.compile(r"\bcourse\.predict\(\s*[\"']([^\"']+)[\"']")
CHECKS = re.compile(r"\bcourse\.check\(\s*[\"']([^\"']+)[\"']")
NUMBER = re.compile(r"^\d+_")
LINK = re.compile(r"(\]\()([^)#\s]+)")
ADVICE = "`crossmodal course reset {}` keeps it under another name and makes a new copy"


@dataclass(frozen=True)
class CopyStatus:
    """The state of one notebook in a folder of working copies.

    Attributes:
        name: stem of the notebook.
        state: "no copy", "new", "started" or "damaged".
        newer: whether the course holds a newer version than the copy.
        asked: number of predictions in the notebook.
        made: of them, those that the student made.
        right: of them, those that were measured and right.
        exercises: number of exercises in the notebook.
        passed: of them, those that passed.
        problem: the reason why a copy is damaged.
        note: names the copies that have an older number of the notebook.
    """

    name: str
    state: str
    newer: bool
    asked: int
    made: int
    right: int
    exercises: int
    passed: int
    problem: str = ""
    note: str = ""


def make_copies(work: Path = WORK, notebooks: Path = NOTEBOOKS) -> tuple[list[str], list[str]]:
    """Copy the notebooks that a folder lacks; what exists there stays as it is.

    Args:
        work: the folder, made if needed.
        notebooks: the executed notebooks of the course.

    Returns:
        Names of the notebooks that were copied, and of those that were there.
    """
    renumber_copies(work, notebooks)
    _write_marker(work)  # first: without it the predictions of a student are not kept
    made, kept = [], []
    for path in _course(work, notebooks):
        copy = _copy_of(path, work, notebooks)
        try:
            if os.path.lexists(copy):
                raise FileExistsError
            with _new_copy(path, copy, notebooks):
                pass
            made.append(path.stem)
        except FileExistsError:
            kept.append(path.stem)
    return made, kept


def renumber_copies(work: Path = WORK, notebooks: Path = NOTEBOOKS) -> list[tuple[str, str]]:
    """Rename the copies of notebooks that have another number in the course by now.

    Args:
        work: folder of the working copies.
        notebooks: the executed notebooks of the course.

    Returns:
        The old and the new file name of each copy. Where a copy has the new number already, or two
        have an old one, nothing is renamed; `copy_status` names them.
    """
    renamed = []
    for path in _course(work, notebooks):
        copy = _copy_of(path, work, notebooks)
        older = _older_copies(copy)
        if len(older) == 1:
            # Another command has just renamed it, or made a copy.
            with explain_write_errors(copy), suppress(FileNotFoundError, FileExistsError):
                rename_new(older[0], copy)
                renamed.append((older[0].name, copy.name))
    return renamed


def copy_status(work: Path = WORK, notebooks: Path = NOTEBOOKS) -> list[CopyStatus]:
    """Tell for each notebook of the course whether its copy is started, and its progress."""
    paths = _course(work, notebooks)
    marker = work / PROGRESS
    progress = read_progress(marker) if marker.is_file() else {"predictions": {}, "exercises": {}}
    return [_status(path, _copy_of(path, work, notebooks), progress, notebooks) for path in paths]


def reset_copy(
    name: str, work: Path = WORK, notebooks: Path = NOTEBOOKS
) -> tuple[str, Path | None]:
    """Move a copy to another name, forget its predictions, and make a new copy.

    Args:
        name: beginning of the name of one notebook, for example "04".
        work: folder of the working copies.
        notebooks: the executed notebooks of the course.

    Returns:
        The name of the notebook, and where its old copy is now; None where there was none.
    """
    paths = _course(work, notebooks)
    chosen = [path for path in paths if name and path.stem.startswith(name)]
    if len(chosen) != 1:
        known = ", ".join(path.stem for path in paths)
        raise RetrievalInputError(
            f"name must be the beginning of one notebook, got {name!r}; there are: {known}"
        )
    path = chosen[0]
    copy, backup = _copy_of(path, work, notebooks), None
    for other in paths:
        for older in _older_copies(_copy_of(other, work, notebooks)) if other != path else ():
            if older.stem.startswith(name):
                raise RetrievalInputError(
                    f"name must be the beginning of one notebook, got {name!r}; in {work} it is"
                    f" {older.name} too, which is {other.stem} now. Run `crossmodal course new`, or"
                    f" give more of the name, such as {path.stem}"
                )
    _write_marker(work)
    # FileExistsError: another command has made the new copy.
    with suppress(FileExistsError), _new_copy(path, copy, notebooks):
        backup = _move_aside(copy)
    try:
        drop_progress(work / PROGRESS, *_questions(path))
    except UnwritableFileError as error:
        kept = f", its old copy is {backup.name}" if backup else ""
        raise UnwritableFileError(
            f"{path.stem} is reset{kept}, but its predictions are not forgotten: {error}"
        ) from error
    return path.stem, backup


def _move_aside(copy: Path) -> Path | None:
    """Give a copy a name that no file has; return it, or None without a copy."""
    copies = [copy] if os.path.lexists(copy) else _older_copies(copy)
    while len(copies) == 1:
        backup = unused_name(copy.with_name(f"{copy.stem}.old.ipynb"))
        with suppress(FileExistsError):  # another command has just taken this name
            try:
                rename_new(copies[0], backup)
            except FileNotFoundError:  # another command has moved the copy
                return None
            return backup
    return None


def _older_copies(copy: Path) -> list[Path]:
    """List the copies of a notebook that have another number: `02_x.ipynb` for `03_x.ipynb`."""
    topic = NUMBER.sub("", copy.name)
    if topic == copy.name:
        return []
    found = copy.parent.glob(f"[0-9]*_{topic}")
    return sorted(f for f in found if NUMBER.sub("", f.name) == topic and f.name != copy.name)


def working_copy(notebook: dict, links: Path, work: Path, names: Sequence[str] = ()) -> dict:
    """Make a copy of a notebook without outputs from the first prediction on.

    Args:
        notebook: the executed notebook, as JSON.
        links: folder from which its relative links start.
        work: folder of the copy.
        names: notebooks of the course, as its links name them; links to them stay.
    """
    cells, told = [], True
    for cell in notebook["cells"]:
        source = _source(cell)
        cell = dict(cell)
        if cell["cell_type"] == "code":
            told = told and not PREDICTS.search(source)
            if not told:
                cell["outputs"], cell["execution_count"] = [], None
        else:
            cell["source"] = _linked(source, links, work, names)
        cells.append(cell)
    metadata = {**notebook.get("metadata", {}), METADATA: {"version": _version(notebook)}}
    return {**notebook, "cells": cells, "metadata": metadata}


def course_notebooks(folder: Path) -> list[Path]:
    """List the notebooks of a folder in order, and after them those of its open labs."""
    return sorted(folder.glob("*.ipynb")) + sorted((folder / LABS).glob("*.ipynb"))


def _copy_of(path: Path, work: Path, notebooks: Path) -> Path:
    return work / path.relative_to(notebooks)


def _names_beside(path: Path, notebooks: Path) -> list[str]:
    """Name the notebooks of the course as links of one of them do."""
    return [
        Path(os.path.relpath(other, path.parent)).as_posix()
        for other in course_notebooks(notebooks)
    ]


def _course(work: Path, notebooks: Path) -> list[Path]:
    """List the notebooks of the course, labs last; refuse to work in their folder."""
    paths = course_notebooks(notebooks)
    if not paths:
        raise MissingFileError(
            f"{notebooks} holds no notebooks. They come with the repository, not with the package:"
            " run this in a checkout"
        )
    if work.resolve() == notebooks.resolve():
        raise RetrievalInputError(
            f"work must be another folder than the notebooks of the course, got {work}"
        )
    return paths


@contextmanager
def _new_copy(path: Path, copy: Path, notebooks: Path) -> Iterator[None]:
    """Write a new copy, and give it its name after the block; FileExistsError where it is taken."""
    notebook = _read(path, "Restore it with git")
    names = _names_beside(path, notebooks)
    content = working_copy(notebook, path.parent, copy.parent, names)
    with atomic_path(copy, replace=False) as temporary:
        text = json.dumps(content, indent=1, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
        yield


def _write_marker(work: Path) -> None:
    marker = work / PROGRESS
    if not os.path.lexists(marker):
        with suppress(FileExistsError), atomic_path(marker, replace=False) as temporary:
            temporary.write_text("{}\n", encoding="utf-8")
    if not marker.is_file():
        raise UnwritableFileError(
            f"{marker} must be a file, where your predictions are kept; it is a folder, a device or"
            " a link to nothing. Move it away"
        )


def _read(path: Path, advice: str) -> dict:
    """Read a notebook of any minor version as JSON, as an editor saved it."""
    with reading(path, "no notebook", advice):
        if path.exists() and not path.is_file():  # reading a pipe would never end
            raise ValueError("a folder, a pipe or a device")
        notebook = json.loads(path.read_text(encoding="utf-8-sig"))
        for cell in notebook["cells"]:
            if cell["cell_type"] not in ("code", "markdown", "raw"):
                raise ValueError(f"a cell of type {cell['cell_type']!r}")
            _source(cell)
    return notebook


def _source(cell: dict) -> str:
    """Join the source of a cell, which a file holds as a text or as a list of lines."""
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def _version(notebook: dict) -> str:
    """Hash the cells of a notebook without their outputs."""
    cells = [[cell["cell_type"], _source(cell)] for cell in notebook["cells"]]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:16]


def _linked(source: str, links: Path, work: Path, names: Sequence[str]) -> str:
    """Let the relative links of a text start from another folder."""

    def link(match: re.Match) -> str:
        target = match[2]
        file = links / target
        if target.removeprefix("./") in names or ":" in target or not file.exists():
            return match[0]
        return match[1] + Path(os.path.relpath(file, work)).as_posix()

    return LINK.sub(link, source)


def _questions(path: Path) -> tuple[list[str], list[str]]:
    """List the predictions and the exercises of a notebook of the course."""
    cells = _read(path, "Restore it with git")["cells"]
    text = "\n".join(_source(cell) for cell in cells if cell["cell_type"] == "code")
    return list(dict.fromkeys(PREDICTS.findall(text))), list(dict.fromkeys(CHECKS.findall(text)))


def short_name(stem: str) -> str:
    """Return the beginning of a name that tells it from the others: 04, or lab_2."""
    return re.match(r"lab_\d+|.{0,2}", stem)[0]


def _status(path: Path, copy: Path, progress: dict, notebooks: Path) -> CopyStatus:
    asked, exercises = _questions(path)
    records = [progress["predictions"].get(key, {}) for key in asked]
    made = [record for record in records if record.get("answer")]
    right = [record for record in made if record["answer"] == record.get("observed")]
    passed = [name for name in exercises if progress["exercises"].get(name, {}).get("passed")]
    state, newer, problem, note = "no copy", False, "", ""
    older = _older_copies(copy)
    if older:
        names = ", ".join(file.name for file in older)
        note = f"{names}: a copy of {path.stem} under an older number, kept as it is"
        if not os.path.lexists(copy) and len(older) == 1:
            copy, note = older[0], f"{names} is {path.stem} now; `crossmodal course new` renames it"
    if os.path.lexists(copy):
        try:
            state, newer = _compare(path, copy, notebooks)
        except (ValueError, OSError) as error:  # damaged, or not ours to read
            state, problem = "damaged", str(error)
    if state == "new" and (made or passed):
        state = "started"
    counts = len(asked), len(made), len(right), len(exercises), len(passed)
    return CopyStatus(path.stem, state, newer, *counts, problem, note)


def _compare(path: Path, copy: Path, notebooks: Path) -> tuple[str, bool]:
    """Compare a copy with what it was made from, and with the course."""
    theirs = _read(copy, ADVICE.format(short_name(path.stem)).capitalize())
    ours = _read(path, "Restore it with git")
    metadata = theirs.get("metadata")
    mark = metadata.get(METADATA) if isinstance(metadata, dict) else None
    made_from = mark.get("version") if isinstance(mark, dict) else None
    fresh = working_copy(ours, path.parent, copy.parent, _names_beside(path, notebooks))
    if made_from == _version(ours):
        same = _version(theirs) == _version(fresh)
    else:
        same = False  # an older version is not kept, so nothing tells what the student changed
    return ("new" if same and not _executed(theirs) else "started"), made_from != _version(ours)


def _executed(notebook: dict) -> bool:
    """Tell whether a cell from the first prediction on was run."""
    told = True
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            told = told and not PREDICTS.search(_source(cell))
            if not told and cell.get("execution_count"):
                return True
    return False
