"""Exercises of notebook 01: directions, the gap between modalities, truncation, arithmetic."""

import numpy as np

from lib.course.cases import Case, Exercise, Refusal, Shape, Wrong, call, expect, is_same

# ---- space.normalise: norms 5, 13 and 3, so the right answer is exact on paper.

ROWS = np.array([[3.0, 4.0, 0.0, 0.0], [0.0, -5.0, 12.0, 0.0], [1.0, 2.0, 0.0, -2.0]])
NORMS = np.array([[5.0], [13.0], [3.0]])
UNIT_ROWS = ROWS / NORMS

normalise = Exercise(
    "space.normalise",
    """Return the rows of x (n, d) divided by their Euclidean length; ValueError for a zero row.""",
    (
        Case((ROWS,), UNIT_ROWS, mistakes={
            "the whole matrix has length 1, its rows do not | One norm was taken over everything."
            " Each row needs its own: which axis does the sum run along?":
                ROWS / np.sqrt((ROWS**2).sum()),
            "the columns have length 1, the rows do not | A vector is a row here, so the sum of"
            " squares runs along the other axis.": ROWS / np.sqrt((ROWS**2).sum(axis=0)),
            "the rows are too short: row 0 of length 5 becomes 1/5"
            " | It was divided by the squared length. A square root is missing.": ROWS / NORMS**2,
            "the largest entry of each row is 1, its length is not"
            " | It was divided by the maximum. The length is the root of the sum of squares.":
                ROWS / np.abs(ROWS).max(axis=1, keepdims=True),
            "the absolute entries of each row sum to 1, its length is not 1"
            " | That is the L1 norm. Cosine similarity needs the Euclidean one.":
                ROWS / np.abs(ROWS).sum(axis=1, keepdims=True),
            "the rows have length 1 but point elsewhere | Only the length may change, not the"
            " direction.": lambda rows: is_same((rows**2).sum(axis=1), np.ones(3)),
        }, otherwise="By hand: (3, 4, 0, 0) has length 5 and becomes (0.6, 0.8, 0, 0).",
            meaning="the same shape as the input: one vector per row"),
        Refusal((np.array([[3.0, 4.0], [0.0, 0.0]]),), "a row of zeros",
            "A zero vector has no direction. Raise a ValueError before dividing: a NaN causes"
            " errors elsewhere."),
        Case((np.array([[3e-6, 4e-6]]),), np.array([[0.6, 0.8]]),
            "Short is not zero: it has a direction.", given="for a row of length 5e-6",
            if_raises="Short is not zero: it has a direction."),
    ),
    """- Length of a row: square the entries, add them up along the row, take the root.
    - The lengths have shape (n,). To divide rows by them they need a second axis of size 1.
    - Look at the lengths before dividing: if any is zero, raise.""",
    "On the unit sphere a dot product is a cosine, and ranking by it is ranking by distance.",
)  # fmt: skip

# ---- space.modality_gap: unit rows of the images are (0.6, 0.8), (0, 1), (0.6, 0.8) with mean
# (0.4, 26/30), of the texts (1, 0) and (0.8, 0.6) with mean (0.9, 0.3).

IMAGES = np.array([[3.0, 4.0], [0.0, 2.0], [0.6, 0.8]])
TEXTS = np.array([[5.0, 0.0], [4.0, 3.0]])
GAP = np.array([-0.5, 17 / 30])
GAP_UNNORMALISED = np.array([-3.3, 23 / 30])  # means (1.2, 68/30) and (4.5, 1.5)
GAP_OF_DIRECTIONS = np.array([-0.529625, 0.591732])  # both means scaled to length 1 first
UNNORMALISED = (
    " | Retrieval compares directions, so the gap is one between unit rows. You have that function"
    " from the exercise before."
)
NOT_PAIRED = (
    "There are 3 images and 2 texts here: nothing is paired. Take each mean over its items (axis 0)"
    " before you subtract."
)

