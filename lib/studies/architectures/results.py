"""Compare architectures on the same queries: quality beside counted cost, run and committed."""

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pandas as pd

from lib.core.result_store import ResultStore
from lib.core.task import RetrievalTask
from lib.metrics import bootstrap_interval, compare_systems, evaluate, holm
from lib.search import Run
from lib.studies.architectures import costs
from lib.studies.architectures.systems import (
    BASELINE,
    ArchitectureSystem,
    load_test_task,
    model,
    retriever,
    search,
    system_of,
    systems,
    weights_of,
)

STORE = ResultStore("architectures", "crossmodal bench architectures")
METRICS = ("R@1", "R@10", "mAP", "nDCG@10")
STORED = ("rank", "mAP", "nDCG@10")
BEYOND = 255  # the stored rank of a first right item that is not in the run


def per_query_values(run: Run, task: RetrievalTask) -> dict[str, np.ndarray]:
    """Compute the stored values: `rank` of the first right item (uint8), `mAP`, `nDCG@10`."""
    k = min(10, run.depth)
    options = {"metrics": ["MAP", "nDCG"], "hit_grade": task.hit_grade}
    result = evaluate(run.ranked, task.qrels, ks=[k], **options)
    return {
        "rank": np.minimum(result.first_ranks, BEYOND).astype(np.uint8),
        "mAP": result.per_query[f"MAP@{run.depth}"].astype(np.float16),
        "nDCG@10": result.per_query[f"nDCG@{k}"].astype(np.float16),
    }


