"""Candidates for late interaction: documents that share centroids with the tokens of a query."""

from dataclasses import dataclass

import numpy as np

from lib.core.token_vectors import Tokens
from lib.index.exact_scores import pack, prepare, score_block
from lib.index.ids import owners, place_in_row, spans

CELLS = 2**21  # similarities in memory at one time


@dataclass(frozen=True)
class Candidates:
    """Documents for each query, in compressed rows.

    Args:
        offsets: `(n_queries + 1,)` int64; those of query i are at `offsets[i]:offsets[i + 1]`.
        ids: `(n_pairs,)` int64 positions of documents, ascending within a query.
        scores: `(n_pairs,)` float32, the approximate MaxSim of each.
    """

    offsets: np.ndarray
    ids: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> np.ndarray:
        """`(n_queries,)` documents of each query."""
        return np.diff(self.offsets)

    def padded_ids(self) -> np.ndarray:
        """Return the ids as `(n_queries, most)` int64, filled up with -1, for `maxsim_pairs`."""
        padded = np.full((len(self), self.counts.max(initial=0)), -1)
        padded[np.arange(padded.shape[1]) < self.counts[:, None]] = self.ids
        return padded


class CentroidLists:
    """Inverted lists: the documents with a token at each centroid, the centroids of each document.

    `nearest` is the centroid of each token `(T,)`, by document; `counts` the tokens of each `(n,)`.
    """

    def __init__(self, centroids: np.ndarray, nearest: np.ndarray, counts: np.ndarray) -> None:
        self.centroids = prepare(centroids, "centroids", "inner_product")
        self.nearest, self.counts = nearest, counts
        self.starts = np.cumsum(counts) - counts  # where the tokens of each document begin
        n, k = len(counts), len(centroids)
        centroid, document = np.divmod(np.unique(nearest.astype(np.int64) * n + owners(counts)), n)
        self.documents = document.astype(np.int32)  # each once in a list, ascending
        # The list of centroid c is documents[limits[c]:limits[c + 1]].
        self.limits = np.searchsorted(centroid, np.arange(k + 1))

    def candidates(self, queries: Tokens, nprobe: int, most: int | None) -> Candidates:
        """Find candidates block by block, for `TokenIndex.candidates`."""
        size = max(1, CELLS // (queries.mask.shape[1] * len(self.centroids)))
        starts = range(0, max(1, len(queries)), size)
        batches = [queries.take(slice(start, start + size)) for start in starts]
        blocks = [self._block(batch, nprobe, most) for batch in batches]
        counts, ids, scores = (np.concatenate(parts) for parts in zip(*blocks))
        return Candidates(np.concatenate([[0], np.cumsum(counts)]), ids, scores)

    def _block(
        self, queries: Tokens, nprobe: int, most: int | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        tokens, owner = queries.flat()
        n, k, n_queries = len(self.counts), len(self.centroids), len(queries)
        vectors = prepare(tokens, "queries", "inner_product", allow_empty=True)
        # (T, k), the same bits on every machine
        similarities = score_block(vectors, self.centroids, "inner_product")
        keys = pack(similarities, np.arange(k))
        probed = np.partition(keys, nprobe - 1, axis=1)[:, :nprobe] & 0xFFFFFFFF
        # Centroids of any token of a query, then the documents in any of their lists, each once.
        query, centroid = np.divmod(np.unique(owner[:, None] * k + probed), k)
        begins = self.limits[centroid]
        pair, at = spans(begins, self.limits[centroid + 1] - begins)
        query, document = np.divmod(np.unique(query[pair] * n + self.documents[at]), n)
        scores = self._approximate_maxsim(similarities, queries.counts, query, document)
        if most is not None:
            order = np.lexsort((pack(scores, document), query))  # best first within a query
            best = np.sort(order[place_in_row(query[order], n_queries) < most])
            query, document, scores = query[best], document[best], scores[best]
        return np.bincount(query, minlength=n_queries), document, scores

    def _approximate_maxsim(
        self,
        similarities: np.ndarray,
        query_counts: np.ndarray,
        query: np.ndarray,
        document: np.ndarray,
    ) -> np.ndarray:
        """Compute sum_i max_j <q_i, c(d_j)> of pairs, `(n_pairs,)` float32."""
        k, longest = len(self.centroids), query_counts.max(initial=1)
        owner = owners(query_counts)
        # A row for each query and centroid; 0 where a query has no more tokens.
        table = np.zeros((len(query_counts), k, longest), np.float32)
        table[owner, :, place_in_row(owner, len(query_counts))] = similarities
        table = table.reshape(-1, longest)
        sums = np.empty(len(query), np.float32)
        size = max(1, CELLS // (longest * self.counts.max()))
        for start in range(0, len(query), size):
            now = slice(start, start + size)
            counts = self.counts[document[now]]
            pair, at = spans(self.starts[document[now]], counts)
            # (tokens of documents, longest), then (pairs, longest)
            rows = table.take(query[now][pair] * k + self.nearest[at], axis=0)
            best = np.maximum.reduceat(rows, np.cumsum(counts) - counts, axis=0)
            # In float64 the sum is the same in any order, but for the last rounding.
            sums[now] = best.sum(axis=1, dtype=np.float64)
        return sums
