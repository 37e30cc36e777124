"""Exercises of notebook 22: points of stroke-3, distance to a segment, AP@K, leaks of a split."""

import numpy as np

from lib.course.cases import Case, Exercise

# ---- sketches.points: an L of three points, then a dash of two.

ROWS = np.array([
    [10.0, 20.0, 0], [0.0, 30.0, 0], [15.0, 0.0, 1], [5.0, -40.0, 0], [0.0, 10.0, 1],
])  # fmt: skip
POINTS = np.array([
    [10.0, 20.0, 0], [10.0, 50.0, 0], [25.0, 50.0, 0], [30.0, 10.0, 1], [30.0, 20.0, 1],
])  # fmt: skip
DOTS = np.array([[3.0, 4.0, 1], [1.0, 0.0, 1], [-2.0, 2.0, 0], [0.0, 5.0, 0]])
DOT_POINTS = np.array([[3.0, 4.0, 0], [4.0, 4.0, 1], [2.0, 6.0, 2], [2.0, 11.0, 2]])

points = Exercise(
    "sketches.points",
    """Return (n, 3): x, y and the number of the stroke, from 0, of each point. The rows of stroke-3
    are dx, dy and lift: the step from the point before (from 0, 0 in the first row), and 1 if the
    pen is lifted after this point.""",
    (
        Case((ROWS,), POINTS, mistakes={
            "these are still steps | The place of a point is the sum of all steps up to it.":
                lambda found: np.allclose(found[:, :2], ROWS[:, :2]),
            "the first step is missing | The first row is a step too, from the origin.":
                lambda found: np.allclose(found[0, :2], 0),
            "the stroke changes one point too early | The pen is lifted after the point: the next"
            " point is the first of the next stroke.":
                lambda found: found[2, 2] == 1,
            "the third column is not the number of the stroke | Count the lifts before each point.":
                lambda found: not np.allclose(found[:, 2], POINTS[:, 2]),
            "each stroke begins at the origin | Steps go on from the last point, also while the pen"
            " is in the air.": lambda found: np.allclose(found[3, :2], [5, -40]),
        }, otherwise="Places are sums of steps; the number of a stroke is a sum of lifts.",
            given="for an L and a dash", meaning="x, y, stroke for each row"),
        Case((DOTS,), DOT_POINTS,
            "two dots and a line are read wrongly | A stroke may have one point, and the last"
            " stroke may end without a lift.", given="for two dots and a line"),
    ),
    """- Three sums along the rows: of dx, of dy, and of the lifts.
    - A running sum includes its own row. That is right for steps and one too many for lifts.
    - Take the lifts away from their running sum: what is left are the lifts before each row.""",
    "Steps are small numbers whatever the place on the page; that is why networks that draw are"
    " trained on them.",
)  # fmt: skip

# ---- sketches.segment: a segment of length 10, points beside it and beyond its ends.

BESIDE = np.array([[5.0, 3.0], [2.0, -1.0], [13.0, 4.0], [-5.0, 0.0], [10.0, 0.0]])
FROM, TO = np.array([0.0, 0.0]), np.array([10.0, 0.0])
DISTANCES = np.array([3.0, 1.0, 5.0, 5.0, 0.0])
SLANTED = np.array([[0.0, 5.0], [7.0, 1.0]])

segment = Exercise(
    "sketches.segment",
    """Return the distance of each point (n, 2) to the straight piece from `start` to `end`, (n,).
    Beyond an end of the piece, the distance to that end counts. If both ends are one point, it is
    the distance to that point.""",
    (
        Case((BESIDE, FROM, TO), DISTANCES, mistakes={
            "it is the distance to the endless line | The piece ends: the point (13, 4) lies 3 to"
            " the right of the end and 4 above it.": [3, 1, 4, 0, 0],
            "it is the distance to the nearer end | In the middle the foot on the piece is nearer"
            " than both ends.": lambda found: np.isclose(found[0], np.hypot(5, 3)),
            "it is the square of the distance | Take the root.":
                lambda found: np.allclose(found, DISTANCES**2),
            "a distance is negative | A distance has no sign.": lambda found: (found < 0).any(),
            "only the far end is treated | (-5, 0) lies before the start.":
                lambda found: np.isclose(found[3], 0),
        }, otherwise="Find the foot of each point on the line, hold it between both ends, and"
            " measure to it.", given="for five points and a piece from (0, 0) to (10, 0)",
            meaning="one distance a point"),
        (
            Case((BESIDE, FROM, FROM), np.hypot(*BESIDE.T),
                "where start and end are one point, the answer is wrong | A closed stroke ends"
                " where it began. Its piece has length 0: do not divide by it.", finite=False,
                given="where start and end are one point"),
            Case((SLANTED, np.array([1.0, 1.0]), np.array([4.0, 5.0])),
                np.array([3.2, 4.8]),
                "for a slanted piece that does not begin at 0, the answer is wrong | Subtract"
                " `start` first.", given="for a slanted piece"),
        ),
    ),
    """- The foot is start + share * (end - start). Which share?
    - The share is the dot product with the direction of the piece, over its squared length.
    - A foot on the piece has a share from 0 to 1. What about the others, and about length 0?""",
    "A circle begins and ends at one point. Simplified by distances to a line, it is lost.",
)  # fmt: skip

