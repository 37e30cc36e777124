"""Exercises of notebook 21: merge the hits of shards, ids of shards, late shards, machines."""

import numpy as np

from lib.course.cases import Case, Exercise

# ---- shards.merge: three shards, two queries; the third shard has one hit for the first query.

SCORES = np.array([
    [[0.9, 0.5, 0.1], [0.3, 0.2, 0.1]],
    [[0.8, 0.5, 0.4], [0.9, 0.3, 0.2]],
    [[0.7, -np.inf, -np.inf], [0.6, 0.5, 0.4]],
])  # fmt: skip
IDS = np.array([
    [[7, 30, 4], [1, 7, 4]],
    [[12, 15, 11], [13, 0, 12]],
    [[22, -1, -1], [20, 21, 25]],
])  # fmt: skip
BEST = np.array([[7, 12, 22, 15], [13, 20, 21, 25]])
RNG = np.random.default_rng(3)
MANY_IDS = RNG.permutation(240).reshape(4, 3, 20)
MANY_SCORES = -np.sort(-RNG.integers(-3, 3, (4, 3, 20)).astype(float))
MANY_BEST = np.array([
    [item for _, item in sorted(zip(-MANY_SCORES[:, q].ravel(), MANY_IDS[:, q].ravel()))][:25]
    for q in range(3)
])  # fmt: skip
FEW = np.array([[7, 12, 22, 15, 30, 11, 4, -1], [13, 20, 21, 25, 0, 1, 7, 12]])

merge = Exercise(
    "shards.merge",
    """Return ids of the k best hits of all shards, (n_queries, k): scores (n_shards, n_queries,
    m) and ids of the same shape in, best first in each shard. Equal scores go by the smaller id.
    Where a shard found less, its id is -1; where all found less than k, the answer ends so too.""",
    (
        Case((SCORES, IDS, 4), BEST, mistakes={
            "item 30 comes before item 15 | Both have 0.5: the smaller id goes first, whatever"
            " shard it comes from.": lambda ids: ids[0].tolist() == [7, 12, 22, 30],
            "the lowest scores come first | Best first: the highest score of all shards.":
                lambda ids: ids[0, 0] in (-1, 4),
            "both queries get the same items | Each query has its own hits: keep the axis of the"
            " queries, and join the shards.": lambda ids: (ids[0] == ids[1]).all(),
            "these are places, not ids | A sort that gives places says where to read, in order;"
            " read the ids there.": lambda ids: ids.max() <= 8,
            "the hits of one shard stand together | One list for each query: sort the hits of all"
            " shards by score.":
                lambda ids: ids[0].tolist() == [7, 30, 4, 12],
        }, otherwise="For each query, join the hits of all shards, sort, and keep the first k.",
            given="for three shards and k = 4", meaning="one row of k ids for each query"),
        (
            Case((SCORES, IDS, 8), FEW,
                "with k = 8 the first query is not seven ids and a -1 | It has seven hits in all. A"
                " missing hit has the id -1 and must stand last.", given="for k = 8"),
            Case((MANY_SCORES, MANY_IDS, 25), MANY_BEST,
                "of four shards with many equal scores, another order is returned | Sort once, by"
                " score and then by id, over all shards.", given="for four shards and k = 25"),
        ),
    ),
    """- Bring the axis of the queries to the front, then join the other two: one row a query.
    - lexsort sorts by several keys, the last one first: minus the score, then the id.
    - It gives places; read the ids there, row by row.""",
    "k hits of each shard are enough, always: an item of the best k overall is among the best k of"
    " its own shard.",
)  # fmt: skip

# ---- shards.ids: shards of 5, 2 and 4 rows; the second shard found one hit only.

SIZES = [5, 2, 4]
LOCAL = np.array([[[4, 0], [2, 1]], [[1, -1], [0, 1]], [[3, 0], [-1, -1]]])
GLOBAL = np.array([[[4, 0], [2, 1]], [[6, -1], [5, 6]], [[10, 7], [-1, -1]]])

