"""Exercises of notebook 11: rerank a list, choose a depth, fuse two lists, keep two scales
apart.
"""

import numpy as np

from lib.course.engine import Exercise, Wrong, as_array, as_number, call

# ---- two_stage.rerank: of the first three, 4 has -3, 9 and 2 have -1; of 8, 3 and 6, the last two
# have 5.

IDS = np.array([[4, 9, 2, 7, 5, 1], [8, 3, 6, 0, 2, 9]])
SECOND = np.array([[-3.0, -1.0, -1.0, 2.0, 6.0, 0.0], [1.0, 5.0, 5.0, -2.0, 9.0, 3.0]])
RERANKED = [[2, 9, 4, 7, 5, 1], [3, 6, 8, 0, 2, 9]]
LISTS = "one list of gallery ids per query, as long as it was"


def _lists(function, *arguments) -> list[list[int]]:
    shape = arguments[0].shape
    return as_array(
        call(function, *arguments), shape=shape, kind="integers", meaning=LISTS
    ).tolist()


def _rerank_head(function) -> None:
    found = _lists(function, IDS, SECOND, 3)
    if found == [[5, 7, 1, 2, 9, 4], [2, 3, 6, 9, 8, 0]]:
        raise Wrong(
            "items below the depth moved up",
            "The second stage never saw them: in this exercise their scores are there, in a system"
            " they are what you do not pay for. Sort the first `depth` places alone.",
        )
    if [row[3:] for row in found] == [[5, 7, 1], [2, 9, 0]]:
        raise Wrong(
            "what lies below the depth was sorted by the second stage too",
            "Below the depth nothing moves: the first stage's order is all that is known there.",
        )
    if [sorted(row[:3]) for row in found] == [[0, 1, 2]] * 2:
        raise Wrong(
            "the first three are places of the list, not ids",
            "A sort that gives places says where to read, in order; read the ids there.",
        )
    if [row[0] for row in found] == [4, 8]:
        raise Wrong(
            "the lowest score comes first, or nothing moved",
            "Best first: the highest second score of the first three stands at the top.",
        )
    if [row[3:] for row in found] != [row[3:] for row in RERANKED]:
        raise Wrong(
            "below the depth the list is not what it was",
            "Join the new head and the old tail, unchanged.",
        )
    if [set(row[:3]) for row in found] != [set(row[:3]) for row in RERANKED]:
        raise Wrong(
            "the first three are other items than before", "Reordering adds no item and loses none."
        )


def _rerank_ties(function) -> None:
    found = _lists(function, IDS, SECOND, 3)
    if found != RERANKED:
        raise Wrong(
            f"with depth 3 the lists begin {[row[:3] for row in found]}",
            "Sort each query by its own scores. Items 9 and 2 have equal ones: the smaller id goes"
            " first, whatever the first stage thought.",
        )


def _rerank_ends(function) -> None:
    if _lists(function, IDS, SECOND, 0) != IDS.tolist():
        raise Wrong(
            "depth 0 changes the list",
            "Nothing is read, so nothing moves. Does a slice [-0:] hide?",
        )
    whole = [[5, 7, 1, 2, 9, 4], [2, 3, 6, 9, 8, 0]]
    if _lists(function, IDS, SECOND, 6) != whole:
        raise Wrong(
            "with the whole list as depth it is not sorted", "Then the second stage decides alone."
        )
    rng = np.random.default_rng(0)
    ids, scores = (
        np.array([rng.permutation(40), rng.permutation(40)]),
        rng.integers(-1, 1, (2, 40)) * 2.0**60,
    )
    for row, names, given in zip(_lists(function, ids, scores, 30), ids, scores, strict=True):
        if row != [int(name) for _, name in sorted(zip(-given[:30], names[:30], strict=True))] + [
            *names[30:]
        ]:
            raise Wrong(
                "with 40 items, depth 30, and scores of 0 and -1e18 only, the lists are in another"
                " order",
                "The smaller id must go first however many scores are equal, and the tail stays"
                " last however low a score is: one sort by score and id, of the first `depth`"
                " places alone.",
            )


# ---- two_stage.depth: 2 + 4 + D / 2 milliseconds, so 2, 7, 8.5, 11, 16 and 31.

