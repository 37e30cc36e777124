"""A sung sound: its samples, the pitch that was sung at each of them, and noise around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib.core.checks import RetrievalInputError, check_number
from lib.datasets.tunes import SungNotes

RATE = 16_000  # samples a second
LEAD, TAIL = 0.2, 0.3  # seconds of silence before and after the notes
PEAK = 0.5  # of full scale
LONGEST = 600.0  # seconds


@dataclass(frozen=True, eq=False, repr=False)
class SungSound:
    """A sound with the truth about its pitch.

    Args:
        samples: float32 `(n,)`, mono, `RATE` a second, full scale at 1.
        pitches: float32 `(n,)`, the MIDI pitch that is sung at each sample; NaN where nothing is.
    """

    samples: np.ndarray
    pitches: np.ndarray

    def __len__(self) -> int:
        return self.samples.size

    @property
    def seconds(self) -> float:
        """Return the length in seconds."""
        return self.samples.size / RATE

    def pitches_at(self, times: np.ndarray) -> np.ndarray:
        """Return the true pitch at times in seconds, NaN where nothing is sung or it has ended."""
        at = np.rint(np.asarray(times) * RATE).astype(np.int64)
        inside = (at >= 0) & (at < self.pitches.size)
        return np.where(inside, self.pitches[np.where(inside, at, 0)], np.nan)

    def __repr__(self) -> str:
        return f"SungSound({self.seconds:.1f} s)"


def check_sung(notes: SungNotes) -> SungNotes:
    """Return sung notes of at most 10 minutes; refuse anything else."""
    if not isinstance(notes, SungNotes):
        raise RetrievalInputError(
            f"notes must be SungNotes, got {type(notes).__name__}. `sing` makes them of a Melody"
        )
    if notes.seconds > LONGEST:
        raise RetrievalInputError(
            f"notes must last at most {LONGEST:g} s, got {notes.seconds:.0f} s. Take an excerpt"
        )
    return notes


def in_range(notes: SungNotes, centre: float) -> SungNotes:
    """Move notes by whole octaves, so that their median lies within half an octave of `centre`.

    A person hums a tune where the own voice is, whatever octave it is written in.

    Args:
        notes: what is sung.
        centre: MIDI pitch in the middle of the range of the voice.
    """
    centre = check_number(centre, "centre", 24, 96)
    octaves = round((centre - float(np.median(check_sung(notes).pitches))) / 12)
    return SungNotes(notes.onsets, notes.durations, notes.pitches + 12 * octaves, notes.source)


def sample_times(notes: SungNotes) -> np.ndarray:
    """Return the time of each sample, in seconds from the first onset; it begins in the lead."""
    n = round((LEAD + notes.seconds + TAIL) * RATE)
    return np.arange(n) / RATE - LEAD


def note_pitches(notes: SungNotes) -> np.ndarray:
    """Return the pitch of the note at each sample, float32; NaN between notes."""
    times = sample_times(notes)
    onsets = notes.onsets - notes.onsets[0]
    at = np.maximum(np.searchsorted(onsets, times, side="right") - 1, 0)
    sounds = (times >= 0) & (times < onsets[at] + notes.durations[at])
    return np.where(sounds, notes.pitches[at], np.nan).astype(np.float32)


def scaled(samples: np.ndarray) -> np.ndarray:
    """Return samples as float32 with their peak at `PEAK`."""
    peak = float(np.abs(samples).max(initial=0.0))
    return (samples * (PEAK / peak if peak else 0.0)).astype(np.float32)


def with_noise(sound: SungSound, decibels: float, rng: np.random.Generator) -> SungSound:
    """Add the noise of a room: all frequencies, the low ones louder (power falls as 1 / f).

        SNR = 10 log10 (mean power of the sung samples / mean power of the noise)

    Args:
        sound: what is sung.
        decibels: the SNR, -20 to 80.
        rng: draws the noise.
    """
    decibels = check_number(decibels, "decibels", -20, 80)
    n = len(sound)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    frequencies = np.fft.rfftfreq(n, 1 / RATE)
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(frequencies, 50.0)), n)
    sung = sound.samples[np.isfinite(sound.pitches)].astype(np.float64)
    power = np.mean(sung**2) if sung.size else 0.0
    noise *= np.sqrt(power / np.mean(noise**2) / 10 ** (decibels / 10))
    return SungSound((sound.samples + noise).astype(np.float32), sound.pitches)
