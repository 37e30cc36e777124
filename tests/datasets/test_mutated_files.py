"""Thousands of damaged files of every format: each is read, or refused by its name."""

import io

import h5py
import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, read_arrays, verify
from lib.core.writing import save_arrays
from lib.datasets.vector_files import read_vectors
from lib.studies.published import Result, evaluate_rows
from tests.datasets.vector_rows import write_rows
from tests.studies.published.corpora import corpus, rows

X = np.arange(60, dtype=np.float32).reshape(12, 5)


def mutants(whole: bytes, n: int):
    """Seeded damage: bytes changed, a stretch cut out, doubled or filled, the end missing."""
    rng = np.random.default_rng(0)
    for _ in range(n):
        content = bytearray(whole)
        # Headers decide most, so half of the damage is done to the first bytes.
        reach = min(len(content), 128) if rng.random() < 0.5 else len(content)
        at, length = int(rng.integers(reach)), int(rng.integers(1, 9))
        match rng.integers(5):
            case 0:
                content[at] = rng.integers(256)
            case 1:
                del content[at : at + length]
            case 2:
                content[at:at] = content[at : at + length]
            case 3:
                content[at : at + length] = bytes([rng.choice([0, 32, 57, 128, 255])]) * length
            case 4:
                del content[at:]
        yield bytes(content)


def offenders(path, whole: bytes, read, n: int) -> set[str]:
    """What reading raised besides the project's own errors that name the file."""
    found = set()
    for content in mutants(whole, n):
        path.unlink(missing_ok=True)  # a new file: one that is shortened first waits for the disk
        path.write_bytes(content)
        try:
            read(path)
        except (RetrievalInputError, DamagedFileError) as error:
            if path.name not in str(error):
                found.add(f"does not name the file: {error}")
        except Exception as error:
            found.add(repr(error))
    return found


@pytest.mark.parametrize("suffix", [".npy", ".fvecs", ".bvecs", ".ivecs"])
def test_vectors(tmp_path, suffix):
    path = tmp_path / f"mutant{suffix}"
    np.save(path, X) if suffix == ".npy" else write_rows(path, X)
    assert (
        offenders(path, path.read_bytes(), lambda p: np.asarray(read_vectors(p)).max(), 1000)
        == set()
    )


@pytest.mark.parametrize("options", [{}, {"chunks": (4, 5), "compression": "gzip"}])
def test_hdf5(tmp_path, options):
    path = tmp_path / "mutant.hdf5"
    with h5py.File(path, "w") as archive:
        archive.create_dataset("train", data=X, **options)
    assert (
        offenders(path, path.read_bytes(), lambda p: np.asarray(read_vectors(p)).max(), 200)
        == set()
    )


def test_npz(tmp_path):
    stream = io.BytesIO()
    np.savez_compressed(stream, image=X, image_ids=np.arange(12).astype(str))
    assert offenders(tmp_path / "mutant.npz", stream.getvalue(), read_arrays, 1000) == set()


def test_result(tmp_path):
    path = evaluate_rows(*rows(), corpus()).save(tmp_path / "mutant.json")
    assert offenders(path, path.read_bytes(), Result.load, 500) == set()


def test_checksum(tmp_path):
    save_arrays(path := tmp_path / "mutant.npz", x=X)
    sidecar = tmp_path / "mutant.npz.sha256"

    def read(_):
        verify(path, rebuild="Make it again.")

    assert offenders(sidecar, sidecar.read_bytes(), read, 1000) == set()
