"""Files of vectors as the field keeps them: .npy, .fvecs / .bvecs / .ivecs and HDF5; read, never
executed.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.core.reading import DamagedFileError, MissingFileError, reading
from lib.core.writing import atomic_path

# Every row of these is its dimension as a 32-bit whole number, then that many values, little
# endian.
ROW_FORMATS = {".fvecs": np.dtype("<f4"), ".ivecs": np.dtype("<i4"), ".bvecs": np.dtype("u1")}
HDF5 = (".hdf5", ".h5")
SUFFIXES = (".npy", *ROW_FORMATS, *HDF5)
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
AGAIN = "Copy it again, or write it again"
SQUEEZED = 1100  # more than deflate, HDF5's usual filter, can make of a byte


def read_vectors(path: str | Path, name: str | None = None, limit: int | None = None) -> np.ndarray:
    """Reads a matrix of vectors; where the format allows, rows come from the disk when they are
    first used.

        row i of .fvecs / .ivecs / .bvecs = [d: int32] [x_i1 ... x_id: float32 / int32 / uint8]

    Args:
        path: a file with one of `SUFFIXES`.
        name: of the array inside an HDF5 file, for example "train"; needed where the file holds
            several.
        limit: rows to read, from the first; all when None, all there are when it is more.

    Returns:
        `(n, d)` real numbers in the dtype of the file, read-only where memory-mapped (`np.memmap`).

    Raises:
        MissingFileError: the file is not there.
        DamagedFileError: it is cut off, or not what its suffix says.
        RetrievalInputError: an unknown suffix, an array that is not a matrix of real numbers or is
            missing, a file cut off within a row, or a row of another dimension (the message gives
            row and dimension).

    Relations: `write_vectors` writes the row formats; `lib.studies.ann.ann_benchmarks_io` reads the
    data files of ann-benchmarks with their neighbours.

    Reference: http://corpus-texmex.irisa.fr, which defined the row formats.
    """
    path = Path(path)
    suffix = check_choice(path.suffix.lower(), SUFFIXES, f"the suffix of {path.name}")
    if not path.is_file():
        raise MissingFileError(
            f"{path} is not there; give a file of vectors ({', '.join(SUFFIXES)})"
        )
    if name is not None and suffix not in HDF5:
        raise RetrievalInputError(f"{path.name} holds one array, so it has none called {name!r}")
    rows = slice(None if limit is None else check_count(limit, "limit"))
    if suffix in ROW_FORMATS:
        return _read_rows(path, ROW_FORMATS[suffix])[rows]
    if suffix in HDF5:
        return _read_hdf5(path, name, rows)
    return _read_npy(path)[rows]


def write_vectors(path: str | Path, vectors) -> None:
    """Writes `(n, d)` vectors as .fvecs, .ivecs or .bvecs, atomically; values must survive the
    conversion.

    Raises:
        RetrievalInputError: another suffix, no matrix, or a value that the format cannot hold (with
            its row).
    """
    path = Path(path)
    kind = ROW_FORMATS[check_choice(path.suffix.lower(), ROW_FORMATS, f"the suffix of {path.name}")]
    vectors = _checked(np.asarray(vectors), "vectors")
    with np.errstate(invalid="ignore", over="ignore"):
        stored = vectors.astype(kind)
    if kind.kind != "f":
        lost = np.flatnonzero((stored != vectors).any(axis=1))
    else:  # rounding to float32 is what the format means; overflowing is not
        lost = np.flatnonzero((np.isfinite(stored) != np.isfinite(vectors)).any(axis=1))
    if lost.size:
        raise RetrievalInputError(
            f"row {lost[0]} of vectors has a value that {path.suffix} cannot hold"
        )
    rows = np.empty(len(stored), [("dimension", "<i4"), ("values", kind, (stored.shape[1],))])
    rows["dimension"], rows["values"] = stored.shape[1], stored
    with atomic_path(path) as temporary:
        rows.tofile(temporary)


def _read_rows(path: Path, kind: np.dtype) -> np.ndarray:
    size = path.stat().st_size
    if size < 4:
        raise RetrievalInputError(
            f"{path.name} has {size} bytes, less than the dimension of one row"
        )
    d = int(np.fromfile(path, "<i4", count=1)[0])
    if d < 1:
        raise RetrievalInputError(
            f"{path.name} has dimension {d} in row 0; is it a {path.suffix} file?"
        )
    width = 4 + d * kind.itemsize
    n, cut = divmod(size, width)
    if n:
        rows = np.memmap(path, np.uint8, mode="r", shape=(n, width))
        said = rows[:, :4].copy().view("<i4")[:, 0]  # (n,) every row says its own dimension
        wrong = np.flatnonzero(said != d)
        if wrong.size:
            raise RetrievalInputError(
                f"{path.name} has dimension {said[wrong[0]]} in row {wrong[0]}, expected {d} as in"
                f" row 0: the file is damaged or no {path.suffix} file"
            )
    if cut:
        raise RetrievalInputError(
            f"{path.name} ends within row {n}: {cut} bytes of {width}. Copy it again"
        )
    values = np.memmap(path, [("dimension", "<i4"), ("values", kind, (d,))], mode="r", shape=(n,))
    return values["values"]


def _read_npy(path: Path) -> np.ndarray:
    with reading(path, "no .npy file of a plain array", AGAIN), open(path, "rb") as stream:
        version = np.lib.format.read_magic(stream)
        if version not in HEADERS:  # the third is for structures with names that are not ASCII
            raise ValueError(f"its format {version} is none of plain arrays")
        shape, columns_first, dtype = HEADERS[version](stream)
        start = stream.tell()
    _check_matrix(shape, dtype, path.name)
    size, wanted = path.stat().st_size - start, math.prod(shape) * dtype.itemsize
    if size != wanted:
        raise DamagedFileError(
            f"{path} has {size:,} bytes of values; its header, {dtype} {shape}, says {wanted:,}."
            f" {AGAIN}"
        )
    order = "F" if columns_first else "C"
    return np.memmap(path, dtype, mode="r", offset=start, shape=shape, order=order)


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file to read; whatever HDF5 makes of a damaged one becomes an error that names the
    file.
    """
    with reading(path, "no HDF5 file", AGAIN), h5py.File(path, "r") as archive:
        yield archive


