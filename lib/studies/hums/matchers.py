"""Measure matchers on hums as notes: contour vectors, the learned encoder, DTW behind both.

Each system answers the same queries. Costs are counted beside quality: products or comparisons of a
query, and bytes that are kept of the tunes.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd

from lib.core.checks import check_choice
from lib.core.paths import artifacts_dir
from lib.core.result_store import ResultStore
from lib.core.task import RetrievalTask
from lib.datasets.tunes import hum_task
from lib.models.artifact_files import WEIGHTS
from lib.search import evaluate_run
from lib.search.base import Retriever
from lib.search.melody import ContourVectorMatcher, DtwMatcher, HumSearch, LinearScalingMatcher
from lib.search.melody.hum_search import DEPTH, ENCODER, MIX
from lib.search.melody.learned import WINDOWS
from lib.search.melody.windows import LENGTHS, TEMPOS
from lib.search.two_stage import TwoStageRetriever, rerank
from lib.studies.hums.from_sound import held_out_hums

STORE = ResultStore("hum", "crossmodal bench hum")
TABLE, TIMES, OTHER = "matchers.csv", "matcher_times.csv", "other_hums.csv"
LEVELS = ("medium", "hard")
N_QUERIES, N_LINEAR, N_TIMED = 500, 24, 20  # linear scaling takes seconds a query
VECTORS, LEARNED, LINEAR = "contour vectors", "learned", "linear scaling"
SYSTEMS = (VECTORS, LEARNED, LINEAR)
LEARNED_ARTIFACT = ENCODER
SINGER = "the held-out singer, heard"
OTHER_LENGTHS = {"six seconds": 6.0, "eleven seconds": 11.0}  # of the tune
N_OTHER = 200  # hums of each length; of the singer there are 100
SECOND_STAGE = {"dtw": "tuned", "depth": DEPTH, "mix": MIX.weight}  # behind contour vectors
METRICS = ("MRR", "R@1", "R@10", "R@100")
SHOWN = ("MRR", "R@10", "R@100")


def make_system(name: str, melodies: Sequence) -> Retriever:
    """Make one of `SYSTEMS` over tunes; all but linear scaling have DTW as a second stage."""
    check_choice(name, SYSTEMS, "name")
    if name == LINEAR:
        return LinearScalingMatcher(melodies)
    if name == LEARNED:
        return HumSearch(melodies, cached=True).stages
    depth = min(DEPTH, len(melodies))
    return TwoStageRetriever(
        ContourVectorMatcher(melodies), DtwMatcher(melodies), depth, combine=MIX
    )


def matcher_rows(
    task: RetrievalTask, name: str, system: Retriever, n_linear: int = N_LINEAR
) -> Iterator[dict]:
    """Yield rows of a system: its first stage, DTW behind, and the mix of both scores.

    Args:
        task: hums of one level.
        name, system: of `make_system`, over the gallery of the task.
        n_linear: queries of linear scaling, the first ones.

    Yields:
        Means with 95% intervals by family, products a query, and bytes that are kept of the tunes.
    """
    k = min(DEPTH, len(task.gallery))
    metrics = [one for one in METRICS if "@" not in one or int(one.split("@")[1]) <= k]
    if name == LINEAR:
        task = task.take_queries(np.arange(min(n_linear, len(task.queries))))
        stages = {name: (system.search(task.queries, k), system.stored_bytes)}
    else:
        first, dtw = system.first, system.second
        run = first.search(task.queries, k)
        scores = dtw.score(task.queries, run.ids)
        work = (*run.work, dtw.work(task.queries, run.ids))
        both = first.stored_bytes + dtw.stored_bytes
        stages = {name: (run, first.stored_bytes)}
        for label, combine in (("then DTW", None), ("then DTW mixed with it", system.combine)):
            ranked = rerank(run, scores, k, dtw.name, combine=combine)
            stages[f"{name}, {label}"] = (replace(ranked, work=work), both)
    for stage, (run, kept) in stages.items():
        result = evaluate_run(run, task, metrics=metrics)
        row = {"system": stage, "queries": len(task.queries)}
        for metric in metrics:
            low, high = result.interval(metric)
            row |= {metric: result.mean(metric), f"{metric} low": low, f"{metric} high": high}
        products = sum(work.products for work in run.work) / len(task.queries)
        yield {**row, "products a query": round(products), "bytes": kept}


def time_row(task: RetrievalTask, name: str, system: Retriever, n: int) -> dict:
    """Measure the processor time of single queries, from notes to the list, in milliseconds."""
    system.search(system.encode(task.queries[:1], "hum"), 10)  # warm up
    taken = []
    for query in task.queries[:n]:
        started = time.process_time()
        system.search(system.encode([query], "hum"), 10)
        taken.append(1000 * (time.process_time() - started))
    name = name if name == LINEAR else f"{name}, then DTW mixed with it"
    row = {"tunes": len(task.gallery), "system": name, "queries": len(taken)}
    return row | {"median ms": float(np.median(taken)), "largest ms": max(taken)}


def learned_settings() -> dict:
    """Return what decides a result of the learned search besides the hums."""
    weights = (artifacts_dir() / LEARNED_ARTIFACT / WEIGHTS).read_bytes()
    return {
        "weights": hashlib.sha256(weights).hexdigest(),
        "lengths": list(LENGTHS),
        "tempos": list(TEMPOS),
        "windows": WINDOWS,
        "depth": DEPTH,
        "mix": MIX.weight,
    }


def learned_rows(
    level: str, *, seconds: float, essen: bool, system: Callable[[Sequence], Retriever]
) -> list[dict]:
    """Return the rows of the learned search on test hums of one length and level, from the cache.

    Args:
        level, seconds, essen: as in `hum_task`.
        system: gallery -> the search over it; called only if the rows are not in the cache.
    """
    key = {"study": "lengths", "seconds": seconds, "level": level, "essen": essen}
    key |= {"queries": N_QUERIES} | learned_settings()

    def measure() -> list[dict]:
        task = hum_task("test", level, n_queries=N_QUERIES, seconds=seconds, essen=essen)
        first = {"tunes": len(task.gallery), "level": level}
        return [first | row for row in matcher_rows(task, LEARNED, system(task.gallery))]

    return STORE.cached_json(key, measure)


def write_committed(log: Callable[[str], None] = print) -> None:
    """Measure all systems, galleries and levels, and write the tables.

    Each system and gallery is kept in the cache: a stopped run continues. Times of the learned
    search are those of `lengths`.
    """
    rows, times = [], []
    learned = partial(make_system, LEARNED)
    for essen in (True, False):
        for name in (VECTORS, LINEAR):
            key = {"study": "matchers", "system": name, "essen": essen, "queries": N_QUERIES}
            key |= {"linear": N_LINEAR} if name == LINEAR else SECOND_STAGE
            part = STORE.cached_json(key, lambda name=name, essen=essen: _measured(name, essen))
            rows += part["rows"]
            times += part["times"]
        for level in LEVELS:
            rows += learned_rows(level, seconds=8.0, essen=essen, system=learned)
        for row in rows:
            log(f"{row['tunes']} tunes, {row['level']}, {row['system']}: MRR {row['MRR']:.3f}")
    other = []
    for name in (VECTORS, LEARNED):
        key = {"study": "other hums", "system": name, "queries": N_OTHER}
        key |= learned_settings() if name == LEARNED else SECOND_STAGE
        other += STORE.cached_json(key, lambda name=name: _measured_others(name))
    STORE.save_table(OTHER, sorted(other, key=lambda row: row["hums"]))
    STORE.save_table(TABLE, sorted(rows, key=lambda row: (row["tunes"], row["level"] == "hard")))
    STORE.save_table(TIMES, sorted(times, key=lambda row: row["tunes"]))


def _measured(name: str, essen: bool) -> dict[str, list[dict]]:
    """Measure one system over one gallery, at both levels."""
    tasks = {level: hum_task("test", level, n_queries=N_QUERIES, essen=essen) for level in LEVELS}
    gallery = tasks[LEVELS[0]].gallery
    started = time.process_time()
    system = make_system(name, gallery)
    built = time.process_time() - started
    rows = [
        {"tunes": len(gallery), "level": level} | row
        for level, task in tasks.items()
        for row in matcher_rows(task, name, system)
    ]
    row = time_row(tasks["hard"], name, system, 3 if name == LINEAR else N_TIMED)
    return {"rows": rows, "times": [row | {"build s": built}]}


def other_tasks(level: str, *, essen: bool = True) -> dict[str, RetrievalTask]:
    """Return tasks whose hums are not as the systems expect: another length, a recorded singer.

    The singer is Festival's, whose sound was heard by a pitch tracker, see `held_out_hums`.
    """
    tasks = {
        name: hum_task("test", level, n_queries=N_OTHER, seconds=seconds, essen=essen)
        for name, seconds in OTHER_LENGTHS.items()
    }
    heard = held_out_hums(level)
    task = hum_task("test", level, n_queries=len(heard), essen=essen)
    kept = np.array([at for at, one in enumerate(heard) if one is not None])
    task = task.take_queries(kept)
    return {SINGER: replace(task, queries=[heard[at] for at in kept.tolist()])} | tasks


def _measured_others(name: str) -> list[dict]:
    """Measure one system on the hums of `other_tasks`, at both levels."""
    rows, system = [], None
    for level in LEVELS:
        for hums, task in other_tasks(level).items():
            system = system or make_system(name, task.gallery)
            rows += [
                {"hums": hums, "tunes": len(task.gallery), "level": level} | row
                for row in matcher_rows(task, name, system)
            ]
    return rows


def format_matchers(rows: Sequence[dict] | pd.DataFrame | None = None) -> list[dict]:
    """Return quality and cost of each gallery, level and system as rows of text."""
    table = STORE.table(TABLE) if rows is None else pd.DataFrame(rows)
    return [
        {
            "tunes": f"{row['tunes']:,}",
            "errors": row["level"],
            **({"hums of": row["hums"]} if "hums" in row else {}),
            "system": row["system"],
            "hums": str(row["queries"]),
            **{
                name: f"{row[name]:.3f} ({row[f'{name} low']:.3f} to {row[f'{name} high']:.3f})"
                for name in SHOWN
            },
            "products a query": f"{row['products a query'] / 1e6:.1f} M",
            "kept": f"{row['bytes'] / 1e6:.1f} MB",
        }
        for row in table.to_dict("records")
    ]


def format_others(rows: Sequence[dict] | pd.DataFrame | None = None) -> list[dict]:
    """Return quality on hums that are not as the systems expect, as rows of text."""
    return format_matchers(STORE.table(OTHER) if rows is None else rows)


def format_times(rows: Sequence[dict] | pd.DataFrame | None = None) -> list[dict]:
    """Return the processor time of a query as rows of text."""
    table = STORE.table(TIMES) if rows is None else pd.DataFrame(rows)
    return [
        {
            "tunes": f"{row['tunes']:,}",
            "system": row["system"],
            "hums": str(row["queries"]),
            "median": f"{row['median ms']:.0f} ms",
            "longest": f"{row['largest ms']:.0f} ms",
            "built in": f"{row['build s']:.0f} s",
        }
        for row in table.to_dict("records")
    ]
