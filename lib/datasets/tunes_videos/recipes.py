"""Recipes of the clips: which tune, where it begins, in which key, tempo and instruments.

The 300 recipes are drawn from the corpus of tunes and a seed, so they take no file. Tunes are
chosen by split and one of each family; the instruments of test clips are in no other split.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from lib.core.memo import memoized
from lib.datasets.tunes import Melody, load_corpus
from lib.datasets.tunes.abc_fields import FieldError, Meter, read_meter
from lib.datasets.tunes.hums import humming_tempo

NAME = "tunes_videos"
SEED = 19
# Tunes of each split, and how many of them have a second clip.
TUNES = {"test": (120, 60), "validation": (40, 20), "train": (40, 20)}
# Programs of General MIDI from 0. All were heard to sound at the pitch that is asked for.
MELODIES = {
    "train": {"piano": 0, "nylon guitar": 24, "violin": 40, "trumpet": 56, "clarinet": 71,
              "flute": 73},
    "test": {"vibraphone": 11, "harmonica": 22, "steel guitar": 25, "alto saxophone": 65,
             "oboe": 68, "recorder": 74},
}  # fmt: skip
CHORDS = {"train": {"piano": 0, "strings": 48}, "test": {"electric piano": 4, "harp": 46}}
BASSES = {"train": {"acoustic bass": 32}, "test": {"fingered bass": 33}}
SECONDS = (20, 40)
KEYS = (-5, 6)  # semitones from the written key
TEMPO_SPREAD, MOST_TEMPO = 0.15, 0.35  # of the log of the tempo, around that of a hum
BALANCE = (0.0, 6.0)  # decibels of the melody above the accompaniment
MOST_LEAD, LONGEST_LEAD = 2, 5.0  # bars and seconds of accompaniment before the melody
FEWEST_NOTES, SHORTEST = 24, 12.0  # notes and seconds of a tune
BARS = (2.0, 4.0)  # quarters; the shortest and the longest bar


@dataclass(frozen=True)
class ClipRecipe:
    """Everything that decides a clip.

    Args:
        name: of the clip, such as `"clip007"`.
        split: `"train"`, `"validation"` or `"test"`.
        tune: position of the tune in `load_corpus()`.
        source, title: of the tune.
        family: of the tune.
        first: note with which the melody begins.
        lead: bars of accompaniment before it.
        seconds: length of the clip.
        key: semitones from the written key.
        tempo: quarter notes a minute.
        instrument, chords, bass: who plays, of `MELODIES`, `CHORDS` and `BASSES`.
        balance: decibels of the melody above the accompaniment.
        scenes: seed of the pictures.
    """

    name: str
    split: str
    tune: int
    source: str
    title: str
    family: int
    first: int
    lead: int
    seconds: int
    key: int
    tempo: float
    instrument: str
    chords: str
    bass: str
    balance: float
    scenes: int

    @property
    def melody(self) -> Melody:
        """Return the tune as it is written."""
        return load_corpus().melodies[self.tune]

    def programs(self) -> tuple[int, int, int]:
        """Return the programs of melody, chords and bass."""
        side = "test" if self.split == "test" else "train"
        return (
            MELODIES[side][self.instrument],
            CHORDS[side][self.chords],
            BASSES[side][self.bass],
        )


@memoized(maxsize=1)
def load_recipes() -> tuple[ClipRecipe, ...]:
    """Return the recipes of the 300 clips: test, validation, then train; the same each time."""
    corpus = load_corpus()
    recipes: list[ClipRecipe] = []
    for split, (n_tunes, n_double) in TUNES.items():
        chosen = _tunes_of(split, n_tunes)
        for tune in [*chosen, *chosen[:n_double]]:
            rng = np.random.default_rng([SEED, len(recipes)])
            recipes.append(_draw(len(recipes), split, tune, corpus.families[tune], rng))
    return tuple(recipes)


def _tunes_of(split: str, n: int) -> list[int]:
    """Choose n tunes of a split, one of each family, by a hash of their sources."""
    corpus, kept = load_corpus(), {}
    positions = [at for at in corpus.positions(split).tolist() if usable(corpus.melodies[at])]
    for at in sorted(positions, key=lambda at: _hash(corpus.melodies[at].source)):
        kept.setdefault(int(corpus.families[at]), at)
    return list(kept.values())[:n]


def _hash(source: str) -> str:
    return hashlib.sha256(f"{SEED} {source}".encode()).hexdigest()


def meter_of(melody: Melody) -> Meter:
    """Return the meter of a tune; a bar of 0 where it has none."""
    try:
        return read_meter(melody.meter)
    except FieldError:
        return Meter(0.0)


def usable(melody: Melody) -> bool:
    """Tell whether a tune can be accompanied: it has bars of 2 to 4 quarters, and is not short."""
    seconds = melody.quarters * 60 / humming_tempo(melody)
    bar = 4 * meter_of(melody).bar
    return len(melody) >= FEWEST_NOTES and seconds >= SHORTEST and BARS[0] <= bar <= BARS[1]


def _draw(number: int, split: str, tune: int, family: int, rng: np.random.Generator) -> ClipRecipe:
    """Draw one recipe; a clip begins at any note of the first half of its tune."""
    melody = load_corpus().melodies[tune]
    side = "test" if split == "test" else "train"
    spread = np.clip(rng.normal(0, TEMPO_SPREAD), -MOST_TEMPO, MOST_TEMPO)
    tempo = round(humming_tempo(melody) * float(np.exp(spread)), 2)
    bar_seconds = 4 * meter_of(melody).bar * 60 / tempo
    return ClipRecipe(
        name=f"clip{number:03}",
        split=split,
        tune=tune,
        source=melody.source,
        title=melody.title,
        family=int(family),
        first=int(rng.integers(0, len(melody) // 2)),
        lead=min(int(rng.integers(0, MOST_LEAD + 1)), int(LONGEST_LEAD // bar_seconds)),
        seconds=int(rng.integers(SECONDS[0], SECONDS[1] + 1)),
        key=int(rng.integers(KEYS[0], KEYS[1] + 1)),
        tempo=tempo,
        instrument=str(rng.choice(list(MELODIES[side]))),
        chords=str(rng.choice(list(CHORDS[side]))),
        bass=str(rng.choice(list(BASSES[side]))),
        balance=round(float(rng.uniform(*BALANCE)), 1),
        scenes=int(rng.integers(2**31)),
    )
