"""Measure the way from a sound: hums sung aloud by voices, heard by a tracker, and searched.

The notes of a hum go to the matchers in two ways: as they are, and through a voice and a pitch
tracker. The difference is what hearing costs.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from lib.core.checks import RetrievalInputError
from lib.core.result_store import ResultStore
from lib.core.task import RetrievalTask
from lib.datasets.tunes import SungNotes, hum_task
from lib.datasets.voices import sing_aloud
from lib.datasets.voices.aloud import FESTIVAL
from lib.metrics import bootstrap_interval, evaluate
from lib.metrics.pitch import pitch_accuracy
from lib.models.pitch import Heard, hear_melody
from lib.models.pitch.track import STEP
from lib.search.base import Retriever
from lib.search.melody import HumSearch

STORE = ResultStore("hum", "crossmodal bench hum")
TABLE, CONTOURS = "from_sound.csv", "held_out_hums.npz"
AS_NOTES = "notes, no sound"
VOICES = ("low hum", "high hum", "voice oohs", FESTIVAL)  # one of each kind, and a woman's
LEVELS = ("medium", "hard")
N_QUERIES = 100
DEPTH = 100
CENTS = 100  # stored pitches are whole numbers of cents
SHARES = ("raw_pitch", "raw_chroma", "voicing_recall", "voicing_false_alarm")


def write_committed(log: Callable[[str], None] = print) -> None:
    """Measure all levels and voices, and keep the contours of the held-out singer."""
    rows, contours = [], {}
    for level in LEVELS:
        task = hum_task("test", level, n_queries=N_QUERIES)
        retriever = HumSearch(task.gallery, cached=True)
        for row, heard in sound_rows(task, retriever, (AS_NOTES, *VOICES)):
            rows.append({"level": level} | row)
            log(f"{level}, {row['voice']}: MRR {row['MRR']:.3f}")
            if row["voice"] == FESTIVAL:
                contours |= packed_contours(level, [one and one.contour for one in heard])
    STORE.save_table(TABLE, rows)
    STORE.save_arrays(CONTOURS, compressed=True, **contours)


def sound_rows(task: RetrievalTask, retriever: Retriever, voices: Sequence[str]):
    """Yield for each voice a row of numbers, and what was heard of each query.

    Args:
        task: hums as `SungNotes`.
        retriever: over its gallery.
        voices: names of `sing_aloud`, or `AS_NOTES` for the hums as they are.

    Yields:
        A dict with MRR and R@10, the four shares of `pitch_accuracy` (means over queries), each
        with its 95% interval by `query_groups`, and the number of refused sounds; and a list of
        `Heard`, None where a sound was refused or there was none. A refused query finds nothing.
    """
    for voice in voices:
        queries: list[SungNotes | None] = list(task.queries)
        heard: list[Heard | None] = [None] * len(queries)
        shares: dict[str, list[float]] = {name: [] for name in SHARES}
        if voice != AS_NOTES:
            for number, notes in enumerate(task.queries):
                sound = sing_aloud(notes, voice, seed=number)
                queries[number] = None
                try:
                    heard[number] = one = hear_melody(sound.samples)
                except RetrievalInputError:
                    continue
                queries[number] = one.contour
                truth = sound.pitches_at(one.track.times)
                accuracy = pitch_accuracy(truth, one.track.pitches, one.track.voiced)
                for name in SHARES:
                    shares[name].append(getattr(accuracy, name))
        ids = found_ids(retriever, queries, min(DEPTH, len(task.gallery)))
        result = evaluate(
            ids, task.qrels, metrics=("R@10", "MRR"), hit_grade=task.hit_grade,
            groups=task.query_groups,
        )  # fmt: skip
        row = {"voice": voice, "queries": len(queries)}
        row["refused"] = sum(query is None for query in queries)
        for metric in ("MRR", "R@10"):
            row |= _with_interval(metric, result.mean(metric), result.interval(metric))
        groups = task.query_groups
        kept = np.flatnonzero([query is not None for query in queries])
        for name, values in shares.items():
            if values:
                own = None if groups is None else groups[kept]
                row |= _with_interval(name, np.mean(values), bootstrap_interval(values, own))
        yield row, heard


def found_ids(retriever: Retriever, queries: Sequence[SungNotes | None], k: int) -> np.ndarray:
    """Return the k best tunes of each query, `(n_queries, k)`; -1 for a query that is None."""
    ids = np.full((len(queries), k), -1)
    asked = [at for at, query in enumerate(queries) if query is not None]
    if asked:
        hums = retriever.encode([queries[at] for at in asked], "hum")
        ids[asked] = retriever.search(hums, k).ids
    return ids


def _with_interval(name: str, value: float, interval: tuple[float, float]) -> dict[str, float]:
    return {name: float(value), f"{name} low": interval[0], f"{name} high": interval[1]}


# ---- the held-out singer


def packed_contours(level: str, contours: Sequence[SungNotes | None]) -> dict[str, np.ndarray]:
    """Return contours as three arrays of whole numbers: steps, cents, and steps of each hum."""
    sung = [one for one in contours if one is not None]
    steps = [np.rint(one.onsets / STEP).astype(np.uint16) for one in sung]
    cents = [np.rint(one.pitches * CENTS).astype(np.uint16) for one in sung]
    lengths = [0 if one is None else len(one) for one in contours]
    return {
        f"{level}_steps": np.concatenate(steps),
        f"{level}_cents": np.concatenate(cents),
        f"{level}_lengths": np.array(lengths, np.uint16),
    }


def held_out_hums(level: str) -> list[SungNotes | None]:
    """Return the contours of Festival's hums of `hum_task("test", level, n_queries=100)`.

    They are committed, so that a test on the held-out singer needs neither Festival nor a tracker.

    Args:
        level: `"medium"` or `"hard"`.

    Returns:
        The contour of each query; None where its sound was refused.
    """
    arrays = STORE.arrays(CONTOURS)
    if f"{level}_steps" not in arrays:
        raise RetrievalInputError(f"level must be one of {', '.join(LEVELS)}, got {level!r}")
    names = (f"{level}_{name}" for name in ("steps", "cents", "lengths"))
    steps, cents, lengths = (arrays[name].astype(np.int64) for name in names)
    hums: list[SungNotes | None] = []
    for end, length in zip(np.cumsum(lengths), lengths, strict=True):
        own = slice(end - length, end)
        hums.append(
            SungNotes(steps[own] * STEP, np.full(length, STEP), cents[own] / CENTS)
            if length
            else None
        )
    return hums


# ---- tables


def format_search(rows: Sequence[dict] | pd.DataFrame | None = None) -> list[dict]:
    """Return MRR and top-10 hit rate of each level and voice as rows of text."""
    table = STORE.table(TABLE) if rows is None else pd.DataFrame(rows)
    return [
        {
            "errors": row["level"],
            "heard from": row["voice"],
            "MRR": _cell(row, "MRR"),
            "top-10 hit rate": _cell(row, "R@10"),
            "refused": f"{row['refused']} of {row['queries']}",
        }
        for row in table.to_dict("records")
    ]


def format_accuracy(rows: Sequence[dict] | pd.DataFrame | None = None) -> list[dict]:
    """Return the accuracy of the tracker on each level and voice as rows of text."""
    table = STORE.table(TABLE) if rows is None else pd.DataFrame(rows)
    table = table[table["voice"] != AS_NOTES]
    return [
        {"errors": row["level"], "voice": row["voice"]}
        | {name.replace("_", " "): _cell(row, name) for name in SHARES}
        for row in table.to_dict("records")
    ]


def _cell(row: dict, name: str) -> str:
    return f"{row[name]:.3f} ({row[f'{name} low']:.3f} to {row[f'{name} high']:.3f})"
