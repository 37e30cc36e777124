"""The score of a clip: the melody in seconds, and an accompaniment that rules make.

The tunes have no chords. Each half bar gets the triad of the key that holds most of the melody's
time in it, with a small preference for I, IV and V. The bass plays its root and fifth, the drums
play the beats. It is the harmony of a rule, not of a musician.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib.core.memo import memoized
from lib.datasets.tunes import Melody, SungNotes
from lib.datasets.tunes.abc_fields import read_key
from lib.datasets.tunes_videos.recipes import ClipRecipe, meter_of
from lib.datasets.voices.soundfont import InstrumentPart

LETTERS = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
LEGATO = 0.95  # of the time of a note that it sounds
PREFERRED = (0.2, 0.0, 0.0, 0.12, 0.16, 0.0, -1.0)  # of a half bar: I ii iii IV V vi, never vii
BASS_FROM, CHORD_FROM = 36, 52  # lowest keys
KICK, SNARE, HAT = 36, 38, 42  # keys of the drum kit
LOUDNESS = {"melody": 100, "chords": 70, "bass": 90, "drums": 70}  # velocities
SHOT = 1.5  # seconds; the least time of a picture


@dataclass(frozen=True, eq=False)
class ClipScore:
    """Hold the music of a clip as notes, and the times of its pictures.

    Args:
        melody: sounding notes in seconds from the beginning of the clip, in the key of the clip.
        positions: int64 `(n,)`, the note of the tune that each of them is.
        parts: melody, chords, bass and drums.
        cuts: seconds, rising from 0, at which a new picture begins; each is a beat.
    """

    melody: SungNotes
    positions: np.ndarray
    parts: tuple[InstrumentPart, InstrumentPart, InstrumentPart, InstrumentPart]
    cuts: np.ndarray


@memoized(maxsize=512)
def clip_score(recipe: ClipRecipe) -> ClipScore:
    """Write the score of a clip. A tune that ends before the clip begins again."""
    tune, quarter = recipe.melody, 60 / recipe.tempo
    meter = meter_of(tune)
    bar = 4 * meter.bar
    begin = bar_phase(tune, bar)  # the first bar line, in quarters
    begin += np.floor((tune.onsets[recipe.first] - begin) / bar) * bar - recipe.lead * bar
    end = begin + recipe.seconds / quarter
    onsets, durations, pitches, positions = _played(tune, bar, recipe.first, end)
    melody = SungNotes(
        (onsets - begin) * quarter, durations * LEGATO * quarter, pitches + recipe.key, tune.source
    )
    halves = begin + np.arange(int(np.ceil((end - begin) / (bar / 2)))) * (bar / 2)
    chords = harmonise(scale_of(tune), onsets, durations, pitches, halves, bar / 2)
    beat = 1.5 if meter.compound else 1.0
    parts = _parts(recipe, melody, (halves - begin) * quarter, chords, bar, beat)
    beats = max(1, int(np.ceil(SHOT / (beat * quarter) - 1e-9)))
    cuts = np.arange(0, recipe.seconds, beats * beat * quarter)
    return ClipScore(melody, positions, parts, cuts)


def bar_phase(tune: Melody, bar: float) -> float:
    """Find where bars begin, in quarters from the first note: where the longest notes begin.

    A tune may begin with an upbeat, and the corpus keeps no bar lines.
    """
    phases = np.arange(0, bar, 0.5)
    off = (tune.onsets[:, None] - phases) % bar
    on_bar = np.minimum(off, bar - off) < 1e-6
    weights = (tune.durations[:, None] * on_bar).sum(axis=0)
    return float(phases[int(np.argmax(weights))])


def _played(tune: Melody, bar: float, first: int, end: float):
    """Return onsets (quarters of the tune), durations, pitches and positions until the end.

    A repetition begins on the bar line after the last note, so that the beat goes on.
    """
    period = np.ceil(tune.quarters / bar - 1e-9) * bar
    rounds = int(np.ceil(max(end, 0) / period)) + 1
    n = len(tune)
    positions = np.tile(np.arange(n), rounds)
    onsets = tune.onsets[positions] + np.repeat(np.arange(rounds), n) * period
    kept = slice(first, int(np.searchsorted(onsets, end - 1e-9)))
    positions, onsets = positions[kept], onsets[kept]
    durations = np.minimum(tune.durations[positions], end - onsets)
    return onsets, durations, tune.pitches[positions].astype(np.float64), positions


def scale_of(tune: Melody) -> np.ndarray:
    """Return the seven pitch classes of a tune's key, from its tonic, int64 `(7,)`."""
    key = read_key(tune.key)
    letters = sorted(LETTERS, key=LETTERS.get)
    tonic = key.name[:1].lower() if key.name[:1].lower() in LETTERS else "c"
    at = letters.index(tonic)
    ordered = letters[at:] + letters[:at]
    return np.array([(LETTERS[one] + key.signature.get(one, 0)) % 12 for one in ordered])


