"""Exercises of notebook 23: Parsons code of a singer, windows in any key, DTW, ranks by family."""

import numpy as np

from lib.course.cases import Case, Exercise, Shape

# ---- hums.parsons: sung pitches, never exactly on a semitone.

SUNG = np.array([62.1, 61.9, 64.2, 60.8, 61.1, 63.5])
CODE = np.array([0.0, 1, -1, 0, 1])

parsons = Exercise(
    "hums.parsons",
    """Return the Parsons code of sung pitches (n,), in semitones: (n - 1,) numbers, 1 where a note
    is higher than the one before, -1 where it is lower, 0 where it repeats. A singer never repeats
    a pitch exactly: a step of less than half a semitone is a repeat.""",
    (
        Case((SUNG,), CODE, mistakes={
            "no note repeats | 61.9 after 62.1 is the same note, sung by a person. Treat steps of"
            " less than half a semitone as 0.": [-1, 1, -1, 1, 1],
            "up and down are exchanged | 1 stands where the note is higher than the one before."
                : [0, -1, 1, 0, -1],
            "these are intervals | Only the direction counts: 1, -1 or 0.":
                lambda found: np.abs(found).max() > 1,
            "there is one entry too many | The first note has none before it.":
                lambda found: len(found) == len(SUNG),
        }, otherwise="Take the step from each note to the next, and keep its sign where it is large"
            " enough.", given="for six sung notes", meaning="-1, 0 or 1 for each note but the first"
        ),
        Case((np.array([60.0, 60.5, 60.0, 59.6]),), np.array([1.0, -1, 0]),
            "half a semitone itself is a step | Only less than half a semitone is a repeat.",
            given="for steps of exactly half a semitone"),
    ),
    """- Which steps lead from each note to the next? There is one less than notes.
    - The sign of a step is its direction: 1, 0 or -1.
    - Put 0 where the size of the step is below one half.""",
    "The threshold is a choice: a larger one forgives more, and makes small steps of the tune"
    " vanish too.",
)  # fmt: skip

# ---- hums.windows: a tune whose second half lies higher, and a query in another key.

TUNE = np.array([60.0, 62.0, 64.0, 72.0, 74.0, 76.0, 74.0])
QUERY = np.array([50.0, 52.0, 54.0])


def _windows(tune: np.ndarray, query: np.ndarray, centre, size=np.abs) -> np.ndarray:
    wanted = query - query.mean()
    starts = range(len(tune) - len(query) + 1)
    parts = [tune[start : start + len(query)] for start in starts]
    return np.array([size(part - centre(part) - wanted).mean() for part in parts])


OWN = _windows(TUNE, QUERY, np.mean)

windows = Exercise(
    "hums.windows",
    """Return how far a query (m,) is from each window of a tune (n,), whatever its key:
    (n - m + 1,) mean absolute differences in semitones, for the starts 0 ... n - m. Query and
    window are each centred by their own mean.""",
    (
        Case((TUNE, QUERY), OWN, mistakes={
            "the window that is the query does not get 0 | One mean is taken of the whole tune. A"
            " part of a tune lies higher or lower than the whole: centre each window by its own.":
                _windows(TUNE, QUERY, lambda part: TUNE.mean()),
            "the key counts | The query lies ten semitones below the tune. Centre the query and"
            " each window.": _windows(TUNE, np.array([0.0, 2, 4]) + 50, lambda part: 52.0),
            "the differences are squared | Take absolute differences.":
                _windows(TUNE, QUERY, np.mean, np.square),
            "the differences are summed | Take their mean, so that long and short queries compare.":
                OWN * 3,
            "there is one number, not one a start | The smallest comes later; return all.":
                OWN.min(),
        }, otherwise="For each start: cut a window as long as the query, centre both, and average"
            " the absolute differences.", given="for a tune of 7 and a query of 3 frames",
            meaning="one distance a start"),
        (
            Case((TUNE + 5, QUERY - 3), OWN,
                "in another key the distances change | Moving all pitches of one side by a constant"
                " must change nothing.", given="in other keys"),
            Case((QUERY, QUERY), np.zeros(1), mistakes={
                "a query as long as the tune has one window | n - m + 1 is 1 then.": Shape((0,)),
            }, otherwise="There is one window, and it is the query.",
                given="for a query as long as the tune"),
        ),
    ),
    """- How many windows of m frames does a tune of n frames have?
    - All windows are rows of one table; numpy has a view for that.
    - Take from each row its own mean, and from the query its mean. Then differences and
    their mean size.""",
    "Centring each window costs a mean for each start. It is what makes the key vanish; one mean"
    " for the tune makes it vanish only for whole tunes.",
)  # fmt: skip

# ---- hums.dtw: three frames of a query, five of a tune.

COSTS = np.array([[3.0, 0.0, 2.0, 4.0, 1.0], [5.0, 2.0, 0.0, 2.0, 1.0], [1.0, 4.0, 2.0, 0.0, 3.0]])


