"""Exercises of notebook 01: directions, the gap between modalities, truncation, arithmetic."""

import numpy as np

from lib.course.engine import Exercise, Wrong, as_array, call, expect_refusal

# Norms 5, 13 and 3: every row is a Pythagorean triple, so the right answer is exact on paper.
ROWS = np.array([[3.0, 4.0, 0.0, 0.0], [0.0, -5.0, 12.0, 0.0], [1.0, 2.0, 0.0, -2.0]])
NORMS = np.array([5.0, 13.0, 3.0])
CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def _close(a, b) -> bool:
    return np.shape(a) == np.shape(b) and np.allclose(a, b, **CLOSE)


def _shape_of_normalise(function) -> None:
    result = call(function, ROWS)
    as_array(
        result,
        shape=ROWS.shape,
        kind="numbers",
        meaning="the same shape as the input: one vector per row",
    )


def _unit_rows(function) -> None:
    rows = np.asarray(call(function, ROWS), dtype=float)
    lengths = np.sqrt((rows**2).sum(axis=1))
    if _close(lengths, np.ones(3)):
        if not _close(rows * NORMS[:, None], ROWS):
            raise Wrong(
                "the rows have length 1 but point elsewhere",
                "Only the length may change, not the direction.",
            )
        return
    if _close(np.sqrt((rows**2).sum()), 1.0):
        raise Wrong(
            "the whole matrix has length 1, its rows have not",
            "One norm was taken over everything. Each row needs its own: which axis does the sum"
            " run along?",
        )
    if _close((rows**2).sum(axis=0), np.ones(4)):
        raise Wrong(
            "the columns have length 1, the rows have not",
            "A vector is a row here, so the sum of squares runs along the other axis.",
        )
    if _close(lengths, 1 / NORMS):
        raise Wrong(
            "the rows are too short: row 0 of length 5 becomes 1/5",
            "It was divided by the squared length. A square root is missing.",
        )
    if _close(np.abs(rows).max(axis=1), np.ones(3)):
        raise Wrong(
            "the largest entry of each row is 1, its length is not",
            "It was divided by the maximum. The length is the root of the sum of squares.",
        )
    if _close(np.abs(rows).sum(axis=1), np.ones(3)):
        raise Wrong(
            "the absolute entries of each row sum to 1, its length is not 1",
            "That is the L1 norm. Cosine similarity needs the Euclidean one.",
        )
    raise Wrong(
        f"the rows have lengths {np.round(lengths, 3).tolist()}, expected 1 for each",
        "By hand: (3, 4, 0, 0) has length 5 and becomes (0.6, 0.8, 0, 0).",
    )


def _zero_row(function) -> None:
    with_zero = np.array([[3.0, 4.0], [0.0, 0.0]])
    hint = (
        "A zero vector has no direction. Raise a ValueError before dividing: a NaN would surface"
        " elsewhere."
    )
    expect_refusal(function, with_zero, case="a row of zeros", hint=hint)
    try:
        short = call(function, with_zero[:1] * 1e-6)
    except Wrong:
        short = ()
    if not _close(short, [[0.6, 0.8]]):
        raise Wrong(
            "a row of length 5e-6 does not get length 1", "Short is not zero: it has a direction."
        )


# Unit rows (images): (0.6, 0.8), (0, 1), (0.6, 0.8), mean (0.4, 26/30); (texts): (1, 0) and (0.8,
# 0.6), mean (0.9, 0.3).
IMAGES = np.array([[3.0, 4.0], [0.0, 2.0], [0.6, 0.8]])
TEXTS = np.array([[5.0, 0.0], [4.0, 3.0]])
GAP = np.array([-0.5, 17 / 30])
GAP_UNNORMALISED = np.array([-3.3, 23 / 30])  # means (1.2, 68/30) and (4.5, 1.5)
GAP_OF_DIRECTIONS = np.array([-0.529625, 0.591732])  # both means scaled to length 1 first


def _shape_of_gap(function) -> None:
    try:
        result = call(function, IMAGES, TEXTS)
    except Wrong as wrong:
        if "broadcast" not in wrong.what and "shape" not in wrong.what:
            raise
        raise Wrong(
            wrong.what,
            "There are 3 images and 2 texts here: nothing is paired. Take each mean over its items"
            " (axis 0) before you subtract.",
        ) from None
    size = np.asarray(result)
    if size.dtype.kind in "iuf" and size.size == 1:
        if _close(size.reshape(()), np.sqrt((GAP**2).sum())):
            raise Wrong(
                "it returns the width of the gap", "The gap is a vector and has a direction too."
            )
        raise Wrong(
            "it returns one number, so a mean ran over everything",
            "Take the mean over the items only (axis 0); the coordinates stay.",
        )
    as_array(result, shape=(2,), kind="numbers", meaning="one vector of the dimension of the space")


