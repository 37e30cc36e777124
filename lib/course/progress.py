"""The progress of a student: predictions and passed exercises, kept beside the working copies.

The file `progress.json` marks a folder of working copies. Where the current folder holds none, as
for the stored notebooks and in tests, nothing is read or written.
"""

import json
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from lib.core.writing import UnwritableFileError, atomic_path, only_writer

PROGRESS = "progress.json"
LABS = "labs"  # folder of the open labs, beside the numbered notebooks
SECTIONS = ("predictions", "exercises")
WAIT_S = 2.0  # for another notebook that writes its progress
T = TypeVar("T")


def progress_file() -> Path | None:
    """Return the progress file of the working copies, or None outside of them.

    It lies in the current folder, or in the one above for a notebook of the folder `labs`.
    """
    here = Path.cwd()
    path = (here.parent if here.name == LABS else here) / PROGRESS
    return path if path.is_file() else None


def read_progress(path: Path) -> dict[str, dict[str, dict]]:
    """Read the records of a progress file: `{"predictions": {...}, "exercises": {...}}`.

    A damaged file is kept under another name, and the progress begins again.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8") or "{}")
        sections = {name: found.get(name, {}) for name in SECTIONS}
        records = [record for section in sections.values() for record in section.values()]
        if not all(isinstance(record, dict) for record in records):
            raise ValueError
    except FileNotFoundError:
        return {name: {} for name in SECTIONS}
    except (ValueError, AttributeError, RecursionError):  # no JSON, no UTF-8, or another structure
        kept = unused_name(path.with_name("progress.damaged.json"))
        with suppress(OSError):
            path.rename(kept)
            path.write_text("{}", encoding="utf-8")
            print(f"{path.name} was damaged. It is kept as {kept.name}; your progress begins anew.")
        return {name: {} for name in SECTIONS}
    return sections


def keep_progress(section: str, name: str, record: dict) -> None:
    """Keep a record in the progress file of the current folder, where there is one."""
    path = progress_file()
    if path is not None:
        try:
            _change(path, lambda progress: progress[section].update({name: record}))
        except UnwritableFileError as error:
            print(f"Your progress is not kept: {error}")


def drop_progress(path: Path, predictions: Collection[str], exercises: Collection[str]) -> None:
    """Forget predictions and exercises in a progress file."""

    def drop(progress: dict) -> None:
        for section, names in zip(SECTIONS, (predictions, exercises), strict=True):
            for name in names:
                progress[section].pop(name, None)

    _change(path, drop)


def _change(path: Path, change: Callable[[dict], None]) -> None:
    """Change a progress file, one process at a time."""
    path = path.resolve()  # a link stays a link

    def write() -> None:
        progress = read_progress(path)
        change(progress)
        with atomic_path(path) as temporary:
            text = json.dumps(progress, indent=1, ensure_ascii=False)
            temporary.write_text(text + "\n", encoding="utf-8")

    in_turn(path, write)


def in_turn(path: Path, write: Callable[[], T]) -> T:
    """Run a function that changes a file, one process at a time; wait a little for another one."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            with only_writer(path):
                return write()
        except UnwritableFileError as error:
            if error.errno is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)  # another notebook writes


def unused_name(path: Path) -> Path:
    """Return the path, or the path with the first free number: `x-2.json`."""
    names = [path, *(path.with_stem(f"{path.stem}-{number}") for number in range(2, 1000))]
    return next(name for name in names if not name.exists() and not name.is_symlink())