def _table(costs, jump=True, passed=True, free=True, classic=False, wrap=False) -> np.ndarray:
    m, n = costs.shape
    table = np.full((m, n), np.inf)
    table[0] = costs[0] if free else np.where(np.arange(n) == 0, costs[0], np.inf)
    for i in range(1, m):
        for j in range(n):
            ways = [table[i - 1, j - 1]] if j >= 1 else []
            if classic:
                ways += [table[i - 1, j]] + ([table[i, j - 1]] if j >= 1 else [])
            else:
                ways += [table[i - 1, j - 2]] if jump and (j >= 2 or (wrap and j)) else []
                if i >= 2 and j >= 1:
                    ways.append(table[i - 2, j - 1] + (costs[i - 1, j] if passed else 0))
            table[i, j] = min(ways, default=np.inf) + costs[i, j]
    return table


SLOW = np.array([[0.0, 9, 9], [9, 2, 9], [9, 1, 9], [9, 9, 0]])

dtw = Exercise(
    "hums.dtw",
    """Return the table D (m, n) of a match that may begin anywhere in the tune and keeps the tempo
    between a half and the double, from the costs c (m, n) of m query and n tune frames. Row 0 is
    c(0, j). Below, D(i, j) is the smallest of D(i-1, j-1) + c(i, j), D(i-1, j-2) + c(i, j) and
    D(i-2, j-1) + c(i-1, j) + c(i, j); what lies outside the table is infinite.""",
    (
        Case((COSTS,), _table(COSTS), mistakes={
            "the match must begin at the start of the tune | Row 0 is the costs themselves: every"
            " start is free.": _table(COSTS, free=False),
            "these are the steps of the textbook, along a row and down a column | Then one frame of"
            " the tune can hold many frames of the query. Here each step moves in both.":
                _table(COSTS, classic=True),
            "the step (1, 2) is missing | A hum at double tempo passes over tune frames.":
                _table(COSTS, jump=False),
            "the step (2, 1) passes over a frame of the query for nothing | Its own cost,"
            " c(i-1, j), counts too: each query frame must count once.":
                _table(COSTS, passed=False),
            "a way comes from the other end of the table | For j = 1, j - 2 is -1: that way is not"
            " there.": _table(COSTS, wrap=True),
            "it is the last row alone | Return the whole table.": _table(COSTS)[-1],
            "what cannot be reached is finite | No step ends in column 0 below row 0. Does an index"
            " of -1 read the last column?": lambda found: np.isfinite(found[1:, 0]).any(),
        }, otherwise="Fill the table row by row; each cell takes the cheapest of three ways.",
            given="for 3 query and 5 tune frames", meaning="a table of the shape of c",
            finite=False),
        Case((SLOW,), _table(SLOW),
            "a hum at half tempo costs too much | There two query frames lie on one tune frame:"
            " step (2, 1).", given="for a hum at half tempo", finite=False),
    ),
    """- Make a table of infinities, and copy the first row of the costs into it.
    - Two loops are enough: for each cell, list the ways that exist, and take the smallest.
    - A way exists if both of its indices are at least 0.""",
    "Every query frame counts once on every path. So costs of different paths, and of different"
    " tunes, can be compared.",
)  # fmt: skip

# ---- hums.family_rank: family 7 fills the first places.

FOUND = np.array([7, 7, 7, 2, 7, 5, 2, 9])

family_rank = Exercise(
    "hums.family_rank",
    """Return the rank of the wanted family where each family counts once: `families` (k,) is the
    family of the tune at each rank, best first, `own` the one that was hummed. It is 1 more than
    the number of different families in front of it, and 0 if it was not found.""",
    (
        Case((FOUND, 5), 3, mistakes={
            "it is the rank of the tune | Four of the tunes in front are of one family. A list for"
            " people shows it once.": 6,
            "ranks begin at 0 | The best one has rank 1.": 2,
            "families behind it count too | Only what stands in front of it.": 4,
        }, otherwise="Count the different families in front of the first tune of the wanted one.",
            given="for the third family, at place 6", meaning="one whole number"),
        (
            Case((FOUND, 7), 1,
                "the family at the top does not get rank 1 | No family is in front of it.",
                given="for the family at the top"),
            Case((FOUND, 4), 0, mistakes={
                "a family that was not found has a rank | Its rank is not known: return 0.":
                    lambda found: found != 0,
            }, otherwise="Return 0 where the family is not in the list.",
                given="for a family that is not there", if_raises="The family is not in the list."),
            Case((FOUND, 2), 2, "its own tunes further down count | Only the first tune of the"
                " family matters.", given="for a family that stands there twice"),
        ),
    ),
    """- Where does the wanted family stand first?
    - What stands in front of this place? Count each family there once.
    - One more than that count is the rank. Treat a family that is not there first.""",
    "Ten places can hold one tune ten times. Say whether a list, and a hit rate, counts tunes or"
    " families.",
)  # fmt: skip
