"""Exercises of notebook 04 on a matrix of logits: the symmetric loss, and its gradient."""

import math

import numpy as np

from lib.course.engine import Exercise, Wrong, as_array, as_number, call

# exp of the logits. Rows sum to 12, 4, 4 and columns to 9, 6, 5, so that each softmax is a fraction
# on paper.
WEIGHTS = np.array([[6.0, 3.0, 3.0], [1.0, 2.0, 1.0], [2.0, 1.0, 1.0]])
LOGITS = np.log(WEIGHTS)
BY_ROW = (math.log(2) + math.log(2) + math.log(4)) / 3
BY_COLUMN = (math.log(3 / 2) + math.log(3) + math.log(5)) / 3
SYMMETRIC = (BY_ROW + BY_COLUMN) / 2
P = np.array([[1 / 2, 1 / 4, 1 / 4], [1 / 4, 1 / 2, 1 / 4], [1 / 2, 1 / 4, 1 / 4]])
Q = np.array([[2 / 3, 1 / 2, 3 / 5], [1 / 9, 1 / 3, 1 / 5], [2 / 9, 1 / 6, 1 / 5]])
EYE = np.eye(3)
UNEVEN = np.array([[0.0, 0.0], [-2000.0, -2000.0]])  # rows: 1/2 each; columns: 1 and 0


def close(a, b) -> bool:
    """Whether two results agree in shape and value."""
    return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-5, atol=1e-7)


def quiet(function, *arguments):
    """Calls the answer without the warnings of an overflow: its result is what is judged."""
    with np.errstate(all="ignore"):
        return call(function, *arguments)


def told(value: float, cases: list[tuple[float, str, str]]) -> None:
    """Raises what is known about a wrong number."""
    for wrong, what, hint in cases:
        if close(value, wrong):
            raise Wrong(what, hint)


def _equal_logits(function) -> None:
    result = np.asarray(call(function, np.zeros((4, 4))))
    if result.shape == (4,) and result.dtype.kind == "f":
        raise Wrong(
            "it returns one loss per row", "The loss of a batch is one number: take the mean."
        )
    value = as_number(result, meaning="the loss of the batch, one number")
    log4 = math.log(4)
    if close(value, log4):
        return
    told(
        value,
        [
            (
                -log4,
                "the sign is wrong: it returns -log 4",
                "A loss is minus the log of a probability.",
            ),
            (2 * log4, "it is twice too large", "Two directions are averaged, not added."),
            (4 * log4, "it is B times too large", "Average over the rows, do not add them up."),
            (8 * log4, "both directions and all rows are added up", "Both are means."),
            (
                2.0,
                "the logarithm has base 2",
                "The field measures in nats: take the natural logarithm.",
            ),
        ],
    )
    raise Wrong(
        f"for four pairs and all logits equal it returns {value:.4f}, expected log 4 = {log4:.4f}",
        "Nothing is known, so each of four candidates has probability 1/4.",
    )


def _symmetric(function) -> None:
    value = as_number(call(function, LOGITS), meaning="the loss of the batch, one number")
    if close(value, SYMMETRIC):
        return
    all_cells = -float(np.log(P).mean() + np.log(Q).mean()) / 2
    told(
        value,
        [
            (
                BY_ROW,
                "only rows choose: queries look for keys, keys for nothing",
                "Add the other direction.",
            ),
            (BY_COLUMN, "only columns choose: keys look for queries", "Add the other direction."),
            (all_cells, "every cell counts as right", "Only the diagonal holds right pairs."),
        ],
    )
    raise Wrong(
        f"it returns {value:.4f}; by hand it is {SYMMETRIC:.4f}",
        "With exp(logits) = [[6, 3, 3], [1, 2, 1], [2, 1, 1]] the rows give probabilities 1/2, 1/2,"
        " 1/4 to the right cell and the columns 2/3, 1/3, 1/5.",
    )


