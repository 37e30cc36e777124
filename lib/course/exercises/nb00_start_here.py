"""Exercises of notebook 00: find the best items, count how often the right one is on top."""

import numpy as np

from lib.course.cases import Case, Exercise, Wrong, as_array, as_number, call, expect, is_same

# ---- start.top_k: two queries, five items.

SCORES = np.array([[0.1, 0.7, 0.0, 0.9, 0.4], [0.8, -0.3, 0.2, 0.1, 0.6]])
BEST_THREE = np.array([[3, 1, 4], [0, 4, 2]])
WORST_THREE = np.array([[2, 0, 4], [1, 3, 2]])
# Items 1, 2 and 4 tie for the first place, items 0 and 3 for the fourth.
TIED = np.array([[0.5, 0.9, 0.9, 0.5, 0.9]])
TIED_BEST_FIRST = np.array([[1, 2, 4, 0, 3]])
TIES = (
    "ties are in the wrong order | Where scores are equal, the smaller id comes first. Reversing an"
    " ascending order also reverses the ties."
)
UNSORTED = (
    " | A partial sort only separates the k best from the rest; the k best still need an order."
)


def _top_k_shape(function) -> None:
    for k in (3, 1):
        meaning = f"one row per query and k = {k} ids in each"
        ids = as_array(call(function, SCORES, k), (2, k), kind="integers", meaning=meaning)
        for outside in ids[(ids < 0) | (ids >= SCORES.shape[1])]:
            raise Wrong(
                f"the id {outside} is no position in a gallery of 5"
                " | Ids run from 0 to n_gallery - 1."
            )


def _top_k_of_many_ties(function) -> None:
    # Three different scores over 300 items: only an order that keeps equal items in place gets this
    # right. They are so large that a small number per id, added to break ties, is lost in rounding.
    scores = np.random.default_rng(0).integers(0, 3, (4, 300)) * 2.0**60
    meaning = "120 ids for 4 queries"
    ids = as_array(call(function, scores, 120), (4, 120), kind="integers", meaning=meaning)
    for row, top in zip(scores, ids, strict=True):
        ranked, last = row[top], top[-1]
        others = np.setdiff1d(np.arange(300), top)
        expect(
            (np.diff(ranked) <= 0).all() and row[others].max() <= row[last],
            f"in a gallery of 300 a better item stands behind a worse one{UNSORTED}",
        )
        skipped = (row[others] == row[last]) & (others < last)
        expect(
            not skipped.any() and (np.diff(top)[np.diff(ranked) == 0] > 0).all(),
            "small cases are right, but in a gallery of 300 equal scores come in no fixed order"
            " | Not every sorting algorithm keeps equal items in the order they had. Look for the"
            " option of a sort that does; the word for it is 'stable'.",
        )


top_k = Exercise(
    "start.top_k",
    """Return the ids of the k highest scores of each query, best first, equal scores by smaller id:
    scores (n_queries, n_gallery) and k in, integer ids (n_queries, k) out.""",
    (
        _top_k_shape,
        Case((SCORES, 3), BEST_THREE, mistakes={
            "it returns the worst items: the order is ascending | Sorting puts the smallest first;"
            " a ranking starts with the highest score.": WORST_THREE,
            "the right items, but the best one comes last"
            " | Rank 1 is column 0 of the result. Reverse each row.": BEST_THREE[:, ::-1],
            f"the right items, but they are not sorted by score{UNSORTED}":
                lambda ids: is_same(np.sort(ids), np.sort(BEST_THREE)),
        }, otherwise="Read the scores of the row: which position holds the highest, which the"
            " next?"),
        (Case((TIED, 4), TIED_BEST_FIRST[:, :4], TIES), Case((TIED, 5), TIED_BEST_FIRST, TIES)),
        _top_k_of_many_ties,
    ),
    """- You want positions, not values: which numpy function gives the order, not the sorted array?
    - That function sorts upwards. Reversing the result also reverses the ties; changing the sign of
      what is sorted does not.
    - Ask for a stable kind of sort, along the gallery axis, and keep the first k columns.""",
    "A ranking is only reproducible once ties have a rule; here it is the smaller id.",
)  # fmt: skip

# ---- start.hit_rate: four queries, five ranks. The right ids stand at ranks 1, 3, 4 and nowhere.

RANKED = np.array([[7, 2, 9, 4, 1], [7, 1, 2, 4, 9], [1, 2, 4, 9, 7], [2, 7, 9, 1, 0]])
RELEVANT = np.array([7, 2, 9, 4])
RATES = np.array([0.25, 0.25, 0.5, 0.75, 0.75])  # at k = 1 to 5
K = np.arange(1, 6)


def _hit_rates(function) -> list[float]:
    meaning = "one number: the share of queries that are hits"
    return [as_number(call(function, RANKED, RELEVANT, k), meaning=meaning) for k in range(1, 6)]


hit_rate = Exercise(
    "start.hit_rate",
    """Return the share of queries whose relevant id is among the first k of their ranking:
    ranked_ids (n_queries, depth), relevant_id (n_queries,) and k in, one number from 0 to 1
    out.""",
    (
        Case(lambda function: np.shape(call(function, RANKED, RELEVANT, 3)) == (4,), False,
            "it returns one value per query | These are the hits; the hit rate is their share over"
            " all queries."),
        Case(_hit_rates, RATES, mistakes={
            "it returns the number of hits, not their share | How many queries are there?":
                4 * RATES,
            "it returns percent | Return a share between 0 and 1; a table may multiply it by 100.":
                100 * RATES,
            "it looks only at rank 1: the value is the same for every k"
            " | The right id may stand anywhere in the first k columns.": 5 * [0.25],
            "it looks one rank too far: the value for k is the one for k + 1"
            " | Rank 1 is column 0, so the first k ranks end before column k.": [*RATES[1:], 0.75],
            "it looks one rank too short: the value for k is the one for k - 1 | A slice that ends"
            " at k leaves column k out already, so it holds the first k ranks.": [0, *RATES[:-1]],
            "it looks at all five ranks whatever k is | Only the first k columns count.":
                5 * [0.75],
            "it is divided by k"
            " | That is precision. A query with a hit counts once, however large k is.": RATES / K,
            "it looks at rank k alone | The right id may stand anywhere in the first k columns, not"
            " only in the last of them.": [0.25, 0, 0.25, 0.25, 0],
            "it finds no hit at rank 1, where query 0 has one | Is the ranking compared with the"
            " position of the query, the diagonal? Relevance comes from the ids in relevant_id.":
                lambda rates: rates[0] == 0,
        }, otherwise="Check the four queries on paper: is the relevant id among the first k of its"
            " own row?", given="for k = 1 to 5"),
        Case((np.array([[5, 3, 8]]), np.array([8]), 3), 1.0,
            "Compare each query's row with that query's own id. How do the two shapes broadcast?"),
    ),
    """- For one query the answer is yes or no. Begin there.
    - Compare the first k columns with the relevant ids, each row with its own id; the ids need a
      second axis to line up with the rows.
    - A query is a hit if any of its k comparisons is true; the rate is the mean of the hits.""",
    "This is what papers print as R@K when every query has one right answer.",
)  # fmt: skip
