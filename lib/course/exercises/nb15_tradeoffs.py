"""Exercises of notebook 15: the frontier, recall by distance, an honest benchmark, codes that
fit.
"""

import numpy as np

from lib.course.engine import Exercise, Wrong, as_number, call, is_same, object_to_mistakes

# ---- tradeoffs.frontier: 1 ties in recall with 3, and 6 in speed with 2; 0 beats 4.

RECALL = np.array([0.70, 0.95, 0.90, 0.95, 0.60, 0.99, 0.80])
SPEED = np.array([900.0, 300.0, 500.0, 400.0, 700.0, 50.0, 500.0])
FRONTIER = [0, 2, 3, 5]


def _positions(function, recall, speed) -> list[int]:
    array = np.asarray(call(function, recall, speed))
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise Wrong(
            f"the result is {array.ndim}-dimensional, of {array.dtype}, and not a list of"
            " positions",
            "Return one flat list of whole numbers: where the settings stand in the input.",
        )
    return [int(position) for position in array]


def _frontier_by_hand(function) -> None:
    found = _positions(function, RECALL, SPEED)
    if found == FRONTIER[::-1]:
        raise Wrong(
            "the most accurate comes first", "Fastest first: along the frontier recall rises."
        )
    if sorted(found) == [1, 4, 5, 6]:
        raise Wrong(
            "it is the frontier of the worst", "More recall and more queries a second are better."
        )
    if 1 in found and 6 in found:
        raise Wrong(
            "settings 1 and 6 are on it",
            "3 is as accurate as 1 and faster; 2 is as fast as 6 and more accurate. To be beaten,"
            " it is enough to be worse in one respect and no better in the other.",
        )
    if 1 in found:
        raise Wrong(
            "setting 1 is on it",
            "3 finds as much and is faster. Along the frontier recall must rise.",
        )
    if 6 in found:
        raise Wrong(
            "setting 6 is on it",
            "2 is as fast and finds more: of equal speed, take the best recall.",
        )
    if sorted(found) != FRONTIER:
        raise Wrong(f"it returns {found}", f"By hand it is {FRONTIER}.")
    if found != FRONTIER:
        raise Wrong(f"the order is {found}", "Fastest first.")


def _frontier_property(function) -> None:
    if _positions(function, RECALL[:1], SPEED[:1]) != [0]:
        raise Wrong(
            "a single setting is not on its own frontier", "Nothing beats it: the answer is [0]."
        )
    if _positions(function, np.array([0.5, 0.9]), np.array([10.0, 10.0])) != [1]:
        raise Wrong(
            "of two equally fast settings, the less accurate listed first, both or the wrong one"
            " are on it",
            "Among equal speeds only the best recall is not beaten, wherever it stands.",
        )
    if _positions(function, np.array([0.0, 0.5]), np.array([9.0, 1.0])) != [0, 1]:
        raise Wrong(
            "the fastest setting, with a recall of 0, is missing",
            "Nothing is faster: it is not beaten.",
        )
    rng = np.random.default_rng(0)
    recall, speed = rng.integers(0, 20, 60) / 20, rng.integers(1, 400, 60) * 1.0
    found = set(_positions(function, recall, speed))
    for one in range(60):
        at_least = (recall >= recall[one]) & (speed >= speed[one])
        beaten = at_least & ((recall > recall[one]) | (speed > speed[one]))
        if beaten.any() == (one in found):
            what = "beaten, and on it" if beaten.any() else "not beaten, and missing"
            raise Wrong(
                f"of 60 settings, number {one} is {what}", "Compare every setting with all others."
            )


# ---- tradeoffs.by_distance: items are found if they are as near as the k-th, give or take the
# slack.

NEAR = np.array(
    [[0.10, 0.50, 0.3004, 0.35, 0.20, 0.30]]
)  # the third nearest is 5, and 2 is within the slack
TIED = np.array([[0.90, 0.40, 0.60, 0.20, 0.60, 0.80]])  # 2 and 4 share the third place
FAR = np.array([[5.0, 4.0, 5.003, 3.0, 9.0, 9.0]])  # 5.003 is 0.06% further than 5.0, and 0.003
SLACK = 0.001


def _found(function, run, distances, slack=SLACK) -> float:
    value = call(function, np.array(run), distances, slack)
    return as_number(value, meaning="the share of k found, averaged over queries")


