"""Exercises of notebook 05: the hinge, the semi-hard band, a batch put right, the max of hinges."""

from collections.abc import Callable

import numpy as np

from lib.course.engine import Exercise, Wrong, as_mask, as_number, call, describe


def _agree(
    function: Callable, arguments: tuple, right: float, mistakes: dict[float, tuple[str, str]]
) -> None:
    """The one number of a case, or what the number it is instead comes from."""
    value = as_number(call(function, *arguments), meaning="one number, the loss")
    if np.isclose(value, right, atol=1e-6):
        return
    for wrong, said in mistakes.items():
        if np.isclose(value, wrong, atol=1e-6):
            raise Wrong(*said)
    given = "; ".join(str(np.asarray(a).tolist()) for a in arguments)
    raise Wrong(f"it returns {value:.4g}, by hand it is {right:.4g}", f"Work it on paper: {given}.")


# Costs 0.1, 0.15, 0.45 and 0 (from -0.1): the mean is 0.175.
RIGHT, WRONG = np.array([0.7, 0.5, 0.6, 0.7]), np.array([0.6, 0.45, 0.85, 0.4])
HINGE_MISTAKES = {
    0.2625: (
        "it asks the wrong key to win: the loss grows with the cosine of the right key",
        (
            "With distances the right one comes first, with cosines the wrong one: a high cosine is"
            " good."
        ),
    ),
    0.15: (
        "triplets that keep the margin are paid back: a cost is negative",
        "What exceeds the margin must not make up for another triplet. Cut each cost off at 0.",
    ),
    0.7 / 3: (
        "it is the mean over the three triplets that cost something; there are four",
        (
            "That mean is the 'active' reduction, and it does not fall when a triplet is solved."
            " Divide by all."
        ),
    ),
    0.7: ("it is the sum of the four costs", "Divide by the number of triplets."),
    0.0625: (
        "the margin is missing: a wrong key just below the right one costs nothing",
        "Add the margin to the difference before you cut off at 0.",
    ),
    0.0125: (
        "hardly anything costs",
        "The margin is demanded, so it adds to the cost; you took it away.",
    ),
    0.05875: ("the costs are squared", "A hinge is linear: half the violation, half the cost."),
    0.2: (
        "the difference counts double, as between squared distances",
        "Of unit vectors the squared distance is 2 - 2 cos. This margin is one of cosines.",
    ),
}


def _hinge(function) -> None:
    value = call(function, RIGHT, WRONG, 0.2)
    if np.size(value) == 4:
        raise Wrong("it returns a cost per triplet", "One number is asked for, their mean.")
    _agree(function, (RIGHT, WRONG, 0.2), 0.175, HINGE_MISTAKES)


def _each_is_cut_off(function) -> None:
    # The raw costs are 0.3 and -0.6: below 0 on average.
    mistakes = {
        0.0: (
            "the mean was cut off at 0, not the single costs",
            "One easy triplet hides a hard one that way. Cut off first, average after.",
        ),
        -0.15: HINGE_MISTAKES[0.15],
    }
    _agree(function, (np.array([0.5, 0.9]), np.array([0.6, 0.1]), 0.2), 0.15, mistakes)


def _all_solved(function) -> None:
    value = call(function, np.array([0.9, 0.8]), np.array([0.1, 0.2]), 0.5)
    if not np.isfinite(np.asarray(value, dtype=float)).all():
        raise Wrong(
            "when every triplet keeps the margin it returns NaN",
            "You divide by the number of triplets that cost something, and there are none. Divide"
            " by all.",
        )
    _agree(function, (np.array([0.9, 0.8]), np.array([0.1, 0.2]), 0.5), 0.0, {})
    # The margin is kept to the digit, which costs nothing; a tie costs the margin.
    _agree(function, (np.array([0.5, 0.5]), np.array([0.25, 0.5]), 0.25), 0.125, {})


