"""Exercises of notebook 12 on judging an index: recall counted right, nprobe chosen on the right
queries.
"""

import numpy as np

from lib.course.engine import (
    Exercise,
    Wrong,
    as_array,
    as_number,
    call,
    is_same,
    object_to_mistakes,
)

# ---- lists.recall: hits 2, 1 and 0 of 3, so 1 / 3. By what was found 2 / 2, 1 / 3 and 0.

FOUND = np.array([[5, 3, -1, -1], [2, 2, 2, 7], [-1, -1, -1, -1]])
TRUE = np.array([[3, 5, 9, 4], [2, 8, 6, 7], [1, 0, 4, 5]])


def _recall(function, found, true, k) -> float:
    return as_number(call(function, found, true, k), meaning="the recall, one number")


def _recall_repeats(function) -> None:
    value = _recall(function, np.array([[2, 2, 2, 7]]), np.array([[2, 8, 6, 7]]), 3)
    if is_same(value, 1.0):
        raise Wrong(
            "an id that is returned three times counts three times",
            "One of the three true neighbours was found. Count which true ids were found, not which"
            " places match.",
        )
    if is_same(value, 2 / 3) or is_same(value, 1 / 2):
        raise Wrong(
            "what stands below k counts too",
            "The true neighbours are the first k, and so is the answer.",
        )
    if not is_same(value, 1 / 3):
        raise Wrong(
            f"for one of three found it returns {value:.3f}", "One of three, whatever is repeated."
        )
    first = "With k = 1 only the first found and the first true neighbour count, and they differ."
    if not is_same(_recall(function, np.array([[5, 3]]), np.array([[3, 9]]), 1), 0.0):
        raise Wrong("what was found below k counts too", first)
    if not is_same(_recall(function, np.array([[5, 9]]), np.array([[3, 5]]), 1), 0.0):
        raise Wrong("true neighbours below k count too", first)


def _recall_missing(function) -> None:
    value = _recall(function, FOUND[:1], TRUE[:1], 3)
    if is_same(value, 1.0):
        raise Wrong(
            "who finds two and stops has a recall of 1",
            "That divides by what was found. It was asked for k: places left empty are misses.",
        )
    if not is_same(value, 2 / 3):
        raise Wrong(f"for two of three found it returns {value:.3f}", "Two of three; -1 is no id.")
    value = _recall(function, FOUND, TRUE, 3)
    if is_same(value, 1 / 2):
        raise Wrong(
            "the query that found nothing is left out",
            "It is the worst of the three. The mean is over all queries that were asked.",
        )
    if is_same(value, 1.0):
        raise Wrong("it is the sum over the queries", "The mean over all queries that were asked.")
    if not is_same(value, 1 / 3):
        raise Wrong(f"for three queries it returns {value:.3f}", "Hits 2, 1 and 0 of 3 each.")


def _recall_padded_truth(function) -> None:
    value = _recall(function, np.array([[4, -1]]), np.array([[4, -1]]), 2)
    if is_same(value, 1.0):
        raise Wrong(
            "an empty place counts as a hit where the truth has an empty place too",
            "-1 means that there is nothing. Nothing cannot be found.",
        )
    if not is_same(value, 1 / 2):
        raise Wrong(f"with -1 in the truth it returns {value:.3f}", "One hit of k = 2.")
    if not is_same(_recall(function, np.array([[0]]), np.array([[0]]), 1), 1.0):
        raise Wrong("id 0 is not found", "Item 0 is an item like any other: only -1 is nothing.")


# ---- lists.tune: recalls on the learn queries 1/2, 3/4, 7/8, 7/8, 15/16; on the test 1/4, 1/2,
# 5/8, 3/4, 1.

NPROBES = np.array([1, 4, 8, 16, 32])
# Hits of k = 4, by setting and query.
LEARN = np.array([[2, 2, 2, 2], [4, 2, 3, 3], [4, 3, 4, 3], [3, 4, 3, 4], [4, 4, 4, 3]])
TEST = np.array([[1, 1, 1, 1], [2, 2, 2, 2], [3, 3, 2, 2], [3, 3, 3, 3], [4, 4, 4, 4]])


