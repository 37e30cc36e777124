"""Files of vectors: read from the disk, and refused by row where they are damaged."""

import io
import struct

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.vector_files import read_vectors
from tests.datasets.vector_rows import write_rows


def test_fvecs_is_dimension_then_values_of_every_row(tmp_path):
    path = tmp_path / "a.fvecs"
    path.write_bytes(struct.pack("<i2f", 2, 1.5, -2.0) + struct.pack("<i2f", 2, 0.25, 8.0))
    found = read_vectors(path)
    assert found.tolist() == [[1.5, -2.0], [0.25, 8.0]] and found.dtype == np.float32
    write_rows(tmp_path / "b.fvecs", found)
    assert (tmp_path / "b.fvecs").read_bytes() == path.read_bytes()


def test_bvecs_are_bytes_and_ivecs_whole_numbers(tmp_path):
    (tmp_path / "a.bvecs").write_bytes(struct.pack("<i3B", 3, 0, 7, 255) * 2)
    assert read_vectors(tmp_path / "a.bvecs").tolist() == [[0, 7, 255]] * 2
    write_rows(tmp_path / "a.ivecs", [[1, -5], [2**31 - 1, 0]])
    assert read_vectors(tmp_path / "a.ivecs").tolist() == [[1, -5], [2**31 - 1, 0]]


@settings(max_examples=25, deadline=None)
@given(arrays(np.int32, array_shapes(min_dims=2, max_dims=2, max_side=6)))
def test_what_is_written_is_read_back(tmp_path_factory, vectors):
    path = tmp_path_factory.mktemp("vectors") / "a.ivecs"
    write_rows(path, vectors)
    assert np.array_equal(read_vectors(path), vectors)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 9))
def test_a_limit_takes_the_first_rows(tmp_path_factory, limit):
    path = tmp_path_factory.mktemp("vectors") / "a.fvecs"
    write_rows(path, np.arange(12.0).reshape(6, 2))
    assert (
        read_vectors(path, limit=limit).tolist() == np.arange(12.0).reshape(6, 2)[:limit].tolist()
    )


def test_rows_stay_on_the_disk(tmp_path):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(tmp_path / "a.npy", x)
    write_rows(tmp_path / "a.fvecs", x)
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
        (b"\1", "has 1 bytes, fewer than"),
        (struct.pack("<i", -4), "row 0: dimension .* got -4"),
        (struct.pack("<ib", 2, 1), "ends within row 0: 5 bytes of 12"),
    ],
)
def test_what_is_no_row_format_is_refused(tmp_path, content, says):
    (tmp_path / "a.fvecs").write_bytes(content)
    with pytest.raises(RetrievalInputError, match=says):
        read_vectors(tmp_path / "a.fvecs")


@pytest.mark.parametrize(
    ("suffix", "kind", "values"),
    [
        (".fbin", "<f4", [[1.5, -2.0], [0.25, 8.0]]),
        (".u8bin", "u1", [[0, 255]]),
        (".i8bin", "i1", [[-128, 127, 0]]),
        (".ibin", "<i4", [[2**31 - 1], [-5]]),
    ],
)
def test_block_formats_are_a_header_of_two_numbers_and_all_values(tmp_path, suffix, kind, values):
    path, rows = tmp_path / f"a{suffix}", np.array(values, kind)
    path.write_bytes(struct.pack("<2I", *rows.shape) + rows.tobytes())
    found = read_vectors(path)
    assert found.tolist() == values and found.dtype == kind and isinstance(found, np.memmap)
    assert read_vectors(path, limit=1).tolist() == values[:1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\1\0\0", "has 3 bytes, fewer than its header"),
        (struct.pack("<2I", 0, 3), "says that it has 0 rows of dimension 3"),
        (struct.pack("<2I", 1, 2) + bytes(7), "1 rows of dimension 2, which are 16 bytes, and has"),
        (struct.pack("<2I", 2**32 - 1, 2**32 - 1), "and has 8: the file is damaged or no .fbin"),
    ],
)
def test_what_is_no_block_format_is_refused(tmp_path, content, says):
    (tmp_path / "a.fbin").write_bytes(content)
    with pytest.raises(RetrievalInputError, match=says):
        read_vectors(tmp_path / "a.fbin")


def test_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    with pytest.raises(RetrievalInputError, match="real numbers .* got object"):
        read_vectors(tmp_path / "a.npy")


