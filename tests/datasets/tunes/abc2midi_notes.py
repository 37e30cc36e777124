"""Make `abc2midi_notes.csv`: the notes of 300 tunes as abc2midi plays them.

    python tests/datasets/tunes/abc2midi_notes.py

It needs the program abc2midi (package `abcmidi` of Debian; the file was made with version 4.84) and
`music21`. `--all` prints a summary over every tune instead. abc2midi reads the corrected texts,
without what a melody leaves out: grace notes, ornaments, chord symbols, and `R:hornpipe`, for which
it swings. `written` has every bar sign replaced by a plain bar, so that each note comes once.
"""

import csv
import hashlib
import random
import re
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from lib.datasets.tunes import COLLECTIONS, FREE, Melody
from lib.datasets.tunes.abc_files import FIELD, read_tune, split_tunes
from lib.datasets.tunes.collections import UNREADABLE, collection_files, corrected_text

FIXTURE = Path(__file__).with_name("abc2midi_notes.csv")
COLUMNS = ("tune", "notes", "written", "played")
N_FREE, N_ESSEN = 240, 60
TICKS = 480  # of a quarter note, in the files of abc2midi
OPTIONS = ("-NGRA", "-NGUI", "-NFNP", "-NCOM")
UNSOUNDED = re.compile(
    r'(\[[A-Za-z]:[^\]]*\])|"[^"]*"|![^!|\s]{1,30}!|\{[^}]*\}|[.~H-WYh-wy#*;?@`]'
)
BAR = re.compile(r"(?::*\|[\]|:]*|::|\[\|[\]|:]*)(?:(?:\[|\s+\[)?[1-9][\d,-]*)?|\[[1-9][\d,-]*")


def digest(notes) -> str:
    """Return a short digest of `(onset in ticks, pitch)`."""
    text = " ".join(f"{onset}:{pitch}" for onset, pitch in notes)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def digest_of(melody: Melody) -> str:
    ticks = [round(onset * TICKS) for onset in melody.onsets.tolist()]
    return digest(zip(ticks, melody.pitches.tolist(), strict=True))


def all_tunes(collections):
    """Yield the name and the lines of each tune."""
    for collection in collections:
        for path in collection_files(collection):
            _, *tunes = split_tunes(corrected_text(path))
            for lines in tunes:
                name = f"{collection}/{path.name}#{lines[0][1][2:].strip()}"
                if name not in UNREADABLE:
                    yield name, lines


def sampled_tunes():
    """Return `{name: lines}` of the 300 tunes."""
    draw = random.Random(0)
    free = draw.sample(list(all_tunes(FREE)), N_FREE)
    essen = draw.sample(list(all_tunes(COLLECTIONS[len(FREE) :])), N_ESSEN)
    return dict(free + essen)


def sounding_text(lines, *, plain_bars: bool) -> str:
    """Return a tune as abc2midi shall read it."""
    kept, in_body = [], False
    for _, line in lines:
        line = line.split("%")[0]
        if FIELD.match(line):
            if line[0] in "MLKV" or (line[0] == "P" and not plain_bars):
                kept.append(line)
            in_body = in_body or line[0] == "K"
        elif in_body:
            line = UNSOUNDED.sub(lambda match: match[1] or "", line)
            if line.strip():
                kept.append(BAR.sub("|", line) if plain_bars else line)
    return "\n".join(["X:1", "%%MIDI chordattack 0", *kept]) + "\n\n"


def midi_notes(text: str) -> list[tuple[int, int]]:
    """Play a text by abc2midi; return onsets in ticks and the top pitches of its first voice."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "tune.abc", Path(folder) / "tune.mid"
        source.write_text(text)
        command = ["abc2midi", str(source), "1", "-o", str(target), *OPTIONS]
        subprocess.run(command, capture_output=True, timeout=20)
        data = target.read_bytes()
    at = 14
    while at < len(data):
        size = struct.unpack(">I", data[at + 4 : at + 8])[0]
        notes = _track_notes(data[at + 8 : at + 8 + size])
        if notes:
            return sorted(notes.items())
        at += 8 + size
    return []


def _track_notes(track: bytes) -> dict[int, int]:
    at, time, status, notes = 0, 0, 0, {}

    def number() -> int:
        nonlocal at
        value = 0
        while True:
            value, at = value << 7 | track[at] & 127, at + 1
            if track[at - 1] < 128:
                return value

    while at < len(track):
        time += number()
        if track[at] & 128:
            status, at = track[at], at + 1
        if status == 0xFF:
            at += 1
        if status in (0xFF, 0xF0, 0xF7):
            length = number()
            at += length
        elif status >> 4 == 9:
            pitch, velocity = track[at : at + 2]
            if velocity:  # abc2midi begins each note one tick late
                notes[time - 1] = max(pitch, notes.get(time - 1, 0))
            at += 2
        else:
            at += 1 if status >> 4 in (0xC, 0xD) else 2
    return notes


def main() -> None:
    if "--all" in sys.argv:
        counts = Counter()
        for name, lines in all_tunes(COLLECTIONS):
            collection = name.split("/")[0]
            for plain, kind in ((True, "written"), (False, "played")):
                ours = read_tune(lines, name, repeats=not plain)
                theirs = midi_notes(sounding_text(lines, plain_bars=plain))
                agree = digest(theirs) == digest_of(ours)
                counts[collection, kind, "the same" if agree else "other"] += 1
                if not agree:
                    print(name, kind)
        for key, count in sorted(counts.items()):
            print(*key, count)
        return
    with FIXTURE.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for name, lines in sampled_tunes().items():
            written = midi_notes(sounding_text(lines, plain_bars=True))
            played = midi_notes(sounding_text(lines, plain_bars=False))
            writer.writerow([name, len(written), digest(written), digest(played)])


if __name__ == "__main__":
    main()
