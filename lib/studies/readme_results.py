"""The dual encoders beside chance and a baseline that learns nothing, both directions, one tidy
table.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from lib.core.checks import check_choice
from lib.core.task import RetrievalTask
from lib.datasets import icons, scenes
from lib.metrics import Evaluation
from lib.models.trained_models import load_embeddings
from lib.models.word_templates import WordTemplates
from lib.search import DEPTH, encode_sides, evaluate_task

DIRECTIONS = ("text_to_image", "image_to_text")
TASKS: dict[str, Callable[..., RetrievalTask]] = {"icons": icons.task, "scenes": scenes.task}
TEMPLATE_SCENES = 10_000


@lru_cache(maxsize=4)
def test_task(corpus: str, direction: str) -> RetrievalTask:
    """The test task of a corpus; made once per process and shared by the tables."""
    return TASKS[check_choice(corpus, TASKS, "corpus")]("test", direction)


def stored(corpus: str, direction: str) -> tuple[np.ndarray, np.ndarray]:
    """The committed int8 embeddings of a test task: queries, gallery."""
    arrays = load_embeddings(corpus)
    sides = [f"test_{modality}" for modality in direction.split("_to_")]
    return arrays[sides[0]], arrays[sides[1]]


@lru_cache(maxsize=2)
def templates(corpus: str) -> WordTemplates:
    """The word-template baseline, made from the training split; both directions share it."""
    if corpus == "icons":
        every = icons.load_icons()
        train = every.positions("train")
        return WordTemplates([icons.phrase_of(every.names[i]) for i in train], every.images[train])
    images, batch = scenes.training_batch(0, 0, TEMPLATE_SCENES)
    full = np.zeros(TEMPLATE_SCENES, dtype=np.int64)  # caption 0 states everything
    return WordTemplates(scenes.caption_choice(batch, full), images)


def evaluate_system(corpus: str, direction: str, system: str, *, depth: int = DEPTH) -> Evaluation:
    """One system on one test task: `"dual encoder"` from its stored embeddings, or `"word
    templates"`.
    """
    task = test_task(corpus, direction)
    if check_choice(system, ("dual encoder", "word templates"), "system") == "dual encoder":
        return evaluate_task(*stored(corpus, direction), task, depth=depth)
    # Rows are unit or, where no word is known, zero: the inner product is the cosine, and 0 for
    # those.
    return evaluate_task(
        *encode_sides(templates(corpus), task), task, metric="inner_product", depth=depth
    )


def table(
    corpora: Sequence[str] = ("icons", "scenes"), metrics: Sequence[str] = ("R@1", "R@10")
) -> list[dict]:
    """One row per corpus, direction, system and metric (up to rank 10), with 95% intervals and
    chance.

    Returns:
        Tidy rows: corpus, split, direction, system, metric, value, low, high, chance, n_queries,
        n_gallery.
    """
    rows = []
    for corpus in corpora:
        for direction in DIRECTIONS:
            for system in ("dual encoder", "word templates"):
                found = evaluate_system(corpus, direction, system, depth=10).rows()
                rows += [
                    {"corpus": corpus, "system": system, **row}
                    for row in found
                    if row["metric"] in metrics
                ]
    return rows


def markdown(rows: Sequence[dict]) -> str:
    """The table as Markdown, one line per corpus, direction and system, in percent."""
    lines = ["| corpus | direction | system | queries x gallery | R@1 | R@10 |", "|" + " --- |" * 6]
    cells: dict[tuple, dict[str, str]] = {}
    for row in rows:
        sizes = f"{row['n_queries']:,} x {row['n_gallery']:,}"
        key = (row["corpus"], row["direction"].replace("_", " "), row["system"], sizes)
        value, low, high = (100 * row[part] for part in ("value", "low", "high"))
        cells.setdefault(key, {})[row["metric"]] = f"{value:.1f} [{low:.1f}, {high:.1f}]"
        chance = (*key[:2], "chance", sizes)
        cells.setdefault(chance, {})[row["metric"]] = f"{100 * row['chance']:.2f}"
    for key in sorted(cells, key=lambda key: key[:2]):
        lines.append("| " + " | ".join([*key, cells[key]["R@1"], cells[key]["R@10"]]) + " |")
    return "\n".join(lines)
