"""Scores of zero-shot classification: accuracies and mean recall of the classes."""

from dataclasses import replace

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.datasets.class_folders import ClassifiedPictures
from lib.studies.published.results import DirectionResult, Measurement, hit_cut

KS = (1, 5)  # of the accuracies that papers report
MEAN_RECALL = "mean_per_class_recall"  # CLIP_benchmark's names: acc1, acc5 and this one
LEVEL, N_DRAWS = 0.95, 2000


def usual_accuracies(corpus: ClassifiedPictures) -> tuple[str, ...]:
    """Return the hit rates that become accuracies; with few classes, top 5 says nothing."""
    return tuple(f"R@{k}" for k in KS if k < len(corpus.item_ids))


def check_no_prompt(prompt: str | None, none: str) -> None:
    """Refuse a prompt of the encoder around the templates of the classes."""
    if prompt not in (None, "", none):
        raise RetrievalInputError(
            f"class folders bring their own templates, and the prompt {prompt!r} would stand around"
            " them; leave it out, and put it into templates.txt"
        )


def as_accuracies(part: DirectionResult, corpus: ClassifiedPictures) -> DirectionResult:
    """Name hit rates as accuracies, and add the mean recall of the classes.

        acc_k = share of pictures whose class is among the k best; a tie counts as wrong
        mean_per_class_recall = mean over classes c of the acc_1 of the pictures of c

    Intervals of accuracies draw pictures; those of the mean recall draw pictures within each class.
    The classes stay as they are. Classes without a picture have no recall.
    """
    values = {}
    for name, measured in part.values.items():
        cut = hit_cut(name)
        values[name if cut is None else f"acc{cut}"] = measured
    if "acc1" in values:
        hits, labels = part.hits(1), corpus.labels
        n_pictures = np.bincount(labels, minlength=len(corpus.item_ids))
        n_right = np.bincount(labels, hits, minlength=len(corpus.item_ids))[n_pictures > 0]
        recalls = mean_recall_interval(n_right, n_pictures[n_pictures > 0])
        values[MEAN_RECALL] = Measurement(*recalls, chance=values["acc1"].chance)
    return replace(part, values=values)


def mean_recall_interval(
    n_right: np.ndarray, n_pictures: np.ndarray, *, seed: int = 0
) -> tuple[float, float, float]:
    """Compute the mean recall of classes and its 95% interval by a bootstrap within each class.

        draw n_c pictures of class c with replacement: Binomial(n_c, right_c / n_c) are right

    Args:
        n_right, n_pictures: `(n_classes,)` pictures that are right, and all of them, at least one.
        seed: of the draws.

    Returns:
        Value and ends of the interval; they are NaN where each class has a single picture, which
        says nothing about the sampling error.
    """
    recalls = np.asarray(n_right, dtype=float) / n_pictures
    value = float(recalls.mean())
    if n_pictures.max() == 1:
        return value, np.nan, np.nan
    rng = np.random.default_rng(seed)
    drawn = rng.binomial(n_pictures, recalls, size=(N_DRAWS, n_pictures.size)) / n_pictures
    low, high = np.quantile(drawn.mean(axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return value, float(low), float(high)