def _chosen(function, target) -> list[float]:
    result = call(function, NPROBES, LEARN, TEST, 4, target)
    return as_array(
        result, shape=(2,), kind="numbers", meaning="nprobe and the recall on test"
    ).tolist()


def _tune_choice(function) -> None:
    found = _chosen(function, 0.75)
    mistakes = [
        (
            (16, 0.75),
            ("it chose on the test queries", "Then the test is no test. The learn queries choose."),
        ),
        (
            (4, 0.75),
            (
                "it reports the learn queries' recall",
                "They chose, so they flatter. Report the test.",
            ),
        ),
        (
            (1, 0.5),
            ("it returns the place in the list", "Return nprobe itself, not where it stands."),
        ),
        ((8, 0.625), ("a recall that equals the target is refused", "At least the target.")),
        (
            (32, 1.0),
            (
                "the best is taken, not the cheapest that is enough",
                "The smallest nprobe that reaches it.",
            ),
        ),
        ((4, 2.0), ("the recall is in neighbours", "Divide the hits by k.")),
    ]
    object_to_mistakes(found, mistakes)
    if not is_same(found, (4, 0.5)):
        raise Wrong(
            f"for a target of 0.75 it returns {found}",
            "Learn recalls are 0.5, 0.75, 0.875 and more.",
        )


def _tune_edges(function) -> None:
    found = _chosen(function, 0.8)
    if not is_same(found, (8, 0.625)):
        raise Wrong(
            f"for a target of 0.8 it returns {found}",
            "nprobe 8 is the first with 0.875; test: 0.625.",
        )
    found = _chosen(function, 0.95)
    if not is_same(found, (32, 1.0)):
        raise Wrong(
            f"for a target that nothing reaches it returns {found}",
            "Then the largest nprobe is what there is: 32, and its recall on test.",
        )
    result = call(function, NPROBES, LEARN[[0, 2, 1, 3, 4]], TEST, 4, 0.8)
    if not is_same(result, (4, 0.5)):
        raise Wrong(
            "where 4 reaches the target and 8 does not, it does not choose 4",
            "Recall need not rise with nprobe: the smallest that reaches it, whatever comes"
            " after it.",
        )


EXERCISES = (
    Exercise(
        "lists.recall",
        "Return recall@k, one number: found ids (n_queries, >= k), -1 where nothing was found, true"
        " ids (n_queries, >= k) and k in. The share of the first k true neighbours that are among"
        " the first k found, each counted once, averaged over all queries.",
        (_recall_repeats, _recall_missing, _recall_padded_truth),
        (
            (
                "Ask of each true neighbour whether it was found, instead of each answer whether it"
                " is true."
            ),
            "The denominator is what was asked for, whatever came back.",
            (
                "Mark a match only where the id is not -1, ask whether any place matches, add up,"
                " divide by k."
            ),
        ),
        "Divide by what came back, and an index that answers little looks best. Count repeats, and"
        " one that stutters does.",
    ),
    Exercise(
        "lists.tune",
        "Return nprobe and the recall on test, two numbers: nprobes (s,) ascending, hits on the"
        " learn queries (s, n_learn), hits on the test queries (s, n_test), k and a target in."
        " Choose the smallest nprobe whose recall on the learn queries is at least the target, the"
        " largest if none is.",
        (_tune_choice, _tune_edges),
        (
            "Recall of a setting: mean hits over its queries, divided by k.",
            (
                "Which settings reach the target on the learn queries? The first of them, or the"
                " last setting."
            ),
            "Everything is decided then. Only now look at that row of the test hits.",
        ),
        "A target is promised on queries that were not looked at. If they are of another modality"
        " than those that chose, the promise breaks.",
    ),
)