def _distance_slack(function) -> None:
    found = _found(function, [[0, 2, 1]], NEAR)
    object_to_mistakes(
        found,
        [
            (2, ("it counts and does not divide", "Recall is a share of k.")),
            (
                1,
                (
                    "everything that was returned counts",
                    "Item 1, at 0.50, is far behind the third nearest.",
                ),
            ),
        ],
    )
    if is_same(found, 1 / 3):
        raise Wrong(
            "only item 0 was found",
            "Item 2, at 0.3004, is no neighbour by id, but within the slack of the *third* nearest,"
            " 0.30.",
        )
    if not is_same(found, 2 / 3):
        raise Wrong(
            f"it returns {found:.3f}", "0.10 and 0.3004 are at most 0.301, 0.50 is not: 2 of 3."
        )
    if not is_same(_found(function, [[3, 4, 0]], TIED, 0.0), 2 / 3):
        raise Wrong(
            "with a slack of 0 a tie is not forgiven",
            "Items 2 and 4 are equally near; either is as good as the third nearest.",
        )


def _distance_missing(function) -> None:
    object_to_mistakes(
        _found(function, [[0, 1, -1]], NEAR),
        [
            (
                2 / 3,
                (
                    "-1 was counted",
                    "Nothing was found there; as a position it means the last item.",
                ),
            ),
            (1 / 2, ("it divides by what was returned", "Three were asked for: divide by k.")),
        ],
    )
    if not is_same(_found(function, [[0, 1, -1]], NEAR), 1 / 3):
        raise Wrong(
            "beside a -1 the others count otherwise", "One item of three was found, item 0."
        )
    if is_same(_found(function, [[3, 3, 1]], TIED), 1):
        raise Wrong("item 3 was counted twice", "Whoever returns one item twice has found it once.")
    if not is_same(_found(function, [[3, 3, 1]], TIED), 2 / 3):
        raise Wrong("with item 3 returned twice it is wrong", "3 counts once and 1 counts: 2 of 3.")


def _distance_absolute(function) -> None:
    if is_same(_found(function, [[3, 1, 2]], FAR), 1):
        raise Wrong(
            "the slack grows with the distance",
            "It is added, whatever the scale: 5.003 is too far.",
        )
    both = _found(function, [[0, 2, 1], [3, 1, 4]], np.concatenate([NEAR, TIED]))
    if not is_same(both, 5 / 6):
        raise Wrong(
            f"for two queries it returns {both:.3f}",
            "Each query has its own third nearest: 2 of 3, 3 of 3.",
        )
    both = _found(function, [[0, 2, 1], [-1, -1, -1]], np.concatenate([NEAR, TIED]))
    if not is_same(both, 1 / 3):
        raise Wrong(
            f"where one of two queries found nothing it returns {both:.3f}", "2 of 3, and 0 of 3."
        )
    edge = np.array(
        [[1.0, 2.0, 2.5, 2.5001]]
    )  # two nearest, one exactly at the slack of 0.5, one behind it
    if [_found(function, [[0, item]], edge, 0.5) for item in (2, 3)] != [1.0, 0.5]:
        raise Wrong(
            "of items 0.5 and 0.5001 behind the second nearest, with a slack of 0.5, the wrong ones"
            " count",
            "At most the k-th smallest distance plus the slack: exactly there still counts.",
        )


# ---- tradeoffs.honest: five queries out of the base, a clock, and an index that finds half of the
# rest.

ASKED = np.arange(5.0)[:, None]  # what the index is asked with; the number of the query
OWN = np.arange(5)
TRUE = np.array([[0, 5, 6], [1, 7, 5], [2, 8, 9], [3, 6, 5], [4, 9, 7]])
RUN = np.array(
    [[0, 5, 6, 9], [1, 7, 9, 8], [8, 6, 5, 0], [3, 8, 6, 9], [4, 0, 8, 5]]
)  # no 2 in list 2
ALONE = np.array(
    [0.021, 0.023, 0.025, 0.027, 0.521]
)  # seconds of each query, the call itself 0.020 of them
CALL, FIRST = 0.020, 1.0


def _index():
    """A search and a clock that it moves on: 0.02 s a call, and a second more for the very
    first.
    """
    now = [0.0]

    def search(queries, depth):
        which = np.asarray(queries).ravel().astype(int)
        now[0] += CALL + (ALONE[which] - CALL).sum() + (FIRST if now[0] == 0.0 else 0.0)
        return RUN[which, :depth]

    return search, lambda: now[0]


