"""Make the tables of notebook 10, as rows for `report.quality`."""

import numpy as np

from lib.core.qrels import Qrels
from lib.datasets import scenes
from lib.datasets.scenes import sample_swappable, twins
from lib.metrics import compare_systems, evaluate
from lib.search import best_first
from lib.studies.architectures import rerank_runs
from lib.studies.architectures.results import committed_table, committed_values, groups_of
from lib.studies.architectures.systems import BASELINE, IMAGES, load_test_task, system_of

REREAD = 20


def blind_reader_rows() -> list[dict]:
    """Show the best R@1 on the hard split without word order, by kind of caption."""
    batch = sample_swappable("test", scenes.N_HARD)
    rows = []
    for ceiling in scenes.ceilings(batch, twins(batch)):
        row = {"captions": ceiling["kind"], "n": ceiling["n_captions"]}
        rows.append(row | {"blind reader (%)": 100 * ceiling["blind_any_true"]})
    return rows


def baseline_rows(task_name: str) -> list[dict]:
    """Show R@1 of every system of a task, and its difference from the dual encoder."""
    rows = []
    for row in committed_table().query("task == @task_name").to_dict("records"):
        is_baseline = row["system"] == BASELINE
        shown = {"system": row["system"], "queries": row["n_queries"]}
        shown["R@1 (%)"] = _percent_of(row, "R@1")
        difference = (None, None, None) if is_baseline else _percent_of(row, "difference")
        shown["points on the dual encoder"] = difference
        rows.append(shown | {"p (Holm)": None if is_baseline else row["p_holm"]})
    return rows


def compare_rows(task_name: str, a: str, b: str, metric: str = "R@1") -> dict[str, float]:
    """Compare two rows of the table on their common queries: value, low, high (points), p."""
    queries = [system_of(task_name, row).queries for row in (a, b)]
    both, *places = np.intersect1d(*queries, return_indices=True)
    groups = groups_of(load_test_task(task_name).query_groups, both)
    hits_a, hits_b = (
        100 * committed_values(task_name, row)[metric][place]
        for row, place in zip((a, b), places, strict=True)
    )
    test = compare_systems(hits_a, hits_b, groups)
    return {"value": test.difference, "low": test.low, "high": test.high, "p": test.p_value}


def headline_rows() -> list[dict]:
    """Show the committed table: quality in percent with intervals, beside the cost."""
    rows = []
    for row in committed_table().to_dict("records"):
        shown = {"task": row["task"], "system": row["system"], "queries": row["n_queries"]}
        shown |= {f"{metric} (%)": _percent_of(row, metric) for metric in ("R@1", "mAP")}
        shown["p (Holm)"] = None if np.isnan(row["p_holm"]) else row["p_holm"]
        shown |= {"bytes an item": row["bytes_per_item"], "pairs": row["pairs"]}
        rows.append(shown | {"scoring MFLOP": row["scoring_flops"] / 1e6})
    return rows


def cost_rows(task_name: str) -> list[dict]:
    """Show bytes an item, parameters, and operations of each system of a task."""
    columns = {"system": "system", "bytes_per_item": "bytes an item", "parameters": "parameters"}
    flops = {
        "text_flops": "text MFLOP",
        "image_flops": "image MFLOP",
        "scoring_flops": "scoring MFLOP a query",
    }
    table = committed_table().query("task == @task_name")
    table = table[[*columns, *flops]].assign(**{name: table[name] / 1e6 for name in flops})
    return table.rename(columns=columns | flops).to_dict("records")


# ---- on the 250 captions with a logit for every image


def threshold_rows() -> list[dict]:
    """Compute the percentage of captions that a threshold on logits answers exactly right."""
    logits, right = _logits_by_item()
    lowest_right = np.where(right, logits, np.inf).min(axis=1)
    highest_wrong = np.where(right, -np.inf, logits).max(axis=1)
    # The best threshold for all, chosen with the answers at hand, is one of `lowest_right`.
    separates = (highest_wrong < lowest_right[:, None]) & (lowest_right[:, None] <= lowest_right)
    return [
        {"threshold": "its own", "value": 100 * float((highest_wrong < lowest_right).mean())},
        {"threshold": "the best one for all", "value": 100 * float(separates.mean(axis=1).max())},
    ]


def mixed_scale_rows() -> list[dict]:
    """Evaluate reranked lists that sort logits and cosines together, in percent."""
    lists = rerank_runs.exhaustive_scores()
    ids, cosines, logits = lists.run.ids, lists.run.scores, lists.scores
    read = np.arange(ids.shape[1]) < REREAD  # places of the first stage
    best_list = "reread first, then the rest"
    ranked = {
        best_list: lists.at(REREAD).ranked,
        "floor of -100 for the rest": _best(np.where(read, logits, cosines - 100), ids),
        "one sort of logits and cosines": _best(np.where(read, logits, cosines), ids),
    }
    seen = np.zeros(ids.shape, bool)
    np.put_along_axis(seen, ids[:, :REREAD], True, axis=1)
    rows = []
    for name, (keys, order) in ranked.items():
        unseen = ~np.take_along_axis(seen, order[:, :REREAD], axis=1)
        row = {"list": name, **_evaluate_percent(keys, order)}
        rows.append(row | {"unseen in first 20": 100 * unseen.mean()})
    one_image = Qrels.from_pairs(np.arange(len(ids)), IMAGES, shape=ids.shape)
    row = {"list": "the first, judged by one image a caption"}
    row |= _evaluate_percent(*ranked[best_list], one_image)
    return [*rows, row | {"unseen in first 20": 0.0}]


def _percent_of(row: dict, name: str) -> tuple[float, float, float]:
    return row[name] * 100, row[f"{name}_low"] * 100, row[f"{name}_high"] * 100


def _best(scores: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return best_first(scores.astype(np.float32), ids, ids.shape[1])


def _logits_by_item() -> tuple[np.ndarray, np.ndarray]:
    """Return logits and truth (n_captions, n_images), columns in order of the gallery."""
    run, task = rerank_runs.exhaustive_run(), rerank_runs.sampled_task()
    logits = np.empty(run.ids.shape)
    np.put_along_axis(logits, run.ids, run.scores, axis=1)
    items = np.broadcast_to(np.arange(run.ids.shape[1]), run.ids.shape)
    return logits, task.qrels.grades_of(items) >= task.hit_grade


def _evaluate_percent(
    keys: np.ndarray, ids: np.ndarray, qrels: Qrels | None = None
) -> dict[str, float]:
    task = rerank_runs.sampled_task()
    qrels, hit_grade = (task.qrels, task.hit_grade) if qrels is None else (qrels, 1)
    result = evaluate((keys, ids), qrels, ks=[1, 10], metrics=["R", "MAP"], hit_grade=hit_grade)
    names = {"R@1": "R@1", "R@10": "R@10", "mAP": f"MAP@{ids.shape[1]}"}
    return {name: 100 * result.mean(metric) for name, metric in names.items()}
