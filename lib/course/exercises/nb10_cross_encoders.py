"""Exercises of notebook 10: what only interaction explains, a matching head, hard negatives."""

import numpy as np

from lib.course.cases import Case, Exercise

BIT = np.log(2)

# ---- cross.probability: two logits a pair, (no match, match). Odds are 2^(difference in bits).

HEADS = BIT * np.array([[0.0, 0.0], [1.0, 3.0], [4.0, 2.0], [-1.0, 0.0]])
CHANCES = np.array([1 / 2, 4 / 5, 1 / 5, 2 / 3])
MATCH = np.array([1.0, 8.0, 4.0, 1.0])  # exp of the logits of a match
LARGE = np.array([[1000.0, 1001.0], [-2000.0, 0.0], [0.0, -2000.0]])

probability = Exercise(
    "cross.probability",
    """Return the probability that each pair matches, (n,): the two logits of a matching head, (n,
    2), in; column 0 says no match, column 1 match.""",
    (
        Case((HEADS,), CHANCES, mistakes={
            "it is the probability of no match | Column 1 is the match, column 0 is none.":
                1 - CHANCES,
            "the softmax runs over the candidates: they share one certainty among them | Each pair"
            " is a question of its own. Two logits of one row compete, and rows do not.":
                MATCH / MATCH.sum(),
            "the logit of no match is ignored | With two classes only their difference counts: add"
            " 1 to both and nothing may change.": MATCH / (1 + MATCH),
            "it is the difference of the logits | That difference has the right order. A"
            " probability lies between 0 and 1.": HEADS[:, 1] - HEADS[:, 0],
        }, otherwise="The logits are whole multiples of log 2, so the odds are 1, 4, 1/4 and 2 to"
            " one.", meaning="one probability a pair, (n,)"),
        Case((LARGE,), np.array([1 / (1 + np.exp(-1)), 1, 0]), mistakes={
            "logits of 1,000 and more give NaN or infinity | An exponential overflowed. Only the"
            " difference counts: shift both so that no exponent is above 0.":
                lambda chances: not np.isfinite(chances).all(),
        }, otherwise="Logits of 1,000 and 1,001 must give the same as 0 and 1: 0.7311. Add the same"
            " number to both logits, and nothing may change. Clipping changes it.",
            given="for logits of 1,000 and more", finite=False),
    ),
    """- Each pair is a question with two answers. Which logits compete?
    - Softmax over the two classes; with two classes it is the logistic function of a difference.
    - Take the larger of the two logits away from both before you exponentiate.""",
    "To rank the candidates of one query, this and the difference of the logits are as good; the"
    " logit of the match alone is not.",
)  # fmt: skip

# ---- cross.interaction: rows with means 2, 5; columns with means 4, 3, 3.5; the mean of all is
# 3.5.

SCORES = np.array([[4.0, 1.0, 1.0], [4.0, 5.0, 6.0]])
ROW_MEANS, COLUMN_MEANS = np.array([[2.0], [5.0]]), np.array([4.0, 3.0, 3.5])
LEFT_OVER = np.array([[1.5, -0.5, -1.0], [-1.5, 0.5, 1.0]])
SUMS = np.array([[1.0], [-2.0], [4.0]]) + np.array([0.5, 3.0, -1.0, 2.0])

interaction = Exercise(
    "cross.interaction",
    """Return what no sum of a term per query and a term per item explains: scores (n, m) in, (n, m)
    out, with every row and every column adding up to 0.""",
    (
        Case((SCORES,), LEFT_OVER, mistakes={
            "only the term of the query is taken away | Each item has a term of its own too: some"
            " images score high for every query.": SCORES - ROW_MEANS,
            "only the term of the item is taken away | Each query has a term of its own too: some"
            " texts score high with every image.": SCORES - COLUMN_MEANS,
            "the mean of all scores is taken away twice, once with the rows and once with the"
            " columns | The rows of the rest must add up to 0. Yours miss that by the same number"
            " everywhere: add it back.": SCORES - ROW_MEANS - COLUMN_MEANS,
            "only the mean of all scores is taken away"
            " | Every row and every column has a level of its own.": SCORES - 3.5,
            "it is the part that two terms do explain"
            " | Return what is left of the scores without it.": SCORES - LEFT_OVER,
        }, otherwise="Row means are 2 and 5, column means 4, 3 and 3.5, the mean of all 3.5.",
            meaning="one number a pair, (n_queries, n_items)"),
        Case((SUMS,), np.zeros((3, 4)),
            "Take away the best f and the best g together, not one of them.",
            given="for scores that are a sum f(query) + g(item)"),
    ),
    """- The best term of a query is the mean of its row, once the items' terms are gone.
    - Take away row means and column means. What did you take away twice?
    - Scores minus row mean minus column mean plus the mean of all.""",
    "A term per query never changes an order, a term per item changes all orders alike. What"
    " answers a query is in what is left.",
)  # fmt: skip

