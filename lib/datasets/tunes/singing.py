"""Singing errors: how a hummed melody differs from the written one, every term a parameter.

The model changes notes, not sound. Untrained singers are worse than any such model: on recordings
of real ones, MUSART's systems reached an MRR of 0.13 to 0.27 (Dannenberg et al. 2007). A score on
these queries compares methods; it does not say how well a person will be served.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from lib.core.checks import check_number, real_numbers
from lib.datasets.tunes.melody import Melody, set_notes

MUSART_MRR = (0.13, 0.27)  # of recorded untrained singers, by MUSART's systems; see above
WARNING = (
    "These hums are made by a program. On recordings of real untrained singers, MUSART's systems"
    " had an MRR of {:.0%} to {:.0%} (Dannenberg et al. 2007)."
).format(*MUSART_MRR)
WRONG_STEPS = (-2, -1, 1, 2)  # semitones of a wrong note
PROBABILITIES = ("octave", "dropped", "inserted", "wrong", "octave_jump")


@dataclass(frozen=True, eq=False, repr=False)
class SungNotes:
    """Notes as they were sung: times in seconds, pitches between the semitones.

    Args:
        onsets: float64 `(n,)`, seconds, rising.
        durations: float64 `(n,)`, seconds, above 0. A note ends before the next begins.
        pitches: float64 `(n,)`, MIDI numbers with fractions.
        source: of the melody.
    """

    onsets: np.ndarray
    durations: np.ndarray
    pitches: np.ndarray
    source: str = ""

    def __post_init__(self) -> None:
        set_notes(self, real_numbers(self.pitches, "pitches"))

    def __len__(self) -> int:
        return self.pitches.size

    @property
    def seconds(self) -> float:
        """Return the time from the first onset to the end of the last note."""
        return float(self.onsets[-1] + self.durations[-1] - self.onsets[0])

    def __repr__(self) -> str:
        return f"SungNotes({self.source!r}, {len(self)} notes, {self.seconds:.1f} s)"


@dataclass(frozen=True)
class SingingErrors:
    """Sizes of the errors; all 0 is an exact rendition.

    Standard deviations are of normal variables; those of times act on logarithms, so that 0.1 is
    about a tenth.

    Args:
        key: the melody is moved by a number of semitones that is uniform in -key..key.
        octave: probability that the melody is sung an octave lower or higher.
        tempo: deviation of the tempo, in log.
        tempo_drift: deviation of the change of the tempo from note to note, in log; it adds up.
        timing: deviation of the length of each note, in log.
        pitch: deviation of each pitch, in semitones.
        drift: deviation of the change of the tuning from note to note, in semitones; it adds up.
        dropped: probability that a note is left out; the one before it lasts until the next.
        inserted: probability that a note gives its second half to another, 1 or 2 semitones off.
        wrong: probability that a note is 1 or 2 semitones off.
        octave_jump: probability that a note is an octave off.
    """

    key: float = 0.0
    octave: float = 0.0
    tempo: float = 0.0
    tempo_drift: float = 0.0
    timing: float = 0.0
    pitch: float = 0.0
    drift: float = 0.0
    dropped: float = 0.0
    inserted: float = 0.0
    wrong: float = 0.0
    octave_jump: float = 0.0

    def __post_init__(self) -> None:
        for term in fields(self):
            high = 1 if term.name in PROBABILITIES else np.inf
            check_number(getattr(self, term.name), term.name, 0, high)


LEVELS = {
    "exact": SingingErrors(),
    "clean": SingingErrors(key=5, octave=0.25, tempo=0.2),
    "medium": SingingErrors(
        key=5, octave=0.25, tempo=0.2, tempo_drift=0.01, timing=0.12, pitch=0.25, drift=0.05,
        dropped=0.02, inserted=0.01,
    ),
    "hard": SingingErrors(
        key=5, octave=0.25, tempo=0.25, tempo_drift=0.02, timing=0.25, pitch=0.5, drift=0.12,
        dropped=0.06, inserted=0.04, wrong=0.06, octave_jump=0.01,
    ),
}  # fmt: skip


def sing(
    melody: Melody, errors: SingingErrors, rng: np.random.Generator, *, tempo: float
) -> SungNotes:
    """Sing a melody with errors.

    Args:
        melody: what is sung, from its first to its last note.
        errors: sizes of the errors.
        rng: draws them.
        tempo: quarter notes a minute before the error of the tempo.

    Returns:
        The sung notes; the first begins at 0 seconds.
    """
    onsets, durations = melody.seconds(tempo)
    steps = np.append(np.diff(onsets), durations[-1])  # from each note to the next
    sounding = durations / steps
    pitches = melody.pitches.astype(np.float64)
    steps, sounding, pitches = _edit(steps, sounding, pitches, errors, rng)

    n = pitches.size
    log_tempo = rng.normal(0, errors.tempo) + np.cumsum(rng.normal(0, errors.tempo_drift, n))
    steps = steps * np.exp(rng.normal(0, errors.timing, n) - log_tempo)
    onsets = np.concatenate([[0], np.cumsum(steps[:-1])])

    moved = rng.uniform(-errors.key, errors.key)
    moved += 12 * _chance(rng, errors.octave, 1)[0] * rng.choice([-1, 1])
    tuning = np.cumsum(rng.normal(0, errors.drift, n))
    pitches = pitches + moved + tuning + rng.normal(0, errors.pitch, n)
    return SungNotes(onsets, steps * sounding, pitches, melody.source)


def _edit(
    steps: np.ndarray,
    sounding: np.ndarray,
    pitches: np.ndarray,
    errors: SingingErrors,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Drop, insert and change notes; the time from first to last stays the same."""
    n = pitches.size
    jumps = _chance(rng, errors.octave_jump, n) * rng.choice([-12, 12], n)
    wrong = _chance(rng, errors.wrong, n) * rng.choice(WRONG_STEPS, n)
    pitches = pitches + jumps + wrong

    kept = ~_chance(rng, errors.dropped, n)
    kept[0] = True
    owner = np.cumsum(kept) - 1  # the note that takes the time of each
    longer = np.bincount(owner, steps)
    held = np.bincount(owner) > 1  # such a note sounds through
    steps, sounding, pitches = longer, np.where(held, 1.0, sounding[kept]), pitches[kept]

    copies = 1 + _chance(rng, errors.inserted, pitches.size)
    order = np.repeat(np.arange(pitches.size), copies)
    second = np.diff(order, prepend=-1) == 0
    pitches = pitches[order] + second * rng.choice(WRONG_STEPS, order.size)
    return (steps / copies)[order], sounding[order], pitches


def _chance(rng: np.random.Generator, probability: float, n: int) -> np.ndarray:
    return rng.random(n) < probability
