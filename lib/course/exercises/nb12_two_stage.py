"""Exercises of notebook 12: rerank a list, choose a depth, fuse two lists, order by two scores."""

import numpy as np

from lib.course.cases import Case, Exercise, Wrong

# ---- two_stage.rerank: of the first three, 4 has -3, 9 and 2 have -1; of 8, 3 and 6, the last two
# have 5.

IDS = np.array([[4, 9, 2, 7, 5, 1], [8, 3, 6, 0, 2, 9]])
SECOND = np.array([[-3.0, -1.0, -1.0, 2.0, 6.0, 0.0], [1.0, 5.0, 5.0, -2.0, 9.0, 3.0]])
RERANKED = np.array([[2, 9, 4, 7, 5, 1], [3, 6, 8, 0, 2, 9]])
WHOLE = np.array([[5, 7, 1, 2, 9, 4], [2, 3, 6, 9, 8, 0]])
RNG = np.random.default_rng(0)
IDS_40 = np.array([RNG.permutation(40), RNG.permutation(40)])
SECOND_40 = RNG.integers(-1, 1, (2, 40)) * 2.0**60
RERANKED_40 = np.array([
    [id for _, id in sorted(zip(-scores[:30], ids[:30]))] + [*ids[30:]]
    for ids, scores in zip(IDS_40, SECOND_40)
])  # fmt: skip

rerank = Exercise(
    "two_stage.rerank",
    """Return the lists (n_queries, m) after reranking: ids (n_queries, m) of the first stage, best
    first, the second stage's scores of the same places (n_queries, m) and a depth in. The first
    `depth` items go by score, equal ones by the smaller id; below them nothing moves.""",
    (
        Case((IDS, SECOND, 3), RERANKED, mistakes={
            "items below the depth moved up"
            " | The second stage does not read them: here their scores are given, in a system you"
            " do not compute them. Sort the first `depth` places alone.": WHOLE,
            "what lies below the depth was sorted by the second stage too"
            " | Below the depth nothing moves: the first stage's order is all that is known there.":
                lambda lists: lists[:, 3:].tolist() == [[5, 7, 1], [2, 9, 0]],
            "the first three are places of the list, not ids"
            " | A sort that gives places says where to read, in order; read the ids there.":
                lambda lists: [sorted(row[:3]) for row in lists] == [[0, 1, 2]] * 2,
            "the lowest score comes first, or nothing moved | Best first: the highest second score"
            " of the first three stands at the top.": lambda lists: lists[:, 0].tolist() == [4, 8],
            "below the depth the list is not what it was | Join the new head and the old tail,"
            " unchanged.": lambda lists: (lists[:, 3:] != IDS[:, 3:]).any(),
            "the first three are other items than before | Reordering adds no item and loses none.":
                lambda lists: (np.sort(lists[:, :3]) != np.sort(IDS[:, :3])).any(),
        }, otherwise="Sort each query by its own scores. Items 9 and 2 have equal ones: the smaller"
            " id goes first, whatever their order in the first stage.", given="with depth 3",
            meaning="one list of gallery ids per query, as long as it was"),
        (
            Case((IDS, SECOND, 0), IDS,
                "depth 0 changes the list | Nothing is read, so nothing moves. Is there a slice"
                " [-0:]?"),
            Case((IDS, SECOND, 6), WHOLE,
                "with the whole list as depth it is not sorted | Then the second stage decides"
                " alone."),
        ),
        Case((IDS_40, SECOND_40, 30), RERANKED_40,
            "with 40 items, depth 30, and scores of 0 and -1e18 only, the lists are in another"
            " order | The smaller id must go first however many scores are equal, and the tail"
            " stays last however low a score is: one sort by score and id, of the first `depth`"
            " places alone."),
    ),
    """- Cut the list in two at the depth, sort one part, join them again.
    - Two keys decide: minus the score, and where that is equal the id.
    - lexsort sorts by several keys, the last one first; it gives places, so read the ids there.""",
    "The recall ceiling comes from the tail: no right answer moves up from there.",
)  # fmt: skip

# ---- two_stage.depth: 2 + 4 + D / 2 milliseconds, so 2, 7, 8.5, 11, 16 and 31.

COSTS = (2.0, 4.0, 0.5)
DEPTHS = np.array([0, 2, 5, 10, 20, 50])
QUALITY = np.array([40.0, 60.0, 70.0, 80.0, 80.0, 79.0])
FITS_FIRST = " of a budget of 3 ms | First what fits, then what is best among that."

