"""Files that are whole or absent: atomic writes, checksums, and where the project keeps its
data.
"""

import ctypes
import errno
import hashlib
import os
import re
import shutil
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import numpy as np
import pooch

from lib.core.checks import RetrievalInputError

try:
    import fcntl
except ImportError:  # Windows has other locks; there, leftovers of killed writes stay
    fcntl = None

CHECKSUM_SUFFIX = ".sha256"
PACKAGED = Path(__file__).resolve().parents[1] / "data"  # there in an installed wheel only
ROOM = (  # folders of this name hold what is being written; those of killed writers are cleaned
    ".crossmodal-"
)
MAX_RATIO = (
    200  # captions as JSON shrink about tenfold, deflate cannot shrink more than some thousandfold
)
FREE_BYTES = 2**26  # arrays of less than this are read whatever their ratio
MAX_ARRAYS = 100_000
_UNWRITABLE = {
    errno.ENOSPC: "Its disk is full: free space on it, or choose another place",
    errno.EDQUOT: "Your share of its disk is used up: free space on it, or choose another place",
    errno.EROFS: "Its disk is read-only: choose another place",
    errno.EACCES: "You may not write there: choose another place, or have the rights changed",
    errno.EPERM: "You may not write there: choose another place, or have the rights changed",
    errno.EFBIG: (
        "The file would be larger than its disk or your limits allow: choose another place"
    ),
}
_told: set[str] = set()  # caches that could not be kept are spoken of once
_swept: set[Path] = set()  # folders in which this process has looked for leftovers


class DamagedFileError(ValueError):
    """A file's bytes differ from the checksum that was stored when it was written."""


class MissingFileError(FileNotFoundError, ValueError):
    """A file the project needs is not there; the message says which command makes it."""


class UnwritableFileError(OSError, ValueError):
    """A file cannot be written; the message names it, and says why and what to do."""


def data_dir() -> Path:
    """The `data/` folder: `$CROSSMODAL_DATA` if it is set, else the wheel's, else that of the
    checkout.
    """
    override = os.environ.get("CROSSMODAL_DATA")
    if override:
        return Path(override)
    return PACKAGED if PACKAGED.is_dir() else PACKAGED.parent.parent / "data"


def artifacts_dir() -> Path:
    """Committed models and embeddings."""
    return data_dir() / "artifacts"


def cache_dir() -> Path:
    """What can be rebuilt at any time: `$CROSSMODAL_CACHE` if it is set, else `cache/` in the data
    folder.

    An installed wheel keeps it where the system keeps caches of a user, not among the installed
    packages.
    """
    override = os.environ.get("CROSSMODAL_CACHE")
    if override:
        return Path(override)
    return pooch.os_cache("crossmodal") if data_dir() == PACKAGED else data_dir() / "cache"


