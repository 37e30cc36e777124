"""Inverted lists that also hold what queries near them want, against borders drawn for another
modality.
"""

import numpy as np

from lib.core.checks import RetrievalInputError, check_count, check_k
from lib.index.exact import topk_exact
from lib.index.exact_scores import prepare
from lib.index.ivf import check_nprobe
from lib.index.pairs import best_of_pairs, spans

PAIRS_AT_ONCE = 2**21  # queries x vectors of their lists


class QueryAwareLists:
    """The lists of an inverted file, in which a vector may stand several times.

        list(c) = { x : cell(x) = c }  and  { x : x is among the neighbours of a training query in
        cell c }

    The cells are those of the base; a query of another modality lies near their borders, or outside
    all of them, and its neighbours are spread over more cells than it visits. Copies bring them
    where such queries look. A vector that stands in several visited lists is compared once.

    Args:
        centroids: `(nlist, d)` numbers.
        vectors: `(n, d)` numbers; ids are positions.
        queries: `(m, d)` training queries.
        neighbours: `(m, k)` positions of their exact nearest vectors.
        metric: one of `lib.index.METRICS`.

    Raises:
        RetrievalInputError: other shapes, or a position outside the vectors.

    Relations: without training queries this is `VectorSearchIndex("IVF")`, which is faster: here
    each search gathers candidates with numpy.

    Reference: multiple assignment (Jegou, Douze and Schmid 2010, "Improving Bag-of-Features for
    Large Scale Image Search"), but by what queries want instead of by distance.
    """

    def __init__(self, centroids, vectors, queries, neighbours, metric: str = "cosine") -> None:
        self.metric, self.nprobe = metric, 1
        self.centroids = prepare(centroids, "centroids", metric)
        self.vectors = prepare(vectors, "vectors", metric, dim=self.centroids.rows.shape[1])
        neighbours, n = np.asarray(neighbours), len(self.vectors)
        if (
            neighbours.ndim != 2
            or neighbours.dtype.kind not in "iu"
            or len(neighbours) != len(queries)
        ):
            raise RetrievalInputError(
                f"neighbours must be ({len(queries)}, k) positions, got {neighbours.dtype}"
                f" {neighbours.shape}"
            )
        outside = (neighbours < 0) | (neighbours >= n)
        if outside.any():
            row, column = np.argwhere(outside)[0]
            raise RetrievalInputError(
                f"neighbours[{row}, {column}] is {neighbours[row, column]}, not among {n} vectors"
            )
        own = self._nearest(self.vectors.rows, 1).ravel() * n + np.arange(n)
        wanted = (
            self._nearest(queries, 1) * n + neighbours if len(queries) else np.empty(0, np.int64)
        )
        cell, self._members = np.divmod(np.unique(np.concatenate([own, wanted.ravel()])), n)
        self._limits = np.searchsorted(cell, np.arange(len(self.centroids) + 1))
        self._work: dict[str, int] = {}

    @property
    def stored(self) -> int:
        """Entries of all lists together."""
        return len(self._members)

    @property
    def work(self) -> dict[str, int]:
        """What the last search did for all queries, as for `VectorSearchIndex.work`."""
        return dict(self._work)

    def set_search(self, nprobe: int) -> None:
        """How many lists a query visits."""
        nprobe = check_count(nprobe, "nprobe")
        check_nprobe(nprobe, len(self.centroids))
        self.nprobe = nprobe

    def search(self, queries, k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k best vectors of the visited lists; arguments and result as for
        `VectorSearchIndex.search`.
        """
        asked = prepare(
            queries, "queries", self.metric, dim=self.vectors.rows.shape[1], allow_empty=True
        )
        k = check_k(k, len(self.vectors))
        scores, ids = np.empty((len(asked), k), np.float32), np.empty((len(asked), k), np.int64)
        cells = self._nearest(asked.rows, self.nprobe)
        lengths = np.diff(self._limits)
        self._work = {
            "distances": 0,
            "centroids": len(asked) * len(self.centroids),
            "lists": cells.size,
        }
        longest = max(1, int(np.sort(lengths)[-self.nprobe :].sum()))
        step = max(1, PAIRS_AT_ONCE // longest)
        for start in range(0, len(asked), step):
            visited = cells[start : start + step]
            slot, at = spans(self._limits[visited.ravel()], lengths[visited.ravel()])
            pairs = np.unique(slot // self.nprobe * len(self.vectors) + self._members[at])
            query, item = np.divmod(pairs, len(self.vectors))
            self._work["distances"] += len(pairs)
            now = slice(start, start + step)
            scores[now], ids[now] = best_of_pairs(
                asked.take(now), self.vectors, query, item, k, self.metric
            )
        return scores, ids

    def _nearest(self, rows, count: int) -> np.ndarray:
        return topk_exact(rows, self.centroids.rows, count, self.metric)[1]
