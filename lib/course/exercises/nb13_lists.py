"""Exercises of notebook 13: cells to visit, recall, a choice of nprobe."""

import numpy as np

from lib.course.cases import Case, Exercise, Shape

# ---- lists.cells: by cosine the first query sees 0.95, 0.89, 0.45, -0.95 of cells 3, 0, 1, 2; by
# dot product cell 1, which is ten long, comes first; by distance it comes last.

QUERIES = np.array([[1.0, 2.0], [0.2, 0.1]])
CENTROIDS = np.array([[0.0, 0.5], [10.0, 0.0], [-1.0, -1.0], [1.0, 1.0]])
VISITED = np.array([[3, 0, 1], [3, 1, 0]])
STEEP = np.array([[0.1, 1.0]])

cells = Exercise(
    "lists.cells",
    """Return the cells that each query visits, (n_queries, nprobe), best first: queries (n_queries,
    d), centroids (nlist, d) of any length and nprobe in. The best have the highest cosine; of
    equals the smaller number comes first.""",
    (
        Case((QUERIES, CENTROIDS, 3), VISITED, mistakes={
            "it returns one cell per query"
            " | That is nprobe = 1. A query visits nprobe cells, the best first.": Shape((2,)),
            "a long centroid wins whatever its direction | That is the order of dot products. Under"
            " cosine only directions count: what needs length 1?": [[1, 3, 0], [1, 3, 0]],
            "a long centroid is far away whatever its direction | That is the order of Euclidean"
            " distances. It agrees with cosine once all lengths are 1.": [[3, 0, 2], [0, 3, 2]],
            "the worst cells come first | The highest cosine first: which way does your sort run?":
                [[2, 1, 0], [2, 0, 1]],
            "the cells are sorted by their number"
            " | The right cells, in order of their cosine, best first.": [[0, 1, 3], [0, 1, 3]],
        }, otherwise="Cosines of the first query with cells 0 to 3: 0.89, 0.45, -0.95, 0.95.",
            given="with nprobe = 3", meaning="the cells of each query, (n_queries, nprobe)"),
        (
            Case((STEEP, np.array([[0.0, 2.0], [3.0, 0.0], [0.0, 1.0]]), 3), np.array([[0, 2, 1]]),
                mistakes={
                "of two cells with equal cosine the larger number comes first | A reversed sort"
                " reverses the equals too. Sort by the negative, and keep equals in order.":
                    [[2, 0, 1]],
            }, otherwise="Cells 0 and 2 point the same way; 1 does not.",
                given="with all three cells"),
            Case((STEEP, np.tile([[2.0, 0.0], [0.0, 2.0]], (20, 1)), 20), np.arange(1, 40, 2)[None],
                "with 40 cells equal cosines come in no fixed order | Not every sort keeps equal"
                " items in the order they had; the word for one that does is 'stable'."),
        ),
        (
            Case((QUERIES, CENTROIDS, 1), np.array([[3], [3]]),
                "Cell 3 is the best of both queries.", given="with nprobe = 1"),
            Case((QUERIES, 1e-3 * CENTROIDS, 3), VISITED,
                "a thousandth of the centroids gives other cells | Divide by the length, small as"
                " it is."),
        ),
    ),
    """- Which of the two sides must be brought to length 1 for the order to be right?
    - Divide every centroid by its length, take all dot products at once, sort each row.
    - Sort the negative scores with a sort that is stable, and keep the first nprobe columns.""",
    "The coarse search is a tiny exact search, and has all its traps: metric, direction, ties.",
)  # fmt: skip

# ---- lists.recall: hits 2, 1 and 0 of 3, so 1 / 3. By the length of the answers 2 / 2, 1 / 3 and
# 0.

FOUND = np.array([[5, 3, -1, -1], [2, 2, 2, 7], [-1, -1, -1, -1]])
TRUE = np.array([[3, 5, 9, 4], [2, 8, 6, 7], [1, 0, 4, 5]])
BELOW_K = (
    "what stands below k counts too{} | The true neighbours are the first k, and so is the answer."
)
FIRST = (
    " | With k = 1 only the first returned id and the first true neighbour count, and they differ."
)