depth = Exercise(
    "two_stage.depth",
    """Return the depth to rerank: milliseconds of the first stage, fixed milliseconds of the second
    and per pair, a budget, and depths and quality measured there (n,) in. Depth D takes first +
    fixed + pair D, depth 0 only first. Of the depths within the budget, the smallest that is as
    good as any of them; -1 if none fits.""",
    (
        Case((*COSTS, 3.0, DEPTHS, QUALITY), 0, mistakes={
            f"it takes 11 ms{FITS_FIRST}": 10,
            f"it takes 16 ms{FITS_FIRST}": 20,
            "the fixed cost of the second stage is forgotten"
            " | Depth 2 costs 2 + 4 + 2 x 0.5 = 7 ms.": 2,
            "the first stage alone has the fixed cost of the second"
            " | Depth 0 does not start the second stage: it costs 2 ms, not 6.": -1,
        }, otherwise="Only the first stage alone, depth 0, fits into 3 ms.", given="with 3 ms",
            meaning="one depth, or -1"),
        (
            Case((*COSTS, 8.5, DEPTHS, QUALITY), 5, mistakes={
                "a depth that takes the budget exactly is refused"
                " | 8.5 ms of 8.5 ms is within budget.": 2,
            }, otherwise="Depth 5 takes 2 + 4 + 2.5 = 8.5 ms, depth 10 takes 11.",
                given="with 8.5 ms"),
            Case((*COSTS, 10.0, DEPTHS, QUALITY), 5,
                "with 10 ms it returns a depth that takes 11 | Every depth also pays the first"
                " stage's 2 ms."),
        ),
        (
            Case((*COSTS, 40.0, DEPTHS, QUALITY), 10, mistakes={
                "the deepest is taken, and it is worse | More depth is not more quality: the second"
                " stage makes mistakes too. Look at the quality of what fits.": 50,
                "depth 20 is no better than 10 and takes longer"
                " | Among equally good depths, the smallest.": 20,
                "that is the place in the list | Return the depth itself, not where it stands.": 3,
                "that is the quality | Return the depth at which it is reached.": 80,
            }, otherwise="80 is the best quality, and depth 10 reaches it first.",
                given="with 40 ms"),
            Case((*COSTS, 2.0, DEPTHS, QUALITY), 0,
                "with 2 ms it does not return 0 | The first stage alone takes 2 ms, which is within"
                " budget."),
            Case((*COSTS, 3.0, DEPTHS, 0 * QUALITY), 0,
                "where all qualities are 0 it does not return 0 | 0 is a quality: depth 0 fits and"
                " is as good."),
            Case((*COSTS, 1.0, DEPTHS, QUALITY), -1,
                "with 1 ms it returns a depth, and nothing fits | The first stage alone takes 2 ms:"
                " return -1.", if_raises="With 1 ms no depth fits, not even 0: return -1 before"
                " you look for the best of none."),
        ),
    ),
    """- Write down what each depth costs, then keep those within the budget.
    - Depth 0 is a case of its own: the second stage is never started.
    - Of several equal maxima argmax gives the first, which is the smallest depth.""",
    "The budget says what you may spend, the curve what you get for it.",
)  # fmt: skip

# ---- two_stage.fuse: with k = 0 item 6 has 1/2 + 1/3; with k = 1 it has 1/3 + 1/4, items 8 and 4
# have 1/2. Item 2 of SWAPPED stands second twice, item 1 first and last: at k = 1 item 2 wins,
# counted from 0 item 1 does.

RUNS = [[8, 6, 1], [4, 2, 6]]
SWAPPED = [[1, 2, 3, 4, 5, 6], [6, 2, 3, 4, 5, 1]]
FROM_ZERO = "ranks count from 0 | The first item of a list has rank 1, so its part is 1 / (k + 1)."
UNION = {
    "it does not return all items | An item that only one list holds still has that list's part."
    " Return the union, not the overlap.": lambda ids: len(ids) < 5,
}  # fmt: skip


def _ids(result):
    if isinstance(result, dict):
        raise Wrong("it returns the scores | Sort them: return the ids alone, best first.")
    return result


