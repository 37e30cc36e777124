"""Exercises of notebook 07: the ranking loss, its gradient, hard negatives, and mining them."""

import numpy as np

from lib.course.cases import Case, Exercise, Shape, as_array, call, expect

BIT = np.log(2)
MEAN = "one number, the mean over the queries"
OVERFLOW = {
    "the loss is infinite or NaN | An exponential overflowed, or a logarithm met a 0. Softmax does"
    " not change when a number is added to a row: take the largest logit of each row away first.":
        lambda loss: not np.isfinite(loss),
}  # fmt: skip
TWICE = "the scale is applied twice | The logits are scale x cosine, once."
SCALE_MISSING = "the scale is missing | The logits are scale x cosine."
SUM = "it is the sum over the queries | Return the mean: another batch size, the same loss."

# ---- mnr.loss: with scale 10 log 2 a cosine that is 0.1 higher weighs twice as much. The weights
# of the rows are 16 4 4 8, 16 4 4 8 and 8 8 8 8 of 32, so the right items have 1/2, 1/8, 1/4: 1, 3
# and 2 bits.

COSINES = np.array([[0.4, 0.2, 0.2, 0.3], [0.3, 0.1, 0.1, 0.2], [0.2, 0.2, 0.2, 0.2]])
SCALE = 10 * BIT
# At scale 2000 row 1 lies so low that the maximum of all cells in place of its own underflows.
FAR_APART = np.array([[0.9, 0.5], [0.1, -0.3]])

loss = Exercise(
    "mnr.loss",
    """Return the multiple negatives ranking loss: cosines (B, M) with M >= B, the right item of row
    i in column i, and a scale of any size in, one number out.""",
    (
        Case((COSINES, SCALE), 2 * BIT, mistakes={
            "it returns a loss per query | Return one number, their mean.": Shape((3,)),
            SUM: 6 * BIT,
            "the logarithm is base 2 | The loss is in nats: use the natural logarithm.": 2.0,
            "the sign is turned: good models get the higher value | Minus the log of the share.":
                -2 * BIT,
            "only the first B items are in the sum: the last column is ignored | Items beyond the B"
            " positives are hard negatives. They belong to every row's sum.": 1.0986122887,
            "the softmax runs along the columns: items pick a query"
            " | Queries are rows, and the query picks. Sum over the items of a row.": 1.0284481441,
            "it averages both directions, as CLIP does | Here only queries pick items. The extra"
            " column has no query of its own.": 1.2073712526,
            "the right item is missing from the sum | The sum runs over all items of the row, its"
            " own among them: a share cannot exceed 1.": 1.0148408126,
            "the cosines are divided by the scale | Scale is one over temperature: multiply.":
                1.3839376605,
            SCALE_MISSING: 1.3719487403,
            TWICE: 3.6706464191,
            "the shares were averaged before the logarithm"
            " | Each query has its own loss, the mean comes last.": 1.2321436813,
            "every item counts as right: the mean runs over all cells"
            " | Row i is judged by column i alone.": 1.5018188912,
            "the best item of each row is taken for the right one | Which item is right does not"
            " depend on the scores: for row i it is column i.": 0.9241962407,
            **OVERFLOW,
        }, otherwise="Scale 10 log 2: each 0.1 doubles the weight. The right items hold 1/2, 1/8"
            " and 1/4 of their rows, that is 1, 3 and 2 bits, each log 2.", finite=False),
        Case((np.zeros((2, 4)), SCALE), 2 * BIT, mistakes=OVERFLOW,
            otherwise="Each of four items has the share 1/4.", given="with equal cosines",
            finite=False),
        Case((FAR_APART, 2000.0), 400.0, mistakes=OVERFLOW,
            otherwise="At such a scale a row costs 2000 times the distance of its right item to the"
            " best one: 0 and 0.4.", given="with scale 2000", finite=False),
    ),
    """- Logits first: scale times cosine. Then, in each row, the share of the right item in the sum
      of the exponentials.
    - Minus the logarithm of that share, averaged over the rows: the log of the sum of exponentials
      minus the right logit.
    - For large scales: subtract the row's maximum inside the exponential and add it back outside
      the logarithm.""",
    "With more items than queries nothing changes but the sum, which is all that hard negatives are"
    " to this loss.",
)  # fmt: skip

# ---- mnr.gradient: of the same batch.

GRADIENT = SCALE / 3 * (np.array([[16, 4, 4, 8], [16, 4, 4, 8], [8, 8, 8, 8]]) / 32 - np.eye(3, 4))
ANCHORS = " | There are B queries in the mean, whatever M is."

