"""Measure the search of videos by a hum: what each step from the score to the file costs.

The gallery is the 300 clips of `tunes_videos`. At each stage the search holds their melodies, as
they are known there; the hums are the same, sung by the held-out singer and heard by swift-f0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.paths import artifacts_dir
from lib.core.result_store import ResultStore
from lib.core.writing import sha256_of
from lib.datasets.media.decoding import read_frames, read_waveform
from lib.datasets.tunes import SungNotes
from lib.datasets.tunes_videos import (
    ClipHums,
    ClipRecipe,
    clip_file,
    clip_score,
    hum_task,
    load_recipes,
    soundtrack,
)
from lib.datasets.tunes_videos.films import FPS
from lib.datasets.voices import sing_aloud
from lib.datasets.voices.aloud import FESTIVAL
from lib.datasets.voices.soundfont import PARTS_RATE
from lib.metrics import bootstrap_interval, evaluate
from lib.metrics.pitch import pitch_accuracy
from lib.models.artifact_files import WEIGHTS
from lib.models.pitch import hear_melody, mended
from lib.models.pitch.mix import METHODS, hear_mix, track_mix
from lib.models.pitch.track import RATE, STEP
from lib.search.melody.hum_search import ENCODER, HumSearch
from lib.search.melody.videos import melody_of_file

STORE = ResultStore("hum", "crossmodal bench hum-videos")
TABLE, METHOD_TABLE = "videos.csv", "melody_from_mix.csv"
SCORE, CLEAN, MIX, CODED = "score", "melody alone", "mix", "mix, AAC 64 kb/s"
PICTURES = "pictures alone"
STAGES = (SCORE, CLEAN, MIX, CODED, PICTURES)
LEVELS = ("medium", "hard")
AS_NOTES, SINGER = "notes, no sound", "the held-out singer, heard"
CHANCE = "chance"
N_QUERIES = 120  # a level
N_METHOD = 20  # validation clips
DEPTH = 20  # clips of an answer
NEAR = 3.0  # seconds
HIT_DEPTH = 10  # clips in which a moment is looked for
LATE = 0.02  # seconds by which the codec delays the sound
SHARES = ("raw_pitch", "raw_chroma", "voicing_recall", "voicing_false_alarm")


def write_committed(
    log: Callable[[str], None] = print,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Measure all stages and methods; what is in the cache is not made again.

    Args:
        log: receives one line for each result.
        progress: receives how many of how many melodies are heard.
    """
    STORE.save_table(METHOD_TABLE, method_rows(log))
    rows = []
    for stage in STAGES:
        rows += stage_rows(stage, log, progress)
    for level in LEVELS:
        asked, _ = hums_of(level, SINGER)
        row = {"stage": CHANCE, "level": level, "hums": SINGER}
        rows.append(row | _quality(asked, random_ids(asked)))
    STORE.save_table(TABLE, rows)


