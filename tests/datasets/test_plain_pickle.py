"""Pickles of plain data are read; one that would run code, or fill the memory, is refused."""

import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.plain_pickle import read_plain_pickle

PLAIN = {"-a_1": [["a", "man"], ["él", "看"]], "b": [("x",)], "n": [1, 2.5, None, True, 10**30]}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_of_every_protocol_is_read(tmp_path, protocol):
    path = tmp_path / "plain.pkl"
    path.write_bytes(pickle.dumps(PLAIN, protocol=protocol))
    assert read_plain_pickle(path) == PLAIN


def test_texts_of_python_2_are_utf_8(tmp_path):
    path = tmp_path / "old.pkl"
    path.write_bytes(b"}q\x00U\x03a_1q\x01]q\x02U\x03\xc3\xa9lq\x03as.")  # {"a_1": ["él"]}
    assert read_plain_pickle(path) == {"a_1": ["él"]}


class Touch:
    """An object whose pickle writes a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "content",
    [
        OrderedDict(a=[["b"]]),
        np.zeros(2),
        {"a": [Path("/")]},
        {"a": [len]},
    ],
)
def test_classes_and_functions_are_refused_by_name(tmp_path, content):
    path = tmp_path / "rich.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(DamagedFileError, match=r"rich.pkl is no pickle.*it asks for [\w.]+"):
        read_plain_pickle(path)


def test_code_in_a_pickle_does_not_run(tmp_path):
    path, mark = tmp_path / "evil.pkl", tmp_path / "mark"
    path.write_bytes(pickle.dumps({"a": Touch(mark)}))
    pickle.loads(path.read_bytes())  # the trap works
    assert mark.exists()
    mark.unlink()
    with pytest.raises(DamagedFileError, match="this reader runs no code of a file"):
        read_plain_pickle(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b".",
        b"\x80\x04",
        pickle.dumps(PLAIN)[:-9],
        b"\x80\x02]r"
        + struct.pack("<I", 2**32 - 1)
        + b"q\x00h\x07.",  # a position that is not there
        b"\x80\x04\x8d" + struct.pack("<Q", 2**62) + b"x.",  # a text longer than the file
        b"cos\nsystem\n(S'true'\ntR.",
        b"(i__builtin__\neval\n.",
        b"\x82\x01.",  # an extension
        b"P1\n.",  # a persistent id
        b"\x97.",  # a buffer outside the file
        b"\x80\x05\x96" + struct.pack("<Q", 2**45) + b".",  # a bytearray of 35 TB
        pickle.dumps(bytearray(b"x"), protocol=5),
        b"{'a': 1}",
    ],
)
def test_hostile_files_end_in_an_error_that_names_them(tmp_path, content):
    path = tmp_path / "hostile.pkl"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match="hostile.pkl is no pickle of plain data"):
        read_plain_pickle(path)


def test_a_far_position_takes_no_memory(tmp_path):
    path = tmp_path / "far.pkl"
    path.write_bytes(b"\x80\x02]r" + struct.pack("<I", 2**32 - 1) + b".")
    assert read_plain_pickle(path) == []
    with pytest.raises(MissingFileError, match="no.pkl is missing"):
        read_plain_pickle(tmp_path / "no.pkl")


def test_every_mutant_is_read_or_refused(tmp_path):
    rng, path, found = np.random.default_rng(0), tmp_path / "mutant.pkl", []
    for protocol in (0, 2, 5):
        whole = pickle.dumps(PLAIN, protocol=protocol)
        for _ in range(150):
            content = bytearray(whole)
            for at in rng.integers(len(content), size=rng.integers(1, 4)):
                content[at] = rng.integers(256)
            path.unlink(missing_ok=True)  # a file that is cut first waits for the disk
            path.write_bytes(bytes(content))
            try:
                read_plain_pickle(path)
            except DamagedFileError as error:
                assert "mutant.pkl" in str(error)
            except Exception as error:
                found.append(repr(error))
    assert not found