modality_gap = Exercise(
    "space.modality_gap",
    """Return the vector from the mean of the texts' unit rows to the mean of the images' unit rows:
    images (n, d) and texts (m, d) in, (d,) out.""",
    (
        Case((IMAGES, TEXTS), GAP, mistakes={
            "it returns the width of the gap | The gap is a vector and has a direction too.":
                (GAP @ GAP) ** 0.5,
            "it returns one number, so a mean ran over everything"
            " | Take the mean over the items only (axis 0); the coordinates stay.": Shape(()),
            "the vector points the other way | It is defined as images minus texts.": -GAP,
            f"long vectors count more than short ones: the rows were not normalised{UNNORMALISED}":
                GAP_UNNORMALISED,
            f"the signs are turned, and the rows were not normalised{UNNORMALISED}":
                -GAP_UNNORMALISED,
            "the two means were scaled to length 1 before they were subtracted | Normalise the"
            " rows, not the means: how far a mean lies inside the sphere is part of the result.":
                GAP_OF_DIRECTIONS,
            "the direction is right, the length is not | The gap itself is not normalised.":
                lambda gap: is_same(gap / (gap @ gap) ** 0.5, GAP / (GAP @ GAP) ** 0.5),
        }, otherwise="Work it on paper: images (3, 4), (0, 2), (0.6, 0.8); texts (5, 0), (4, 3).",
            meaning="one vector of the dimension of the space", if_raises=NOT_PAIRED),
        Case((IMAGES[:1], TEXTS[:1]), np.array([-0.4, 0.8]),
            "One image and one text: their unit rows are (0.6, 0.8) and (1, 0)."),
    ),
    """- Three steps: normalise the rows of both, take both means, subtract.
    - The mean is over items, so it has d entries; n and m may differ.
    - Images minus texts. Do not normalise anything after the means.""",
    "Its length is the width of the gap: 0 if the two clouds share a centre, at most 2.",
)  # fmt: skip

# ---- space.truncate: row 0 is (3, 4, 12) / 13, row 1 is (0.6, 0, 0.8).

LONG = np.array([[3 / 13, 4 / 13, 12 / 13], [0.6, 0.0, 0.8]])
LAST = " | Matryoshka training packs what matters most into the first ones."


def _keeps_all_rows(function) -> None:
    expect(
        np.shape(call(function, LONG, 1)) != (1, 3),
        "it keeps the first rows, that is, the first items"
        " | Items are rows and stay; coordinates are columns. Cut along the other axis.",
    )


truncate = Exercise(
    "space.truncate",
    """Return the first dim coordinates of every row of x (n, d), scaled to length 1: (n, dim).""",
    (
        _keeps_all_rows,
        Case((LONG, 2), np.array([[0.6, 0.8], [1.0, 0.0]]), mistakes={
            "the dropped coordinates were set to zero; the vectors are as long as before | Fewer"
            " bytes are the point: the result has shape (n, dim).": [[0.6, 0.8, 0], [1, 0, 0]],
            "the other coordinates were set to zero and the rows not scaled"
            " | Fewer bytes are the point: the result has shape (n, dim).": LONG * [1, 1, 0],
            "nothing was cut: the shape is that of the input | The result has shape (n, dim).":
                Shape((2, 3)),
            "the rows do not have length 1 | Cutting shortens each vector by another amount, so a"
            " dot product is no longer a cosine. Normalise again after the cut.": LONG[:, :2],
            f"it keeps the last coordinates{LAST}": [[0.1**0.5, 0.9**0.5], [0.0, 1.0]],
            f"it keeps the last coordinates and does not scale them{LAST}": LONG[:, 1:],
        }, otherwise="By hand: keep (3, 4)/13 of the first row, then scale it to length 1.",
            meaning="all rows, their first dim coordinates"),
        Case((LONG, 3), LONG,
            "with dim equal to the dimension the rows changed | Then there is nothing to cut."),
    ),
    """- Two steps: cut, then repair what the cut broke.
    - The cut is a slice along the coordinates, the second axis.
    - The repair is the function of the first exercise of this notebook.""",
    "Without the second step long remainders would win searches just for being long.",
)  # fmt: skip

