"""Measure the search of `crossmodal hum` on hums of several lengths and errors, as notes.

All of its settings were chosen on hums of validation tunes; these are hums of test tunes.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np
import pandas as pd

from lib.core.result_store import ResultStore
from lib.core.task import RetrievalTask
from lib.datasets.tunes import hum_task
from lib.datasets.voices import sing_aloud
from lib.search.base import Retriever
from lib.search.melody import HumSearch
from lib.studies.hums.matchers import (
    LEARNED,
    format_matchers,
    learned_rows,
    learned_settings,
    make_system,
)

STORE = ResultStore("hum", "crossmodal bench hum")
TABLE, TIMES = "lengths.csv", "search_times.csv"
SECONDS = (6.0, 8.0, 11.0)  # of the tune that is hummed
LEVELS = ("clean", "medium", "hard")
N_TIMED = 20  # hums; of each length and level there are 500


def length_rows(essen: bool, log: Callable[[str], None] = print) -> list[dict]:
    """Return the rows of the search over one gallery: each length, level and stage.

    Each length and level is kept in the cache: a stopped run continues.

    Args:
        essen: add the songs of Essen to the gallery.
        log: called with one line for each length and level.
    """
    held: dict[int, Retriever] = {}

    def system(gallery: Sequence) -> Retriever:
        if not held:
            held[0] = make_system(LEARNED, gallery)
        return held[0]

    rows = []
    for seconds, level in product(SECONDS, LEVELS):
        own = learned_rows(level, seconds=seconds, essen=essen, system=system)
        log(f"{own[0]['tunes']} tunes, {seconds:g} s, {level}: MRR {own[-1]['MRR']:.3f}")
        rows += [{"seconds": seconds, **row} for row in own]
    return rows


def time_rows(task: RetrievalTask, search: HumSearch, n: int = N_TIMED) -> Iterator[dict]:
    """Yield the processor time of single hums, as notes and as sounds, in milliseconds.

    Args:
        task: hums.
        search: over its gallery.
        n: hums, the first ones.
    """
    notes = task.queries[:n]
    sounds = [sing_aloud(one, seed=number).samples for number, one in enumerate(notes)]
    for source, hums in (("notes", notes), ("sound", sounds)):
        search.find(hums[0])  # warm up
        taken = []
        for one in hums:
            started = time.process_time()
            search.find(one)
            taken.append(1000 * (time.process_time() - started))
        yield {
            "tunes": len(task.gallery), "from": source, "queries": len(taken),
            "median ms": float(np.median(taken)), "largest ms": max(taken),
        }  # fmt: skip


def build_seconds(tunes: Sequence, essen: bool) -> float:
    """Measure the processor time of encoding and indexing all windows; from the cache if known."""

    def measure() -> float:
        started = time.process_time()
        HumSearch(tunes)
        return time.process_time() - started

    key = {"study": "search build", "essen": essen} | learned_settings()
    return STORE.cached_json(key, measure)


def write_committed(log: Callable[[str], None] = print) -> None:
    """Measure both galleries, and write both tables."""
    rows, times = [], []
    for essen in (True, False):
        rows += length_rows(essen, log)
        task = hum_task("test", "hard", n_queries=N_TIMED, essen=essen)
        search = HumSearch(task.gallery, cached=True)
        built = {"build s": build_seconds(task.gallery, essen), "bytes": search.stored_bytes}
        times += [row | built for row in time_rows(task, search)]
    STORE.save_table(TABLE, sorted(rows, key=lambda row: row["tunes"]))
    STORE.save_table(TIMES, sorted(times, key=lambda row: row["tunes"]))


def format_lengths(rows: Sequence[dict] | pd.DataFrame | None = None) -> list[dict]:
    """Return quality and cost of each gallery, length, level and stage as rows of text."""
    table = STORE.table(TABLE) if rows is None else pd.DataFrame(rows)
    table = table.rename(columns={"seconds": "hums"})
    table["hums"] = [f"{seconds:g} s of a tune" for seconds in table["hums"]]
    return format_matchers(table)


def format_times(rows: Sequence[dict] | pd.DataFrame | None = None) -> list[dict]:
    """Return the processor time of a hum as rows of text."""
    table = STORE.table(TIMES) if rows is None else pd.DataFrame(rows)
    return [
        {
            "tunes": f"{row['tunes']:,}",
            "hums": f"{row['queries']} as {row['from']}",
            "median": f"{row['median ms']:.0f} ms",
            "longest": f"{row['largest ms']:.0f} ms",
            "built in": f"{row['build s']:.0f} s",
            "kept": f"{row['bytes'] / 1e6:.0f} MB",
        }
        for row in table.to_dict("records")
    ]
