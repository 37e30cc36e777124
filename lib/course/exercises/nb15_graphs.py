"""Exercises of notebook 15: walk over a graph, widen the walk, filter hits, choose its width."""

import numpy as np

from lib.course.cases import Case, Exercise


class EndlessWalk(Exception):
    """Raised where an answer reads neighbours again and again."""


class _Links(list):
    """Lists of neighbours that stop a walk that never ends."""

    reads = 0

    def __getitem__(self, node):
        self.reads += 1
        if self.reads > 200:
            raise EndlessWalk("the same neighbours are read again and again")
        return super().__getitem__(node)


# ---- graph.greedy: from 0 uphill to 2 and 4, which beats its neighbours; 6 is the best of all.

HEIGHTS = np.array([0.1, 0.3, 0.5, 0.2, 0.7, 0.6, 0.9])
LINKS = _Links([[1, 2, 3], [0, 2], [0, 1, 4], [0, 5], [2, 5], [3, 4, 6], [5]])
PLATEAU = np.array([0.2, 0.5, 0.5, 0.1])
RING = _Links([[1], [0, 2], [1, 3], [2]])

greedy = Exercise(
    "graph.greedy",
    """Return the path of a greedy walk as a list of nodes: similarities of the query with every
    node (n,), higher is nearer, a list of neighbours per node and an entry in. From each node
    move to its best neighbour while that is better; the path holds the entry and the node where
    it ends.""",
    (
        Case((HEIGHTS, LINKS, 0), [0, 2, 4], mistakes={
            "the walk stops one step early | It has moved to 4 and must still look at 4's"
            " neighbours; 4 belongs to the path.": [0, 2],
            "the entry is missing | The path begins where the walk begins.": [2, 4],
            "only the end is returned | Return the whole path, from the entry on.": [4],
            "the walk does not move | Scores are similarities: a neighbour with a *higher* one is"
            " nearer to the query.": [0],
            "it takes the first better neighbour"
            " | Of all neighbours of a node it moves to the best.": [0, 1, 2, 4],
            "the walk went downhill from 4 to 5 | It ends in a node that beats all its neighbours,"
            " even if there is a better one beyond.": [0, 2, 4, 5, 6],
            "that is exact search"
            " | The walk knows the neighbours of its present node, and nothing else.": [6],
        }, otherwise="By hand: 0 (0.1), 2 (0.5), 4 (0.7), and no further.", given="from node 0"),
        (
            Case((HEIGHTS, LINKS, 6), [6], "Nothing beats it: the path is [6].",
                given="from node 6, the best of all,"),
            Case((HEIGHTS - 1.0, LINKS, 0), [0, 2, 4], "Scores may be below 0: compare them.",
                given="with 1 taken from every score"),
            Case((PLATEAU, RING, 0), [0, 1], mistakes={
                "it moves between equal nodes | Node 2 is as good as node 1 and not better: move"
                " only to a better node.": [0, 1, 2],
            }, otherwise="Move only to a better node.", given="where nodes 1 and 2 are equally"
                " good", if_raises="Move only to a strictly better node: between equal ones the"
                " walk goes to and fro for ever."),
        ),
    ),
    """- A loop that ends when no neighbour is better than the present node.
    - The best neighbour is a maximum over the neighbours alone, by score.
    - Compare it with the present node: strictly better, or the walk may never end.""",
    "It ends in the first local maximum, and cannot know that there is a higher one.",
)  # fmt: skip

# ---- graph.beam: the way to 6 leads through 3 and 5, which are worse than the nodes known by then.
# ef 2: {1, 0}, then {1, 4}: stop. ef 4: {1, 4, 0, 3}, 3 opens 5, which is worse than the worst. ef
# 5: 5 is remembered and opens 6.

VALUES = np.array([0.50, 0.60, 0.40, 0.45, 0.55, 0.42, 0.95, 0.10])
WAYS = _Links([[1, 2, 3], [0, 4, 2], [0, 1], [0, 5], [1], [3, 6], [5, 7], [6]])
TWICE = {
    "a node is returned twice | Keep a set of nodes already seen, and score each once.":
        lambda nodes: len(set(nodes)) < len(nodes),
}  # fmt: skip
EARLY = {
    "it stops at the first node that does not improve on the best | Stop when the node to be opened"
    " is worse than the *worst* of ef remembered, not the best.": [1, 4, 0, 3, 2],
    **TWICE,
}  # fmt: skip
TOO_FEW = (
    " nodes are returned"
    " | As long as fewer than ef are remembered, every node seen is remembered and opened."
)

