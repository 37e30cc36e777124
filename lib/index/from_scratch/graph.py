"""Navigable graphs: build one by insertion, search it by a walk from neighbour to neighbour.

Here a Python loop per query is needed: each step of a walk depends on the steps before.
"""

import heapq
from dataclasses import dataclass

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.index.from_scratch.cells import similarities

SELECTIONS = ("heuristic", "nearest")


@dataclass(frozen=True)
class Walk:
    """Record of one graph search.

    Args:
        ids, scores: the best `(k,)` nodes, best first.
        path: nodes in the order in which their neighbours were visited; its length is the number
            of hops. A node can be a hop on several levels.
        scored: nodes that were compared with the query, each once, in that order.
    """

    ids: np.ndarray
    scores: np.ndarray
    path: list[int]
    scored: list[int]


def beam_search(
    query, rows, neighbours, entry: int, ef: int, k: int = 1, metric: str = "l2"
) -> Walk:
    """Search a graph best-first, with a list of the ef best nodes seen so far.

        expand the best node that is not yet expanded; stop when it is worse than all ef in the list

    ef = 1 is a greedy walk, which ends in the first node that is better than all its neighbours.
    With a larger ef the walk can pass through worse nodes and leave such local optima, for more
    comparisons. This is the search of HNSW at its bottom level: same ids as faiss over the same
    links and entry.

    Args:
        query: `(d,)`.
        rows: `(n, d)`.
        neighbours: `(n, degree)` positions, -1 where a node has fewer.
        entry: node to start from.
        ef: nodes in the list, at least k.
        k: hits to return.
        metric: "l2" or "inner_product".

    Reference: Malkov and Yashunin 2018, "Efficient and robust approximate nearest neighbor search
    using Hierarchical Navigable Small World graphs", algorithm 2.
    """
    return descend(query, rows, [neighbours], entry, ef, k, metric)


def descend(
    query, rows, levels: list[np.ndarray], entry: int, ef: int, k: int = 1, metric="l2"
) -> Walk:
    """Search an HNSW: greedy walks on the sparse upper levels, then a beam search at the bottom.

    Args:
        levels: neighbours `(n, degree)` per level, bottom first, -1 where a node has none there.
        entry: a node of the highest level.

    Reference: Malkov and Yashunin 2018, algorithm 5.
    """
    if check_count(ef, "ef") < check_count(k, "k"):
        raise RetrievalInputError(f"ef = {ef} cannot return k = {k}; give an ef of at least k")
    # All scores at once is faster here than one by one; the walk reads only those it counts.
    scores = similarities(np.asarray(query)[None], rows, metric)[0]
    levels = [_checked_neighbours(neighbours, len(scores), entry) for neighbours in levels]
    path: list[int] = []
    scored: list[int] = []
    for neighbours in levels[:0:-1]:
        step = _walk(scores, neighbours, int(entry), 1, 1)
        path, scored, entry = path + step.path, scored + step.scored, int(step.ids[0])
    last = _walk(scores, levels[0], int(entry), ef, k)
    return Walk(last.ids, last.scores, path + last.path, list(dict.fromkeys(scored + last.scored)))


def levels_of(hnsw) -> list[np.ndarray]:
    """Read the links of a faiss HNSW (`index.hnsw`) for `descend`: `(n, degree)` per level."""
    import faiss

    node_levels = faiss.vector_to_array(hnsw.levels)  # 1 for a node at the bottom only
    offsets = faiss.vector_to_array(hnsw.offsets)[:-1].astype(np.int64)
    links = np.array(faiss.vector_to_array(hnsw.neighbors), np.int64)
    limits = faiss.vector_to_array(hnsw.cum_nneighbor_per_level)
    levels = []
    for level in range(hnsw.max_level + 1):
        members = np.flatnonzero(node_levels > level)
        neighbours = np.full((len(node_levels), limits[level + 1] - limits[level]), -1)
        places = offsets[members, None] + np.arange(limits[level], limits[level + 1])
        neighbours[members] = links[places]
        levels.append(neighbours)
    return levels