def _measured(function) -> tuple[float, float]:
    search, clock = _index()
    result = call(function, search, ASKED, OWN, TRUE, 2, clock)
    if np.shape(result) != (2,):
        raise Wrong(
            f"the result has shape {np.shape(result)}", "Return two numbers: seconds and recall."
        )
    return tuple(as_number(part, meaning="seconds, then recall") for part in result)


def _honest_seconds(function) -> None:
    seconds, _ = _measured(function)
    batch = (CALL + (ALONE - CALL).sum()) / 5
    late = np.sort(ALONE + np.array([FIRST, 0, 0, 0, 0]))
    shared = (
        "Five queries in one call share its overhead and wait for each other: ask them one at a"
        " time."
    )
    object_to_mistakes(
        seconds,
        [
            (batch, ("the seconds are those of a batch, divided", shared)),
            (batch + FIRST / 5, ("the seconds are those of a first batch, divided", shared)),
            (
                late[2],
                ("the first call is among the timed ones", "Search once before the clock starts."),
            ),
            (
                ALONE.mean(),
                ("it is the mean", "One slow query makes it five times as long: take the median."),
            ),
            (
                ALONE.min(),
                ("it is the fastest query", "The best of all is not what users wait for."),
            ),
            (
                late.mean(),
                ("it is a mean, and the first call is in it", "Warm up, then take the median."),
            ),
        ],
    )
    if not is_same(seconds, 0.025):
        raise Wrong(
            f"it takes {seconds:.4f} s",
            "Alone, the five take 21, 23, 25, 27 and 521 ms: the median is 25.",
        )
    search, clock = _index()
    seconds, _ = call(function, search, ASKED[:4], OWN[:4], TRUE[:4], 2, clock)
    if not is_same(seconds, 0.024):
        raise Wrong(
            f"of the first four queries it takes {seconds:.4f} s",
            "Of an even number the median lies between the two in the middle: 23 and 25 ms.",
        )


def _honest_recall(function) -> None:
    _, recall = _measured(function)
    both = "Remove the query's own id, by its value, from what was found and from what is true."
    object_to_mistakes(
        recall,
        [
            (0.7, ("every query finds itself", both)),
            (
                0.3,
                (
                    "k are asked for, and one of them is the query",
                    "Ask for one more, so that k are left.",
                ),
            ),
            (
                0.4,
                ("one of the two lists is not as it should be", both + " It need not stand first."),
            ),
            (5 / 15, ("it divides by k + 1", "k neighbours are left.")),
            (1.0, ("it counts queries, not neighbours", "Each query has two neighbours: 5 of 10.")),
        ],
    )
    if not is_same(recall, 0.5):
        raise Wrong(f"recall is {recall:.2f}", "By hand: 2, 1, 1, 1 and 0 of 2.")
    # The own id, 7, is missing from one of the two lists, which then must be cut at k.
    for found, true in (([1, 2, 3], [3, 4, 7]), ([1, 7, 3], [4, 5, 3])):
        given = np.zeros((1, 1)), np.array([7]), np.array([true]), 2, lambda: 0.0
        _, recall = call(function, lambda _, depth, ids=found: np.array([ids[:depth]]), *given)
        wanted = len({*found[: 2 + (7 in found)]} & {*true[: 2 + (7 in true)]} - {7}) / 2
        if not is_same(recall, wanted):
            raise Wrong(
                f"where own id 7 is found in one list only, {found} against {true}, recall is"
                f" {recall:.2f}",
                "Keep k ids on both sides, whether the own one was among them or not.",
            )


# ---- tradeoffs.codes: what is left of the memory after ids, centroids, lists and codebooks.

MILLION = 8_000_000 + 4 * 1024 * 96 + 8 * 1024 + 1024 * 96  # of n = 10^6, d = 96, 1,024 cells
FEW = 160_000 + 4 * 1024 * 64 + 8 * 1024 + 1024 * 64  # of n = 20,000, d = 64, 1,024 cells


def _codes(function, *arguments) -> float:
    return as_number(call(function, *arguments), meaning="one number of bytes, or -1")


def _codes_large(function) -> None:
    found = _codes(function, 1_000_000, 96, 1024, MILLION + 30_000_000)
    messages = {
        30: (
            "30 bytes do not divide 96 dimensions",
            "A sub-quantiser has whole dimensions: try divisors of d.",
        ),
        32: ("the ids were forgotten", "Every vector has 8 bytes of id beside its code."),
        16: ("there is room for more", "Divisors of 96 are not only the powers of two."),
        1: ("the smallest code is returned", "The largest that fits is asked for."),
    }
    if found in messages:
        raise Wrong(*messages[found])
    if found != 24:
        raise Wrong(
            f"for a million vectors it returns {found:g}", "30 bytes each are left: 24 divides 96."
        )