def _large_logits(function) -> None:
    for shift in (1000.0, -1000.0):
        value = as_number(quiet(function, LOGITS + shift), meaning="the loss", finite=False)
        if not close(value, SYMMETRIC):
            found = f"{value:.4f}" if np.isfinite(value) else "not finite"
            raise Wrong(
                f"with {shift:+.0f} added to every logit the loss is {found}, and it should not"
                " change",
                "The exponential left the range of floats. What cancels may be taken away"
                " before it.",
            )
    result = quiet(function, np.where(np.eye(3), -1000.0, 0.0))
    value = as_number(result, meaning="the loss", finite=False)
    if not close(value, 1000 + math.log(2)):
        raise Wrong(
            f"where every right logit is 1000 below the others it is {value:.4g}, expected 1000.7",
            "A probability that underflows to 0 has no logarithm. Stay with logarithms all the"
            " way.",
        )
    value = as_number(quiet(function, UNEVEN), meaning="the loss", finite=False)
    if not close(value, (math.log(2) + 1000) / 2):
        raise Wrong(
            f"where one row lies 2000 below the other it is {value:.4g}, expected 500.3",
            "Each row has its own largest logit: beside that of the whole matrix a low row"
            " underflows to 0.",
        )


def _shape_of_gradient(function) -> None:
    result = call(function, LOGITS)
    if np.asarray(result).size == 1:
        raise Wrong("it returns one number", "The gradient has one entry per logit.")
    as_array(result, shape=(3, 3), kind="numbers", meaning="one entry per logit")


def _gradient(function) -> None:
    found = np.asarray(call(function, LOGITS), dtype=float)
    right = (P + Q - 2 * EYE) / 6
    if close(found, right):
        return
    if close(found, -right):
        raise Wrong(
            "the sign is wrong",
            "The loss falls when a right logit rises: its entry lies below zero.",
        )
    if close(found, (P + Q) / 6):
        raise Wrong(
            "nothing is taken away on the diagonal", "It is softmax minus target; the target is 1."
        )
    if close(found, (P - EYE) / 3) or close(found, (Q - EYE) / 3):
        raise Wrong(
            "it is the gradient of one direction", "The other softmax runs along the other axis."
        )
    if close(found, (P + Q - EYE) / 6):
        raise Wrong(
            "the target is taken away once", "Each of the two directions has a target of its own."
        )
    ratio = float(found.ravel()[0] / right.ravel()[0])
    if close(found, ratio * right):
        raise Wrong(
            f"the pattern is right, the size is {ratio:.3g} times too large",
            "The loss is a mean over 3 rows and over 2 directions.",
        )
    raise Wrong(
        f"row 0 is {np.round(found[0], 4).tolist()}; by hand it is"
        f" {np.round(right[0], 4).tolist()}",
        "Softmax of row 0: 1/2, 1/4, 1/4. Column softmax of the same cells: 2/3, 1/2, 3/5. Take the"
        " target away and divide.",
    )


def _gradient_of_large_logits(function) -> None:
    found = np.asarray(quiet(function, LOGITS + 1000.0), dtype=float)
    if not close(found, (P + Q - 2 * EYE) / 6):
        raise Wrong(
            "with 1000 added to every logit it is "
            + ("something else" if np.isfinite(found).all() else "NaN or infinite"),
            "The exponential overflows. Take the largest logit away before; it cancels.",
        )
    found = np.asarray(quiet(function, UNEVEN), dtype=float)
    if not close(found, np.array([[-1, 3], [1, -3]]) / 8):
        raise Wrong(
            f"where one row lies 2000 below the other its gradients are {found[1].tolist()}",
            "Each row has its own largest logit: beside that of the whole matrix a low row"
            " underflows to 0.",
        )


EXERCISES = (
    Exercise(
        name="infonce.symmetric",
        statement=(
            "Return the symmetric InfoNCE loss, one number, of logits (B, B) with right pairs on"
            " the diagonal: the mean of the row-wise and the column-wise cross-entropy."
        ),
        stages=(_equal_logits, _symmetric, _large_logits),
        hints=(
            "A row's loss is the log of the sum of its exponentials, minus the right logit.",
            "The other direction is the same function of the transposed matrix.",
            (
                "Take the largest logit of the row away before the exponential, and add it after"
                " the logarithm."
            ),
        ),
        insight=(
            "At random it is log B, which is why losses of different batch sizes do not compare."
        ),
    ),
    Exercise(
        name="infonce.gradient",
        statement=(
            "Return the gradient (B, B) of the symmetric InfoNCE loss on its logits (B, B), "
            "finite whatever the size of the logits."
        ),
        stages=(_shape_of_gradient, _gradient, _gradient_of_large_logits),
        hints=(
            "For one direction it is softmax minus target, divided by B.",
            "The second direction normalises each column instead of each row.",
            "Average the two. Each of them takes one identity matrix away.",
        ),
        insight=(
            "It sums to 0: what pulls the right pairs together equals what pushes the others apart."
        ),
    ),
)
