"""The tables of notebook 09, from committed values and logits: rows as `report.quality` takes
them.
"""

import numpy as np

from lib.core.qrels import Qrels
from lib.datasets import scenes
from lib.datasets.scenes.twins import sample_swappable, twins
from lib.metrics import evaluate, paired_bootstrap_interval, paired_randomization
from lib.search import best_first
from lib.studies.architectures import exhaustive_cross_encoder
from lib.studies.architectures.registry import BASELINE, IMAGES, system_of, test_task
from lib.studies.architectures.results import committed, committed_values, groups_of

REREAD = 20


def blind_reader() -> list[dict]:
    """The best R@1 on the hard split that needs no word order, by kind of caption; see
    `scenes.ceilings`.
    """
    asked = sample_swappable("test", scenes.N_HARD)
    return [
        {
            "captions": row["kind"],
            "n": row["n_captions"],
            "blind reader (%)": 100 * row["blind_any_true"],
        }
        for row in scenes.ceilings(asked, twins(asked))
    ]


def against_baseline(task_name: str) -> list[dict]:
    """R@1 of every system of a task, and what it has on the dual encoder for the same queries.

    Returns:
        Rows system, n_queries, `(value, low, high)` of "R@1 (%)" and of "points on the dual
        encoder", and "p (Holm)"; None for the dual encoder itself.
    """
    rows = []
    for row in committed().query("task == @task_name").to_dict("records"):
        first = row["system"] == BASELINE
        more = (None, None, None) if first else _percent_of(row, "difference")
        rows.append(
            {
                "system": row["system"],
                "queries": row["n_queries"],
                "R@1 (%)": _percent_of(row, "R@1"),
                "points on the dual encoder": more,
                "p (Holm)": None if first else row["p_holm"],
            }
        )
    return rows


def difference(task_name: str, a: str, b: str, metric: str = "R@1") -> dict[str, float]:
    """What system a has on system b, in points, on the queries of both: value, low, high, p of sign
    flips.
    """
    asked = [system_of(task_name, row).queries for row in (a, b)]
    both, *at = np.intersect1d(*asked, return_indices=True)
    groups = groups_of(test_task(task_name).query_groups, both)
    first, second = (
        100 * committed_values(task_name, row)[metric][where]
        for row, where in zip((a, b), at, strict=True)
    )
    low, high = paired_bootstrap_interval(first, second, groups)
    test = paired_randomization(first, second, groups)
    return {"value": test.difference, "low": low, "high": high, "p": test.p_value}


def headline() -> list[dict]:
    """The committed table for reading: quality in percent with intervals, beside what is paid for
    it.
    """
    rows = []
    for row in committed().to_dict("records"):
        shown = {"task": row["task"], "system": row["system"], "queries": row["n_queries"]}
        shown |= {f"{metric} (%)": _percent_of(row, metric) for metric in ("R@1", "mAP")}
        shown["p (Holm)"] = None if np.isnan(row["p_holm"]) else row["p_holm"]
        shown |= {"bytes an item": row["bytes_per_item"], "pairs": row["pairs"]}
        rows.append(shown | {"scoring MFLOP": row["scoring_flops"] / 1e6})
    return rows


def paid(task_name: str) -> list[dict]:
    """What each system of a task keeps an item, and computes for a text, an image and a query's
    scores.
    """
    million = {
        "text MFLOP": "text_flops",
        "image MFLOP": "image_flops",
        "scoring MFLOP a query": "scoring_flops",
    }
    return [
        {
            "system": row["system"],
            "bytes an item": row["bytes_per_item"],
            "parameters": row["parameters"],
        }
        | {name: row[column] / 1e6 for name, column in million.items()}
        for row in committed().query("task == @task_name").to_dict("records")
    ]


# ---- on the 250 captions whose every pair was read


def thresholds() -> list[dict]:
    """For how many captions a threshold on the logits returns all that is right and nothing else.

    One of its own can do so if every right image is above every wrong one. One for all captions is
    the one that does so for the most of them, chosen here with the answers at hand.

    Returns:
        Rows threshold, value in percent of the captions.
    """
    logits, right = _by_item()
    lowest_right = np.where(right, logits, np.inf).min(axis=1)
    highest_wrong = np.where(right, -np.inf, logits).max(axis=1)
    # Between two right logits nothing changes but for the worse, so that those are all there is to
    # try.
    separates = (highest_wrong < lowest_right[:, None]) & (lowest_right[:, None] <= lowest_right)
    return [
        {"threshold": "its own", "value": 100 * float((highest_wrong < lowest_right).mean())},
        {"threshold": "the best one for all", "value": 100 * float(separates.mean(axis=1).max())},
    ]


def sorted_together() -> list[dict]:
    """The dual encoder's best 20 reread, and what becomes of the list if the scales are mixed.

    Returns:
        Rows list, R@1, R@10, mAP in percent, and the share of the first 20 places held by images
        that the cross-encoder never saw.
    """
    reading = exhaustive_cross_encoder.reading()
    ids, cosines, logits = reading.run.ids, reading.run.scores, reading.scores
    read = np.arange(ids.shape[1]) < REREAD  # places of the first stage
    ranked = {
        "reread first, then the rest": reading.at(REREAD).ranked,
        "floor of -100 for the rest": _best(np.where(read, logits, cosines - 100), ids),
        "one sort of logits and cosines": _best(np.where(read, logits, cosines), ids),
    }
    seen = np.zeros(ids.shape, bool)
    np.put_along_axis(seen, ids[:, :REREAD], True, axis=1)
    rows = []
    for name, (keys, order) in ranked.items():
        unseen = ~np.take_along_axis(seen, order[:, :REREAD], axis=1)
        rows.append(
            {
                "list": name,
                **_percent(_measured(keys, order)),
                "unseen in first 20": 100 * unseen.mean(),
            }
        )
    keys, order = ranked["reread first, then the rest"]
    own = Qrels.from_pairs(np.arange(len(ids)), IMAGES, shape=ids.shape)
    name = "the first, judged by one image a caption"
    rows.append({"list": name, **_percent(_measured(keys, order, own)), "unseen in first 20": 0.0})
    return rows


def _percent_of(row: dict, name: str) -> tuple[float, float, float]:
    """Value and interval of a row of the table, in percent."""
    return row[name] * 100, row[f"{name}_low"] * 100, row[f"{name}_high"] * 100


def _best(scores: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return best_first(scores.astype(np.float32), ids, ids.shape[1])


def _by_item() -> tuple[np.ndarray, np.ndarray]:
    """Logits and truth (n_captions, n_images), columns in order of the gallery."""
    run, task = exhaustive_cross_encoder.exhaustive(), exhaustive_cross_encoder.task()
    logits = np.empty(run.ids.shape)
    np.put_along_axis(logits, run.ids, run.scores, axis=1)
    every = np.broadcast_to(np.arange(run.ids.shape[1]), run.ids.shape)
    return logits, task.qrels.grades_of(every) >= task.hit_grade


def _measured(keys: np.ndarray, ids: np.ndarray, qrels: Qrels | None = None) -> dict[str, float]:
    task = exhaustive_cross_encoder.task()
    judged = (task.qrels, task.hit_grade) if qrels is None else (qrels, 1)
    found = evaluate((keys, ids), judged[0], ks=[1, 10], metrics=["R", "MAP"], hit_grade=judged[1])
    return {
        "R@1": found.mean("R@1"),
        "R@10": found.mean("R@10"),
        "mAP": found.mean(f"MAP@{ids.shape[1]}"),
    }


def _percent(values: dict[str, float]) -> dict[str, float]:
    return {name: 100 * value for name, value in values.items()}
