"""The collections inside music21: corrections, and what is missing; test_corpus has the counts."""

import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.tunes import ESSEN, collections, read_collection
from lib.datasets.tunes.abc_files import split_tunes


def test_repeats_are_a_choice():
    once = read_collection("miscFolk")
    played = read_collection("miscFolk", repeats=True)
    assert len(once) == len(played) == 185
    assert sum(map(len, once)) < sum(map(len, played))


@pytest.mark.slow
def test_essen():
    tunes = read_collection(ESSEN)
    found = sum(
        len(list(split_tunes(collections.corrected_text(path)))) - 1
        for path in collections.collection_files(ESSEN)
    )
    assert (len(tunes), found) == (8508, 8514)


def test_corrections_name_files_of_the_package():
    files = {f"{path.parent.name}/{path.name}" for name in collections.COLLECTIONS
             for path in collections.collection_files(name)}  # fmt: skip
    assert set(collections.corrections()) <= files


def test_a_correction_keeps_the_number_of_lines(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    path = folder / "a.abc"
    path.write_text("X:1\nK:C\nG\n2 A=3DB\nc\n")
    rows = {"mine/a.abc": [(4, "=3D", "="), (3, "G\n2", "G2\n")]}
    monkeypatch.setattr(collections, "corrections", lambda: rows)
    assert collections.corrected_text(path) == "X:1\nK:C\nG2\n A=B\nc\n"
    path.write_text("X:1\nK:C\nG\nA\n")
    with pytest.raises(DamagedFileError, match="line 4, must hold '=3D'"):
        collections.corrected_text(path)


def test_unknown_collection():
    with pytest.raises(RetrievalInputError, match="collection must be one of"):
        read_collection("essen")


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(collections.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingFileError, match="pip install music21"):
        collections.collection_files("miscFolk")
