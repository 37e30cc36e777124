"""Files of QuickDraw: the published example by hand, round trips, and damaged files."""

import json
import struct
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.strokes import (
    Drawing,
    QuickDrawRecord,
    from_lists,
    parse_json_drawing,
    quickdraw,
    read_binary,
    read_ndjson,
    to_lists,
    write_binary,
    write_ndjson,
)
from tests.datasets.strokes.sketches import ANGLE, assert_same, drawings

WHEN = datetime(2017, 3, 1, 20, 41, 36, tzinfo=UTC)
RECORD = QuickDrawRecord(ANGLE, 5891796615823360, "nose", "AE", True, WHEN)
LINE = (
    '{"word":"nose","countrycode":"AE","timestamp":"2017-03-01 20:41:36 UTC","recognized":true,'
    '"key_id":"5891796615823360","drawing":[[[0,10,10],[0,0,20]],[[5],[5]]]}\n'
)
BYTES = struct.pack(
    "<Q2sbIH" + "H3B3B" + "HBB", 5891796615823360, b"AE", 1, 1488400896, 2,
    3, 0, 10, 10, 0, 0, 20, 1, 5, 5,
)  # fmt: skip


def assert_same_record(one, other):
    assert_same(one.drawing, other.drawing)
    for name in ("key_id", "word", "country", "recognized", "timestamp"):
        assert getattr(one, name) == getattr(other, name)


# ---- by hand


def test_lists_by_hand():
    assert to_lists(ANGLE) == [[[0, 10, 10], [0, 0, 20]], [[5], [5]]]
    raw = [[[0.5, 1], [2, 3], [0, 16]]]
    drawing = from_lists(raw)
    np.testing.assert_array_equal(drawing.strokes[0], [[0.5, 2], [1, 3]])
    np.testing.assert_array_equal(drawing.times[0], [0, 16])
    assert to_lists(drawing) == raw


def test_a_line_by_hand(tmp_path):
    path = tmp_path / "nose.ndjson"
    path.write_text(LINE)
    (record,) = read_ndjson(path)
    assert_same_record(record, RECORD)
    write_ndjson(tmp_path / "again.ndjson", [record])
    assert (tmp_path / "again.ndjson").read_text() == LINE


def test_bytes_by_hand(tmp_path):
    assert len(BYTES) == 17 + 2 + 6 + 2 + 2
    path = tmp_path / "nose.bin"
    path.write_bytes(BYTES)
    (record,) = read_binary(path, "nose")
    assert_same_record(record, RECORD)
    write_binary(tmp_path / "again.bin", [record, record])
    assert (tmp_path / "again.bin").read_bytes() == 2 * BYTES


def test_a_line_without_what_the_game_adds(tmp_path):
    path = tmp_path / "nose.ndjson"
    line = '{"word":"nose","key_id":"7","concept":"1F443","drawer":"x","drawing":[[[1],[2],[0]]]}\n'
    path.write_text(line)
    (record,) = read_ndjson(path)
    assert (record.country, record.recognized, record.timestamp) == (None, None, None)
    assert record.further == {"concept": "1F443", "drawer": "x"}
    write_ndjson(path, [record])
    assert path.read_text() == line


@pytest.mark.parametrize(
    ("text", "microsecond"), [("36.70725", 707250), ("36", 0), ("36.5", 500_000)]
)
def test_fractions_of_a_second(tmp_path, text, microsecond):
    path = tmp_path / "nose.ndjson"
    path.write_text(LINE.replace(":36 UTC", f":{text} UTC"))
    (record,) = read_ndjson(path)
    assert record.timestamp == WHEN.replace(microsecond=microsecond)
    write_ndjson(path, [record])
    assert f":{text} UTC" in path.read_text()


def test_a_drawing_in_json_is_a_list_or_a_record():
    assert_same(parse_json_drawing(json.dumps(to_lists(ANGLE))), ANGLE)
    assert_same(parse_json_drawing(LINE), ANGLE)


def test_reading_is_one_record_at_a_time(tmp_path):
    path = tmp_path / "nose.ndjson"
    path.write_text(LINE + "damaged\n")
    stream = read_ndjson(path)
    assert_same_record(next(stream), RECORD)
    with pytest.raises(DamagedFileError, match="line 2, is no drawing of QuickDraw"):
        next(stream)


# ---- round trips


@given(drawings(low=0, high=255))
@settings(max_examples=25, deadline=None)
def test_round_trips(tmp_path_factory, drawing):
    folder = tmp_path_factory.mktemp("quickdraw")
    record = QuickDrawRecord(drawing, 2**64 - 1, "x", "DE", False, WHEN)
    write_ndjson(folder / "x.ndjson", [record, RECORD])
    write_binary(folder / "x.bin", [record, RECORD])
    for one, other in zip(
        read_ndjson(folder / "x.ndjson"), read_binary(folder / "x.bin", "x"), strict=True
    ):
        assert_same(one.drawing, other.drawing)
        assert one.key_id == other.key_id and one.timestamp == other.timestamp


@given(drawings(whole=False))
@settings(max_examples=25, deadline=None)
def test_lists_keep_every_bit(drawing):
    assert_same(from_lists(json.loads(json.dumps(to_lists(drawing)))), drawing)


