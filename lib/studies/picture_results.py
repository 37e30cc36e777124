"""Evaluate `pictures` on its test sets from committed embeddings, beside the systems before it."""

import numpy as np

from lib.core.checks import check_choice
from lib.core.memo import memoized
from lib.core.task import RetrievalTask
from lib.datasets import icon_terms, icons, pictures
from lib.index.exact import topk_exact
from lib.metrics import Evaluation
from lib.models.artifact_files import load_embeddings
from lib.models.tokenizer import words_of
from lib.search import evaluate_run, evaluate_task
from lib.studies import search_terms

# Label in tables: (split, source) of `lib.datasets.pictures.task`.
SETS = {
    "icons": ("test", "icons"),
    "icons, test_b": (pictures.TEST_B, "icons"),
    "emoji": ("test", "emoji"),
}
SEEN_TEXTS = ("names of icons", "texts of icons and emoji")  # what a new word is compared with


@memoized(maxsize=8)
def load_set_task(name: str, direction: str = "text_to_image") -> RetrievalTask:
    """Return the task of an entry of `SETS`; it is made once a process."""
    split, source = SETS[check_choice(name, SETS, "name")]
    return pictures.task(split, direction, source)


def set_embeddings(name: str, direction: str = "text_to_image") -> tuple[np.ndarray, np.ndarray]:
    """Return the committed int8 embeddings of an entry of `SETS`: queries, gallery."""
    split, source = SETS[check_choice(name, SETS, "name")]
    arrays = load_embeddings("pictures")
    positions = pictures.load_pictures().positions(split, [source])
    sides = {"image": arrays["all_image"][positions], "text": arrays[f"{source}_{split}_text"]}
    queries, gallery = (sides[modality] for modality in direction.split("_to_"))
    return queries, gallery


def evaluate_set(name: str, direction: str = "text_to_image", *, depth: int = 100) -> Evaluation:
    """Evaluate `pictures` on an entry of `SETS` by its committed embeddings."""
    task = load_set_task(name, direction)
    return evaluate_task(*set_embeddings(name, direction), task, depth=depth)


def terms_run() -> tuple[np.ndarray, np.ndarray]:
    """Search icons for the test terms with the committed embeddings of `pictures`: scores, ids."""
    arrays = load_embeddings("pictures")
    gallery = arrays["all_image"][icon_terms.positions_with_terms("test")]  # icons come first
    return topk_exact(arrays["terms_test_text"], gallery, search_terms.DEPTH, metric="cosine")


def terms_rows() -> list[dict]:
    """Evaluate `pictures` and lexical search on the search terms, with intervals and chance."""
    runs = [("pictures", terms_run())]
    searches = {"names": search_terms.lexical_run}
    searches["names and training captions"] = search_terms.expanded_run
    for texts, search in searches.items():
        for system in ("BM25, words", "BM25, letter triples"):
            runs.append((f"{system} of {texts}", search(system)))
    return search_terms.terms_table(runs, kinds=("all terms", "in no training text"))


def both_models() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the committed int8 embeddings of names and icons of the test split, by model."""
    older = load_embeddings("icons")
    return {
        "dual encoder": (older["test_text"], older["test_image"]),
        "pictures": set_embeddings("icons"),
    }


def names_with_new_words(seen: str = SEEN_TEXTS[0]) -> np.ndarray:
    """Find the test names of icons that hold a word which no training text holds.

    Args:
        seen: `"names of icons"`, the training names that the older model saw, or `"texts of
            icons and emoji"`, the names and captions of their training pictures. Further icon
            families are not counted: their packages are needed for training alone.

    Returns:
        bool (n_names,), aligned with the queries of the test task of icons.
    """
    if check_choice(seen, SEEN_TEXTS, "seen") == SEEN_TEXTS[0]:
        drawn = icons.load_icons()
        texts = [drawn.names[position] for position in drawn.positions("train")]
    else:
        corpus = pictures.load_pictures()
        trained = corpus.positions("train")
        texts = [text for position in trained for text in corpus.captions[position]]
    known = {word for text in texts for word in words_of(text)}
    queries = load_set_task("icons").queries
    return np.array([not known.issuperset(words_of(query)) for query in queries])


def new_word_rows(metrics: tuple[str, ...] = ("R@1", "R@10")) -> list[dict]:
    """Evaluate both models on the names that hold a new word, among all icons of the test split.

    Returns:
        Tidy rows: seen, system, and those of `lib.metrics.Evaluation`.
    """
    sides, task, rows = both_models(), load_set_task("icons"), []
    for seen in SEEN_TEXTS:
        kept = np.flatnonzero(names_with_new_words(seen))
        for system, (queries, gallery) in sides.items():
            run = topk_exact(queries[kept], gallery, 10, metric="cosine")
            found = evaluate_run(run, task.take_queries(kept), metrics=metrics)
            rows += [{"seen": seen, "system": system, **row} for row in found.rows()]
    return rows
