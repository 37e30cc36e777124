"""Hums of the music of clips, the clips that they must find, and the seconds that they hum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from lib.core.checks import check_choice, check_count, check_number, check_seed
from lib.core.task import RetrievalTask
from lib.datasets.concept_splits import SPLITS
from lib.datasets.tunes import (
    LEVELS,
    Melody,
    SingingErrors,
    excerpt,
    load_corpus,
    sing,
)
from lib.datasets.tunes.hums import humming_tempo
from lib.datasets.tunes.variants import VARIANT, judge
from lib.datasets.tunes_videos.recipes import NAME, ClipRecipe, load_recipes
from lib.datasets.tunes_videos.score import clip_score


@dataclass(frozen=True, eq=False)
class ClipHums:
    """Hums with the truth about what they hum.

    Args:
        task: queries are `SungNotes`, the gallery holds `ClipRecipe`s.
        excerpts: the written notes that each query hums.
        clips: int64 `(n_queries,)`, the clip that each excerpt was taken from.
    """

    task: RetrievalTask
    excerpts: tuple[Melody, ...]
    clips: np.ndarray

    def moments(self, query: int, clip: int) -> np.ndarray:
        """Return the seconds at which the notes of a query begin in a clip; empty if never.

        A tune that repeats a phrase has several. Notes are compared by their intervals.
        """
        melody = clip_score(self.task.gallery[clip]).melody
        wanted = self.excerpts[query].intervals
        intervals = np.rint(np.diff(melody.pitches)).astype(np.int64)
        if intervals.size < wanted.size:
            return np.empty(0)
        found = (sliding_window_view(intervals, wanted.size) == wanted).all(axis=1)
        return melody.onsets[: found.size][found]


def hum_task(
    split: str = "test",
    level: str | SingingErrors = "medium",
    *,
    n_queries: int = 300,
    seconds: float = 8.0,
    seed: int = 0,
) -> ClipHums:
    """Hum parts of the music of a split's clips, to be found among all 300 clips.

    Every clip with the tune, or with a variant of it, is relevant: see `lib.datasets.tunes`. The
    hum has its own key and tempo, and keeps the rhythm of the written tune. Two levels with one
    seed hum the same notes. `query_groups` is the family.

    Args:
        split: `"test"` (instruments that no other split has), `"validation"` or `"train"`.
        level: one of `LEVELS`, or errors of your own.
        n_queries: at most 20 for each clip. Each clip is asked for once before one is asked twice.
        seconds: length of the excerpt before the error of the tempo.
        seed: draws clips, excerpts and errors.
    """
    if not isinstance(level, SingingErrors):
        level = LEVELS[check_choice(level, LEVELS, "level")]
    recipes = load_recipes()
    own = [
        at for at, one in enumerate(recipes) if one.split == check_choice(split, SPLITS, "split")
    ]
    check_count(n_queries, "n_queries", most=20 * len(own))
    draw = np.random.default_rng([check_seed(seed), 2])
    rounds = [draw.permutation(own) for _ in range(-(-n_queries // len(own)))]
    clips = np.concatenate(rounds)[:n_queries]
    queries, excerpts = [], []
    for number, clip in enumerate(clips.tolist()):
        rng = np.random.default_rng([seed, 3, number])
        recipe = recipes[clip]
        excerpts.append(heard_excerpt(recipe, rng, seconds))
        queries.append(sing(excerpts[-1], level, rng, tempo=humming_tempo(recipe.melody)))
    tunes = np.array([one.tune for one in recipes])
    corpus = load_corpus()
    task = RetrievalTask(
        name=NAME,
        split=split,
        direction="hum_to_video",
        queries=queries,
        gallery=list(recipes),
        qrels=judge(corpus.shares, tunes[clips], tunes),
        query_groups=corpus.families[tunes[clips]],
        hit_grade=VARIANT,
        datasheet=NAME,
    )
    return ClipHums(task, tuple(excerpts), clips)


def heard_excerpt(recipe: ClipRecipe, rng: np.random.Generator, seconds: float = 8.0) -> Melody:
    """Take an excerpt of a tune that is heard in the clip from its first to its last note.

    Args:
        recipe: the clip.
        rng: draws where it begins.
        seconds: length of the excerpt at humming tempo. Where no run of notes in the clip is that
            long, the longest is taken.
    """
    tune = recipe.melody
    quarters = check_number(seconds, "seconds", 0, above=True) * humming_tempo(tune) / 60
    positions = clip_score(recipe).positions
    breaks = np.flatnonzero(np.diff(positions) != 1) + 1
    starts, last = [], []  # each note that is heard, and the end of the run it belongs to
    for run in np.split(positions, breaks):
        starts += run.tolist()
        last += [int(run[-1])] * run.size
    ends = tune.onsets[last] + tune.durations[last]
    left = ends - tune.onsets[starts]
    long_enough = np.flatnonzero(left >= quarters)
    chosen = int(rng.choice(long_enough)) if long_enough.size else int(np.argmax(left))
    return excerpt(tune, starts[chosen], min(quarters, float(left[chosen])))
