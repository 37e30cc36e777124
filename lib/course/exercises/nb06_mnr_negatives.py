"""Exercises of notebook 06, second part: a batch with hard negatives put right, and mining them."""

import math

import numpy as np

from lib.course.engine import Exercise, Wrong, as_array, call
from lib.course.exercises.nb06_mnr import BIT, in_bits

# ---- mnr.hard_negatives: with scale 5 log 2 each 0.2 doubles the weight. Anchor 0 sees its
# positive with weight 4, that of anchor 1 with 4, its negative with 16 and the other's with 8: 1/8,
# 3 bits. Anchor 1 sees 16 (its own), 4, 8 (its negative) and 4: 1/2, 1 bit.


def _unit(*cosines: tuple[float, float]) -> np.ndarray:
    """Unit vectors with these two coordinates, so with these cosines to the two anchors."""
    return np.array([[x, y, (1 - x * x - y * y) ** 0.5] for x, y in cosines])


ANCHOR = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
POSITIVE = _unit((0.4, 0.4), (0.4, 0.8))  # (2, 3)
NEGATIVE = _unit((0.8, 0.4), (0.6, 0.6))[:, None]  # (2, 1, 3)
HALF_SCALE = 5 * BIT
WRONG_KEYS = {
    1.5: (
        (
            "each anchor is taught to pick a hard negative: they stand first, and row i is judged"
            " by column i"
        ),
        (
            "Where do the positives stand among your keys? Either move them or move what is called"
            " right."
        ),
    ),
    3.6122579299: (
        "the scale is applied twice",
        (
            "Look for a product with scale on more than one line: once on the anchors, once on the"
            " logits."
        ),
    ),
    1.8793899785: (
        (
            "both bugs are still there: hard negatives are called right, and the scale is applied"
            " twice"
        ),
        "Print the logits beside the cosines, and the column of the right key beside its cosine.",
    ),
    1.6961587114: (
        "each anchor sees its own hard negative only",
        (
            "The others' negatives are encoded already and cost one product each: all B K of them"
            " are keys."
        ),
    ),
    1.8073549221: (
        "the positives of the other anchors are missing",
        "They are the in-batch negatives that give the loss its name.",
    ),
    1.4534452978: ("each anchor sees two keys only", "All positives and all negatives are keys."),
    0.6609640474: (
        "the hard negatives are ignored",
        "They are further keys, behind the positives.",
    ),
    3.0: (
        "keys and labels are out of step: positives and negatives alternate",
        "With p, n, p, n the right key of row 1 is not in column 1. Keep all positives together.",
    ),
    4.0: ("it is the sum over the anchors", "The mean is asked for."),
    1.9481762979: ("the scale is missing", "The logits are scale x cosine."),
}


def _loss_with_negatives(function) -> None:
    hint = (
        "Anchor 0: its own key weighs 4 of 32, 3 bits. Anchor 1: 16 of 32, 1 bit. The mean is 2"
        " bits."
    )
    in_bits(function, (ANCHOR, POSITIVE, NEGATIVE, HALF_SCALE), 2, WRONG_KEYS, hint)


def _several_each(function) -> None:
    # The same negatives twice: 4 of 4 + 4 + 48, and 16 of 16 + 4 + 24.
    bits = (math.log2(14) + math.log2(44 / 16)) / 2
    ignored = (
        "of two negatives per anchor only the first is used",
        "Flatten (B, K, d) to (B K, d).",
    )
    given = (ANCHOR, POSITIVE, np.concatenate([NEGATIVE, NEGATIVE], axis=1), HALF_SCALE)
    hint = "Two negatives per anchor make B + 2 B keys, and each anchor sees them all."
    in_bits(function, given, bits, {2.0: ignored}, hint)
    # Anchor 1 turned round: its best keys, two at -0.4, are so low that one maximum for all rows
    # underflows.
    turned = ANCHOR * np.array([[1.0], [-1.0]])
    hint = (
        "At such a scale a row costs 2000 times what its right key lies below the best one: 0.4 in"
        " both."
    )
    in_bits(function, (turned, POSITIVE, NEGATIVE, 2000.0), 800 / BIT + 1 / 2, {}, hint)


# ---- mnr.mine: rows with a tie, with right keys off the diagonal, with negative cosines.

