"""Exercises of notebook 14 about hashing: signs as bits, tables of buckets, thresholds of both
sides.
"""

import numpy as np

from lib.course.engine import Exercise, Wrong, as_array, call, is_same, object_to_mistakes

# ---- lsh.signature: products (5, -1, 0), (-3, 3, 6) and (0, 0, 0) with the three normals.

ROWS = np.array([[2.0, 1.0], [0.0, -3.0], [0.0, 0.0]])
NORMALS = np.array([[2.0, 1.0], [0.0, -1.0], [1.0, -2.0]])
BITS = [[1, 0, 1], [0, 1, 1], [1, 1, 1]]


def _bits(function, rows, normals) -> np.ndarray:
    found = np.asarray(call(function, rows, normals))
    if found.dtype.kind == "f" and (found == 0.5).any():
        raise Wrong(
            "a product of exactly 0 gives one half",
            "A sign has three values and a bit has two. Ask: is the product at least 0?",
        )
    whole = found.dtype.kind == "f" and (found == found.round()).all()  # np.sign answers in floats
    found = found.astype(int) if found.dtype == bool or whole else found
    shape = (len(rows), len(normals))
    return as_array(
        found, shape=shape, kind="integers", meaning="one bit per row and plane (rows, planes)"
    )


def _bits_by_hand(function) -> None:
    found = _bits(function, ROWS[:2], NORMALS[:2])
    if found.min() == -1 and found.max() == 1:
        raise Wrong(
            "a side is -1",
            "A sign has three values and a bit has two. Ask a question with a yes or a no: is the"
            " product at least 0?",
        )
    object_to_mistakes(
        found,
        [
            (
                [[0, 1], [1, 0]],
                ("every bit is the other way round", "The side the normal points to is 1."),
            ),
            (
                [[5, -1], [-3, 3]],
                (
                    "these are the products, not their sides",
                    "Of each product, only on which side of 0.",
                ),
            ),
        ],
    )
    if found.tolist() != [[1, 0], [0, 1]]:
        raise Wrong(
            f"the first two rows get {found.tolist()}", "Their products are (5, -1) and (-3, 3)."
        )


def _bits_at_zero(function) -> None:
    found = _bits(function, ROWS, NORMALS)
    if found[2].tolist() == [0, 0, 0] or found[0, 2] == 0:
        raise Wrong(
            "a product of exactly 0 gives the bit 0",
            "Here 0 belongs to the side of 1. Either side would do, if base and queries agree on"
            " it: two programs that differ in this one sign have codes that do not fit together.",
        )
    if found.tolist() != BITS:
        raise Wrong(
            f"the bits are {found.tolist()}",
            "Every row, the zero one too, has a side of each plane.",
        )


def _bits_alone(function) -> None:
    alone = np.concatenate([_bits(function, ROWS[i : i + 1], NORMALS) for i in range(len(ROWS))])
    if alone.tolist() != BITS:
        raise Wrong(
            "a row's bits depend on the rows beside it",
            "A query comes alone. Nothing may be learnt from the array at hand: no mean, no"
            " median.",
        )


# ---- lsh.tables: at 60 degrees p = 2/3, at 90 degrees 1/2, at 0 degrees 1.

COSINES = np.array([0.5, 0.0, 1.0])
AGREE = np.array([2 / 3, 1 / 2, 1.0])


def _chances(function, bits: int, tables: int) -> np.ndarray:
    found = call(function, COSINES, bits, tables)
    return as_array(found, shape=(3,), kind="numbers", meaning="one probability per cosine")