recall = Exercise(
    "lists.recall",
    """Return recall@k, one number: found ids (n_queries, >= k), -1 where nothing was found, true
    ids (n_queries, >= k) and k in. The share of the first k true neighbours that are among the
    first k found, each counted once, averaged over all queries.""",
    (
        (
            Case((FOUND[1:2], TRUE[1:2], 3), 1 / 3, mistakes={
                "one of the three true neighbours was returned, three times, and the recall is 1"
                " | Count which true ids were returned, each once, not which places match and not"
                " whether there is any hit.": 1.0,
                BELOW_K.format(", as a hit"): 2 / 3,
                BELOW_K.format(", and k with it"): 1 / 2,
            }, otherwise="One of three, whatever is repeated.", given="for one hit of three",
                meaning="the recall, one number"),
            Case((np.array([[5, 3]]), np.array([[3, 9]]), 1), 0.0,
                f"what was found below k counts too{FIRST}"),
            Case((np.array([[5, 9]]), np.array([[3, 5]]), 1), 0.0,
                f"true neighbours below k count too{FIRST}"),
        ),
        (
            Case((FOUND[:1], TRUE[:1], 3), 2 / 3, mistakes={
                "two hits and nothing else give a recall of 1 | That divides by the number of"
                " answers. Divide by k: empty places are misses.": 1.0,
            }, otherwise="Two of three; -1 is no id.", given="for two hits of three"),
            Case((FOUND, TRUE, 3), 1 / 3, mistakes={
                "the query without a hit is left out"
                " | It is the worst of the three. The mean is over all queries.": 1 / 2,
                "it is the sum over the queries | Return the mean over all queries.": 1.0,
            }, otherwise="Hits 2, 1 and 0 of 3 each.", given="for three queries"),
        ),
        (
            Case((np.array([[4, -1]]), np.array([[4, -1]]), 2), 1 / 2, mistakes={
                "an empty place counts as a hit where the truth has an empty place too"
                " | -1 means that there is no item, so it is no hit.": 1.0,
            }, otherwise="One hit of k = 2.", given="with -1 in the truth"),
            Case((np.array([[0]]), np.array([[0]]), 1), 1.0,
                "id 0 is not found | Item 0 is an item like any other: only -1 means no item."),
        ),
    ),
    """- Check for each true neighbour whether it was returned, not for each answer whether it is
      true.
    - The denominator is k, whatever came back.
    - Mark a match only where the id is not -1, check whether any place matches, add up, divide by
      k.""",
    "If you divide by what came back, an index that answers little looks best. If you count"
    " repeats, so does one that repeats its answers.",
)  # fmt: skip

# ---- lists.tune: recalls on the learn queries 1/2, 3/4, 7/8, 7/8, 15/16; on the test 1/4, 1/2,
# 5/8, 3/4, 1.

NPROBES = np.array([1, 4, 8, 16, 32])
# Hits of k = 4, by setting and query.
LEARN = np.array([[2, 2, 2, 2], [4, 2, 3, 3], [4, 3, 4, 3], [3, 4, 3, 4], [4, 4, 4, 3]])
TEST = np.array([[1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 2, 2], [3, 3, 3, 3], [4, 4, 4, 4]])

tune = Exercise(
    "lists.tune",
    """Return nprobe and the recall on test, two numbers: nprobes (s,) ascending, hits on the learn
    queries (s, n_learn), hits on the test queries (s, n_test), k and a target in. Choose the
    smallest nprobe whose recall on the learn queries is at least the target, the largest if none
    is.""",
    (
        Case((NPROBES, LEARN, TEST, 4, 0.75), (4, 0.5), mistakes={
            "it chose on the test queries | Then the test is no test. The learn queries choose.":
                (16, 0.75),
            "it reports the learn queries' recall"
            " | They chose, so it is too high. Report the test.": (4, 0.75),
            "it returns the place in the list | Return nprobe itself, not where it stands.":
                (1, 0.5),
            "a recall that equals the target is refused | At least the target.": (8, 0.625),
            "the best is taken, not the cheapest that is enough"
            " | The smallest nprobe that reaches it.": (32, 1.0),
            "the recall is in neighbours | Divide the hits by k.": (4, 2.0),
        }, otherwise="Learn recalls are 0.5, 0.75, 0.875 and more.", given="for a target of 0.75",
            meaning="nprobe and the recall on test"),
        (
            Case((NPROBES, LEARN, TEST, 4, 0.8), (8, 0.625),
                "nprobe 8 is the first with 0.875; test: 0.625.", given="for a target of 0.8"),
            Case((NPROBES, LEARN, TEST, 4, 0.95), (32, 1.0),
                "Then the largest nprobe is what there is: 32, and its recall on test.",
                given="for a target that nothing reaches"),
            Case((NPROBES, LEARN[[0, 2, 1, 3, 4]], TEST, 4, 0.8), (4, 0.5),
                "where 4 reaches the target and 8 does not, it does not choose 4 | Recall need not"
                " rise with nprobe: the smallest that reaches it, whatever comes after it."),
        ),
    ),
    """- Recall of a setting: mean hits over its queries, divided by k.
    - Which settings reach the target on the learn queries? The first of them, or the last setting.
    - The choice is made then. Only now look at that row of the test hits.""",
    "The target must hold on queries that made no choice. If they are of another modality than"
    " those that chose, it often does not.",
)  # fmt: skip
