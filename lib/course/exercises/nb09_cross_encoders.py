"""Exercises of notebook 09: what only interaction explains, a matching head read right, hard
negatives.
"""

import numpy as np

from lib.course.engine import Exercise, Wrong, as_array, call


def _close(a, b) -> bool:
    return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, rtol=1e-6, atol=1e-9))


def _named(found: np.ndarray, known) -> None:
    for wrong, what, hint in known:
        if _close(found, np.asarray(wrong)):
            raise Wrong(what, hint)


# ---- cross.interaction: rows with means 2, 5; columns with means 4, 3, 3.5; the mean of all is
# 3.5.

SCORES = np.array([[4.0, 1.0, 1.0], [4.0, 5.0, 6.0]])
LEFT_OVER = np.array([[1.5, -0.5, -1.0], [-1.5, 0.5, 1.0]])
WRONG_PARTS = (
    (
        SCORES - SCORES.mean(axis=1, keepdims=True),
        "only what belongs to the query alone is taken away",
        "Each item has a term of its own too: some images score high whatever is asked.",
    ),
    (
        SCORES - SCORES.mean(axis=0),
        "only what belongs to the item alone is taken away",
        (
            "Each query has a term of its own too: some texts score high whatever they are compared"
            " with."
        ),
    ),
    (
        SCORES - SCORES.mean(axis=1, keepdims=True) - SCORES.mean(axis=0),
        "the mean of all scores is taken away twice, once with the rows and once with the columns",
        (
            "The rows of the rest must add up to 0. Yours miss that by the same number everywhere:"
            " add it back."
        ),
    ),
    (
        SCORES - SCORES.mean(),
        "only the mean of all scores is taken away",
        "Every row and every column has a level of its own.",
    ),
    (
        SCORES - LEFT_OVER,
        "it is the part that two terms do explain",
        "Asked for is what is left of the scores without it.",
    ),
)


def _left_over(function) -> None:
    found = as_array(
        call(function, SCORES),
        shape=(2, 3),
        kind="numbers",
        meaning="one number a pair, (n_queries, n_items)",
    )
    if _close(found, LEFT_OVER):
        return
    _named(found, WRONG_PARTS)
    raise Wrong(
        f"the first row is {np.round(found[0], 4).tolist()}, by hand it is {LEFT_OVER[0].tolist()}",
        "Row means are 2 and 5, column means 4, 3 and 3.5, the mean of all 3.5.",
    )


def _nothing_left_of_a_sum(function) -> None:
    sums = np.array([[1.0], [-2.0], [4.0]]) + np.array([0.5, 3.0, -1.0, 2.0])
    found = as_array(
        call(function, sums), shape=(3, 4), kind="numbers", meaning="one number a pair"
    )
    if not np.allclose(found, 0, atol=1e-9):
        raise Wrong(
            f"scores that are a sum f(query) + g(item) leave {np.abs(found).max():.3g}, expected"
            " nothing",
            "Take away the best f and the best g together, not one of them.",
        )


# ---- cross.probability: two logits a pair, (no match, match). Odds are 2^(difference in bits).

BIT = np.log(2)
HEADS = BIT * np.array([[0.0, 0.0], [1.0, 3.0], [4.0, 2.0], [-1.0, 0.0]])
CHANCES = np.array([1 / 2, 4 / 5, 1 / 5, 2 / 3])
WEIGHTS = 2.0 ** np.array([[0, 0], [1, 3], [4, 2], [-1, 0]])
WRONG_CHANCES = (
    (
        1 - CHANCES,
        "it is the probability of no match",
        "Column 1 is the match, column 0 is none.",
    ),
    (
        WEIGHTS[:, 1] / WEIGHTS[:, 1].sum(),
        "the softmax runs over the candidates: they share one certainty among them",
        "Each pair is asked a question of its own. Two logits of one row compete, and rows do not.",
    ),
    (
        WEIGHTS[:, 1] / (1 + WEIGHTS[:, 1]),
        "the logit of no match is ignored",
        (
            "With two classes only their difference says something: add 1 to both and nothing may"
            " change."
        ),
    ),
    (
        HEADS[:, 1] - HEADS[:, 0],
        "it is the difference of the logits",
        "That difference has the right order. A probability lies between 0 and 1.",
    ),
)