# Row 2 has one wrong key just below its own, row 1 two and one above.
SCORES = np.array(
    [[0.7, 0.65, 0.45, 0.3], [0.42, 0.5, 0.45, 0.8], [0.1, 0.2, 0.9, 0.75], [0.05, 0.3, 0.35, 0.4]]
)
BAND = np.array([[0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1], [0, 1, 1, 0]], dtype=bool)
OWN = np.eye(4, dtype=bool)
ABOVE = SCORES == 0.8
FAR = ~(BAND | OWN | ABOVE)
BAND_MISTAKES = (
    (
        BAND | OWN,
        "every row marks its own key as a negative",
        "A key is not below itself: the comparison with the right key is strict.",
    ),
    (
        BAND | ABOVE,
        "a wrong key that beats the right one is marked",
        "Those are the hard ones. Semi-hard ends where the right key stands.",
    ),
    (
        BAND | ABOVE | OWN,
        "own keys and hard negatives are marked",
        "Semi-hard ends below the right key.",
    ),
    (
        BAND | FAR,
        "wrong keys far below the right one are marked",
        "Those keep the margin already. The band also has a lower end.",
    ),
    (
        np.array([[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 1, 0]], dtype=bool),
        "each row keeps one wrong key only, the best of its band",
        "Some libraries do that. Here the whole band is asked for.",
    ),
    (
        np.array([[0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 1, 0]], dtype=bool),
        "the band has half the width that is asked for",
        "The margin was halved, as for FaceNet's squared distances. Here it is given in cosines.",
    ),
    (
        ABOVE,
        "it marks the wrong keys above the right one",
        "Those are hard. Semi-hard ones lie below.",
    ),
)


CELLS = "One cell per pair of a query and a key: true where the key is a semi-hard negative."
# Key 1 is exactly as high as the right key 0, key 2 exactly the margin below it, key 3 inside the
# band.
EDGES = np.array([[0.5, 0.5, 0.25, 0.375], *np.diag([0.0, 1.0, 1.0, 1.0])[1:]])


def _band(function) -> None:
    found = as_mask(call(function, SCORES, 0.2), shape=SCORES.shape, meaning=CELLS)
    if (found == BAND).all():
        return
    right = np.diagonal(
        SCORES
    )  # compared along columns, each cell meets the right score of its key
    if (found == ((right > SCORES) & (right - 0.2 < SCORES))).all():
        raise Wrong(
            "each cell is compared with the right score of its column",
            "Row i is query i, so its right score must stay with the row. Give that vector a second"
            " axis.",
        )
    for mask, what, hint in BAND_MISTAKES:
        if (found == mask).all():
            raise Wrong(what, hint)
    i, j = np.argwhere(found != BAND)[0]
    raise Wrong(
        f"query {i} against key {j} is {'' if found[i, j] else 'not '}marked: its cosine is"
        f" {SCORES[i, j]}, that of the right key {SCORES[i, i]}, the margin 0.2",
        "Below the right cosine, but by less than the margin.",
    )


def _other_margin(function) -> None:
    found = as_mask(call(function, SCORES, 0.6), shape=SCORES.shape, meaning=CELLS)
    wanted = BAND.copy()
    wanted[0] |= FAR[0]  # 0.45 and 0.3 are above 0.7 - 0.6
    wanted[3] |= FAR[3]
    if (found != wanted).any():
        raise Wrong("with a margin of 0.6 other cells are right", "Use the margin that is given.")
    edge = as_mask(call(function, EDGES, 0.25), shape=EDGES.shape, meaning=CELLS)[0]
    if edge[1]:
        raise Wrong(
            "a wrong key exactly as high as the right one is marked", "Both comparisons are strict."
        )
    if edge[2]:
        raise Wrong(
            "a wrong key exactly the margin below is marked", "Both comparisons are strict."
        )
    if not edge[3]:
        raise Wrong(
            "a key half the margin below the right one is not marked", "It lies inside the band."
        )