# ---- sketches.ap: 5 relevant items in the gallery; the list holds some of them.

FOUND = np.array([True, False, True, False, False, True, False, False])


def _ap(relevant: np.ndarray, total: int, k: int) -> float:
    shares = [relevant[: at + 1].mean() for at in range(k) if relevant[at]]
    return float(sum(shares) / min(total, k))


average_precision = Exercise(
    "sketches.ap",
    """Return AP@k of one ranking: `relevant` (n,), whether the item at each rank is relevant, best
    first; `total`, the relevant items of the whole gallery; and k. It is the sum of the precisions
    at the ranks of the relevant items among the first k, over the most that could be found there,
    min(total, k).""",
    (
        Case((FOUND, 5, 8), _ap(FOUND, 5, 8), mistakes={
            "it divides by the relevant items that were found | Then a search that finds one item"
            " of a hundred, at rank 1, is perfect. Divide by what could be found.":
                _ap(FOUND, 3, 8),
            "it divides by k | Five relevant items cannot fill eight places.": _ap(FOUND, 8, 8),
            "it is the precision at k | AP looks at the ranks: an item at rank 1 counts more than"
            " one at rank 6.": 3 / 8,
            "it is the share of the relevant items that were found | AP looks at the ranks.": 3 / 5,
            "precisions of all ranks are summed | Only the ranks of relevant items count.":
                float(np.mean(np.cumsum(FOUND) / np.arange(1, 9))) * 8 / 5,
        }, otherwise="Average the precisions at the ranks of relevant items; what was not found"
            " counts 0.", given="for 3 of 5 relevant items among 8", meaning="one number"),
        (
            Case((FOUND, 5, 3), _ap(FOUND, 3, 3), mistakes={
                "it ignores k | Only the first three ranks count.": _ap(FOUND, 5, 8),
                "it divides by all relevant items | Three places hold three items at most: the best"
                " possible ranking must get 1.": _ap(FOUND[:3], 5, 3) * 3 / 5,
            }, otherwise="Cut the ranking to three; the most that could be found there is 3.",
                given="for k = 3"),
            Case((np.zeros(4, bool), 2, 4), 0.0,
                "where nothing is found, the answer is not 0 | A search that finds nothing gets 0,"
                " not NaN.", finite=False, given="where nothing is found"),
            Case((np.array([True, True]), 2, 2), 1.0,
                "a perfect ranking does not get 1 | Ranks count from 1.",
                given="for a perfect ranking"),
        ),
    ),
    """- The precision at rank r is the number of relevant items among the first r, over r.
    - Keep these precisions where the item is relevant, within the first k; sum them.
    - The sum of a perfect ranking is min(total, k): divide by that.""",
    "The number that divides decides who wins. A paper that prints mAP@200 should say it.",
)  # fmt: skip

# ---- sketches.leak: sketches 0 to 3 are trained on, 4 to 7 are the test.

DRAWING = np.array([0, 0, 1, 2, 0, 1, 3, 4])
CONCEPT = np.array([10, 10, 11, 12, 10, 11, 12, 13])
TRAINED = np.array([True, True, True, True, False, False, False, False])
CLEAN = np.array([False, True, False, True])

leak = Exercise(
    "sketches.leak",
    """Return two numbers: the share of test sketches of whose drawing another sketch was trained
    on, and the share of whose concept one was. `drawing` (n,) says from which line drawing each
    sketch was made, `concept` (n,) what it shows, `trained` (n,) whether it was trained on; the
    others are the test.""",
    (
        Case((DRAWING, CONCEPT, TRAINED), (0.5, 0.75), mistakes={
            "the shares are those of the training sketches | The question is how many test sketches"
            " are spoilt.": (0.75, 1.0),
            "they are shares of all sketches | Divide by the test sketches alone.": (0.25, 0.375),
            "both are in the other order | The drawing first, then the concept.": (0.75, 0.5),
            "it is the share that is clean | Asked is the share that leaks.": (0.5, 0.25),
            "the sketch itself counts, or all of them | Test sketches against training sketches"
            " only.": (1.0, 1.0),
        }, otherwise="For each test sketch: does its drawing, does its concept, occur among those"
            " that were trained on?", given="for four training and four test sketches",
            meaning="two shares"),
        Case((np.array([7, 5, 7, 9]), np.array([1, 2, 1, 3]), CLEAN), (0.0, 0.0), mistakes={
            "a clean split leaks in your count | Sketches 0 and 2 share a drawing, but both belong"
            " to the test.": lambda found: (found > 0).any(),
        }, otherwise="Nothing of this test was trained on.",
            given="for a test whose own sketches share a drawing"),
    ),
    """- Which drawings occur among the sketches that were trained on? And which concepts?
    - For each test sketch, ask whether its drawing is one of them: one truth value a sketch.
    - The mean of truth values is a share. Do the same for the concepts.""",
    "A new deformation of a known drawing is not a new drawing. Split before you deform, by what"
    " you want to be new: here the concept.",
)  # fmt: skip
