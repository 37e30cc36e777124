"""Atomic writes of files and folders, locks, and checksums of finished files."""

import ctypes
import errno
import hashlib
import os
import shutil
import tempfile
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.paths import cache_dir

try:
    import fcntl
except ImportError:  # Windows has other locks; leftovers of killed writers stay there
    fcntl = None

CHECKSUM_SUFFIX = ".sha256"
# Files are written in folders with this prefix before they get their name.
WORKSPACE_PREFIX = ".crossmodal-"
NO_REPLACE, EXCHANGE = 1, 2  # flags of `renameat2` in linux/fs.h
PICK_A_PLACE = "choose another place"
ADVICE = {
    errno.ENOSPC: f"Its disk is full: free space on it, or {PICK_A_PLACE}",
    errno.EDQUOT: f"Your share of its disk is used up: free space on it, or {PICK_A_PLACE}",
    errno.EROFS: f"Its disk is read-only: {PICK_A_PLACE}",
    errno.EACCES: f"You may not write there: {PICK_A_PLACE}, or have the rights changed",
    errno.EPERM: f"You may not write there: {PICK_A_PLACE}, or have the rights changed",
    errno.EFBIG: f"The file would be larger than its disk or your limits allow: {PICK_A_PLACE}",
}
DISK_FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG
_warned_places: set[str] = set()  # caches that could not be written; one warning each
_cleaned_folders: set[Path] = set()  # folders in which this process has looked for leftovers


class UnwritableFileError(OSError, ValueError):
    """A file cannot be written; the message names it, the cause and what to do."""


# ---- atomic files and folders


@contextmanager
def atomic_path(path: str | Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield a temporary path and rename it to `path` when the block succeeds.

    A reader sees the old file or the new one, never half of one. On an error the temporary file is
    removed. It has the name of `path`, in a folder `.crossmodal-*` beside it; if the process is
    killed, the next writer removes that folder. Without `replace`, a file that has the name by then
    stays, and FileExistsError is raised.
    """
    path = Path(path)
    if replace and path.is_dir():
        raise UnwritableFileError(f"{path} is a folder; a file of that name cannot be written")
    with _workspace(path) as workspace:
        temporary = workspace / "new" / path.name
        yield temporary
        if replace:
            temporary.replace(path)
        else:
            rename_new(temporary, path)


def check_writable(path: str | Path) -> None:
    """Raise now what `atomic_path` would raise after the work; nothing is left behind."""
    path = Path(path)
    if path.is_dir():
        raise UnwritableFileError(f"{path} is a folder; a file of that name cannot be written")
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if not above.is_dir():
        raise unwritable(path, errno.ENOTDIR, f"{above} is a file, not a folder")
    try:
        with _workspace(above / path.name) as workspace:
            code = _disk_error(workspace)
    except UnwritableFileError as error:
        raise unwritable(path, error.errno, os.strerror(error.errno or 0)) from error
    if code:
        raise unwritable(path, code, os.strerror(code))


def make_folder(path: Path) -> None:
    """Make a folder and those above it; an error names it and says what to do."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error


def rename_new(source: Path, target: Path) -> None:
    """Rename a file or a folder; FileExistsError where the new name is taken.

    Where the system can (Linux), no other process can take the name between the two steps.
    """
    code = _rename(source, target, NO_REPLACE)
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):  # of the system, or of its disk
        code = errno.EEXIST if os.path.lexists(target) else 0
        if not code:
            source.rename(target)
    if code:
        raise OSError(code, os.strerror(code), str(source), None, str(target))


