"""Files of ABC music: from a file to the melodies of its tunes."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from lib.core.reading import DamagedFileError, MissingFileError, reading
from lib.datasets.tunes.abc_fields import (
    FieldError,
    read_fraction,
    read_key,
    read_meter,
    read_tempo,
)
from lib.datasets.tunes.abc_music import REST, MusicReader, Voice
from lib.datasets.tunes.abc_order import played_ranges
from lib.datasets.tunes.melody import Melody

LARGEST = 2**24  # bytes of one file
HEAD_FIELD = re.compile(r"[A-Za-z]:")
FIELD = re.compile(r"[A-Za-z]:(?![|:])")  # within the music, where `e:|` is a note
SOUNDING = "MLKQP"  # fields of which the last one counts
ADVICE = "Give a text file of ABC music in UTF-8"
Line = tuple[int, str]  # number from 1, text


def read_abc(
    path: str | Path, *, repeats: bool = True, faults: list[str] | None = None
) -> list[Melody]:
    """Read the melodies of an ABC file, one a tune.

    The melody is the first voice, of chords the top note; ornaments and grace notes are left out.
    `D.C.` and `D.S.` are not followed.

    Args:
        path: a text file with one or more tunes.
        repeats: play repeats, endings and parts; False reads each written note once.
        faults: a list that collects, with file and line, why a tune cannot be read; such tunes are
            then left out. Without it the first fault is an error.
    """
    return parse_abc(read_text(path), name=str(path), repeats=repeats, faults=faults)


def read_text(path: str | Path) -> str:
    """Read a text file in UTF-8, with line ends of any system."""
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path} is missing. {ADVICE}")
    if path.stat().st_size > LARGEST:
        raise DamagedFileError(f"{path} must have at most {LARGEST:,} bytes. {ADVICE}")
    with reading(path, "no text in UTF-8", ADVICE):
        return path.read_text(encoding="utf-8-sig")


def parse_abc(
    text: str, *, name: str = "text", repeats: bool = True, faults: list[str] | None = None
) -> list[Melody]:
    """Read the melodies of a text of ABC music.

    Args:
        text: one or more tunes, each from `X:` to an empty line.
        name: name of the file, for `source` and for messages.
        repeats, faults: as in `read_abc`.
    """
    tunes = list(split_tunes(text))
    if not tunes:
        raise DamagedFileError(f"{name} has no tune: no line begins with X:. {ADVICE}")
    file_head, *bodies = tunes
    melodies = []
    for lines in bodies:
        try:
            melodies.append(read_tune([*file_head, *lines], name, repeats))
        except DamagedFileError as error:
            if faults is None:
                raise
            faults.append(str(error))
    return melodies


def split_tunes(text: str) -> Iterator[list[Line]]:
    """Split a text into meter and unit length of the whole file, then the lines of each tune."""
    lines: list[Line] | None = []  # None: between two tunes
    in_tune = False
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.rstrip("\r")
        if line.startswith("X:"):
            if lines is not None:
                yield lines
            lines, in_tune = [(number, line)], True
        elif not in_tune:
            if line.startswith(("M:", "L:")):
                lines.append((number, line))
        elif lines is not None and line.strip():
            lines.append((number, line))
        elif lines is not None:
            yield lines
            lines = None
    if in_tune and lines is not None:
        yield lines


def read_tune(lines: Sequence[Line], name: str, repeats: bool) -> Melody:
    """Read one tune from its lines; a fault is an error with file and line."""
    line_number = lines[0][0]
    head: dict[str, str] = {}
    reader: MusicReader | None = None
    try:
        for line_number, line in lines:  # noqa: B007, the error below names it
            if line.startswith("%"):
                continue
            line = line.split("%")[0]
            letter, value = line[:1], line[2:].strip()
            if reader is None:
                if not HEAD_FIELD.match(line):
                    raise FieldError(f"a field like 'K:' must stand here, got {line[:20]!r}")
                if letter in SOUNDING or letter not in head:  # of several titles, the first
                    head[letter] = value
                if letter == "K":
                    reader = _start(head)
            elif FIELD.match(line):
                reader.read_field(letter, value)
            else:
                reader.read_line(line)
        if reader is None:
            raise FieldError("the tune has no K: field")
        voice = reader.first_voice()
        notes = play(voice, head.get("P", "") if repeats else None)
        tempo = read_tempo(head.get("Q", ""), reader.head[2] / 4)
    except FieldError as error:
        raise DamagedFileError(f"{name}, line {line_number}: {error}") from error
    source = f"{name}#{head.get('X', '')}"
    key, meter = reader.head[0].name, head.get("M", "")
    return Melody(*notes, head.get("T", ""), source, key, tempo, meter)


def _start(head: Mapping[str, str]) -> MusicReader:
    """Begin to read the music below a head; without `L:` the meter gives the unit length."""
    meter = read_meter(head.get("M", "none"))
    unit = read_fraction(head["L"], "L:") if "L" in head else meter.unit
    return MusicReader(read_key(head["K"]), meter, unit)


def play(voice: Voice, parts: str | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return onsets, durations and pitches of a voice in the order of play; None: as written."""
    n = len(voice.pitches)
    ranges = [(0, n)] if parts is None else played_ranges(voice.marks, n, parts)
    onsets, durations, pitches = [], [], []
    time, tied = 0.0, False
    for start, end in ranges:
        written = (values[start:end] for values in (voice.pitches, voice.lengths, voice.ties))
        for pitch, length, tie in zip(*written, strict=True):
            if tied and pitch == pitches[-1]:
                durations[-1] += length
            elif pitch != REST:
                onsets.append(time)
                durations.append(length)
                pitches.append(pitch)
            tied = tie
            time += length
    return np.array(onsets), np.array(durations), np.array(pitches)
