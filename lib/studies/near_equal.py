"""Compare test names that have a nearly equal training drawing under another name with the rest.

The splits of icons keep concepts and equal pixels apart. A test icon may still nearly equal a
training icon: a folder with another sign, another letter in the same frame. Two drawings are nearly
equal if the means of their 4 x 4 pixels correlate by `NEARLY_EQUAL`, 0.93, the rule by which
further icons are left out of the training. It was judged on a sheet of pairs: from 0.93 on most
differ in a detail, below 0.92 many share nothing but an outline. `crossmodal bench near-equal`
draws the pairs next to the threshold.
"""

import numpy as np
from matplotlib.figure import Figure

from lib.core.checks import check_choice
from lib.core.qrels import Qrels
from lib.datasets import icons, pictures
from lib.datasets.further_icons import NEARLY_EQUAL, closest_drawings
from lib.index.exact import topk_exact
from lib.models.tokenizer import words_of
from lib.plots import contact_sheet
from lib.search import evaluate_run
from lib.studies import picture_results

METRICS = ("R@1", "R@10")
MODELS = ("dual encoder", "pictures")
PARTS = {"with": True, "without": False}
PAIRS = 24  # on the sheet


def training_icons(model: str) -> np.ndarray:
    """Return the positions of the icons that an entry of `MODELS` was trained on."""
    if check_choice(model, MODELS, "model") == "dual encoder":
        return icons.load_icons().positions("train")
    return pictures.load_pictures().positions("train", ["icons"])  # icons come first


def closest_training_icons(model: str) -> tuple[np.ndarray, np.ndarray]:
    """Find the training icon that is most like each test icon: correlations and positions."""
    corpus, trained = icons.load_icons(), training_icons(model)
    test = corpus.images[corpus.positions("test")]
    correlations, which = closest_drawings(test, corpus.images[trained])
    return correlations, trained[which]


def names_with(near: np.ndarray, qrels: Qrels, hit_grade: int) -> np.ndarray:
    """Tell which queries have a hit among the marked pictures.

    Args:
        near: bool (n_items,), the marked pictures.
        qrels: of the queries.
        hit_grade: least grade of a hit.

    Returns:
        bool (n_queries,).
    """
    hits = (qrels.grades >= hit_grade) & near[qrels.items]
    found = np.zeros(qrels.shape[0], dtype=bool)
    found[qrels.query_index[hits]] = True
    return found


def near_equal_names(model: str = "pictures") -> np.ndarray:
    """Tell which test names have a picture that nearly equals a training icon, bool (n_names,)."""
    near = closest_training_icons(model)[0] >= NEARLY_EQUAL
    task = picture_results.load_set_task("icons")
    return names_with(near, task.qrels, task.hit_grade)


def near_equal_rows() -> list[dict]:
    """Evaluate both models from text to image, with and without a nearly equal training icon.

    The gallery is always all icons of the test split, and a model is compared with the icons that
    it was trained on itself.

    Returns:
        Tidy rows: system, near_equal ("with" or "without"), and those of `lib.metrics.Evaluation`.
    """
    task, rows = picture_results.load_set_task("icons"), []
    for model, (queries, gallery) in picture_results.both_models().items():
        near = near_equal_names(model)
        for part, wanted in PARTS.items():
            kept = np.flatnonzero(near == wanted)
            run = topk_exact(queries[kept], gallery, 10, metric="cosine")
            found = evaluate_run(run, task.take_queries(kept), metrics=METRICS)
            rows += [{"system": model, "near_equal": part, **row} for row in found.rows()]
    return rows


def count_shared_words(model: str = "pictures") -> tuple[int, int]:
    """Count nearly equal test icons, and those of them that share a word with the training icon."""
    corpus = icons.load_icons()
    correlations, which = closest_training_icons(model)
    near = np.flatnonzero(correlations >= NEARLY_EQUAL)
    pairs = zip(corpus.positions("test")[near].tolist(), which[near].tolist(), strict=True)
    words = [[set(words_of(corpus.names[position])) for position in pair] for pair in pairs]
    return len(near), sum(bool(own & other) for own, other in words)


def format_rows(rows: list[dict]) -> list[dict[str, str]]:
    """Format `near_equal_rows` in percent: a row per system and part, a column per metric."""
    lines: dict[tuple, dict[str, str]] = {}
    for row in rows:
        part = f"{row['near_equal']} a nearly equal training icon"
        start = {"system": row["system"], "names": part, "n": f"{row['n_queries']:,}"}
        line = lines.setdefault((row["system"], part), start)
        value, low, high = (100 * row[key] for key in ("value", "low", "high"))
        line[row["metric"]] = f"{value:.1f} [{low:.1f}, {high:.1f}]"
    return list(lines.values())


def sentence_of(rows: list[dict], shared: tuple[int, int]) -> str:
    """Say in one sentence how many names have a nearly equal training icon, and what follows."""
    cells = {
        row["near_equal"]: row
        for row in rows
        if row["system"] == "pictures" and row["metric"] == "R@10"
    }
    n, values = {}, {}
    for part, row in cells.items():
        value, low, high = (100 * row[key] for key in ("value", "low", "high"))
        n[part], values[part] = row["n_queries"], f"{value:.1f} [{low:.1f}, {high:.1f}]"
    return (
        f"{n['with']} of {sum(n.values()):,} test names have a picture that nearly equals a"
        f" training icon of another name (correlation of 4 x 4 means at least {NEARLY_EQUAL}; in"
        f" {shared[1]} of {shared[0]} pairs the names share a word): R@10 of pictures is"
        f" {values['with']} with such a drawing and {values['without']} without."
    )


def pairs_sheet(model: str = "pictures") -> Figure:
    """Draw the pairs next to the threshold, test icon and training icon: above it, then below."""
    corpus, (correlations, which) = icons.load_icons(), closest_training_icons(model)
    test, order = corpus.positions("test"), np.argsort(correlations, kind="stable")
    middle = int(np.searchsorted(correlations[order], NEARLY_EQUAL))
    chosen = [*order[middle : middle + PAIRS // 2], *order[middle - PAIRS // 2 : middle][::-1]]
    pairs = [(test[row], which[row], f"{correlations[row]:.3f} ") for row in chosen]
    drawn = [255 - corpus.images[position] for *pair, _ in pairs for position in pair]
    names = [
        label + icons.phrase_of(corpus.names[position])
        for *pair, correlation in pairs
        for position, label in zip(pair, (correlation, ""), strict=True)
    ]
    title = f"test and training icon, correlation at and below {NEARLY_EQUAL}"
    return contact_sheet(drawn, names, title=title, size=1.1, font_size=9)
