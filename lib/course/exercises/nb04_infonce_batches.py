"""Exercises of notebook 04 on batches: a well-known wrong loss put right, and a log-sum-exp in
blocks.
"""

from __future__ import annotations

import math
import weakref

import numpy as np

from lib.course.engine import Exercise, Wrong, as_array, as_number, call
from lib.course.exercises.nb04_infonce import close, quiet, told

# temperature 1 / log 3 turns a cosine of 1 into a weight of 3 and a cosine of 0 into a weight of 1.
TAU = 1 / math.log(3)
E3, E4 = np.eye(3), np.eye(4)
SKEW_TEXTS, SKEW_IMAGES = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [1.0, 0.0]])
SKEW = (math.log(2) + (math.log(4 / 3) + math.log(4)) / 2) / 2
LENGTHS = np.array([[2.0], [0.5], [7.0], [1.0]])


def _length_free(function) -> None:
    ids = np.arange(4)
    plain = as_number(
        quiet(function, E4, E4, ids, TAU), meaning="the loss of the batch, one number"
    )
    longer = as_number(
        quiet(function, LENGTHS * E4, 3 * E4, ids, TAU), meaning="the loss of the batch"
    )
    if not close(plain, longer):
        raise Wrong(
            "longer vectors change the loss",
            "Search compares directions, so train on them: every row needs length 1 before the"
            " product.",
        )


def _orthogonal(function) -> None:
    value = as_number(call(function, E4, E4, np.arange(4), TAU), meaning="the loss of the batch")
    if close(value, math.log(2)):
        return
    upside_down = math.log(1 + 3 * math.exp(-TAU))
    told(
        value,
        [
            (
                upside_down,
                "the temperature multiplies",
                "Logits are cosines divided by the temperature.",
            ),
            (
                math.log(1 + 3 / math.e),
                "the temperature does nothing",
                "Logits are cosines divided by it.",
            ),
            (2 * math.log(2), "it is twice too large", "Two directions are averaged, not added."),
            (4 * math.log(2), "it is B times too large", "Average over the rows."),
            (-math.log(2), "the sign is wrong", "A loss is minus the log of a probability."),
        ],
    )
    raise Wrong(
        f"for four orthogonal pairs, temperature 1 / log 3, it returns {value:.4f}, expected log 2"
        " = 0.6931",
        "The right weight is 3, the three others are 1 each: 3 / 6. Nobody else is right here, so"
        " the target holds a single 1 per row: it comes from the ids, not from similarities.",
    )


def _both_directions(function) -> None:
    value = as_number(
        call(function, SKEW_TEXTS, SKEW_IMAGES, np.arange(2), TAU), meaning="the loss"
    )
    if close(value, SKEW):
        return
    columns = 2 * SKEW - math.log(2)
    if close(value, math.log(2)) or close(value, columns):
        raise Wrong("only one direction is in it", "Texts look for images and images for texts.")
    raise Wrong(
        f"for texts (1, 0), (0, 1) and images (1, 0), (1, 0) it returns {value:.4f}, expected"
        f" {SKEW:.4f}",
        "Rows give 1/2 and 1/2 to the right cell, columns 3/4 and 1/4.",
    )


def _several_right(function) -> None:
    value = as_number(
        call(function, E3, E3, np.array([5, 5, 7]), TAU), meaning="the loss of the batch"
    )
    alone, shared = math.log(5 / 3), math.log(5) - math.log(3) / 2
    if close(value, (2 * shared + alone) / 3):
        return
    told(
        value,
        [
            (
                alone,
                "the ids are not used: only the diagonal is right",
                "Rows with equal ids are partners.",
            ),
            (
                (2 * math.log(4 / 3) + alone) / 3,
                "the partner is masked out, so nothing pulls it",
                "That is a remedy too, but here every right cell is to be pulled equally.",
            ),
            (
                (2 * math.log(5 / 4) + alone) / 3,
                "the probabilities of the partners are added up inside the logarithm",
                "Then one partner may take everything. Average the logarithms instead.",
            ),
            (
                (4 * shared + alone) / 3,
                "the partners of a row are added up",
                "The target of a row sums to 1: two partners weigh one half each.",
            ),
        ],
    )
    raise Wrong(
        f"for three orthogonal pairs with ids 5, 5, 7 it returns {value:.4f}, expected "
        f"{(2 * shared + alone) / 3:.4f}",
        "Row 0 has weights 3, 1, 1, and cells 0 and 1 are right: its loss is the mean of -log(3/5)"
        " and -log(1/5).",
    )