# ---- space.analogy: alpha - beta + gamma = (1.4, 0.6, -0.2). Cosines with it: solar 0.93, lunar
# 0.80, astral 0.49, vast 0.19, tidal -0.89; alpha itself 0.96, gamma 0.44, beta -0.13. "vast" is
# seven times as long as the others.

NAMES = ["alpha", "beta", "gamma", "solar", "lunar", "astral", "tidal", "vast"]
VECTORS = np.array([
    [0.8, 0.6, 0.0], [0.0, 0.0, 1.0], [0.6, 0.0, 0.8], [1.0, 0.1, 0.1], [0.8, 0.4, 0.5],
    [0.1, 0.9, 0.0], [-1.0, 0.0, 0.4], [1.0, 3.0, 6.0],
])  # fmt: skip
NEAREST = ["solar", "lunar", "astral", "vast", "tidal"]
WORDS = ("alpha", "beta", "gamma")
OTHER_ORDER = [5, 2, 3, 7, 0, 6, 1, 4]  # the question words may stand anywhere in the list


def _names(result) -> list[str]:
    expect(not isinstance(result, str), "it returns one name | Return a list of k names.")
    names = list(result)
    if not all(isinstance(name, str) for name in names):
        raise Wrong(f"it returns {names[:3]}", "Return the names, not their positions or scores.")
    return [str(name) for name in names]


def _three_names(function) -> None:
    names = _names(call(function, VECTORS, NAMES, *WORDS, 3))
    question = [name for name in names if name in WORDS]
    expect(
        not question,
        f"the answer contains its own question: {', '.join(question)} | The target lies close to a,"
        " b and c, so they win. Leave them out, and check that k names remain.",
    )
    expect(
        len(names) == len(set(names)) == 3,
        f"it returns {len(names)} names, expected 3 different ones"
        " | Leave a, b and c out before you take the k best, not after.",
    )


analogy = Exercise(
    "space.analogy",
    """Return the k names whose vectors have the highest cosine with v[a] - v[b] + v[c], best first,
    never a, b or c: vectors (n, d), names (n), three names and k in, a list of k names out.""",
    (
        _three_names,
        Case((VECTORS, NAMES, *WORDS, 5), NEAREST, mistakes={
            "the farthest name comes first | Best first: the highest cosine leads.": NEAREST[::-1],
            "the order fits a + b - c: the signs of b and c are swapped"
            " | Take b away from a, then add c.": ["astral", "lunar", "vast", "solar", "tidal"],
            "the order fits b - a + c: the signs of a and b are swapped | Start at a, take b away,"
            " then add c.": ["vast", "tidal", "lunar", "solar", "astral"],
            "the order fits a + b + c: nothing was taken away | The analogy removes b before it"
            " adds c.": ["lunar", "vast", "solar", "astral", "tidal"],
            "'vast' wins because its vector is long, not because it points the right way"
            " | That is a dot product. For cosines the candidates need length 1.":
                ["vast", "solar", "lunar", "astral", "tidal"],
            "'vast' comes last because its vector is long, although it points better than 'tidal'"
            " | That is a distance between vectors of different lengths. For cosines the candidates"
            " need length 1.": ["solar", "lunar", "astral", "tidal", "vast"],
        }, otherwise="The target is v[a] - v[b] + v[c]; the cosine with it decides.", read=_names),
        Case((VECTORS[OTHER_ORDER], [NAMES[i] for i in OTHER_ORDER], *WORDS, 2), NEAREST[:2],
            "Look each name up; do not rely on its position.",
            given="with the rows in another order", read=_names),
    ),
    """- Find the three rows by name, then build the target vector.
    - Score all rows by cosine: unit rows times the unit target. Then sort, best first.
    - Go down the sorted names, skip a, b and c, and stop when you have k.""",
    "The exclusion does much of the work: without it, a itself is usually the nearest.",
)  # fmt: skip
