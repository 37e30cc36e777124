"""Exercises of notebook 00: find the best, and count how often the right answer is among them."""

import numpy as np

from lib.course.engine import Exercise, Wrong, as_array, as_number, call

# Two queries, five items, worked by hand. Query 0 prefers item 3, then 1, then 4; query 1: 0, then
# 4, then 2.
SCORES = np.array([[0.1, 0.7, 0.0, 0.9, 0.4], [0.8, -0.3, 0.2, 0.1, 0.6]])
BEST_THREE = np.array([[3, 1, 4], [0, 4, 2]])
WORST_THREE = np.array([[2, 0, 4], [1, 3, 2]])

# Items 1, 2 and 4 tie for the first place, items 0 and 3 for the fourth.
TIED = np.array([[0.5, 0.9, 0.9, 0.5, 0.9]])
TIED_BEST_FIRST = np.array([[1, 2, 4, 0, 3]])


def _shape_of_top_k(function) -> None:
    for k in (3, 1):
        meaning = f"one row per query and k = {k} ids in each"
        ids = as_array(call(function, SCORES, k), shape=(2, k), kind="integers", meaning=meaning)
        if ids.min() < 0 or ids.max() >= SCORES.shape[1]:
            raise Wrong(
                f"the id {ids.min() if ids.min() < 0 else ids.max()} is no position in a gallery"
                " of 5",
                "Ids run from 0 to n_gallery - 1.",
            )


def _best_first(function) -> None:
    ids = np.asarray(call(function, SCORES, 3))
    if np.array_equal(ids, BEST_THREE):
        return
    if np.array_equal(ids, WORST_THREE):
        raise Wrong(
            "it returns the worst items: the order is ascending",
            "Sorting puts the smallest first; a ranking starts with the highest score.",
        )
    if np.array_equal(ids, BEST_THREE[:, ::-1]):
        raise Wrong(
            "the right items, but the best one comes last",
            "Rank 1 is column 0 of the result. Turn each row round.",
        )
    if np.array_equal(np.sort(ids), np.sort(BEST_THREE)):
        raise Wrong(
            "the right items, but they are not sorted by score",
            "A partial sort only separates the k best from the rest; the k best still need an"
            " order.",
        )
    raise Wrong(
        f"for the scores {SCORES[0].tolist()} and k = 3 it returns the ids {ids[0].tolist()}",
        "Read the scores with a finger: which position holds the highest, which the next?",
    )


def _ties(function) -> None:
    for k in (4, 5):  # 5 is the whole gallery
        ids = np.asarray(call(function, TIED, k))
        if not np.array_equal(ids, TIED_BEST_FIRST[:, :k]):
            raise Wrong(
                f"ties are in the wrong order: for {TIED[0].tolist()} and k = {k} it returns "
                f"{ids[0].tolist()}",
                "Where scores are equal, the smaller id comes first. Reversing an ascending order"
                " reverses ties too.",
            )


def _many_ties(function) -> None:
    # Three different scores over 300 items: only an order that keeps equal items in place gets this
    # right. They are so large that a small number per id, added to break ties, is lost in rounding.
    scores = np.random.default_rng(0).integers(0, 3, (4, 300)) * 2.0**60
    ids = as_array(
        call(function, scores, 120),
        shape=(4, 120),
        kind="integers",
        meaning="120 ids for 4 queries",
    )
    for row, found in zip(scores, ids, strict=True):
        ranked, last = row[found], found[-1]
        left_out = np.setdiff1d(np.arange(300), found)
        if (np.diff(ranked) > 0).any() or row[left_out].max() > row[last]:
            raise Wrong(
                "in a gallery of 300 some better item stands behind a worse one",
                "A partial sort only separates the k best from the rest; the k best still need an"
                " order.",
            )
        skipped = (row[left_out] == row[last]) & (left_out < last)
        if skipped.any() or (np.diff(found)[np.diff(ranked) == 0] <= 0).any():
            raise Wrong(
                "small cases are right, but in a gallery of 300 equal scores come in no fixed"
                " order",
                "Not every sorting algorithm keeps equal items in the order they had. Look for the"
                " option that asks for one that does; the word for it is 'stable'.",
            )


# Four queries, five ranks. The right ids (7, 2, 9, 4) stand at ranks 1, 3, 4 and nowhere.
RANKED = np.array([[7, 2, 9, 4, 1], [7, 1, 2, 4, 9], [1, 2, 4, 9, 7], [2, 7, 9, 1, 0]])
RELEVANT = np.array([7, 2, 9, 4])
HIT_RATE_AT = {1: 0.25, 2: 0.25, 3: 0.5, 4: 0.75, 5: 0.75}


