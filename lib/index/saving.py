"""An index on disk: a folder with a header that names the bytes of the other files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.core.reading import DamagedFileError, MissingFileError, load_arrays, reading
from lib.core.writing import atomic_folder, save_arrays, sha256_of

if TYPE_CHECKING:
    from lib.index.base import VectorSearchIndex

FORMAT = 2  # of the folder; another one is refused, not guessed at
HEADER = "index.npz"
ROWS = "rows.npy"  # whole vectors, in families that keep them outside the library that searches
REBUILD = "Build the index again and save it."
Bodies = Mapping[
    str, Callable[[BinaryIO], object]
]  # by the name of the file: what writes it to a stream


class Tally:
    """A stream that counts and hashes what is written to it, and passes it on if there is somewhere
    to.
    """

    def __init__(self, onward: BinaryIO | None = None) -> None:
        self.size, self.sha256, self.onward = 0, hashlib.sha256(), onward

    def write(self, content) -> int:
        size = memoryview(content).nbytes
        self.size += size
        if self.onward is not None:
            self.sha256.update(content)
            self.onward.write(content)
        return size


def save_index(index: VectorSearchIndex, folder: Path) -> str:
    """Writes the folder whole or not at all; returns the SHA-256 of its header, which holds the
    others.
    """
    if not index.is_trained:
        raise RetrievalInputError(
            "the index has learnt nothing that could be saved: call train first"
        )
    if folder.exists() and not (folder / HEADER).is_file():
        raise RetrievalInputError(
            f"{folder} exists and is no saved index; choose another name or remove it"
        )
    with atomic_folder(folder, ours=_written(folder)) as temporary:
        digests = {}
        for name, write in index._bodies().items():
            with open(temporary / name, "wb") as stream:
                tally = Tally(stream)
                write(tally)
            digests[name] = tally.sha256.hexdigest()
        header = {
            "format": FORMAT,
            "index_type": index.index_type,
            "dimension": index.dimension,
            "metric": index.metric,
            "options": index._options,
            "n": index.ntotal,
            "bodies": digests,
        }
        return save_arrays(
            temporary / HEADER, header=np.array(json.dumps(header)), **index._state()
        )


def _written(folder: Path) -> Collection[str]:
    """Files of the index that is there, as its header names them; none where it cannot be read."""
    try:
        return json.loads(str(load_arrays(folder / HEADER, ["header"])["header"]))["bodies"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return ()


def load_index(cls, folder: Path, memory_map: bool, use_gpu: bool) -> VectorSearchIndex:
    """Reads what `save_index` wrote, after checking every byte; see `VectorSearchIndex.load`."""
    arrays = load_arrays(folder / HEADER, rebuild=REBUILD)
    with reading(folder / HEADER, "no header of an index", REBUILD):
        header = json.loads(str(arrays["header"])) if "header" in arrays else {}
        if header.get("format") != FORMAT:
            raise RetrievalInputError(f"{folder} does not hold a vector index of format {FORMAT}")
        family = cls.families[
            check_choice(header["index_type"], cls.families, "index_type of the file")
        ]
        if not issubclass(family, cls):
            raise RetrievalInputError(
                f"{folder} holds a {family.index_type!r} index, not {cls.index_type!r}"
            )
        for name, digest in header["bodies"].items():
            _verify(folder / name, digest)
        index = family(
            header["dimension"], metric=header["metric"], use_gpu=use_gpu, **header["options"]
        )
        n = check_count(header["n"], f"n of {folder / HEADER}", least=0)
    ids = arrays.get("ids")
    if ids is not None and (ids.shape != (n,) or ids.dtype != np.int64 or len(np.unique(ids)) < n):
        raise DamagedFileError(
            f"{folder} has ids {ids.dtype} {ids.shape}, expected {n} distinct ones. {REBUILD}"
        )
    with reading(folder, f"no {family.index_type} index", REBUILD):
        index._restore(folder, arrays, n, memory_map)
    return index


def check_held(
    path: str | os.PathLike, found: Mapping[str, object], expected: Mapping[str, object]
) -> None:
    """Refuses parts of an index, in files or in one, that do not belong together: the first that
    differs.
    """
    for name, value in found.items():
        if value != expected[name]:
            raise DamagedFileError(
                f"{path} does not fit together: {name} is {value}, expected {expected[name]}."
                f" {REBUILD}"
            )


def serialised_bytes(index: VectorSearchIndex) -> int:
    """Bytes that saving writes besides the header, counted by writing them to nowhere."""
    tally = Tally()
    for write in index._bodies().values():
        write(tally)
    return tally.size + sum(array.nbytes for array in index._state().values())


def array_writer(array: np.ndarray) -> Callable[[BinaryIO], object]:
    """Writes an array in numpy's format, a piece at a time."""
    return lambda stream: np.lib.format.write_array(stream, array, allow_pickle=False)


def read_array(path: Path, memory_map: bool) -> np.ndarray:
    """The array of a file; mapped, pages are read when they are used, and what is written stays in
    memory.
    """
    # torch takes no array that is read-only: mode "c" keeps writes, which nobody makes, out of the
    # file.
    with reading(path, "no .npy file of plain numbers", REBUILD):
        return np.load(path, mmap_mode="c" if memory_map else None, allow_pickle=False)


def form(array: np.ndarray) -> str:
    """Dtype and shape, for `check_held`: "float32 (3, 4)"."""
    return f"{array.dtype} {array.shape}"


def _verify(path: Path, digest: str) -> None:
    if not path.is_file():
        raise MissingFileError(f"{path} is missing. {REBUILD}")
    found = sha256_of(path)
    if found != digest:
        raise DamagedFileError(
            f"{path} is damaged: its SHA-256 is {found[:12]}..., {HEADER} says {digest[:12]}...."
            f" {REBUILD}"
        )
