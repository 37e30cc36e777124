"""Exercises of notebook 05: symmetric loss, gradient, a wrong loss, log-sum-exp in blocks."""

import weakref

import numpy as np

from lib.course.cases import Case, Exercise, Shape, as_number, call, expect, is_same

LOG2, LOG3, LOG4, LOG5 = np.log([2, 3, 4, 5])
# exp(LOGITS): rows sum to 12, 4, 4 and columns to 9, 6, 5, so that each softmax is a fraction.
LOGITS = np.log([[6.0, 3.0, 3.0], [1.0, 2.0, 1.0], [2.0, 1.0, 1.0]])
BY_ROW = (LOG2 + LOG2 + LOG4) / 3
BY_COLUMN = (np.log(3 / 2) + LOG3 + LOG5) / 3
SYMMETRIC = (BY_ROW + BY_COLUMN) / 2
P = np.array([[1 / 2, 1 / 4, 1 / 4], [1 / 4, 1 / 2, 1 / 4], [1 / 2, 1 / 4, 1 / 4]])
Q = np.array([[2 / 3, 1 / 2, 3 / 5], [1 / 9, 1 / 3, 1 / 5], [2 / 9, 1 / 6, 1 / 5]])
EYE = np.eye(3)
UNEVEN = np.array(
    [[0.0, 0.0], [-2000.0, -2000.0]]
)  # softmax of rows: 1/2 each; of columns: 1 and 0
LOSS = "the loss of the batch, one number"
SIGN = " | A loss is minus the log of a probability."
OTHER_WAY = " | Add the other direction."
OWN_LARGEST = (
    "Each row has its own largest logit: with that of the whole matrix a low row underflows to 0."
)
SHIFTED = (
    "The exponential left the range of floats. Take the largest logit away before it; it cancels."
)

# ---- infonce.symmetric

symmetric = Exercise(
    "infonce.symmetric",
    """Return the symmetric InfoNCE loss, one number, of logits (B, B) with right pairs on the
    diagonal: the mean of the row-wise and the column-wise cross-entropy, finite whatever the size
    of the logits.""",
    (
        Case((np.zeros((4, 4)),), LOG4, mistakes={
            "it returns one loss per row | The loss of a batch is one number: take the mean.":
                Shape((4,)),
            f"the sign is wrong: it returns -log 4{SIGN}": -LOG4,
            "it is twice too large | Two directions are averaged, not added.": 2 * LOG4,
            "it is B times too large | Average over the rows, do not add them up.": 4 * LOG4,
            "both directions and all rows are added up | Both are means.": 8 * LOG4,
            "the logarithm has base 2 | The loss is measured in nats: take the natural logarithm.":
                2.0,
        }, otherwise="With equal logits each of four candidates has probability 1/4, so the loss is"
            " log 4.", given="for four pairs and all logits equal", meaning=LOSS),
        Case((LOGITS,), SYMMETRIC, mistakes={
            f"only rows choose: queries choose among keys, keys do not choose{OTHER_WAY}": BY_ROW,
            f"only columns choose: keys choose among queries{OTHER_WAY}": BY_COLUMN,
            "every cell counts as right | Only the diagonal holds right pairs.":
                -(np.log(P).mean() + np.log(Q).mean()) / 2,
        }, otherwise="With exp(logits) = [[6, 3, 3], [1, 2, 1], [2, 1, 1]] the rows give"
            " probabilities 1/2, 1/2, 1/4 to the right cell and the columns 2/3, 1/3, 1/5.",
            given="for three pairs"),
        (
            Case((LOGITS + 1000.0,), SYMMETRIC, SHIFTED, given="with +1000 added to every logit",
                finite=False),
            Case((LOGITS - 1000.0,), SYMMETRIC, SHIFTED, given="with -1000 added to every logit",
                finite=False),
            Case((np.where(EYE, -1000.0, 0.0),), 1000 + LOG2,
                "A probability that underflows to 0 has no logarithm. Use logarithms from the start"
                " to the end.", given="where every right logit is 1000 below the others",
                finite=False),
            Case((UNEVEN,), (LOG2 + 1000) / 2, OWN_LARGEST,
                given="where one row lies 2000 below the other", finite=False),
        ),
    ),
    """- A row's loss is the log of the sum of its exponentials, minus the right logit.
    - The other direction is the same function of the transposed matrix.
    - Take the largest logit of the row away before the exponential, and add it after the
      logarithm.""",
    "At random it is log B, which is why losses of different batch sizes do not compare.",
)  # fmt: skip

