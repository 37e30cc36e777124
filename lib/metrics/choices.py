"""Choices between a right caption and wrong ones, and between two pairs that differ in word order.

A tie is no choice: it counts as wrong. Every function returns one value for each example; the mean
of the values is the score of a paper.
"""

from dataclasses import dataclass
from itertools import permutations

import numpy as np

from lib.core.checks import RetrievalInputError, as_array, check_choice, check_count, check_finite

TIES = ("pessimistic", "optimistic")


def right_choices(scores, *, ties: str = "pessimistic") -> np.ndarray:
    """Test for each example whether the right choice has the highest score.

        right_i = s_i0 > max(s_i1, ..., s_im)

    Args:
        scores: `(n, m)`, at least two choices; column 0 is the right one.
        ties: "pessimistic" counts a tie as wrong, as above; "optimistic" counts it as right.

    Returns:
        `(n,)` bool; the mean is the accuracy.

    Reference: Hsieh et al. 2023, "SugarCrepe: fixing hackable benchmarks for vision-language
    compositionality"; their main_eval.py asks `pos_score > neg_score`.
    """
    scores = _scores(scores, 2)
    best_wrong = scores[:, 1:].max(axis=1)
    check_choice(ties, TIES, "ties")
    return scores[:, 0] > best_wrong if ties == "pessimistic" else scores[:, 0] >= best_wrong


@dataclass(frozen=True)
class PairedChoices:
    """Hold the three answers of each example with two captions and two images, `(n,)` bool each."""

    text: np.ndarray
    image: np.ndarray
    group: np.ndarray


def paired_choices(scores, *, ties: str = "pessimistic") -> PairedChoices:
    """Test the choices between two captions and two images: text, image and group score.

        text  = s(c0, i0) > s(c1, i0)  and  s(c1, i1) > s(c0, i1)   the caption of each image
        image = s(c0, i0) > s(c0, i1)  and  s(c1, i1) > s(c1, i0)   the image of each caption
        group = text and image

    Args:
        scores: `(n, 2, 2)`, `[example, caption, image]`; caption j belongs to image j.
        ties: "pessimistic" counts a tie as wrong, as above; "optimistic" counts it as right.

    Returns:
        `PairedChoices`; the mean of each array is the score.

    Reference: Thrush et al. 2022, "Winoground: probing vision and language models for
    visio-linguistic compositionality", equations 1 to 3.
    """
    scores = _scores(scores, 3)
    if scores.shape[1:] != (2, 2):
        raise RetrievalInputError(
            f"scores must have shape (examples, 2 captions, 2 images), got {scores.shape}"
        )
    check_choice(ties, TIES, "ties")
    above = np.greater if ties == "pessimistic" else np.greater_equal
    own0, own1 = scores[:, 0, 0], scores[:, 1, 1]
    text = above(own0, scores[:, 1, 0]) & above(own1, scores[:, 0, 1])
    image = above(own0, scores[:, 0, 1]) & above(own1, scores[:, 1, 0])
    return PairedChoices(text, image, text & image)


def choice_chance(n_choices: int) -> float:
    """Compute the accuracy of random scores without ties, 1 / n_choices."""
    return 1 / check_count(n_choices, "n_choices", least=2)


def paired_chance() -> dict[str, float]:
    """Compute text, image and group score of random scores without ties, from all 24 orders.

    Text and image are 1/4. Group is 1/6, not 1/16: the two answers hang together.
    """
    orders = np.array(list(permutations(range(4)))).reshape(-1, 2, 2)
    return {name: float(right.mean()) for name, right in vars(paired_choices(orders)).items()}


def subset_weights(subsets) -> np.ndarray:
    """Weight examples so that their mean becomes the mean of the means of the subsets.

        mean over F subsets f of mean over n_f examples = mean over all n of x n / (F n_f)

    Args:
        subsets: `(n,)` name or number of the subset of each example.

    Returns:
        `(n,)` float64.
    """
    names = as_array(subsets, "subsets")
    if names.ndim != 1 or names.size == 0:
        raise RetrievalInputError(f"subsets must be a list of names, got shape {names.shape}")
    _, at, sizes = np.unique(names, return_inverse=True, return_counts=True)
    return names.size / (sizes.size * sizes[at])


def _scores(scores, ndim: int) -> np.ndarray:
    """Return finite scores with that many axes and at least one example."""
    array = as_array(scores, "scores")
    if array.ndim != ndim or array.dtype.kind not in "iuf" or not array.size or array.shape[1] < 2:
        shape = {2: "(examples, at least 2 choices)", 3: "(examples, 2 captions, 2 images)"}[ndim]
        raise RetrievalInputError(
            f"scores must be numbers of shape {shape}, got {array.dtype} {array.shape}"
        )
    flat = array.reshape(len(array), -1)
    check_finite(flat, "scores", "a score must be a number. Find its source")
    return array