global_ids = Exercise(
    "shards.ids",
    """Return the ids in the whole collection, (n_shards, n_queries, m): `local` of this shape, the
    row numbers within each shard, from 0, and -1 for a missing hit; and `sizes`, the rows of each
    shard. Shards follow each other: the second begins where the first ends.""",
    (
        Case((LOCAL, SIZES), GLOBAL, mistakes={
            "the shards are numbered as if all were as large as this one | The second shard begins"
            " after the rows of the first, the third after those of both: sum the sizes before"
            " it.": lambda ids: ids[1, 0, 0] == 3,
            "a missing hit became an item | -1 stays -1: it is no row of the shard.":
                lambda ids: ids[1, 0, 1] != -1,
            "the first shard does not begin at 0 | Nothing stands before it.":
                lambda ids: ids[0, 0, 1] != 0,
            "shards claim the same ids | Row 0 of each shard is another picture. Add the number of"
            " rows before the shard.": lambda ids: ids[1, 1, 0] == 0,
        }, otherwise="Add to each row number the rows of all shards before it.",
            given="for shards of 5, 2 and 4 rows"),
        Case((np.array([[[2]], [[0]]]), [3, 9]), np.array([[[2]], [[3]]]),
            "the second of two shards does not begin where the first ends | Only the rows before a"
            " shard count.", given="for shards of 3 and 9 rows"),
    ),
    """- What must be added to the rows of the second shard? And of the third?
    - The running sum of the sizes tells where each shard ends; it begins its own size earlier.
    - Move every row number, then put -1 back where it was.""",
    "Local row numbers are the usual reason why a sharded search returns wrong pictures with right"
    " scores.",
)  # fmt: skip

# ---- shards.late

late = Exercise(
    "shards.late",
    """Return the share of queries that are late: p, n and copies in. A query asks n shards and
    waits for all of them. A shard is late with probability p, each on its own. Each shard is asked
    on `copies` machines that hold the same vectors, and the first answer of them counts.""",
    (
        Case((0.01, 100, 1), 1 - 0.99**100, mistakes={
            "it is the share of queries of one shard | One late shard is enough to make the query"
            " late.": 0.01,
            "it is n times p | Two shards may be late in one query: such a query counts once.": 1.0,
            "it is the share of queries that are in time | What is asked is the rest, up to 1.":
                0.99**100,
            "all shards must be late in your count | One late shard is enough: all must be in"
            " time.": 0.01**100,
        }, otherwise="All n shards must be in time; that has the probability (1 - p)^n.",
            given="for p = 0.01, 100 shards, 1 copy", meaning="one probability"),
        (
            Case((0.01, 100, 2), 1 - (1 - 0.01**2) ** 100, mistakes={
                "the copies change nothing | A shard with two copies is late only if both are.":
                    1 - 0.99**100,
                "the number of shards is divided by the copies | Each shard has its copies: it is"
                " late with probability p^copies.": lambda share: abs(share - 0.395) < 1e-3,
            }, otherwise="A shard is late only if all its copies are: p^copies.",
                given="for p = 0.01, 100 shards, 2 copies"),
            Case((0.3, 1, 1), 0.3, "with one shard, the query is as late as the shard."),
            Case((0.0, 50, 1), 0.0, "if no shard is ever late, no query is."),
        ),
    ),
    """- When is a query in time? Say it of all its shards.
    - The probability that n independent things all happen is a product.
    - A shard with copies is late if every copy is late: p^copies.""",
    "More shards make the slow answer of one machine the usual answer of the system.",
)  # fmt: skip

# ---- shards.machines: 1000 queries a second of 4 ms are 4 busy cores.

machines = Exercise(
    "shards.machines",
    """Return how many machines serve the load: queries a second, seconds of one core for a query,
    cores of a machine, and the share of its time that a core may be busy, in. At least one.""",
    (
        Case((1000, 0.02, 8, 0.5), 5, mistakes={
            "the cores may be busy all the time | At a share of 0.5 each core does half as much.":
                3,
            "it counts cores, not machines | A machine has 8 cores.": 40,
            "it is not a whole number, or rounded down | 20 busy cores at a share of 0.5 are 40"
            " cores: 5 machines.": lambda n: n != int(n) or n == 4,
            "the share is multiplied, not divided | Less load on each core means more cores.": 2,
        }, otherwise="Busy cores = queries a second x seconds of a query (Little's law). Divide by"
            " what a machine may give, and round up.", given="for 1,000 queries of 20 ms, 8 cores,"
            " half of the time", meaning="one whole number"),
        (
            Case((1001, 0.02, 8, 0.5), 6, "a part of a machine is a machine | Round up."),
            Case((1, 0.001, 8, 0.5), 1, "one query a second needs a machine too | At least one."),
            Case((48, 0.1, 4, 0.3), 4,
                "4.8 busy cores at a share of 0.3 are 16 cores, which are 4 machines | Floating"
                " point makes that 16.000000000000004: round before you round up, for example to"
                " nine digits."),
        ),
    ),
    """- How many seconds of work arrive in each second? That many cores are busy.
    - A core gives `share` seconds of work a second, a machine `cores` times as much.
    - Round up a number that is free of the error of floating point.""",
    "The share decides how long queries wait: at 0.5 they wait little, near 1 without end.",
)  # fmt: skip