# ---- infonce.gradient

GRADIENT = (P + Q - 2 * EYE) / 6

gradient = Exercise(
    "infonce.gradient",
    """Return the gradient (B, B) of the symmetric InfoNCE loss on its logits (B, B), finite
    whatever the size of the logits.""",
    (
        Case((LOGITS,), GRADIENT, mistakes={
            "the sign is wrong"
            " | The loss falls when a right logit rises: its entry lies below zero.": -GRADIENT,
            "nothing is taken away on the diagonal | It is softmax minus target; the target is 1.":
                (P + Q) / 6,
            "it is the gradient of one direction, over rows"
            " | The other softmax runs along the other axis.": (P - EYE) / 3,
            "it is the gradient of one direction, over columns"
            " | The other softmax runs along the other axis.": (Q - EYE) / 3,
            "the target is taken away once | Each of the two directions has a target of its own.":
                (P + Q - EYE) / 6,
            "the pattern is right, the size is 2 times too large"
            " | The loss is a mean over 2 directions.": 2 * GRADIENT,
            "the pattern is right, the size is 3 times too large | The loss is a mean over 3 rows.":
                3 * GRADIENT,
            "the pattern is right, the size is not | The loss is a mean over 3 rows and over 2"
            " directions.": lambda found: is_same(found / found[0, 0], GRADIENT / GRADIENT[0, 0]),
        }, otherwise="Softmax of row 0: 1/2, 1/4, 1/4. Column softmax of the same cells: 2/3, 1/2,"
            " 3/5. Take the target away and divide.", meaning="one entry per logit"),
        Case((np.zeros((2, 2)),), np.array([[-1, 1], [1, -1]]) / 4.0,
            "Both softmaxes give 1/2. Take the target away and average.", given="for equal logits",
            meaning="one entry per logit"),
        (
            Case((LOGITS + 1000.0,), GRADIENT,
                "The exponential overflows. Take the largest logit away before it; it cancels.",
                given="with 1000 added to every logit", finite=False),
            Case((UNEVEN,), np.array([[-1, 3], [1, -3]]) / 8, OWN_LARGEST,
                given="where one row lies 2000 below the other", finite=False),
        ),
    ),
    """- For one direction it is softmax minus target, divided by B.
    - The second direction normalises each column instead of each row.
    - Average the two. Each of them takes one identity matrix away.""",
    "It sums to 0: what pulls the right pairs together equals what pushes the others apart.",
)  # fmt: skip

# ---- infonce.tutorial: at temperature 1 / log 3 a cosine of 1 has weight 3 and a cosine of 0 has
# weight 1.

TAU = 1 / LOG3
E3, E4 = np.eye(3), np.eye(4)
SKEW_IMAGES = np.array([[1.0, 0.0], [1.0, 0.0]])
SKEW = (LOG2 + (np.log(4 / 3) + LOG4) / 2) / 2
OPPOSITE_TEXTS = np.array(
    [[1.0, 0.0], [-1.0, 0.0]]
)  # at temperature 0.001, logits of 1000 and -1000: rows cost log 2 each, columns 0 and 2000
ALONE, SHARED = np.log(5 / 3), LOG5 - LOG3 / 2  # losses of a row without and with a partner


def _length_free(function) -> None:
    plain, longer = (
        as_number(call(function, texts, images, np.arange(4), TAU), meaning=LOSS)
        for texts, images in ((E4, E4), (np.array([[2.0], [0.5], [7.0], [1.0]]) * E4, 3 * E4))
    )
    expect(
        is_same(plain, longer),
        "longer vectors change the loss | Search compares directions, so train on them: every row"
        " needs length 1 before the product.",
    )