def is_unicode(text: str) -> bool:
    """Whether a text can be written as UTF-8; JSON can hold halves of characters that cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def relative_name(name: str | Path, root: str | Path) -> str:
    """Returns a name that a data file gives when, read as a path, it stays inside `root`; no disk
    is touched.

    Raises:
        RetrievalInputError: an empty or absolute name, one with a `..` part, a backslash or a NUL
            in it.

    Relations: `path_inside` also follows links; this is for names that are never opened, as those
    of the members of an archive.
    """
    name = str(name)
    drive = len(name) > 1 and name[1] == ":"  # C:/windows is absolute elsewhere
    if (
        not name
        or name.startswith("/")
        or drive
        or ".." in name.split("/")
        or "\\" in name
        or "\0" in name
    ):
        raise RetrievalInputError(
            f"the name {name!r} must be a relative path inside {root}, without '..' and backslashes"
        )
    return name


def path_inside(root: str | Path, relative: str | Path) -> Path:
    """The path of a name that a data file gives, which may not lead out of the folder it belongs
    to.

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
    if path == root:
        raise RetrievalInputError(
            f"the name {name!r} is that of the folder {root} itself, not of a file in it"
        )
    if not path.is_relative_to(root):
        raise RetrievalInputError(
            f"the name {name!r} leads out of {root}, to {path}, by a link. Put the files inside, or"
            " mount their folder there"
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
    """Yields a temporary path on the same disk and renames it to `path` when the block succeeds.

    A reader sees the old file or the new one, never half of one; on an error the temporary file
    goes away. The temporary name is that of `path`, in a folder `.crossmodal-*` beside it, which
    the next writer removes if this one is killed.

    Raises:
        UnwritableFileError: the disk is full or read-only, or the folder cannot be made.
    """
    path = Path(path)
    if path.is_dir():
        raise UnwritableFileError(f"{path} is a folder; a file of that name cannot be written")
    with _room(path) as room:
        temporary = room / "new" / path.name
        yield temporary
        temporary.replace(path)


@contextmanager
def atomic_folder(path: str | Path, *, ours: Collection[str] = ()) -> Iterator[Path]:
    """Yields a temporary folder beside `path` and gives it that name when the block succeeds.

    On an error the temporary folder goes away and an old folder stays. An old one is replaced as a
    whole, in one step where the system can exchange two names (Linux); elsewhere there is none for
    a moment, and the next writer or reader brings back the old one if this one is killed then.

    Args:
        path: the folder.
        ours: files that an old folder may hold besides those that are written anew, as relative
            names. It is left alone if it holds anything else, which belongs to somebody.

    Raises:
        RetrievalInputError: the old folder holds other files.
        UnwritableFileError: `path` is a file, the disk is full or read-only, or the folder cannot
            be made.
    """
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise UnwritableFileError(f"{path} is a file; a folder of that name cannot be written")
    with _room(path) as room:
        new, old = room / "new" / path.name, room / "old" / path.name
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
def _room(path: Path) -> Iterator[Path]:
    """A locked folder beside `path` for what shall replace it; goes away at the end, however that
    comes.
    """
    parent = path.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        if parent not in _swept:  # once: a corpus is unpacked into folders of 100,000 files
            _swept.add(parent)
            sweep(parent)
        room, lock = _new_room(parent)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        with lock, naming_write_errors(path, room):
            yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _new_room(parent: Path) -> tuple[Path, IO[bytes]]:
    while True:
        room = Path(tempfile.mkdtemp(dir=parent, prefix=ROOM))
        with suppress(FileNotFoundError):  # another process has just taken it for a leftover
            lock = open(room / "lock", "wb")
            with suppress(OSError):  # a disk without locks: nobody sweeps there either
                _lock(lock, wait=True)
            if os.fstat(lock.fileno()).st_nlink:
                for part in ("new", "old"):
                    (room / part).mkdir()
                return room, lock
            lock.close()


def _lock(stream: IO[bytes], wait: bool = False) -> None:
    """Locks a file until it is closed or its process ends; OSError where another one holds it."""
    if fcntl is None:
        raise OSError(errno.ENOLCK, "no locks here")
    fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


def sweep(folder: Path) -> None:
    """Removes what killed writers have left in a folder, and gives back a name that one had just
    taken.
    """
    for room in folder.glob(f"{ROOM}*"):
        with suppress(OSError):
            if not (room / "lock").exists():
                with suppress(OSError):
                    room.rmdir()  # killed before it could lock; one that is about to makes another room
                # The lock is the first thing in a room: what holds others without it was killed as
                # it went.
                if not (room / "lock").exists():
                    shutil.rmtree(room, ignore_errors=True)
                continue
            with open(room / "lock", "rb+") as lock:
                _lock(lock)  # OSError where its writer lives
                for old in room.glob("old/*"):
                    if not (folder / old.name).exists():
                        old.rename(folder / old.name)
                shutil.rmtree(room, ignore_errors=True)


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Lets one process at a time work on a file, by a lock beside it.

    Raises:
        UnwritableFileError: another process has it.
    """
    beside = path.with_name(path.name + ".lock")
    with naming_write_errors(path), open(beside, "ab") as lock:
        try:
            _lock(lock)
            busy = not os.fstat(lock.fileno()).st_nlink
        except OSError as error:  # else it is a disk without locks
            busy = error.errno in (errno.EWOULDBLOCK, errno.EACCES)
        if busy:
            raise UnwritableFileError(
                f"{path} is being written by another process; run this again when it ends"
            )
        try:
            yield
        finally:
            beside.unlink(missing_ok=True)


@contextmanager
def naming_write_errors(path: Path, room: Path | None = None) -> Iterator[None]:
    """Turns what a full or read-only disk raises, in whatever library writes, into an error with
    advice.
    """
    try:
        yield
    except UnwritableFileError as error:
        if room is None or str(room / "new") not in str(error):
            raise
        told = UnwritableFileError(str(error).replace(str(room / "new"), str(path.parent)))
        told.errno = (
            error.errno
        )  # the place that the user knows, not the folder that is gone by now
        raise told from error
    except Exception as error:
        code, name = getattr(error, "errno", None), getattr(error, "filename", None)
        if code is None and room is not None:
            code = _disk_error(room)  # numpy, torch and HDF5 do not say that the disk was full
        if code not in _UNWRITABLE or (
            room and name and ROOM not in str(name)
        ):  # or another file's trouble
            raise
        raise _unwritable(path, error, code) from error


def _disk_error(room: Path) -> int | None:
    """What the system says when a little is written: an error number, or None if that works."""
    try:
        with open(room / "probe", "wb", buffering=0) as probe:
            probe.write(bytes(2**16))
            os.fsync(probe.fileno())
    except OSError as error:
        return error.errno
    return None


def _unwritable(path: Path, error: Exception, code: int | None = None) -> UnwritableFileError:
    code = code or getattr(error, "errno", None)
    why, advice = (
        getattr(error, "strerror", None) or str(error),
        _UNWRITABLE.get(code, "Choose another place"),
    )
    made = UnwritableFileError(f"{path} cannot be written: {why}. {advice}")
    made.errno = code
    return made


def _exchange(one: Path, other: Path) -> bool:
    """Lets two paths change places in one step; False where the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of linux/fs.h
    return rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def _names(folder: Path) -> set[str]:
    return {entry.relative_to(folder).as_posix() for entry in folder.rglob("*")}


def _check_ours(folder: Path, ours: set[str]) -> None:
    strange = sorted(_names(folder) - ours)
    if strange:
        shown = ", ".join(strange[:3]) + (
            f" and {len(strange) - 3:,} more" if len(strange) > 3 else ""
        )
        raise RetrievalInputError(
            f"{folder} would be replaced, but holds what was not written by this command: {shown}. "
            "Nothing was changed; move that away, or name another folder"
        )


@contextmanager
def optional_write() -> Iterator[None]:
    """For what a cache keeps: where it cannot be written, the work goes on, and a warning says so
    once.
    """
    try:
        yield
    except UnwritableFileError as error:
        place = str(cache_dir())
        if place not in _told:
            _told.add(place)
            warnings.warn(
                f"Results are not kept, and will be computed again next time: {error}. The variable"
                f" CROSSMODAL_CACHE names a folder for them, now {place}",
                stacklevel=3,
            )


def seal(path: str | Path) -> str:
    """Writes `<path>.sha256` beside a finished file and returns the digest."""
    path = Path(path)
    digest = sha256_of(path)
    with atomic_path(path.with_name(path.name + CHECKSUM_SUFFIX)) as temporary:
        temporary.write_text(f"{digest}  {path.name}\n")  # the format of the sha256sum tool
    return digest


def recorded_digest(sidecar: str | Path, rebuild: str) -> str:
    """The SHA-256 that a `.sha256` file holds; an error that names the file where it holds none."""
    sidecar = Path(sidecar)
    if not sidecar.is_file():
        raise MissingFileError(f"{sidecar} is missing. {rebuild}")
    digest = sidecar.read_bytes()[:64].decode("ascii", "replace")
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise DamagedFileError(
            f"{sidecar} is damaged: it holds no SHA-256 but {digest[:20]!r}. {rebuild}"
        )
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
    if not path.is_file():  # its folder may have lost its name to a writer that was killed
        sweep(path.parent.parent)
    if not path.is_file():
        raise MissingFileError(f"{path} is missing. {rebuild}")
    expected, found = recorded_digest(sidecar, rebuild), sha256_of(path)
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
    path: str | Path,
    names: Collection[str] | None = None,
    *,
    rebuild: str = "Delete it and run the command that made it again.",
) -> dict[str, np.ndarray]:
    """Reads what `save_arrays` wrote, all or some names of it, after checking its checksum."""
    return read_arrays(verify(path, rebuild=rebuild), names, advice=rebuild)