def stage_rows(
    stage: str,
    log: Callable[[str], None] = print,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[dict]:
    """Measure one stage at both levels, with hums heard from the singer; files, with notes too."""
    search, rows = None, []
    weights = sha256_of(artifacts_dir() / ENCODER / WEIGHTS)
    for level in LEVELS:
        for voice in (AS_NOTES, SINGER) if stage == CODED else (SINGER,):
            row = {"stage": stage, "level": level, "hums": voice}
            key = {"study": "videos", "queries": N_QUERIES, "weights": weights} | row

            def measured(level: str = level, voice: str = voice) -> dict:
                nonlocal search
                search = search or HumSearch(stage_melodies(stage, load_recipes(), progress))
                return search_row(hums_of(level, voice), search.find)

            row |= STORE.cached_json(key, measured)
            log(f"{stage}, {level}, {voice}: MRR {row['MRR']:.3f}")
            rows.append(row)
    return rows


# ---- the gallery at each stage


def stage_melodies(
    stage: str,
    recipes: Sequence[ClipRecipe],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[SungNotes]:
    """Return the melody of each clip as it is known at a stage, in seconds of the clip.

    Args:
        stage: one of `STAGES`: the notes; the melody's sound; the mix before it is coded; the
            decoded file; or the brightness of the file's pictures, taken for a melody.
        recipes: the clips.
        progress: receives how many of how many are ready.
    """
    check_choice(stage, STAGES, "stage")
    make = {
        SCORE: lambda recipe: clip_score(recipe).melody,
        CLEAN: lambda recipe: _heard(stage, recipe),
        MIX: lambda recipe: _heard(stage, recipe),
        CODED: lambda recipe: melody_of_file(clip_file(recipe)),
        PICTURES: brightness_contour,
    }[stage]
    melodies = []
    for done, recipe in enumerate(recipes, start=1):
        melodies.append(make(recipe))
        progress(done, len(recipes))
    return melodies


def _heard(stage: str, recipe: ClipRecipe) -> SungNotes:
    """Hear the melody in the sound of a clip before it is coded; kept in the cache."""

    def make() -> dict[str, np.ndarray]:
        heard = hear_mix(soundtrack(recipe, accompanied=stage == MIX), PARTS_RATE)
        return {"onsets": heard.onsets, "pitches": heard.pitches}

    arrays = STORE.cached({"study": "videos", "stage": stage, "clip": repr(recipe)}, make)
    onsets = arrays["onsets"]
    return SungNotes(onsets, np.full(onsets.size, STEP), arrays["pitches"], recipe.source)


def brightness_contour(recipe: ClipRecipe) -> SungNotes:
    """Return the mean brightness of each decoded frame as a melody: the control.

    One standard deviation is four semitones, about that of a tune.
    """
    frames = read_frames(clip_file(recipe), recipe.seconds * FPS)
    values = frames.mean(axis=(1, 2, 3))
    values = (values - values.mean()) / max(float(values.std()), 1e-6)
    n = values.size
    return SungNotes(np.arange(n) / FPS, np.full(n, 1 / FPS), 66 + 4 * values, recipe.source)


# ---- hums and their answers


def hums_of(level: str, voice: str, n: int = N_QUERIES) -> tuple[ClipHums, list]:
    """Return the hums of test clips, and what is asked: notes, or what was heard of a voice.

    Args:
        level: of `hum_task`.
        voice: `AS_NOTES`, or `SINGER`, which needs Festival where the cache lacks its hums.
        n: number of hums.
    """
    hums = hum_task("test", level, n_queries=n)
    if voice == AS_NOTES:
        return hums, list(hums.task.queries)
    heard = []
    for number, notes in enumerate(hums.task.queries):
        key = {"study": "videos", "hum": number, "level": level, "voice": voice}
        arrays = STORE.cached(key, lambda notes=notes, at=number: _sung(notes, at))
        onsets = arrays["onsets"]
        one = SungNotes(onsets, np.full(onsets.size, STEP), arrays["pitches"])
        heard.append(one if onsets.size else None)
    return hums, heard


def _sung(notes: SungNotes, seed: int) -> dict[str, np.ndarray]:
    try:
        contour = hear_melody(sing_aloud(notes, FESTIVAL, seed=seed).samples).contour
    except RetrievalInputError:  # refused: nothing was heard
        return {"onsets": np.empty(0), "pitches": np.empty(0)}
    return {"onsets": contour.onsets, "pitches": contour.pitches}


def search_row(asked: tuple[ClipHums, list], find: Callable) -> dict:
    """Measure a search on hums.

    Args:
        asked: of `hums_of`. A query that is None finds nothing.
        find: takes a hum and a number of clips, and returns hits with position and start.

    Returns:
        MRR, R@1 and R@10 with 95% intervals by family, and of the hits, queries with a relevant
        clip among the first ten: the share whose start in the first of these is within 3 s of a
        place where the hummed notes begin.
    """
    hums, queries = asked
    k = min(DEPTH, len(hums.task.gallery))
    ids, near, groups = np.full((len(queries), k), -1), [], []
    relevant = hums.task.qrels.at_least(hums.task.hit_grade)
    for number, query in enumerate(queries):
        hits = [] if query is None else find(query, k)
        ids[number, : len(hits)] = [hit.position for hit in hits]
        good = set(relevant.row(number)[0].tolist())
        first = next((hit for hit in hits[:HIT_DEPTH] if hit.position in good), None)
        if first is not None:
            moments = hums.moments(number, first.position)
            near.append(bool((np.abs(moments - first.start) <= NEAR).any()))
            groups.append(hums.task.query_groups[number])
    row = _quality(hums, ids) | {"hits": len(near)}
    if near:
        low, high = bootstrap_interval(np.array(near, float), np.array(groups))
        row |= {"moment": float(np.mean(near)), "moment low": low, "moment high": high}
    return row


def _quality(hums: ClipHums, ids: np.ndarray) -> dict:
    task = hums.task
    result = evaluate(
        ids, task.qrels, metrics=("MRR", "R@1", "R@10"), hit_grade=task.hit_grade,
        groups=task.query_groups,
    )  # fmt: skip
    row = {"queries": len(ids), "clips": len(task.gallery)}
    for metric in ("MRR", "R@1", "R@10"):
        low, high = result.interval(metric)
        row |= {metric: result.mean(metric), f"{metric} low": low, f"{metric} high": high}
    return row


def random_ids(hums: ClipHums, seed: int = 0) -> np.ndarray:
    """Return each query's clips in random order."""
    rng = np.random.default_rng(seed)
    n = len(hums.task.gallery)
    return np.array([rng.permutation(n)[: min(DEPTH, n)] for _ in hums.task.queries])


# ---- methods


def method_rows(log: Callable[[str], None] = print, n: int = N_METHOD) -> list[dict]:
    """Compare the methods that pull the melody from a mix, on decoded validation clips.

    Returns:
        Means of the four shares of `pitch_accuracy` over clips, with 95% intervals.
    """
    recipes = [one for one in load_recipes() if one.split == "validation"][:n]
    rows = []
    for method in METHODS:
        key = {"study": "videos", "method": method, "clips": n}
        values = STORE.cached(key, lambda method=method: _accuracies(recipes, method))
        row = {"method": method, "clips": len(recipes)}
        for name in SHARES:
            low, high = bootstrap_interval(values[name])
            row |= {name: float(values[name].mean()), f"{name} low": low, f"{name} high": high}
        log(f"{method}: raw pitch {row['raw_pitch']:.3f}")
        rows.append(row)
    return rows


def _accuracies(recipes: Sequence[ClipRecipe], method: str) -> dict[str, np.ndarray]:
    found = [clip_accuracy(recipe, method) for recipe in recipes]
    return {name: np.array([getattr(one, name) for one in found]) for name in SHARES}


def clip_accuracy(recipe: ClipRecipe, method: str):
    """Return the accuracy of a method's pitch on the decoded file of a clip."""
    track = track_mix(read_waveform(clip_file(recipe), RATE), RATE, method=method)
    melody, times = clip_score(recipe).melody, track.times - LATE
    at = np.searchsorted(melody.onsets, times, side="right") - 1
    sounds = (at >= 0) & (times < melody.onsets[at] + melody.durations[at])
    truth = np.where(sounds, melody.pitches[at], np.nan)
    pitches = mended(track)
    voiced = np.isfinite(pitches)
    return pitch_accuracy(truth, np.where(voiced, pitches, track.pitches), voiced)


# ---- tables


def format_stages(rows: Sequence[dict] | pd.DataFrame | None = None) -> list[dict]:
    """Return quality and moments of each stage and level as rows of text."""
    table = STORE.table(TABLE) if rows is None else pd.DataFrame(rows)
    return [
        {
            "stage": row["stage"],
            "errors": row["level"],
            "hums": row["hums"],
            "n": str(row["queries"]),
            **{name: _cell(row, name) for name in ("MRR", "R@1", "R@10")},
            "moment within 3 s": _moment_cell(row),
        }
        for row in table.to_dict("records")
    ]


def format_methods(rows: Sequence[dict] | pd.DataFrame | None = None) -> list[dict]:
    """Return the accuracy of each method as rows of text."""
    table = STORE.table(METHOD_TABLE) if rows is None else pd.DataFrame(rows)
    return [
        {"method": row["method"], "clips": str(row["clips"])}
        | {name.replace("_", " "): _cell(row, name) for name in SHARES}
        for row in table.to_dict("records")
    ]


def sentence_of_stages(rows: Sequence[dict] | pd.DataFrame | None = None) -> str:
    """Say what the file costs, and that the pictures tell nothing, from the numbers."""
    table = STORE.table(TABLE) if rows is None else pd.DataFrame(rows)
    own = table[(table["level"] == "medium") & (table["hums"] == SINGER)].set_index("stage")
    near = own["moment"]
    return (
        f"Medium hums of the held-out singer: MRR {own['MRR'][SCORE]:.2f} on the score,"
        f" {own['MRR'][CODED]:.2f} on the decoded file, {own['MRR'][PICTURES]:.3f} on its pictures"
        f" alone where chance is {own['MRR'][CHANCE]:.3f}. The second is within 3 s for"
        f" {near[CODED]:.0%} of the hits in files."
    )


def _moment_cell(row: dict) -> str:
    if not row.get("hits", 0) > 0:  # NaN for chance
        return "-"
    return f"{_cell(row, 'moment')} of {int(row['hits'])}"


def _cell(row: dict, name: str) -> str:
    return f"{row[name]:.3f} ({row[f'{name} low']:.3f} to {row[f'{name} high']:.3f})"
