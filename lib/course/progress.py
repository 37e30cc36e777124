"""The progress of a student: predictions and passed exercises, kept beside the working copies.

The file `progress.json` marks a folder of working copies. Where the current folder holds none, as
for the stored notebooks and in tests, nothing is read or written.
"""

import json
import shutil
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from lib.core.reading import DamagedFileError
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
        return _records(path)
    except OSError as error:
        print(f"Your progress cannot be read: {error}. Nothing in that file was changed.")
    except DamagedFileError:
        try:
            _change(path)
        except OSError as error:  # the file stays as it is
            print(f"{path.name} is damaged, and your progress is not kept: {error}")
    return {name: {} for name in SECTIONS}


def _records(path: Path) -> dict[str, dict[str, dict]]:
    """Read the records of a progress file; DamagedFileError where it holds something else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8") or "{}")
        sections = {name: found.get(name, {}) for name in SECTIONS}
        records = [record for section in sections.values() for record in section.values()]
        if not all(isinstance(record, dict) for record in records):
            raise ValueError("a record must be an object")
    except FileNotFoundError:
        return {name: {} for name in SECTIONS}
    except (ValueError, AttributeError, RecursionError) as error:  # no JSON, or not this structure
        raise DamagedFileError(f"{path} is no progress file: {error}") from error
    return sections


def keep_progress(section: str, name: str, record: dict) -> None:
    """Keep a record in the progress file of the current folder, where there is one."""
    path = progress_file()
    if path is not None:
        try:
            _change(path, lambda progress: progress[section].update({name: record}))
        except OSError as error:
            print(f"Your progress is not kept: {error}")


def drop_progress(path: Path, predictions: Collection[str], exercises: Collection[str]) -> None:
    """Forget predictions and exercises in a progress file."""

    def drop(progress: dict) -> None:
        for section, names in zip(SECTIONS, (predictions, exercises), strict=True):
            for name in names:
                progress[section].pop(name, None)

    _change(path, drop)


def _change(path: Path, change: Callable[[dict], None] = lambda progress: None) -> None:
    """Change a progress file, one process at a time; a damaged one gets another name first."""
    path = path.resolve()  # a link stays a link

    def write() -> None:
        try:
            progress = _records(path)
        except DamagedFileError:
            _begin_anew(path)
            progress = {name: {} for name in SECTIONS}
        change(progress)
        _write(path, progress)

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


def _begin_anew(path: Path) -> None:
    """Keep a damaged progress file under another name, and write an empty one in its place."""
    kept = unused_name(path.with_name("progress.damaged.json"))
    try:
        shutil.copyfile(path, kept)
        _write(path, {name: {} for name in SECTIONS})
    except BaseException:
        kept.unlink(missing_ok=True)  # the damaged file has its name still
        raise
    print(f"{path.name} was damaged. It is kept as {kept.name}; your progress begins anew.")


def _write(path: Path, progress: dict) -> None:
    with atomic_path(path) as temporary:
        text = json.dumps(progress, indent=1, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def unused_name(path: Path) -> Path:
    """Return the path, or the path with the first free number: `x-2.json`."""
    names = [path, *(path.with_stem(f"{path.stem}-{number}") for number in range(2, 1000))]
    return next(name for name in names if not name.exists() and not name.is_symlink())
