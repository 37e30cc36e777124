"""Exercises of notebook 03: reciprocal rank, average precision, nDCG, the chance of a hit."""

import numpy as np

from lib.course.cases import Case, Exercise

# ---- metrics.reciprocal_rank: first, relevant items at ranks 2 and 5.

NOTHING = "No relevant item is in this list, which happens often. It is worth 0."

reciprocal_rank = Exercise(
    "metrics.reciprocal_rank",
    """Return one over the rank of the first relevant item, 0 if there is none: a list of ids, best
    first, and a set of relevant ids in, one number out.""",
    (
        Case(([7, 2, 9, 0, 4], {2, 4, 8}), 1 / 2, mistakes={
            "the item at rank 2 gives 1, as if it came first"
            " | Ranks count from 1, positions from 0.": 1.0,
            "the item at rank 2 gives 1/3 | One was added once too often: ranks count from 1.":
                1 / 3,
            "it returns the rank itself | One over the rank: higher is better.": 2.0,
            "none of the list counts as relevant | Do you give a set to np.isin? It takes a set for"
            " one object: give it list(relevant), or write `item in relevant`.": 0.0,
            "it took the last relevant item, at rank 5 | Only the first relevant item counts.":
                1 / 5,
            "it averages over the relevant items in the list"
            " | Only the first relevant item counts.": 0.35,
            "it adds up over the relevant items in the list | Only the first relevant item counts.":
                0.7,
        }, otherwise="Go along the ranking, start at rank 1, stop at the first relevant item: rank"
            " 2.", meaning="one number from 0 to 1 for one ranking"),
        (
            Case(([5, 6, 7], {1}), 0, mistakes={
                "a list without any relevant item gets a perfect 1 | The position of the largest of"
                " only False values is 0. Check first whether there is a True.": 1.0,
            }, otherwise="A list without a relevant item is worth 0: the rank is unknown, not one"
                " more than the length of the list.", if_raises=NOTHING),
            Case(([], {1}), 0, NOTHING, if_raises=NOTHING),
        ),
        Case(([8, 4, 2], {2, 4, 8}), 1,
            "Any relevant item will do. Go along the ranking, not along the relevant items."),
        Case(([5, 6, 1], {1}), 1 / 3, "The last rank counts too."),
    ),
    """- Go along the ranking from the top and count the steps.
    - The first step is rank 1. At the first relevant item you know the answer.
    - If you reach the end, the answer is 0.""",
    "It reads the top of the list and nothing else: of five right answers, four are ignored.",
)  # fmt: skip

# ---- metrics.average_precision: R = 3, at ranks 2 and 5; R = 1, at rank 2; R = 2, none in the
# list. Then one of three relevant items, in a list of two.

LISTS = np.array([[7, 2, 9, 0, 4], [5, 1, 3, -1, -1], [6, 8, -1, -1, -1]])
RELEVANT = np.array([[2, 4, 8], [1, -1, -1], [0, 3, -1]])

