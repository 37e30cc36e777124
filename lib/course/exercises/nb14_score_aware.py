"""Exercise of notebook 14 about quantisation: two errors of one length that do not count alike."""

import numpy as np

from lib.course.engine import Exercise, Wrong, as_array, call, is_same, object_to_mistakes

# ---- lsh.anisotropic: residuals (0, 1) and (1, -1); along the vectors 0.8 and 1, across them 0.6
# and 1.

VECTORS = np.array([[3.0, 4.0], [2.0, 0.0]])
DECODED = np.array([[3.0, 3.0], [1.0, 1.0]])


def _losses(function, eta: float) -> np.ndarray:
    found = call(function, VECTORS, DECODED, eta)
    return as_array(found, shape=(2,), kind="numbers", meaning="one loss per row")


def _plain_loss(function) -> None:
    found = _losses(function, 1.0)
    object_to_mistakes(
        found,
        [
            ([1.64, 3.0], ("the parallel part is counted twice", "|r| squared holds it already.")),
            (
                [17.0, 5.0],
                (
                    "the parallel part is not the length of a shadow",
                    "Project onto a vector of length 1.",
                ),
            ),
            (
                [1.4, 2.0],
                ("the parts are not squared", "Only squares of the two parts add up to |r|^2."),
            ),
            (
                [0.36, 1.0],
                ("only the part across is counted", "Both parts count; eta weighs the other one."),
            ),
            (
                [0.64, 1.0],
                (
                    "only the part along is counted",
                    "Both parts count, the one across with weight 1.",
                ),
            ),
        ],
    )
    if not is_same(found, [1.0, 2.0]):
        raise Wrong(
            f"with eta = 1 the losses are {found.round(3).tolist()}",
            "Then it is the squared error: the residuals are (0, 1) and (1, -1).",
        )


def _weighted_loss(function) -> None:
    found = _losses(function, 5.0)
    object_to_mistakes(
        found,
        [
            (
                [2.44, 6.0],
                ("eta weighs the part across the vector", "The error along it is the dear one."),
            ),
            (
                [1.0, 2.0],
                ("eta changes nothing", "It multiplies the squared length of the parallel part."),
            ),
            (
                [5.0, 10.0],
                ("eta multiplies the whole error", "Then no order of codes would ever change."),
            ),
            (
                [3.0, 2.0],
                (
                    "the parts are along and across the decoded vector",
                    "They belong to the vector itself.",
                ),
            ),
            (
                [16.36, 26.0],
                ("eta is squared", "The weight stands before the square, not under it."),
            ),
        ],
    )
    if not is_same(found, [3.56, 6.0]):
        raise Wrong(
            f"with eta = 5 the losses are {found.round(3).tolist()}",
            "5 x 0.64 + 0.36, and 5 x 1 + 1.",
        )
    with np.errstate(all="ignore"):
        found = np.asarray(call(function, VECTORS, VECTORS, 5.0), dtype=float)
    if not is_same(found, [0.0, 0.0]):
        raise Wrong(
            f"for codes without any error it returns {found.tolist()}",
            "No error costs 0. A residual of length 0 has no direction: do not divide by its"
            " length.",
        )


EXERCISES = (
    Exercise(
        name="lsh.anisotropic",
        statement=(
            "Return the score-aware loss of each row: vectors (n, d), what their codes stand for"
            " (n, d) and eta in, (n,) out. With r the difference, it is eta times the squared"
            " length of the part of r along the vector, plus the squared length of the rest."
        ),
        stages=(_plain_loss, _weighted_loss),
        hints=(
            "The part along the vector is the product of r with the vector at length 1.",
            "The square of what is left is the square of r minus the square of that part.",
            "So the loss is the squared error, plus (eta - 1) times the squared parallel part.",
        ),
        insight=(
            "A query that scores high points where the vector points, so it feels the first part in"
            " full and the second hardly."
        ),
    ),
)