COSTS = (2.0, 4.0, 0.5)
DEPTHS = np.array([0, 2, 5, 10, 20, 50])
QUALITY = np.array([40.0, 60.0, 70.0, 80.0, 80.0, 79.0])


def _depth(function, budget: float) -> float:
    return as_number(call(function, *COSTS, budget, DEPTHS, QUALITY), meaning="one depth, or -1")


def _depth_fits(function) -> None:
    found = _depth(function, 3.0)
    messages = {
        10: (
            "it takes 11 ms of a budget of 3 ms",
            "First what fits, then what is best among that.",
        ),
        20: (
            "it takes 16 ms of a budget of 3 ms",
            "First what fits, then what is best among that.",
        ),
        2: (
            "the fixed cost of the second stage is forgotten",
            "Depth 2 costs 2 + 4 + 2 x 0.5 = 7 ms.",
        ),
        -1: (
            "the first stage alone pays for a second one",
            "Depth 0 does not start the second stage: it costs 2 ms, not 6.",
        ),
    }
    if found in messages:
        raise Wrong(*messages[int(found)])
    if found != 0:
        raise Wrong(
            f"with 3 ms it returns {found:g}",
            "Only the first stage alone, depth 0, fits into 3 ms.",
        )


def _depth_edge(function) -> None:
    found = _depth(function, 8.5)
    if found == 2:
        raise Wrong(
            "a depth that takes the budget exactly is refused", "8.5 ms of 8.5 ms is within budget."
        )
    if found != 5:
        raise Wrong(
            f"with 8.5 ms it returns {found:g}",
            "Depth 5 takes 2 + 4 + 2.5 = 8.5 ms, depth 10 takes 11.",
        )
    if _depth(function, 10.0) != 5:
        raise Wrong(
            "with 10 ms it returns a depth that takes 11", "The first stage's 2 ms come before all."
        )


def _depth_no_waste(function) -> None:
    found = _depth(function, 40.0)
    messages = {
        50: (
            "the deepest is taken, and it is worse",
            (
                "More depth is not more quality: the second stage errs too. Look at the quality of"
                " what fits."
            ),
        ),
        20: (
            "depth 20 is no better than 10 and takes longer",
            "Among equally good depths, the smallest.",
        ),
        3: ("that is the place in the list", "Return the depth itself, not where it stands."),
        80: ("that is the quality", "Return the depth at which it is reached."),
    }
    if found in messages:
        raise Wrong(*messages[int(found)])
    if found != 10:
        raise Wrong(
            f"with 40 ms it returns {found:g}",
            "80 is the best quality, and depth 10 reaches it first.",
        )
    if _depth(function, 2.0) != 0:
        raise Wrong(
            "with 2 ms it does not return 0",
            "The first stage alone takes 2 ms, which is within budget.",
        )
    if as_number(call(function, *COSTS, 3.0, DEPTHS, 0 * QUALITY), meaning="one depth, or -1") != 0:
        raise Wrong(
            "where all qualities are 0 it does not return 0",
            "0 is a quality: depth 0 fits and is as good.",
        )
    if _depth(function, 1.0) != -1:
        raise Wrong(
            "with 1 ms it claims that something fits",
            "The first stage alone takes 2 ms: return -1.",
        )


# ---- two_stage.fuse: with k = 0 item 6 has 1/2 + 1/3; with k = 1 it has 1/3 + 1/4, items 8 and 4
# have 1/2.

RUNS = [[8, 6, 1], [4, 2, 6]]


FROM_ZERO = (
    "ranks count from 0",
    "The first item of a list has rank 1, so its part is 1 / (k + 1).",
)


def _fused(function, runs, k) -> list[int]:
    result = call(function, runs, k)
    n = len({item for run in runs for item in run})
    if isinstance(result, dict):
        raise Wrong("it returns the scores", "Sort them: the ids alone, best first, are asked for.")
    if len(np.atleast_1d(result)) < n:
        raise Wrong(
            f"it returns {len(np.atleast_1d(result))} of {n} items",
            "An item that only one list holds still has that list's part. It is the union, not the"
            " overlap.",
        )
    return as_array(
        result, shape=(n,), kind="integers", meaning="ids of the union, best first"
    ).tolist()