fuse = Exercise(
    "two_stage.fuse",
    """Return the ids of all lists, best first, by reciprocal rank fusion: a list of lists of ids,
    each best first, and k in. An item's score is the sum of 1 / (k + rank) over the lists that hold
    it, ranks from 1; equal scores by the smaller id.""",
    (
        Case((RUNS, 0), [4, 8, 6, 2, 1], mistakes={
            "with k = 0 an item twice in the middle wins | k is given: use it, and not a constant.":
                [6, 4, 8, 2, 1],
            "the two parts of item 6 are not added | The score is a sum over lists, neither the"
            " best part nor their mean.": [4, 8, 2, 6, 1],
            "items 8 and 4 have equal scores, and 8 stands first"
            " | Equal scores: the smaller id first.": lambda ids: ids[:2] == [8, 4],
            **UNION,
        }, otherwise="By hand: 8 and 4 have 1/1, 6 has 1/2 + 1/3, 2 has 1/2 and 1 has 1/3. Ranks"
            " count from 1.", given="with k = 0",
            if_raises="Perhaps ranks count from 0. The first item of a list has rank 1, so its part"
            " is 1 / (k + 1).", read=_ids),
        (
            Case((SWAPPED, 1), [2, 1, 6, 3, 4, 5], mistakes={FROM_ZERO: lambda ids: ids[0] != 2},
                otherwise="By hand: 2 has 1/3 + 1/3, 1 and 6 have 1/2 + 1/7.", given="with k = 1"),
            Case((RUNS, 1), [6, 4, 8, 2, 1], mistakes={
                "an item that a list does not hold gets something from it | Missing is 0, not one"
                " rank below the last: lists are cut at some depth.": [4, 8, 6, 2, 1],
                **UNION,
            }, otherwise="By hand: 6 has 1/3 + 1/4, 4 and 8 have 1/2, 2 has 1/3.",
                given="with k = 1"),
        ),
        (
            Case(([[5], [7, 3, 5, 9], [9], []], 60), [5, 9, 7, 3],
                "By hand: 5 has 1/61 + 1/63, 9 has 1/64 + 1/61, 7 has 1/61, 3 has 1/62.",
                given="for lists of lengths 1, 4 and 1, and an empty one,"),
            Case(([[3, 2, 1]], 1000), [3, 2, 1],
                "with k = 1000 nearly equal scores count as equal | 1/1001 is more than 1/1002: no"
                " rounding."),
        ),
    ),
    """- A dict from id to score, filled list by list.
    - Ranks count from 1, and an item that is new starts from 0.
    - Sort by the pair of minus the score and the id.""",
    "No score was read: nothing had to be on one scale, and nothing was learnt from scores.",
)  # fmt: skip

# ---- two_stage.order: the second stage read three items of the first query and two of the other.
# Then 40 items, of which nothing, every other one and everything was read.

COSINES = np.array([[0.9, 0.8, 0.7, 0.1, 0.2], [0.3, 0.6, 0.5, 0.4, 0.7]])
UNREAD = -np.inf
LOGITS = np.array([[-4.0, -1.0, -2.0, UNREAD, UNREAD], [UNREAD, -2e30, UNREAD, UNREAD, -9e30]])
FIRST_40 = np.array([RNG.permutation(40), RNG.permutation(40), RNG.permutation(40)]) / 40
READ_40 = np.array([[False, False], [False, True], [True, True]])[:, np.arange(40) % 2]
KEYS_40 = np.where(READ_40, 40 * FIRST_40[:, ::-1], -FIRST_40)  # small comes first
ORDERED_40 = np.array(
    [sorted(range(40), key=lambda i: (not READ_40[row, i], KEYS_40[row, i])) for row in range(3)]
)

order = Exercise(
    "two_stage.order",
    """Repair the function: cosines of the first stage (n_queries, m) and logits of the second, -inf
    where it did not read an item, in; for each query all ids, best first, out: what was read by
    logit, below it everything else by cosine.""",
    (
        Case((COSINES[:1], LOGITS[:1]), np.array([[1, 2, 0, 4, 3]]), mistakes={
            "logits and cosines are sorted together | A logit of -1 is below every positive cosine,"
            " so items that were not read overtake those that were.": [[4, 3, 1, 2, 0]],
            "what was not read counts 0, which is more than a negative logit | 0 is a score like"
            " any other. Not read means: below everything that was read.": [[3, 4, 1, 2, 0]],
            "below the items that were read, the first stage's order is lost | Item 4 has a higher"
            " cosine than item 3. With a common floor all items that were not read tie.":
                [[1, 2, 0, 3, 4]],
            "the list is in the order of the cosines | The second stage decides about what it read:"
            " -1 is better than -4.": [[0, 1, 2, 4, 3]],
        }, otherwise="Read items by logit: 1, 2, 0; then the others by cosine: 4, 3.",
            given="for the first list", meaning="one list of gallery ids per query"),
        (
            Case((COSINES[1:], LOGITS[1:]), np.array([[1, 4, 2, 3, 0]]),
                "A floor, -100 or -1e9, works until a logit falls below it. Sort by two keys: first"
                " whether an item was read, then the score of the stage that read it.",
                given="with logits of -2e30 and -9e30"),
            Case((FIRST_40, np.where(READ_40, -40 * FIRST_40[:, ::-1], UNREAD)), ORDERED_40,
                "of 40 items 0, 20 or 40 were read, and they are in another order | Whether an item"
                " was read is equal for many of them: such a key needs a second one beside it, or a"
                " stable sort. And a query may have nothing that was read, or everything."),
        ),
    ),
    """- Two scales never meet in one sort key.
    - An item has two keys: whether it was read, and the score of the stage that read it last.
    - Sort by both: lexsort takes the deciding key last, and small comes first.""",
    "Run.stage is that first key: a run says of each place which stage gave its score.",
)  # fmt: skip