def _codes_fixed(function) -> None:
    found = _codes(function, 20_000, 64, 1024, FEW + 20_000 * 30)
    if found == 32:
        raise Wrong(
            "for 20,000 vectors it takes more than there is",
            "Centroids take 4 nlist d bytes, codebooks 4 x 256 x d; with few vectors they count.",
        )
    if found != 16:
        raise Wrong(
            f"for 20,000 vectors it returns {found:g}", "30 bytes a vector are left: 16 divides 64."
        )
    for size in (32, 1, 64):
        if _codes(function, 20_000, 64, 1024, FEW + 20_000 * size) != size:
            raise Wrong(
                f"what fits to the byte is refused, with {size} bytes a code",
                "At most the memory: equal is enough.",
            )
    if _codes(function, 20_000, 64, 1024, FEW + 20_000 * 32 - 1) != 16:
        raise Wrong(
            "one byte too little passes as enough", "Every vector needs the whole code: round down."
        )
    if _codes(function, 1_000_000, 96, 1024, 8_000_000) != -1:
        raise Wrong("where not even one byte a vector fits, it is not -1", "Say so with -1.")


EXERCISES = (
    Exercise(
        name="tradeoffs.frontier",
        statement=(
            "Return the positions of the settings that no other beats, fastest first: recall (m,)"
            " and queries a second (m,) in. Beaten: another has at least as much of both, and more"
            " of one."
        ),
        stages=(_frontier_by_hand, _frontier_property),
        hints=(
            "Go through the settings from the fastest to the slowest.",
            "A slower one is worth something only if it finds more than all the faster ones.",
            "Of equally fast ones, look at the one that finds most first.",
        ),
        insight="All other settings are a waste, whatever recall you need.",
    ),
    Exercise(
        name="tradeoffs.by_distance",
        statement=(
            "Return recall as ann-benchmarks counts it: returned ids (n_queries, k), -1 where"
            " nothing was found, distances of every base vector (n_queries, n) and a slack in; the"
            " share of k that is at most the k-th smallest distance plus the slack, each item once,"
            " averaged over queries."
        ),
        stages=(_distance_slack, _distance_missing, _distance_absolute),
        hints=(
            "The threshold is one number per query: its k-th smallest distance, plus the slack.",
            "Look up the distance of each returned id; treat -1 before you use it as a position.",
            "A set per query takes care of repeats. Divide by k, whatever is left.",
        ),
        insight=(
            "It forgives ties, as it should, and near misses, as far as the slack reaches in your"
            " units."
        ),
    ),
    Exercise(
        name="tradeoffs.honest",
        statement=(
            "Repair the benchmark: a search (queries and depth in, ids out), queries (n, d) that"
            " are base vectors, their own ids (n,), true ids (n, k + 1), k and a clock in; the"
            " median seconds of a single query after a warm-up, and recall@k without the query"
            " itself, out."
        ),
        stages=(_honest_seconds, _honest_recall),
        hints=(
            (
                "Three things are wrong with the seconds and the recall together; change one at a"
                " time."
            ),
            (
                "A search before the clock starts, then one clock reading before and after each"
                " single query."
            ),
            "Ask for k + 1. Drop the own id wherever it stands, on both sides, and keep k.",
        ),
        insight=(
            "Throughput of a batch and latency of a query are two quantities; a query that lies in"
            " the base is an easy one even if its own hit is not counted."
        ),
    ),
    Exercise(
        name="tradeoffs.codes",
        statement=(
            "Return the most bytes a code may have so that an IVF-PQ index fits: n, d, nlist and"
            " the memory in bytes in. The bytes must divide d, and n (code + 8) + 4 nlist d + 8"
            " nlist + 4 x 256 x d may be at most the memory. -1 if no code fits."
        ),
        stages=(_codes_large, _codes_fixed),
        hints=(
            "Subtract what does not depend on the code, then divide by n.",
            "Only divisors of d are possible.",
            "Of those that fit, the largest; if there is none, -1.",
        ),
        insight=(
            "Bytes can be planned on paper. What recall such codes give has to be measured, with"
            " the queries that will be asked."
        ),
    ),
)
