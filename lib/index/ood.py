"""Indexes of one modality adapted to queries of another: graph links and list copies by queries.

Both learn from training queries with known neighbours. A Flat index or `topk_exact` finds the
neighbours. Do not evaluate an index on its training queries.
"""

import numpy as np

from lib.core.checks import RetrievalInputError, check_count, check_k
from lib.index.base import SearchResult, VectorSearchIndex
from lib.index.exact import topk_exact
from lib.index.exact_scores import best_of_pairs, prepare
from lib.index.hnsw import HNSWIndex
from lib.index.ids import place_in_row, spans
from lib.index.ivf import check_nprobe

PAIRS_AT_ONCE = 2**21  # queries x vectors of their lists


def link_by_queries(index: VectorSearchIndex, neighbours) -> int:
    """Link vectors that are neighbours of the same query, in free places of the bottom level.

        for each query with neighbours x_1, ..., x_k:   x_1 -> x_j and x_j -> x_1,  j = 2 ... k

    A cross-modal base is linked by the distances between images; a text can lie between images
    that are far from each other and not linked. Links that come from more queries are added first.
    No link is removed, and the index stays as large, because a free place is stored as well.

    Args:
        index: of type "HNSW", with the base in it; it is changed.
        neighbours: `(n_queries, k)` ids of the exact nearest vectors of training queries, best
            first.

    Returns:
        Number of links that were added.

    Reference: after Chen et al. 2024, "RoarGraph: A Projected Bipartite Graph for Efficient
    Cross-Modal Approximate Nearest Neighbor Search", which builds the whole graph from such pairs.
    """
    if not isinstance(index, HNSWIndex):
        raise RetrievalInputError(f"index must be of type 'HNSW', got {index.index_type!r}")
    neighbours = np.asarray(neighbours)
    if neighbours.ndim != 2 or neighbours.shape[1] < 2 or neighbours.dtype.kind not in "iu":
        raise RetrievalInputError(
            f"neighbours must be (n_queries, k >= 2) ids, got {neighbours.dtype} {neighbours.shape}"
        )
    at = index.positions_of(neighbours)
    if (at < 0).any():
        row, column = np.argwhere(at < 0)[0]
        cell = f"neighbours[{row}, {column}] is {neighbours[row, column]}"
        raise RetrievalInputError(f"{cell}, an id that is not in the index")
    n, links = index.ntotal, index.bottom_links  # (n, 2 M), -1 where a place is free
    first, other = np.repeat(at[:, 0], at.shape[1] - 1), at[:, 1:].ravel()
    both_ways = np.concatenate([first * n + other, other * n + first])
    pairs, n_queries = np.unique(both_ways, return_counts=True)
    source, target = np.divmod(pairs, n)
    linked = np.arange(n)[:, None] * n + links
    new = (source != target) & ~np.isin(pairs, linked[links >= 0])
    source, target, n_queries = source[new], target[new], n_queries[new]
    order = np.lexsort((target, -n_queries, source))
    source, target = source[order], target[order]
    place = (links >= 0).sum(axis=1)[source] + place_in_row(source, n)
    fits = place < links.shape[1]
    links[source[fits], place[fits]] = target[fits]
    index.bottom_links = links
    return int(fits.sum())


class QueryAwareLists:
    """Search an inverted file with copies of vectors in the lists where training queries look.

        list(c) = { x : cell(x) = c }  and
                  { x : x is among the neighbours of a training query in cell c }

    The cells are those of the base. A query of another modality lies near their borders or outside
    all of them, and its neighbours are spread over more cells than it visits; copies bring them
    into the cells that such queries visit. A vector in several visited lists is compared once.
    Without training queries this is `VectorSearchIndex(d, "IVF")`, which is faster: here each
    search gathers candidates with numpy.

    Args:
        centroids: `(nlist, d)` numbers.
        vectors: `(n, d)` numbers; ids are positions.
        queries: `(m, d)` training queries.
        neighbours: `(m, k)` positions of their exact nearest vectors.
        metric: one of `lib.index.METRICS`.

    Reference: multiple assignment (Jegou, Douze and Schmid 2010, "Improving Bag-of-Features for
    Large Scale Image Search"), but by the neighbours of queries instead of by distance.
    """

    def __init__(self, centroids, vectors, queries, neighbours, metric: str = "cosine") -> None:
        self.metric, self.nprobe = metric, 1
        self.centroids = prepare(centroids, "centroids", metric)
        self.vectors = prepare(vectors, "vectors", metric, dim=self.centroids.rows.shape[1])
        neighbours, n = np.asarray(neighbours), len(self.vectors)
        is_matrix = neighbours.ndim == 2 and len(neighbours) == len(queries)
        if not is_matrix or neighbours.dtype.kind not in "iu":
            got = f"{neighbours.dtype} {neighbours.shape}"
            raise RetrievalInputError(f"neighbours must be ({len(queries)}, k) integers, got {got}")
        outside = (neighbours < 0) | (neighbours >= n)
        if outside.any():
            row, column = np.argwhere(outside)[0]
            cell = f"neighbours[{row}, {column}]"
            item = neighbours[row, column]
            raise RetrievalInputError(f"{cell} must be below {n} (the vectors), got {item}")
        members = self._nearest(self.vectors.rows, 1).ravel() * n + np.arange(n)
        copies = np.empty(0, np.int64)
        if len(queries):
            copies = (self._nearest(queries, 1) * n + neighbours).ravel()
        cell, self._members = np.divmod(np.unique(np.concatenate([members, copies])), n)
        self._limits = np.searchsorted(cell, np.arange(len(self.centroids) + 1))

    @property
    def stored(self) -> int:
        """Number of entries of all lists together."""
        return len(self._members)

    def set_search(self, nprobe: int) -> None:
        """Set the number of lists that a query visits."""
        nprobe = check_count(nprobe, "nprobe")
        check_nprobe(nprobe, len(self.centroids))
        self.nprobe = nprobe

    def search(self, queries, k: int) -> SearchResult:
        """Find the k best vectors of the visited lists, as `VectorSearchIndex.search` does."""
        dim = self.vectors.rows.shape[1]
        vectors = prepare(queries, "queries", self.metric, dim=dim, allow_empty=True)
        k, n = check_k(k, len(self.vectors)), len(vectors)
        scores, ids = np.empty((n, k), np.float32), np.empty((n, k), np.int64)
        cells = self._nearest(vectors.rows, self.nprobe)
        lengths = np.diff(self._limits)
        work = {"distances": 0, "centroids": n * len(self.centroids), "lists": cells.size}
        longest = max(1, int(np.sort(lengths)[-self.nprobe :].sum()))
        step = max(1, PAIRS_AT_ONCE // longest)
        for start in range(0, n, step):
            visited = cells[start : start + step].ravel()
            slot, at = spans(self._limits[visited], lengths[visited])
            pairs = np.unique(slot // self.nprobe * len(self.vectors) + self._members[at])
            query, item = np.divmod(pairs, len(self.vectors))
            work["distances"] += len(pairs)
            now = slice(start, start + step)
            batch = vectors.take(now)
            scores[now], ids[now] = best_of_pairs(batch, self.vectors, query, item, k, self.metric)
        return SearchResult(scores, ids, work)

    def _nearest(self, rows, count: int) -> np.ndarray:
        return topk_exact(rows, self.centroids.rows, count, self.metric)[1]
