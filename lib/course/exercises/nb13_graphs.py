"""Exercises of notebook 13: walk over a graph, widen the walk, filter what it finds, choose its
width.
"""

import numpy as np

from lib.course.engine import Exercise, Wrong, as_number, call, object_to_mistakes


class WentInCircles(Exception):
    """Raised where an answer reads neighbours again and again."""


class _Links(list):
    """Lists of neighbours that lose patience: a walk that never ends must not stop the notebook."""

    reads = 0

    def __getitem__(self, node):
        self.reads += 1
        if self.reads > 200:
            raise WentInCircles("the same neighbours are read for ever")
        return super().__getitem__(node)


def _ids(function, *arguments) -> list[int]:
    """The nodes that the answer returns."""
    array = np.asarray(call(function, *arguments))
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise Wrong(
            f"the result is {array.ndim}-dimensional, of {array.dtype}, and not a list of node"
            " numbers",
            "Return one flat list of whole numbers.",
        )
    return [int(node) for node in array]


# ---- graph.greedy: from 0 uphill to 2 and 4, which beats its neighbours; 6 is the best of all.

HEIGHTS = np.array([0.1, 0.3, 0.5, 0.2, 0.7, 0.6, 0.9])
LINKS = _Links([[1, 2, 3], [0, 2], [0, 1, 4], [0, 5], [2, 5], [3, 4, 6], [5]])
PLATEAU = np.array([0.2, 0.5, 0.5, 0.1])
RING = _Links([[1], [0, 2], [1, 3], [2]])


def _greedy_path(function) -> None:
    found = _ids(function, HEIGHTS, LINKS, 0)
    messages = {
        (0, 2): (
            "the walk stops one step early",
            "It has moved to 4 and must still look at 4's neighbours; 4 belongs to the path.",
        ),
        (2, 4): ("the entry is missing", "The path begins where the walk begins."),
        (4,): ("only the end is returned", "The whole path is asked for, from the entry on."),
        (0,): (
            "the walk goes nowhere",
            "Scores are similarities: a neighbour with a *higher* one is nearer to the query.",
        ),
        (0, 1, 2, 4): (
            "it takes the first better neighbour",
            "Of all neighbours of a node it moves to the best.",
        ),
        (0, 2, 4, 5, 6): (
            "the walk went downhill from 4 to 5",
            (
                "It ends in a node that beats all its neighbours, even if there is a better one"
                " beyond."
            ),
        ),
        (6,): (
            "that is exact search",
            "The walk knows the neighbours of where it stands, and nothing else.",
        ),
    }
    if tuple(found) in messages:
        raise Wrong(*messages[tuple(found)])
    if found != [0, 2, 4]:
        raise Wrong(
            f"from node 0 the path is {found}",
            "By hand: 0 (0.1), 2 (0.5), 4 (0.7), and no further.",
        )


def _greedy_ends(function) -> None:
    found = _ids(function, HEIGHTS, LINKS, 6)
    if found != [6]:
        raise Wrong(
            f"from node 6, the best of all, the path is {found}",
            "Nothing beats it: the path is [6].",
        )
    if _ids(function, HEIGHTS - 1.0, LINKS, 0) != [0, 2, 4]:
        raise Wrong(
            "with 1 taken from every score the path is another",
            "Scores may be below 0: compare them.",
        )
    found = _ids(function, PLATEAU, RING, 0)
    if found == [0, 1, 2]:
        raise Wrong(
            "it walks over a plain",
            "Node 2 is as good as node 1 and not better: move only when it gains.",
        )
    if found != [0, 1]:
        raise Wrong(f"where nodes 1 and 2 are equally good the path is {found}", "It is [0, 1].")


# ---- graph.beam: the way to 6 leads through 3 and 5, which are worse than what is known by then.

VALUES = np.array([0.50, 0.60, 0.40, 0.45, 0.55, 0.42, 0.95, 0.10])
WAYS = _Links([[1, 2, 3], [0, 4, 2], [0, 1], [0, 5], [1], [3, 6], [5, 7], [6]])
# ef 2: {1, 0}, then {1, 4}: stop.  ef 4: {1, 4, 0, 3}, 3 opens 5, which is worse than the worst:
# {.., 3}. ef 5: 5 is remembered and opens 6.
BEAMS = {1: [1], 2: [1, 4], 4: [1, 4, 0, 3], 5: [6, 1, 4, 0, 3]}


def _beam_narrow(function) -> None:
    found = _ids(function, VALUES, WAYS, 0, 2)
    if len(set(found)) < len(found):
        raise Wrong(
            "a node is returned twice", "Keep a set of nodes already seen, and score each once."
        )
    object_to_mistakes(
        found,
        [
            ([4, 1], ("the best comes last", "Return the remembered nodes best first.")),
            (
                [6, 1],
                (
                    "every node was compared, which is exact search",
                    "Stop when the node to be opened is worse than all ef remembered.",
                ),
            ),
            ([1, 0], ("it does not open the best node it knows", "Open 1 next: it leads to 4.")),
        ],
    )
    if len(found) != 2:
        raise Wrong(
            f"with ef = 2 it returns {len(found)} nodes", "It remembers the two best seen, no more."
        )
    if found != BEAMS[2]:
        raise Wrong(
            f"with ef = 2 it returns {found}",
            "By hand: 0, then 1 with 4. The best two are 1 and 4.",
        )


