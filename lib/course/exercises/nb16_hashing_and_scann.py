"""Exercises of notebook 16: signs as bits, tables of buckets, thresholds, score-aware loss."""

import numpy as np

from lib.course.cases import Case, Exercise, Wrong, call, is_same

# ---- lsh.signature: products (5, -1, 0), (-3, 3, 6) and (0, 0, 0) with the three normals.

ROWS = np.array([[2.0, 1.0], [0.0, -3.0], [0.0, 0.0]])
NORMALS = np.array([[2.0, 1.0], [0.0, -1.0], [1.0, -2.0]])
BITS = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 1]])


def _bits(result):
    """Return booleans and whole floats, which a sign gives, as integers."""
    bits = np.asarray(result)
    if bits.dtype.kind == "f" and (bits == 0.5).any():
        raise Wrong(
            "a product of exactly 0 gives one half"
            " | A sign has three values and a bit has two. Compare: is the product at least 0?"
        )
    whole = bits.dtype.kind == "f" and (bits == bits.round()).all()
    return bits.astype(int) if bits.dtype == bool or whole else bits


def _row_by_row(function) -> np.ndarray:
    found = [_bits(call(function, ROWS[[i]], NORMALS)) for i in range(3)]
    shape = found[0].shape
    if shape != (1, 3):
        raise Wrong(
            f"for one row and three planes the result has shape {shape}, expected (1, 3)"
            " | One line per row, one column per plane."
        )
    return np.concatenate(found)


signature = Exercise(
    "lsh.signature",
    """Return one bit per row and hyperplane, 0 or 1: rows (n, d) and normals (b, d) in, (n, b) out.
    The bit is 1 where the inner product is at least 0.""",
    (
        Case((ROWS[:2], NORMALS[:2]), BITS[:2, :2], mistakes={
            "a side is -1 | A sign has three values and a bit has two. Compare: is the product at"
            " least 0?": [[1, -1], [-1, 1]],
            "every bit is the other way round | The side of the normal is 1.": [[0, 1], [1, 0]],
            "these are the products, not their sides | Return of each product only the side of 0.":
                [[5, -1], [-3, 3]],
        }, otherwise="Their products are (5, -1) and (-3, 3).", given="for the first two rows",
            meaning="one bit per row and plane (rows, planes)", read=_bits),
        Case((ROWS, NORMALS), BITS, mistakes={
            "a product of exactly 0 gives the bit 0"
            " | Here 0 belongs to the side of 1. Either side would do, if base and queries use the"
            " same: two programs that differ in this one sign have codes that do not fit together.":
                lambda bits: bits[0, 2] == 0 or not bits[2].any(),
        }, otherwise="Every row, the zero one too, has a side of each plane.",
            given="for a row of zeros and two others", read=_bits),
        Case(_row_by_row, BITS,
            "a row's bits depend on the rows beside it | A query comes alone. Use nothing of the"
            " other rows: no mean, no median."),
    ),
    """- All products at once are one matrix product.
    - Which of the two arrays must be transposed so that (n, d) meets (d, b)?
    - A comparison gives the bit; a sign would give three values.""",
    "The length of a vector is gone: twice the row has the same bits. Under inner product that"
    " loses something, under cosine nothing.",
)  # fmt: skip

# ---- lsh.tables: at 60 degrees p = 2/3, at 90 degrees 1/2, at 0 degrees 1.

COSINES = np.array([0.5, 0.0, 1.0])
AGREE = np.array([2 / 3, 1 / 2, 1.0])

