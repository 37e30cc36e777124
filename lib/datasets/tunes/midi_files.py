"""The melody of a MIDI file."""

import importlib.util
from collections import defaultdict
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError, MissingFileError, reading
from lib.datasets.tunes.melody import Melody

LARGEST = 2**22  # bytes of one file
DRUMS = 9  # channel, from 0
DEFAULT_BEAT = 500_000  # microseconds of a quarter note, where a file has no tempo
ADVICE = "Give a standard MIDI file of one melody"


def available() -> bool:
    """Return True if mido is installed."""
    return importlib.util.find_spec("mido") is not None


def read_midi(path: str | Path) -> Melody:
    """Read the melody of a MIDI file: the track and channel with the most notes, without drums.

    Of notes that begin together the highest counts, and a note ends where the next begins. The
    tempo is the first of the file.

    Args:
        path: a standard MIDI file, format 0 or 1.
    """
    if not available():
        raise RetrievalInputError(
            "MIDI files need the package mido. Run: pip install 'crossmodal-retrieval[hum]'"
        )
    import mido

    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path} is missing. {ADVICE}")
    if path.stat().st_size > LARGEST:
        raise DamagedFileError(f"{path} must have at most {LARGEST:,} bytes. {ADVICE}")
    with reading(path, "no MIDI file", ADVICE):
        midi = mido.MidiFile(path, clip=True)
        if midi.ticks_per_beat <= 0:  # times of film, in frames
            raise DamagedFileError(
                f"{path} must count time in quarter notes, got a division of"
                f" {midi.ticks_per_beat}. {ADVICE}"
            )
        notes, beat = _notes_and_beat(midi)
    if not notes:
        raise DamagedFileError(f"{path} has no note outside the drums. {ADVICE}")
    onsets, ends, pitches = _one_voice(max(notes.values(), key=len))
    onsets, ends = onsets / midi.ticks_per_beat, ends / midi.ticks_per_beat
    tempo = 60e6 / beat if beat else None
    return Melody(onsets, ends - onsets, pitches, title=path.stem, source=str(path), tempo=tempo)


def _notes_and_beat(midi) -> tuple[dict[tuple[int, int], list], int]:
    """Return `{(track, channel): [(onset, end, pitch), ...]}` in ticks, and the first tempo."""
    notes: dict[tuple[int, int], list] = defaultdict(list)
    tempos = []
    for number, track in enumerate(midi.tracks):
        now, begun = 0, {}
        for message in track:
            now += message.time
            if message.type == "set_tempo":
                tempos.append((now, message.tempo))
            elif message.type in ("note_on", "note_off") and message.channel != DRUMS:
                key = message.channel, message.note
                if key in begun and now > begun[key]:
                    notes[number, message.channel].append((begun[key], now, message.note))
                begun.pop(key, None)
                if message.type == "note_on" and message.velocity:
                    begun[key] = now
    return notes, min(tempos)[1] if tempos else DEFAULT_BEAT


def _one_voice(notes: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keep the highest of notes that begin together, and cut each where the next begins."""
    array = np.array(sorted(notes, key=lambda note: (note[0], -note[2])))
    array = array[np.diff(array[:, 0], prepend=-1) > 0]
    onsets, ends, pitches = array.T
    ends[:-1] = np.minimum(ends[:-1], onsets[1:])
    return onsets.astype(np.float64), ends.astype(np.float64), pitches
