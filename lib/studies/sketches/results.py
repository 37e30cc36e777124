"""Committed results of the study: tables, ranks of every query, and rows as text."""

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from lib.core.result_store import ResultStore
from lib.datasets import sketches
from lib.metrics import bootstrap_interval
from lib.models.numpy_image import load_sketch_tower
from lib.models.trained_models import load_model
from lib.studies.sketches.leak import leak_rows
from lib.studies.sketches.retrieval import DEFORMED, ablate_hand, measure_tasks
from lib.studies.sketches.systems import HISTOGRAMS, PLAIN, TOWER, load_systems
from lib.studies.sketches.words import word_rows

NAME, REBUILD = "sketches", "crossmodal bench sketches"
STORE = ResultStore(NAME, REBUILD)
RESULTS, PER_QUERY, ABLATION = "results.csv", "per_query.npz", "ablation.csv"
LEAK, WORDS, SETTINGS, TIMES = "leak.csv", "words.csv", "word_settings.csv", "times.csv"
TIMED = 40  # sketches


def write_committed(log: Callable[[str], None] = print) -> None:
    """Measure everything and write the tables (ten minutes)."""
    systems = load_systems()
    rows, arrays = measure_tasks(systems, log)
    STORE.save_table(RESULTS, rows)
    STORE.save_table(ABLATION, ablate_hand(systems, log))
    found, ranks = leak_rows(log)
    STORE.save_table(LEAK, found)
    arrays |= ranks
    found, ranks, settings = word_rows(log)
    STORE.save_table(WORDS, found)
    STORE.save_table(SETTINGS, settings)
    STORE.save_arrays(PER_QUERY, compressed=True, **arrays, **ranks)
    STORE.save_table(TIMES, time_rows())


def time_rows() -> list[dict]:
    """Measure processor time from strokes to vector, one sketch at a time."""
    places = sketches.query_places("test", "sketch_to_picture")[:TIMED]
    drawings = sketches.sketch_strokes(places)
    rows = []
    encoders = {
        "torch": load_model("sketches").encode_sketch,
        "numpy": load_sketch_tower("sketches").encode_image,
    }
    for name, encode in encoders.items():
        spent = []
        for drawing in [drawings[0], *drawings]:
            start = time.process_time()
            encode(sketches.draw_sketches([drawing]))
            spent.append(1000 * (time.process_time() - start))
        times = spent[1:]  # the first call loads code
        rows.append(
            {"encoder": name, "median ms": statistics.median(times), "most ms": max(times),
             "sketches": len(times)}
        )  # fmt: skip
    return rows


def ranks_of(task: str, condition: str, system: str) -> np.ndarray:
    """Return the rank of the first hit of every query, from the committed arrays."""
    name = f"{task}|{condition}|{system}|rank"
    return STORE.arrays(PER_QUERY, [name])[name]


def concepts_of(task: str, condition: str) -> np.ndarray:
    """Return the concept of every query, the unit of intervals."""
    name = f"{task}|{condition}|groups"
    return STORE.arrays(PER_QUERY, [name])[name]


def difference(
    task: str, condition: str, one: str, other: str, k: int
) -> tuple[float, float, float]:
    """Compare R@k of two systems on the same queries: mean difference and its 95% interval."""
    hits = [ranks_of(task, condition, system) <= k for system in (one, other)]
    gains = hits[0].astype(float) - hits[1]
    low, high = bootstrap_interval(gains, concepts_of(task, condition))
    return float(gains.mean()), low, high


def word_gain(
    task: str = "pages, deformed", tower: str = TOWER, both: str = "both, by ranks", k: int = 1
) -> tuple[float, float, float]:
    """Compare R@k of sketch and word with the better of either alone, with a 95% interval."""
    names = ("sketch alone", "word alone, BM25", both)
    keys = [f"words|{task}|{tower}|{name}|rank" for name in names]
    found = STORE.arrays(PER_QUERY, keys)
    sketch, word, joint = (found[key] <= k for key in keys)
    better = sketch if sketch.mean() >= word.mean() else word
    gains = joint.astype(float) - better
    tasks = {"pages, deformed": ("pictures, all", DEFORMED),
             "pages, by mouse": ("hand drawn, pictures, all", "by mouse")}  # fmt: skip
    low, high = bootstrap_interval(gains, concepts_of(*tasks[task]))
    return float(gains.mean()), low, high


# ---- rows as text


def _percent(row) -> str:
    return f"{100 * row.value:.1f} ({100 * row.low:.0f} to {100 * row.high:.0f})"


def format_results(task: str, condition: str) -> list[dict]:
    """The committed results of one task, a row for each system."""
    table = STORE.table(RESULTS)
    table = table[(table["task"] == task) & (table["condition"] == condition)]
    return _wide(table, "system")


def shown_tasks() -> list[tuple[str, str]]:
    """List the tasks and conditions of the committed results, in order."""
    pairs = STORE.table(RESULTS)[["task", "condition"]].drop_duplicates()
    return list(pairs.itertuples(index=False, name=None))


def word_tasks() -> list[str]:
    """List the tasks of the committed numbers of words."""
    return STORE.table(WORDS)["task"].drop_duplicates().tolist()


def format_ablation(metric: str = "R@1") -> list[dict]:
    """The committed ablation of the hand, a row for each hand, a column for each system."""
    table = STORE.table(ABLATION)
    table = table[table["metric"] == metric]
    return [
        {"hand": hand} | {row.system: _percent(row) for row in rows.itertuples()}
        for hand, rows in table.groupby("hand", sort=False)
    ]


def format_leak() -> list[dict]:
    """The committed numbers of the leak, a row for each split."""
    return _wide(STORE.table(LEAK), "split by")


def format_words(task: str, tower: str = TOWER) -> list[dict]:
    """The committed numbers of sketch, word and both."""
    table = STORE.table(WORDS)
    return _wide(table[(table["task"] == task) & (table["tower"] == tower)], "system")


def _wide(table: pd.DataFrame, label: str) -> list[dict]:
    return [
        {label: name} | {row.metric: _percent(row) for row in rows.itertuples()}
        for name, rows in table.groupby(label, sort=False)
    ]


def value_of(table: str, metric: str, **labels: str) -> float:
    """Return one committed value, for example `value_of(RESULTS, "R@1", system=..., task=...)`."""
    rows = STORE.table(table)
    chosen = rows[(rows["metric"] == metric)]
    for name, wanted in labels.items():
        chosen = chosen[chosen[name] == wanted]
    return float(chosen["value"].iloc[0])


def sentences_of_results(names: Sequence[str] = (TOWER, PLAIN, HISTOGRAMS)) -> list[str]:
    """Say in sentences how the systems compare on unseen concepts."""
    lines = []
    for task, shown in (("pictures, all", "all 1,914 pictures"), ("icons", "icons")):
        label = {"task": task, "condition": DEFORMED}
        found = {name: value_of(RESULTS, "R@10", system=name, **label) for name in names}
        values = [f"{name} {100 * value:.0f}" for name, value in found.items()]
        lines.append(f"R@10 from deformed sketches to {shown}: {', '.join(values)}.")
    return lines
