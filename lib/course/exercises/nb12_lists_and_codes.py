"""Exercises of notebook 12 on how the indexes work: cells to visit, scores from tables."""

import numpy as np

from lib.course.engine import Exercise, Wrong, as_array, call, is_same, object_to_mistakes

# ---- lists.cells: by cosine the first query sees 0.95, 0.89, 0.45, -0.95 of cells 3, 0, 1, 2; by
# dot product cell 1, which is ten long, comes first; by distance it comes last.

QUERIES = np.array([[1.0, 2.0], [0.2, 0.1]])
CENTROIDS = np.array([[0.0, 0.5], [10.0, 0.0], [-1.0, -1.0], [1.0, 1.0]])
VISITED = [[3, 0, 1], [3, 1, 0]]
CELLS = "the cells of each query, (n_queries, nprobe)"


def _visited(function, queries, centroids, nprobe) -> list[list[int]]:
    result = call(function, queries, centroids, nprobe)
    if nprobe > 1 and np.shape(result) == (len(queries),):
        raise Wrong(
            "it returns one cell per query",
            "That is nprobe = 1. A query visits nprobe cells, the best first.",
        )
    return as_array(result, shape=(len(queries), nprobe), kind="integers", meaning=CELLS).tolist()


def _cells_by_cosine(function) -> None:
    found = _visited(function, QUERIES, CENTROIDS, 3)
    mistakes = [
        (
            [[1, 3, 0], [1, 3, 0]],
            (
                "a long centroid wins whatever its direction",
                (
                    "That is the order of dot products. Under cosine only directions count: what"
                    " needs length 1?"
                ),
            ),
        ),
        (
            [[3, 0, 2], [0, 3, 2]],
            (
                "the far end of a long centroid is taken for another direction",
                (
                    "That is the order of Euclidean distances. It agrees with cosine once all"
                    " lengths are 1."
                ),
            ),
        ),
        (
            [[2, 1, 0], [2, 0, 1]],
            (
                "the worst cells come first",
                "The highest cosine first: which way does your sort run?",
            ),
        ),
        (
            [[0, 1, 3], [0, 1, 3]],
            (
                "the cells are sorted by their number",
                "The right cells, in order of their cosine, best first.",
            ),
        ),
    ]
    object_to_mistakes(found, mistakes)
    if found != VISITED:
        raise Wrong(
            f"with nprobe = 3 it returns {found}",
            "Cosines of the first query with cells 0 to 3: 0.89, 0.45, -0.95, 0.95.",
        )


def _cells_ties(function) -> None:
    found = _visited(
        function, np.array([[0.1, 1.0]]), np.array([[0.0, 2.0], [3.0, 0.0], [0.0, 1.0]]), 3
    )
    if found == [[2, 0, 1]]:
        raise Wrong(
            "of two cells with equal cosine the larger number comes first",
            "A sort turned around turns equals around too. Sort by the negative, and keep equals in"
            " order.",
        )
    if found != [[0, 2, 1]]:
        raise Wrong(
            f"with all three cells it returns {found}",
            "Cells 0 and 2 point the same way; 1 does not.",
        )
    many = np.tile([[2.0, 0.0], [0.0, 2.0]], (20, 1))
    if _visited(function, np.array([[0.1, 1.0]]), many, 20) != [list(range(1, 40, 2))]:
        raise Wrong(
            "with 40 cells equal cosines come in no fixed order",
            "Not every sort keeps equal items in the order they had; the word for one that does is"
            " 'stable'.",
        )


def _cells_one(function) -> None:
    found = _visited(function, QUERIES, CENTROIDS, 1)
    if found != [[3], [3]]:
        raise Wrong(f"with nprobe = 1 it returns {found}", "Cell 3 is the best of both queries.")
    if _visited(function, QUERIES, 1e-3 * CENTROIDS, 3) != VISITED:
        raise Wrong(
            "a thousandth of the centroids gives other cells",
            "Divide by the length, small as it is.",
        )


# ---- lists.adc: two pieces of two numbers, three centroids each. Tables of the first query: 1, 4,
# -3 and 1, -1, 2; of the second: -1, 0, 1 and 14, -2, 12.

ASKED = np.array([[1.0, 2.0, 0.0, 1.0], [-1.0, 0.0, 4.0, 2.0]])
BOOKS = np.array([[[1.0, 0.0], [0.0, 2.0], [-1.0, -1.0]], [[3.0, 1.0], [0.0, -1.0], [2.0, 2.0]]])
CODES = np.array([[0, 2], [1, 0], [2, 1], [1, 1]])
SCORES = np.array([[3.0, 5.0, -4.0, 3.0], [11.0, 14.0, -1.0, -2.0]])
BETWEEN_CODES = np.array([[-2.0, 3.0, -1.0, 5.0], [7.0, 8.0, 1.0, -3.0]])
CODES_SWAPPED = np.array([[-2.0, 0.0, 6.0, 3.0], [15.0, -3.0, 12.0, -2.0]])
EVERY_OTHER = np.array([[7.0, 7.0, -2.0, -1.0], [3.0, 10.0, -5.0, 6.0]])
SQUARED = np.array([[9.0, 10.0, 17.0, 5.0], [8.0, 7.0, 26.0, 30.0]])
TABLES = np.array([[[1.0, 4.0, -3.0], [1.0, -1.0, 2.0]], [[-1.0, 0.0, 1.0], [14.0, -2.0, 12.0]]])


