"""Measure matchers on hums as notes: contour vectors, the learned encoder, DTW behind both.

Each system answers the same queries. Costs are counted beside quality: products or comparisons of a
query, and bytes that are kept of the tunes.
"""

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from lib.core.result_store import ResultStore
from lib.core.task import RetrievalTask
from lib.datasets.tunes import hum_task
from lib.models.trained_models import load_model
from lib.search import evaluate_run
from lib.search.base import Retriever
from lib.search.melody import (
    ContourVectorMatcher,
    DtwMatcher,
    LearnedContourMatcher,
    LinearScalingMatcher,
)
from lib.search.melody.hum_search import DEPTH
from lib.search.two_stage import TwoStageRetriever

STORE = ResultStore("hum", "crossmodal bench hum")
TABLE, TIMES = "matchers.csv", "matcher_times.csv"
LEVELS = ("medium", "hard")
N_QUERIES, N_LINEAR, N_TIMED = 500, 40, 20  # linear scaling takes seconds a query
LINEAR = "linear scaling"
METRICS = ("MRR", "R@1", "R@10", "R@100")
SHOWN = ("MRR", "R@10", "R@100")


def systems(melodies: Sequence) -> dict[str, Retriever]:
    """Make the systems over tunes; the stages of two systems are shared."""
    depth = min(DEPTH, len(melodies))
    vectors, dtw = ContourVectorMatcher(melodies), DtwMatcher(melodies)
    learned = LearnedContourMatcher(melodies, load_model("hums"))
    return {
        "contour vectors": vectors,
        "contour vectors, then DTW": TwoStageRetriever(vectors, dtw, depth),
        "learned": learned,
        "learned, then DTW": TwoStageRetriever(learned, dtw, depth),
        LINEAR: LinearScalingMatcher(melodies),
    }


def bytes_of(system: Retriever) -> int:
    """Return the bytes that a system keeps of the tunes, over its stages."""
    if isinstance(system, TwoStageRetriever):
        return bytes_of(system.first) + bytes_of(system.second)
    return system.stored_bytes


def matcher_rows(
    task: RetrievalTask, made: dict[str, Retriever], n_linear: int = N_LINEAR
) -> Iterator[dict]:
    """Yield a row for each system: quality with 95% intervals by family, work and bytes.

    Args:
        task: hums of one level.
        made: of `systems`, over the gallery of the task.
        n_linear: queries of linear scaling, the first ones.
    """
    for name, system in made.items():
        own = task
        if name == LINEAR:
            own = task.take_queries(np.arange(min(n_linear, len(task.queries))))
        run = system.search(system.encode(own.queries, "hum"), min(DEPTH, len(own.gallery)))
        result = evaluate_run(run, own, metrics=METRICS)
        row = {"system": name, "queries": len(own.queries)}
        for metric in METRICS:
            low, high = result.interval(metric)
            row |= {metric: result.mean(metric), f"{metric} low": low, f"{metric} high": high}
        row["products a query"] = round(sum(w.products for w in run.work) / len(own.queries))
        yield {**row, "bytes": bytes_of(system)}


def write_committed(log: Callable[[str], None] = print) -> None:
    """Measure all systems, galleries and levels, and write both tables."""
    rows, times = [], []
    for essen in (False, True):
        made = None
        for level in LEVELS:
            task = hum_task("test", level, n_queries=N_QUERIES, essen=essen)
            if made is None:
                made = systems(task.gallery)
                times += time_rows(task, made)
            for row in matcher_rows(task, made):
                rows.append({"tunes": len(task.gallery), "level": level} | row)
                log(f"{len(task.gallery)} tunes, {level}, {row['system']}: MRR {row['MRR']:.3f}")
    STORE.save_table(TABLE, rows)
    STORE.save_table(TIMES, times)


def time_rows(task: RetrievalTask, made: dict[str, Retriever], n: int = N_TIMED) -> list[dict]:
    """Measure the processor time of single queries, from notes to the list, in milliseconds."""
    rows = []
    for name, system in made.items():
        if name == LINEAR:
            continue
        system.search(system.encode(task.queries[:1], "hum"), 10)  # warm up
        taken = []
        for query in task.queries[:n]:
            started = time.process_time()
            system.search(system.encode([query], "hum"), 10)
            taken.append(1000 * (time.process_time() - started))
        rows.append(
            {
                "tunes": len(task.gallery),
                "system": name,
                "queries": len(taken),
                "median ms": float(np.median(taken)),
                "largest ms": max(taken),
            }
        )
    return rows


def format_matchers(rows: Sequence[dict] | pd.DataFrame | None = None) -> list[dict]:
    """Return quality and cost of each gallery, level and system as rows of text."""
    table = STORE.table(TABLE) if rows is None else pd.DataFrame(rows)
    return [
        {
            "tunes": f"{row['tunes']:,}",
            "errors": row["level"],
            "system": row["system"],
            "hums": row["queries"],
            **{
                name: f"{row[name]:.3f} ({row[f'{name} low']:.3f} to {row[f'{name} high']:.3f})"
                for name in SHOWN
            },
            "products a query": f"{row['products a query'] / 1e6:.1f} M",
            "kept": f"{row['bytes'] / 1e6:.1f} MB",
        }
        for row in table.to_dict("records")
    ]


def format_times(rows: Sequence[dict] | pd.DataFrame | None = None) -> list[dict]:
    """Return the processor time of a query as rows of text."""
    table = STORE.table(TIMES) if rows is None else pd.DataFrame(rows)
    return [
        {
            "tunes": f"{row['tunes']:,}",
            "system": row["system"],
            "hums": row["queries"],
            "median": f"{row['median ms']:.0f} ms",
            "longest": f"{row['largest ms']:.0f} ms",
        }
        for row in table.to_dict("records")
    ]
