"""A navigable graph: walk from neighbour to neighbour, each time nearer to the query.

Here alone a loop per query is honest: where a walk goes next depends on what it saw.
"""

import heapq
from dataclasses import dataclass

import numpy as np

from lib.core.checks import RetrievalInputError, check_count
from lib.index.from_scratch.hits import similarities


@dataclass(frozen=True)
class Walk:
    """One search, as it happened.

    Args:
        ids, scores: the best `(k,)` found, best first.
        path: nodes whose neighbours were looked at, in that order; their number is the number of
            hops. The same node may be a hop on several levels.
        scored: nodes that were compared with the query, each once, in that order.
    """

    ids: np.ndarray
    scores: np.ndarray
    path: list[int]
    scored: list[int]


def beam_search(
    query, rows, neighbours, entry: int, ef: int, k: int = 1, metric: str = "l2"
) -> Walk:
    """Best-first search that remembers the ef best nodes seen.

        expand the best node that has not been expanded; stop when it is worse than all ef
        remembered

    ef = 1 is a greedy walk, which ends in the first node that beats all its neighbours. A larger ef
    lets the walk go through worse nodes and get around such dead ends, for more comparisons.

    Args:
        query: `(d,)`; rows: `(n, d)`.
        neighbours: `(n, degree)` positions, -1 where a node has fewer.
        entry: where to start.
        ef: nodes remembered, at least k.
        k: hits to return.
        metric: "l2" or "inner_product".

    Raises:
        RetrievalInputError: an entry or neighbour that does not exist, ef below k, or what
            `similarities` refuses.

    Relations: the search of HNSW at its bottom level: same ids as faiss over the same links and
    entry.

    Reference: Malkov and Yashunin 2018, "Efficient and robust approximate nearest neighbor search
    using Hierarchical Navigable Small World graphs", algorithm 2.
    """
    return descend(query, rows, [neighbours], entry, ef, k, metric)


def descend(
    query, rows, levels: list[np.ndarray], entry: int, ef: int, k: int = 1, metric="l2"
) -> Walk:
    """HNSW: greedy walks through the sparse upper levels find the entry for the beam at the bottom.

    Args:
        levels: neighbours `(n, degree)` per level, bottom first, -1 where a node has none there.
        entry: a node of the highest level.

    Reference: Malkov and Yashunin 2018, algorithm 5.
    """
    if check_count(ef, "ef") < check_count(k, "k"):
        raise RetrievalInputError(f"ef = {ef} cannot return k = {k}; give an ef of at least k")
    scores = similarities(np.asarray(query)[None], rows, metric)[
        0
    ]  # the walk reads only those it scores
    levels = [check_neighbours(neighbours, len(scores), entry) for neighbours in levels]
    path: list[int] = []
    scored: list[int] = []
    for neighbours in levels[:0:-1]:
        step = walk(lambda nodes: scores[nodes], neighbours, int(entry), 1, 1)
        path, scored, entry = path + step.path, scored + step.scored, int(step.ids[0])
    last = walk(lambda nodes: scores[nodes], levels[0], int(entry), ef, k)
    return Walk(last.ids, last.scores, path + last.path, list(dict.fromkeys(scored + last.scored)))


def levels_of(hnsw) -> list[np.ndarray]:
    """The links of a faiss HNSW (`index.hnsw`), as `descend` takes them: one `(n, degree)` a
    level.
    """
    import faiss

    stored = faiss.vector_to_array(hnsw.levels)  # 1 for a node at the bottom alone
    offsets = faiss.vector_to_array(hnsw.offsets)[:-1].astype(np.int64)
    every = np.array(faiss.vector_to_array(hnsw.neighbors), np.int64)
    limits = faiss.vector_to_array(hnsw.cum_nneighbor_per_level)
    levels = []
    for level in range(hnsw.max_level + 1):
        members = np.flatnonzero(stored > level)
        neighbours = np.full((len(stored), limits[level + 1] - limits[level]), -1)
        places = offsets[members, None] + np.arange(limits[level], limits[level + 1])
        neighbours[members] = every[places]
        levels.append(neighbours)
    return levels


def check_neighbours(neighbours, n: int, entry) -> np.ndarray:
    """Neighbours as `(n, degree)` positions, or `RetrievalInputError`."""
    neighbours = np.asarray(neighbours)
    if neighbours.ndim != 2 or len(neighbours) != n or neighbours.dtype.kind not in "iu":
        raise RetrievalInputError(
            f"neighbours must be whole numbers of shape ({n}, degree), "
            f"got {neighbours.dtype} {neighbours.shape}"
        )
    for name, low, high in (
        ("entry", entry, entry),
        ("neighbours", neighbours.min(), neighbours.max()),
    ):
        if not (0 if name == "entry" else -1) <= low <= high < n:
            raise RetrievalInputError(f"{name} must be positions below {n}, got {low} to {high}")
    return neighbours


def walk(score, neighbours: np.ndarray, entry: int, ef: int, k: int) -> Walk:
    """`beam_search`, given a function that scores a list of nodes."""
    first = float(score([entry])[0])
    waiting, best = (
        [(-first, entry)],
        [(first, -entry)],
    )  # heaps: the best to expand, the worst remembered
    path, scored, seen = [], [entry], {entry}
    while waiting:
        cost, node = heapq.heappop(waiting)
        if len(best) == ef and -cost < best[0][0]:
            break
        path.append(node)
        fresh = [int(other) for other in neighbours[node] if other >= 0 and other not in seen]
        seen.update(fresh)
        scored += fresh
        for other, value in zip(fresh, score(fresh)):
            if len(best) < ef or value > best[0][0]:
                heapq.heappush(waiting, (-float(value), other))
                heapq.heappush(best, (float(value), -other))
                if len(best) > ef:
                    heapq.heappop(best)
    best = sorted(best, reverse=True)[:k]
    return Walk(
        np.array([-node for _, node in best]), np.array([value for value, _ in best]), path, scored
    )
