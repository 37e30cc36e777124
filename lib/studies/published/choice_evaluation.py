"""Evaluate embeddings on benchmarks of choices: SugarCrepe and Winoground.

A result has one part for all examples and one for each subset, named "image_to_text" and
"image_to_text (swap_obj)". An example stands where other results have a query; its rank is 1 where
its choice is right, else 2.
"""

import json
from collections.abc import Sequence

import numpy as np

from lib.core.checks import RetrievalInputError, unit_rows
from lib.core.writing import sha256_of
from lib.datasets.choices import ChoiceCorpus
from lib.metrics import (
    bootstrap_interval,
    choice_chance,
    paired_chance,
    paired_choices,
    right_choices,
    subset_weights,
)
from lib.metrics.choices import TIES
from lib.studies.published.results import MEAN_ACCURACY, DirectionResult, Measurement

# Score of Winoground -> what is chosen.
PAIRED = {"text": "image_to_text", "image": "text_to_image", "group": "both"}


def evaluate_choices(image_rows, text_rows, corpus: ChoiceCorpus) -> tuple[DirectionResult, ...]:
    """Score the choices of all examples and of each subset, by cosine; a tie is wrong.

        one image:  accuracy, and, where papers report it, the mean over the subsets
        two images: text score, image score, group score

    Args:
        image_rows: `(n_images, d)` embeddings, in the order of the corpus.
        text_rows: `(n_texts, d)` embeddings of all captions, right and wrong.
        corpus: the examples.

    Returns:
        The parts of a `Result`, with 95% intervals by examples; those of one image are a cluster.
    """
    scores = choice_scores(image_rows, text_rows, corpus)  # (n, captions, images)
    answers = {}  # {(what is chosen, metric): (answers, the same with ties for them, chance)}
    if scores.shape[2] == 1:
        right, lenient = (right_choices(scores[:, :, 0], ties=ties) for ties in TIES)
        chance = choice_chance(scores.shape[1])
        answers["image_to_text", "accuracy"] = right, lenient, chance
    else:
        strict, lenient = (vars(paired_choices(scores, ties=ties)) for ties in TIES)
        for name, chance in paired_chance().items():
            answers[PAIRED[name], f"{name} score"] = strict[name], lenient[name], chance
    subsets, parts = np.array(corpus.subsets), []
    for (chosen, metric), answer in answers.items():
        parts.append(_part(chosen, metric, answer, corpus, np.arange(len(subsets))))
    for name in corpus.subset_names:
        rows = np.flatnonzero(subsets == name)
        for (chosen, metric), answer in answers.items():
            parts.append(_part(f"{chosen} ({name})", metric, answer, corpus, rows))
    return tuple(parts)


def choice_scores(image_rows, text_rows, corpus: ChoiceCorpus) -> np.ndarray:
    """Compute the cosine of each caption and each image of an example, `(n, captions, images)`."""
    images, texts = unit_rows(image_rows, "image rows"), unit_rows(text_rows, "text rows")
    if images.shape[1] != texts.shape[1]:
        raise RetrievalInputError(
            f"image rows have dimension {images.shape[1]}, text rows {texts.shape[1]}; a cosine"
            " needs rows of one space"
        )
    scores = np.empty((len(corpus.example_ids), corpus.captions.shape[1], corpus.images.shape[1]))
    for caption, image in np.ndindex(scores.shape[1:]):
        pairs = texts[corpus.captions[:, caption]], images[corpus.images[:, image]]
        # float64 products in one order: equal rows have equal scores.
        scores[:, caption, image] = (pairs[0].astype(np.float64) * pairs[1]).sum(axis=1)
    return scores


def check_no_gallery(corpus, asked: bool) -> None:
    """Refuse options that need a gallery, if they are asked for, on a corpus of choices."""
    if isinstance(corpus, ChoiceCorpus) and asked:
        raise RetrievalInputError(
            f"{corpus.name} asks to choose between few captions or images and has no gallery: leave"
            " out metrics, folds, judgements, inference and TREC files"
        )


def _part(
    direction: str, metric: str, answer: tuple, corpus: ChoiceCorpus, rows: np.ndarray
) -> DirectionResult:
    """Summarise the answers of some examples."""
    right, lenient, chance = answer[0][rows], answer[1][rows], answer[2]
    _, groups = np.unique(corpus.clusters[rows], return_inverse=True)
    values = {metric: _measure(right, groups, chance)}
    if corpus.by_subset and len(rows) == len(corpus.example_ids):
        weights = subset_weights(corpus.subsets)
        values = {MEAN_ACCURACY: _measure(right, groups, chance, weights), **values}
    return DirectionResult(
        direction=direction,
        n_queries=len(rows),
        n_gallery=2 if corpus.images.shape[1] == 2 else corpus.captions.shape[1],
        n_without_relevant=0,
        tie_share=float((right != lenient).mean()),
        values=values,
        first_ranks=np.where(right, 1.0, 2.0),
        map_at_r=right.astype(np.float64),
        queries_checksum=_checksum([corpus.example_ids[row] for row in rows]),
        groups=groups if groups.max() + 1 < len(rows) else None,
    )


def _measure(
    right: np.ndarray, groups: np.ndarray, chance: float, weights: np.ndarray | None = None
) -> Measurement:
    value = float(np.average(right, weights=weights))
    return Measurement(value, *bootstrap_interval(right, groups, weights), chance)


def _checksum(ids: Sequence[str]) -> str:
    return sha256_of(json.dumps(list(ids)).encode())
