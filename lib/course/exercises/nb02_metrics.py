"""Exercises of notebook 02: reciprocal rank, average precision, discounted gain, the chance of a
hit.
"""

import numpy as np

from lib.course.engine import Exercise, Wrong, as_array, as_number, call


def _close(a, b) -> bool:
    return bool(np.allclose(a, b, rtol=1e-6, atol=1e-9))


def _expect(function, given: tuple, right: float, hint: str, wrong: dict | None = None) -> None:
    """One number is right; of the wrong ones, those in `wrong` are told `(what, hint)`, others
    `hint`.
    """
    value = as_number(call(function, *given), meaning="one number")
    if _close(value, right):
        return
    for known, message in (wrong or {}).items():
        if _close(value, known):
            raise Wrong(*message)
    shown = ", ".join(map(str, given))
    raise Wrong(f"for {shown} it returns {value:.6g}, expected {right:.6g}", hint)


# ---- metrics.reciprocal_rank: relevant items at ranks 2 and 5 of five.

RANKED, RELEVANT = [7, 2, 9, 0, 4], {2, 4, 8}
WRONG_RR = {
    1.0: (
        "the item at rank 2 gives 1, as if it came first",
        "Ranks count from 1, positions from 0.",
    ),
    1 / 3: ("the item at rank 2 gives 1/3", "One was added once too often: ranks count from 1."),
    2.0: ("it returns the rank itself", "One over the rank: higher is better."),
    1 / 5: ("it took the last relevant item, at rank 5", "Only the first relevant item counts."),
    0.35: ("it averages over the relevant items found", "Only the first relevant item counts."),
    0.7: ("it adds up over the relevant items found", "Only the first relevant item counts."),
}


def _number_of_a_ranking(function) -> None:
    as_number(call(function, RANKED, RELEVANT), meaning="one number from 0 to 1 for one ranking")


def _first_rank(function) -> None:
    hint = "Put a finger on the ranking, start at rank 1, stop at the first relevant item: rank 2."
    _expect(function, (RANKED, RELEVANT), 1 / 2, hint, WRONG_RR)


def _nothing_found(function) -> None:
    hint = (
        "Nothing found is worth 0: the rank is unknown, not one more than the length of the list."
    )
    perfect = (
        "a list without any relevant item gets a perfect 1",
        "The position of the largest of only False values is 0. Ask first whether there is one.",
    )
    try:
        _expect(function, ([5, 6, 7], {1}), 0, hint, {1.0: perfect})
        _expect(function, ([], {1}), 0, hint)
    except Wrong as wrong:
        if not wrong.what.startswith("it raised"):
            raise
        raise Wrong(
            wrong.what,
            "No relevant item is in this list, which happens all the time. It is worth 0.",
        ) from None


def _whichever_comes_first(function) -> None:
    hint = "Any relevant item will do. Walk along the ranking, not along the relevant items."
    _expect(function, ([8, 4, 2], {2, 4, 8}), 1, hint)
    _expect(function, ([5, 6, 1], {1}), 1 / 3, "The last rank counts too.")


# ---- metrics.average_precision: R = 3, found at ranks 2 and 5; R = 1, found at rank 2; R = 2, none
# found.