def _chance_of_match(function) -> None:
    with np.errstate(all="ignore"):
        result = call(function, HEADS)
    found = as_array(result, shape=(4,), kind="numbers", meaning="one probability a pair, (n,)")
    if _close(found, CHANCES):
        return
    _named(found, WRONG_CHANCES)
    raise Wrong(
        f"it returns {np.round(found, 4).tolist()}, by hand it is {np.round(CHANCES, 4).tolist()}",
        "The logits are whole multiples of log 2, so the odds are 1, 4, 1/4 and 2 to one.",
    )


def _large_logits(function) -> None:
    with np.errstate(all="ignore"):
        result = call(function, np.array([[1000.0, 1001.0], [-2000.0, 0.0], [0.0, -2000.0]]))
    found = np.asarray(result, dtype=float)
    if found.shape != (3,) or not np.isfinite(found).all():
        raise Wrong(
            "logits of 1,000 and more give NaN or infinity",
            "An exponential overflowed. Only the difference counts, and it may be shifted so that"
            " no exponent is above 0.",
        )
    if not np.allclose(found, [1 / (1 + np.exp(-1)), 1, 0], atol=1e-9):
        raise Wrong(
            f"logits of 1,000 and 1,001 give {found[0]:.4g}, as 0 and 1 do they should give 0.7311",
            "Add the same number to both logits, and nothing may change. Clipping changes it.",
        )


# ---- cross.negatives: weights 8 4 2 2, 1 1 4 2, 2 2 2 2; what is right is not on the diagonal
# alone.

LOGITS = BIT * np.array([[3.0, 2, 1, 1], [0, 0, 2, 1], [1, 1, 1, 1]])
SAME = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1]], dtype=bool)
DRAWN = np.array([[0, 1 / 2, 1 / 4, 1 / 4], [1 / 3, 0, 0, 2 / 3], [0, 0, 0, 0]])
_POWERS = np.exp(LOGITS)
_OFF_DIAGONAL = _POWERS * ~np.eye(3, 4, dtype=bool)
_AS_ZERO = np.where(SAME, 1.0, _POWERS)
WRONG_DRAWS = (
    (
        _OFF_DIAGONAL / _OFF_DIAGONAL.sum(axis=1, keepdims=True),
        (
            "only the diagonal is masked: column 2 is right for row 1 as well, and is drawn most"
            " of all"
        ),
        (
            "Which columns are right is said by the mask. A false negative is the hardest one"
            " there is."
        ),
    ),
    (
        _POWERS / _POWERS.sum(axis=1, keepdims=True),
        "nothing is masked: the right column is drawn as its own negative",
        "Take the right columns out before the softmax.",
    ),
    (
        np.where(SAME, 0, _POWERS / _POWERS.sum(axis=1, keepdims=True)),
        "the right columns are taken out after the softmax, so that a row no longer adds up to 1",
        "Take them out of the sum as well: mask first, then normalise.",
    ),
    (
        _AS_ZERO / _AS_ZERO.sum(axis=1, keepdims=True),
        "a masked logit is set to 0, which is a logit like any other",
        "Its exponential is 1, not 0. Which logit has the exponential 0?",
    ),
    (
        (_POWERS * ~SAME) / np.maximum((_POWERS * ~SAME).sum(axis=0, keepdims=True), 1e-300),
        "the softmax runs along the columns",
        "Each row draws one of its columns, so each row adds up to 1.",
    ),
)