tutorial = Exercise(
    "infonce.tutorial",
    """Return the symmetric loss, one number, of texts (B, d) and images (B, d) of any length, where
    items with equal ids (B) are right for each other and pulled equally, at a temperature that may
    be as small as 0.001.""",
    (
        _length_free,
        Case((E4, E4, np.arange(4), TAU), LOG2, mistakes={
            "the temperature multiplies | Logits are cosines divided by the temperature.":
                np.log(1 + 3 * np.exp(-TAU)),
            "the temperature does nothing | Logits are cosines divided by it.":
                np.log(1 + 3 / np.e),
            "it is twice too large | Two directions are averaged, not added.": 2 * LOG2,
            "it is B times too large | Average over the rows.": 4 * LOG2,
            f"the sign is wrong{SIGN}": -LOG2,
        }, otherwise="The right weight is 3, the three others are 1 each: 3 / 6. No other image is"
            " right here, so the target holds a single 1 per row: it comes from the ids, not from"
            " similarities.", given="for four orthogonal pairs, temperature 1 / log 3,"),
        Case((np.eye(2), SKEW_IMAGES, np.arange(2), TAU), SKEW, mistakes={
            "only one direction is in it: texts choose images | Images choose texts too.": LOG2,
            "only one direction is in it: images choose texts | Texts choose images too.":
                2 * SKEW - LOG2,
        }, otherwise="Rows give 1/2 and 1/2 to the right cell, columns 3/4 and 1/4.",
            given="for texts (1, 0), (0, 1) and images (1, 0), (1, 0)"),
        Case((E3, E3, np.array([5, 5, 7]), TAU), (2 * SHARED + ALONE) / 3, mistakes={
            "the ids are not used: only the diagonal is right | Rows with equal ids are partners.":
                ALONE,
            "the partner is masked out, so nothing pulls it | That is a remedy too, but here every"
            " right cell is to be pulled equally.": (2 * np.log(4 / 3) + ALONE) / 3,
            "the probabilities of the partners are added up inside the logarithm"
            " | Then one partner may get all the probability. Average the logarithms instead.":
                (2 * np.log(5 / 4) + ALONE) / 3,
            "the partners of a row are added up | The target of a row sums to 1: two partners count"
            " one half each.": (4 * SHARED + ALONE) / 3,
        }, otherwise="Row 0 has weights 3, 1, 1, and cells 0 and 1 are right: its loss is the mean"
            " of -log(3/5) and -log(1/5).", given="for three orthogonal pairs with ids 5, 5, 7"),
        Case((OPPOSITE_TEXTS, SKEW_IMAGES, np.arange(2), 1e-3), (LOG2 + 1000) / 2,
            "Logits reach 1000 there, and their exponentials infinity or 0. Take the largest logit"
            " of each row away first, and use logarithms to the end.",
            given="at a temperature of 0.001", finite=False),
    ),
    """- Three things are wrong: lengths, the place of the temperature, and where targets come from.
    - Targets: 1 where the ids are equal, 0 elsewhere, each row divided by its sum.
    - The loss of a row is minus the sum of target times log softmax. For the other direction,
      transpose the logits; the targets of the columns must sum to 1 as well.""",
    "The target comes from what is known, never from the embeddings that are being trained.",
)  # fmt: skip

# ---- infonce.running: row 0 holds weights 1, 2, 3 and then 4, 6; row 1 holds 5, 5, 10 and then 70,
# 10.

FIRST = np.log(np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 10.0]]))
SECOND = np.log(np.array([[4.0, 6.0], [70.0, 10.0]]))
TOTALS = np.log(np.array([16.0, 100.0]))
MASKED = np.full((2, 3), -np.inf)
NO_NUMBER = (
    "Infinity minus infinity is no number. Handle a row in which every logit so far is -inf."
)