def _cold(function) -> None:
    # Logits 1000, 1000 and -1000, -1000: rows cost log 2 each, columns 0 and 2000.
    texts = np.array([[1.0, 0.0], [-1.0, 0.0]])
    value = as_number(
        quiet(function, texts, SKEW_IMAGES, np.arange(2), 1e-3), meaning="the loss", finite=False
    )
    if not close(value, (math.log(2) + 1000) / 2):
        raise Wrong(
            f"at a temperature of 0.001 the loss is {value:.4g}, expected 500.3",
            "Logits reach 1000 there, and their exponentials infinity or 0. Take the largest logit"
            " of each row away first, and stay with logarithms.",
        )


class _OneAtATime:
    """Blocks that come into being when asked for, and count how many of them are alive at once."""

    def __init__(self, blocks: list[np.ndarray]) -> None:
        self.blocks, self.most = blocks, [0]

    def __iter__(self):
        alive = []
        for block in self.blocks:
            fresh = block.copy()
            alive.append(weakref.ref(fresh))
            yield fresh
            del fresh
            self.most[0] = max(self.most[0], sum(ref() is not None for ref in alive))

    def __deepcopy__(self, memo) -> _OneAtATime:
        copied = _OneAtATime([block.copy() for block in self.blocks])
        copied.most = self.most  # shared on purpose: the stage reads what the reader's copy counted
        return copied

    def __eq__(self, other) -> bool:
        return isinstance(other, _OneAtATime)

    __hash__ = None

    def __repr__(self) -> str:
        return f"an iterable of {len(self.blocks)} blocks"


# Row 0 holds weights 1, 2, 3 and then 4, 6; row 1 holds 5, 5, 10 and then 70, 10.
FIRST = np.log(np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 10.0]]))
SECOND = np.log(np.array([[4.0, 6.0], [70.0, 10.0]]))
TOTALS = np.log(np.array([16.0, 100.0]))


def _shape_of_running(function) -> None:
    result = quiet(function, _OneAtATime([FIRST, SECOND]))
    as_array(result, shape=(2,), kind="numbers", meaning="one log-sum-exp per row")


def _running(function) -> None:
    one = np.asarray(quiet(function, _OneAtATime([FIRST])), dtype=float)
    if close(one, np.log([7.0, 21.0])):
        raise Wrong(
            "a weight of 1 too much is in every row",
            "A running value that starts at 0 counts exp(0) as seen.",
        )
    found = np.asarray(quiet(function, _OneAtATime([FIRST, SECOND])), dtype=float)
    if close(found, TOTALS):
        return
    if close(found, np.log([60.0, 1600.0])):
        raise Wrong(
            "the blocks' log-sum-exps are added up",
            "The sums are to be added, not their logarithms.",
        )
    if close(found, np.log([10.0, 80.0])) or close(found, np.log([6.0, 20.0])):
        raise Wrong("only one block is in it", "Carry what was seen from block to block.")
    if close(found, np.log([6.0, 70.0])):
        raise Wrong(
            "it is the running maximum", "The largest logit is only the scale; the sum is missing."
        )
    raise Wrong(
        f"it returns {np.round(found, 4).tolist()}; by hand it is {np.round(TOTALS, 4).tolist()}",
        "The exponentials of row 0 are 1, 2, 3 and 4, 6: their sum is 16, whatever the cut.",
    )


