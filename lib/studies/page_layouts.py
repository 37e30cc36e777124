"""Rough layouts that find pages: overlap, shares of a grid, a small trained network."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from lib.core.checks import RetrievalInputError
from lib.core.result_store import ResultStore
from lib.core.task import RetrievalTask
from lib.datasets import page_layouts
from lib.datasets.page_pictures import read_page_folder
from lib.metrics.evaluation import Evaluation, evaluate, evaluate_embeddings
from lib.models.layout_encoder import describe_layouts
from lib.training.layout_recipe import train_layout_tower

STORE = ResultStore("page_layouts", "crossmodal bench layouts")
FILE = "results.csv"
METRICS, DEPTHS = ("R", "nDCG"), (1, 10)
SHOWN = ("R@1", "R@10", "nDCG@10")
COARSE = (6, 4)  # rows and columns
SEEDS = (0, 1, 2)


def evaluate_vectors(task: RetrievalTask, encode: Callable) -> Evaluation:
    """Evaluate a task by an encoder of layouts; intervals are by design."""
    return evaluate_embeddings(
        encode(task.queries),
        encode(task.gallery),
        task.qrels,
        metrics=METRICS,
        ks=DEPTHS,
        hit_grade=task.hit_grade,
        groups=task.query_groups,
    )


def evaluate_overlap(task: RetrievalTask) -> Evaluation:
    """Evaluate a task by `layout_overlap` itself, which compares every pair of pages."""
    overlap = page_layouts.layout_overlap(task.queries, task.gallery)
    ids = np.argsort(-overlap, axis=1, kind="stable")
    run = np.take_along_axis(overlap, ids, axis=1), ids
    metrics = [f"{metric}@{k}" for metric in METRICS for k in DEPTHS]
    return evaluate(
        run, task.qrels, metrics=metrics, hit_grade=task.hit_grade, groups=task.query_groups
    )


def mean_of(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Average the values of each query over seeds."""
    values = {
        metric: np.mean([one.per_query[metric] for one in evaluations], axis=0)
        for metric in evaluations[0].per_query
    }
    return replace(evaluations[0], per_query=values, _intervals={})


def result_rows(
    task: RetrievalTask, pages: Sequence, seeds: Sequence[int] = SEEDS, epochs: int = 12
) -> list[dict]:
    """Evaluate every model on a task; one row a model and metric.

    Args:
        task: of `lib.datasets.page_layouts`.
        pages: to train on.
        seeds: of the trained network; its values are means over them.
        epochs: of the training.
    """
    towers = [train_layout_tower(pages, epochs=epochs, seed=seed) for seed in seeds]
    overlap = evaluate_overlap(task)
    models = {
        f"grid {COARSE[0]} x {COARSE[1]}": evaluate_vectors(
            task, lambda layouts: describe_layouts(layouts, COARSE)
        ),
        "grid 16 x 12": evaluate_vectors(task, describe_layouts),
        "overlap of all pairs": overlap,
        f"trained, {len(seeds)} seeds": mean_of(
            [evaluate_vectors(task, tower.encode) for tower in towers]
        ),
    }
    rows = []
    for metric in SHOWN:
        rows.append({"model": "chance", "metric": metric, "value": overlap.chance[metric]})
        for model, found in models.items():
            low, high = found.interval(metric)
            value = {"value": found.value(metric), "low": low, "high": high}
            rows.append({"model": model, "metric": metric, **value})
    sizes = {"queries": len(task.queries), "pages": len(task.gallery)}
    return [{"split": task.split, **sizes, **row} for row in rows]


def write_committed(log: Callable[[str], None] = print) -> None:
    """Train on the training pages, evaluate on the test pages, and write the table."""
    log("pages are generated and three small networks are trained")
    task = page_layouts.task("test")
    STORE.save_table(FILE, result_rows(task, page_layouts.generate_pages("train")))


def folder_rows(folder: str | Path) -> list[dict]:
    """Evaluate every model on pictures of pages; the network is trained on generated pages."""
    names, pages = read_page_folder(folder)
    if len(pages) <= max(DEPTHS):
        raise RetrievalInputError(
            f"{folder} must hold more than {max(DEPTHS)} pages, got {len(names)}. Give more"
        )
    return result_rows(page_layouts.layout_task(pages), page_layouts.generate_pages("train"))


def format_results(table: pd.DataFrame | None = None) -> list[dict]:
    """A table, by default the committed one, as rows of text, percent, with 95% intervals."""
    table = STORE.table(FILE) if table is None else table
    rows = []
    for model, part in table.groupby("model", sort=False):
        cells = {}
        for row in part.itertuples():
            ends = "" if np.isnan(row.low) else f" [{100 * row.low:.1f}, {100 * row.high:.1f}]"
            cells[row.metric] = f"{100 * row.value:.1f}{ends}"
        rows.append({"model": model, **cells})
    return rows