def _gap(function) -> None:
    gap = np.asarray(call(function, IMAGES, TEXTS), dtype=float)
    if _close(gap, GAP):
        return
    if _close(gap, -GAP):
        raise Wrong("the vector points the other way", "It is defined as images minus texts.")
    if _close(gap, GAP_UNNORMALISED) or _close(gap, -GAP_UNNORMALISED):
        raise Wrong(
            "long vectors weigh more than short ones: the rows were not normalised",
            "Retrieval compares directions, so the gap is one between unit rows. You have that"
            " function.",
        )
    if _close(gap, GAP_OF_DIRECTIONS):
        raise Wrong(
            "the two means were scaled to length 1 before they were subtracted",
            "Normalise the rows, not the means: how far a mean lies inside the sphere is part of"
            " the story.",
        )
    if _close(gap / np.sqrt((gap**2).sum()), GAP / np.sqrt((GAP**2).sum())):
        raise Wrong(
            "the direction is right, the length is not", "The gap itself is not normalised."
        )
    raise Wrong(
        f"it returns {np.round(gap, 4).tolist()}; by hand it is {np.round(GAP, 4).tolist()}",
        "Work it on paper: images (3, 4), (0, 2), (0.6, 0.8); texts (5, 0), (4, 3).",
    )


# Row 0 is (3, 4, 12) / 13, row 1 is (0.6, 0, 0.8): after truncation to 2 they are (0.6, 0.8) and
# (1, 0).
LONG = np.array([[3 / 13, 4 / 13, 12 / 13], [0.6, 0.0, 0.8]])
SHORT = np.array([[0.6, 0.8], [1.0, 0.0]])
LAST = np.array([[0.1**0.5, 0.9**0.5], [0.0, 1.0]])  # (4, 12) and (0, 0.8), scaled to length 1


def _shape_of_truncate(function) -> None:
    if np.asarray(call(function, LONG, 1)).shape == (1, 3):
        raise Wrong(
            "it keeps the first rows, that is, the first items",
            "Items are rows and stay; coordinates are columns. Cut along the other axis.",
        )
    result = call(function, LONG, 2)
    array = np.asarray(result)
    if array.shape == LONG.shape:
        if array.dtype.kind == "f" and _close(array[:, 2], np.zeros(2)):
            raise Wrong(
                "the dropped coordinates were set to zero; the vectors are as long as before",
                "Fewer bytes are the point: the result has shape (n, dim).",
            )
        raise Wrong("nothing was cut: the shape is the input's", "The result has shape (n, dim).")
    as_array(result, shape=(2, 2), kind="numbers", meaning="all rows, their first dim coordinates")


def _truncated(function) -> None:
    rows = np.asarray(call(function, LONG, 2), dtype=float)
    if _close(rows, SHORT):
        return
    if _close(rows, LONG[:, :2]):
        raise Wrong(
            f"the rows have lengths {np.round(np.sqrt((rows**2).sum(axis=1)), 3).tolist()} instead"
            " of 1",
            "Cutting shortens a vector, each by another amount, so a dot product is no cosine any"
            " more. Normalise again after the cut.",
        )
    if _close(rows, LAST) or _close(rows, LONG[:, 1:]):
        raise Wrong(
            "it keeps the last coordinates",
            "Matryoshka training packs what matters most into the first ones.",
        )
    raise Wrong(
        f"for the row (3, 4, 12)/13 and dim = 2 it returns {np.round(rows[0], 3).tolist()}",
        "By hand: keep (3, 4)/13, then scale it to length 1.",
    )


def _nothing_to_cut(function) -> None:
    rows = np.asarray(call(function, LONG, 3), dtype=float)
    if not _close(rows, LONG):
        raise Wrong(
            "with dim equal to the dimension the rows changed", "Then there is nothing to cut."
        )


# alpha - beta + gamma = (1.4, 0.6, -0.2). Cosines with it: solar 0.93, lunar 0.80, astral 0.49,
# vast 0.19, tidal -0.89; alpha itself 0.96, gamma 0.44, beta -0.13. "vast" is seven times as long
# as the others.
NAMES = ["alpha", "beta", "gamma", "solar", "lunar", "astral", "tidal", "vast"]
VECTORS = np.array(
    [
        [0.8, 0.6, 0.0],
        [0.0, 0.0, 1.0],
        [0.6, 0.0, 0.8],
        [1.0, 0.1, 0.1],
        [0.8, 0.4, 0.5],
        [0.1, 0.9, 0.0],
        [-1.0, 0.0, 0.4],
        [1.0, 3.0, 6.0],
    ]
)
NEAREST = ["solar", "lunar", "astral", "vast", "tidal"]
# The five names in the order that each mistake gives, and what to say about it.
WRONG_ORDERS = {
    ("tidal", "vast", "astral", "lunar", "solar"): (
        "the farthest name comes first",
        "Best first: the highest cosine leads.",
    ),
    ("astral", "lunar", "vast", "solar", "tidal"): (
        "the order fits a + b - c: the signs of b and c are swapped",
        "Take b away from a, then add c.",
    ),
    ("vast", "tidal", "lunar", "solar", "astral"): (
        "the order fits b - a + c: the signs of a and b are swapped",
        "Start at a, take b away, then add c.",
    ),
    ("lunar", "vast", "solar", "astral", "tidal"): (
        "the order fits a + b + c: nothing was taken away",
        "The analogy removes b before it adds c.",
    ),
    ("vast", "solar", "lunar", "astral", "tidal"): (
        "'vast' wins because its vector is long, not because it points the right way",
        "That is a dot product. For cosines the candidates need length 1.",
    ),
    ("solar", "lunar", "astral", "tidal", "vast"): (
        "'vast' comes last because its vector is long, although it points better than 'tidal'",
        (
            "That is a distance between vectors of different lengths. For cosines the candidates"
            " need length 1."
        ),
    ),
}