def build_graph(
    rows, links: int, ef: int = 40, select: str = "heuristic", metric: str = "l2", order=None
) -> np.ndarray:
    """Build a navigable small world of one level: link each new node to nodes found by search.

    New links go both ways. A node with more than 2 `links` neighbours chooses among them again.

        "nearest"    keep the best
        "heuristic"  from the best down, keep e only if it is nearer to the node than to all kept

    The heuristic spreads links over directions, which keeps clusters connected.

    Args:
        rows: `(n, d)`.
        links: neighbours that a new node chooses; M.
        ef: of the search that finds candidates.
        select: "heuristic" or "nearest".
        metric: "l2" or "inner_product".
        order: of insertion, a permutation; as given when None. The first node is the natural entry.

    Returns:
        neighbours `(n, 2 links)` int64, filled with -1.

    Reference: Malkov and Yashunin 2018, algorithms 1, 3 and 4.
    """
    check_choice(select, SELECTIONS, "select")
    links, ef = check_count(links, "links"), max(check_count(ef, "ef"), links)
    scores = similarities(rows, rows, metric)  # (n, n): for small graphs only
    order = np.arange(len(scores)) if order is None else np.asarray(order)
    if not np.array_equal(np.sort(order), np.arange(len(scores))):
        raise RetrievalInputError(f"order must hold each of 0 to {len(scores) - 1} once")
    neighbours = np.full((len(scores), 2 * links), -1)
    for placed, node in enumerate(order[1:], start=1):
        width = min(ef, placed)
        near = _walk(scores[node], neighbours, int(order[0]), width, width).ids
        for other in _selected(node, near, scores, links, select):
            for source, target in ((node, other), (other, node)):
                candidates = np.append(neighbours[source][neighbours[source] >= 0], target)
                if len(candidates) > 2 * links:
                    candidates = _selected(source, candidates, scores, 2 * links, select)
                neighbours[source] = -1
                neighbours[source, : len(candidates)] = candidates
    return neighbours


def _walk(scores: np.ndarray, neighbours: np.ndarray, entry: int, ef: int, k: int) -> Walk:
    """Run the search of `beam_search`, given the scores of all nodes."""
    first = float(scores[entry])
    # Two heaps: nodes to expand with the best on top, the ef best with the worst on top.
    waiting, best = [(-first, entry)], [(first, -entry)]
    path, scored, seen = [], [entry], {entry}
    while waiting:
        cost, node = heapq.heappop(waiting)
        if len(best) == ef and -cost < best[0][0]:
            break
        path.append(node)
        fresh = [int(other) for other in neighbours[node] if other >= 0 and other not in seen]
        seen.update(fresh)
        scored += fresh
        for other, value in zip(fresh, scores[fresh]):
            if len(best) < ef or value > best[0][0]:
                heapq.heappush(waiting, (-float(value), other))
                heapq.heappush(best, (float(value), -other))
                if len(best) > ef:
                    heapq.heappop(best)
    best = sorted(best, reverse=True)[:k]
    ids, values = np.array([-node for _, node in best]), np.array([value for value, _ in best])
    return Walk(ids, values, path, scored)


def _selected(
    node: int, candidates: np.ndarray, scores: np.ndarray, most: int, select: str
) -> np.ndarray:
    ranked = candidates[np.argsort(-scores[node, candidates], kind="stable")]
    if select == "nearest":
        return ranked[:most]
    chosen: list[int] = []
    for candidate in ranked:
        if len(chosen) == most:
            break
        if all(scores[candidate, other] < scores[node, candidate] for other in chosen):
            chosen.append(int(candidate))
    return np.array(chosen, np.int64)


def _checked_neighbours(neighbours, n: int, entry) -> np.ndarray:
    neighbours = np.asarray(neighbours)
    if neighbours.ndim != 2 or len(neighbours) != n or neighbours.dtype.kind not in "iu":
        got = f"{neighbours.dtype} {neighbours.shape}"
        raise RetrievalInputError(f"neighbours must be integers ({n}, degree), got {got}")
    if not 0 <= entry < n:
        raise RetrievalInputError(f"entry must be a position from 0 to {n - 1}, got {entry}")
    low, high = neighbours.min(), neighbours.max()
    if not -1 <= low <= high < n:
        raise RetrievalInputError(f"neighbours must be positions below {n}, got {low} to {high}")
    return neighbours
