"""Read files of vectors: .npy, .fvecs, .fbin and their relatives, HDF5; nothing is executed."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.core.reading import DamagedFileError, MissingFileError, reading

# Each row is its dimension as a little-endian 32-bit integer, then that many values.
ROW_FORMATS = {".fvecs": np.dtype("<f4"), ".ivecs": np.dtype("<i4"), ".bvecs": np.dtype("u1")}
# The numbers of rows and columns as little-endian 32-bit integers, then all values.
BLOCK_FORMATS = {
    ".fbin": np.dtype("<f4"), ".u8bin": np.dtype("u1"), ".i8bin": np.dtype("i1"),
    ".ibin": np.dtype("<i4"),
}  # fmt: skip
HDF5 = (".hdf5", ".h5")
SUFFIXES = (".npy", *ROW_FORMATS, *BLOCK_FORMATS, *HDF5)
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
AGAIN = "Copy it again, or write it again"
MAX_COMPRESSION = 1100  # more than deflate, HDF5's usual filter, can reach


def read_vectors(path: str | Path, name: str | None = None, limit: int | None = None) -> np.ndarray:
    """Read a matrix of vectors; if the format allows it, rows stay on disk until they are used.

        row i of .fvecs / .ivecs / .bvecs = [d: int32] [x_i1 ... x_id: float32 / int32 / uint8]
        .fbin / .u8bin / .i8bin / .ibin = [n: uint32] [d: uint32] [x_11 ... x_nd: float32 / uint8 /
        int8 / int32]

    Args:
        path: a file with one of `SUFFIXES`.
        name: the array inside an HDF5 file, for example "train"; needed if it holds several.
        limit: number of rows to read, from the first; by default, or if it is too large, all.

    Returns:
        `(n, d)` real numbers in the dtype of the file, read-only if memory-mapped (`np.memmap`).

    Reference: http://corpus-texmex.irisa.fr, which defined the row formats, and
    https://big-ann-benchmarks.com, which defined the others.
    """
    path = Path(path)
    suffix = check_choice(path.suffix.lower(), SUFFIXES, f"the suffix of {path.name}")
    if not path.is_file():
        raise MissingFileError(f"{path} is missing; give a file of vectors ({', '.join(SUFFIXES)})")
    if name is not None and suffix not in HDF5:
        raise RetrievalInputError(f"{path.name} holds one array, so it has none called {name!r}")
    rows = slice(None if limit is None else check_count(limit, "limit"))
    if suffix in ROW_FORMATS:
        return _read_row_format(path, ROW_FORMATS[suffix])[rows]
    if suffix in BLOCK_FORMATS:
        return _read_block_format(path, BLOCK_FORMATS[suffix])[rows]
    if suffix in HDF5:
        return _read_hdf5(path, name, rows)
    return _read_npy(path)[rows]


def _read_row_format(path: Path, kind: np.dtype) -> np.ndarray:
    size = path.stat().st_size
    if size < 4:
        raise RetrievalInputError(f"{path.name} has {size} bytes, fewer than one row must have")
    d = int(np.fromfile(path, "<i4", count=1)[0])
    if d < 1:
        raise RetrievalInputError(f"{path.name}, row 0: dimension must be at least 1, got {d}")
    width = 4 + d * kind.itemsize
    n, n_extra = divmod(size, width)
    if n:
        rows = np.memmap(path, np.uint8, mode="r", shape=(n, width))
        dimensions = rows[:, :4].copy().view("<i4")[:, 0]  # (n,) as each row states it
        wrong = np.flatnonzero(dimensions != d)
        if wrong.size:
            raise RetrievalInputError(
                f"{path.name} has dimension {dimensions[wrong[0]]} in row {wrong[0]}, expected {d}"
                f" as in row 0: the file is damaged or no {path.suffix} file"
            )
    if n_extra:
        extra = f"{n_extra} bytes of {width}"
        raise RetrievalInputError(f"{path.name} ends within row {n}: {extra}. Copy it again")
    values = np.memmap(path, [("dimension", "<i4"), ("values", kind, (d,))], mode="r", shape=(n,))
    return values["values"]


def _read_block_format(path: Path, kind: np.dtype) -> np.ndarray:
    size = path.stat().st_size
    if size < 8:
        raise RetrievalInputError(f"{path.name} has {size} bytes, fewer than its header must have")
    n, d = np.fromfile(path, "<u4", count=2).tolist()
    if n < 1 or d < 1:
        shape = f"{n} rows of dimension {d}"
        raise RetrievalInputError(f"{path.name} says that it has {shape}; at least one of each")
    expected = 8 + n * d * kind.itemsize
    if size != expected:
        raise RetrievalInputError(
            f"{path.name} says {n:,} rows of dimension {d}, which are {expected:,} bytes, and has"
            f" {size:,}: the file is damaged or no {path.suffix} file. {AGAIN}"
        )
    return np.memmap(path, kind, mode="r", offset=8, shape=(n, d))


def _read_npy(path: Path) -> np.ndarray:
    with reading(path, "no .npy file of a plain array", AGAIN), open(path, "rb") as stream:
        version = np.lib.format.read_magic(stream)
        if version not in HEADERS:  # version 3 is for structures with names that are not ASCII
            raise ValueError(f"its format version {version} is not one of plain arrays")
        shape, columns_first, dtype = HEADERS[version](stream)
        start = stream.tell()
    _check_matrix(shape, dtype, path.name)
    size, expected_size = path.stat().st_size - start, math.prod(shape) * dtype.itemsize
    if size != expected_size:
        sizes = f"{expected_size:,} bytes of {dtype} {shape}, got {size:,}"
        raise DamagedFileError(f"{path} must have {sizes}. {AGAIN}")
    order = "F" if columns_first else "C"
    return np.memmap(path, dtype, mode="r", offset=start, shape=shape, order=order)


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading; errors of a damaged file name the file."""
    with reading(path, "no HDF5 file", AGAIN), h5py.File(path, "r") as archive:
        yield archive