class _OneAtATime:
    """Blocks that are made one by one; counts how many of them are alive at once."""

    def __init__(self, *blocks: np.ndarray) -> None:
        self.blocks, self.most = blocks, [0]

    def __iter__(self):
        alive = []
        for block in self.blocks:
            fresh = block.copy()
            alive.append(weakref.ref(fresh))
            yield fresh
            del fresh
            self.most[0] = max(self.most[0], sum(ref() is not None for ref in alive))

    def __deepcopy__(self, memo):
        copied = _OneAtATime(*(block.copy() for block in self.blocks))
        copied.most = (
            self.most
        )  # shared on purpose: the check reads what the student's copy counted
        return copied

    def __eq__(self, other) -> bool:
        return isinstance(other, _OneAtATime)

    __hash__ = None

    def __repr__(self) -> str:
        return f"an iterable of {len(self.blocks)} blocks"


def _one_at_a_time(function) -> None:
    blocks = _OneAtATime(FIRST, SECOND, FIRST, SECOND, FIRST)
    Case(
        (blocks,),
        np.log([38.0, 220.0]),
        "Blocks come from an iterable that can be read once.",
        given="for five blocks",
    )(function)
    expect(
        blocks.most[0] <= 2,
        f"{blocks.most[0]} blocks are held at the same time | Then the memory is that of the whole"
        " matrix. Keep what summarises a block, not the block.",
    )


running = Exercise(
    "infonce.running",
    """Return the log-sum-exp (B) of each row of a matrix whose columns arrive as an iterable of
    blocks (B, m), with one block in memory at a time.""",
    (
        Case((_OneAtATime(FIRST),), np.log([6.0, 20.0]), mistakes={
            "a weight of 1 too much is in every row"
            " | A running value that starts at 0 counts exp(0) as seen.": np.log([7.0, 21.0]),
            "it is the running maximum | The largest logit is only the scale; the sum is missing.":
                np.log([3.0, 10.0]),
        }, otherwise="The exponentials of row 0 are 1, 2 and 3.", given="for one block",
            meaning="one log-sum-exp per row"),
        Case((_OneAtATime(FIRST, SECOND),), TOTALS, mistakes={
            "the log-sum-exps are added up | Add the sums of the blocks, not their logarithms.":
                np.log([60.0, 1600.0]),
            "only one block is in it, the last | Carry the result from block to block.":
                np.log([10.0, 80.0]),
            "only one block is in it, the first | Go on with the next block.": np.log([6.0, 20.0]),
            "it is the running maximum | The largest logit is only the scale; the sum is missing.":
                np.log([6.0, 70.0]),
        }, otherwise="The exponentials of row 0 are 1, 2, 3 and 4, 6: their sum is 16, whatever the"
            " cut.", given="for two blocks"),
        (
            *(
                Case((_OneAtATime(FIRST + shift, SECOND + shift),), TOTALS + shift,
                    "Never exponentiate a logit itself, only its distance to the largest one so"
                    " far.", given=f"with logits around {shift:+.0f}", finite=False)
                for shift in (1000.0, -1000.0, -1000000000000.0)
            ),
            Case((_OneAtATime(FIRST, SECOND + 1000.0),), np.log([10.0, 80.0]) + 1000,
                "The largest logit so far may rise with a block: bring the sum so far to the new"
                " one.", given="with logits around 0 and then around 1000", finite=False),
            Case((_OneAtATime(MASKED, SECOND),), np.log([10.0, 80.0]), NO_NUMBER,
                given="with a first block that is masked out (-inf everywhere)", finite=False),
            Case((_OneAtATime(SECOND, MASKED),), np.log([10.0, 80.0]), NO_NUMBER,
                given="with a last block that is masked out", finite=False),
            Case((_OneAtATime(np.array([[-np.inf], [0.0]]) + FIRST, SECOND),),
                np.log([10.0, 100.0]), NO_NUMBER,
                given="with a first block with one row masked out", finite=False),
        ),
        _one_at_a_time,
    ),
    """- Carry one number per row, the log-sum-exp of everything so far, and start where nothing was
      seen.
    - Two log-sum-exps merge into the log of the sum of their exponentials.
    - Write the merge as the larger one plus the log of (1 + exp of minus their distance); mind two
      that are both minus infinity.""",
    "This is all that block_size does in the forward pass, for rows and columns alike.",
)  # fmt: skip