def _one_plane(function) -> None:
    found = _chances(function, 1, 1)
    object_to_mistakes(
        found,
        [
            (
                (1 + COSINES) / 2,
                (
                    "it is linear in the cosine",
                    (
                        "The chance is linear in the angle: the plane must fall between the two"
                        " vectors, and what lies between them is their angle."
                    ),
                ),
            ),
            (COSINES, ("it is the cosine itself", "Turn the cosine into the angle first.")),
            (
                1 - np.degrees(np.arccos(COSINES)) / np.pi,
                (
                    "degrees are divided by pi",
                    "Angle and half a turn in the same unit: 60 of 180 degrees.",
                ),
            ),
            (
                1 - AGREE,
                (
                    "that is the chance to be separated",
                    "Asked is the chance to lie on the same side.",
                ),
            ),
            (
                1 - np.arccos(COSINES) / (2 * np.pi),
                (
                    "the angle is divided by a whole turn",
                    (
                        "A plane goes on behind the origin: it separates them at the opposite angle"
                        " too."
                    ),
                ),
            ),
        ],
    )
    if not is_same(found, AGREE):
        raise Wrong(
            f"one plane and one table: cosine 0.5 gives {found[0]:.3f}",
            "60 degrees of 180 separate: 2/3.",
        )
    found = np.asarray(call(function, np.array([-0.5, -1.0]), 1, 1), dtype=float)
    if not is_same(found, [1 / 3, 0.0]):
        raise Wrong(
            f"cosines of -0.5 and -1 give {found.round(3).tolist()}",
            "120 degrees of 180 separate, and 180 of 180: 1/3, and 0.",
        )


def _bits_and_tables(function) -> None:
    found = _chances(function, 2, 3)
    object_to_mistakes(
        found,
        [
            (
                (1 - (1 - AGREE) ** 3) ** 2,
                (
                    "tables and bits have changed places",
                    "Within a table all bits must agree; of the tables one is enough.",
                ),
            ),
            (
                AGREE**6,
                (
                    "all tables must agree",
                    "One table is enough: what is the chance that none of them hits?",
                ),
            ),
            (
                3 * AGREE**2,
                ("chances of tables are added", "That exceeds 1: they can hit both. Count misses."),
            ),
            (
                1 - AGREE**2,
                (
                    "that is a miss of one table",
                    "It misses in every table, or it hits: the power is missing.",
                ),
            ),
            ((1 - AGREE**2) ** 3, ("that is the chance of no hit", "Asked is at least one.")),
        ],
    )
    if not is_same(found, 1 - (1 - AGREE**2) ** 3):
        raise Wrong(
            f"2 bits and 3 tables: cosine 0.5 gives {found[0]:.3f}",
            "A table hits with chance 4/9, so three all miss with chance (5/9) to the third.",
        )


# ---- lsh.thresholds: medians 3, 6 and 10 give the base 000, 010, 111, 111, 101 and the queries
# 111, 000.

BASE = np.array([[1.0, 5.0], [2.0, 6.0], [3.0, 7.0], [4.0, 8.0], [10.0, 0.0]])
QUERIES = np.array([[3.5, 6.5], [2.0, 5.0]])
PLANES = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
DIFFERENT = [[3, 2, 0, 0, 1], [0, 1, 3, 3, 2]]


def _differing(function, queries) -> np.ndarray:
    found = call(function, queries, BASE, PLANES)
    shape = (len(queries), len(BASE))
    return as_array(found, shape=shape, kind="integers", meaning="differing bits (queries, base)")


def _queries_come_alone(function) -> None:
    found = _differing(function, QUERIES)
    alone = np.concatenate([_differing(function, QUERIES[i : i + 1]) for i in range(len(QUERIES))])
    if (found != alone).any():
        raise Wrong(
            "what a query finds depends on the queries beside it",
            "Asked alone, it is its own mean and its own median, and lies on every threshold. A"
            " threshold belongs to the plane, not to one side: the base gives it, and the queries"
            " take it as it is.",
        )