def _beam_wide(function) -> None:
    for ef in (4, 5):
        found = _ids(function, VALUES, WAYS, 0, ef)
        if found == [1, 4, 0, 3, 2]:
            raise Wrong(
                "it stops at the first node that does not improve on the best",
                "Stop when the node to be opened is worse than the *worst* of ef remembered, not"
                " the best.",
            )
        if len(found) != len(set(found)):
            raise Wrong(
                "a node is returned twice", "Keep a set of nodes already seen, and score each once."
            )
        if len(found) < ef:
            raise Wrong(
                f"with ef = {ef} it returns {len(found)} nodes",
                "As long as fewer than ef are remembered, every node seen is remembered and"
                " opened.",
            )
        if found != BEAMS[ef]:
            raise Wrong(f"with ef = {ef} it returns {found}", f"By hand it is {BEAMS[ef]}.")


def _beam_limits(function) -> None:
    if _ids(function, VALUES, WAYS, 0, 1) != BEAMS[1]:
        raise Wrong(
            "with ef = 1 it is no greedy walk", "Then it remembers one node, and ends in node 1."
        )
    best = [6, 1, 4, 0, 3, 5, 2, 7]
    found = _ids(function, VALUES, WAYS, 0, 8)
    if found != best:
        raise Wrong(
            f"with ef = 8, as many as there are, it returns {found}", f"Then it is exact: {best}."
        )
    if _ids(function, VALUES - 1.0, WAYS, 0, 5) != BEAMS[5]:
        raise Wrong(
            "with 1 taken from every score the nodes are others",
            "Scores may be below 0: compare them.",
        )
    if _ids(function, VALUES[:2], _Links([[1], [0]]), 0, 5) != [1, 0]:
        raise Wrong(
            "with ef above the number of nodes it does not return them all", "Two nodes, two hits."
        )


# ---- graph.filtered: of forty items every fifth from 2 on is in stock.

ORDER = [7, 1, 4, 9, 13, 0, 12, 22, 3, 17, 30, 2, 5, 27, 8, *(i for i in range(40) if i not in
         {7, 1, 4, 9, 13, 0, 12, 22, 3, 17, 30, 2, 5, 27, 8})]  # fmt: skip
STOCK = {7, 12, 22, 17, 2, 27, 32, 37}
IN_STOCK = [item for item in ORDER if item in STOCK]


def _search(k: int) -> list[int]:
    if k > len(ORDER):
        raise ValueError(f"k = {k} is more than the {len(ORDER)} items of the index")
    return ORDER[:k]


def _filter_enough(function) -> None:
    found = _ids(function, _search, len(ORDER), STOCK, 4)
    if any(item not in STOCK for item in found):
        raise Wrong(
            "an item that is not allowed is returned", "Only items of `allowed` may come back."
        )
    if len(found) < 4:
        raise Wrong(
            f"4 hits are asked for, {len(found)} come back, and more are allowed",
            "Filtering k hits leaves what is left of k. Ask for more until k of them are allowed.",
        )
    if len(found) > 4:
        raise Wrong(
            f"4 hits are asked for, {len(found)} come back", "Cut after the k-th allowed hit."
        )
    if found != IN_STOCK[:4]:
        raise Wrong(f"it returns {found}", f"Best first, as the search had them: {IN_STOCK[:4]}.")


def _filter_rare(function) -> None:
    found = _ids(function, _search, len(ORDER), {39}, 1)
    if found != [39]:
        raise Wrong(
            "a single allowed item far down is not found",
            "A fixed multiple of k is a guess. Go on until enough are found or all are read.",
        )
    found = _ids(function, _search, len(ORDER), STOCK, 20)
    if found != IN_STOCK:
        raise Wrong(
            f"of {len(STOCK)} allowed items, 20 asked for, it returns {len(found)}",
            "When everything has been read, return what there is.",
        )
    if _ids(function, _search, len(ORDER), set(), 3):
        raise Wrong(
            "nothing is allowed, and something is returned", "Then the answer is an empty list."
        )
    if _ids(function, _search, len(ORDER), STOCK, 50) != IN_STOCK:
        raise Wrong(
            "with k above the number of items something is missing", "Never ask for more than n."
        )


# ---- graph.tune: recalls 0.75, 0.90, 0.95, 1.00, whose lower ends are 0.64, 0.82, 0.88 and 1.00.

EFS = np.array([12, 20, 40, 80])
K = 4
HITS = np.array(
    [
        [4, 4, 4, 4, 2, 2, 2, 2, 3, 3],
        [4, 4, 4, 4, 4, 3, 3, 3, 3, 4],
        [4, 4, 4, 4, 4, 4, 4, 4, 3, 3],
        [4] * 10,
    ]
)


def _tuned(function, target: float) -> float:
    return as_number(call(function, EFS, HITS, K, target), meaning="one ef, or -1")