beam = Exercise(
    "graph.beam",
    """Return the ef best nodes that a best-first walk sees, best first: similarities (n,), a list
    of neighbours per node, an entry and ef in. Open the best node that is not yet opened; remember
    the ef best of all seen; stop when the node to be opened is worse than the worst of ef
    remembered.""",
    (
        Case((VALUES, WAYS, 0, 2), [1, 4], mistakes={
            "the best comes last | Return the remembered nodes best first.": [4, 1],
            "every node was compared, which is exact search"
            " | Stop when the node to be opened is worse than all ef remembered.": [6, 1],
            "it does not open the best node it knows | Open 1 next: it leads to 4.": [1, 0],
            **TWICE,
            "with ef = 2 it returns another number of nodes"
            " | It remembers the two best seen, no more.": lambda nodes: len(nodes) != 2,
        }, otherwise="By hand: 0, then 1 with 4. The best two are 1 and 4.", given="with ef = 2"),
        (
            Case((VALUES, WAYS, 0, 4), [1, 4, 0, 3], mistakes={
                **EARLY,
                f"with ef = 4 fewer{TOO_FEW}": lambda nodes: len(nodes) < 4,
            }, otherwise="0 opens 1, 2 and 3; 1 opens 4; 3 opens 5, which is worse than the worst"
                " remembered.", given="with ef = 4"),
            Case((VALUES, WAYS, 0, 5), [6, 1, 4, 0, 3], mistakes={
                **EARLY,
                f"with ef = 5 fewer{TOO_FEW}": lambda nodes: len(nodes) < 5,
            }, otherwise="3 opens 5, which is remembered now, and 5 opens 6.", given="with ef = 5"),
        ),
        (
            Case((VALUES, WAYS, 0, 1), [1],
                "Then it is the greedy walk: it remembers one node, and ends in node 1.",
                given="with ef = 1"),
            Case((VALUES, WAYS, 0, 8), [6, 1, 4, 0, 3, 5, 2, 7], "Then it is exact.",
                given="with ef = 8, as many as there are,"),
            Case((VALUES - 1.0, WAYS, 0, 5), [6, 1, 4, 0, 3],
                "Scores may be below 0: compare them.", given="with 1 taken from every score"),
            Case((VALUES[:2], _Links([[1], [0]]), 0, 5), [1, 0], "Two nodes, two hits.",
                given="with ef above the number of nodes"),
        ),
    ),
    """- Two collections: what waits to be opened, and the ef best so far; and a set of what was
      seen.
    - A new node goes into both when fewer than ef are remembered or it beats the worst of them.
    - Only then drop the worst remembered. Two heaps do it; sorted lists are good enough here.""",
    "With a larger ef a walk follows a bad node longer: ef better nodes must be known before it is"
    " given up.",
)  # fmt: skip

# ---- graph.filtered: of forty items eight are in stock.

FIRST_IDS = [7, 1, 4, 9, 13, 0, 12, 22, 3, 17, 30, 2, 5, 27, 8]
ORDER = [*FIRST_IDS, *(id for id in range(40) if id not in FIRST_IDS)]
STOCK = {7, 12, 22, 17, 2, 27, 32, 37}
IN_STOCK = [item for item in ORDER if item in STOCK]


def _search(k: int) -> list[int]:
    if k > len(ORDER):
        raise ValueError(f"k = {k} is more than the {len(ORDER)} items of the index")
    return ORDER[:k]


