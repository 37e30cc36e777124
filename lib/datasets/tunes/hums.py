"""Hummed queries: excerpts of tunes, sung with errors, and the tunes they must find."""

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count, check_number, check_seed
from lib.core.task import RetrievalTask
from lib.datasets.tunes.corpus import NAME, load_corpus
from lib.datasets.tunes.melody import Melody
from lib.datasets.tunes.singing import LEVELS, SingingErrors, SungNotes, sing
from lib.datasets.tunes.variants import VARIANT, judge

STARTS = ("anywhere", "beginning")
GALLERIES = ("all", "split")
NOTE_SECONDS = 0.3  # of the median note of a tune; 20 to 30 notes in eight seconds


def humming_tempo(melody: Melody) -> float:
    """Return the tempo at which the median note of a tune takes 0.3 s, in quarter notes a minute.

    Editors give tempos for dancers; a person who hums a reel is slower.
    """
    return 60 * float(np.median(melody.durations)) / NOTE_SECONDS


def excerpt(melody: Melody, first: int, quarters: float) -> Melody:
    """Take the notes from position `first` that begin within so many quarter notes."""
    check_count(first, "first", least=0, most=len(melody) - 1)
    check_number(quarters, "quarters", 0, above=True)
    start = melody.onsets[first]
    last = int(np.searchsorted(melody.onsets, start + quarters))
    notes = slice(first, max(last, first + 1))
    onsets = melody.onsets[notes] - start
    return Melody(onsets, melody.durations[notes], melody.pitches[notes],
                  melody.title, melody.source, melody.key, melody.tempo, melody.meter)  # fmt: skip


def hum(
    melody: Melody,
    errors: SingingErrors,
    rng: np.random.Generator,
    *,
    seconds: float = 8.0,
    start: str = "anywhere",
) -> SungNotes:
    """Hum some seconds of a tune.

    Args:
        melody: the tune.
        errors: of the singer.
        rng: draws the start and the errors.
        seconds: length of the excerpt before the error of the tempo; a shorter tune is hummed
            whole.
        start: `"anywhere"`, at a note that is followed by so many seconds, or `"beginning"`.
    """
    check_choice(start, STARTS, "start")
    tempo = humming_tempo(melody)
    quarters = check_number(seconds, "seconds", 0, above=True) * tempo / 60
    left = melody.onsets[-1] + melody.durations[-1] - melody.onsets
    starts = np.flatnonzero(left >= quarters) if start == "anywhere" else []
    first = int(rng.choice(starts)) if len(starts) else 0
    return sing(excerpt(melody, first, quarters), errors, rng, tempo=tempo)


def hum_task(
    split: str = "test",
    level: str | SingingErrors = "medium",
    *,
    n_queries: int = 500,
    seconds: float = 8.0,
    start: str = "anywhere",
    gallery: str = "all",
    essen: bool = False,
    seed: int = 0,
) -> RetrievalTask:
    """Return the task from hums of a split's tunes to all tunes.

    The queries of two levels with one seed begin with the same tunes. Whoever finds a variant is
    right: hits are grades 2 and 3, see `variants.judge`. `query_groups` is the family.

    Args:
        split: `"train"`, `"validation"` or `"test"`.
        level: one of `LEVELS`, or errors of your own.
        n_queries: at most the number of tunes of the split times 20. Each tune is hummed once
            before one is hummed twice.
        seconds, start: as in `hum`.
        gallery: `"all"` tunes, or those of the `"split"`, a smaller and easier task.
        essen: add the songs of Essen to the gallery, as distractors.
        seed: draws tunes, starts and errors.
    """
    if not isinstance(level, SingingErrors):
        level = LEVELS[check_choice(level, LEVELS, "level")]
    check_choice(gallery, GALLERIES, "gallery")
    if essen and gallery == "split":
        raise RetrievalInputError("essen=True needs gallery='all': its songs are in no split")
    corpus = load_corpus(essen=essen)
    tunes = corpus.positions(split)
    check_count(n_queries, "n_queries", most=20 * len(tunes))
    draw = np.random.default_rng([check_seed(seed), 0])
    rounds = [draw.permutation(tunes) for _ in range(-(-n_queries // len(tunes)))]
    positions = np.concatenate(rounds)[:n_queries]
    queries = [
        hum(corpus.melodies[position], level, np.random.default_rng([seed, 1, number]),
            seconds=seconds, start=start)
        for number, position in enumerate(positions.tolist())
    ]  # fmt: skip
    items = np.arange(len(corpus)) if gallery == "all" else tunes
    return RetrievalTask(
        name=f"{NAME} with Essen" if essen else NAME,
        split=split,
        direction="hum_to_melody",
        queries=queries,
        gallery=[corpus.melodies[position] for position in items.tolist()],
        qrels=judge(corpus.shares, positions, items),
        query_groups=corpus.families[positions],
        hit_grade=VARIANT,
        datasheet=NAME,
    )
