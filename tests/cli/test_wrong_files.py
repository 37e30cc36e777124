"""Every command that takes a file gets wrong ones of every kind: one line, exit code 2."""

import io
import os
import warnings

import numpy as np
import pytest

from lib.datasets.registry import CORPORA


def contents() -> dict[str, bytes]:
    array, archive = io.BytesIO(), io.BytesIO()
    np.save(array, np.ones((5, 4)))
    np.savez(archive, a=np.ones((5, 4)))
    return {
        "empty": b"",
        "garbage": np.random.default_rng(0).bytes(2000),
        "text": b"hello",
        "zip cut": b"PK\x03\x04" + bytes(50),
        "npy cut": b"\x93NUMPY\x01\x00",
        "hdf5 cut": b"\x89HDF\r\n\x1a\n" + bytes(200),
        "nested": b"[" * 100_000,
        "number": b"1e400",
        "npy": array.getvalue(),
        "npz": archive.getvalue(),
    }


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    """Make paths with a suffix: damaged, a folder, missing, with a name that is not UTF-8."""
    root = tmp_path_factory.mktemp("wrong")

    def paths(suffix: str) -> list[str]:
        folder = root / f"of {suffix}"
        folder.mkdir()
        for name, content in contents().items():
            if name != suffix.removeprefix("."):
                (folder / f"{name}{suffix}").write_bytes(content)
        (folder / f"folder{suffix}").mkdir()
        strange = os.fsdecode(os.fsencode(folder) + b"/\xff" + suffix.encode())
        with open(strange, "wb") as stream:
            stream.write(b"x")
        return [*map(str, sorted(folder.iterdir())), str(folder / f"none{suffix}")]

    CORPORA["flickr30k"].write_miniature(root / "flickr")
    np.save(root / "good.npy", np.random.default_rng(0).normal(size=(50, 4)))
    return root, paths


def offenders(run, calls) -> list[str]:
    offences = []
    for call in calls:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                code, _, err = run(*call)
        except BaseException as error:  # pytest's own, where no exit came
            offences.append(f"{call}: {error!r}")
            continue
        if code != 2 or not err.startswith("error: ") or err.count("\n") != 1:
            offences.append(f"{call}: {code}, {err}")
    return offences


def test_wrong_files(run, wrong):
    root, paths = wrong
    calls = [["compare", path, path] for path in paths(".json")]
    calls += [["search", "--image", path] for path in paths(".png")]
    eval_ = ["eval", "flickr30k", "--root", str(root / "flickr"), "--embeddings"]
    calls += [[*eval_, path] for path in paths(".npz")]
    ann = ["bench", "ann", "--family", "Flat", "--repeats", "1", "--corpus"]
    for suffix in (".npy", ".fvecs", ".hdf5", ".csv"):
        of = paths(suffix)
        calls += [[*ann, path] for path in of]
        calls += [[*ann, str(root / "good.npy"), "--queries", path] for path in of]
    assert offenders(run, calls) == []


def test_numbers_out_of_range(run):
    wrong = ("0", "-1", "nan", "inf", "1e400", "1e308", "1e999999999")
    floats = ("vectors", "recall", "qps", "ram", "bandwidth", "ssd")
    calls = [["plan", f"--{option}", value] for option in floats for value in wrong]
    whole = ("dim", "cores", "replicas", "nprobe")
    calls += [
        ["plan", f"--{option}", value] for option in whole for value in ("0", "-1", "9" * 400)
    ]
    assert offenders(run, calls) == []
