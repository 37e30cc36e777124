"""Building a navigable graph by insertion, with the heuristic that keeps it navigable or
without.
"""

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.index.from_scratch.graph import check_neighbours, walk
from lib.index.from_scratch.hits import similarities

SELECTIONS = ("heuristic", "nearest")


def build(
    rows, links: int, ef: int = 40, select: str = "heuristic", metric: str = "l2", order=None
) -> np.ndarray:
    """A navigable small world of one level, by insertion: each new node is linked to nodes found by
    search.

    New links go both ways. A node with more than 2 `links` neighbours chooses among them again.

        "nearest"    keep the best
        "heuristic"  from the best down, keep e only if it is nearer to the node than to all kept so
        far

    The heuristic spreads links over directions, so that clusters stay connected.

    Args:
        rows: `(n, d)`.
        links: neighbours a new node chooses; M.
        ef: of the search that finds candidates.
        select: "heuristic" or "nearest".
        metric: "l2" or "inner_product".
        order: of insertion, a permutation; as given when None. The first is the natural entry.

    Returns:
        neighbours `(n, 2 links)` int64, filled with -1.

    Reference: Malkov and Yashunin 2018, algorithms 1, 3 and 4.
    """
    check_choice(select, SELECTIONS, "select")
    links, ef = check_count(links, "links"), max(check_count(ef, "ef"), links)
    scores = similarities(rows, rows, metric)  # (n, n): a graph to look at, not one to serve
    order = np.arange(len(scores)) if order is None else np.asarray(order)
    if not np.array_equal(np.sort(order), np.arange(len(scores))):
        raise RetrievalInputError(f"order must hold each of 0 to {len(scores) - 1} once")
    neighbours = np.full((len(scores), 2 * links), -1)
    for placed, node in enumerate(order[1:], start=1):
        at_most = min(ef, placed)
        found = walk(
            lambda nodes, row=scores[node]: row[nodes], neighbours, int(order[0]), at_most, at_most
        )
        for other in _select(node, found.ids, scores, links, select):
            for one, two in ((node, other), (other, node)):
                candidates = np.append(neighbours[one][neighbours[one] >= 0], two)
                if len(candidates) > 2 * links:
                    candidates = _select(one, candidates, scores, 2 * links, select)
                neighbours[one] = -1
                neighbours[one, : len(candidates)] = candidates
    return neighbours


def reachable(neighbours: np.ndarray, entry: int) -> np.ndarray:
    """Which nodes a walk from `entry` could ever reach, `(n,)` bool."""
    reached = np.zeros(len(check_neighbours(neighbours, len(neighbours), entry)), bool)
    frontier = np.array([entry])
    while frontier.size:
        reached[frontier] = True
        onward = neighbours[frontier]
        frontier = np.unique(onward[onward >= 0])
        frontier = frontier[~reached[frontier]]
    return reached


def _select(
    node: int, candidates: np.ndarray, scores: np.ndarray, most: int, select: str
) -> np.ndarray:
    ranked = candidates[np.argsort(-scores[node, candidates], kind="stable")]
    if select == "nearest":
        return ranked[:most]
    kept: list[int] = []
    for candidate in ranked:
        if len(kept) == most:
            break
        if all(scores[candidate, other] < scores[node, candidate] for other in kept):
            kept.append(int(candidate))
    return np.array(kept, np.int64)
