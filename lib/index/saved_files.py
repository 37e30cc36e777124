"""Files of a saved index: its header, its bodies, and checks that they belong together."""

import hashlib
import json
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np

from lib.core.reading import DamagedFileError, MissingFileError, load_arrays, reading
from lib.core.writing import sha256_of

HEADER = "index.npz"
ROWS = "rows.npy"  # whole vectors, in families that keep them outside the library that searches
REBUILD = "Build the index again and save it."
Bodies = Mapping[str, Callable[[BinaryIO], object]]  # file name -> function that writes the file


class HashingStream:
    """Count the bytes written to a stream; hash them and pass them on if there is a file."""

    def __init__(self, file: BinaryIO | None = None) -> None:
        self.size, self.sha256, self.file = 0, hashlib.sha256(), file

    def write(self, content) -> int:
        size = memoryview(content).nbytes
        self.size += size
        if self.file is not None:
            self.sha256.update(content)
            self.file.write(content)
        return size


def files_of_index(folder: Path) -> Collection[str]:
    """Names of the files that the header in a folder lists; none where it cannot be read."""
    try:
        return json.loads(str(load_arrays(folder / HEADER, ["header"])["header"]))["bodies"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return ()


def verify_file(path: Path, expected: str) -> None:
    """Check a file against its SHA-256."""
    if not path.is_file():
        raise MissingFileError(f"{path} is missing. {REBUILD}")
    digest = sha256_of(path)
    if digest != expected:
        digests = f"{digest[:12]}..., {HEADER} says {expected[:12]}..."
        raise DamagedFileError(f"{path} is damaged: its SHA-256 is {digests}. {REBUILD}")


def check_fits(
    path: str | os.PathLike, actual: Mapping[str, object], expected: Mapping[str, object]
) -> None:
    """Refuse the parts of a saved index that do not belong together: the first that differs."""
    for name, value in actual.items():
        if value != expected[name]:
            problem = f"{name} is {value}, expected {expected[name]}"
            raise DamagedFileError(f"{path} does not fit together: {problem}. {REBUILD}")


def array_writer(array: np.ndarray) -> Callable[[BinaryIO], object]:
    """Return a function that writes an array in numpy's format, a piece at a time."""
    return lambda stream: np.lib.format.write_array(stream, array, allow_pickle=False)


def read_array(path: Path, memory_map: bool) -> np.ndarray:
    """Read the array of a file, or map the file into memory."""
    # Mode "c" gives a writable array, which torch needs, and keeps the file as it is.
    with reading(path, "no .npy file of plain numbers", REBUILD):
        return np.load(path, mmap_mode="c" if memory_map else None, allow_pickle=False)


def shape_text(array: np.ndarray) -> str:
    """Format dtype and shape for `check_fits`: "float32 (3, 4)"."""
    return f"{array.dtype} {array.shape}"
