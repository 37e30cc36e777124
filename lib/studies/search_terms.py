"""Compare encoders with lexical search on the search terms of Font Awesome."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import chain

import numpy as np

from lib.core.checks import check_choice
from lib.core.memo import memoized
from lib.core.task import RetrievalTask
from lib.datasets import icon_terms, icons, pictures
from lib.index.exact import topk_exact
from lib.metrics import Evaluation
from lib.metrics.geometry import to_int8
from lib.models.tokenizer import words_of
from lib.search import evaluate_run
from lib.search.bm25 import BM25Retriever, letter_grams_of, stems_of

METRICS = ("nDCG@10", "R@10")
DEPTH = 10
# Lexical systems by their tokens, all with k1 = 1.2 and b = 0.75. On validation no other k1 and b
# gain more than 0.1 points of nDCG@10.
LEXICAL = {
    "BM25, words": words_of,
    "BM25, words without plural": stems_of,
    "BM25, letter triples": letter_grams_of,
}


@memoized(maxsize=4)
def load_terms_task(split: str = "test", gallery: str = icon_terms.GALLERIES[0]) -> RetrievalTask:
    """Return the task from search terms to icons; it is made once a process."""
    return icon_terms.task(split, "text_to_image", gallery)


def gallery_names(split: str = "test", gallery: str = icon_terms.GALLERIES[0]) -> list[str]:
    """Return the names of a gallery's icons as phrases: the documents of a lexical search."""
    check_choice(gallery, icon_terms.GALLERIES, "gallery")
    corpus = icons.load_icons()
    with_terms = gallery == icon_terms.GALLERIES[0]
    positions = icon_terms.positions_with_terms(split) if with_terms else corpus.positions(split)
    return [icons.phrase_of(corpus.names[position]) for position in positions]


def lexical_run(
    system: str = "BM25, words", split: str = "test", gallery: str = icon_terms.GALLERIES[0]
) -> tuple[np.ndarray, np.ndarray]:
    """Search the names of the gallery for each term with one system of `LEXICAL`.

    Returns:
        `(scores, ids)`, both (n_terms, 10); -1 where no further name shares a token with the term.
        Filled by a random order instead, these places would add at most chance to a metric.
    """
    tokens_of = LEXICAL[check_choice(system, LEXICAL, "system")]
    return _bm25_run(gallery_names(split, gallery), split, gallery, tokens_of)


def _bm25_run(
    texts: Sequence[str],
    split: str,
    gallery: str,
    tokens_of: Callable[[str], list[str]] = words_of,
) -> tuple[np.ndarray, np.ndarray]:
    retriever = BM25Retriever(texts, tokens_of=tokens_of)
    return retriever.search(retriever.encode(load_terms_task(split, gallery).queries), DEPTH).ranked


def training_captions() -> list[tuple[str, ...]]:
    """Return the captions that `pictures` learns, of each training icon and emoji, name first."""
    corpus = pictures.load_pictures()
    return [corpus.captions[p] for p in corpus.positions("train", pictures.GALLERIES).tolist()]


def expand_names(names: Sequence[str], captions: Iterable[Sequence[str]]) -> list[str]:
    """Expand each name by the further captions of training pictures that share a word with it.

    The document of a name is the name itself and, for each different word of it, the further
    captions of every training picture whose own name holds that word. A caption stands there as
    often as such pictures bear it, so BM25 weighs a term by how many of them do.

    Args:
        names: phrases, such as "alarm clock".
        captions: of each training picture, its name first.

    Returns:
        The documents, one for each name.
    """
    borne: dict[str, list[str]] = {}  # by word: captions of the pictures that are named with it
    for name, *further in captions:
        for word in set(words_of(name)):
            borne.setdefault(word, []).extend(further)
    return [
        " ".join(
            [name, *chain.from_iterable(borne.get(w, ()) for w in dict.fromkeys(words_of(name)))]
        )
        for name in names
    ]


