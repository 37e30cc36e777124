"""Dual encoder, late interaction, cross-encoder and two stages on the same queries: quality beside
cost.

The numbers of `data/artifacts/architectures`: how they are made, kept and read.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from lib.core.paths import artifacts_dir, cache_dir
from lib.core.reading import load_arrays, verify
from lib.core.task import RetrievalTask
from lib.core.writing import atomic_path, optional_write, save_arrays, write_checksum
from lib.metrics import (
    bootstrap_interval,
    evaluate,
    holm,
    paired_bootstrap_interval,
    paired_randomization,
)
from lib.search import Run
from lib.studies.architectures import costs
from lib.studies.architectures.registry import (
    BASELINE,
    System,
    model,
    retriever,
    search,
    system_of,
    systems,
    test_task,
    weights_of,
)

METRICS = ("R@1", "R@10", "mAP", "nDCG@10")
BEYOND = 255  # the stored rank of a first right item that is not among those kept
REBUILD = "Restore it with git, or run: crossmodal bench architectures"


def per_query(run: Run, task: RetrievalTask) -> dict[str, np.ndarray]:
    """What is kept of a run: `rank` of the first right item (uint8), `mAP` and `nDCG@10`
    (float16).
    """
    k = min(10, run.depth)
    found = evaluate(
        run.ranked, task.qrels, ks=[k], metrics=["MAP", "nDCG"], hit_grade=task.hit_grade
    )
    return {
        "rank": np.minimum(found.first_ranks, BEYOND).astype(np.uint8),
        "mAP": found.per_query[f"MAP@{run.depth}"].astype(np.float16),
        "nDCG@10": found.per_query[f"nDCG@{k}"].astype(np.float16),
    }


def metrics_of(kept: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`{metric: (n_queries,) float64}` of what `per_query` kept."""
    hits = {f"R@{k}": (kept["rank"] <= k).astype(np.float64) for k in (1, 10)}
    return hits | {name: kept[name].astype(np.float64) for name in ("mAP", "nDCG@10")}


# ---- running, a part at a time


def fill(
    log: Callable[[str], None] = print, progress: Callable[[int, int], None] = lambda done, of: None
) -> None:
    """Searches with every system whose models are there; what was done before is in the cache."""
    every = [
        (system, number, rows)
        for system in systems()
        for number, rows in enumerate(_parts(system), 1)
    ]
    done = sum(_kept(system, rows).exists() for system, _, rows in every)
    progress(done, len(every))
    for system, number, rows in every:
        new = not _kept(system, rows).exists()
        _found(system, rows)
        log(f"{system.task}: {system.name}, part {number} of {len(_parts(system))}")
        done += new
        progress(done, len(every))


def collect() -> None:
    """Writes `data/artifacts/architectures`: values per query, and the table; runs what has not run
    yet.
    """
    kept, work = {}, {}
    for system in systems():
        parts = [_found(system, rows) for rows in _parts(system)]
        for row in system.rows:
            for name in ("rank", "mAP", "nDCG@10"):
                kept[f"{system.task}/{row}/{name}"] = np.concatenate(
                    [p[f"{row}/{name}"] for p in parts]
                )
            work[system.task, row] = sum(p[f"{row}/work"] for p in parts)
    save_arrays(_folder() / "per_query.npz", **kept)
    rows = [
        row
        for task in dict.fromkeys(task for task, _ in work)
        for row in _table_of(task, kept, work)
    ]
    with atomic_path(_folder() / "table.csv") as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, float_format="%.6g")
    write_checksum(_folder() / "table.csv")


def _parts(system: System) -> list[np.ndarray]:
    asked = system.queries
    at_once = system.queries_at_once or len(asked)
    return [asked[start : start + at_once] for start in range(0, len(asked), at_once)]


def _found(system: System, rows: np.ndarray) -> dict[str, np.ndarray]:
    """What `per_query` keeps of each row, and `work`: pairs of the last stage, operations,
    queries.
    """
    path = _kept(system, rows)
    if path.exists():
        return load_arrays(path)
    task, arrays = test_task(system.task).take_queries(rows), {}
    for row, run in search(system, task).items():
        arrays |= {f"{row}/{name}": values for name, values in per_query(run, task).items()}
        scoring = costs.scoring_flops(run, _models(system), _pair(system)) * len(run)
        arrays[f"{row}/work"] = np.array([run.work[-1].pairs, scoring, len(run)])
    with optional_write():
        save_arrays(path, **arrays)
    return arrays


def _kept(system: System, rows: np.ndarray) -> Path:
    """In the cache, under the checksums of the models, so that another model's results are not
    taken.
    """
    name = f"{system.task}-{system.name}-{weights_of(system.models)}-{rows[0]}-{len(rows)}"
    name = name.replace(", ", "_").replace(" ", "_")
    return cache_dir() / "architectures" / f"{name}.npz"


# ---- the table


def _models(system: System) -> list:
    return [model(name) for name in system.models]


