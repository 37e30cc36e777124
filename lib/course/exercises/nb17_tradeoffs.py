"""Exercises of notebook 17: the frontier, recall by distance, a fair benchmark, codes that fit."""

import numpy as np

from lib.course.cases import Case, Exercise, as_array, as_ids, call, expect, is_same

# ---- tradeoffs.frontier: 1 ties in recall with 3, and 6 in speed with 2; 0 beats 4.

RECALL = np.array([0.70, 0.95, 0.90, 0.95, 0.60, 0.99, 0.80])
SPEED = np.array([900.0, 300.0, 500.0, 400.0, 700.0, 50.0, 500.0])


def _frontier_of_60(function) -> None:
    rng = np.random.default_rng(0)
    recall, speed = rng.integers(0, 20, 60) / 20, rng.integers(1, 400, 60) * 1.0
    positions = set(as_ids(call(function, recall, speed)))
    for i in range(60):
        at_least = (recall >= recall[i]) & (speed >= speed[i])
        beaten = (at_least & ((recall > recall[i]) | (speed > speed[i]))).any()
        what = "beaten, and on it" if beaten else "not beaten, and missing"
        expect(
            beaten != (i in positions),
            f"of 60 settings, number {i} is {what} | Compare every setting with all others.",
        )


frontier = Exercise(
    "tradeoffs.frontier",
    """Return the positions of the settings that no other beats, fastest first: recall (m,) and
    queries a second (m,) in. Beaten: another has at least as much of both, and more of one.""",
    (
        Case((RECALL, SPEED), [0, 2, 3, 5], mistakes={
            "the most accurate comes first | Fastest first: along the frontier recall rises.":
                [5, 3, 2, 0],
            "it is the frontier of the worst | More recall and more queries a second are better.":
                lambda at: sorted(at) == [1, 4, 5, 6],
            "settings 1 and 6 are on it | 3 is as accurate as 1 and faster; 2 is as fast as 6 and"
            " more accurate. A setting is beaten if it is worse in one respect and no better in the"
            " other.": lambda at: 1 in at and 6 in at,
            "setting 1 is on it | 3 has the same recall and is faster. Along the frontier recall"
            " must rise.": lambda at: 1 in at,
            "setting 6 is on it | 2 is as fast and has more recall: of equal speed, take the best"
            " recall.": lambda at: 6 in at,
            "the order is wrong | Fastest first.": lambda at: sorted(at) == [0, 2, 3, 5],
        }, otherwise="Compare every setting with all others.", given="for seven settings"),
        (
            Case((RECALL[:1], SPEED[:1]), [0],
                "a single setting is not on its own frontier | Nothing beats it: the answer is"
                " [0]."),
            Case((np.array([0.5, 0.9]), np.array([10.0, 10.0])), [1],
                "of two equally fast settings, the less accurate listed first, both or the wrong"
                " one are on it | Among equal speeds only the best recall is not beaten, wherever"
                " it stands."),
            Case((np.array([0.0, 0.5]), np.array([9.0, 1.0])), [0, 1],
                "the fastest setting, with a recall of 0, is missing | Nothing is faster: it is not"
                " beaten."),
            Case((np.array([0.9, 0.5]), np.array([1.0, 9.0])), [1, 0],
                "of two settings, the slower one listed first, it is returned first | Neither beats"
                " the other. Sort the frontier by speed, fastest first."),
            _frontier_of_60,
        ),
    ),
    """- Go through the settings from the fastest to the slowest.
    - A slower one is worth something only if it has more recall than all the faster ones.
    - Of equally fast ones, look at the one with the most recall first.""",
    "All other settings are a waste, whatever recall you need.",
)  # fmt: skip

# ---- tradeoffs.by_distance: an item counts if it is as near as the k-th, give or take the slack.
# In NEAR the third nearest is 5, and 2 is within the slack; in TIED 2 and 4 share the third place;
# in FAR 5.003 is 0.06% further than 5.0, and 0.003; in EDGE one item is exactly at the slack of
# 0.5, one behind it.

NEAR = np.array([[0.10, 0.50, 0.3004, 0.35, 0.20, 0.30]])
TIED = np.array([[0.90, 0.40, 0.60, 0.20, 0.60, 0.80]])
BOTH = np.concatenate([NEAR, TIED])
FAR = np.array([[5.0, 4.0, 5.003, 3.0, 9.0, 9.0]])
EDGE = np.array([[1.0, 2.0, 2.5, 2.5001]])
SLACK = 0.001
AT_MOST = (
    "of items 0.5 and 0.5001 behind the second nearest, with a slack of 0.5, the wrong ones count"
    " | At most the k-th smallest distance plus the slack: exactly there still counts."
)