@contextmanager
def atomic_folder(path: str | Path, *, ours: Collection[str] = ()) -> Iterator[Path]:
    """Yield a temporary folder and rename it to `path` when the block succeeds.

    On an error the temporary folder is removed and an old folder stays. An old folder is replaced
    in one step where the system can exchange two names (Linux). Elsewhere it is absent for a
    moment; if the process is killed then, the next writer or reader restores it.

    Args:
        path: the folder.
        ours: relative names that an old folder may hold besides those that are written again. With
            any other file in it, the old folder is not replaced.
    """
    path = Path(path)
    if os.path.lexists(path) and not path.is_dir():
        what = "a file" if path.exists() else "a link to nothing"
        raise UnwritableFileError(f"{path} is {what}; a folder of that name cannot be written")
    with _workspace(path) as workspace:
        new, old = workspace / "new" / path.name, workspace / "old" / path.name
        new.mkdir()
        yield new
        if path.exists():
            _check_ours(path, _names(new) | set(ours))
            if _exchange(new, path):
                return
            path.rename(old)
        try:
            new.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield an empty folder in that of the system for temporary files; remove it at the end.

    What a killed process left there is removed first.
    """
    with _workspace(Path(tempfile.gettempdir()) / "temporary") as workspace:
        yield workspace / "new"


@contextmanager
def _workspace(path: Path) -> Iterator[Path]:
    """Make a locked folder beside `path` for the new file or folder; remove it at the end."""
    parent = path.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        if parent not in _cleaned_folders:  # once: a corpus has folders of 100,000 files
            _cleaned_folders.add(parent)
            remove_leftovers(parent)
        workspace, lock = _new_workspace(parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with lock, explain_write_errors(path, workspace):
            yield workspace
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def _new_workspace(parent: Path) -> tuple[Path, IO[bytes]]:
    while True:
        workspace = Path(tempfile.mkdtemp(dir=parent, prefix=WORKSPACE_PREFIX))
        with suppress(FileNotFoundError):  # another process has just removed it as a leftover
            lock = open(workspace / "lock", "wb")  # noqa: SIM115
            with suppress(OSError):  # a disk without locks: no process removes leftovers there
                _lock(lock, wait=True)
            if os.fstat(lock.fileno()).st_nlink:
                for part in ("new", "old"):
                    (workspace / part).mkdir()
                return workspace, lock
            lock.close()


def _lock(stream: IO[bytes], wait: bool = False) -> None:
    """Lock a file until it is closed; OSError where another process holds the lock."""
    if fcntl is None:
        raise OSError(errno.ENOLCK, "no locks here")
    fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def is_locked(path: Path) -> bool:
    """Return whether a process holds the lock of a file, as `flock` takes it."""
    with suppress(OSError), open(path, "rb+") as stream:
        try:
            _lock(stream)
        except BlockingIOError:
            return True
    return False


def remove_leftovers(folder: Path) -> None:
    """Remove what killed writers left in a folder, and restore a folder they had moved away."""
    for workspace in folder.glob(f"{WORKSPACE_PREFIX}*"):
        with suppress(OSError):
            if not (workspace / "lock").exists():
                with suppress(OSError):
                    workspace.rmdir()  # its writer has not locked it yet, and makes another one
                # A writer makes the lock first and removes it with the rest. Other files without a
                # lock mean that the writer was killed while it removed them.
                if not (workspace / "lock").exists():
                    shutil.rmtree(workspace, ignore_errors=True)
                continue
            with open(workspace / "lock", "rb+") as lock:
                _lock(lock)  # OSError where its writer still runs
                for old in workspace.glob("old/*"):
                    if not (folder / old.name).exists():
                        old.rename(folder / old.name)
                shutil.rmtree(workspace, ignore_errors=True)


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Let one process at a time work on a file, by a lock file beside it."""
    lock_path = path.with_name(path.name + ".lock")
    with explain_write_errors(path), open(lock_path, "ab") as lock:
        try:
            _lock(lock)
            busy = not os.fstat(lock.fileno()).st_nlink
        except OSError as error:  # any other error number: a disk without locks
            busy = error.errno in (errno.EWOULDBLOCK, errno.EACCES)
        if busy:
            advice = "run this again when it ends"
            raise UnwritableFileError(f"{path} is being written by another process; {advice}")
        try:
            yield
        finally:
            lock_path.unlink(missing_ok=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two paths in one step; False where the system cannot."""
    return _rename(one, other, EXCHANGE) == 0


def _rename(source: Path, target: Path, flag: int) -> int:
    """Rename by `renameat2` of Linux; return 0 or the error number, ENOSYS where it is missing."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return errno.ENOSYS
    here = -100  # AT_FDCWD
    done = rename(here, os.fsencode(source), here, os.fsencode(target), flag) == 0
    return 0 if done else ctypes.get_errno()


def _names(folder: Path) -> set[str]:
    return {entry.relative_to(folder).as_posix() for entry in folder.rglob("*")}


def _check_ours(folder: Path, ours: set[str]) -> None:
    strange = sorted(_names(folder) - ours)
    if strange:
        more = f" and {len(strange) - 3:,} more" if len(strange) > 3 else ""
        raise RetrievalInputError(
            f"{folder} would be replaced, but holds what was not written by this command:"
            f" {', '.join(strange[:3])}{more}. Nothing was changed; move that away, or name another"
            " folder"
        )


# ---- errors of the disk


@contextmanager
def explain_write_errors(path: Path, workspace: Path | None = None) -> Iterator[None]:
    """Turn errors of a full or read-only disk, from any library, into an error with advice."""
    try:
        yield
    except UnwritableFileError as error:
        if workspace is None or str(workspace / "new") not in str(error):
            raise
        # Name the place that the user knows, not the temporary folder.
        message = str(error).replace(str(workspace / "new"), str(path.parent))
        renamed = UnwritableFileError(message)
        renamed.errno = error.errno
        raise renamed from error
    except Exception as error:
        code, name = getattr(error, "errno", None), getattr(error, "filename", None)
        if code is None and workspace is not None:
            code = _disk_error(workspace)  # numpy, torch and HDF5 do not say that the disk is full
        elsewhere = workspace and name and WORKSPACE_PREFIX not in str(name)
        cut = workspace and isinstance(error, OSError) and code is None  # as numpy tells it
        if elsewhere or not (code in ADVICE or cut):
            raise
        raise _unwritable(path, error, code) from error


def _disk_error(workspace: Path) -> int | None:
    """Write a little and return the error number, or None if it works."""
    try:
        with open(workspace / "probe", "wb", buffering=0) as probe:
            probe.write(bytes(2**16))
            os.fsync(probe.fileno())
    except OSError as error:
        return error.errno
    return None


def _unwritable(path: Path, error: Exception, code: int | None = None) -> UnwritableFileError:
    code = code or getattr(error, "errno", None)
    return unwritable(path, code, getattr(error, "strerror", None) or str(error))


def unwritable(place: object, code: int | None, why: str) -> UnwritableFileError:
    """Return the error for a place that cannot be written, with advice by the error number."""
    advice = ADVICE.get(code, PICK_A_PLACE.capitalize())
    error = UnwritableFileError(f"{place} cannot be written: {why}. {advice}")
    error.errno = code
    return error


@contextmanager
def optional_write() -> Iterator[None]:
    """Continue with one warning where the cache cannot be written."""
    try:
        yield
    except UnwritableFileError as error:
        place = str(cache_dir())
        if place not in _warned_places:
            _warned_places.add(place)
            warnings.warn(
                f"Results are not cached, and will be computed again next time: {error}. The"
                f" variable CROSSMODAL_CACHE names a folder for them, now {place}",
                stacklevel=3,
            )


# ---- checksums and arrays


def sha256_of(source: str | Path | bytes) -> str:
    """Return the SHA-256 of a file or of bytes, as hexadecimal text."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with open(source, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_checksum(path: str | Path) -> str:
    """Write `<path>.sha256` beside a finished file and return the digest."""
    path = Path(path)
    digest = sha256_of(path)
    with atomic_path(path.with_name(path.name + CHECKSUM_SUFFIX)) as temporary:
        temporary.write_text(f"{digest}  {path.name}\n")  # the format of the sha256sum tool
    return digest


def save_arrays(path: str | Path, *, compressed: bool = False, **arrays: np.ndarray) -> str:
    """Write named arrays to an `.npz` with a checksum, atomically; return the digest.

    Use `compressed` for committed files; large files that are read often load faster without it.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"save_arrays writes .npz files, got {path.name!r}")
    for name, array in arrays.items():
        _check_plain(array, name, path)
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        (np.savez_compressed if compressed else np.savez)(stream, **arrays)
    return write_checksum(path)


def _check_plain(array, name: str, path: Path) -> None:
    """Refuse what an `.npz` would hold as pickled objects, which are never read back."""
    try:
        kind = np.asanyarray(array).dtype
    except ValueError as error:  # lists of unequal lengths
        raise RetrievalInputError(f"{path.name}: {name!r} is not an array: {error}") from error
    if kind.hasobject or name in ("file", "allow_pickle"):
        raise RetrievalInputError(
            f"{path.name}: the array {name!r} has dtype {kind}; arrays must hold numbers or texts,"
            " and be named neither 'file' nor 'allow_pickle', which np.savez takes itself"
        )