# Rows are queries. Costs at a margin of 0.2: 0.15 in row 0, 0.3 in row 1, none in row 2; six
# triplets.
BATCH = np.array([[0.8, 0.75, 0.1], [0.3, 0.5, 0.6], [0.2, 0.4, 0.7]])
SIGN = (
    "the sign is still turned: what costs is a right key that wins",
    "Read it with a perfect batch, 1 for right and 0 for wrong: it should cost nothing.",
)
AXIS = (
    "each cell is compared with the right score of its column, not of its row",
    (
        "A vector lines up with the columns of a matrix. Query i is row i: its score needs a second"
        " axis."
    ),
)
COUNTED = (
    "each query is also compared with its own key, which always costs the margin",
    (
        "The cells where key and query belong together are no triplets: leave them out of the sum"
        " and the count."
    ),
)
DIVISOR = (
    "the sum is right, but it is divided by 9",
    "Three queries with two wrong keys each are 6 triplets.",
)
BATCH_MISTAKES = {
    3.5 / 9: (
        "that is the code you were given",
        "Three things are wrong. Try a perfect batch on it first.",
    ),
    3.45 / 9: (f"one fault is gone. {SIGN[0]}", SIGN[1]),
    **dict.fromkeys((2.85 / 6, 2.85 / 9), SIGN),
    **dict.fromkeys((2.9 / 6, 2.9 / 9), (f"{SIGN[0]}, and the rows are mixed up", SIGN[1])),
    **dict.fromkeys((1.25 / 9, 0.65 / 6, 0.65 / 9), AXIS),
    1.05 / 9: COUNTED,
    0.45 / 9: DIVISOR,
    0.45 / 2: (
        "it is the mean over the triplets that cost something",
        "It does not fall when one is solved. Divide by all six.",
    ),
    0.45: ("it is the sum of all costs", "The mean over all triplets is asked for."),
}


def _batch(function) -> None:
    _agree(function, (BATCH, 0.2), 0.075, BATCH_MISTAKES)


def _perfect_batch(function) -> None:
    _agree(function, (np.eye(4), 0.2), 0.0, {})
    said = (
        "a wrong key exactly as high as the right one costs nothing",
        (
            "Leave out the diagonal by its place, not by its value: each of these triplets costs"
            " the margin."
        ),
    )
    _agree(function, (np.full((3, 3), 0.5), 0.2), 0.2, {0.0: said})


# Items 0 and 2 are right for each other. By row the worst negative costs 0.1, 0.3, 0.1, 0; by
# column 0, 0.4, 0, 0.2.
PAIRS = np.array(
    [[0.6, 0.5, 0.7, 0.1], [0.2, 0.4, 0.3, 0.5], [0.65, 0.6, 0.7, 0.2], [-0.3, -0.2, -0.4, 0.5]]
)
SAME = np.eye(4, dtype=bool)
SAME[0, 2] = SAME[2, 0] = True
ONE_WAY = "Captions look for images and images for captions: add both, as VSE++ does."
MAX_MISTAKES = {
    0.275: (
        "it is the mean over the pairs",
        "VSE++ sums over the batch; the loss is B times as large.",
    ),
    0.1375: (
        "it is the mean over pairs and directions",
        "VSE++ sums over the batch and over both.",
    ),
    0.55: ("it is the mean of the two directions", "VSE++ adds them."),
    0.5: ("only the rows, queries as anchors, are counted", ONE_WAY),
    0.6: ("only the columns, keys as anchors, are counted", ONE_WAY),
    1.5: (
        "all violated negatives count",
        (
            "That is the sum of hinges, VSE of 2014. Only the worst negative of each row and column"
            " counts."
        ),
    ),
    1.8: (
        "keys that are also right are pushed away",
        (
            "`same` marks items 0 and 2 as right for each other: they are no negatives, however"
            " high they score."
        ),
    ),
    1.9: (
        "each item is its own negative, so that nothing costs less than the margin",
        "The diagonal holds the right pairs.",
    ),
    2.05: (
        "`same` and the diagonal are not left out",
        "What is right for a query can never be its negative.",
    ),
}


def _max_of_hinges(function) -> None:
    _agree(function, (PAIRS, SAME, 0.2), 1.1, MAX_MISTAKES)


