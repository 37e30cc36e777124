"""A melody: one note at a time, each with its onset, its duration and its pitch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib.core.checks import (
    RetrievalInputError,
    check_number,
    real_numbers,
    whole_numbers,
)

LOWEST, HIGHEST = 0, 127  # pitches of MIDI; 60 is middle C, 69 is the A of 440 Hz
TOLERANCE = 1e-6  # of sums of times
DEFAULT_TEMPO = 120.0  # quarter notes a minute, where a tune names no tempo


@dataclass(frozen=True, eq=False, repr=False)
class Melody:
    """Notes of one voice in the order of time; rests are the gaps between them.

    Args:
        onsets: float64 `(n,)`, the start of each note in quarter notes, rising.
        durations: float64 `(n,)`, above 0, in quarter notes. A note ends before the next begins.
        pitches: int64 `(n,)`, MIDI numbers: a semitone is 1, middle C is 60.
        title: name of the tune.
        source: file and number of the tune, such as `"airdsAirs/book1.abc#2"`.
        key: tonic and mode as the source writes them, such as `"G"` or `"E Minor"`.
        tempo: quarter notes a minute, or None where the source names none.
        meter: as the source writes it, such as `"6/8"`; empty where it names none.
    """

    onsets: np.ndarray
    durations: np.ndarray
    pitches: np.ndarray
    title: str = ""
    source: str = ""
    key: str = ""
    tempo: float | None = None
    meter: str = ""

    def __post_init__(self) -> None:
        pitches = whole_numbers(self.pitches, "pitches")
        outside = np.flatnonzero((pitches < LOWEST) | (pitches > HIGHEST))
        if outside.size:
            at = outside[0]
            raise RetrievalInputError(
                f"pitches must lie in {LOWEST}..{HIGHEST} (MIDI), got {pitches[at]} at note {at}"
            )
        set_notes(self, pitches)

    def __len__(self) -> int:
        return self.pitches.size

    @property
    def intervals(self) -> np.ndarray:
        """Return int64 `(n - 1,)`: semitones from each note to the next; the key drops out."""
        return np.diff(self.pitches)

    @property
    def quarters(self) -> float:
        """Return the length from the first onset to the end of the last note, in quarter notes."""
        return float(self.onsets[-1] + self.durations[-1] - self.onsets[0])

    def seconds(self, tempo: float | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Return onsets and durations in seconds at `tempo` quarter notes a minute.

        Without it, at the tempo of the source, or at 120 where the source names none.
        """
        if tempo is None:
            tempo = self.tempo or DEFAULT_TEMPO
        beat = 60 / check_number(tempo, "tempo", 0, above=True)
        return self.onsets * beat, self.durations * beat

    def __repr__(self) -> str:
        return f"Melody({self.title!r}, {len(self)} notes, {self.quarters:g} quarters, {self.key})"


def set_notes(notes, pitches: np.ndarray) -> None:
    """Check the notes of one voice and store them in the frozen object as read-only arrays."""
    onsets, durations = (
        real_numbers(getattr(notes, name), name) for name in ("onsets", "durations")
    )
    if not onsets.size == durations.size == pitches.size:
        sizes = f"{onsets.size}, {durations.size} and {pitches.size}"
        raise RetrievalInputError(
            f"onsets, durations and pitches must have one entry for each note, got {sizes}"
        )
    if (durations <= 0).any():
        at = int(np.argmax(durations <= 0))
        raise RetrievalInputError(f"durations must be above 0, got {durations[at]} at note {at}")
    late = np.flatnonzero(onsets[:-1] + durations[:-1] > onsets[1:] + TOLERANCE)
    if late.size:
        at = late[0]
        end, start = onsets[at] + durations[at], onsets[at + 1]
        raise RetrievalInputError(
            f"note {at} must end before note {at + 1} begins at {start:g}, it ends at {end:g}."
            " A melody is one voice"
        )
    for name, array in (("onsets", onsets), ("durations", durations), ("pitches", pitches)):
        array = array.copy()
        array.setflags(write=False)
        object.__setattr__(notes, name, array)