def _fuse_without_k(function) -> None:
    try:
        found = _fused(function, RUNS, 0)
    except Wrong as wrong:
        raise Wrong(*FROM_ZERO) if "ZeroDivisionError" in wrong.what else wrong from None
    if found == [6, 4, 8, 2, 1]:
        raise Wrong(
            "with k = 0 an item twice in the middle wins", "k is given: use it, and not a constant."
        )
    if found == [4, 8, 2, 6, 1]:
        raise Wrong(
            "the two parts of item 6 are not added",
            "The score is a sum over lists, neither the best part nor their mean.",
        )
    if found[:2] == [8, 4]:
        raise Wrong(
            "items 8 and 4 have equal scores, and 8 stands first",
            "Equal scores: the smaller id first.",
        )
    if found != [4, 8, 6, 2, 1]:
        raise Wrong(
            f"with k = 0 it returns {found}",
            "By hand: 8 and 4 have 1/1, 6 has 1/2 + 1/3, 2 has 1/2 and 1 has 1/3. Ranks count"
            " from 1.",
        )


def _fuse_with_k(function) -> None:
    found = _fused(function, RUNS, 1)
    # Item 2 stands second twice, item 1 first and last: at k = 1 item 2 wins, counted from 0 item 1
    # does.
    if (
        found == [4, 8, 6, 2, 1]
        and _fused(function, [[1, 2, 3, 4, 5, 6], [6, 2, 3, 4, 5, 1]], 1)[0] != 2
    ):
        raise Wrong(*FROM_ZERO)
    messages = {
        (4, 8, 6, 2, 1): (
            "an item that a list does not hold gets something from it",
            "Missing is 0, not one rank below the last: lists end where somebody cut them.",
        ),
    }
    if tuple(found) in messages:
        raise Wrong(*messages[tuple(found)])
    if found != [6, 4, 8, 2, 1]:
        raise Wrong(
            f"with k = 1 it returns {found}",
            "By hand: 6 has 1/3 + 1/4, 4 and 8 have 1/2, 2 has 1/3.",
        )


def _fuse_lengths(function) -> None:
    found = _fused(function, [[5], [7, 3, 5, 9], [9], []], 60)
    if found != [5, 9, 7, 3]:
        raise Wrong(
            f"of lists of lengths 1, 4 and 1, and an empty one, it makes {found}",
            "By hand: 5 has 1/61 + 1/63, 9 has 1/64 + 1/61, 7 has 1/61, 3 has 1/62.",
        )
    if _fused(function, [[3, 2, 1]], 1000) != [3, 2, 1]:
        raise Wrong(
            "with k = 1000 nearly equal scores count as equal",
            "1/1001 is more than 1/1002: no rounding.",
        )


# ---- two_stage.order: the second stage read three items of the first query and two of the other.

COSINES = np.array([[0.9, 0.8, 0.7, 0.1, 0.2], [0.3, 0.6, 0.5, 0.4, 0.7]])
UNREAD = -np.inf
LOGITS = np.array([[-4.0, -1.0, -2.0, UNREAD, UNREAD], [UNREAD, -2e30, UNREAD, UNREAD, -9e30]])
KEPT_APART = [[1, 2, 0, 4, 3], [1, 4, 2, 3, 0]]


def _order_not_mixed(function) -> None:
    shown = _lists(function, COSINES, LOGITS)
    first = shown[0]
    messages = {
        (4, 3, 1, 2, 0): (
            "logits and cosines are sorted together",
            (
                "A logit of -1 is below every positive cosine, so items nobody read overtake those"
                " that were."
            ),
        ),
        (3, 4, 1, 2, 0): (
            "what was not read counts 0, which is more than a negative logit",
            "0 is a score like any other. Not read means: below everything that was read.",
        ),
        (1, 2, 0, 3, 4): (
            "below the items that were read, the first stage's order is lost",
            (
                "Item 4 has a higher cosine than item 3. A common floor makes a tie of all that was"
                " not read."
            ),
        ),
        (0, 1, 2, 4, 3): (
            "the list is in the order of the cosines",
            "The second stage decides about what it read: -1 is better than -4.",
        ),
    }
    if tuple(first) in messages:
        raise Wrong(*messages[tuple(first)])
    if first != KEPT_APART[0]:
        raise Wrong(
            f"the first list is {first}",
            "Read items by logit: 1, 2, 0; then the others by cosine: 4, 3.",
        )