def _type_of_hit_rate(function) -> None:
    value = call(function, RANKED, RELEVANT, 3)
    if np.asarray(value).shape == RELEVANT.shape:
        raise Wrong(
            "it returns one value per query",
            "These are the hits; the hit rate is their share over all queries.",
        )
    as_number(value, meaning="one number: the share of queries that are hits")


def _share(function) -> None:
    values = {
        k: as_number(call(function, RANKED, RELEVANT, k), meaning="one number") for k in HIT_RATE_AT
    }
    if all(np.isclose(values[k], share) for k, share in HIT_RATE_AT.items()):
        return
    n_queries = len(RELEVANT)
    if all(np.isclose(values[k], n_queries * share) for k, share in HIT_RATE_AT.items()):
        raise Wrong(
            "it returns the number of hits, not their share", "How many queries were there?"
        )
    if all(np.isclose(values[k], 100 * share) for k, share in HIT_RATE_AT.items()):
        raise Wrong(
            "it returns percent", "Return a share between 0 and 1; a table may multiply by 100."
        )
    if all(value == HIT_RATE_AT[1] for value in values.values()):
        raise Wrong(
            "it looks only at rank 1: the value is the same for every k",
            "The right id may stand anywhere in the first k columns.",
        )
    if all(values[k] == HIT_RATE_AT[k + 1] for k in (1, 2, 3, 4)):
        raise Wrong(
            "it looks one rank too far: the value for k is the one for k + 1",
            "Rank 1 is column 0, so the first k ranks end before column k.",
        )
    if all(values[k] == HIT_RATE_AT.get(k - 1, 0.0) for k in HIT_RATE_AT):
        raise Wrong(
            "it looks one rank too short: the value for k is the one for k - 1",
            "A slice that ends at k leaves column k out already, so it holds the first k ranks.",
        )
    if all(values[k] == HIT_RATE_AT[5] for k in HIT_RATE_AT):
        raise Wrong("it looks at all five ranks whatever k is", "Only the first k columns count.")
    if all(np.isclose(values[k], share / k) for k, share in HIT_RATE_AT.items()):
        raise Wrong(
            "it is divided by k",
            "That is precision. A query with a hit counts once, however large k is.",
        )
    if values == {1: 0.25, 2: 0.0, 3: 0.25, 4: 0.25, 5: 0.0}:
        raise Wrong(
            "it looks at rank k alone",
            "The right id may stand anywhere in the first k columns, not only in the last of them.",
        )
    if values[1] == 0.0:
        raise Wrong(
            "it finds no hit at rank 1, where query 0 has one",
            "Is the ranking compared with the position of the query, the diagonal? Relevance comes"
            " from the ids in relevant_id.",
        )
    wrong = next(k for k, share in HIT_RATE_AT.items() if values[k] != share)
    raise Wrong(
        f"for k = {wrong} it returns {values[wrong]:g}, by hand it is {HIT_RATE_AT[wrong]:g}",
        "Go through the four queries on paper: is the relevant id among the first k of its own"
        " row?",
    )


def _one_query(function) -> None:
    # Another number of queries than ranks, so that no broadcast works by accident.
    value = as_number(call(function, np.array([[5, 3, 8]]), np.array([8]), 3), meaning="one number")
    if value != 1.0:
        raise Wrong(
            f"for one query with the ranking 5, 3, 8, right id 8 and k = 3 it returns {value:g},"
            " expected 1",
            "Compare each query's row with that query's own id; mind how the two shapes broadcast.",
        )


EXERCISES = (
    Exercise(
        name="start.top_k",
        statement=(
            "Return the ids of the k highest scores of each query, best first, equal scores by"
            " smaller id: scores (n_queries, n_gallery) and k in, integer ids (n_queries, k) out."
        ),
        stages=(_shape_of_top_k, _best_first, _ties, _many_ties),
        hints=(
            (
                "You want positions, not values: which numpy function gives the order, not the"
                " sorted array?"
            ),
            (
                "That function sorts upwards. Turning the result round also turns the ties;"
                " changing the sign of what is sorted does not."
            ),
            "Ask for a stable kind of sort, along the gallery axis, and keep the first k columns.",
        ),
        insight="A ranking is only reproducible once ties have a rule; here it is the smaller id.",
    ),
    Exercise(
        name="start.hit_rate",
        statement=(
            "Return the share of queries whose relevant id is among the first k of their ranking:"
            " ranked_ids (n_queries, depth), relevant_id (n_queries,) and k in, one number from 0"
            " to 1 out."
        ),
        stages=(_type_of_hit_rate, _share, _one_query),
        hints=(
            "For one query the answer is yes or no. Begin there.",
            (
                "Compare the first k columns with the relevant ids, each row with its own id; the"
                " ids need a second axis to line up with the rows."
            ),
            (
                "A query is a hit if any of its k comparisons is true; the rate is the mean of the"
                " hits."
            ),
        ),
        insight="This is what papers print as R@K when every query has one right answer.",
    ),
)
