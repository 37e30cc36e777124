"""Files of vectors as the field keeps them: .npy, .fvecs / .bvecs / .ivecs and HDF5; read, never executed."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from lib.checks import RetrievalInputError, check_choice, check_count
from lib.files import MissingFileError, atomic_path

# Every row of these is its dimension as a 32-bit whole number, then that many values, little endian.
ROW_FORMATS = {".fvecs": np.dtype("<f4"), ".ivecs": np.dtype("<i4"), ".bvecs": np.dtype("u1")}
HDF5 = (".hdf5", ".h5")
SUFFIXES = (".npy", *ROW_FORMATS, *HDF5)


def read_vectors(path: str | Path, name: str | None = None, limit: int | None = None) -> np.ndarray:
    """Reads a matrix of vectors; where the format allows, rows come from the disk when they are first used.

        row i of .fvecs / .ivecs / .bvecs = [d: int32] [x_i1 ... x_id: float32 / int32 / uint8]

    Args:
        path: a file with one of `SUFFIXES`.
        name: of the array inside an HDF5 file, for example "train"; needed where the file holds several.
        limit: rows to read, from the first; all when None, all there are when it is more.

    Returns:
        `(n, d)` real numbers in the dtype of the file, read-only where memory-mapped (`np.memmap`).

    Raises:
        MissingFileError: the file is not there.
        RetrievalInputError: an unknown suffix, an array that is not a matrix of real numbers or is missing, a
            file cut off within a row, or a row of another dimension (the message gives row and dimension).

    Relations: `write_vectors` writes the row formats; `lib.benchmarks.ann.exchange` reads the data files of
    ann-benchmarks with their neighbours.

    Reference: http://corpus-texmex.irisa.fr, which defined the row formats.
    """
    path = Path(path)
    suffix = check_choice(path.suffix.lower(), SUFFIXES, f"the suffix of {path.name}")
    if not path.is_file():
        raise MissingFileError(f"{path} is not there; give a file of vectors ({', '.join(SUFFIXES)})")
    if name is not None and suffix not in HDF5:
        raise RetrievalInputError(f"{path.name} holds one array, so it has none called {name!r}")
    rows = slice(None if limit is None else check_count(limit, "limit"))
    if suffix in ROW_FORMATS:
        return _read_rows(path, ROW_FORMATS[suffix])[rows]
    if suffix in HDF5:
        return _read_hdf5(path, name, rows)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:  # objects, which would have to be unpickled, or no .npy file at all
        raise RetrievalInputError(f"{path.name} holds no plain numpy array: {error}") from error
    return _checked(array, path.name)[rows]


def write_vectors(path: str | Path, vectors) -> None:
    """Writes `(n, d)` vectors as .fvecs, .ivecs or .bvecs, atomically; values must survive the conversion.

    Raises:
        RetrievalInputError: another suffix, no matrix, or a value that the format cannot hold (with its row).
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
        raise RetrievalInputError(f"row {lost[0]} of vectors has a value that {path.suffix} cannot hold")
    rows = np.empty(len(stored), [("dimension", "<i4"), ("values", kind, (stored.shape[1],))])
    rows["dimension"], rows["values"] = stored.shape[1], stored
    with atomic_path(path) as temporary:
        rows.tofile(temporary)


def _read_rows(path: Path, kind: np.dtype) -> np.ndarray:
    size = path.stat().st_size
    if size < 4:
        raise RetrievalInputError(f"{path.name} has {size} bytes, less than the dimension of one row")
    d = int(np.fromfile(path, "<i4", count=1)[0])
    if d < 1:
        raise RetrievalInputError(f"{path.name} has dimension {d} in row 0; is it a {path.suffix} file?")
    width = 4 + d * kind.itemsize
    n, cut = divmod(size, width)
    if n:
        rows = np.memmap(path, np.uint8, mode="r", shape=(n, width))
        said = rows[:, :4].copy().view("<i4")[:, 0]  # (n,) every row says its own dimension
        wrong = np.flatnonzero(said != d)
        if wrong.size:
            raise RetrievalInputError(
                f"{path.name} has dimension {said[wrong[0]]} in row {wrong[0]}, expected {d} as in row 0: "
                f"the file is damaged or no {path.suffix} file"
            )
    if cut:
        raise RetrievalInputError(f"{path.name} ends within row {n}: {cut} bytes of {width}. Copy it again")
    values = np.memmap(path, [("dimension", "<i4"), ("values", kind, (d,))], mode="r", shape=(n,))
    return values["values"]


def _read_hdf5(path: Path, name: str | None, rows: slice) -> np.ndarray:
    try:
        archive = h5py.File(path, "r")
    except OSError as error:
        raise RetrievalInputError(f"{path.name} is no HDF5 file: {error}") from error
    with archive:
        names = [key for key, entry in archive.items() if isinstance(entry, h5py.Dataset)]
        if name is None and len(names) != 1:
            raise RetrievalInputError(
                f"{path.name} holds {', '.join(names) or 'no array'}; name the one to read"
            )
        stored = archive[check_choice(name or names[0], names, f"the array of {path.name}")]
        _check_matrix(stored.shape, stored.dtype, f"{name or names[0]} in {path.name}")
        offset = stored.id.get_offset()  # None where the array is in chunks, compressed or empty
        if offset is None or stored.dtype.kind not in "iuf":
            return stored[rows]
        return np.memmap(path, stored.dtype, mode="r", offset=offset, shape=stored.shape)[rows]


def _checked(array: np.ndarray, name: str) -> np.ndarray:
    _check_matrix(array.shape, array.dtype, name)
    return array


def _check_matrix(shape: tuple[int, ...], dtype: np.dtype, name: str) -> None:
    if len(shape) != 2 or 0 in shape or dtype.kind not in "iuf":
        raise RetrievalInputError(
            f"{name} has dtype {dtype} and shape {shape}; expected real numbers of shape (n, d), neither 0"
        )
