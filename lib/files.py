"""Files that are whole or absent: atomic writes, checksums, and where the project keeps its data."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lib.checks import RetrievalInputError

CHECKSUM_SUFFIX = ".sha256"


class DamagedFileError(ValueError):
    """A file's bytes differ from the checksum that was stored when it was written."""


class MissingFileError(FileNotFoundError, ValueError):
    """A file the project needs is not there; the message says which command makes it."""


def data_dir() -> Path:
    """The `data/` folder: `$CROSSMODAL_DATA` if it is set, else the one beside the package."""
    override = os.environ.get("CROSSMODAL_DATA")
    return Path(override) if override else Path(__file__).resolve().parent.parent / "data"


def artifacts_dir() -> Path:
    """Committed models and embeddings."""
    return data_dir() / "artifacts"


def cache_dir() -> Path:
    """What can be rebuilt at any time; ignored by git."""
    return data_dir() / "cache"


def relative_name(name: str | Path, root: str | Path) -> str:
    """Returns a name that a data file gives when, read as a path, it stays inside `root`; no disk is touched.

    Raises:
        RetrievalInputError: an empty or absolute name, one with a `..` part, a backslash or a NUL in it.

    Relations: `path_inside` also follows links; this is for names that are never opened, as those of the
    members of an archive.
    """
    name = str(name)
    drive = len(name) > 1 and name[1] == ":"  # C:/windows is absolute elsewhere
    if not name or name.startswith("/") or drive or ".." in name.split("/") or "\\" in name or "\0" in name:
        raise RetrievalInputError(
            f"the name {name!r} must be a relative path inside {root}, without '..' and backslashes"
        )
    return name


def path_inside(root: str | Path, relative: str | Path) -> Path:
    """The path of a name that a data file gives, which may not lead out of the folder it belongs to.

    Args:
        root: the folder that everything must lie in.
        relative: what the file says, for example `"val2014/COCO_val2014_000000391895.jpg"`.

    Returns:
        `root / relative`, links followed; it need not exist.

    Raises:
        RetrievalInputError: what `relative_name` refuses, or a link that leads out of `root`.
    """
    name = relative_name(relative, root)
    root = Path(root).resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root):
        raise RetrievalInputError(
            f"the name {name!r} leads out of {root}, to {path}, by a link. Put the files inside, or mount "
            f"their folder there"
        )
    return path


def sha256_of(source: str | Path | bytes) -> str:
    """Hex SHA-256 of a file's bytes, or of bytes."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with open(source, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path in the same folder and renames it to `path` when the block succeeds.

    A reader sees the old file or the new one, never half of one; on an error the temporary file goes away.
    The temporary name keeps the suffix of `path`, since numpy appends one where it is missing.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes the file private; a committed or shared file wants the usual permissions.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yields a temporary folder beside `path` and gives it that name when the block succeeds.

    On an error the temporary folder goes away and an old folder stays. An old one is replaced as a whole: for
    a moment between two renames there is none, but never a mixture.

    Raises:
        ValueError: `path` is a file.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; a folder of that name cannot be written")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as room:
        new, old = Path(room) / "new", Path(room) / "old"
        new.mkdir()  # with the usual permissions; the room around it is private, and goes with what is left
        yield new
        if path.exists():
            path.rename(old)
        try:
            new.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise


def seal(path: str | Path) -> str:
    """Writes `<path>.sha256` beside a finished file and returns the digest."""
    path = Path(path)
    digest = sha256_of(path)
    with atomic_path(path.with_name(path.name + CHECKSUM_SUFFIX)) as temporary:
        temporary.write_text(f"{digest}  {path.name}\n")  # the format of the sha256sum tool
    return digest


def verify(path: str | Path, *, rebuild: str) -> Path:
    """Checks a sealed file against its checksum.

    Args:
        path: the file; `<path>.sha256` must lie beside it.
        rebuild: what the reader should do when the file is missing or damaged, for the message.

    Raises:
        MissingFileError: the file or its checksum is not there.
        DamagedFileError: the digest differs.
    """
    path = Path(path)
    sidecar = path.with_name(path.name + CHECKSUM_SUFFIX)
    for needed in (path, sidecar):
        if not needed.is_file():
            raise MissingFileError(f"{needed} is missing. {rebuild}")
    expected = sidecar.read_text().split()[0] if sidecar.read_text().split() else "nothing"
    found = sha256_of(path)
    if found != expected:
        raise DamagedFileError(
            f"{path} is damaged: its SHA-256 is {found[:12]}..., "
            f"{sidecar.name} says {expected[:12]}.... {rebuild}"
        )
    return path


def save_arrays(path: str | Path, *, compressed: bool = False, **arrays: np.ndarray) -> str:
    """Writes named arrays to a sealed `.npz`, atomically; returns the digest.

    `compressed` is for what is committed; what is read often and large is quicker as it is.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"save_arrays writes .npz files, got {path.name!r}")
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        (np.savez_compressed if compressed else np.savez)(stream, **arrays)
    return seal(path)


def load_arrays(
    path: str | Path, *, rebuild: str = "Delete it and run the command that made it again."
) -> dict:
    """Reads what `save_arrays` wrote, after checking its checksum. Never unpickles objects."""
    with np.load(verify(path, rebuild=rebuild), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def kept_arrays(path: str | Path, make: Callable[[], dict]) -> dict:
    """The arrays of a sealed file; made, and kept, where it is missing or damaged.

    Args:
        path: an `.npz` of the cache.
        make: what to store there; called only if the file cannot be used.

    Relations: for what can be made again at any time. What is committed is read with `load_arrays`, which
    refuses a damaged file.
    """
    try:
        return load_arrays(path)
    except (MissingFileError, DamagedFileError):
        arrays = make()
        save_arrays(path, **arrays)
        return arrays
