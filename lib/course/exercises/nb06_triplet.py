"""Exercises of notebook 06: the hinge, the semi-hard band, a batch put right, the max of hinges."""

import numpy as np

from lib.course.cases import Case, Exercise, Shape, any_of

# ---- triplet.hinge: costs 0.1, 0.15, 0.45 and 0 (from -0.1); then 0.3 and 0 (from -0.6).

RIGHT, WRONG = np.array([0.7, 0.5, 0.6, 0.7]), np.array([0.6, 0.45, 0.85, 0.4])
PAID_BACK = (
    "triplets that keep the margin are paid back: a cost is negative"
    " | What exceeds the margin must not make up for another triplet. Cut each cost off at 0."
)

hinge = Exercise(
    "triplet.hinge",
    """Return the mean cost of n triplets: right (n,) and wrong (n,), the query's cosines with its
    right and its wrong item, and the margin in, one number out.""",
    (
        Case((RIGHT, WRONG, 0.2), 0.175, mistakes={
            "it returns a cost per triplet | Return one number, their mean.": Shape((4,)),
            "it asks the wrong item to win: the loss grows with the cosine of the right item"
            " | With distances the right one comes first, with cosines the wrong one: a high cosine"
            " is good.": 0.2625,
            PAID_BACK: 0.15,
            "it is the mean over the three triplets that cost something; there are four"
            " | That mean is the 'active' reduction, and it does not fall when a triplet is solved."
            " Divide by all.": 0.7 / 3,
            "it is the sum of the four costs | Divide by the number of triplets.": 0.7,
            "the margin is missing: a wrong item just below the right one costs nothing"
            " | Add the margin to the difference before you cut off at 0.": 0.0625,
            "most costs are 0 | The margin adds to the cost; you took it away.": 0.0125,
            "the costs are squared | A hinge is linear: half the violation, half the cost.":
                0.05875,
            "the difference counts double, as between squared distances | Of unit vectors the"
            " squared distance is 2 - 2 cos. This margin is one of cosines.": 0.2,
        }, otherwise="Work it on paper: the costs are 0.1, 0.15, 0.45 and 0.",
            meaning="one number, the loss"),
        Case((np.array([0.5, 0.9]), np.array([0.6, 0.1]), 0.2), 0.15, mistakes={
            "the mean was cut off at 0, not the single costs"
            " | One easy triplet then hides a hard one. Cut off first, average after.": 0.0,
            PAID_BACK: -0.15,
        }, otherwise="The costs are 0.3 and 0."),
        (
            Case((np.array([0.9, 0.8]), np.array([0.1, 0.2]), 0.5), 0.0, mistakes={
                "when every triplet keeps the margin it returns NaN | You divide by the number of"
                " triplets that cost something, and there are none. Divide by all.":
                    lambda cost: np.isnan(cost),
            }, otherwise="Every triplet keeps the margin, so the cost is 0.", finite=False),
            Case((np.array([0.5, 0.5]), np.array([0.25, 0.5]), 0.25), 0.125,
                "The first keeps the margin exactly, which costs nothing; the second is a tie,"
                " which costs the margin."),
        ),
    ),
    """- One triplet costs what is missing to a lead of `margin`, and nothing if nothing is missing.
    - What is missing: margin plus the wrong cosine minus the right one.
    - Cut every cost off at 0, then average over all triplets, solved ones included.""",
    "Cosines and distances have opposite signs: say which you hold before you write a hinge.",
)  # fmt: skip

# ---- triplet.semi_hard: row 2 has one wrong item just below its own, row 1 two and one above.

SCORES = np.array(
    [[0.7, 0.65, 0.45, 0.3], [0.42, 0.5, 0.45, 0.8], [0.1, 0.2, 0.9, 0.75], [0.05, 0.3, 0.35, 0.4]]
)
OWN = np.diagonal(SCORES)
EYE = np.eye(4, dtype=bool)
BAND = np.array([[0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1], [0, 1, 1, 0]], dtype=bool)
ABOVE = SCORES == 0.8
FAR = ~(BAND | EYE | ABOVE)
# At a margin of 0.6 all items of rows 0 and 3 are in the band: 0.45 and 0.3 are above 0.7 - 0.6.
WIDE = BAND | FAR & np.array([[True], [False], [False], [True]])
CELLS = "One cell per pair of a query and an item: true where the item is a semi-hard negative."
STRICT = " | Both comparisons are strict."
# Item 1 is as high as the right item 0, item 2 exactly the margin below, item 3 in the band.
EDGES = np.array([[0.5, 0.5, 0.25, 0.375], *np.eye(4)[1:]])