tables = Exercise(
    "lsh.tables",
    """Return the chance that two vectors share a bucket in at least one table: cosines (n,), bits
    per table and number of tables in, (n,) out. A plane leaves them together with chance 1 - angle
    / pi.""",
    (
        (
            Case((COSINES, 1, 1), AGREE, mistakes={
                "it is linear in the cosine | The chance is linear in the angle: the plane must"
                " pass between the two vectors, and what lies between them is their angle.":
                    (1 + COSINES) / 2,
                "it is the cosine itself | Turn the cosine into the angle first.": COSINES,
                "degrees are divided by pi | Angle and half a turn in the same unit: 60 of 180"
                " degrees.": 1 - np.degrees(np.arccos(COSINES)) / np.pi,
                "that is the chance to be separated | Return the chance to lie on the same side.":
                    1 - AGREE,
                "the angle is divided by a whole turn | A plane goes on behind the origin: it"
                " separates them at the opposite angle too.": 1 - np.arccos(COSINES) / (2 * np.pi),
            }, otherwise="Cosine 0.5 is 60 degrees, and 60 degrees of 180 separate: 2/3.",
                given="with one plane and one table", meaning="one probability per cosine"),
            Case((np.array([-0.5, -1.0]), 1, 1), np.array([1 / 3, 0.0]),
                "120 degrees of 180 separate, and 180 of 180: 1/3, and 0.",
                given="for cosines of -0.5 and -1"),
        ),
        Case((COSINES, 2, 3), 1 - (1 - AGREE**2) ** 3, mistakes={
            "tables and bits have changed places | The number of bits is the power of one table,"
            " the number of tables that of all misses.": 1 - (1 - AGREE**3) ** 2,
            "one bit is enough and all tables must hit | Within a table all bits must agree; of the"
            " tables one is enough.": (1 - (1 - AGREE) ** 3) ** 2,
            "all tables must agree"
            " | One table is enough: what is the chance that none of them hits?": AGREE**6,
            "chances of tables are added | That exceeds 1: they can hit both. Count misses.":
                3 * AGREE**2,
            "that is a miss of one table"
            " | It misses in every table, or it hits: the power is missing.": 1 - AGREE**2,
            "that is the chance of no hit | Return the chance of at least one.":
                (1 - AGREE**2) ** 3,
        }, otherwise="For cosine 0.5 a table hits with chance 4/9, so three all miss with chance"
            " (5/9) to the third.", given="with 2 bits and 3 tables"),
    ),
    """- First the chance of one plane, from the angle.
    - All bits of a table: a product of equal chances.
    - At least one table: one minus the chance that every table misses.""",
    "Bits move the step of the curve to the right, tables to the left; both make it steeper."
    " Neither can tell 0.65 from 0.6.",
)  # fmt: skip

# ---- lsh.thresholds: medians 3, 6 and 10 give the base 000, 010, 111, 111, 101 and the queries
# 111, 000.

BASE = np.array([[1.0, 5.0], [2.0, 6.0], [3.0, 7.0], [4.0, 8.0], [10.0, 0.0]])
QUERIES = np.array([[3.5, 6.5], [2.0, 5.0]])
PLANES = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
DIFFERENT = np.array([[3, 2, 0, 0, 1], [0, 1, 3, 3, 2]])
# Sums 4, 1 and 6 with median 4; the medians 1 and 1 of the columns have the sum 2.
SUMS = np.array([[0.0, 4.0], [1.0, 0.0], [5.0, 1.0]])
ONE_THRESHOLD = " | One threshold for both sides."


def _alone_or_together(function) -> bool:
    alone = [call(function, QUERIES[[i]], BASE, PLANES) for i in range(2)]
    shape = np.shape(alone[0])
    if shape != (1, 5):
        raise Wrong(
            f"for one query and five base vectors the result has shape {shape}, expected (1, 5)"
            " | One line per query, one column per base vector: sum over the planes."
        )
    return is_same(np.concatenate(alone), call(function, QUERIES, BASE, PLANES))


