"""Exercises of notebook 06, first part: the ranking loss and its gradient."""

import math
from collections.abc import Callable, Mapping

import numpy as np

from lib.course.engine import Exercise, Wrong, as_array, as_number, call

BIT = math.log(2)


def close(a, b) -> bool:
    return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, rtol=1e-5, atol=1e-7))


def _number(function: Callable, given: tuple) -> float:
    with np.errstate(all="ignore"):
        result = call(function, *given)
    if np.size(result) == 1 and not np.isfinite(np.asarray(result, dtype=float)).all():
        raise Wrong(
            "the loss is infinite or NaN",
            "An exponential overflowed, or a logarithm met a 0. Softmax forgives a shift: take the"
            " largest logit of each row away first.",
        )
    return as_number(result, meaning="one number, the mean over the anchors")


def in_bits(
    function: Callable, given: tuple, bits: float, known: Mapping[float, tuple[str, str]], hint: str
) -> None:
    """The right loss is so many bits; of the wrong ones, those in `known` (in bits too) are
    named.
    """
    value = _number(function, given)
    if close(value, bits * BIT):
        return
    for wrong, said in known.items():
        if close(value, wrong * BIT):
            raise Wrong(*said)
    raise Wrong(
        f"it returns {value:.5g}, by hand it is {bits:.4g} x log 2 = {bits * BIT:.5g}", hint
    )


# ---- mnr.loss: with scale 10 log 2 a cosine that is 0.1 higher weighs twice as much. The weights
# of the rows are 16 4 4 8, 16 4 4 8 and 8 8 8 8 of 32, so the right keys have 1/2, 1/8, 1/4: 1, 3
# and 2 bits.

COSINES = np.array([[0.4, 0.2, 0.2, 0.3], [0.3, 0.1, 0.1, 0.2], [0.2, 0.2, 0.2, 0.2]])
SCALE = 10 * BIT
# At scale 2000 row 1 lies so low that the maximum of all cells in place of its own underflows.
FAR_APART = np.array([[0.9, 0.5], [0.1, -0.3]])
ON_PAPER = (
    "Scale 10 log 2: each 0.1 doubles the weight. The right keys hold 1/2, 1/8 and 1/4 of their"
    " rows, that is 1, 3 and 2 bits."
)
WRONG_LOSS = {
    6.0: (
        "it is the sum over the anchors",
        "The mean is asked for: another batch size, the same loss.",
    ),
    2.0 / BIT: ("the logarithm is base 2", "The loss is in nats: use the natural logarithm."),
    -2.0: ("the sign is turned: good models get the higher value", "Minus the log of the share."),
    1.0986122887 / BIT: (
        "only the first B keys are in the sum: the last column is ignored",
        "Keys beyond the B positives are hard negatives. They belong to every row's sum.",
    ),
    1.0284481441 / BIT: (
        "the softmax runs along the columns: keys pick an anchor",
        "Anchors are rows, and it is the anchor that picks. Sum over the keys of a row.",
    ),
    1.2073712526 / BIT: (
        "it averages both directions, as CLIP does",
        "Here only anchors pick keys. The extra column has no anchor that could be its own.",
    ),
    1.0148408126 / BIT: (
        "the right key is missing from the sum",
        "The sum runs over all keys of the row, its own among them: a share cannot exceed 1.",
    ),
    1.3839376605 / BIT: (
        "the cosines are divided by the scale",
        "Scale is one over temperature: multiply.",
    ),
    1.3719487403 / BIT: ("the scale is missing", "The logits are scale x cosine."),
    3.6706464191 / BIT: ("the scale is applied twice", "The logits are scale x cosine, once."),
    1.2321436813 / BIT: (
        "the shares were averaged before the logarithm",
        "Each anchor has its own loss, the mean comes last.",
    ),
    1.5018188912 / BIT: (
        "every key counts as right: the mean runs over all cells",
        "Row i is judged by column i alone.",
    ),
    0.9241962407 / BIT: (
        "the best key of each row is taken for the right one",
        "Which key is right does not depend on the scores: for row i it is column i.",
    ),
}


def _one_number(function) -> None:
    _number(function, (COSINES[:, :3], SCALE))


def _shares(function) -> None:
    in_bits(function, (COSINES, SCALE), 2, WRONG_LOSS, ON_PAPER)