def _list_of_names(function) -> None:
    result = call(function, VECTORS, NAMES, "alpha", "beta", "gamma", 3)
    if isinstance(result, str):
        raise Wrong("it returns one name", "k = 3 names are asked for, as a list.")
    found = list(result)
    if found and not all(isinstance(name, str) for name in found):
        raise Wrong(f"it returns {found[:3]}", "Return the names, not their positions or scores.")
    if any(name in ("alpha", "beta", "gamma") for name in found):
        inside = [name for name in found if name in ("alpha", "beta", "gamma")]
        raise Wrong(
            f"the answer contains its own question: {', '.join(inside)}",
            "The target lies close to its ingredients, so they win. Leave a, b and c out, and see"
            " that k names remain.",
        )
    if len(found) != 3 or len(set(found)) != 3:
        raise Wrong(
            f"it returns {len(found)} names, expected 3 different ones",
            "Leave a, b and c out before you take the k best, not after.",
        )


def _nearest_names(function) -> None:
    found = list(call(function, VECTORS, NAMES, "alpha", "beta", "gamma", 5))
    if found == NEAREST:
        return
    if tuple(found) in WRONG_ORDERS:
        raise Wrong(*WRONG_ORDERS[tuple(found)])
    raise Wrong(
        f"it returns {', '.join(found)}; by hand it is {', '.join(NEAREST)}",
        "The target is v[a] - v[b] + v[c]; the cosine with it decides.",
    )


def _other_inputs(function) -> None:
    # The question words may stand anywhere in the list.
    order = [5, 2, 3, 7, 0, 6, 1, 4]
    found = list(
        call(function, VECTORS[order], [NAMES[i] for i in order], "alpha", "beta", "gamma", 2)
    )
    if found != NEAREST[:2]:
        raise Wrong(
            f"with the rows in another order it returns {', '.join(map(str, found))}",
            "Look each name up; do not count on where it stands.",
        )


EXERCISES = (
    Exercise(
        name="space.normalise",
        statement=(
            "Return the rows of x (n, d) divided by their Euclidean length; ValueError for a zero"
            " row."
        ),
        stages=(_shape_of_normalise, _unit_rows, _zero_row),
        hints=(
            "Length of a row: square the entries, add them up along the row, take the root.",
            (
                "The lengths have shape (n,). To divide rows by them they need a second axis of"
                " size 1."
            ),
            "Look at the lengths before dividing: if any is zero, raise.",
        ),
        insight=(
            "On the unit sphere a dot product is a cosine, and ranking by it is ranking by"
            " distance."
        ),
    ),
    Exercise(
        name="space.modality_gap",
        statement=(
            "Return the vector from the mean of the texts' unit rows to the mean of the images'"
            " unit rows: images (n, d) and texts (m, d) in, (d,) out."
        ),
        stages=(_shape_of_gap, _gap),
        hints=(
            "Three steps: normalise the rows of both, take both means, subtract.",
            "The mean is over items, so it has d entries; n and m may differ.",
            "Images minus texts. Do not normalise anything after the means.",
        ),
        insight=(
            "Its length is the width of the gap: 0 if the two clouds share a centre, at most 2."
        ),
    ),
    Exercise(
        name="space.truncate",
        statement=(
            "Return the first dim coordinates of every row of x (n, d), scaled to length 1: (n,"
            " dim)."
        ),
        stages=(_shape_of_truncate, _truncated, _nothing_to_cut),
        hints=(
            "Two steps: cut, then repair what the cut broke.",
            "The cut is a slice along the coordinates, the second axis.",
            "The repair is the function of the first exercise of this notebook.",
        ),
        insight="Without the second step long remainders would win searches just for being long.",
    ),
    Exercise(
        name="space.analogy",
        statement=(
            "Return the k names whose vectors have the highest cosine with v[a] - v[b] + v[c], best"
            " first, never a, b or c: vectors (n, d), names (n), three names and k in, a list of k"
            " names out."
        ),
        stages=(_list_of_names, _nearest_names, _other_inputs),
        hints=(
            "Find the three rows by name, then build the target vector.",
            "Score all rows by cosine: unit rows times the unit target. Then sort, best first.",
            "Go down the sorted names, skip a, b and c, and stop when you have k.",
        ),
        insight="The exclusion does much of the work: without it, a itself is usually the nearest.",
    ),
)