thresholds = Exercise(
    "lsh.thresholds",
    """Repair the function: queries (n_queries, d), base (n, d) and normals (b, d) in; in how many
    bits each query differs from each base vector (n_queries, n) out. A bit is 1 where a projection
    is at least the median of the base's projections on that plane.""",
    (
        Case(_alone_or_together, True,
            "the result of a query depends on the queries beside it | Alone, it is its own mean and"
            " its own median, and lies on every threshold. A threshold belongs to the plane, not to"
            " one side: compute it from the base, and use it for the queries as it is."),
        (
            Case((QUERIES, BASE, PLANES), DIFFERENT, mistakes={
                "the threshold is the mean | The median halves the base.":
                    [[2, 1, 0, 1, 2], [0, 1, 2, 3, 2]],
                "all bits are equal | All these projections lie above 0. Cut at the median.":
                    np.zeros((2, 5)),
                "equal bits are counted | A distance counts what differs.": DIFFERENT[::-1],
                f"the base is cut at its medians and the queries at 0{ONE_THRESHOLD}":
                    DIFFERENT[[0, 0]],
                f"the queries are cut at the medians and the base at 0{ONE_THRESHOLD}":
                    [[0] * 5, [3] * 5],
            }, otherwise="Medians of the base on the three planes: 3, 6 and 10; what lies on one"
                " has bit 1. So the first query has bits 111.", given="for two queries",
                meaning="differing bits (queries, base)"),
            Case((np.array([[1.5, 1.5]]), SUMS, PLANES[2:]), np.array([[1, 0, 1]]),
                "Project first, then take the median: the projection of a median is another"
                " number.", given="with base sums 4, 1 and 6 and a query's sum of 3"),
            Case((np.array([[2.5]]), np.array([[0.0], [1.0], [3.0], [4.0]]), np.eye(1)),
                np.array([[1, 1, 0, 0]]),
                "Of an even number of projections the median lies between the two in the middle:"
                " 2.", given="for a base of 0, 1, 3 and 4 and a query of 2.5"),
        ),
    ),
    """- Where does the buggy function look at more than one query at a time?
    - Project both sides, and take one number per plane from the base's projections.
    - Bits (n_queries, 1, b) against bits (1, n, b), and count where they differ.""",
    "Base and queries share one code only if they share every number that makes it.",
)  # fmt: skip

# ---- lsh.anisotropic: residuals (0, 1) and (1, -1); along the vectors 0.8 and 1, across them 0.6
# and 1.

VECTORS = np.array([[3.0, 4.0], [2.0, 0.0]])
DECODED = np.array([[3.0, 3.0], [1.0, 1.0]])

anisotropic = Exercise(
    "lsh.anisotropic",
    """Return the score-aware loss of each row: vectors (n, d), what their codes stand for (n, d)
    and eta in, (n,) out. With r the difference, it is eta times the squared length of the part of r
    along the vector, plus the squared length of the rest.""",
    (
        Case((VECTORS, DECODED, 1.0), np.array([1.0, 2.0]), mistakes={
            "the parallel part is counted twice | |r| squared holds it already.": [1.64, 3.0],
            "the parallel part is not the length of a projection"
            " | Project onto a vector of length 1.": [17.0, 5.0],
            "the parts are not squared | Only squares of the two parts add up to |r|^2.":
                [1.4, 2.0],
            "only the part across is counted | Both parts count; eta weighs the other one.":
                [0.36, 1.0],
            "only the part along is counted | Both parts count, the one across with weight 1.":
                [0.64, 1.0],
        }, otherwise="Then it is the squared error: the residuals are (0, 1) and (1, -1).",
            given="with eta = 1", meaning="one loss per row"),
        (
            Case((VECTORS, DECODED, 5.0), np.array([3.56, 6.0]), mistakes={
                "eta weighs the part across the vector | The error along it is the expensive one.":
                    [2.44, 6.0],
                "eta changes nothing | It multiplies the squared length of the parallel part.":
                    [1.0, 2.0],
                "eta multiplies the whole error | Then no order of codes would ever change.":
                    [5.0, 10.0],
                "the parts are along and across the decoded vector"
                " | They belong to the vector itself.": [3.0, 2.0],
                "the part along is no length of a projection"
                " | Project onto a vector of length 1.": [65.0, 18.0],
                "eta is squared | The weight stands before the square, not under it.":
                    [16.36, 26.0],
            }, otherwise="5 x 0.64 + 0.36, and 5 x 1 + 1.", given="with eta = 5"),
            Case((VECTORS, VECTORS, 5.0), np.array([0.0, 0.0]),
                "No error costs 0. A residual of length 0 has no direction: do not divide by its"
                " length.", given="for codes without any error", finite=False),
        ),
    ),
    """- The part along the vector is the product of r with the vector at length 1.
    - The square of what is left is the square of r minus the square of that part.
    - So the loss is the squared error, plus (eta - 1) times the squared parallel part.""",
    "A query with a high score points in the direction of the vector, so the first part changes its"
    " score fully and the second hardly.",
)  # fmt: skip