def _does_not_overflow(function) -> None:
    # The first anchor is right, the second is wrong by 0.4, which costs 0.4 x 2000.
    value = _number(function, (FAR_APART, 2000.0))
    if not close(value, 400.0):
        raise Wrong(
            f"with scale 2000 it returns {value:.5g}, expected 400",
            "At such a scale a row costs 2000 times what its right key lies below the best one.",
        )


# ---- mnr.gradient: of the same batch.

GRADIENT = SCALE / 3 * (np.array([[16, 4, 4, 8], [16, 4, 4, 8], [8, 8, 8, 8]]) / 32 - np.eye(3, 4))


def _shape_of_gradient(function) -> None:
    as_array(
        call(function, COSINES, SCALE),
        shape=(3, 4),
        kind="numbers",
        meaning="one force per anchor and key",
    )


def _forces(function) -> None:
    found = np.asarray(call(function, COSINES, SCALE), dtype=float)
    if close(found, GRADIENT):
        with np.errstate(all="ignore"):
            found = np.asarray(call(function, FAR_APART, 2000.0), dtype=float)
        if not close(found, 1000.0 * np.array([[0.0, 0.0], [1.0, -1.0]])):
            raise Wrong(
                f"at scale 2000 row 1 is {found[1].tolist()}, expected [1000, -1000]",
                "An exponential overflowed: take the largest logit of each row away first; it"
                " cancels.",
            )
        return
    factors = {
        -1: (
            "the signs are turned: right pairs are pushed apart",
            "Share minus target, not the reverse.",
        ),
        3: ("it is B times too large", "The loss is a mean over B anchors, so is its gradient."),
        1 / SCALE: (
            "it is the gradient on the logits",
            (
                "A cosine reaches the loss through scale x cosine: the chain rule brings the scale"
                " along."
            ),
        ),
        3 / SCALE: (
            "it is share minus target and no more",
            "The mean over B and the scale are missing.",
        ),
        1 / 4: (
            "it is divided by the number of cells",
            "There are B anchors in the mean, whatever M is.",
        ),
        3 / 4: (
            "it is divided by the number of keys",
            "There are B anchors in the mean, whatever M is.",
        ),
        1 / SCALE**2: ("it is divided by the scale", "The chain rule multiplies by it."),
    }
    for factor, said in factors.items():
        if close(found, factor * GRADIENT):
            raise Wrong(*said)
    if close(found, GRADIENT + SCALE / 3 * np.eye(3, 4)):
        raise Wrong(
            "nothing is pulled: the target is missing", "Take 1 away where the key is right."
        )
    if not np.allclose(found.sum(axis=1), 0, atol=1e-6):
        raise Wrong(
            f"the rows sum to {np.round(found.sum(axis=1), 3).tolist()}",
            "In each row, what pulls the right key equals what pushes the others: shares over the"
            " keys of the row, minus 1 at its own.",
        )
    raise Wrong(
        f"row 0 is {np.round(found[0], 3).tolist()}, by hand {np.round(GRADIENT[0], 3).tolist()}",
        "The shares of row 0 are 1/2, 1/8, 1/8, 1/4. Take the target away, divide by B, multiply by"
        " scale.",
    )


EXERCISES = (
    Exercise(
        name="mnr.loss",
        statement=(
            "Return the multiple negatives ranking loss: cosines (B, M) with M >= B, the right key"
            " of row i in column i, and a scale of any size in, one number out."
        ),
        stages=(_one_number, _shares, _does_not_overflow),
        hints=(
            (
                "Logits first: scale times cosine. Then, in each row, the share of the right key in"
                " the sum of the exponentials."
            ),
            (
                "Minus the logarithm of that share, averaged over the rows: the log of the sum of"
                " exponentials minus the right logit."
            ),
            (
                "For large scales: subtract the row's maximum inside the exponential and add it"
                " back outside the logarithm."
            ),
        ),
        insight=(
            "With more keys than anchors nothing changes but the sum, which is all that hard"
            " negatives are to this loss."
        ),
    ),
    Exercise(
        name="mnr.gradient",
        statement=(
            "Return the gradient of the loss on the cosines: cosines (B, M), the right key of row i"
            " in column i, and a scale of any size in, (B, M) out."
        ),
        stages=(_shape_of_gradient, _forces),
        hints=(
            "On the logits it is softmax minus target, divided by the number of anchors.",
            "The target is 1 in column i of row i, also when there are more columns than rows.",
            "From logits to cosines: multiply by the scale.",
        ),
        insight=(
            "Rows sum to 0, columns need not: nothing asks a key to balance its anchors. That is"
            " the direction the loss leaves out."
        ),
    ),
)
