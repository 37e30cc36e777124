"""Compare the trained models with chance and with baselines: data/RESULTS.md and the README."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from lib.core.checks import check_choice
from lib.core.task import RetrievalTask
from lib.datasets import icons, scenes
from lib.metrics import Evaluation
from lib.models.artifact_files import load_embeddings
from lib.models.baselines import WordTemplates
from lib.search import DEPTH, encode_sides, evaluate_task
from lib.studies import picture_results

DIRECTIONS = ("text_to_image", "image_to_text")
SYSTEMS = ("dual encoder", "word templates")
NEWER = "pictures"  # a model with a pretrained text tower, trained on icons and emoji
SYSTEMS_OF = {
    "icons": (SYSTEMS[0], NEWER, SYSTEMS[1]),
    **{name: (NEWER,) for name in picture_results.SETS if name != "icons"},
    "scenes": SYSTEMS,
}
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


@lru_cache(maxsize=2)
def template_sides(corpus: str) -> tuple[np.ndarray, np.ndarray]:
    """Encode texts and images of a test task with the baseline, once for both directions."""
    return encode_sides(template_baseline(corpus), load_test_task(corpus, "text_to_image"))


def evaluate_system(corpus: str, direction: str, system: str, *, depth: int = DEPTH) -> Evaluation:
    """Evaluate a system of `SYSTEMS_OF` on one test task; trained ones by stored embeddings."""
    systems = SYSTEMS_OF[check_choice(corpus, SYSTEMS_OF, "corpus")]
    if check_choice(system, systems, "system") == NEWER:
        return picture_results.evaluate_set(corpus, direction, depth=depth)
    task = load_test_task(corpus, direction)
    if system == "dual encoder":
        return evaluate_task(*stored_embeddings(corpus, direction), task, depth=depth)
    # Rows have unit length, or are zero where no word is known. The inner product is the cosine
    # of the former and 0 for the latter.
    texts, images = template_sides(corpus)
    sides = (texts, images) if direction == "text_to_image" else (images, texts)
    return evaluate_task(*sides, task, metric="inner_product", depth=depth)


def readme_table(
    corpora: Sequence[str] = tuple(SYSTEMS_OF), metrics: Sequence[str] = ("R@1", "R@10")
) -> list[dict]:
    """Evaluate the systems of every corpus and direction, with 95% intervals and chance.

    Returns:
        Tidy rows: corpus, split, direction, system, metric, value, low, high, chance, n_queries,
        n_gallery.
    """
    return [
        {**row, "corpus": corpus, "system": system}
        for corpus in corpora
        for direction in DIRECTIONS
        for system in SYSTEMS_OF[corpus]
        for row in evaluate_system(corpus, direction, system, depth=10).rows()
        if row["metric"] in metrics
    ]


def harder_queries_table() -> list[dict]:
    """Evaluate harder queries: search terms, names with words that are new.

    Returns:
        Tidy rows: queries (their kind), system, metric, value, low, high, chance, n_queries,
        n_gallery.
    """
    new = picture_results.new_word_rows()
    return [
        *(
            {"queries": f"search terms, {row['terms']}", **row}
            for row in sorted(picture_results.terms_rows(), key=lambda row: row["terms"])
        ),
        *({"queries": f"a word new to the {row['seen']}", **row} for row in new),
    ]


def summary_markdown(rows: Sequence[dict]) -> str:
    """Format the table's trained models, text to image, as the short table of the README."""
    forward = [row for row in rows if row["direction"] == DIRECTIONS[0]]
    lines = _markdown_lines([row for row in forward if row["system"] != SYSTEMS[1]],
                            ("corpus",), ("R@1", "R@10"))  # fmt: skip
    return "\n".join([*lines[:2], *sorted(lines[2:], key=lambda line: line.split(" | ")[:1])])


def readme_markdown(rows: Sequence[dict]) -> str:
    """Format the table as Markdown: a line per corpus, direction and system, in percent."""
    labelled = [{**row, "direction": row["direction"].replace("_", " ")} for row in rows]
    lines = _markdown_lines(labelled, ("corpus", "direction"), ("R@1", "R@10"))
    return "\n".join([*lines[:2], *sorted(lines[2:], key=lambda line: line.split(" | ")[:2])])


def harder_queries_markdown(rows: Sequence[dict]) -> str:
    """Format `harder_queries_table` as Markdown: a line per kind of queries and system."""
    return "\n".join(_markdown_lines(rows, ("queries",), ("nDCG@10", "R@10")))


def _markdown_lines(
    rows: Sequence[dict], about: Sequence[str], metrics: Sequence[str]
) -> list[str]:
    """Lines of a table: for each label a line per system, and one of chance after the first."""
    head = [*about, "system", "queries x gallery", *metrics]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    cells: dict[tuple, dict[str, str]] = {}
    for row in rows:
        label = *(row[name] for name in about), row["system"]
        key = *label, f"{row['n_queries']:,} x {row['n_gallery']:,}"
        value, low, high = (100 * row[part] for part in ("value", "low", "high"))
        cells.setdefault(key, {})[row["metric"]] = f"{value:.1f} [{low:.1f}, {high:.1f}]"
        chance = *label[:-1], "chance", key[-1]
        cells.setdefault(chance, {})[row["metric"]] = f"{100 * row['chance']:.2f}"
    for key, values in cells.items():
        shown = [values.get(metric, "") for metric in metrics]
        lines.append("| " + " | ".join([*key, *shown]) + " |")
    return lines