filtered = Exercise(
    "graph.filtered",
    """Repair the function: a search (its argument k gives the k best ids of all, best first, and
    may not exceed n), n, a set of allowed ids and k in; the k best allowed ids out, or all that are
    allowed.""",
    (
        Case((_search, 40, STOCK, 4), IN_STOCK[:4], mistakes={
            "an item that is not allowed is returned | Only items of `allowed` may come back.":
                lambda ids: not STOCK.issuperset(ids),
            "for k = 4 fewer than 4 hits come back, and more are allowed | Filtering k hits leaves"
            " what is left of k. Ask for more until k of them are allowed.":
                lambda ids: len(ids) < 4,
            "for k = 4 more than 4 hits come back | Cut after the k-th allowed hit.":
                lambda ids: len(ids) > 4,
        }, otherwise="Best first, in the order of the search.", given="with k = 4"),
        (
            Case((_search, 40, {39}, 1), [39],
                "a single allowed item far down is not returned | A fixed multiple of k is a guess."
                " Go on until there are enough or all are read.",
                if_raises="The search gives at most n ids: never ask it for more."),
            Case((_search, 40, STOCK, 20), IN_STOCK,
                "When everything has been read, return what there is.",
                given="with 8 allowed items and k = 20"),
            Case((_search, 40, set(), 3), [],
                "nothing is allowed, and something is returned | Then the answer is an empty"
                " list."),
            Case((_search, 40, STOCK, 50), IN_STOCK, "Never ask for more than n.",
                given="with k above the number of items"),
        ),
    ),
    """- How many of k hits are left depends on the filter, not on k.
    - Ask for twice as many each time, never for more than n.
    - Stop when k allowed ones are there, or when n were requested.""",
    "The rarer the allowed items, the more of the index is read: below some share, search them"
    " alone and exactly.",
)  # fmt: skip

# ---- graph.tune: recalls 0.75, 0.90, 0.95, 1.00, whose lower ends are 0.64, 0.82, 0.8847 and 1.00;
# for ef 40 with n for n - 1 it is 0.8880, of 40 independent hits 0.8825.

EFS = np.array([12, 20, 40, 80])
HITS = np.array([
    [4, 4, 4, 4, 2, 2, 2, 2, 3, 3],
    [4, 4, 4, 4, 4, 3, 3, 3, 3, 4],
    [4, 4, 4, 4, 4, 4, 4, 4, 3, 3],
    [4] * 10,
])  # fmt: skip

tune = Exercise(
    "graph.tune",
    """Return the smallest ef whose recall surely reaches a target: ef values (m,) rising, hits (m,
    n_queries) found of k, k and the target in. Surely: the mean recall less 1.96 standard errors
    over queries (spread with n - 1, over the root of n). -1 if none.""",
    (
        Case((EFS, HITS, 4, 0.88), 40, mistakes={
            "the mean reaches 0.88, its lower end does not"
            " | 0.90 was measured on ten queries. Take the mean less 1.96 standard errors.": 20,
            "recall 0.75 does not reach 0.88 | Hits are counts out of k: divide by it.": 12,
            "a smaller ef is enough | Of those that reach the target, the smallest. Is the spread"
            " over queries divided by the root of their number?": 80,
            "it says that none reaches 0.88 | The standard error is the spread over the root of n.":
                -1,
            "that is the place in the list | Return the ef itself.": 2,
        }, otherwise="The lower ends are about 0.64, 0.82, 0.885 and 1.", given="for 0.88",
            meaning="one ef, or -1"),
        (
            Case((EFS, HITS, 4, 0.99), 80,
                "for 0.99 it does not return 80 | All ten queries have all four hits there: no"
                " spread."),
            Case((EFS[:3], HITS[:3], 4, 0.99), -1,
                "it returns an ef that does not reach 0.99 | Return -1 when none does."),
            Case((EFS, HITS[[0, 3, 2, 1]], 4, 0.9), 20,
                "where 20 is enough and 40 is not, it does not return 20 | Recall need not rise"
                " with ef: the smallest that reaches the target, whatever comes after it."),
            Case((EFS, HITS, 4, 1.0), 80,
                "a lower end that equals the target is refused | Reaching it is enough."),
            Case((EFS, HITS, 4, 0.886), 80, mistakes={
                "the spread is too small: divided by n | Divide the sum of squares by n - 1.": 40,
            }, otherwise="No smaller ef reaches it.", given="for 0.886"),
            Case((EFS, HITS, 4, 0.8835), 40,
                "for 0.8835 it does not return 40 | Is the error that of single hits, from the"
                " share alone? Take the spread over queries as it is."),
        ),
    ),
    """- Divide hits by k, then average over queries, not over settings.
    - The standard error is the standard deviation over the root of the number of queries.
    - Of the settings that pass, the first is the smallest.""",
    "And choose it on queries like those to come: recall on other ones is another number.",
)  # fmt: skip