class _Books(np.ndarray):
    """Codebooks that notice when the centroids of more vectors than there are centroids are
    read.
    """

    given, decoded = np.empty(0), 0

    def __getitem__(self, key):
        read = super().__getitem__(key)
        if np.may_share_memory(
            self, _Books.given
        ):  # of the codebooks, not of what was made from them
            _Books.decoded += np.size(read) > self.size
        return read

    def __deepcopy__(self, memo):
        _Books.given = self.copy()
        return _Books.given


def _adc_scores(function) -> None:
    result = call(function, ASKED, BOOKS, CODES)
    if np.shape(result) in ((2, 2, 4), (2, 4, 2)):
        raise Wrong(
            "the parts of each score are not added",
            "A dot product is the sum of those of the pieces.",
        )
    if is_same(result, TABLES):
        raise Wrong(
            "these are the tables", "Look up in them what the codes of each vector name, and add."
        )
    meaning = "a score for each query and each vector, (n_queries, n)"
    found = as_array(result, shape=(2, 4), kind="numbers", meaning=meaning)
    mistakes = [
        (
            BETWEEN_CODES,
            (
                "the query has been rounded too",
                (
                    "Asymmetric: the stored vectors are codes, the query stays as it is. Rounding"
                    " it loses recall and saves nothing."
                ),
            ),
        ),
        (
            CODES_SWAPPED,
            (
                "the codes are read in another order of pieces",
                "Column j of the codes names a centroid of codebook j, and only of that one.",
            ),
        ),
        (
            EVERY_OTHER,
            (
                "a piece holds every other number of the query",
                "Pieces are runs of neighbouring numbers: the first d / m, then the next.",
            ),
        ),
        (SCORES / 2, ("it is the mean over the pieces", "The dot product is their sum.")),
        (-SCORES, ("the sign is turned", "A dot product as it is: higher is nearer.")),
        (SQUARED, ("these are squared distances", "Asked for is the dot product, piece by piece.")),
        (
            -SQUARED,
            ("these are squared distances", "Asked for is the dot product, piece by piece."),
        ),
    ]
    object_to_mistakes(found, mistakes)
    if not is_same(found, SCORES):
        raise Wrong(
            f"the first query's scores are {found[0].tolist()}",
            "Its first table holds 1, 4, -3 and its second 1, -1, 2; the first vector has codes 0"
            " and 2.",
        )


def _adc_other_shape(function) -> None:
    books = np.arange(12.0).reshape(3, 2, 2)  # three pieces, two centroids, two numbers
    result = call(function, np.ones((1, 6)), books, np.array([[1, 0, 1], [0, 0, 0]]))
    meaning = "a score for each query and each vector, (n_queries, n)"
    found = as_array(result, shape=(1, 2), kind="numbers", meaning=meaning)
    if not is_same(found, [[35.0, 27.0]]):
        raise Wrong(
            f"with three pieces of two numbers it returns {found.tolist()}",
            "Read m and d / m from the codebooks: nothing says that there are two pieces or three"
            " centroids.",
        )
    _Books.decoded = 0
    call(function, np.ones((1, 6)), books.view(_Books), np.tile([[1, 0, 1]], (50, 1)))
    if _Books.decoded:
        raise Wrong(
            "every vector was decoded before it was multiplied",
            "That costs d multiplications a vector. Multiply queries and codebooks once, then"
            " look up.",
        )


EXERCISES = (
    Exercise(
        "lists.cells",
        "Return the cells that each query visits, (n_queries, nprobe), best first: queries"
        " (n_queries, d), centroids (nlist, d) of any length and nprobe in. The best have the"
        " highest cosine; of equals the smaller number comes first.",
        (_cells_by_cosine, _cells_ties, _cells_one),
        (
            "Which of the two sides must be brought to length 1 for the order to be right?",
            "Divide every centroid by its length, take all dot products at once, sort each row.",
            (
                "Sort the negative scores with a sort that is stable, and keep the first nprobe"
                " columns."
            ),
        ),
        "The coarse search is a tiny exact search, and inherits all its traps: metric, direction,"
        " ties.",
    ),
    Exercise(
        "lists.adc",
        "Return the dot products (n_queries, n) of whole queries (n_queries, d) with vectors known"
        " by their codes (n, m), from codebooks (m, n_codes, d / m), by way of one table per"
        " piece.",
        (_adc_scores, _adc_other_shape),
        (
            "Cut the queries into m runs of d / m numbers, as the codebooks say.",
            "Table j is the dot products of the queries' run j with all centroids of codebook j.",
            "Column j of the codes says which entry of table j each vector takes; add over j.",
        ),
        "d multiplications a vector have become m look-ups, and the tables are made once a query.",
    ),
)
