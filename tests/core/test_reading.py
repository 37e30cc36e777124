import gc

import numpy as np
import pytest

from lib.core import reading, writing
from lib.core.reading import DamagedFileError, MissingFileError
from lib.core.writing import CHECKSUM_SUFFIX


@pytest.mark.parametrize("where", [0, 100, -1])
def test_one_changed_byte_is_damage(tmp_path, where):
    path = tmp_path / "a.npz"
    writing.save_arrays(path, x=np.arange(100))
    content = bytearray(path.read_bytes())
    content[where] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"a\.npz is damaged.*Run make train\."):
        reading.load_arrays(path, rebuild="Run make train.")


@pytest.mark.parametrize(
    "spoil", [lambda b: b[:-1], lambda b: b"", lambda b: b + b"x"], ids=["cut", "empty", "more"]
)
def test_another_length_is_damage(tmp_path, spoil):
    path = tmp_path / "a.npz"
    writing.save_arrays(path, x=np.arange(100))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DamagedFileError, match="is damaged"):
        reading.load_arrays(path)


def test_an_empty_checksum_is_damage(tmp_path):
    path = tmp_path / "a.npz"
    writing.save_arrays(path, x=np.arange(3))
    (tmp_path / f"a.npz{CHECKSUM_SUFFIX}").write_text("")
    with pytest.raises(DamagedFileError, match="must hold a SHA-256"):
        reading.load_arrays(path)


@pytest.mark.parametrize("missing", ["a.npz", f"a.npz{CHECKSUM_SUFFIX}"])
def test_a_missing_file_says_how_to_make_it(tmp_path, missing):
    writing.save_arrays(tmp_path / "a.npz", x=np.arange(3))
    (tmp_path / missing).unlink()
    with pytest.raises(MissingFileError, match=r"is missing\. Run make train\."):
        reading.load_arrays(tmp_path / "a.npz", rebuild="Run make train.")


def test_an_array_that_is_not_asked_for_is_not_inflated(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, small=np.arange(3), bomb=np.zeros(2**27, np.int8))
    assert reading.read_arrays(path, ["small", "absent"])["small"].tolist() == [0, 1, 2]
    with pytest.raises(DamagedFileError, match=r"would take 134,.* at most 67,108,864 bytes"):
        reading.read_arrays(path)


def test_whatever_numpy_raises_names_the_file(tmp_path):
    path, good = tmp_path / "a.npz", tmp_path / "good.npz"
    np.savez(good, x=np.arange(5))
    contents = [
        b"",
        b"PK",
        b"\x80\x04.",
        good.read_bytes()[:-30],
        good.read_bytes().replace(b"(5,)", b"(5;)"),
    ]
    np.save(tmp_path / "rows.npy", np.arange(5))
    for content in [*contents, (tmp_path / "rows.npy").read_bytes()]:
        path.write_bytes(content)
        with pytest.raises(
            DamagedFileError, match=r"a\.npz is no \.npz file of plain arrays: .*savez"
        ):
            reading.read_arrays(path)


def test_a_checksum_of_garbage_is_damage(tmp_path):
    path = tmp_path / "a.npz"
    writing.save_arrays(path, x=np.arange(3))
    (tmp_path / f"a.npz{CHECKSUM_SUFFIX}").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DamagedFileError, match="must hold a SHA-256"):
        reading.load_arrays(path)


def test_objects_are_never_unpickled(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([{"a": 1}], dtype=object))
    writing.write_checksum(path)
    with pytest.raises(ValueError, match="never loaded here"):
        reading.load_arrays(path)


def test_cached_arrays_are_made_once_and_again_when_damaged(tmp_path):
    made = []

    def make():
        made.append(len(made))
        return {"x": np.arange(3)}

    path = tmp_path / "a.npz"
    for _ in range(2):
        np.testing.assert_array_equal(reading.cached_arrays(path, make)["x"], [0, 1, 2])
    assert made == [0]
    path.write_bytes(path.read_bytes()[:-1])
    np.testing.assert_array_equal(reading.cached_arrays(path, make)["x"], [0, 1, 2])
    assert made == [0, 1] and reading.verify(path, rebuild="")


def test_the_collector_runs_again_behind_the_pause_also_of_an_error():
    with pytest.raises(ZeroDivisionError), reading.collector_paused():
        with reading.collector_paused():
            pass
        assert not gc.isenabled(), "the inner pause ended the outer one"
        raise ZeroDivisionError
    assert gc.isenabled()
    gc.disable()
    try:
        with reading.collector_paused():
            pass
        assert not gc.isenabled(), "who has no collector gets none"
    finally:
        gc.enable()


def test_no_error_advises_to_load_objects_all_the_same(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "text.npy").write_text("hello")
    for path in tmp_path.iterdir():
        with (
            pytest.raises(reading.DamagedFileError, match="never loaded here") as caught,
            reading.reading(path, "no array", "Fetch it again"),
        ):
            np.load(path, allow_pickle=False)
        assert "allow_pickle" not in str(caught.value)
