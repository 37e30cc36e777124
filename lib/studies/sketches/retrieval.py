"""Measure systems on every task: values per query, means with intervals, and the hand's terms."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from lib.core.task import RetrievalTask
from lib.datasets import sketches
from lib.datasets.strokes.hand import TERMS, Hand, measured_hand
from lib.metrics import evaluate
from lib.search import evaluate_run
from lib.studies.sketches.systems import HAND_DRAWN, HISTOGRAMS, PLAIN, TASKS, TOWER, SketchSystem

HITS = ("R@1", "R@5", "R@10", "MAP")
RELATED = ("P@100", "MAP")  # with every grade as relevant
DEFORMED, AS_DRAWN, BY_MOUSE = "deformed", "as drawn", "by mouse"
ABLATION_VARIANTS = 3  # sketches of each drawing
ABLATED = (TOWER, PLAIN, HISTOGRAMS)


def all_tasks() -> Iterator[tuple[str, str, RetrievalTask]]:
    """Yield the name, the condition and the task of everything that is measured."""
    for key, task in TASKS.items():
        for condition in (DEFORMED, AS_DRAWN):
            yield key, condition, task(condition == DEFORMED)
    for key, task in HAND_DRAWN.items():
        yield key, BY_MOUSE, task()


def measure_tasks(
    systems: Sequence[SketchSystem], log: Callable[[str], None] = print
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Measure all systems on all tasks.

    Returns:
        Rows with means and 95% intervals by concept, and arrays for every query: `rank` of the
        first hit and `ap`, average precision over the whole gallery, named
        `<task>|<condition>|<system>|rank`; `<task>|<condition>|groups`, the concepts.
    """
    rows, arrays = [], {}
    for key, condition, task in all_tasks():
        arrays[f"{key}|{condition}|groups"] = task.query_groups
        for system in systems:
            run = system.run(task)
            report = evaluate_run(run, task, metrics=HITS)
            related = evaluate(
                run, task.qrels, metrics=RELATED, hit_grade=1, groups=task.query_groups
            )
            label = {"task": key, "condition": condition, "system": system.name}
            rows += [label | row for row in _rows_of(report)]
            rows += [label | row for row in _rows_of(related, " related")]
            name = f"{key}|{condition}|{system.name}"
            arrays[f"{name}|rank"] = report.first_ranks.astype(np.int16)
            arrays[f"{name}|ap"] = next(
                values for metric, values in report.per_query.items() if metric.startswith("MAP")
            ).astype(np.float32)
            log(f"{key}, {condition}, {system.name}: R@1 {100 * report.mean('R@1'):.1f}")
    return rows, arrays


def _rows_of(report, suffix: str = "") -> list[dict]:
    """Rows of an evaluation; MAP over the whole gallery is named mAP@all, as in the field."""
    names = {metric: metric for metric in report.per_query}
    names |= {metric: "mAP@all" for metric in names if metric.startswith("MAP@")}
    kept = ("value", "low", "high", "chance", "n_queries", "n_gallery")
    return [
        {"metric": names[row["metric"]] + suffix} | {name: row[name] for name in kept}
        for row in report.rows()
    ]


def hands_of_ablation() -> dict[str, Hand]:
    """Name the hands that are compared: the measured one, without each term, each term alone."""
    hand = measured_hand()
    hands = {"measured": hand, "none": sketches.PLAIN}
    hands |= {f"without {term}": hand.without(term) for term in TERMS}
    # Care is a factor on other terms: alone it does nothing.
    return hands | {f"only {term}": hand.only(term) for term in TERMS if term != "care"}


def ablate_hand(systems: Sequence[SketchSystem], log: Callable[[str], None] = print) -> list[dict]:
    """Measure how much each term of the hand costs, with all 1,914 emoji as the gallery."""
    places = sketches.query_places("test", "sketch_to_picture")
    task = sketches.task("test", gallery="all", deformed=False)
    repeated = task.take_queries(np.tile(np.arange(len(places)), ABLATION_VARIANTS))
    chosen = [system for system in systems if system.name in ABLATED]
    rows = []
    for name, hand in hands_of_ablation().items():
        images = [
            sketches.draw_sketches(
                sketches.sketch_strokes(places, hand, variant=variant), hand, variant=variant
            )
            for variant in range(ABLATION_VARIANTS)
        ]
        drawn = replace(repeated, queries=np.concatenate(images))
        for system in chosen:
            report = evaluate_run(system.run(drawn), drawn, metrics=("R@1", "R@10"))
            label = {"hand": name, "system": system.name}
            rows += [label | row for row in _rows_of(report)]
        log(f"hand {name}")
    return rows