def _low_scores(function) -> None:
    low = np.array([[0.1, -0.5], [-0.6, 0.1]])
    said = (
        "where all wrong keys score below 0, an excluded cell counts as a negative with cosine 0",
        (
            "Multiplying by 0 does not take a cell out of a maximum. It must be lower than anything"
            " else there."
        ),
    )
    _agree(function, (low, np.eye(2, dtype=bool), 0.2), 0.0, {0.4: said})
    said = (
        "of equally bad negatives all are counted",
        "One negative a row and a column, the worst.",
    )
    _agree(function, (np.full((3, 3), 0.5), np.eye(3, dtype=bool), 0.2), 1.2, {2.4: said})


def _no_negatives(function) -> None:
    value = call(function, np.full((2, 2), -1.0), np.ones((2, 2), dtype=bool), 0.2)
    if not np.isclose(float(np.asarray(value, dtype=float).sum()), 0.0):
        raise Wrong(
            f"for a batch in which everything is right for everything it returns {describe(value)}",
            "No negatives, no cost: 0. What an excluded cell holds must not reach the sum.",
        )


EXERCISES = (
    Exercise(
        name="triplet.hinge",
        statement=(
            "Return the mean cost of n triplets: right (n,) and wrong (n,), the anchor's cosines"
            " with its right and its wrong key, and the margin in, one number out."
        ),
        stages=(_hinge, _each_is_cut_off, _all_solved),
        hints=(
            (
                "One triplet costs what is missing to a lead of `margin`, and nothing if nothing is"
                " missing."
            ),
            "What is missing: margin plus the wrong cosine minus the right one.",
            "Cut every cost off at 0, then average over all triplets, solved ones included.",
        ),
        insight="Cosines and distances turn the sign: say which you hold before you write a hinge.",
    ),
    Exercise(
        name="triplet.semi_hard",
        statement=(
            "Return booleans (B, B), true where key j is a semi-hard negative of query i: below the"
            " cosine of the right key, the diagonal, by less than margin. Cosines (B, B) and"
            " margin in."
        ),
        stages=(_band, _other_margin),
        hints=(
            (
                "Two conditions joined by 'and': below the right cosine; above the right cosine"
                " less the margin."
            ),
            "The right cosines are the diagonal, one per row, so they need shape (B, 1).",
            "With strict comparisons the diagonal leaves by itself.",
        ),
        insight="They still cost something and have not overtaken the right key.",
    ),
    Exercise(
        name="triplet.batch",
        statement=(
            "Return the mean hinge over the B (B - 1) triplets of a batch: cosines (B, B), query i"
            " in row i with its right key on the diagonal, and the margin in, one number out."
        ),
        stages=(_batch, _perfect_batch),
        hints=(
            (
                "Try it on a perfect batch: ones on the diagonal, zeros elsewhere. What should it"
                " cost?"
            ),
            (
                "Which right score does the cell in row 0, column 1 meet? Print the difference and"
                " look."
            ),
            "The diagonal is no triplet: leave it out of the sum, and out of the count.",
        ),
        insight=(
            "None of the three faults raises an error. A case worked by hand finds them in a"
            " minute."
        ),
    ),
    Exercise(
        name="triplet.max_of_hinges",
        statement=(
            "Return the VSE++ loss: for each row and for each column the hinge of its worst"
            " negative, all added up. Cosines (B, B), same (B, B), true where a pair is right, also"
            " on the diagonal, and margin in, one number out."
        ),
        stages=(_max_of_hinges, _low_scores, _no_negatives),
        hints=(
            (
                "The hinge of the worst negative is the largest hinge, so a maximum along one axis"
                " does it."
            ),
            (
                "What `same` marks must lose every maximum: put something there that is lower than"
                " any cosine."
            ),
            "Rows and columns share the diagonal but not the worst negative; do the transpose too.",
        ),
        insight=(
            "A pair pushes two negatives at most. If one of them is right after all, half of the"
            " push goes the wrong way, which is what `same` is for."
        ),
    ),
)