def _read_hdf5(path: Path, name: str | None, rows: slice) -> np.ndarray:
    with open_hdf5(path) as archive:
        # Links lead to other arrays and other files: only what is in this file under its own name
        # is taken.
        own = [key for key in archive if isinstance(archive.get(key, getlink=True), h5py.HardLink)]
        names = [key for key in own if isinstance(archive[key], h5py.Dataset)]
        if name is None and len(names) != 1:
            raise RetrievalInputError(
                f"{path.name} holds {', '.join(names) or 'no array'}; name the one to read"
            )
        name = check_choice(name or names[0], names, f"the array of {path.name}")
        stored = archive[name]
        if stored.external or stored.is_virtual:
            raise RetrievalInputError(
                f"{name} in {path.name} lies in other files, which are not opened; copy it into one"
                " file"
            )
        _check_matrix(stored.shape, stored.dtype, f"{name} in {path.name}")
        size, kept = math.prod(stored.shape) * stored.dtype.itemsize, stored.id.get_storage_size()
        if size > SQUEEZED * kept:
            raise DamagedFileError(
                f"{name} in {path} should have {size:,} bytes and {kept:,} are stored: it was never"
                f" written to its end. {AGAIN}"
            )
        # The bytes of the file are the numbers only where they are stored in one piece and in a
        # type that numpy has: not in chunks, not as bfloat16, not as 12 bits of 16. HDF5 converts
        # the others.
        plain = stored.id.get_type() == h5py.h5t.py_create(stored.dtype)
        if stored.chunks is not None or not plain or kept != size:
            return stored[rows]
        return np.memmap(
            path, stored.dtype, mode="r", offset=stored.id.get_offset(), shape=stored.shape
        )[rows]


def _checked(array: np.ndarray, name: str) -> np.ndarray:
    _check_matrix(array.shape, array.dtype, name)
    return array


def _check_matrix(shape: tuple[int, ...] | None, dtype: np.dtype, name: str) -> None:
    if shape is None or len(shape) != 2 or min(shape) < 1 or dtype.kind not in "iuf":
        raise RetrievalInputError(
            f"{name} has dtype {dtype} and shape {shape}; expected real numbers of shape (n, d),"
            " neither 0"
        )
