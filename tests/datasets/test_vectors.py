"""Files of vectors: what is written is read back, from the disk, and what is damaged is refused by row."""

from __future__ import annotations

import struct

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lib.checks import RetrievalInputError
from lib.datasets.vectors import read_vectors, write_vectors
from lib.files import MissingFileError


def test_fvecs_is_dimension_then_values_of_every_row(tmp_path):
    path = tmp_path / "a.fvecs"
    path.write_bytes(struct.pack("<i2f", 2, 1.5, -2.0) + struct.pack("<i2f", 2, 0.25, 8.0))
    found = read_vectors(path)
    assert found.tolist() == [[1.5, -2.0], [0.25, 8.0]] and found.dtype == np.float32
    write_vectors(tmp_path / "b.fvecs", found)
    assert (tmp_path / "b.fvecs").read_bytes() == path.read_bytes()


def test_bvecs_are_bytes_and_ivecs_whole_numbers(tmp_path):
    (tmp_path / "a.bvecs").write_bytes(struct.pack("<i3B", 3, 0, 7, 255) * 2)
    assert read_vectors(tmp_path / "a.bvecs").tolist() == [[0, 7, 255]] * 2
    write_vectors(tmp_path / "a.ivecs", [[1, -5], [2**31 - 1, 0]])
    assert read_vectors(tmp_path / "a.ivecs").tolist() == [[1, -5], [2**31 - 1, 0]]


@settings(max_examples=25, deadline=None)
@given(arrays(np.int32, array_shapes(min_dims=2, max_dims=2, max_side=6)))
def test_what_is_written_is_read_back(tmp_path_factory, vectors):
    path = tmp_path_factory.mktemp("vectors") / "a.ivecs"
    write_vectors(path, vectors)
    assert np.array_equal(read_vectors(path), vectors)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 9))
def test_a_limit_takes_the_first_rows(tmp_path_factory, limit):
    path = tmp_path_factory.mktemp("vectors") / "a.fvecs"
    write_vectors(path, np.arange(12.0).reshape(6, 2))
    assert read_vectors(path, limit=limit).tolist() == np.arange(12.0).reshape(6, 2)[:limit].tolist()


def test_rows_stay_on_the_disk(tmp_path):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(tmp_path / "a.npy", x)
    write_vectors(tmp_path / "a.fvecs", x)
    with h5py.File(tmp_path / "a.hdf5", "w") as archive:
        archive["train"] = x
        archive.create_dataset("packed", data=x, compression="gzip")
        archive["other"] = x[:1]
    for found in (
        read_vectors(tmp_path / "a.npy"),
        read_vectors(tmp_path / "a.fvecs"),
        read_vectors(tmp_path / "a.hdf5", "train"),
    ):
        assert isinstance(found, np.memmap) and np.array_equal(found, x)
    assert np.array_equal(read_vectors(tmp_path / "a.hdf5", "packed", limit=1), x[:1])


def test_a_row_of_another_dimension_is_named(tmp_path):
    path = tmp_path / "a.fvecs"
    path.write_bytes(struct.pack("<i2f", 2, 1, 2) + struct.pack("<i2f", 3, 1, 2))
    with pytest.raises(RetrievalInputError, match="dimension 3 in row 1, expected 2"):
        read_vectors(path)


def test_a_file_that_ends_within_a_row_is_refused(tmp_path):
    path = tmp_path / "a.fvecs"
    path.write_bytes(struct.pack("<i2f", 2, 1, 2) + b"\2\0")
    with pytest.raises(RetrievalInputError, match="ends within row 1: 2 bytes of 12"):
        read_vectors(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\1", "1 bytes, less than"),
        (struct.pack("<i", -4), "dimension -4 in row 0"),
        (struct.pack("<ib", 2, 1), "ends within row 0: 5 bytes of 12"),
    ],
)
def test_what_is_no_row_format_is_refused(tmp_path, content, says):
    (tmp_path / "a.fvecs").write_bytes(content)
    with pytest.raises(RetrievalInputError, match=says):
        read_vectors(tmp_path / "a.fvecs")


def test_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    with pytest.raises(RetrievalInputError, match="no plain numpy array"):
        read_vectors(tmp_path / "a.npy")


@pytest.mark.parametrize("array", [np.ones(3), np.ones((0, 2)), np.array([["a"]])])
def test_what_is_no_matrix_is_refused(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(RetrievalInputError, match=r"expected real numbers of shape \(n, d\)"):
        read_vectors(tmp_path / "a.npy")


def test_other_mistakes_are_named(tmp_path):
    with pytest.raises(RetrievalInputError, match=r"suffix of a.csv must be one of"):
        read_vectors(tmp_path / "a.csv")
    with pytest.raises(MissingFileError, match="is not there"):
        read_vectors(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.ones((1, 2)))
    with pytest.raises(RetrievalInputError, match="none called 'train'"):
        read_vectors(tmp_path / "a.npy", "train")
    with pytest.raises(RetrievalInputError, match="limit must be at least 1"):
        read_vectors(tmp_path / "a.npy", limit=0)
    (tmp_path / "a.h5").write_bytes(b"text")
    with pytest.raises(RetrievalInputError, match="no HDF5 file"):
        read_vectors(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as archive:
        archive["train"], archive["test"] = np.ones((1, 2)), np.ones((1, 2))
    with pytest.raises(RetrievalInputError, match="holds test, train; name the one"):
        read_vectors(tmp_path / "b.h5")
    with pytest.raises(RetrievalInputError, match="'trian'.* Did you mean 'train'"):
        read_vectors(tmp_path / "b.h5", "trian")


@pytest.mark.parametrize(
    ("name", "vectors"),
    [("a.bvecs", [[1], [256]]), ("a.ivecs", [[1.0], [0.5]]), ("a.fvecs", [[1.0], [1e300]])],
)
def test_values_that_do_not_fit_are_not_written(tmp_path, name, vectors):
    with pytest.raises(RetrievalInputError, match="row 1 of vectors has a value that"):
        write_vectors(tmp_path / name, vectors)
    assert not (tmp_path / name).exists()