def _tune_lower_end(function) -> None:
    found = _tuned(function, 0.88)
    messages = {
        20: (
            "the mean reaches 0.88, its lower end does not",
            "0.90 was measured on ten queries. Take the mean less 1.96 standard errors.",
        ),
        12: ("recall 0.75 does not reach 0.88", "Hits are counts out of k: divide by it."),
        80: ("a smaller ef is enough", "Of those that reach the target, the smallest."),
        -1: (
            "it says that none reaches 0.88",
            "The standard error is the spread over the root of n.",
        ),
        2: ("that is the place in the list", "Return the ef itself."),
    }
    if found in messages:
        raise Wrong(*messages[found])
    if found != 40:
        raise Wrong(
            f"for 0.88 it returns {found:g}", "The lower ends are about 0.64, 0.82, 0.885 and 1."
        )


def _tune_ends(function) -> None:
    if _tuned(function, 0.99) != 80:
        raise Wrong(
            "for 0.99 it does not return 80", "All ten queries have all four hits there: no spread."
        )
    found = call(function, EFS[:3], HITS[:3], K, 0.99)
    if as_number(found, meaning="one ef, or -1") != -1:
        raise Wrong("it returns an ef that does not reach 0.99", "Return -1 when none does.")
    if as_number(call(function, EFS, HITS[[0, 3, 2, 1]], K, 0.9), meaning="one ef, or -1") != 20:
        raise Wrong(
            "where 20 is enough and 40 is not, it does not return 20",
            "Recall need not rise with ef: the smallest that reaches the target, whatever comes"
            " after it.",
        )
    if _tuned(function, 1.0) != 80:
        raise Wrong("a lower end that equals the target is refused", "Reaching it is enough.")
    # The lower end of ef 40 is 0.8847; with n for n - 1 it is 0.8880, of 40 independent hits
    # 0.8825.
    if _tuned(function, 0.886) == 40:
        raise Wrong("the spread is too small: divided by n", "Divide the sum of squares by n - 1.")
    if _tuned(function, 0.8835) != 40:
        raise Wrong(
            "for 0.8835 it does not return 40",
            "Is the error that of single hits, from the share alone? Take the spread over queries"
            " as it is.",
        )


EXERCISES = (
    Exercise(
        name="graph.greedy",
        statement=(
            "Return the path of a greedy walk as a list of nodes: similarities of the query with"
            " every node (n,), higher is nearer, a list of neighbours per node and an entry in."
            " From each node move to its best neighbour while that is better; the path holds the"
            " entry and the node where it ends."
        ),
        stages=(_greedy_path, _greedy_ends),
        hints=(
            "A loop that ends when no neighbour is better than where you stand.",
            "The best neighbour is a maximum over the neighbours alone, by score.",
            "Compare it with the present node: strictly better, or the walk may never end.",
        ),
        insight="It ends in the first local maximum, and cannot know that there is a higher one.",
    ),
    Exercise(
        name="graph.beam",
        statement=(
            "Return the ef best nodes that a best-first walk sees, best first: similarities (n,), a"
            " list of neighbours per node, an entry and ef in. Open the best node that is not yet"
            " opened; remember the ef best of all seen; stop when the node to be opened is worse"
            " than the worst of ef remembered."
        ),
        stages=(_beam_narrow, _beam_wide, _beam_limits),
        hints=(
            (
                "Two collections: what waits to be opened, and the ef best so far; and a set of"
                " what was seen."
            ),
            (
                "A new node goes into both when fewer than ef are remembered or it beats the worst"
                " of them."
            ),
            (
                "Only then drop the worst remembered. Two heaps do it; sorted lists are good enough"
                " here."
            ),
        ),
        insight=(
            "ef is patience: how many better nodes a walk must know before it gives a bad one up."
        ),
    ),
    Exercise(
        name="graph.filtered",
        statement=(
            "Repair the function: a search (its argument k gives the k best ids of all, best first,"
            " and may not exceed n), n, a set of allowed ids and k in; the k best allowed ids out,"
            " or all that are allowed."
        ),
        stages=(_filter_enough, _filter_rare),
        hints=(
            "How many of k hits survive depends on the filter, not on k.",
            "Ask for twice as many each time, never for more than n.",
            "Stop when k allowed ones are there, or when n were asked for.",
        ),
        insight=(
            "The rarer the allowed items, the more of the index is read: below some share, search"
            " them alone and exactly."
        ),
    ),
    Exercise(
        name="graph.tune",
        statement=(
            "Return the smallest ef whose recall surely reaches a target: ef values (m,) rising,"
            " hits (m, n_queries) found of k, k and the target in. Surely: the mean recall less"
            " 1.96 standard errors over queries (spread with n - 1, over the root of n). -1 if"
            " none."
        ),
        stages=(_tune_lower_end, _tune_ends),
        hints=(
            "Divide hits by k, then average over queries, not over settings.",
            "The standard error is the standard deviation over the root of the number of queries.",
            "Of the settings that pass, the first is the smallest.",
        ),
        insight=(
            "And choose it on queries like those to come: recall on other ones is another number."
        ),
    ),
)
