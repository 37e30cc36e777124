"""Writes the row formats of vectors, one row after the other, for tests of their reader."""

import struct

import numpy as np

from lib.datasets.vector_files import ROW_FORMATS


def write_rows(path, vectors) -> None:
    """Write `(n, d)` vectors as .fvecs, .ivecs or .bvecs."""
    with open(path, "wb") as stream:
        for row in np.asarray(vectors):
            stream.write(
                struct.pack("<i", len(row)) + row.astype(ROW_FORMATS[path.suffix]).tobytes()
            )