ONE_CELL = {
    f"query {i} against item {j} is {'not ' if BAND[i, j] else ''}marked: its cosine is"
    f" {SCORES[i, j]}, that of the right item {OWN[i]}, the margin 0.2"
    " | Below the right cosine, but by less than the margin.": lambda marked, i=i, j=j: (
        marked[i, j] != BAND[i, j]
    )
    for i, j in np.ndindex(4, 4)
}

semi_hard = Exercise(
    "triplet.semi_hard",
    """Return booleans (B, B), true where item j is a semi-hard negative of query i: below the
    cosine of the right item, the diagonal, by less than margin. Cosines (B, B) and margin in.""",
    (
        Case((SCORES, 0.2), BAND, mistakes={
            "each cell is compared with the right score of its column | Row i is query i, so its"
            " right score must stay with the row. Give that vector a second axis.":
                (OWN > SCORES) & (OWN - 0.2 < SCORES),
            "every row marks its own item as a negative | An item is not below itself: the"
            " comparison with the right item is strict.": BAND | EYE,
            "a wrong item that beats the right one is marked"
            " | Those are the hard ones. Semi-hard items are below the right item.": BAND | ABOVE,
            "own items and hard negatives are marked | Semi-hard ends below the right item.":
                BAND | ABOVE | EYE,
            "wrong items far below the right one are marked"
            " | Those keep the margin already. The band also has a lower end.": BAND | FAR,
            "each row keeps one wrong item only, the best of its band"
            " | Some libraries do that. Here mark the whole band.":
                np.array([[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 1, 0]]),
            "the band has half the width of the margin | The margin was halved, as for FaceNet's"
            " squared distances. Here it is given in cosines.":
                np.array([[0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 1, 0]]),
            "it marks the wrong items above the right one"
            " | Those are hard. Semi-hard ones lie below.": ABOVE,
            **ONE_CELL,
        }, otherwise="Below the right cosine, but by less than the margin.", meaning=CELLS),
        (
            Case((SCORES, 0.6), WIDE,
                "with a margin of 0.6 other cells are right | Use the margin that is given."),
            Case((EDGES, 0.25), np.array([[0, 0, 0, 1], [0] * 4, [0] * 4, [0] * 4], dtype=bool),
                mistakes={
                f"a wrong item exactly as high as the right one is marked{STRICT}":
                    lambda marked: marked[0, 1],
                f"a wrong item exactly the margin below is marked{STRICT}":
                    lambda marked: marked[0, 2],
            }, otherwise="an item half the margin below the right one is not marked | It lies"
                " inside the band."),
        ),
    ),
    """- Two conditions joined by 'and': below the right cosine; above the right cosine less the
      margin.
    - The right cosines are the diagonal, one per row, so they need shape (B, 1).
    - With strict comparisons the diagonal is out without further work.""",
    "They still cost something and have not overtaken the right item.",
)  # fmt: skip

# ---- triplet.batch: rows are queries. Costs at a margin of 0.2: 0.15 in row 0, 0.3 in row 1, none
# in row 2; six triplets.

BATCH = np.array([[0.8, 0.75, 0.1], [0.3, 0.5, 0.6], [0.2, 0.4, 0.7]])
TURNED = " | Read it with a perfect batch, 1 for right and 0 for wrong: it should cost nothing."

batch = Exercise(
    "triplet.batch",
    """Return the mean hinge over the B (B - 1) triplets of a batch: cosines (B, B), query i in row
    i with its right item on the diagonal, and the margin in, one number out.""",
    (
        Case((BATCH, 0.2), 0.075, mistakes={
            "that is the code you were given"
            " | Three things are wrong. Try a perfect batch on it first.": 3.5 / 9,
            "one fault is gone. The sign is still turned: a right item that wins costs"
            f" something{TURNED}": 3.45 / 9,
            f"the sign is still turned: a right item that wins costs something{TURNED}":
                any_of(2.85 / 6, 2.85 / 9),
            f"the sign is still turned, and the rows are mixed up{TURNED}":
                any_of(2.9 / 6, 2.9 / 9),
            "each cell is compared with the right score of its column, not of its row"
            " | A vector lines up with the columns of a matrix. Query i is row i: its score needs a"
            " second axis.": any_of(1.25 / 9, 0.65 / 6, 0.65 / 9),
            "each query is also compared with its own item, which always costs the margin"
            " | The cells where item and query belong together are no triplets: leave them out of"
            " the sum and the count.": 1.05 / 9,
            "the sum is right, but it is divided by 9"
            " | Three queries with two wrong items each are 6 triplets.": 0.45 / 9,
            "it is the mean over the triplets that cost something"
            " | It does not fall when one is solved. Divide by all six.": 0.45 / 2,
            "it is the sum of all costs | Return the mean over all triplets.": 0.45,
        }, otherwise="Work it on paper: 0.15 in row 0, 0.3 in row 1, none in row 2; six triplets."),
        (
            Case((np.eye(4), 0.2), 0.0, "A perfect batch costs nothing.",
                given="for a perfect batch"),
            Case((np.full((3, 3), 0.5), 0.2), 0.2, mistakes={
                "a wrong item exactly as high as the right one costs nothing"
                " | Leave out the diagonal by its place, not by its value: each of these triplets"
                " costs the margin.": 0.0,
            }, otherwise="Each of these triplets costs the margin."),
        ),
    ),
    """- Try it on a perfect batch: ones on the diagonal, zeros elsewhere. What should it cost?
    - Which right score does the cell in row 0, column 1 meet? Print the difference and look.
    - The diagonal is no triplet: leave it out of the sum, and out of the count.""",
    "None of the three faults raises an error. A case worked by hand finds them in a minute.",
)  # fmt: skip