SCORES = np.array(
    [[0.9, 0.5, 0.7, 0.5, 0.1], [0.8, 0.6, 0.2, 0.3, 0.7], [-0.4, -0.2, -0.1, -0.3, -0.5]]
)
RIGHT = np.array([[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0]], dtype=bool)
MINED = np.array([[2, 1, 3], [4, 3, 2], [1, 3, 0]])
WRONG_MINED = (
    (
        [[0, 2, 1], [0, 4, 1], [2, 1, 3]],
        "right keys are returned as negatives",
        "They score highest, so they come first unless you take them out.",
    ),
    (
        [[2, 1, 3], [0, 4, 3], [1, 3, 0]],
        "key 0 is right for query 1 as well, and is returned as its negative",
        "Which keys are right is said by the mask, not by the diagonal.",
    ),
    (
        [[4, 1, 3], [2, 3, 4], [4, 0, 3]],
        "the easiest keys come first",
        "Hard is what the model confuses: the highest cosines among the wrong.",
    ),
    (
        [[2, 3, 1], [4, 3, 2], [1, 3, 0]],
        "equal cosines come in the order of falling ids",
        "Keys 1 and 3 tie for query 0. The smaller id goes first, so that a rerun mines the same.",
    ),
    (
        [[2, 1, 3], [4, 3, 2], [2, 1, 3]],
        "query 2 gets its own right key: all its cosines are negative, and 0 beats them",
        "A right key must lose against anything. Which number is below every cosine?",
    ),
)


def _ids(function) -> None:
    array = as_array(
        call(function, SCORES, RIGHT, 3),
        shape=(3, 3),
        kind="integers",
        meaning="k ids for each query",
    )
    if (np.sort(array, axis=1)[:, 1:] == np.sort(array, axis=1)[:, :-1]).any():
        raise Wrong("a row names the same key twice", "Each negative once.")


def _hardest(function) -> None:
    found = np.asarray(call(function, SCORES, RIGHT, 3))
    if np.array_equal(found, MINED):
        return
    for known, what, hint in WRONG_MINED:
        if np.array_equal(found, known):
            raise Wrong(what, hint)
    row = int((found != MINED).any(axis=1).argmax())
    raise Wrong(
        f"for query {row} it returns {found[row].tolist()}, expected {MINED[row].tolist()}",
        f"Its cosines are {SCORES[row].tolist()}, and it is {RIGHT[row].astype(int).tolist()} that"
        " is right.",
    )


def _one_each(function) -> None:
    found = as_array(
        call(function, SCORES, RIGHT, 1),
        shape=(3, 1),
        kind="integers",
        meaning="one id for each query",
    )
    if not np.array_equal(found, MINED[:, :1]):
        raise Wrong(
            "with k = 1 another key comes first than with k = 3", "k only says where the list ends."
        )
    lowest = np.array([[-1.0, 1.0, -1.0]]), np.array([[True, True, False]])
    found = as_array(call(function, *lowest, 1), shape=(1, 1), kind="integers", meaning="one id")
    if found[0, 0] != 2:
        raise Wrong(
            "a right key comes back where the only wrong one has the lowest cosine, -1",
            "A right key must lose against anything. Which number is below every cosine?",
        )
    # Only three cosines over 300 keys: a sort that does not keep equal ones in place mixes up the
    # ids.
    many = np.random.default_rng(0).integers(0, 3, (2, 300)) / 4
    found = as_array(
        call(function, many, many < 0, 200),
        shape=(2, 200),
        kind="integers",
        meaning="200 ids for each query",
    )
    ranked = np.take_along_axis(many, found, axis=1)
    if ((np.diff(ranked) == 0) & (np.diff(found) < 0)).any():
        raise Wrong(
            "with 300 keys equal cosines come in no fixed order",
            "Not every sort keeps equal items in the order they had; the word for one that does is"
            " 'stable'.",
        )


EXERCISES = (
    Exercise(
        name="mnr.hard_negatives",
        statement=(
            "Return the loss with hard negatives: anchor (B, d), positive (B, d), negatives (B, K,"
            " d), all unit rows, and a scale of any size in, one number out."
        ),
        stages=(_loss_with_negatives, _several_each),
        hints=(
            "There are two bugs. One is in what stands in which column, one is in a number.",
            (
                "Count on a batch of two: which column holds the positive of anchor 0, and which"
                " one is it judged by?"
            ),
            "The scale may be on the anchors or on the logits, not on both.",
        ),
        insight=(
            "Both versions train without an error, and the loss falls. The first learns to retrieve"
            " the hard negative."
        ),
    ),
    Exercise(
        name="mnr.mine",
        statement=(
            "Return the ids of the k wrong keys with the highest cosine for each query, best first,"
            " the smaller id first where they tie: cosines (n, m), right (n, m) of True and False,"
            " and k in, (n, k) out."
        ),
        stages=(_ids, _hardest, _one_each),
        hints=(
            "Take the right keys out of the race, then rank what is left.",
            "A right key gets a score that nothing else can have: minus infinity, in a copy.",
            "Sort stably, from high to low, and keep the first k columns.",
        ),
        insight=(
            "A mask is only as good as the judgements: what is right and not marked is mined first."
        ),
    ),
)