# ---- cross.negatives: weights 8 4 2 2, 1 1 4 2, 2 2 2 2; what is right is not on the diagonal
# alone.

LOGITS = BIT * np.array([[3.0, 2, 1, 1], [0, 0, 2, 1], [1, 1, 1, 1]])
SAME = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1]], dtype=bool)
DRAWN = np.array([[0, 1 / 2, 1 / 4, 1 / 4], [1 / 3, 0, 0, 2 / 3], [0, 0, 0, 0]])
WEIGHTS = np.exp(LOGITS)
OFF_DIAGONAL = WEIGHTS * ~np.eye(3, 4, dtype=bool)
AS_ZERO = np.where(SAME, 1.0, WEIGHTS)
WRONG = WEIGHTS * ~SAME
NOTHING_LEFT = " | A row without a wrong column has no negative. All its probabilities are 0."


def _rows(weights: np.ndarray, axis: int = 1) -> np.ndarray:
    return weights / np.maximum(weights.sum(axis=axis, keepdims=True), 1e-300)


def _first_two(wrong: np.ndarray):
    """Return a test whether the rows that have a wrong column are those of a mistake."""
    return lambda chances: np.allclose(chances[:2], wrong[:2])


negatives = Exercise(
    "cross.negatives",
    """Return the probability with which each column is drawn as the hard negative of each row:
    logits (B, M) and same (B, M), True where a column is right for the row, in; (B, M) out. A row
    to which all columns are right gets zeros.""",
    (
        Case((LOGITS, SAME), DRAWN, mistakes={
            f"row 2 is NaN: every column is right for it, so nothing is left to draw{NOTHING_LEFT}":
                lambda chances: not np.isfinite(chances[2]).all(),
            "only the diagonal is masked: column 2 is right for row 1 as well, and is drawn most of"
            " all | The mask says which columns are right. A false negative is the hardest one"
            " there is.": _first_two(_rows(OFF_DIAGONAL)),
            "nothing is masked: the right column is drawn as its own negative"
            " | Take the right columns out before the softmax.": _first_two(_rows(WEIGHTS)),
            "the right columns are taken out after the softmax, so a row no longer adds up to 1"
            " | Take them out of the sum as well: mask first, then normalise.":
                _first_two(_rows(WEIGHTS) * ~SAME),
            "a masked logit is set to 0, which is a logit like any other | Its exponential is 1,"
            " not 0. Which logit has the exponential 0?": _first_two(_rows(AS_ZERO)),
            "the softmax runs along the columns | Each row draws one of its columns, so each row"
            " adds up to 1.": _first_two(_rows(WRONG, axis=0)),
            f"row 2 has no wrong column and does not get zeros{NOTHING_LEFT}": _first_two(DRAWN),
        }, otherwise="The weights of row 0 are 8, 4, 2, 2, and its first column is right: 4, 2, 2"
            " of 8 are left.", meaning="one probability a pair, (B, M)", finite=False),
        (
            Case((LOGITS + np.array([[900.0], [-900.0], [0.0]]), SAME), DRAWN,
                "900 more on every logit of a row, or 900 less, changes its probabilities | Softmax"
                " does not change when a number is added to a row: take the largest logit of each"
                " row, of those not masked, away first.", finite=False),
            Case((np.array([[1000.0, 0.0, 1.0]]), np.array([[True, False, False]])),
                np.array([[0, 1 / (1 + np.e), np.e / (1 + np.e)]]),
                "The exponentials of 0 and 1 became 0. Mask first, then take away the largest logit"
                " of what is left.", given="beside a right column with a logit of 1,000",
                finite=False),
        ),
    ),
    """- Three things are wrong: what is masked, when it is masked, and what happens to a row
      without a wrong column.
    - Masked columns must be gone before the sum is taken.
    - Mask, shift each row by the largest logit that is left, exponentiate, then divide by the sum
      where there is one.""",
    "Negatives are hard because the model gives them a high score. So is everything that is right"
    " and not marked as right.",
)  # fmt: skip