# ---- triplet.max_of_hinges: items 0 and 2 are right for each other. By row the worst negative
# costs 0.1, 0.3, 0.1, 0; by column 0, 0.4, 0, 0.2.

PAIRS = np.array(
    [[0.6, 0.5, 0.7, 0.1], [0.2, 0.4, 0.3, 0.5], [0.65, 0.6, 0.7, 0.2], [-0.3, -0.2, -0.4, 0.5]]
)
SAME = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]], dtype=bool)
ONE_WAY = " | Captions choose among images and images among captions: add both, as VSE++ does."

max_of_hinges = Exercise(
    "triplet.max_of_hinges",
    """Return the VSE++ loss: for each row and for each column the hinge of its worst negative, all
    added up. Cosines (B, B), same (B, B), true where a pair is right, also on the diagonal, and
    margin in, one number out.""",
    (
        Case((PAIRS, SAME, 0.2), 1.1, mistakes={
            "it is the mean over the pairs"
            " | VSE++ sums over the batch; the loss is B times as large.": 0.275,
            "it is the mean over pairs and directions | VSE++ sums over the batch and over both.":
                0.1375,
            "it is the mean of the two directions | VSE++ adds them.": 0.55,
            f"only the rows, where queries choose, are counted{ONE_WAY}": 0.5,
            f"only the columns, where items choose, are counted{ONE_WAY}": 0.6,
            "all violated negatives count | That is the sum of hinges, VSE of 2014. Only the worst"
            " negative of each row and column counts.": 1.5,
            "items that are also right are pushed away | `same` marks items 0 and 2 as right for"
            " each other: they are no negatives, however high they score.": 1.8,
            "each item is its own negative, so nothing costs less than the margin"
            " | The diagonal holds the right pairs.": 1.9,
            "`same` and the diagonal are not left out | A right item is never a negative.": 2.05,
        }, otherwise="Work it on paper: by row the worst negative costs 0.1, 0.3, 0.1, 0; by column"
            " 0, 0.4, 0, 0.2."),
        (
            Case((np.array([[0.1, -0.5], [-0.6, 0.1]]), np.eye(2, dtype=bool), 0.2), 0.0, mistakes={
                "where all wrong items score below 0, an excluded cell counts as a negative with"
                " cosine 0 | Multiplying by 0 does not take a cell out of a maximum. It must be"
                " lower than anything else there.": 0.4,
            }, otherwise="Both pairs keep the margin."),
            Case((np.full((3, 3), 0.5), np.eye(3, dtype=bool), 0.2), 1.2, mistakes={
                "of equally bad negatives all are counted"
                " | One negative a row and a column, the worst.": 2.4,
            }, otherwise="Three rows and three columns cost 0.2 each."),
        ),
        Case((np.full((2, 2), -1.0), np.ones((2, 2), dtype=bool), 0.2), 0.0,
            "No negatives, no cost: 0. The value in an excluded cell must not reach the sum.",
            given="for a batch in which everything is right for everything", finite=False),
    ),
    """- The hinge of the worst negative is the largest hinge, so a maximum along one axis does it.
    - What `same` marks must lose every maximum: put something there that is lower than any cosine.
    - Rows and columns share the diagonal but not the worst negative; do the transpose too.""",
    "A pair pushes two negatives at most. If one of them is right after all, half of the push goes"
    " the wrong way, which is what `same` is for.",
)  # fmt: skip