def _order_any_range(function) -> None:
    second = _lists(function, COSINES, LOGITS)[1]
    if second != KEPT_APART[1]:
        raise Wrong(
            f"the second list, with logits of -2e30 and -9e30, is {second}",
            "A floor, -100 or -1e9, works until a logit falls below it. Sort by two keys: first"
            " whether an item was read, then the score of the stage that read it.",
        )
    # 40 items, of which nothing, every other one and everything was read: row i is read where i x
    # place is.
    rng = np.random.default_rng(0)
    first = np.array([rng.permutation(40), rng.permutation(40), rng.permutation(40)]) / 40
    read = np.array([[False, False], [False, True], [True, True]])[:, np.arange(40) % 2]
    shown = _lists(function, first, np.where(read, -40 * first[:, ::-1], UNREAD))
    for ids, key, seen in zip(
        shown, np.where(read, 40 * first[:, ::-1], -first), read, strict=True
    ):
        if ids != sorted(range(40), key=lambda item: (not seen[item], key[item])):
            raise Wrong(
                f"of 40 items {seen.sum()} were read, and they are in another order",
                "Whether an item was read is equal for many of them: such a key needs a second one"
                " beside it, or a stable sort. And a query may have nothing that was read, or"
                " everything.",
            )


EXERCISES = (
    Exercise(
        name="two_stage.rerank",
        statement=(
            "Return the lists (n_queries, m) after reranking: ids (n_queries, m) of the first"
            " stage, best first, the second stage's scores of the same places (n_queries, m) and a"
            " depth in. The first `depth` items go by score, equal ones by the smaller id; below"
            " them nothing moves."
        ),
        stages=(_rerank_head, _rerank_ties, _rerank_ends),
        hints=(
            "Cut the list in two at the depth, sort one part, join them again.",
            "Two keys decide: minus the score, and where that is equal the id.",
            (
                "lexsort sorts by several keys, the last one first; it gives places, so read the"
                " ids there."
            ),
        ),
        insight="The tail is where the recall ceiling lives: no answer comes back from there.",
    ),
    Exercise(
        name="two_stage.depth",
        statement=(
            "Return the depth to rerank: milliseconds of the first stage, fixed milliseconds of the"
            " second and per pair, a budget, and depths and quality measured there (n,) in. Depth D"
            " takes first + fixed + pair D, depth 0 only first. Of the depths within the budget,"
            " the smallest that is as good as any of them; -1 if none fits."
        ),
        stages=(_depth_fits, _depth_edge, _depth_no_waste),
        hints=(
            "Write down what each depth costs, then keep those within the budget.",
            "Depth 0 is a case of its own: the second stage is never started.",
            "Of several equal maxima argmax gives the first, which is the smallest depth.",
        ),
        insight="The budget says what you may spend, the curve what is worth buying.",
    ),
    Exercise(
        name="two_stage.fuse",
        statement=(
            "Return the ids of all lists, best first, by reciprocal rank fusion: a list of lists of"
            " ids, each best first, and k in. An item's score is the sum of 1 / (k + rank) over the"
            " lists that hold it, ranks from 1; equal scores by the smaller id."
        ),
        stages=(_fuse_without_k, _fuse_with_k, _fuse_lengths),
        hints=(
            "A dict from id to score, filled list by list.",
            "Ranks count from 1, and an item that is new starts from 0.",
            "Sort by the pair of minus the score and the id.",
        ),
        insight=(
            "No score was looked at: nothing had to be on one scale, and nothing was learnt from"
            " scores."
        ),
    ),
    Exercise(
        name="two_stage.order",
        statement=(
            "Repair the function: cosines of the first stage (n_queries, m) and logits of the"
            " second, -inf where it did not read an item, in; for each query all ids, best first,"
            " out: what was read by logit, below it everything else by cosine."
        ),
        stages=(_order_not_mixed, _order_any_range),
        hints=(
            "Two scales never meet in one sort key.",
            (
                "An item has two keys: whether it was read, and the score of the stage that read it"
                " last."
            ),
            "Sort by both: lexsort takes the deciding key last, and small comes first.",
        ),
        insight="Run.stage is that first key: a run says of each place whose score it is.",
    ),
)