def _probabilities(function) -> None:
    with np.errstate(all="ignore"):
        result = call(function, LOGITS, SAME)
    if np.shape(result) == (3, 4) and not np.isfinite(np.asarray(result, dtype=float)[2]).all():
        raise Wrong(
            "row 2 is NaN: every column is right for it, so nothing is left to draw",
            "A row without a wrong column has no negative. All its probabilities are 0.",
        )
    found = as_array(result, shape=(3, 4), kind="numbers", meaning="one probability a pair, (B, M)")
    if _close(found, DRAWN):
        return
    _named(found[:2], [(wrong[:2], what, hint) for wrong, what, hint in WRONG_DRAWS])
    if np.allclose(found[:2], DRAWN[:2]):
        raise Wrong(
            f"row 2 has no wrong column and gets {np.round(found[2], 3).tolist()}",
            "A row without a wrong column has no negative. All its probabilities are 0.",
        )
    raise Wrong(
        f"row 0 is {np.round(found[0], 4).tolist()}, by hand it is {DRAWN[0].tolist()}",
        "The weights of row 0 are 8, 4, 2, 2, and its first column is right: 4, 2, 2 of 8 are"
        " left.",
    )


def _high_logits(function) -> None:
    with np.errstate(all="ignore"):
        shifted = LOGITS + np.array([[900.0], [-900.0], [0.0]])
        found = np.asarray(call(function, shifted, SAME), dtype=float)
    if not _close(found, DRAWN):
        raise Wrong(
            "900 more on every logit of a row, or 900 less, changes its probabilities",
            "Softmax forgives a shift: take the largest logit of each row, of those not masked,"
            " away first.",
        )
    with np.errstate(all="ignore"):
        result = call(function, np.array([[1000.0, 0.0, 1.0]]), np.array([[True, False, False]]))
    found = as_array(result, shape=(1, 3), kind="numbers", meaning="one probability a pair, (B, M)")
    if not _close(found, np.array([[0, 1 / (1 + np.e), np.e / (1 + np.e)]])):
        raise Wrong(
            "beside a right column with a logit of 1,000 the others, 0 and 1, get"
            f" {found[0, 1:].tolist()}",
            "Their exponentials became 0. Mask first, then take away the largest logit of what is"
            " left.",
        )


EXERCISES = (
    Exercise(
        name="cross.probability",
        statement=(
            "Return the probability that each pair matches, (n,): the two logits of a matching"
            " head, (n, 2), in; column 0 says no match, column 1 match."
        ),
        stages=(_chance_of_match, _large_logits),
        hints=(
            "Each pair answers a question with two answers. Who competes with whom?",
            (
                "Softmax over the two classes; with two classes it is the logistic function of a"
                " difference."
            ),
            "Take the larger of the two logits away from both before you exponentiate.",
        ),
        insight=(
            "To rank the candidates of one query, this and the difference of the logits are as"
            " good; the logit of the match alone is not."
        ),
    ),
    Exercise(
        name="cross.interaction",
        statement=(
            "Return what no sum of a term per query and a term per item explains: scores (n, m) in,"
            " (n, m) out, with every row and every column adding up to 0."
        ),
        stages=(_left_over, _nothing_left_of_a_sum),
        hints=(
            "The best term of a query is the mean of its row, once the items' terms are gone.",
            "Take away row means and column means. What did you take away twice?",
            "Scores minus row mean minus column mean plus the mean of all.",
        ),
        insight=(
            "A term per query never changes an order, a term per item changes all orders alike."
            " What answers a query is in what is left."
        ),
    ),
    Exercise(
        name="cross.negatives",
        statement=(
            "Return the probability with which each column is drawn as the hard negative of each"
            " row: logits (B, M) and same (B, M), True where a column is right for the row, in; (B,"
            " M) out. A row to which all columns are right gets zeros."
        ),
        stages=(_probabilities, _high_logits),
        hints=(
            (
                "Three things are wrong: what is masked, when it is masked, and what becomes of a"
                " row without a wrong column."
            ),
            "Masked columns must be gone before the sum is taken.",
            (
                "Mask, shift each row by the largest logit that is left, exponentiate, then divide"
                " by the sum where there is one."
            ),
        ),
        insight=(
            "Negatives are hard because the model believes in them. So is everything that is right"
            " and not marked as right."
        ),
    ),
)