def _running_of_extremes(function) -> None:
    for shift in (1000.0, -1000.0, -1e12):
        found = np.asarray(
            quiet(function, _OneAtATime([FIRST + shift, SECOND + shift])), dtype=float
        )
        if not close(found, TOTALS + shift):
            raise Wrong(
                f"with logits around {shift:+.0f} it returns {np.round(found, 1).tolist()}",
                "Never exponentiate a logit itself, only its distance to the largest one so far.",
            )
    found = np.asarray(quiet(function, _OneAtATime([FIRST, SECOND + 1000.0])), dtype=float)
    if not close(found, np.log([10.0, 80.0]) + 1000):
        raise Wrong(
            f"with logits around 0 and then around 1000 it returns {np.round(found, 1).tolist()}",
            "The largest logit so far may rise with a block: bring what was summed up to the new"
            " one.",
        )
    masked, half = np.full((2, 3), -np.inf), np.array([[-np.inf], [0.0]]) + FIRST
    for blocks, sums, what in (
        ([masked, SECOND], [10.0, 80.0], "a first block that is masked out (-inf everywhere)"),
        ([SECOND, masked], [10.0, 80.0], "a last block that is masked out"),
        ([half, SECOND], [10.0, 100.0], "a first block with one row masked out"),
    ):
        found = np.asarray(quiet(function, _OneAtATime(blocks)), dtype=float)
        if not close(found, np.log(sums)):
            raise Wrong(
                f"{what} gives {np.round(found, 3).tolist()}",
                "Infinity minus infinity is no number. A row that has seen nothing yet needs a"
                " guard.",
            )


def _one_at_a_time(function) -> None:
    blocks = _OneAtATime([FIRST, SECOND, FIRST, SECOND, FIRST])
    found = np.asarray(quiet(function, blocks), dtype=float)
    if not close(found, np.log([38.0, 220.0])):
        raise Wrong(
            f"for five blocks it returns {np.round(found, 4).tolist()}, expected "
            f"{np.round(np.log([38.0, 220.0]), 4).tolist()}",
            "Blocks come from an iterable that can be walked through once.",
        )
    if blocks.most[0] > 2:
        raise Wrong(
            f"{blocks.most[0]} blocks are held at the same time",
            "Then the memory is that of the whole matrix. Keep what summarises a block, not the"
            " block.",
        )


EXERCISES = (
    Exercise(
        name="infonce.tutorial",
        statement=(
            "Return the symmetric loss, one number, of texts (B, d) and images (B, d) of any"
            " length, where items with equal ids (B) are right for each other and pulled equally,"
            " at a temperature."
        ),
        stages=(_length_free, _orthogonal, _both_directions, _several_right, _cold),
        hints=(
            (
                "Three things are wrong: lengths, the place of the temperature, and where targets"
                " come from."
            ),
            "Targets: 1 where the ids are equal, 0 elsewhere, each row divided by its sum.",
            (
                "The loss of a row is minus the sum of target times log softmax. For the other"
                " direction, transpose the logits; the targets of the columns must sum to 1 as"
                " well."
            ),
        ),
        insight=(
            "The target comes from what is known, never from the embeddings that are being trained."
        ),
    ),
    Exercise(
        name="infonce.running",
        statement=(
            "Return the log-sum-exp (B) of each row of a matrix whose columns arrive as an iterable"
            " of blocks (B, m), with one block in memory at a time."
        ),
        stages=(_shape_of_running, _running, _running_of_extremes, _one_at_a_time),
        hints=(
            (
                "Carry one number per row, the log-sum-exp of everything seen, and start where"
                " nothing was seen."
            ),
            "Two log-sum-exps merge into the log of the sum of their exponentials.",
            (
                "Write the merge as the larger one plus the log of (1 + exp of minus their"
                " distance); mind two that are both minus infinity."
            ),
        ),
        insight="This is all that block_size does in the forward pass, for rows and columns alike.",
    ),
)