def expanded_run(
    system: str = "BM25, words", split: str = "test", gallery: str = icon_terms.GALLERIES[0]
) -> tuple[np.ndarray, np.ndarray]:
    """Search names that training captions expand, by BM25: what the model could copy.

    Queries, gallery and training captions are those of the model `pictures`: the captions of
    training icons and emoji, without those that name a held-out concept. One condition differs:
    BM25 reads the names of the gallery's icons, and the model sees their pixels instead. Expanding
    the queries by training names in place of the documents was tried too: it finds more on
    validation and less on test. Letter triples find more than words on validation.

    Returns:
        `(scores, ids)` as `lexical_run`.
    """
    tokens_of = LEXICAL[check_choice(system, LEXICAL, "system")]
    documents = expand_names(gallery_names(split, gallery), training_captions())
    return _bm25_run(documents, split, gallery, tokens_of)


@lru_cache(maxsize=4)
def term_subsets(split: str = "test") -> Mapping[str, np.ndarray]:
    """Return the kinds of terms of `lib.datasets.icon_terms.term_subsets`, and one more.

    Returns:
        Also `"in no training text"`: terms "not in training" that are no name and no caption of a
        training emoji either. Names of further icons are not counted.
    """
    subsets = dict(icon_terms.term_subsets(split))
    learnt = {tuple(words_of(text)) for own in training_captions() for text in own}
    queries = load_terms_task(split).queries
    new = np.array([tuple(words_of(query)) not in learnt for query in queries])
    subsets["in no training text"] = subsets["not in training"] & new
    return subsets


def encoder_run(
    encoder,
    split: str = "test",
    gallery: str = icon_terms.GALLERIES[0],
    *,
    pictures_of: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Search the pictures of the gallery for each term, with int8 embeddings as they are stored.

    Args:
        encoder: anything with `encode_text` and `encode_image`.
        split, gallery: of `lib.datasets.icon_terms.task`.
        pictures_of: turns icons, uint8 (n, 64, 64) with bright ink, into the encoder's input; for a
            colour model for example (n, 64, 64, 3). None: the encoder takes icons.

    Returns:
        `(scores, ids)`, both (n_terms, 10).
    """
    task = load_terms_task(split, gallery)
    pictures = task.gallery if pictures_of is None else pictures_of(task.gallery)
    sides = encoder.encode_text(task.queries), encoder.encode_image(pictures)
    return topk_exact(*map(to_int8, sides), DEPTH, metric="cosine")


def evaluate_terms(
    run: tuple[np.ndarray, np.ndarray],
    split: str = "test",
    gallery: str = icon_terms.GALLERIES[0],
    terms: str = "all terms",
) -> Evaluation:
    """Evaluate a run of all terms of a split on one of `term_subsets`."""
    subsets = term_subsets(split)
    kept = np.flatnonzero(subsets[check_choice(terms, subsets, "terms")])
    scores, ids = (array[kept] for array in run)
    task = load_terms_task(split, gallery).take_queries(kept)
    return evaluate_run((scores, ids), task, metrics=METRICS)


def terms_table(
    runs: Iterable[tuple[str, tuple[np.ndarray, np.ndarray]]],
    split: str = "test",
    gallery: str = icon_terms.GALLERIES[0],
    kinds: Sequence[str] = ("all terms", "not in a name", "not in training"),
) -> list[dict]:
    """Evaluate named runs on kinds of terms, with 95% intervals by concept and chance.

    Args:
        runs: pairs of a system's name and its run, of `encoder_run` or `lexical_run`.
        split, gallery: those of the runs.
        kinds: names of `term_subsets`.

    Returns:
        Tidy rows: corpus, gallery, terms, system, and those of `lib.metrics.Evaluation`.
    """
    labels = {"corpus": icon_terms.NAME, "gallery": gallery}
    return [
        {**labels, "terms": kind, "system": system, **row}
        for system, run in runs
        for kind in kinds
        for row in evaluate_terms(run, split, gallery, kind).rows()
    ]