by_distance = Exercise(
    "tradeoffs.by_distance",
    """Return recall as ann-benchmarks counts it: returned ids (n_queries, k), -1 where nothing was
    found, distances of every base vector (n_queries, n) and a slack in; the share of k that is at
    most the k-th smallest distance plus the slack, each item once, averaged over queries.""",
    (
        (
            Case((np.array([[0, 2, 1]]), NEAR, SLACK), 2 / 3, mistakes={
                "it counts and does not divide | Recall is a share of k.": 2,
                "everything that was returned counts"
                " | Item 1, at 0.50, is far behind the third nearest.": 1,
                "only item 0 counts | Item 2, at 0.3004, is no neighbour by id, but within the"
                " slack of the *third* nearest, 0.30.": 1 / 3,
            }, otherwise="0.10 and 0.3004 are at most 0.301, 0.50 is not: 2 of 3.",
                given="for items at 0.10, 0.3004 and 0.50",
                meaning="the share of k, averaged over queries"),
            Case((np.array([[3, 4, 0]]), TIED, 0.0), 2 / 3,
                "with a slack of 0 a tie is not forgiven | Items 2 and 4 are equally near; either"
                " is as good as the third nearest."),
        ),
        (
            Case((np.array([[0, 1, -1]]), NEAR, SLACK), 1 / 3, mistakes={
                "-1 was counted"
                " | It means that nothing was found; as a position it means the last item.": 2 / 3,
                "it divides by the number of returned items | k is three: divide by k.": 1 / 2,
            }, otherwise="beside a -1 the others count otherwise | One item of three counts, item"
                " 0."),
            Case((np.array([[3, 3, 1]]), TIED, SLACK), 2 / 3, mistakes={
                "item 3 was counted twice | An item that is returned twice is one hit.": 1,
            }, otherwise="with item 3 returned twice it is wrong | 3 counts once and 1 counts: 2 of"
                " 3."),
        ),
        (
            Case((np.array([[3, 1, 2]]), FAR, SLACK), 2 / 3, mistakes={
                "the slack grows with the distance"
                " | It is added, whatever the scale: 5.003 is too far.": 1,
            }, otherwise="5.003 is too far from the third nearest, 5.0.",
                given="for distances of 3, 4 and 5.003"),
            Case((np.array([[0, 2, 1], [3, 1, 4]]), BOTH, SLACK), 5 / 6,
                "Each query has its own third nearest: 2 of 3, 3 of 3.", given="for two queries"),
            Case((np.array([[0, 2, 1], [-1, -1, -1]]), BOTH, SLACK), 1 / 3, "2 of 3, and 0 of 3.",
                given="where one of two queries found nothing"),
            Case((np.array([[0, 2]]), EDGE, 0.5), 1.0, AT_MOST),
            Case((np.array([[0, 3]]), EDGE, 0.5), 0.5, AT_MOST),
        ),
    ),
    """- The threshold is one number per query: its k-th smallest distance, plus the slack.
    - Look up the distance of each returned id; treat -1 before you use it as a position.
    - A set per query removes repeats. Divide by k, whatever is left.""",
    "It forgives ties, as it should, and near misses, as far as the slack reaches in your units.",
)  # fmt: skip

# ---- tradeoffs.honest: five queries out of the base, a clock, and an index that returns half of
# the other neighbours. Alone, the queries take the seconds of ALONE, of which the call itself takes
# 0.02; the very first call takes 1 second more.

NUMBERS = np.arange(5.0)[:, None]  # a query is its own number
OWN = np.arange(5)
TRUE = np.array([[0, 5, 6], [1, 7, 5], [2, 8, 9], [3, 6, 5], [4, 9, 7]])
# List 2 does not hold item 2.
RUN = np.array([[0, 5, 6, 9], [1, 7, 9, 8], [8, 6, 5, 0], [3, 8, 6, 9], [4, 0, 8, 5]])
ALONE = np.array([0.021, 0.023, 0.025, 0.027, 0.521])
CALL, FIRST = 0.020, 1.0
LATE = np.sort(ALONE + np.array([FIRST, 0, 0, 0, 0]))
BATCH = (CALL + (ALONE - CALL).sum()) / 5
SHARED = (
    " | Five queries in one call share its overhead and wait for each other: search with one query"
    " at a time."
)
REMOVE = " | Remove the query's own id, by its value, from what was returned and from what is true."


def _measure(function, n_queries: int = 5) -> np.ndarray:
    """Return the seconds and the recall of the answer on the first queries."""
    now = [0.0]

    def search(queries, depth):
        which = np.asarray(queries).ravel().astype(int)
        now[0] += CALL + (ALONE[which] - CALL).sum() + (FIRST if now[0] == 0.0 else 0.0)
        return RUN[which, :depth]

    base = NUMBERS[:n_queries], OWN[:n_queries], TRUE[:n_queries]
    return as_array(
        call(function, search, *base, 2, lambda: now[0]),
        (2,),
        meaning="two numbers, seconds and recall",
    )


def _own_id_in_one_list(function) -> None:
    # The own id, 7, is missing from one of the two lists, which then must be cut at k.
    for run, true in (([1, 2, 3], [3, 4, 7]), ([1, 7, 3], [4, 5, 3])):
        given = np.zeros((1, 1)), np.array([7]), np.array([true]), 2, lambda: 0.0
        _, recall = call(function, lambda _, depth, ids=run: np.array([ids[:depth]]), *given)
        right = len({*run[: 2 + (7 in run)]} & {*true[: 2 + (7 in true)]} - {7}) / 2
        expect(
            is_same(recall, right),
            f"where own id 7 is in one list only, {run} against {true}, recall is {recall:.2f}"
            " | Keep k ids on both sides, whether the own one was among them or not.",
        )


