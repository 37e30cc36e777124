"""Voices of a soundfont: recorded instruments, played at any pitch by tinysoundfont.

The soundfont TimGM6mb (by Tim Brechbill, GPL-2) lies inside the package `pretty_midi`; it is found
by path and read as data. Of its programs, counted from 0, these three are sung and sound at the
pitch that is asked for; 78, "whistle", sounds nine semitones lower.
"""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.signal import resample_poly

from lib.core.checks import RetrievalInputError, check_count, check_number
from lib.core.reading import MissingFileError
from lib.datasets.tunes import SungNotes
from lib.datasets.voices.sound import (
    LEAD,
    RATE,
    SungSound,
    check_sung,
    in_range,
    note_pitches,
    scaled,
)

PROGRAMS = {"choir aahs": 52, "voice oohs": 53, "lead voice": 85}
SOUNDFONT = "TimGM6mb.sf2"
OVERSAMPLED = 3  # the player does not filter; at 16 kHz, high partials would fold back as others
PARTS_RATE = RATE * OVERSAMPLED  # of music of several parts
CENTRE = 64.0  # MIDI pitch, the middle of the range
LOUD = 100  # velocity, 1 to 127
BEND = 1.0  # semitones of the whole pitch wheel, up or down
ATTACK, FADE = 0.08, 0.02  # seconds
DRUM_BANK = 128
MOST_PARTS = 16  # channels of MIDI
ADVICE = (
    "Install them with: pip install pretty_midi==0.2.11.post0 and pip install --no-deps"
    " tinysoundfont==0.3.7 (it asks for PyAudio, which only plays aloud)"
)


def available() -> bool:
    """Return True if the player and the soundfont are installed."""
    return all(importlib.util.find_spec(name) for name in ("tinysoundfont", "pretty_midi"))


def soundfont_path() -> Path:
    """Return the path of the soundfont inside `pretty_midi`."""
    if not available():
        raise MissingFileError(f"tinysoundfont and pretty_midi are needed here. {ADVICE}")
    spec = importlib.util.find_spec("pretty_midi")
    path = Path(next(iter(spec.submodule_search_locations))) / SOUNDFONT
    if not path.is_file():
        raise MissingFileError(f"{path} is missing. {ADVICE}")
    return path


@lru_cache(maxsize=1)
def _player():
    """Load the soundfont once; it takes a tenth of a second."""
    path = soundfont_path()
    from tinysoundfont import Synth

    synth = Synth(samplerate=RATE * OVERSAMPLED)
    return synth, synth.sfload(str(path))


def play_notes(notes: SungNotes, program: int) -> SungSound:
    """Play notes with a program of the soundfont.

    Args:
        notes: what is played; they are moved by octaves into the range of a voice.
        program: number of General MIDI from 0; those of `PROGRAMS` are sung.

    Returns:
        The sound; its true pitch is that of the notes. A recorded voice wavers by about 0.1
        semitones around it.
    """
    program = check_count(program, "program", least=0, most=127)
    notes = in_range(check_sung(notes), CENTRE)
    truth = note_pitches(notes)
    synth, font = _player()
    onsets = notes.onsets - notes.onsets[0] + LEAD
    samples = np.zeros(truth.size * OVERSAMPLED)
    for start, seconds, pitch in zip(onsets, notes.durations, notes.pitches, strict=True):
        note = play_note(program, float(pitch), float(seconds))
        first = round(start * RATE * OVERSAMPLED)
        samples[first : first + note.size] += note[: samples.size - first]
    return SungSound(scaled(resample_poly(samples, 1, OVERSAMPLED)[: truth.size]), truth)


def play_note(program: int, pitch: float, seconds: float) -> np.ndarray:
    """Return one note, float64, alone and without its slow beginning: a singer has one voice."""
    key = round(pitch)
    if not 0 <= key <= 127:
        raise RetrievalInputError(f"a pitch must lie in 0..127 (MIDI), got {pitch:g}")
    synth, font = _player()
    synth.program_select(0, font, 0, program)
    synth.pitchbend_range(0, BEND)
    synth.pitchbend(0, round(8192 * (1 + (pitch - key) / BEND)))
    synth.noteon(0, key, LOUD)
    rate = RATE * OVERSAMPLED
    _generate(synth, round(ATTACK * rate))
    note = _generate(synth, max(1, round(seconds * rate))).astype(np.float64)
    synth.sounds_off(0)
    _generate(synth, round(ATTACK * rate))  # what rings on
    n = min(round(FADE * rate), note.size // 2)
    ramp = np.arange(n) / max(1, n)
    note[:n] *= ramp
    note[note.size - n :] *= ramp[::-1]
    return note


def _generate(synth, n: int) -> np.ndarray:
    """Return the next n samples, the mean of left and right, float32."""
    return np.frombuffer(synth.generate(n), dtype=np.float32).reshape(-1, 2).mean(axis=1)


# ---- music of several parts


@dataclass(frozen=True, eq=False)
class InstrumentPart:
    """Notes of one instrument of an ensemble; several may sound at a time.

    Args:
        program: number of General MIDI from 0; the keys of drums are instruments.
        onsets, durations: float64 `(n,)`, seconds from the beginning of the music.
        keys: int64 `(n,)`, MIDI numbers 0..127.
        velocity: 1 to 127.
        drums: play the drum kit instead of a program.
    """

    program: int
    onsets: np.ndarray
    durations: np.ndarray
    keys: np.ndarray
    velocity: int = LOUD
    drums: bool = False


def play_parts(parts: Sequence[InstrumentPart], seconds: float) -> np.ndarray:
    """Play parts together.

    Args:
        parts: at most 16. Notes that begin after the end are not heard.
        seconds: length of the sound.

    Returns:
        float64 `(n,)`, mono, `PARTS_RATE` samples a second, as loud as the player makes it.
    """
    check_count(len(parts), "the number of parts", most=MOST_PARTS)
    n = round(check_number(seconds, "seconds", 0, above=True) * PARTS_RATE)
    synth, font = _player()
    for channel, part in enumerate(parts):
        bank = DRUM_BANK if part.drums else 0
        synth.program_select(channel, font, bank, part.program, part.drums)
        synth.pitchbend(channel, 8192)
    sound, now = np.empty(n), 0
    for at, starts, channel, key, velocity in _events(parts, n):
        if at > now:
            sound[now:at] = _generate(synth, at - now)
            now = at
        if starts:
            synth.noteon(channel, key, velocity)
        else:
            synth.noteoff(channel, key)
    if n > now:
        sound[now:] = _generate(synth, n - now)
    for channel in range(len(parts)):
        synth.sounds_off(channel)
    _generate(synth, round(ATTACK * PARTS_RATE))  # what rings on
    return sound


def _events(parts: Sequence[InstrumentPart], n: int) -> list[tuple[int, bool, int, int, int]]:
    """Return (sample, whether a note starts, channel, key, velocity) in order, ends first."""
    events = []
    for channel, part in enumerate(parts):
        first = np.rint(part.onsets * PARTS_RATE).astype(np.int64)
        last = np.rint((part.onsets + part.durations) * PARTS_RATE).astype(np.int64)
        for start, end, key in zip(first.tolist(), last.tolist(), part.keys.tolist(), strict=True):
            if start < n:
                events.append((start, True, channel, key, part.velocity))
                events.append((min(max(end, start + 1), n), False, channel, key, 0))
    return sorted(events)