average_precision = Exercise(
    "metrics.average_precision",
    """Return the average precision over R of every query: ranked_ids (n, depth), best first, and
    relevant_ids (n, m), at least one a query, both filled up with -1, in; (n,) out.""",
    (
        Case((LISTS, RELEVANT), np.array([(1 / 2 + 2 / 5) / 3, 1 / 2, 0]), mistakes={
            "-1 is taken for an item: where both tables are padded, the padding counts as a hit"
            " | Padding is not an id. Take it out of one side before you compare.":
                [0.3, 1 / 2 + 2 / 4 + 3 / 5, (1 / 3 + 2 / 4 + 3 / 5) / 2],
            "-1 is taken for an item, as a hit and in R"
            " | Padding is not an id. Leave it out of both.":
                [0.3, (1 / 2 + 2 / 4 + 3 / 5) / 3, (1 / 3 + 2 / 4 + 3 / 5) / 3],
            "it divides by the length of the list"
            " | Divide by R, the number of relevant items of the query.": [0.9 / 5, 0.5 / 5, 0],
            "the second query has one relevant item, and its value was divided by 3 | The width of"
            " the table of relevant items is not R. Count per row what is not padding.":
                [0.3, 1 / 6, 0],
            "it divides by the number of hits, so the third relevant item costs nothing"
            " | Divide by R, the number of relevant items, in the list or not.": [0.45, 0.5, 0],
            "every hit counts as if it were the first: 1/2 and 1/5 | At rank 5 two relevant items"
            " have been seen, so the precision there is 2/5.": [(1 / 2 + 1 / 5) / 3, 1 / 2, 0],
            "the precision is averaged over all ranks"
            " | Only ranks that hold a relevant item count.":
                [(1 / 2 + 1 / 3 + 1 / 4 + 2 / 5) / 5, (1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 5, 0],
            "it returns the precision at the depth of the list | Read it at every rank that holds a"
            " relevant item, not only at the end.": [2 / 5, 1 / 5, 0],
            "it returns the recall | How early the items come must count: use the precision at the"
            " rank of each hit.": [2 / 3, 1, 0],
        }, otherwise="Query 0: items 2 and 4 of the relevant 2, 4, 8 come at ranks 2 and 5. The sum"
            " 1/2 + 2/5 is divided by 3.", meaning="one value per query"),
        Case((np.array([[2, 9]]), np.array([[2, 4, 8]])), np.array([1 / 3]), mistakes={
            "with a list of 2 and R = 3 the sum is divided by 2 | That is the definition with"
            " min(R, k). Here it is R, although the list cannot hold R items.": [1 / 2],
        }, otherwise="The sum is 1, the precision at rank 1. Divide it by R."),
        Case((np.array([[0, 9]]), np.array([[0, 4]])), np.array([1 / 2]),
            "Item 0 is an item like any other: only -1 is padding."),
    ),
    """- First a table of True and False, (n, depth): is the item at this rank relevant to this
      query?
    - A running count along each row, divided by the rank, is the precision at every rank.
    - Keep it where an item is relevant, add up each row, divide by R of that row. Mind -1 twice: in
      the comparison and in R.""",
    "With R = 1 it is the reciprocal rank. With more, every relevant item counts, early ones more.",
)  # fmt: skip

# ---- metrics.ndcg: (1 + 3/log2(3) + 7/log2(5)) / (7 + 3/log2(3) + 1/2), then 1 / (1 + 1/log2(3) +
# 1/2).

NO_IDEAL = "A query without relevant items has an ideal of 0, and 0 / 0 is no number: return 0."

ndcg = Exercise(
    "metrics.ndcg",
    """Return nDCG at k with the gain 2^g - 1: the grades of the list in its order (0 is
    irrelevant), all grades of the query in any order, and k in, one number out; 0 for a query
    without relevant items.""",
    (
        Case(([3, 2, 1], [3, 2, 1], 3), 1, "The list is in the best order.", meaning="one number"),
        Case(([0, 0], [1], 2), 0,
            "Work out the gain of grade 0 in this code. It must be 0, or every wrong item gets a"
            " gain."),
        Case(([1, 2, 0, 3], [1, 2, 3], 4), 0.6289426, mistakes={
            "the gain is linear: 3, 2, 1 instead of 7, 3, 1 | The gain of grade g is 2^g - 1. With"
            " one grade in use the two agree, so such a test does not see it.": 0.7463238,
            "the gain is divided by the rank"
            " | The discount is the logarithm, base 2, of the rank + 1.": 0.4811321,
            "rank 2 is not discounted | The discount is log2(rank + 1): 1 at rank 1, 1.585 at rank"
            " 2, 2 at rank 3.": 0.7054886,
            "the grades of the query are taken in the order given, which is not the best order"
            " | The ideal list has the highest grade first.": 0.9240920,
            "it is not divided by anything | The n in nDCG: divide by the value of the best list.":
                5.9075252,
        }, otherwise="Gains 1, 3, 0, 7 over discounts 1, 1.585, 2, 2.322; the ideal has the gains"
            " 7, 3, 1."),
        Case(([1, 0], [1, 1, 1], 10), 0.4692787, mistakes={
            "a list that missed two of three relevant items gets a perfect 1 | The ideal is the"
            " best order of all grades of the query, not of the items that were returned.": 1.0,
        }, otherwise="The ideal list has all three on top: 1 + 0.6309 + 0.5. The list at hand has"
            " 1."),
        (
            Case(([0, 3], [3], 1), 0, "Only the first k places of the list are read."),
            Case(([3, 3, 3], [3, 3, 3], 1), 1, "The ideal list has k places too."),
            *(
                Case(([0, 0], grades, 2), 0, NO_IDEAL,
                    given="for a query that has no relevant item", finite=False, if_raises=NO_IDEAL)
                for grades in ([0], [])
            ),
        ),
    ),
    """- Try two lists with a known value: one has nothing relevant, one has missed most of it.
    - There are two mistakes. One is in the gain, one is in where the ideal list comes from.
    - The ideal: all grades of the query, highest first, at most k of them, with the same gain and
      discount.""",
    "Both mistakes flatter. A list in the best order gets 1 from this code, whatever it missed.",
)  # fmt: skip

# ---- metrics.chance: of the 10 pairs from 5 items, 7 hold one of two relevant items, 1 holds both.

CERTAIN = (
    "Two items are wrong, so a list of 3 is a hit for certain: there is no way to choose 3 from 2."
)
LARGE = (
    "Factorials of 25,000 are too large for a float. Use whole numbers, or a product of k"
    " fractions."
)

chance = Exercise(
    "metrics.chance",
    """Return the probability that a random order has at least one of the R relevant items among its
    first k: n_items, n_relevant and k in, one number out.""",
    (
        Case((5, 2, 1), 0.4, mistakes={
            "with k = 1, 2 of 5 relevant, it returns 3/5 | That is the chance of a miss.": 0.6,
        }, otherwise="With one place in the list the chance is the share of relevant items."),
        Case((5, 2, 2), 0.7, mistakes={
            "it returns 4/5, which is k R / n: the expected number of relevant items in the list"
            " | A list that holds both of them is one hit, and is counted twice here.": 0.8,
            "it returns 0.64: the items were drawn with replacement | A list holds no item twice."
            " After a wrong first item 4 items are left, 2 of them relevant.": 0.64,
            "it returns 3/10, the chance of no hit | One subtraction is missing.": 0.3,
            "it returns 1/10, the chance that both are in the list"
            " | One relevant item among the k is enough.": 0.1,
            "it returns 6/10, the chance of exactly one | Two are a hit as well.": 0.6,
        }, otherwise="Write down the ten pairs of five items and count those without a relevant"
            " one."),
        (
            Case((5, 3, 3), 1, CERTAIN, if_raises=CERTAIN),
            Case((5, 3, 2), 0.9, "A list of 2 may hold just the two wrong items: 1 of 10 pairs."),
            Case((5, 0, 2), 0, "Nothing is relevant, so there is no hit."),
        ),
        Case((25_000, 5, 10), 0.0019985604, LARGE, finite=False, if_raises=LARGE),
    ),
    """- The opposite is easier: all k places hold wrong items.
    - How many ways are there to choose k of all items, and how many to choose k of the wrong ones?
    - One minus the ratio of the two counts.""",
    "This is the chance column: averaged over queries, each with its own R.",
)  # fmt: skip
