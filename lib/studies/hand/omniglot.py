"""Drawings of Omniglot (Lake, Salakhutdinov and Tenenbaum, 2015) from a file of stroke-3 arrays.

The file, `.npz`, is one that circulates for sketch-rnn: arrays of objects `train`, `valid`, `test`.
They are pickled. This reader builds numpy arrays from them and nothing else, so no code can run.
The file does not say which character is drawn, and its drawings are in random order;
`lib.studies.hand.characters` finds out.
"""

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError, reading
from lib.datasets.strokes import Drawing, from_stroke3

VARIABLE = "CROSSMODAL_OMNIGLOT"
PARTS = ("train", "valid", "test")
MOST_BYTES = 2**28  # of one unpacked array
ADVICE = f"{VARIABLE} must name omniglot.npz with stroke-3 arrays train, valid and test"
ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
}


class _ArrayUnpickler(pickle.Unpickler):
    """Build numpy arrays; refuse every other object."""

    def find_class(self, module, name):
        if (module, name) not in ALLOWED:
            raise ValueError(f"the array holds a {module}.{name}, not numbers alone")
        return super().find_class(module, name)


def omniglot_path(path: str | Path | None = None) -> Path:
    """Return the file: the argument, or what the variable CROSSMODAL_OMNIGLOT names."""
    path = path or os.environ.get(VARIABLE)
    if not path:
        raise RetrievalInputError(f"The file of Omniglot must be named. {ADVICE}")
    if not Path(path).is_file():
        raise MissingFileError(f"{path} is missing. {ADVICE}")
    return Path(path)


def read_omniglot(path: str | Path | None = None) -> list[Drawing]:
    """Read all drawings, those of `train` first, then `valid`, then `test`."""
    path = omniglot_path(path)
    with reading(path, "no file of Omniglot", ADVICE), zipfile.ZipFile(path) as archive:
        return [
            from_stroke3(rows) for part in PARTS for rows in _read_objects(archive, f"{part}.npy")
        ]


def _read_objects(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    if archive.getinfo(name).file_size > MOST_BYTES:
        raise DamagedFileError(f"{archive.filename}: {name} is too large. {ADVICE}")
    with archive.open(name) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
        shape, _, dtype = read_header(stream)
        if dtype != np.dtype(object) or len(shape) != 1:
            raise ValueError(f"{name} must be a list of arrays, got {dtype} {shape}")
        return _ArrayUnpickler(stream, encoding="latin1").load()