gradient = Exercise(
    "mnr.gradient",
    """Return the gradient of the loss on the cosines: cosines (B, M), the right item of row i in
    column i, and a scale of any size in, (B, M) out.""",
    (
        Case((COSINES, SCALE), GRADIENT, mistakes={
            "the signs are turned: right pairs are pushed apart"
            " | Share minus target, not the reverse.": -GRADIENT,
            "it is B times too large | The loss is a mean over B queries, so is its gradient.":
                3 * GRADIENT,
            "it is the gradient on the logits | A cosine reaches the loss through scale x cosine:"
            " by the chain rule multiply by the scale.": GRADIENT / SCALE,
            "it is share minus target and no more | The mean over B and the scale are missing.":
                3 / SCALE * GRADIENT,
            f"it is divided by the number of cells{ANCHORS}": GRADIENT / 4,
            f"it is divided by the number of items{ANCHORS}": 3 / 4 * GRADIENT,
            "it is divided by the scale | The chain rule multiplies by it.": GRADIENT / SCALE**2,
            "nothing is pulled: the target is missing | Take 1 away where the item is right.":
                GRADIENT + SCALE / 3 * np.eye(3, 4),
            "the rows sum to something else than 0 | In each row, what pulls the right item equals"
            " what pushes the others: shares over the items of the row, minus 1 at its own.":
                lambda forces: np.abs(forces.sum(axis=1)).max() > 1e-6,
        }, otherwise="The shares of row 0 are 1/2, 1/8, 1/8, 1/4. Take the target away, divide by"
            " B, multiply by scale.", meaning="one force per query and item"),
        Case((FAR_APART, 2000.0), 1000.0 * np.array([[0.0, 0.0], [1.0, -1.0]]),
            "An exponential overflowed: take the largest logit of each row away first; it cancels.",
            given="at scale 2000", finite=False),
    ),
    """- On the logits it is softmax minus target, divided by the number of queries.
    - The target is 1 in column i of row i, also when there are more columns than rows.
    - From logits to cosines: multiply by the scale.""",
    "Rows sum to 0, columns need not: nothing balances the queries of an item. That is the"
    " direction the loss leaves out.",
)  # fmt: skip

# ---- mnr.hard_negatives: with scale 5 log 2 each 0.2 doubles the weight. Query 0 sees its
# positive with weight 4, that of query 1 with 4, its negative with 16 and the other's with 8: 1/8,
# 3 bits. Query 1 sees 16 (its own), 4, 8 (its negative) and 4: 1/2, 1 bit.


def _unit(*cosines: tuple[float, float]) -> np.ndarray:
    """Return unit vectors with these two coordinates, so with these cosines to the two queries."""
    return np.array([[x, y, (1 - x * x - y * y) ** 0.5] for x, y in cosines])


ANCHOR = np.eye(3)[:2]
TURNED = ANCHOR * np.array(
    [[1.0], [-1.0]]
)  # its best items, two at -0.4, are so low that one maximum for all rows underflows
POSITIVE = _unit((0.4, 0.4), (0.4, 0.8))  # (2, 3)
NEGATIVE = _unit((0.8, 0.4), (0.6, 0.6))[:, None]  # (2, 1, 3)
TWO_EACH = np.concatenate([NEGATIVE, NEGATIVE], axis=1)
HALF_SCALE = 5 * BIT

hard_negatives = Exercise(
    "mnr.hard_negatives",
    """Return the loss with hard negatives: query (B, d), positive (B, d), negatives (B, K, d), all
    unit rows, and a scale of any size in, one number out.""",
    (
        Case((ANCHOR, POSITIVE, NEGATIVE, HALF_SCALE), 2 * BIT, mistakes={
            "each query is taught to pick a hard negative: they stand first, and row i is judged"
            " by column i | Where do the positives stand among your items? Either move them or"
            " change which column is right.": 1.5 * BIT,
            "the scale is applied twice | Look for a product with scale on more than one line: once"
            " on the queries, once on the logits.": 3.6122579299 * BIT,
            "both bugs are still there: hard negatives are called right, and the scale is applied"
            " twice | Print the logits beside the cosines, and the column of the right item beside"
            " its cosine.": 1.8793899785 * BIT,
            "each query sees its own hard negative only | The others' negatives are encoded"
            " already and cost one product each: all B K of them are items.": 1.6961587114 * BIT,
            "the positives of the other queries are missing"
            " | They are the in-batch negatives that give the loss its name.": 1.8073549221 * BIT,
            "each query sees two items only | All positives and all negatives are items.":
                1.4534452978 * BIT,
            "the hard negatives are ignored | They are further items, behind the positives.":
                0.6609640474 * BIT,
            "items and labels do not match: positives and negatives alternate | With p, n, p, n the"
            " right item of row 1 is not in column 1. Keep all positives together.": 3 * BIT,
            SUM: 4 * BIT,
            SCALE_MISSING: 1.9481762979 * BIT,
            **OVERFLOW,
        }, otherwise="Query 0: its own item weighs 4 of 32, 3 bits. Query 1: 16 of 32, 1 bit. The"
            " mean is 2 bits, 2 log 2.", meaning=MEAN, finite=False),
        (
            Case((ANCHOR, POSITIVE, TWO_EACH, HALF_SCALE), np.log(14 * 44 / 16) / 2, mistakes={
                "of two negatives per query only the first is used"
                " | Flatten (B, K, d) to (B K, d).": 2 * BIT,
                **OVERFLOW,
            }, otherwise="Two negatives per query make B + 2 B items, and each query sees them"
                " all.", given="with two negatives per query", finite=False),
            Case((TURNED, POSITIVE, NEGATIVE, 2000.0), 800 + BIT / 2, mistakes=OVERFLOW,
                otherwise="At such a scale a row costs 2000 times the distance of its right item to"
                " the best one: 0.4 in both.", given="with scale 2000", finite=False),
        ),
    ),
    """- There are two bugs. One is in what stands in which column, one is in a number.
    - Count on a batch of two: which column holds the positive of query 0, and which one is it
      judged by?
    - The scale may be on the queries or on the logits, not on both.""",
    "Both versions train without an error, and the loss falls. The first learns to retrieve the"
    " hard negative.",
)  # fmt: skip