# ---- bad input


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ([], "at least one stroke"),
        ({}, "must be a list of strokes"),
        ([1], "must be a list of strokes"),
        ([[]], r"2 lists \(x, y\) or 3 .*got \[0\]"),
        ([[[1], [2]], [[1], [2], [3]]], r"all alike, got \[2, 3\]"),
        ([[[1, 2], [3]]], r"lists of one length, at least 1, got lengths \[2, 1\]"),
        ([[[], []]], r"got lengths \[0, 0\]"),
        ([[[1], 2]], r"got lengths \[1, -1\]"),
        ([[[1], ["a"]]], "stroke 0 must hold numbers only"),
        ([[[1], [True]]], "stroke 0 must hold numbers only"),
        ([[[1], [None]]], "stroke 0 must hold numbers only"),
        ([[[1], [10**400]]], "too large"),
        ([[[1], [float("nan")]]], "finite number"),
        ([[[0] * 1_000_001] * 2], "at most .* 1,000,000 points"),
    ],
)
def test_what_is_no_drawing(lists, message):
    with pytest.raises(RetrievalInputError, match=message):
        from_lists(lists)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[5],[5]", "[NaN],[5]", "NaN is not a number of JSON"),
        ("[5],[5]", "[1e999],[5]", "finite number"),
        ("[5],[5]", "[5],[]", "lists of one length"),
        ("true", '"yes"', "recognized must be bool"),
        ('"5891796615823360"', "5", "key_id must be str"),
        ("5891796615823360", "x", "key_id must be digits"),
        ('"word":"nose",', "", "its fields must be"),
        ('"word":"nose",', '"word":"nose","x":1,', "its fields must be"),
        ('"word":"nose",', '"word":"nose","drawer":1,', "drawer must be str"),
        ('"AE"', "null", "countrycode must be str"),
        ("2017-03-01", "2017-13-01", "does not match format"),
        (LINE.strip(), "[" * 100_000, "recursion"),
        (LINE.strip(), "7", "its fields must be"),
    ],
)
def test_damaged_lines_name_their_place(tmp_path, old, new, message):
    path = tmp_path / "nose.ndjson"
    path.write_text(LINE + LINE.replace(old, new))
    with pytest.raises(DamagedFileError, match=message) as refusal:
        list(read_ndjson(path))
    assert "nose.ndjson, line 2, is no drawing of QuickDraw" in str(refusal.value)


def test_a_line_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(quickdraw, "MOST_CHARACTERS", 300)
    path = tmp_path / "nose.ndjson"
    path.write_text(LINE + "x" * 1000)
    with pytest.raises(DamagedFileError, match="line 2, .* less than 300 characters"):
        list(read_ndjson(path))
    with pytest.raises(DamagedFileError, match="at most 300 characters"):
        parse_json_drawing("[" * 301)


@given(st.integers(0, len(BYTES) - 1), st.binary(min_size=1, max_size=4), st.booleans())
@settings(max_examples=60, deadline=None)
def test_mutated_files_are_read_or_refused(tmp_path_factory, at, content, as_text):
    original = LINE.encode() if as_text else BYTES
    path = tmp_path_factory.mktemp("mutated") / "x"
    path.write_bytes(original[:at] + content + original[at + len(content) :])
    try:
        found = list(read_ndjson(path) if as_text else read_binary(path, "nose"))
    except DamagedFileError as error:
        assert str(path) in str(error)
    else:
        assert all(np.isfinite(record.drawing.points).all() for record in found)


@pytest.mark.parametrize("cut", [1, 16, 17, 18, 20, 24, 26, 28])
def test_a_binary_file_that_ends_too_early(tmp_path, cut):
    path = tmp_path / "nose.bin"
    path.write_bytes(BYTES + BYTES[:cut])
    stream = read_binary(path, "nose")
    assert_same_record(next(stream), RECORD)
    with pytest.raises(DamagedFileError, match="record 2, is no drawing of QuickDraw"):
        next(stream)


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [(10, 7, "recognized must be 0 or 1"), (8, 200, "ascii"), (15, 0, "at least one stroke"),
     (25, 0, "at least one point")],
)  # fmt: skip
def test_damaged_bytes(tmp_path, at, value, message):
    content = bytearray(BYTES)
    content[at] = value
    (tmp_path / "nose.bin").write_bytes(content)
    with pytest.raises(DamagedFileError, match=message):
        list(read_binary(tmp_path / "nose.bin", "nose"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"drawing": Drawing(([[0, 0.5]],))}, "whole coordinates from 0 to 255"),
        ({"drawing": Drawing(([[0, 256]],))}, "whole coordinates"),
        ({"drawing": Drawing(([[0, -1]],))}, "whole coordinates"),
        ({"drawing": Drawing(([[0, 1]],), ([3],))}, "record 1 has times"),
        ({"drawing": Drawing((np.zeros((65_536, 2)),))}, "points of a stroke .* at most 65,535"),
        ({"key_id": 2**64}, "key_id of record 1 must be at most"),
        ({"country": "DEU"}, "two letters"),
        ({"country": "Ü1"}, "two letters"),
        ({"country": None}, "record 1 must have country, which the format holds, got None"),
        ({"timestamp": None}, "must have timestamp"),
        ({"timestamp": WHEN.replace(microsecond=1)}, "whole seconds"),
        ({"timestamp": WHEN.replace(year=1960)}, "whole seconds from 1970"),
    ],
)
def test_what_the_binary_format_cannot_hold(tmp_path, change, message):
    record = QuickDrawRecord(**(vars(RECORD) | change))
    with pytest.raises(RetrievalInputError, match=message):
        write_binary(tmp_path / "x.bin", [record])
    assert not (tmp_path / "x.bin").exists()


def test_a_missing_file():
    with pytest.raises(MissingFileError, match="none.bin is missing"):
        list(read_binary("none.bin", "x"))
    with pytest.raises(MissingFileError, match="none.ndjson is missing"):
        list(read_ndjson("none.ndjson"))
