"""Hidden tests of assignment 1: arguments drawn from a seed; the solutions give the right answers.

A test with an easy edge case has an ordinary one beside it, so that no constant passes it.
"""

import numpy as np

from lib.course.assignments.sources import HiddenTest, Task


def rows(random, n, dim=6):
    """Draw unit vectors."""
    vectors = random.normal(size=(n, dim))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def scores(random, n=6, m=None):
    """Draw similarities."""
    return random.uniform(-1, 1, size=(n, m or n))


def tied_scores(random):
    """Draw similarities of one digit, so that several are equal."""
    drawn = np.round(random.uniform(0, 1, size=(8, 8)), 1)
    np.fill_diagonal(drawn, 0.7)
    return drawn


def groups(random, n=6):
    """Draw groups of which at least one has three members."""
    drawn = random.integers(0, 4, size=n)
    drawn[:3] = 9
    return random.permutation(drawn)


TASKS = (
    Task(
        "infonce",
        (
            HiddenTest(
                "unit vectors",
                2,
                lambda r: [(rows(r, 5), rows(r, 5), 0.5), (rows(r, 7), rows(r, 7), 0.07)],
                "Compute two rows by hand. Are both directions there, and is it a mean?",
            ),
            HiddenTest(
                "rows of other lengths",
                1,
                lambda r: [(4 * r.normal(size=(5, 3)), r.normal(size=(5, 3)), 0.3)],
                "The formula wants cosines: divide each row by its length.",
            ),
            HiddenTest(
                "a temperature of 0.001",
                2,
                lambda r: [(rows(r, 6), rows(r, 6), 0.001)],
                "An exponential of 1,000 is infinite. Which number can be subtracted from a row of"
                " logits without a change of the result?",
            ),
            HiddenTest(
                "a batch of one",
                1,
                lambda r: [(rows(r, 1), rows(r, 1), 0.1), (rows(r, 3), rows(r, 3), 0.1)],
                "With one pair there is nothing to confuse: which value has the loss then?",
            ),
        ),
    ),
    Task(
        "grouped_infonce",
        (
            HiddenTest(
                "all groups differ",
                1,
                lambda r: [(rows(r, 5), rows(r, 5), r.permutation(5), 0.2)],
                "Then it must equal Task 1.",
            ),
            HiddenTest(
                "groups of several",
                3,
                lambda r: [(rows(r, 6), rows(r, 6), groups(r), 0.2) for _ in range(2)],
                "The shares of one text sum to 1: three right images get a third each.",
            ),
            HiddenTest(
                "one group",
                1,
                lambda r: [
                    (rows(r, 4), rows(r, 4), np.full(4, 3), 0.5),
                    (rows(r, 6), rows(r, 6), groups(r), 0.5),
                ],
                "All pairs are right then, and the loss is not 0.",
            ),
            HiddenTest(
                "groups as a list",
                1,
                lambda r: [(rows(r, 6), rows(r, 6), groups(r).tolist(), 0.3)],
                "Comparing two lists gives one boolean. Make an array of it first.",
            ),
        ),
    ),
    Task(
        "infonce_gradient",
        (
            HiddenTest(
                "a temperature of 1",
                2,
                lambda r: [(scores(r), 1.0)],
                "Compare with a difference quotient: change one score by 0.0001.",
            ),
            HiddenTest(
                "other temperatures",
                2,
                lambda r: [(scores(r, 5), 0.07), (scores(r, 4), 2.5)],
                "The chain rule brings one more factor with the temperature.",
            ),
            HiddenTest(
                "batches of other sizes",
                1,
                lambda r: [(scores(r, 2), 1.0), (scores(r, 9), 1.0)],
                "The loss is a mean over the batch, so each row counts one part of B.",
            ),
            HiddenTest(
                "a low temperature",
                1,
                lambda r: [(scores(r), 0.0005)],
                "The shares of a row can be computed without large exponentials.",
            ),
        ),
    ),
    Task(
        "semi_hard",
        (
            HiddenTest(
                "scores that all differ",
                2,
                lambda r: [(scores(r, 8), 0.6), (scores(r, 12), 0.4)],
                "Harder than the margin allows, and still below the right pair.",
            ),
            HiddenTest(
                "rows without one",
                2,
                lambda r: [(scores(r, 8), 0.05), (scores(r, 8), 0.15)],
                "What does your code return where no column is allowed?",
            ),
            HiddenTest(
                "equal scores",
                2,
                lambda r: [(tied_scores(r), 0.35), (tied_scores(r), 0.35)],
                "Both bounds are strict, and of equal scores the smallest column wins.",
            ),
        ),
    ),
    Task(
        "sigmoid_loss",
        (
            HiddenTest(
                "a square batch",
                2,
                lambda r: [(scores(r), np.eye(6, dtype=bool), 10.0, -2.0)],
                "The sum over all pairs is divided by the number of texts, not of pairs.",
            ),
            HiddenTest(
                "more images than texts",
                1,
                lambda r: [(scores(r, 4, 7), r.random((4, 7)) < 0.4, 3.0, -1.0)],
                "Which of the two lengths is n?",
            ),
            HiddenTest(
                "a scale of 2,000",
                2,
                lambda r: [(scores(r), r.random((6, 6)) < 0.3, 2000.0, 0.0)],
                "log(1 + exp(x)) overflows for a large x, although it is nearly x.",
            ),
            HiddenTest(
                "a bias",
                1,
                lambda r: [(scores(r), r.random((6, 6)) < 0.5, 1.0, b) for b in (-10.0, 3.0)],
                "The bias is inside the bracket that the sign multiplies.",
            ),
        ),
    ),
)