honest = Exercise(
    "tradeoffs.honest",
    """Repair the benchmark: a search (queries and depth in, ids out), queries (n, d) that are base
    vectors, their own ids (n,), true ids (n, k + 1), k and a clock in; the median seconds of a
    single query after a warm-up, and recall@k without the query itself, out.""",
    (
        (
            Case(lambda function: _measure(function)[0], 0.025, mistakes={
                f"the seconds are those of a batch, divided{SHARED}": BATCH,
                f"the seconds are those of a first batch, divided{SHARED}": BATCH + FIRST / 5,
                "the first call is among the timed ones | Search once before the clock starts.":
                    LATE[2],
                "it is the mean | One slow query makes it five times as long: take the median.":
                    ALONE.mean(),
                "it is the fastest query | Users wait for the typical query, not for the fastest.":
                    ALONE.min(),
                "it is a mean, and the first call is in it | Warm up, then take the median.":
                    LATE.mean(),
            }, otherwise="Alone, the five take 21, 23, 25, 27 and 521 ms: the median is 25 ms.",
                given="for the seconds of five queries"),
            Case(lambda function: _measure(function, 4)[0], 0.024,
                "Of an even number the median lies between the two in the middle: 23 and 25 ms.",
                given="for the seconds of the first four queries"),
        ),
        (
            Case(lambda function: _measure(function)[1], 0.5, mistakes={
                f"every query counts itself as a hit{REMOVE}": 0.7,
                "k are requested, and one of them is the query | Ask for one more, to keep k.": 0.3,
                f"one of the two lists is not as it should be{REMOVE} It need not stand first.":
                    0.4,
                "it divides by k + 1 | k neighbours are left.": 5 / 15,
                "it counts queries, not neighbours | Each query has two neighbours: 5 of 10.": 1.0,
            }, otherwise="By hand: 2, 1, 1, 1 and 0 of 2.", given="for the recall of five queries"),
            _own_id_in_one_list,
        ),
    ),
    """- Three things are wrong with the seconds and the recall together; change one at a time.
    - A search before the clock starts, then one clock reading before and after each single query.
    - Ask for k + 1. Drop the own id wherever it stands, on both sides, and keep k.""",
    "Throughput of a batch and latency of a query are two quantities; a query that lies in the base"
    " is an easy one even if its own hit is not counted.",
)  # fmt: skip

# ---- tradeoffs.codes: what is left of the memory after ids, centroids, lists and codebooks: 30
# bytes a vector of n = 10^6, d = 96, 1,024 cells, or of n = 20,000, d = 64, 1,024 cells.

MILLION = 8_000_000 + 4 * 1024 * 96 + 8 * 1024 + 1024 * 96
FEW = 160_000 + 4 * 1024 * 64 + 8 * 1024 + 1024 * 64

codes = Exercise(
    "tradeoffs.codes",
    """Return the most bytes a code may have so that an IVF-PQ index fits: n, d, nlist and the
    memory in bytes in. The bytes must divide d, and n (code + 8) + 4 nlist d + 8 nlist + 4 x 256 x
    d may be at most the memory. -1 if no code fits.""",
    (
        Case((1_000_000, 96, 1024, MILLION + 30_000_000), 24, mistakes={
            "30 bytes do not divide 96 dimensions"
            " | A sub-quantiser has whole dimensions: try divisors of d.": 30,
            "the ids were forgotten | Every vector has 8 bytes of id beside its code.": 32,
            "there is room for more | Divisors of 96 are not only the powers of two.": 16,
            "the smallest code is returned | Return the largest that fits.": 1,
        }, otherwise="30 bytes each are left: 24 divides 96.", given="for a million vectors",
            meaning="one number of bytes, or -1"),
        (
            Case((20_000, 64, 1024, FEW + 20_000 * 30), 16, mistakes={
                "for 20,000 vectors it takes more than there is | Centroids take 4 nlist d bytes,"
                " codebooks 4 x 256 x d; with few vectors they count.": 32,
            }, otherwise="30 bytes a vector are left: 16 divides 64.", given="for 20,000 vectors"),
            *(
                Case((20_000, 64, 1024, FEW + 20_000 * size), size,
                    f"what fits to the byte is refused, with {size} bytes a code | At most the"
                    " memory: equal is enough.")
                for size in (32, 1, 64)
            ),
            Case((20_000, 64, 1024, FEW + 20_000 * 32 - 1), 16,
                "one byte too little passes as enough | Every vector needs the whole code: round"
                " down."),
            Case((1_000_000, 96, 1024, 8_000_000), -1,
                "where not even one byte a vector fits, it is not -1 | Return -1 there."),
        ),
    ),
    """- Subtract what does not depend on the code, then divide by n.
    - Only divisors of d are possible.
    - Of those that fit, the largest; if there is none, -1.""",
    "Bytes can be planned on paper. The recall of such codes has to be measured, with queries like"
    " those to come.",
)  # fmt: skip