def read_arrays(
    path: str | Path,
    names: Collection[str] | None = None,
    *,
    advice: str = "np.savez writes such a file",
) -> dict[str, np.ndarray]:
    """Reads arrays of an `.npz` file; never unpickles objects, and inflates none that is not asked
    for.

    Args:
        path: the file.
        names: those that are wanted, as far as they are there; all by default.
        advice: what to do where it cannot be read, for the message.

    Raises:
        MissingFileError: no such file.
        DamagedFileError: no `.npz` file, objects, or more bytes than a file of that length may
            hold.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path} is missing. {advice}")
    with (
        reading(path, "no .npz file of plain arrays", advice),
        np.load(path, allow_pickle=False) as archive,
    ):
        chosen = set(archive.files) if names is None else set(archive.files) & set(names)
        members = {
            info.filename.removesuffix(".npy"): info.file_size for info in archive.zip.infolist()
        }
        size, most = (
            sum(members[name] for name in chosen),
            max(FREE_BYTES, MAX_RATIO * path.stat().st_size),
        )
        if size > most or len(members) > MAX_ARRAYS:
            raise DamagedFileError(
                f"{path} would take {size:,} bytes for {len(chosen):,} of {len(members):,} arrays;"
                f" a file of its length may hold at most {most:,} bytes and {MAX_ARRAYS:,} arrays."
                f" {advice}"
            )
        return {name: archive[name] for name in sorted(chosen)}


@contextmanager
def reading(path: str | Path, what: str, advice: str) -> Iterator[None]:
    """Turns whatever a reader raises into a DamagedFileError: `"<path> is <what>: <why>.
    <advice>"`.
    """
    try:
        yield
    except (
        DamagedFileError,
        MissingFileError,
        UnwritableFileError,
        RetrievalInputError,
        PermissionError,
    ):
        raise
    except Exception as error:
        why = str(error)[:300] or type(error).__name__
        raise DamagedFileError(f"{path} is {what}: {why}. {advice}") from error


def kept_arrays(path: str | Path, make: Callable[[], dict], key: str | None = None) -> dict:
    """The arrays of a sealed file; made, and kept, where it is missing, damaged or another's.

    Args:
        path: an `.npz` of the cache.
        make: what to store there; called only if the file cannot be used.
        key: what the arrays are, kept beside them: a whole file under the name of another is not
            taken.

    Where nothing can be written, a warning says so once, and the arrays are returned all the same.

    Relations: for what can be made again at any time. What is committed is read with `load_arrays`,
    which refuses a damaged file.
    """
    try:
        arrays = load_arrays(path)
        if key is None or str(arrays.pop("key", None)) == key:
            return arrays
    except (MissingFileError, DamagedFileError):
        pass
    arrays = make()
    with optional_write():
        save_arrays(path, **arrays, **({} if key is None else {"key": np.array(key)}))
    return arrays
