"""Files of QuickDraw: raw and simplified `.ndjson`, and binary `.bin`, read one drawing at a time.

Formats: github.com/googlecreativelab/quickdraw-dataset. A line that the page of the service saves
has fewer fields, and `data/hand_drawn` adds two. A drawing in JSON is a list of strokes,
`[[x, ...], [y, ...], [t, ...]]` in the raw files and `[[x, ...], [y, ...]]` in the simplified ones.
A binary record, little-endian without gaps: key_id u64, countrycode 2 bytes, recognized i8,
timestamp u32, number of strokes u16; for each stroke the number of points u16, x bytes, y bytes.
"""

import json
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_count
from lib.core.reading import MissingFileError, reading
from lib.core.writing import atomic_path
from lib.datasets.strokes.drawing import Drawing, check_size

HEADER = struct.Struct("<Q2sbIH")
COUNT = struct.Struct("<H")
MOST_CHARACTERS = 2**25  # of one record; a drawing of a million points needs less
FIELDS = {
    "key_id": str,
    "word": str,
    "countrycode": str,
    "recognized": bool,
    "timestamp": str,
    "drawing": list,
}
NEEDED = {"key_id", "word", "drawing"}  # the others may be missing
FURTHER = {"concept": str, "drawer": str}  # fields of `data/hand_drawn`
ADVICE = "Download the file of QuickDraw again, or leave the record out"


@dataclass(frozen=True, eq=False)
class QuickDrawRecord:
    """One drawing of QuickDraw and what is known of it.

    Args:
        drawing: its strokes.
        key_id: its number, unique among all drawings.
        word: what was to be drawn.
        country: two letters, or None.
        recognized: whether the game guessed the word, or None.
        timestamp: when it was drawn, in UTC, or None.
        further: texts that QuickDraw does not have, by the names in `FURTHER`.
    """

    drawing: Drawing
    key_id: int
    word: str
    country: str | None = None
    recognized: bool | None = None
    timestamp: datetime | None = None
    further: Mapping[str, str] = field(default_factory=dict)


# ---- JSON


def from_lists(strokes: list) -> Drawing:
    """Convert QuickDraw's lists, `[[x, ...], [y, ...]]` or `[x, y, t]` per stroke, to a drawing."""
    if not isinstance(strokes, list) or not all(isinstance(s, list) for s in strokes):
        raise RetrievalInputError("a drawing must be a list of strokes, each [[x, ...], [y, ...]]")
    check_size(len(strokes), sum(len(s[0]) for s in strokes if s and isinstance(s[0], list)))
    axes = {len(stroke) for stroke in strokes}
    if axes not in ({2}, {3}):
        raise RetrievalInputError(
            f"each stroke must have 2 lists (x, y) or 3 (x, y, t), all alike, got {sorted(axes)}"
        )
    arrays = []
    for i, stroke in enumerate(strokes):
        lengths = [len(axis) if isinstance(axis, list) else -1 for axis in stroke]
        if len(set(lengths)) > 1 or lengths[0] < 1:
            raise RetrievalInputError(
                f"stroke {i} must have lists of one length, at least 1, got lengths {lengths}"
            )
        for axis in stroke:
            if not all(type(number) in (int, float) for number in axis):
                raise RetrievalInputError(f"stroke {i} must hold numbers only")
        try:
            arrays.append(np.array(stroke, dtype=np.float64))
        except OverflowError as error:  # a whole number beyond the largest float
            raise RetrievalInputError(f"stroke {i} holds a number that is too large") from error
    times = tuple(array[2] for array in arrays) if axes == {3} else None
    return Drawing(tuple(array[:2].T for array in arrays), times)


def to_lists(drawing: Drawing) -> list:
    """Convert a drawing to QuickDraw's lists; whole numbers are written as such."""
    times = drawing.times or [None] * len(drawing.strokes)
    return [
        [_plain(stroke[:, 0]), _plain(stroke[:, 1]), *([] if time is None else [_plain(time)])]
        for stroke, time in zip(drawing.strokes, times)
    ]


def _plain(numbers: np.ndarray) -> list:
    return [int(x) if x.is_integer() else x for x in numbers.tolist()]


def _refuse_constant(name: str):
    raise ValueError(f"{name} is not a number of JSON")


def parse_json_drawing(text: str, name: str = "the drawing", *, advice: str = ADVICE) -> Drawing:
    """Read a drawing from JSON text: a list of strokes, or a record that holds one.

    `name` and `advice` are for messages.
    """
    with _part(name, advice):
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"it must have at most {MOST_CHARACTERS:,} characters")
        value = json.loads(text, parse_constant=_refuse_constant)
        return from_lists(value.get("drawing") if isinstance(value, dict) else value)


@contextmanager
def _part(name: str, advice: str = ADVICE) -> Iterator[None]:
    """Name the file and the record in every error of a reader."""
    with reading(name, "no drawing of QuickDraw", advice):
        try:
            yield
        except RetrievalInputError as error:
            raise ValueError(str(error)) from error


def _parse_record(text: str) -> QuickDrawRecord:
    entry = json.loads(text, parse_constant=_refuse_constant)
    kinds = FIELDS | FURTHER
    if not isinstance(entry, dict) or not NEEDED <= set(entry) <= set(kinds):
        raise ValueError(f"its fields must be {sorted(NEEDED)} and may be {sorted(kinds)}")
    for name, value in entry.items():
        if not isinstance(value, kinds[name]):
            raise ValueError(f"{name} must be {kinds[name].__name__}, got {value!r:.60}")
    if not (entry["key_id"].isascii() and entry["key_id"].isdigit()):
        raise ValueError(f"key_id must be digits, got {entry['key_id']!r:.60}")
    return QuickDrawRecord(
        from_lists(entry["drawing"]),
        int(entry["key_id"]),
        entry["word"],
        entry.get("countrycode"),
        entry.get("recognized"),
        _parse_time(entry["timestamp"]) if "timestamp" in entry else None,
        {name: entry[name] for name in FURTHER if name in entry},
    )