@cache
def sample_pair(task_name: str) -> tuple[str, np.ndarray]:
    """The pair that operations are counted on: a query of the task with the median number of words,
    and an image. Of a caption only the number of pieces matters, of an image nothing."""
    task = test_task(task_name)
    order = np.argsort([len(text.split()) for text in task.queries], kind="stable")
    return task.queries[order[len(order) // 2]], task.gallery[0]


@cache
def _pair(system: System) -> int:
    return costs.pair_flops(_models(system)[-1], *sample_pair(system.task))


def cost_row(system: System) -> dict[str, int | float]:
    """Counted costs of a system: bytes an item, parameters, operations to encode and to score a
    pair.
    """
    encoding = [costs.encoder_flops(made, *sample_pair(system.task)) for made in _models(system)]
    return {
        "bytes_per_item": costs.stored_bytes(retriever(system)),
        "parameters": costs.parameters(_models(system)),
        "text_flops": sum(side["text"] for side in encoding),
        "image_flops": sum(side["image"] for side in encoding),
        "pair_flops": _pair(system),
    }


def _table_of(task_name: str, kept: dict, work: dict) -> list[dict]:
    task = test_task(task_name)
    names = [row for name, row in work if name == task_name]
    values = {row: metrics_of(_unpacked(kept, task_name, row)) for row in names}
    asked = {row: system_of(task_name, row).queries for row in names}
    against = compared(
        {row: found["R@1"] for row, found in values.items()}, asked, task.query_groups
    )
    rows = []
    for row in names:
        groups, means = groups_of(task.query_groups, asked[row]), {}
        for metric in METRICS:
            low, high = bootstrap_interval(values[row][metric], groups)
            means |= {
                metric: values[row][metric].mean(),
                f"{metric}_low": low,
                f"{metric}_high": high,
            }
        pairs, scoring, n = work[task_name, row]
        means |= against.get(row, {}) | {"pairs": pairs / n, "scoring_flops": scoring / n}
        sizes = {"n_queries": int(n), "n_gallery": len(task.gallery)}
        rows.append(
            {
                "task": task_name,
                "system": row,
                **sizes,
                **means,
                **cost_row(system_of(task_name, row)),
            }
        )
    return rows


def groups_of(groups: np.ndarray | None, asked: np.ndarray) -> np.ndarray | None:
    """The clusters of some queries, if there are clusters."""
    return None if groups is None else groups[asked]


def compared(
    values: dict[str, np.ndarray], asked: dict[str, np.ndarray], groups: np.ndarray | None = None
) -> dict[str, dict[str, float]]:
    """Every row against the dual encoder, on the queries of the row, paired.

    Args:
        values: per-query values by row; those of the dual encoder are for all queries.
        asked: positions of the queries of each row.
        groups: `(n_queries,)` clusters of all queries, which sign flips and resamples keep whole.

    Returns:
        `{row: difference, difference_low, difference_high, p, p_holm}`, Holm's correction over the
        rows.
    """
    found = {}
    for row, own in values.items():
        if row == BASELINE:
            continue
        base, clusters = values[BASELINE][asked[row]], groups_of(groups, asked[row])
        test = paired_randomization(own, base, clusters)
        low, high = paired_bootstrap_interval(own, base, clusters)
        ends = {"difference_low": low, "difference_high": high}
        found[row] = {"difference": test.difference, **ends, "p": test.p_value}
    adjusted = holm([test["p"] for test in found.values()]) if found else []
    return {
        row: test | {"p_holm": float(p)}
        for (row, test), p in zip(found.items(), adjusted, strict=True)
    }


# ---- reading


def committed() -> pd.DataFrame:
    """The committed table, a row for each task and system; shares as fractions, operations and
    bytes.
    """
    return pd.read_csv(verify(_folder() / "table.csv", rebuild=REBUILD))


@cache
def committed_values(task_name: str, row: str) -> dict[str, np.ndarray]:
    """`{metric: (n_queries,)}` of one row of the committed table."""
    return metrics_of(_unpacked(_arrays(), task_name, row))


@cache
def _arrays() -> dict[str, np.ndarray]:
    return load_arrays(_folder() / "per_query.npz", rebuild=REBUILD)


def _unpacked(kept: dict, task_name: str, row: str) -> dict[str, np.ndarray]:
    return {name: kept[f"{task_name}/{row}/{name}"] for name in ("rank", "mAP", "nDCG@10")}


def _folder() -> Path:
    return artifacts_dir() / "architectures"


def as_text(table: pd.DataFrame) -> list[dict]:
    """The table for reading: shares in percent with their intervals, operations in millions."""
    rows = []
    for row in table.to_dict("records"):
        shown = {name: row[name] for name in ("task", "system")}
        for metric in METRICS:
            value, low, high = (100 * row[metric + end] for end in ("", "_low", "_high"))
            shown[metric] = f"{value:.1f} [{low:.1f}, {high:.1f}]"
        shown["p (Holm)"] = "" if np.isnan(row["p_holm"]) else f"{row['p_holm']:.4f}"
        shown |= {"bytes": f"{row['bytes_per_item']:,.0f}", "pairs": f"{row['pairs']:,.0f}"}
        rows.append(shown | {"scoring MFLOP": f"{row['scoring_flops'] / 1e6:,.1f}"})
    return rows