@pytest.mark.parametrize("array", [np.ones(3), np.ones((0, 2)), np.array([["a"]])])
def test_what_is_no_matrix_is_refused(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(RetrievalInputError, match=r"must be real numbers of shape \(n, d\)"):
        read_vectors(tmp_path / "a.npy")


def test_other_mistakes_are_named(tmp_path):
    with pytest.raises(RetrievalInputError, match=r"suffix of a.csv must be one of"):
        read_vectors(tmp_path / "a.csv")
    with pytest.raises(MissingFileError, match="is missing"):
        read_vectors(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.ones((1, 2)))
    with pytest.raises(RetrievalInputError, match="none called 'train'"):
        read_vectors(tmp_path / "a.npy", "train")
    with pytest.raises(RetrievalInputError, match="limit must be at least 1"):
        read_vectors(tmp_path / "a.npy", limit=0)
    (tmp_path / "a.h5").write_bytes(b"text")
    with pytest.raises(DamagedFileError, match="a.h5 is no HDF5 file"):
        read_vectors(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as archive:
        archive["train"], archive["test"] = np.ones((1, 2)), np.ones((1, 2))
    with pytest.raises(RetrievalInputError, match="holds test, train; name the one"):
        read_vectors(tmp_path / "b.h5")
    with pytest.raises(RetrievalInputError, match="'trian'.* Did you mean 'train'"):
        read_vectors(tmp_path / "b.h5", "trian")  # codespell:ignore


def stored_as(archive, name, kind, x):
    """`x` in a number type of HDF5 that numpy has no name for."""
    made = h5py.h5d.create(archive.id, name.encode(), kind, h5py.h5s.create_simple(x.shape))
    made.write(h5py.h5s.ALL, h5py.h5s.ALL, x, h5py.h5t.py_create(x.dtype))


def test_hdf5_types_that_numpy_does_not_have_are_converted_not_mapped(tmp_path):
    path, x = tmp_path / "a.h5", np.arange(12, dtype=np.float32).reshape(3, 4)
    bfloat16, twelve_bits = h5py.h5t.IEEE_F32LE.copy(), h5py.h5t.STD_I16LE.copy()
    bfloat16.set_fields(15, 7, 8, 0, 7)
    bfloat16.set_size(2)
    twelve_bits.set_precision(12)
    twelve_bits.set_offset(4)
    with h5py.File(path, "w", userblock_size=512) as archive:
        stored_as(archive, "bfloat16", bfloat16, x)
        stored_as(archive, "twelve bits", twelve_bits, x.astype(np.int16))
        archive["big end first"] = x.astype(">f4")
        archive["plain"] = x
    for name in ("bfloat16", "twelve bits", "big end first", "plain"):
        assert np.array_equal(read_vectors(path, name), x), name
    assert isinstance(read_vectors(path, "plain"), np.memmap)


def test_hdf5_arrays_of_other_files_and_never_written_ones_are_refused(tmp_path):
    path, x = tmp_path / "a.h5", np.arange(12, dtype=np.float32).reshape(3, 4)
    with h5py.File(tmp_path / "other.h5", "w") as archive:
        archive["padding"], archive["x"] = x + 100, x
    (tmp_path / "raw.bin").write_bytes(x.tobytes())
    with h5py.File(path, "w") as archive:
        archive["link"] = h5py.ExternalLink("other.h5", "/x")
        archive["nowhere"] = h5py.SoftLink("/none")
        archive.create_dataset(
            "raw", x.shape, "f4", external=[(str(tmp_path / "raw.bin"), 0, x.nbytes)]
        )
        layout = h5py.VirtualLayout(x.shape, "f4")
        layout[...] = h5py.VirtualSource(tmp_path / "other.h5", "x", x.shape)
        archive.create_virtual_dataset("virtual", layout)
        archive.create_dataset("unwritten", x.shape, "f4")
        archive.create_dataset("huge", (10**7, 512), "f4", chunks=(1000, 512), compression="gzip")
    for name, message in [
        ("link", "must be one of"), ("nowhere", "must be one of"), ("raw", "lies in other files"),
        ("virtual", "lies in other files"), ("unwritten", "not written completely"),
        ("huge", "not written completely"),
    ]:  # fmt: skip
        with pytest.raises((RetrievalInputError, DamagedFileError), match=message):
            read_vectors(path, name)


def test_npy_files_that_are_cut_or_something_else(tmp_path):
    path, stream = tmp_path / "a.npy", io.BytesIO()
    np.save(stream, np.ones((3, 4)))
    whole = stream.getvalue()
    np.savez(stream := io.BytesIO(), image=np.ones((3, 4)))
    for content, message in [
        (b"", "no .npy file"), (whole[:20], "no .npy file"), (whole[:-8], "got 88"),
        (whole + b"more", "got 100"), (stream.getvalue(), "no .npy file"),
        (whole.replace(b"(3, 4)", b"(3,-4)"), "must be real numbers"),
    ]:  # fmt: skip
        path.write_bytes(content)
        with pytest.raises((RetrievalInputError, DamagedFileError), match=message):
            read_vectors(path)