LISTS = np.array([[7, 2, 9, 0, 4], [5, 1, 3, -1, -1], [6, 8, -1, -1, -1]])
TARGETS = np.array([[2, 4, 8], [1, -1, -1], [0, 3, -1]])
AP = np.array([(1 / 2 + 2 / 5) / 3, 1 / 2, 0])
WRONG_AP = (
    (
        [0.3, (1 / 2 + 2 / 4 + 3 / 5) / 1, (1 / 3 + 2 / 4 + 3 / 5) / 2],
        (
            "-1 is taken for an item: where both tables are padded, nothing meets nothing and"
            " counts as found"
        ),
        "Padding is not an id. Take it out of one side before you compare.",
    ),
    (
        [0.3, 1 / 6, 0],
        "the second query has one relevant item, and its value was divided by 3",
        "The width of the table of relevant items is not R. Count per row what is not padding.",
    ),
    (
        [0.45, 1 / 2, 0],
        "it divides by the number of items found, so the third relevant item costs nothing",
        "Divide by R, the number of relevant items, found or not.",
    ),
    (
        [(1 / 2 + 1 / 5) / 3, 1 / 2, 0],
        "every item found counts as if it were the first: 1/2 and 1/5",
        "At rank 5 two relevant items have been seen, so the precision there is 2/5.",
    ),
    (
        [(0 + 1 / 2 + 1 / 3 + 1 / 4 + 2 / 5) / 5, (0 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 5, 0],
        "the precision is averaged over all ranks",
        "Only ranks that hold a relevant item count.",
    ),
    (
        [2 / 5, 1 / 5, 0],
        "it returns the precision at the depth of the list",
        "It is read off at every rank that holds a relevant item, not only at the end.",
    ),
    (
        [2 / 3, 1, 0],
        "it returns the recall",
        "How early the items come must count: the precision at the rank of each item found.",
    ),
)


def _one_value_per_query(function) -> None:
    as_array(
        call(function, LISTS, TARGETS), shape=(3,), kind="numbers", meaning="one value per query"
    )


def _precisions_at_hits(function) -> None:
    values = np.asarray(call(function, LISTS, TARGETS), dtype=float)
    if _close(values, AP):
        return
    for known, what, hint in WRONG_AP:
        if _close(values, known):
            raise Wrong(what, hint)
    raise Wrong(
        f"it returns {np.round(values, 4).tolist()}; by hand it is {np.round(AP, 4).tolist()}",
        "Query 0: items 2 and 4 of the relevant 2, 4, 8 come at ranks 2 and 5. (1/2 + 2/5) / 3.",
    )


def _short_list(function) -> None:
    # One of three relevant items, in a list that has room for two.
    hint = "The sum is 1, the precision at rank 1. Divide it by R."
    cut = (
        "with a list of 2 and R = 3 the sum is divided by 2",
        (
            "That is the definition with min(R, k). Here it is R, although the list cannot hold R"
            " items."
        ),
    )
    _expect(function, (np.array([[2, 9]]), np.array([[2, 4, 8]])), 1 / 3, hint, {1 / 2: cut})
    hint = "Item 0 is an item like any other: only -1 is padding."
    _expect(function, (np.array([[0, 9]]), np.array([[0, 4]])), 1 / 2, hint)


# ---- metrics.ndcg: grades 1, 2, 0, 3 in this order, of a query that has 1, 2 and 3. All gains 2^g
# - 1.

LIST_GRADES, ALL_GRADES = [1, 2, 0, 3], [1, 2, 3]
NDCG = 0.6289426  # (1 + 3/log2(3) + 7/log2(5)) / (7 + 3/log2(3) + 1/2)
WRONG_NDCG = {
    0.7463238: (
        "the gain is linear: 3, 2, 1 instead of 7, 3, 1",
        (
            "The gain of grade g is 2^g - 1. With only one grade in use the two agree, so such a"
            " test is blind."
        ),
    ),
    0.4811321: (
        "the gain is divided by the rank",
        "The discount is the logarithm, base 2, of the rank + 1.",
    ),
    0.7054886: (
        "rank 2 is not discounted",
        "The discount is log2(rank + 1): 1 at rank 1, 1.585 at rank 2, 2 at rank 3.",
    ),
    0.9240920: (
        "the grades of the query are taken in the order given, which is not the best order",
        "The ideal list has the highest grade first.",
    ),
    5.9075252: (
        "it is not divided by anything",
        "The n in nDCG: divide by what the best list would get.",
    ),
}


def _number_of_a_list(function) -> None:
    as_number(call(function, [3, 2, 1], [3, 2, 1], 3), meaning="one number for one list")


def _irrelevant_gains_nothing(function) -> None:
    hint = (
        "Work out the gain of grade 0 in this code. It must be 0, or every wrong item is paid for."
    )
    _expect(function, ([0, 0], [1], 2), 0, hint)


def _gain_and_discount(function) -> None:
    hint = "Gains 1, 3, 0, 7 over discounts 1, 1.585, 2, 2.322; the ideal has the gains 7, 3, 1."
    _expect(function, (LIST_GRADES, ALL_GRADES, 4), NDCG, hint, WRONG_NDCG)


def _ideal_of_the_query(function) -> None:
    hint = "The ideal list has all three on top: 1 + 0.6309 + 0.5. The list at hand has 1."
    perfect = (
        "a list that missed two of three relevant items is called perfect",
        "Whose best order is the ideal? Not that of the items which happened to be returned.",
    )
    _expect(
        function, ([1, 0], [1, 1, 1], 10), 0.4692787, hint, {1.0: perfect}
    )  # 1 / (1 + 1/log2(3) + 1/2)


def _cut_at_k(function) -> None:
    _expect(function, ([0, 3], [3], 1), 0, "Only the first k places of the list are read.")
    _expect(function, ([3, 3, 3], [3, 3, 3], 1), 1, "The ideal list has k places too.")
    nothing = (
        "A query without relevant items has an ideal of 0, and 0 / 0 is no number: return 0 for it."
    )
    try:
        with np.errstate(all="ignore"):
            for grades in ([0], []):
                _expect(function, ([0, 0], grades, 2), 0, nothing)
    except Wrong as wrong:
        raise Wrong(f"for a query that has no relevant item {wrong.what}", nothing) from None


# ---- metrics.chance: of the 10 pairs from 5 items, 7 hold one of two relevant items, 1 holds both.

WRONG_CHANCE = {
    0.8: (
        "it returns 4/5, which is k R / n: the expected number of relevant items found",
        "A list that holds both of them is one hit, and is counted twice here.",
    ),
    0.64: (
        "it returns 0.64: the items were drawn with replacement",
        (
            "A list holds no item twice. After a wrong first item 4 items are left, 2 of them"
            " relevant."
        ),
    ),
    0.3: ("it returns 3/10, the chance of no hit", "You are one subtraction away."),
    0.1: (
        "it returns 1/10, the chance that all are found",
        "One relevant item among the k is enough.",
    ),
    0.6: ("it returns 6/10, the chance of exactly one", "Two are a hit as well."),
}


def _one_draw(function) -> None:
    miss = ("with k = 1, 2 of 5 relevant, it returns 3/5", "That is the chance of a miss.")
    hint = "With one place in the list the chance is the share of relevant items."
    _expect(function, (5, 2, 1), 0.4, hint, {0.6: miss})


def _two_draws(function) -> None:
    hint = "Write down the ten pairs of five items and count those without a relevant one."
    _expect(function, (5, 2, 2), 0.7, hint, WRONG_CHANCE)


def _certain(function) -> None:
    hint = (
        "Two items are wrong, so a list of 3 is a hit for certain: in no way can 3 be chosen"
        " from 2."
    )
    _expect(function, (5, 3, 3), 1, hint)
    _expect(
        function, (5, 3, 2), 0.9, "A list of 2 may hold just the two wrong items: 1 of 10 pairs."
    )
    _expect(function, (5, 0, 2), 0, "Nothing is relevant, so nothing can be found.")


def _large(function) -> None:
    hint = (
        "Factorials of 25,000 fit into no float. Whole numbers do, and so does a product of k"
        " fractions."
    )
    try:
        _expect(function, (25_000, 5, 10), 0.0019985604, hint)
    except Wrong as wrong:
        raise Wrong(wrong.what, hint) from None


EXERCISES = (
    Exercise(
        name="metrics.reciprocal_rank",
        statement=(
            "Return one over the rank of the first relevant item, 0 if there is none: a list of"
            " ids, best first, and a set of relevant ids in, one number out."
        ),
        stages=(_number_of_a_ranking, _first_rank, _nothing_found, _whichever_comes_first),
        hints=(
            "Walk along the ranking from the top and count the steps.",
            "The first step is rank 1. At the first relevant item you know the answer.",
            "If you reach the end, the answer is 0.",
        ),
        insight=(
            "It reads the top of the list and nothing else: of five right answers, four are"
            " ignored."
        ),
    ),
    Exercise(
        name="metrics.average_precision",
        statement=(
            "Return the average precision over R of every query: ranked_ids (n, depth), best first,"
            " and relevant_ids (n, m), at least one a query, both filled up with -1, in; (n,) out."
        ),
        stages=(_one_value_per_query, _precisions_at_hits, _short_list),
        hints=(
            (
                "First a table of True and False, (n, depth): is the item at this rank relevant to"
                " this query?"
            ),
            "A running count along each row, divided by the rank, is the precision at every rank.",
            (
                "Keep it where an item is relevant, add up each row, divide by R of that row. Mind"
                " -1 twice: in the comparison and in R."
            ),
        ),
        insight=(
            "With R = 1 it is the reciprocal rank. With more, every relevant item pulls, the early"
            " ones harder."
        ),
    ),
    Exercise(
        name="metrics.ndcg",
        statement=(
            "Return nDCG at k with the gain 2^g - 1: the grades of the list in its order (0 is"
            " irrelevant), all grades of the query in any order, and k in, one number out; 0 for a"
            " query without relevant items."
        ),
        stages=(
            _number_of_a_list,
            _irrelevant_gains_nothing,
            _gain_and_discount,
            _ideal_of_the_query,
            _cut_at_k,
        ),
        hints=(
            (
                "Try two lists whose value you know: one has nothing relevant, one has missed most"
                " of it."
            ),
            (
                "There are two mistakes. One is in the gain, one is in where the ideal list comes"
                " from."
            ),
            (
                "The ideal: all grades of the query, highest first, at most k of them, with the"
                " same gain and discount."
            ),
        ),
        insight=(
            "Both mistakes flatter. A list in the best order gets 1 from this code, whatever it"
            " missed."
        ),
    ),
    Exercise(
        name="metrics.chance",
        statement=(
            "Return the probability that a random order has at least one of the R relevant items"
            " among its first k: n_items, n_relevant and k in, one number out."
        ),
        stages=(_one_draw, _two_draws, _certain, _large),
        hints=(
            "The opposite is easier: all k places hold wrong items.",
            (
                "How many ways are there to choose k of all items, and how many to choose k of the"
                " wrong ones?"
            ),
            "One minus the ratio of the two counts.",
        ),
        insight="This is the chance column: averaged over queries, each with its own R.",
    ),
)