def _same_thresholds(function) -> None:
    found = _differing(function, QUERIES)
    object_to_mistakes(
        found,
        [
            (
                [[2, 1, 0, 1, 2], [0, 1, 2, 3, 2]],
                ("the threshold is the mean", "The median halves the base."),
            ),
            (
                np.zeros((2, 5)),
                ("all bits are equal", "All these projections lie above 0. Cut at the median."),
            ),
            (
                [[0, 1, 3, 3, 2], [3, 2, 0, 0, 1]],
                ("equal bits are counted", "A distance counts what differs."),
            ),
            (
                [[3, 2, 0, 0, 1], [3, 2, 0, 0, 1]],
                (
                    "the base is cut at its medians and the queries at 0",
                    "One threshold for both sides.",
                ),
            ),
            (
                [[0, 0, 0, 0, 0], [3, 3, 3, 3, 3]],
                (
                    "the queries are cut at the medians and the base at 0",
                    "One threshold for both sides.",
                ),
            ),
        ],
    )
    if found.tolist() != DIFFERENT:
        raise Wrong(
            f"the first query differs from the base in {found[0].tolist()} bits",
            "Medians of the base on the three planes: 3, 6 and 10; what lies on one has bit 1. So"
            " the first query has bits 111.",
        )
    # On the plane (1, 1) the base has 4, 1 and 6, with median 4; the medians 1 and 1 have 2. The
    # query has 3.
    base = np.array([[0.0, 4.0], [1.0, 0.0], [5.0, 1.0]])
    found = call(function, np.array([[1.5, 1.5]]), base, np.array([[1.0, 1.0]]))
    found = as_array(found, shape=(1, 3), kind="integers", meaning="differing bits (queries, base)")
    if found.tolist() != [[1, 0, 1]]:
        raise Wrong(
            f"with base sums 4, 1 and 6 and a query's sum of 3 it returns {found[0].tolist()}",
            "Project first, then take the median: the projection of a median is another number.",
        )
    found = np.asarray(
        call(function, np.array([[2.5]]), np.array([[0.0], [1.0], [3.0], [4.0]]), np.eye(1))
    )
    if not is_same(found, [[1, 1, 0, 0]]):
        raise Wrong(
            f"for a base of 0, 1, 3 and 4 and a query of 2.5 it returns {found.tolist()}",
            "Of an even number of projections the median lies between the two in the middle: 2.",
        )


EXERCISES = (
    Exercise(
        name="lsh.signature",
        statement=(
            "Return one bit per row and hyperplane, 0 or 1: rows (n, d) and normals (b, d) in, (n, "
            "b) out. The bit is 1 where the inner product is at least 0."
        ),
        stages=(_bits_by_hand, _bits_at_zero, _bits_alone),
        hints=(
            "All products at once are one matrix product.",
            "Which of the two arrays must be transposed so that (n, d) meets (d, b)?",
            "A comparison gives the bit; a sign would give three values.",
        ),
        insight=(
            "The length of a vector is gone: twice the row has the same bits. Under inner product "
            "that loses something, under cosine nothing."
        ),
    ),
    Exercise(
        name="lsh.tables",
        statement=(
            "Return the chance that two vectors share a bucket in at least one table: cosines (n,),"
            " bits per table and number of tables in, (n,) out. A plane leaves them together with"
            " chance 1 - angle / pi."
        ),
        stages=(_one_plane, _bits_and_tables),
        hints=(
            "First the chance of one plane, from the angle.",
            "All bits of a table: a product of equal chances.",
            "At least one table: one minus the chance that every table misses.",
        ),
        insight=(
            "Bits move the step of the curve to the right, tables to the left; both make it"
            " steeper. What neither can do is tell 0.65 from 0.6."
        ),
    ),
    Exercise(
        name="lsh.thresholds",
        statement=(
            "Repair the function: queries (n_queries, d), base (n, d) and normals (b, d) in; in how"
            " many bits each query differs from each base vector (n_queries, n) out. A bit is 1"
            " where a projection is at least the median of the base's projections on that plane."
        ),
        stages=(_queries_come_alone, _same_thresholds),
        hints=(
            "Where does the buggy function look at more than one query at a time?",
            "Project both sides, and take one number per plane from the base's projections.",
            "Bits (n_queries, 1, b) against bits (1, n, b), and count where they differ.",
        ),
        insight="Base and queries share one code only if they share every number that makes it.",
    ),
)
