"""Recorded drawings: read as they were written, and refused with the line that is wrong."""

import json

import numpy as np
import pytest

from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets import emoji, sketches
from lib.datasets.sketches import hand_drawn

RECORD = {
    "word": "banana",
    "concept": "1F34C",
    "drawer": "a",
    "drawing": [[[0, 10, 20], [0, 8, 0], [0, 16, 33]], [[5, 6], [7, 7], [60, 70]]],
}


def write(path, *records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_a_record_by_hand(tmp_path):
    (record,) = sketches.read_hand_drawn(write(tmp_path / "a.ndjson", RECORD))
    assert (record.word, record.drawer) == ("banana", "a")
    assert emoji.load_emoji().names["en"][record.place] == "banana"
    np.testing.assert_array_equal(record.drawing.strokes[0], [[0, 0], [10, 8], [20, 0]])
    np.testing.assert_array_equal(record.drawing.times[1], [60, 70])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"concept": "XYZ"}, "code of a named emoji, got 'XYZ'"),
        ({"drawer": 3}, "drawer must be a text, got 3"),
        ({"word": ""}, "word must be a text"),
        ({"drawing": []}, "at least one stroke"),
        ({"drawing": [[[0, 1], [0]]]}, "lists of one length"),
        ({"drawing": [[[0, float("nan")], [0, 1]]]}, "NaN is not a number of JSON"),
        ({"drawing": None}, "must be a list of strokes"),
    ],
)
def test_a_wrong_record_is_named(tmp_path, change, message):
    path = write(tmp_path / "a.ndjson", RECORD, RECORD | change)
    with pytest.raises(DamagedFileError, match="line 2") as error:
        sketches.read_hand_drawn(path)
    assert message in str(error.value)


def test_files_without_a_drawing(tmp_path):
    with pytest.raises(MissingFileError, match="is missing"):
        sketches.read_hand_drawn(tmp_path / "none.ndjson")
    with pytest.raises(DamagedFileError, match="holds no drawing"):
        sketches.read_hand_drawn(write(tmp_path / "empty.ndjson"))
    with pytest.raises(DamagedFileError, match="line 1"):
        (tmp_path / "list.ndjson").write_text("[1, 2]\n")
        sketches.read_hand_drawn(tmp_path / "list.ndjson")


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Three recorded drawings: a test concept twice, and one of training."""
    names = emoji.load_emoji().names["en"]
    test, train = (sketches.emoji_places(split, drawn=True)[0] for split in ("test", "train"))
    codes = emoji.load_emoji().codes
    folder = tmp_path / "hand_drawn"
    folder.mkdir()
    write(folder / "b.ndjson", RECORD | {"concept": codes[test], "word": names[test]})
    write(folder / "a.ndjson", *(RECORD | {"concept": codes[p]} for p in (train, test)))
    monkeypatch.setattr(hand_drawn, "data_dir", lambda: tmp_path)
    sketches.load_hand_drawn.cache_clear()
    yield test
    sketches.load_hand_drawn.cache_clear()


def test_the_set_of_recorded_drawings(recorded):
    task = sketches.hand_drawn_task()
    assert task.qrels.shape == (3, 1914) and task.name == "hand drawn"
    hits = task.qrels.at_least(3)
    assert hits.items[hits.indptr[1]] == recorded
    alone = sketches.hand_drawn_task("sketch_to_document", split="test", gallery="split")
    assert alone.qrels.shape == (2, 169)


def test_without_files_the_set_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(hand_drawn, "data_dir", lambda: tmp_path)
    sketches.load_hand_drawn.cache_clear()
    with pytest.raises(MissingFileError, match="holds no .ndjson file"):
        sketches.load_hand_drawn()
