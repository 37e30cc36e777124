"""Compare the dual encoders with chance and a baseline that learns nothing, in one table."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from lib.core.checks import check_choice
from lib.core.task import RetrievalTask
from lib.datasets import icons, scenes
from lib.metrics import Evaluation
from lib.models.baselines import WordTemplates
from lib.models.trained_models import load_embeddings
from lib.search import DEPTH, encode_sides, evaluate_task

DIRECTIONS = ("text_to_image", "image_to_text")
SYSTEMS = ("dual encoder", "word templates")
TASKS: dict[str, Callable[..., RetrievalTask]] = {"icons": icons.task, "scenes": scenes.task}
TEMPLATE_SCENES = 10_000


@lru_cache(maxsize=4)
def load_test_task(corpus: str, direction: str) -> RetrievalTask:
    """Return the test task of "icons" or "scenes"; it is made once a process."""
    return TASKS[check_choice(corpus, TASKS, "corpus")]("test", direction)


def stored_embeddings(corpus: str, direction: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the committed int8 embeddings of a test task: queries, gallery."""
    arrays = load_embeddings(corpus)
    queries, gallery = (arrays[f"test_{modality}"] for modality in direction.split("_to_"))
    return queries, gallery


@lru_cache(maxsize=2)
def template_baseline(corpus: str) -> WordTemplates:
    """Make the word-template baseline from the training split."""
    if corpus == "icons":
        corpus_icons = icons.load_icons()
        train = corpus_icons.positions("train")
        phrases = [icons.phrase_of(corpus_icons.names[i]) for i in train]
        return WordTemplates(phrases, corpus_icons.images[train])
    images, batch = scenes.training_batch(0, 0, TEMPLATE_SCENES)
    full_captions = np.zeros(TEMPLATE_SCENES, dtype=np.int64)  # caption 0 states everything
    return WordTemplates(scenes.caption_choice(batch, full_captions), images)


def evaluate_system(corpus: str, direction: str, system: str, *, depth: int = DEPTH) -> Evaluation:
    """Evaluate one of `SYSTEMS` on one test task; the dual encoder by its stored embeddings."""
    task = load_test_task(corpus, direction)
    if check_choice(system, SYSTEMS, "system") == "dual encoder":
        return evaluate_task(*stored_embeddings(corpus, direction), task, depth=depth)
    # Rows have unit length, or are zero where no word is known. The inner product is the cosine
    # of the former and 0 for the latter.
    sides = encode_sides(template_baseline(corpus), task)
    return evaluate_task(*sides, task, metric="inner_product", depth=depth)


def readme_table(
    corpora: Sequence[str] = ("icons", "scenes"), metrics: Sequence[str] = ("R@1", "R@10")
) -> list[dict]:
    """Evaluate both systems on every corpus and direction, with 95% intervals and chance.

    Returns:
        Tidy rows: corpus, split, direction, system, metric, value, low, high, chance, n_queries,
        n_gallery.
    """
    return [
        {"corpus": corpus, "system": system, **row}
        for corpus in corpora
        for direction in DIRECTIONS
        for system in SYSTEMS
        for row in evaluate_system(corpus, direction, system, depth=10).rows()
        if row["metric"] in metrics
    ]


def readme_markdown(rows: Sequence[dict]) -> str:
    """Format the table as Markdown: a line per corpus, direction and system, in percent."""
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
