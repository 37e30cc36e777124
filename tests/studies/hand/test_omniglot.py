"""The reader of Omniglot: a miniature in the same form, objects that are no arrays, damage."""

import os
import pickle
import zipfile
from io import BytesIO

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.studies.hand import omniglot

ROWS = np.array([[0, 0, 0], [10, 0, 0], [0, 20, 1], [-5, -15, 1]], dtype=np.int16)


def write_miniature(path, **changes):
    parts = {}
    for name in omniglot.PARTS:
        parts[name] = np.empty(2, dtype=object)
        parts[name][:] = [ROWS, ROWS[:3]]
    np.savez_compressed(path, **(parts | changes))
    return path


def test_a_miniature(tmp_path):
    drawings = omniglot.read_omniglot(write_miniature(tmp_path / "omniglot.npz"))
    assert [len(drawing.strokes) for drawing in drawings] == [2, 1] * 3
    np.testing.assert_array_equal(drawings[0].points, [[0, 0], [10, 0], [10, 20], [5, 5]])


def test_the_variable_names_the_file(tmp_path, monkeypatch):
    path = write_miniature(tmp_path / "omniglot.npz")
    monkeypatch.setenv(omniglot.VARIABLE, str(path))
    assert omniglot.omniglot_path() == path
    monkeypatch.delenv(omniglot.VARIABLE)
    with pytest.raises(RetrievalInputError, match="CROSSMODAL_OMNIGLOT must name"):
        omniglot.read_omniglot()
    with pytest.raises(MissingFileError, match="is missing"):
        omniglot.read_omniglot(tmp_path / "none.npz")


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harmful",)


def test_code_in_the_file_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    objects = np.empty(1, dtype=object)
    objects[0] = Harmful()
    path = write_miniature(tmp_path / "omniglot.npz", valid=objects)
    with pytest.raises(DamagedFileError, match=r"holds a posix.mkdir|holds a nt.mkdir"):
        omniglot.read_omniglot(path)
    assert not (tmp_path / "harmful").exists()


@pytest.mark.parametrize("content", [ROWS.astype(float), np.zeros((2, 2), dtype=object)])
def test_other_arrays_are_refused(tmp_path, content):
    path = write_miniature(tmp_path / "omniglot.npz", test=content)
    with pytest.raises(DamagedFileError, match=r"test.npy must be a list of arrays"):
        omniglot.read_omniglot(path)


def test_damaged_files(tmp_path):
    path = tmp_path / "omniglot.npz"
    path.write_bytes(b"no zip")
    with pytest.raises(DamagedFileError, match="no file of Omniglot"):
        omniglot.read_omniglot(path)
    stream = BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"shape": (2,), "fortran_order": False, "descr": "|O"}
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train.npy", stream.getvalue() + pickle.dumps([1, 2])[:-1])
    with pytest.raises(DamagedFileError, match="no file of Omniglot"):
        omniglot.read_omniglot(path)


@pytest.mark.skipif(omniglot.VARIABLE not in os.environ, reason="CROSSMODAL_OMNIGLOT is not set")
def test_the_real_file():
    drawings = omniglot.read_omniglot()
    assert len(drawings) == 32_000
    assert np.median([len(drawing.points) for drawing in drawings]) == 29
