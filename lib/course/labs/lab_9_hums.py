"""Lab 9: hum five tunes, from memory or after listening, and let the search find them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from lib import metrics
from lib.core.checks import RetrievalInputError
from lib.course.cases import Wrong, describe, expect
from lib.course.labs.engine import Criterion, Lab, Measured
from lib.datasets.tunes import LEVELS, SungNotes, excerpt, hum, load_corpus, sing
from lib.datasets.tunes.hums import humming_tempo
from lib.datasets.tunes.singing import SingingErrors
from lib.datasets.voices import sing_aloud
from lib.models.pitch import Heard, hear_file, hear_melody
from lib.search.melody import HumHit, open_hum_search

FEWEST = {"validation": 2, "test": 5}  # hummed tunes
DEPTH = 10
LISTED = 100  # tunes of a list
SAME_SOUND = 0.02  # mean difference of two contours, in semitones, below which both are one
SEED = {"validation": 91, "test": 92}  # of the recorded hums that stand in for yours
# Known melodies of the corpus: title here -> words that its title in the collection holds.
KNOWN = {
    "test": {
        "God Save the King": "God Save the King",
        "The Girl I Left Behind Me": "The Girl I Left Behind Me",
        "The Irish Washerwoman": "The Irish Washerwoman.",
        "Garryowen": "Garryowen",
        "Saint Patrick's Day": "St. Patrick's Day",
        "Malbrouk (The Bear Went over the Mountain)": "Malbrouke.",
        "Paddy Whack (While Gamekeepers Lie Sleeping)": "Paddy Whack.",
        "The Harvest Home": "The Harvest Home",
    },
    "validation": {
        "Haste to the Wedding": "Haste to the Wedding",
        "Weel May the Keel Row": "Weel May the Keel Row -- Reel",
        "Bobby Shafto": "Bobby Shaftoe",
    },
}


@dataclass(frozen=True)
class HummedTune:
    """One hum, and the place of the tune that it must find."""

    name: str
    place: int
    contour: SungNotes


@cache
def tunes_to_hum(split: str) -> dict[str, int]:
    """Return names of well-known tunes of a split, each with its place among the 4,433."""
    titles = [one.title for one in load_corpus().melodies]
    return {name: titles.index(title) for name, title in KNOWN[split].items()}


def written_part(name: str, split: str, seconds: float = 8.0) -> np.ndarray:
    """Return the sound of the first seconds of a tune as it is written, to listen to."""
    one = load_corpus().melodies[tunes_to_hum(split)[name]]
    tempo = humming_tempo(one)
    part = excerpt(one, 0, seconds * tempo / 60)
    notes = sing(part, SingingErrors(), np.random.default_rng(0), tempo=tempo)
    return sing_aloud(notes, "high hum").samples


def stand_in_hums(split: str) -> dict[str, tuple[np.ndarray, int]]:
    """Return synthetic hums of the tunes, with hard errors: they run without a microphone.

    Returns:
        Name to samples and their rate, as a recording would give them.
    """
    melodies, found = load_corpus().melodies, {}
    for number, (name, place) in enumerate(tunes_to_hum(split).items()):
        draw = np.random.default_rng([SEED[split], number])
        notes = hum(melodies[place], LEVELS["hard"], draw)
        found[name] = sing_aloud(notes, "old man", seed=number).samples, 16_000
    return found


def find_hums(hums: Mapping[str, Any], split: str) -> dict[str, list[HumHit]]:
    """Return the ten best tunes for each hum.

    Args:
        hums: name to a file (WAV, MP3, ...), or to samples and their rate.
        split: "validation" or "test".
    """
    return {one.name: open_hum_search().find(one.contour, DEPTH) for one in _hums_of(hums, split)}


def hear(value: Any, name: str) -> Heard:
    """Hear a file, or samples and their rate."""
    try:
        if isinstance(value, str | Path):
            return hear_file(value)
        samples, rate = value
        return hear_melody(samples, rate)
    except (RetrievalInputError, TypeError, ValueError) as error:
        raise Wrong(
            f"the hum of {name!r} cannot be heard: {error}",
            "Give the path of a recording, or (samples, rate).",
        ) from None


def _hums_of(hums: Mapping[str, Any], split: str) -> list[HummedTune]:
    """Check the answer, and hear it."""
    expect(
        isinstance(hums, Mapping),
        f"the answer must be a dict of names and recordings, got {describe(hums)}"
        ' | For example {"Garryowen": "garryowen.wav"}.',
    )
    known = tunes_to_hum(split)
    for name in hums:
        expect(
            name in known,
            f'no tune to hum is called {name!r} | tunes_to_hum("{split}") lists the names.',
        )
    expect(
        len(hums) >= FEWEST[split],
        f"{len(hums)} tunes are hummed, at least {FEWEST[split]} are asked for"
        " | Hum more: a share of few queries says little.",
    )
    return [HummedTune(name, known[name], hear(value, name).contour)
            for name, value in hums.items()]  # fmt: skip


def _refuse_twins(queries: Sequence[HummedTune]) -> None:
    for at, query in enumerate(queries):
        for other in queries[:at]:
            n = min(len(query.contour), len(other.contour))
            difference = np.abs(query.contour.pitches[:n] - other.contour.pitches[:n]).mean()
            if difference < SAME_SOUND:
                raise Wrong(f"{other.name!r} and {query.name!r} are one recording", "Hum both.")


def _measure(hums: Mapping[str, Any], split: str) -> Measured:
    queries = _hums_of(hums, split)
    _refuse_twins(queries)
    corpus = load_corpus()
    own = corpus.judge(np.array([query.place for query in queries]))
    run = open_hum_search().search([query.contour for query in queries], LISTED)
    right = own.grades_of(run.ids) >= 2
    ranks = np.where(right.any(axis=1), right.argmax(axis=1) + 1, LISTED + 1)
    families = corpus.families[run.ids]
    once = [len(set(row[: rank - 1].tolist())) + 1 for row, rank in zip(families, ranks)]
    found = {
        f"R@{DEPTH}": 100.0 * (ranks <= DEPTH),
        "R@1": 100.0 * (ranks == 1),
        "MRR": 100.0 * np.where(ranks <= LISTED, 1 / ranks, 0),
        f"R@{DEPTH}, families once": 100.0 * (np.array(once) <= DEPTH) * (ranks <= LISTED),
    }
    values = {name: float(hits.mean()) for name, hits in found.items()}
    intervals = {name: metrics.bootstrap_interval(hits) for name, hits in found.items()}
    values |= {"hummed": float(len(queries))}
    costs = {f"chance of R@{DEPTH}": round(100 * DEPTH / len(corpus), 2)}
    costs["seconds a hum"] = round(float(np.mean([q.contour.seconds for q in queries])), 1)
    missed = [q.name for q, rank in zip(queries, ranks) if rank > DEPTH]
    symptoms = [f"not among the first {DEPTH}: {', '.join(missed)}"] if missed else []
    return Measured(values, intervals, costs, tuple(symptoms))


LAB = Lab(
    "hums",
    "Give a dict of names of tunes and recordings of your hums, at least five for the test:"
    " {'Garryowen': 'garryowen.wav'}. Each tune must be found among 4,433.",
    _measure,
    (
        Criterion("tunes", 3, "hummed", 8, 5, "Hum more tunes."),
        Criterion("found among the first ten", 5, f"R@{DEPTH}", 80, 50,
                  "Listen to your recording beside what was found: which note misleads?"),
        Criterion("found first", 3, "R@1", 60, 30, "Hum longer, on 'da', and begin at a phrase."),
        Criterion("mean reciprocal rank", 3, "MRR", 70, 40, "Which tune stands in front of yours?"),
        Criterion("failures", 3, "", "the worst two, with both contours as a picture, each with a"
                  " cause that a second recording tests", "pictures and guesses",
                  none="no failures shown"),
        Criterion("comparison", 3, "", "beside the synthetic hums of the same tunes, with"
                  " intervals, and with a second singer", "beside the synthetic hums",
                  none="no comparison"),
    ),
    limit_s=240.0,
)  # fmt: skip