def metrics_of(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return `{metric: (n_queries,) float64}` of stored values."""
    hits = {f"R@{k}": (values["rank"] <= k).astype(np.float64) for k in (1, 10)}
    return hits | {name: values[name].astype(np.float64) for name in ("mAP", "nDCG@10")}


def _metrics_of_row(arrays: dict, task_name: str, row: str) -> dict[str, np.ndarray]:
    return metrics_of({name: arrays[f"{task_name}/{row}/{name}"] for name in STORED})


# ---- running, a part at a time


def run_systems(
    log: Callable[[str], None] = print,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Search with every system; cached parts are not searched again."""
    for _ in STORE.run(_jobs(), log=log, progress=progress):
        pass


def write_committed() -> None:
    """Write `data/artifacts/architectures`: values per query, and the table."""
    values, work = {}, {}
    for system in systems():
        parts = [STORE.cached(*job) for job in _jobs_of(system)]
        for row in system.rows:
            for name in STORED:
                joined = np.concatenate([part[f"{row}/{name}"] for part in parts])
                values[f"{system.task}/{row}/{name}"] = joined
            work[system.task, row] = sum(part[f"{row}/work"] for part in parts)
    STORE.save_arrays("per_query.npz", **values)
    tasks = dict.fromkeys(task for task, _ in work)
    STORE.save_table("table.csv", [row for task in tasks for row in _rows_of(task, values, work)])


def _jobs() -> Iterator[tuple[dict, Callable]]:
    return (job for system in systems() for job in _jobs_of(system))


def _jobs_of(system: ArchitectureSystem) -> Iterator[tuple[dict, Callable]]:
    """Yield key and work of each part; the models' checksums are in the key."""
    queries = system.queries
    step = system.queries_at_once or len(queries)
    for start in range(0, len(queries), step):
        part = queries[start : start + step]
        key = {"task": system.task, "system": system.name, "weights": weights_of(system.models)}
        key |= {"first": int(part[0]), "n": len(part)}
        yield key, lambda part=part: _search_part(system, part)


def _search_part(system: ArchitectureSystem, part: np.ndarray) -> dict[str, np.ndarray]:
    """Return the stored values of each row, and `work`: pairs, operations, queries."""
    task, arrays = load_test_task(system.task).take_queries(part), {}
    for row, run in search(system, task).items():
        values = per_query_values(run, task)
        arrays |= {f"{row}/{name}": array for name, array in values.items()}
        scoring = costs.scoring_flops(run, _models(system), _pair_flops(system)) * len(run)
        arrays[f"{row}/work"] = np.array([run.work[-1].pairs, scoring, len(run)])
    return arrays


# ---- the table


def _models(system: ArchitectureSystem) -> list:
    return [model(name) for name in system.models]


@cache
def sample_pair(task_name: str) -> tuple[str, np.ndarray]:
    """Return a caption of median length and an image: the pair on which operations are counted."""
    task = load_test_task(task_name)
    order = np.argsort([len(text.split()) for text in task.queries], kind="stable")
    return task.queries[order[len(order) // 2]], task.gallery[0]


@cache
def _pair_flops(system: ArchitectureSystem) -> int:
    return costs.pair_flops(_models(system)[-1], *sample_pair(system.task))


def cost_row(system: ArchitectureSystem) -> dict[str, int | float]:
    """Count bytes an item, parameters, and operations to encode and to score a pair."""
    encoding = [costs.encoder_flops(each, *sample_pair(system.task)) for each in _models(system)]
    return {
        "bytes_per_item": costs.stored_bytes(retriever(system)),
        "parameters": costs.parameters(_models(system)),
        "text_flops": sum(side["text"] for side in encoding),
        "image_flops": sum(side["image"] for side in encoding),
        "pair_flops": _pair_flops(system),
    }


def _rows_of(task_name: str, values: dict, work: dict) -> list[dict]:
    task = load_test_task(task_name)
    names = [row for name, row in work if name == task_name]
    queries = {row: system_of(task_name, row).queries for row in names}
    metrics = {row: _metrics_of_row(values, task_name, row) for row in names}
    against = compare_with_baseline(
        {row: by_metric["R@1"] for row, by_metric in metrics.items()}, queries, task.query_groups
    )
    rows = []
    for name in names:
        groups, means = groups_of(task.query_groups, queries[name]), {}
        for metric in METRICS:
            low, high = bootstrap_interval(metrics[name][metric], groups)
            means[metric] = metrics[name][metric].mean()
            means |= {f"{metric}_low": low, f"{metric}_high": high}
        pairs, scoring, n = work[task_name, name]
        row = {"task": task_name, "system": name, "n_queries": int(n)}
        row |= {"n_gallery": len(task.gallery)} | means | against.get(name, {})
        row |= {"pairs": pairs / n, "scoring_flops": scoring / n}
        rows.append(row | cost_row(system_of(task_name, name)))
    return rows


def groups_of(groups: np.ndarray | None, queries: np.ndarray) -> np.ndarray | None:
    """Return the clusters of some queries, if there are clusters."""
    return None if groups is None else groups[queries]


def compare_with_baseline(
    values: dict[str, np.ndarray], queries: dict[str, np.ndarray], groups: np.ndarray | None = None
) -> dict[str, dict[str, float]]:
    """Compare every row with the dual encoder on the row's queries; Holm's correction over rows."""
    rows = {}
    for row, row_values in values.items():
        if row != BASELINE:
            base, clusters = values[BASELINE][queries[row]], groups_of(groups, queries[row])
            test = compare_systems(row_values, base, clusters)
            ends = {"difference_low": test.low, "difference_high": test.high}
            rows[row] = {"difference": test.difference, **ends, "p": test.p_value}
    adjusted = holm([test["p"] for test in rows.values()]) if rows else []
    for test, p in zip(rows.values(), adjusted, strict=True):
        test["p_holm"] = float(p)
    return rows


# ---- reading


def committed_table() -> pd.DataFrame:
    """Read the committed table: a row for each task and system, shares as fractions."""
    return STORE.table("table.csv")


@cache
def committed_values(task_name: str, row: str) -> dict[str, np.ndarray]:
    """Read `{metric: (n_queries,)}` of one row of the committed table."""
    return _metrics_of_row(_per_query_arrays(), task_name, row)


@cache
def _per_query_arrays() -> dict[str, np.ndarray]:
    return STORE.arrays("per_query.npz")


def format_results(table: pd.DataFrame) -> list[dict]:
    """Format the table: shares in percent with their intervals, operations in millions."""
    rows = []
    for row in table.to_dict("records"):
        text = {name: row[name] for name in ("task", "system")}
        for metric in METRICS:
            value, low, high = (100 * row[metric + end] for end in ("", "_low", "_high"))
            text[metric] = f"{value:.1f} [{low:.1f}, {high:.1f}]"
        text["p (Holm)"] = "" if np.isnan(row["p_holm"]) else f"{row['p_holm']:.4f}"
        text |= {"bytes": f"{row['bytes_per_item']:,.0f}", "pairs": f"{row['pairs']:,.0f}"}
        rows.append(text | {"scoring MFLOP": f"{row['scoring_flops'] / 1e6:,.1f}"})
    return rows