def harmonise(
    scale: np.ndarray,
    onsets: np.ndarray,
    durations: np.ndarray,
    pitches: np.ndarray,
    halves: np.ndarray,
    length: float,
) -> np.ndarray:
    """Choose a triad of the key for each half bar; int64 `(n_halves, 3)` pitch classes.

        score(chord) = share of the half bar in which the melody has a tone of it + preference

    Half bars without melody have the chord I.

    Args:
        scale: seven pitch classes from the tonic.
        onsets, durations, pitches: of the melody, in quarters, in the written key.
        halves: the beginning of each half bar, in quarters.
        length: of a half bar, in quarters.
    """
    triads = np.array([scale[[d, (d + 2) % 7, (d + 4) % 7]] for d in range(7)])
    begins, ends = halves[:, None], halves[:, None] + length
    overlap = np.minimum(ends, onsets + durations) - np.maximum(begins, onsets)
    overlap = np.maximum(overlap, 0) / length  # (n_halves, n_notes)
    classes = (pitches.astype(np.int64) % 12)[:, None, None]
    fits = (triads == classes).any(axis=2)  # (n_notes, 7)
    return triads[np.argmax(overlap @ fits + np.array(PREFERRED), axis=1)]


def _parts(
    recipe: ClipRecipe,
    melody: SungNotes,
    halves: np.ndarray,
    chords: np.ndarray,
    bar: float,
    beat: float,
) -> tuple[InstrumentPart, InstrumentPart, InstrumentPart, InstrumentPart]:
    """Write the four parts; times in seconds."""
    lead, comping, low = recipe.programs()
    quarter = 60 / recipe.tempo
    half = bar / 2 * quarter
    classes = (chords + recipe.key) % 12
    roots, fifths = classes[:, 0], classes[:, 2]
    sung = InstrumentPart(
        lead, melody.onsets, melody.durations, melody.pitches.astype(np.int64), LOUDNESS["melody"]
    )
    keys = CHORD_FROM + (classes - CHORD_FROM) % 12
    strummed = InstrumentPart(
        comping, np.repeat(halves, 3), np.full(3 * halves.size, half * LEGATO), keys.ravel(),
        LOUDNESS["chords"],
    )  # fmt: skip
    on_bar = np.arange(halves.size) % 2 == 0
    tones = np.where(on_bar, roots, fifths)
    bass_keys = BASS_FROM + (tones - BASS_FROM) % 12
    bass = InstrumentPart(
        low, halves, np.full(halves.size, half * LEGATO), bass_keys, LOUDNESS["bass"]
    )
    return sung, strummed, bass, _drums(recipe.seconds, bar * quarter, beat * quarter)


def _drums(seconds: float, bar: float, beat: float) -> InstrumentPart:
    """Write kick on the bar, snare on every second beat, and a hat on each beat and between."""
    hats = np.arange(0, seconds, beat / 2)
    kicks, snares = np.arange(0, seconds, bar), np.arange(beat, seconds, 2 * beat)
    onsets = np.concatenate([kicks, snares, hats])
    keys = np.repeat([KICK, SNARE, HAT], [kicks.size, snares.size, hats.size])
    return InstrumentPart(
        0, onsets, np.full(onsets.size, beat / 4), keys, LOUDNESS["drums"], drums=True
    )
