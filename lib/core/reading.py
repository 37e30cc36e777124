"""Reading of files: checksums, arrays, and errors that name the file and what to do."""

import gc
import re
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.writing import (
    CHECKSUM_SUFFIX,
    UnwritableFileError,
    optional_write,
    remove_leftovers,
    save_arrays,
    sha256_of,
)

MAX_RATIO = 200  # JSON of captions shrinks about tenfold, deflate can reach a thousandfold
FREE_BYTES = 2**26  # arrays below this size are read at any compression ratio
MAX_ARRAYS = 100_000


class DamagedFileError(ValueError):
    """A file does not have the stored checksum, or is not in the expected format."""


class MissingFileError(FileNotFoundError, ValueError):
    """A file does not exist; the message says which command makes it."""


@contextmanager
def reading(path: str | Path, problem: str, advice: str) -> Iterator[None]:
    """Turn any error of a reader into DamagedFileError `"<path> is <problem>: <why>. <advice>"`."""
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
        if "allow_pickle" in why:  # numpy would advise to load it all the same
            why = "it is no array, or one of Python objects, which are never loaded here"
        raise DamagedFileError(f"{path} is {problem}: {why}. {advice}") from error


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause Python's search for unused cycles, while millions of objects without cycles are made.

    The search visits all objects so far again and again: with it, a large JSON file takes several
    times as long.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def recorded_digest(sidecar: str | Path, rebuild: str) -> str:
    """Read the SHA-256 in a `.sha256` file; `rebuild` is the advice where there is none."""
    sidecar = Path(sidecar)
    if not sidecar.is_file():
        raise MissingFileError(f"{sidecar} is missing. {rebuild}")
    digest = sidecar.read_bytes()[:64].decode("ascii", "replace")
    if not re.fullmatch("[0-9a-f]{64}", digest):
        start = f"{digest[:20]!r}"
        raise DamagedFileError(f"{sidecar} must hold a SHA-256, got {start}. {rebuild}")
    return digest


def verify(path: str | Path, *, rebuild: str) -> Path:
    """Check a file against its checksum and return its path.

    Args:
        path: the file; `<path>.sha256` must lie beside it.
        rebuild: what to do when the file is missing or damaged, for the message.
    """
    path = Path(path)
    sidecar = path.with_name(path.name + CHECKSUM_SUFFIX)
    if not path.is_file():  # its folder may have been moved away by a writer that was killed
        remove_leftovers(path.parent.parent)
    if not path.is_file():
        raise MissingFileError(f"{path} is missing. {rebuild}")
    expected, digest = recorded_digest(sidecar, rebuild), sha256_of(path)
    if digest != expected:
        digests = f"{digest[:12]}..., {sidecar.name} says {expected[:12]}..."
        raise DamagedFileError(f"{path} is damaged: its SHA-256 is {digests}. {rebuild}")
    return path


def load_arrays(
    path: str | Path,
    names: Collection[str] | None = None,
    *,
    rebuild: str = "Delete it and run the command that made it again.",
) -> dict[str, np.ndarray]:
    """Read what `save_arrays` wrote, all arrays or some names, after checking the checksum."""
    return read_arrays(verify(path, rebuild=rebuild), names, advice=rebuild)


def read_arrays(
    path: str | Path,
    names: Collection[str] | None = None,
    *,
    advice: str = "np.savez writes such a file",
) -> dict[str, np.ndarray]:
    """Read arrays of an `.npz` file without unpickling objects or decompressing other arrays.

    Args:
        path: the file.
        names: names to read, as far as the file has them; all by default.
        advice: what to do where the file cannot be read, for the message.

    Returns:
        `{name: array}`. A file with a suspicious compression ratio is refused.
    """
    path = Path(path)
    if not path.is_file():
        state = "is a folder, not a file" if path.is_dir() else "is missing"
        raise MissingFileError(f"{path} {state}. {advice}")
    if not zipfile.is_zipfile(path):  # numpy would offer to unpickle it
        raise DamagedFileError(
            f"{path} is no .npz file of plain arrays: it is no zip archive, or its end is cut off."
            f" {advice}"
        )
    with (
        reading(path, "no .npz file of plain arrays", advice),
        np.load(path, allow_pickle=False) as archive,
    ):
        chosen = set(archive.files) if names is None else set(archive.files) & set(names)
        entries = archive.zip.infolist()
        sizes = {entry.filename.removesuffix(".npy"): entry.file_size for entry in entries}
        size = sum(sizes[name] for name in chosen)
        most = max(FREE_BYTES, MAX_RATIO * path.stat().st_size)
        if size > most or len(sizes) > MAX_ARRAYS:
            raise DamagedFileError(
                f"{path} would take {size:,} bytes for {len(chosen):,} of {len(sizes):,} arrays;"
                f" a file of its length may hold at most {most:,} bytes and {MAX_ARRAYS:,} arrays."
                f" {advice}"
            )
        return {name: archive[name] for name in sorted(chosen)}


def cached_arrays(path: str | Path, make: Callable[[], dict], key: str | None = None) -> dict:
    """Read arrays from the cache, or make and store them where they are missing or damaged.

    Where nothing can be written, one warning says so and the arrays are returned all the same.

    Args:
        path: an `.npz` in the cache folder.
        make: computes the arrays; called only if the file cannot be used.
        key: identifies the arrays and is stored with them. A file with another key is not used.
    """
    try:
        arrays = load_arrays(path)
        if key is None or str(arrays.pop("key", None)) == key:
            return arrays
    except (MissingFileError, DamagedFileError):
        pass
    arrays = make()
    if not isinstance(arrays, Mapping) or (key is not None and "key" in arrays):
        raise RetrievalInputError(
            f"results for {path} must be {{name: array}}, none of them 'key', got {arrays!r:.100}"
        )
    with optional_write():
        save_arrays(path, **arrays, **({} if key is None else {"key": np.array(key)}))
    return arrays