# ---- mnr.mine: rows with a tie, with right items off the diagonal, with negative cosines.

SCORES = np.array(
    [[0.9, 0.5, 0.7, 0.5, 0.1], [0.8, 0.6, 0.2, 0.3, 0.7], [-0.4, -0.2, -0.1, -0.3, -0.5]]
)
RIGHT = np.array([[1, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0]], dtype=bool)
MINED = np.array([[2, 1, 3], [4, 3, 2], [1, 3, 0]])
MUST_LOSE = " | A right item must lose against anything. Which number is below every cosine?"


def _mine_in_order(function) -> None:
    # Only three cosines over 300 items: a sort that does not keep equal ones in place mixes up the
    # ids.
    many = np.random.default_rng(0).integers(0, 3, (2, 300)) / 4
    ids = as_array(
        call(function, many, many < 0, 200),
        (2, 200),
        kind="integers",
        meaning="200 ids for each query",
    )
    ranked = np.take_along_axis(many, ids, axis=1)
    expect(
        not ((np.diff(ranked) == 0) & (np.diff(ids) < 0)).any(),
        "with 300 items equal cosines come in no fixed order | Not every sort keeps equal items in"
        " the order they had; the word for one that does is 'stable'.",
    )


mine = Exercise(
    "mnr.mine",
    """Return the ids of the k wrong items with the highest cosine for each query, best first, the
    smaller id first where they tie: cosines (n, m), right (n, m) of True and False, and k in, (n,
    k) out.""",
    (
        Case((SCORES, RIGHT, 3), MINED, mistakes={
            "right items are returned as negatives | They score highest, so they come first unless"
            " you take them out.": [[0, 2, 1], [0, 4, 1], [2, 1, 3]],
            "item 0 is right for query 1 as well, and is returned as its negative | The mask says"
            " which items are right, not the diagonal.": [[2, 1, 3], [0, 4, 3], [1, 3, 0]],
            "the easiest items come first | Hard is what the model confuses: the highest cosines"
            " among the wrong.": [[4, 1, 3], [2, 3, 4], [4, 0, 3]],
            "equal cosines come in the order of falling ids | Items 1 and 3 tie for query 0. The"
            " smaller id goes first, so a rerun mines the same items.":
                [[2, 3, 1], [4, 3, 2], [1, 3, 0]],
            "query 2 gets its own right item: all its cosines are negative, and 0 beats"
            f" them{MUST_LOSE}": [[2, 1, 3], [4, 3, 2], [2, 1, 3]],
            "a row names the same item twice | Each negative once.":
                lambda ids: min(len(set(row)) for row in ids.tolist()) < 3,
        }, otherwise="Take the right items out, then rank the rest by cosine.",
            given="for three queries", meaning="k ids for each query"),
        Case((SCORES, RIGHT, 1), MINED[:, :1],
            "with k = 1 another item comes first than with k = 3 | k only says where the list"
            " ends."),
        (
            Case((np.array([[-1.0, 1.0, -1.0]]), np.array([[True, True, False]]), 1),
                np.array([[2]]),
                "a right item comes back where the only wrong one has the lowest cosine,"
                f" -1{MUST_LOSE}"),
            _mine_in_order,
        ),
    ),
    """- Take the right items out, then rank what is left.
    - A right item gets a score that nothing else can have: minus infinity, in a copy.
    - Sort stably, from high to low, and keep the first k columns.""",
    "A mask is only as good as the judgements: what is right and not marked is mined first.",
)  # fmt: skip