def _read_hdf5(path: Path, name: str | None, rows: slice) -> np.ndarray:
    with open_hdf5(path) as archive:
        # Links may lead to other files: only arrays in this file, under their own names, are read.
        names = [
            key
            for key in archive
            if isinstance(archive.get(key, getlink=True), h5py.HardLink)
            and isinstance(archive[key], h5py.Dataset)
        ]
        if name is None and len(names) != 1:
            arrays = ", ".join(names) or "no array"
            raise RetrievalInputError(f"{path.name} holds {arrays}; name the one to read")
        name = check_choice(name or names[0], names, f"the array of {path.name}")
        array = archive[name]
        if array.external or array.is_virtual:
            advice = "which are not opened; copy it into one file"
            raise RetrievalInputError(f"{name} in {path.name} lies in other files, {advice}")
        _check_matrix(array.shape, array.dtype, f"{name} in {path.name}")
        size = math.prod(array.shape) * array.dtype.itemsize
        stored_size = array.id.get_storage_size()
        if size > MAX_COMPRESSION * stored_size:
            raise DamagedFileError(
                f"{name} in {path} should have {size:,} bytes and {stored_size:,} are stored: it"
                f" was not written completely. {AGAIN}"
            )
        # Only arrays in one piece and of a type that numpy has can be memory-mapped. Chunks,
        # bfloat16 or 12 bits of 16 are converted by HDF5.
        plain = array.id.get_type() == h5py.h5t.py_create(array.dtype)
        if array.chunks is not None or not plain or stored_size != size:
            return array[rows]
        offset = array.id.get_offset()
        return np.memmap(path, array.dtype, mode="r", offset=offset, shape=array.shape)[rows]


def _check_matrix(shape: tuple[int, ...] | None, dtype: np.dtype, name: str) -> None:
    if shape is None or len(shape) != 2 or min(shape) < 1 or dtype.kind not in "iuf":
        expected = "real numbers of shape (n, d), at least one of each"
        raise RetrievalInputError(f"{name} must be {expected}, got {dtype} {shape}")
