"""Exercises of notebook 14: scores from tables, vectors of an IVF-PQ."""

import numpy as np

from lib.course.cases import Case, Exercise, Shape, call, expect

# ---- codes.adc: two pieces of two numbers, three centroids each. Tables of the first query: 1, 4,
# -3 and 1, -1, 2; of the second: -1, 0, 1 and 14, -2, 12. Then three pieces, two centroids, two
# numbers.

WHOLE = np.array([[1.0, 2.0, 0.0, 1.0], [-1.0, 0.0, 4.0, 2.0]])
BOOKS = np.array([[[1.0, 0.0], [0.0, 2.0], [-1.0, -1.0]], [[3.0, 1.0], [0.0, -1.0], [2.0, 2.0]]])
CODES = np.array([[0, 2], [1, 0], [2, 1], [1, 1]])
SCORES = np.array([[3.0, 5.0, -4.0, 3.0], [11.0, 14.0, -1.0, -2.0]])
SQUARED = np.array([[9.0, 10.0, 17.0, 5.0], [8.0, 7.0, 26.0, 30.0]])
OTHER_BOOKS = np.arange(12.0).reshape(3, 2, 2)
NOT_ADDED = (
    "the parts of each score are not added{} | A dot product is the sum of those of the pieces."
)


class _Books(np.ndarray):
    """Codebooks that notice when more centroids are read than there are."""

    given, decoded = np.empty(0), 0

    def __getitem__(self, key):
        read = super().__getitem__(key)
        if np.may_share_memory(self, _Books.given):  # not an array computed from the codebooks
            _Books.decoded += np.size(read) > self.size
        return read

    def __deepcopy__(self, memo):
        _Books.given = self.copy()
        return _Books.given


def _looks_up(function) -> None:
    _Books.decoded = 0
    call(function, np.ones((1, 6)), OTHER_BOOKS.view(_Books), np.tile([[1, 0, 1]], (50, 1)))
    expect(
        not _Books.decoded,
        "every vector was decoded before it was multiplied | That costs d multiplications a vector."
        " Multiply queries and codebooks once, then look up.",
    )


adc = Exercise(
    "codes.adc",
    """Return the dot products (n_queries, n) of whole queries (n_queries, d) with vectors known by
    their codes (n, m), from codebooks (m, n_codes, d / m), by way of one table per piece.""",
    (
        Case((WHOLE, BOOKS, CODES), SCORES, mistakes={
            NOT_ADDED.format(""): Shape((2, 2, 4)),
            NOT_ADDED.format(": the last axis holds them"): Shape((2, 4, 2)),
            "these are the tables | Look up in them the entries of the codes of each vector, and"
            " add.": [[[1, 4, -3], [1, -1, 2]], [[-1, 0, 1], [14, -2, 12]]],
            "the query has been rounded too | Asymmetric: the stored vectors are codes, the query"
            " stays as it is. Rounding it loses recall and saves nothing.":
                [[-2, 3, -1, 5], [7, 8, 1, -3]],
            "the codes are read in another order of pieces | Column j of the codes names a centroid"
            " of codebook j, and only of that one.": [[-2, 0, 6, 3], [15, -3, 12, -2]],
            "a piece holds every other number of the query | Pieces are runs of neighbouring"
            " numbers: the first d / m, then the next.": [[7, 7, -2, -1], [3, 10, -5, 6]],
            "it is the mean over the pieces | The dot product is their sum.": SCORES / 2,
            "the sign is turned | A dot product as it is: higher is nearer.": -SCORES,
            "these are squared distances | Return the dot product, piece by piece.": SQUARED,
            "these are negative squared distances | Return the dot product, piece by piece.":
                -SQUARED,
        }, otherwise="The first query's first table holds 1, 4, -3 and its second 1, -1, 2; the"
            " first vector has codes 0 and 2.",
            meaning="a score for each query and each vector, (n_queries, n)"),
        (
            Case((np.ones((1, 6)), OTHER_BOOKS, np.array([[1, 0, 1], [0, 0, 0]])),
                np.array([[35.0, 27.0]]),
                "Read m and d / m from the codebooks: the numbers of pieces and centroids differ.",
                given="with three pieces of two numbers"),
            _looks_up,
        ),
    ),
    """- Cut the queries into m runs of d / m numbers, as the codebooks say.
    - Table j is the dot products of the queries' run j with all centroids of codebook j.
    - Column j of the codes says which entry of table j each vector takes; add over j.""",
    "d multiplications a vector have become m look-ups, and the tables are made once a query.",
)  # fmt: skip

# ---- codes.residual: two pieces of two numbers. Residuals 1 0 2 2, 0 2 3 1 and -1 -1 0 -1, added
# to the centroids of cells 1, 0 and 0.

CENTROIDS = np.array([[10.0, 0.0, 0.0, 10.0], [0.0, -10.0, 5.0, 0.0], [1.0, 2.0, 3.0, 4.0]])
CELLS = np.array([1, 0, 0])
RESIDUALS = np.array([[1, 0, 2, 2], [0, 2, 3, 1], [-1, -1, 0, -1]])

residual = Exercise(
    "codes.residual",
    """Return the vectors (n, d) that an IVF-PQ holds: the cell of each (n,) and its codes (n, m)
    in, centroids (nlist, d), codebooks of the residuals (m, n_codes, d / m).""",
    (
        Case((CELLS, CODES[:3], CENTROIDS, BOOKS), CENTROIDS[CELLS] + RESIDUALS, mistakes={
            "these are the residuals | A residual is what is left when the centroid is subtracted."
            " Which vector is missing?": RESIDUALS,
            "these are the centroids | They are the coarse part. The codes say what to add.":
                CENTROIDS[CELLS],
            "the residual is subtracted | r = x - m, so x = m + r.": CENTROIDS[CELLS] - RESIDUALS,
            "the centroid is subtracted | r = x - m, so x = r + m.": RESIDUALS - CENTROIDS[CELLS],
            "every vector gets the mean of the centroids | Each vector has its own cell.":
                CENTROIDS.mean(axis=0) + RESIDUALS,
            "every vector gets the first centroid | Each vector has its own cell.":
                CENTROIDS[0] + RESIDUALS,
            "the centroids are taken in the order of the rows"
            " | The cell of a vector says which centroid it is.":
                CENTROIDS + RESIDUALS,
        }, otherwise="The first vector lies in cell 1, at 0, -10, 5, 0; its residual is 1, 0, 2,"
            " 2.", given="for three vectors",
            meaning="a vector for each row of codes, (n, d)"),
        Case((np.array([1, 1]), np.array([[1, 0, 1], [0, 0, 0]]), np.eye(2, 6), OTHER_BOOKS),
            np.array([[2.0, 4, 4, 5, 10, 11], [0, 2, 4, 5, 8, 9]]),
            "Read m and d / m from the codebooks: the numbers of pieces and codewords differ.",
            given="with three pieces of two numbers"),
    ),
    """- What was subtracted from the vectors before they were coded?
    - The codewords of a row, one after the other, are its residual, (n, d).
    - Row i of the centroids at the cells is the centroid of vector i. Add both.""",
    "An IVF-PQ stores a vector as a coarse part, shared by its list, and a fine part of m bytes.",
)  # fmt: skip