def _parse_time(text: str) -> datetime:
    """`"2017-03-01 20:41:36.70725 UTC"`; the fraction of a second may be missing."""
    form = "%Y-%m-%d %H:%M:%S.%f UTC" if "." in text else "%Y-%m-%d %H:%M:%S UTC"
    return datetime.strptime(text, form).replace(tzinfo=UTC)


def _format_time(when: datetime) -> str:
    text = when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    return text.rstrip("0").rstrip(".") + " UTC" if when.microsecond else text[:-7] + " UTC"


def read_ndjson(path: str | Path) -> Iterator[QuickDrawRecord]:
    """Read a raw or simplified `.ndjson` file, one record at a time.

    Memory holds one line, of at most 32 Mi characters. An error names the line.
    """
    path = _existing(path)
    with reading(path, "no file of QuickDraw", ADVICE), open(path, encoding="utf-8") as stream:
        number = 0
        while line := stream.readline(MOST_CHARACTERS):
            number += 1
            with _part(f"{path}, line {number},"):
                if len(line) == MOST_CHARACTERS and not line.endswith("\n"):
                    raise ValueError(f"a line must have less than {MOST_CHARACTERS:,} characters")
                record = _parse_record(line)
            yield record


def write_ndjson(path: str | Path, records: Iterable[QuickDrawRecord]) -> None:
    """Write records as `.ndjson`: raw where a drawing has times, else with x and y alone."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as stream:
        for record in records:
            when, guessed = record.timestamp, record.recognized
            entry = {
                "word": record.word,
                "countrycode": record.country,
                "timestamp": None if when is None else _format_time(when),
                "recognized": None if guessed is None else bool(guessed),
                "key_id": str(record.key_id),
                **record.further,
                "drawing": to_lists(record.drawing),
            }
            entry = {name: value for name, value in entry.items() if value is not None}
            stream.write(json.dumps(entry, separators=(",", ":"), ensure_ascii=False) + "\n")


# ---- binary


def read_binary(path: str | Path, word: str) -> Iterator[QuickDrawRecord]:
    """Read a `.bin` file, one record at a time; an error names the record.

    Args:
        path: the file.
        word: what its drawings show. The format does not hold it: each file is of one word.
    """
    path, number = _existing(path), 0
    with open(path, "rb") as stream:
        while header := stream.read(HEADER.size):
            number += 1
            with _part(f"{path}, record {number},"):
                key_id, country, recognized, seconds, n_strokes = HEADER.unpack(header)
                if recognized not in (0, 1):
                    raise ValueError(f"recognized must be 0 or 1, got {recognized}")
                drawing = Drawing(tuple(_read_stroke(stream) for _ in range(n_strokes)))
                when = datetime.fromtimestamp(seconds, UTC)
                letters = country.decode("ascii")
            yield QuickDrawRecord(drawing, key_id, word, letters, bool(recognized), when)


def _read_stroke(stream) -> np.ndarray:
    (n_points,) = COUNT.unpack(stream.read(COUNT.size))
    content = stream.read(2 * n_points)
    if len(content) < 2 * n_points:
        raise ValueError("the file ends inside a stroke")
    return np.frombuffer(content, np.uint8).reshape(2, n_points).T.astype(np.float64)


def write_binary(path: str | Path, records: Iterable[QuickDrawRecord]) -> None:
    """Write records as `.bin`.

    The format holds neither word nor times, whole seconds only, and whole coordinates from 0 to
    255 (see `quickdraw_simplified`); a record that would lose more than its word is refused.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        for number, record in enumerate(records, 1):
            stream.write(_record_bytes(record, f"record {number}"))


def _record_bytes(record: QuickDrawRecord, name: str) -> bytes:
    for value in ("country", "recognized", "timestamp"):
        if getattr(record, value) is None:
            raise RetrievalInputError(f"{name} must have {value}, which the format holds, got None")
    points, country = record.drawing.points, record.country.encode("ascii", "replace")
    seconds = record.timestamp.timestamp()
    if record.drawing.times is not None:
        raise RetrievalInputError(f"{name} has times, which the format cannot hold. Drop them")
    if (points != np.rint(points)).any() or points.min() < 0 or points.max() > 255:
        raise RetrievalInputError(
            f"{name} must have whole coordinates from 0 to 255. Call quickdraw_simplified first"
        )
    if seconds != int(seconds) or not 0 <= seconds < 2**32:
        raise RetrievalInputError(
            f"{name} must have a timestamp of whole seconds from 1970 to 2106, got"
            f" {record.timestamp}. Call timestamp.replace(microsecond=0)"
        )
    if len(country) != 2 or not record.country.isascii():
        raise RetrievalInputError(f"{name} must have a country of two letters, got {country!r}")
    key_id = check_count(record.key_id, f"key_id of {name}", least=0, most=2**64 - 1)
    header = HEADER.pack(
        key_id, country, record.recognized, int(seconds), len(record.drawing.strokes)
    )
    parts = [header]
    for stroke in record.drawing.strokes:
        check_count(len(stroke), f"points of a stroke of {name}", most=2**16 - 1)
        parts += [COUNT.pack(len(stroke)), stroke.T.astype(np.uint8).tobytes()]
    return b"".join(parts)


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path} is missing. Name a file of QuickDraw: .ndjson or .bin")
    return path
