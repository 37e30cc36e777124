"""Ranks of relevant items with their ties kept open, and the metrics that follow under each
policy.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lib.core.checks import check_choice, check_k
from lib.core.qrels import Qrels

TIES = ("pessimistic", "optimistic", "expected", "id")
CELLS_AT_ONCE = 2**20  # bounds the memory of the expectation over tie orders


@dataclass(frozen=True, eq=False, repr=False)
class RelevantRanks:
    """How many items score above each relevant one, and how many the same: all that ranks depend
    on.

    Equal scores say nothing about order, so that a model that answers everything alike has no
    ranking, but every ranking is one of its own. A policy says which one is meant. With b items
    above, e items (itself included) of the same score and t relevant ones among them, the first
    relevant rank is

        "pessimistic"  b + 1 + (e - t)            wrong items first: can never flatter
        "optimistic"   b + 1                      relevant items first
        "expected"     b + (e + 1) / (t + 1)      the mean over all orders; so are hit rate and MRR
        "id"           b + 1 + the tied items with a smaller gallery position: what an index returns

    Args:
        qrels: the relevant items that were counted, all or the best-scored of each query.
        above: `(n_judgements,)` items of the gallery with a higher score than this relevant one.
        tied: `(n_judgements,)` items with its score, itself included.
        before: `(n_judgements,)` items with its score and a smaller position.

    Relations: `ranks_of_relevant` counts them from embeddings, `ranks_in_scores` from scores.

    Reference: F. McSherry, M. Najork, Computing Information Retrieval Performance Measures
    Efficiently in the Presence of Tied Scores, ECIR 2008.
    """

    qrels: Qrels
    above: np.ndarray
    tied: np.ndarray
    before: np.ndarray

    @property
    def n_queries(self) -> int:
        return self.qrels.shape[0]

    @cached_property
    def _order(self) -> np.ndarray:
        # By query, then best first, then by id; the first of a query is its first relevant item.
        return np.lexsort((self.qrels.items, self.above, self.qrels.query_index))

    @cached_property
    def _groups(self) -> tuple[np.ndarray, np.ndarray]:
        """For every judgement: the relevant items that share its score, and how many of them come
        earlier.
        """
        keys = (self.qrels.query_index * (self.qrels.n_items + 1) + self.above)[self._order]
        start, stop = np.searchsorted(keys, keys), np.searchsorted(keys, keys, side="right")
        together, earlier = np.empty((2, keys.size), np.int64)
        together[self._order], earlier[self._order] = stop - start, np.arange(keys.size) - start
        return together, earlier

    @cached_property
    def _first(self) -> tuple[np.ndarray, np.ndarray]:
        """Queries that have a relevant item, and the judgement that is their first one."""
        queries = np.flatnonzero(self.qrels.counts)
        return queries, self._order[self.qrels.indptr[queries]]

    def ranks(self, ties: str = "pessimistic") -> np.ndarray:
        """The rank of every counted relevant item, `(n_judgements,)` float64, in the order of
        `qrels`.

        Tied relevant items follow each other, before ("optimistic") or after ("pessimistic") the
        wrong ones; "expected" is the mean rank of each, b + (e + 1) / 2.
        """
        check_choice(ties, TIES, "ties")
        together, earlier = self._groups
        if ties == "id":
            return self.above + self.before + 1.0
        if ties == "expected":
            return self.above + (self.tied + 1) / 2
        return self.above + earlier + 1.0 + (self.tied - together if ties == "pessimistic" else 0)

    def first_rank(self, ties: str = "pessimistic") -> np.ndarray:
        """The rank of the first relevant item, `(n_queries,)` float64; infinity where nothing is
        relevant.
        """
        queries, first = self._first
        ranks = np.full(self.n_queries, np.inf)
        if check_choice(ties, TIES, "ties") == "expected":
            ranks[queries] = self.above[first] + (self.tied[first] + 1) / (
                self._groups[0][first] + 1
            )
        else:
            ranks[queries] = self.ranks(ties)[first]
        return ranks

    def hit_rate_at_k(self, k: int, ties: str = "pessimistic") -> np.ndarray:
        """Hit rate at k, `(n_queries,)` float64; under "expected" the probability of a hit.

        P(hit@k) = 1 - C(e - t, k - b) / C(e, k - b);  0 if k <= b,  1 if k - b > e - t
        """
        k = check_k(k, self.qrels.n_items)
        if check_choice(ties, TIES, "ties") != "expected":
            return (self.first_rank(ties) <= k).astype(np.float64)
        return self._expected(lambda rank: (rank <= k).astype(np.float64), k)

    def reciprocal_rank(self, k: int | None = None, ties: str = "pessimistic") -> np.ndarray:
        """One over the first relevant rank, 0 beyond k; `(n_queries,)` float64, under "expected"
        its mean.
        """
        k = self.qrels.n_items if k is None else check_k(k, self.qrels.n_items)
        if check_choice(ties, TIES, "ties") != "expected":
            rank = self.first_rank(ties)
            return np.where(rank <= k, 1 / rank, 0.0)
        return self._expected(lambda rank: np.where(rank <= k, 1 / rank, 0.0), k)

    def average_precision_at_r(self, ties: str = "pessimistic") -> np.ndarray:
        """AP@R, `(n_queries,)` float64: precision at each relevant rank up to R, over R; 0 where R
        is 0.

            AP@R = 1/R sum_{j : r_j <= R} (relevant items at ranks 1..r_j) / r_j,   R relevant items

        It needs all relevant items counted, not only the first of each query; "expected" is
        refused.
        """
        rank, place, query, within = self._up_to_r(ties)
        sums = np.bincount(query[within], (place / rank)[within], minlength=self.n_queries)
        return sums / np.maximum(self.qrels.counts, 1)

    def r_precision(self, ties: str = "pessimistic") -> np.ndarray:
        """R-precision, `(n_queries,)` float64: the share of the R relevant items at ranks 1..R; as
        above.
        """
        _, _, query, within = self._up_to_r(ties)
        return np.bincount(query[within], minlength=self.n_queries) / np.maximum(
            self.qrels.counts, 1
        )

    def _up_to_r(self, ties: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of every judgement, best first: rank, place among the relevant, query, and whether rank
        <= R.
        """
        rank = self.ranks(
            check_choice(ties, [policy for policy in TIES if policy != "expected"], "ties")
        )
        rank, query = rank[self._order], self.qrels.query_index  # the order keeps queries together
        place = np.arange(rank.size) - self.qrels.indptr[query] + 1
        return rank, place, query, rank <= self.qrels.counts[query]

    def median_rank(self, ties: str = "pessimistic") -> float:
        """The median over queries of `first_rank`."""
        return float(np.median(self.first_rank(ties)))

    def mean_rank(self, ties: str = "pessimistic") -> float:
        """The mean over queries of `first_rank`."""
        return float(np.mean(self.first_rank(ties)))

    @property
    def is_tied(self) -> np.ndarray:
        """`(n_queries,)` whether the first relevant item shares its score with a wrong one."""
        queries, first = self._first
        tied = np.zeros(self.n_queries, bool)
        tied[queries] = self.tied[first] > self._groups[0][first]
        return tied

    @property
    def tie_share(self) -> float:
        """The share of queries whose first relevant rank depends on the policy."""
        return float(self.is_tied.mean())

    def _expected(self, value, k: int) -> np.ndarray:
        """Mean of `value(first rank)` over all orders of each query's first tie group, ranks up to
        k.
        """
        queries, first = self._first
        triples = np.stack([self.above[first], self.tied[first], self._groups[0][first]], axis=1)
        triples = triples.astype(np.int64)
        different, which = np.unique(triples, axis=0, return_inverse=True)
        by_size = np.argsort(different[:, 1], kind="stable")
        expected = np.empty(len(different))
        start = 0
        while start < len(by_size):
            # Rows of similar width together; at least one, however wide.
            widths = np.minimum(different[by_size[start:], 1], k) * np.arange(
                1, len(by_size) - start + 1
            )
            now = by_size[start : start + max(1, int(np.searchsorted(widths, CELLS_AT_ONCE)))]
            above, size, relevant = different[now].T[:, :, None]
            drawn = np.arange(min(int(size.max()), k))
            stays = np.maximum(size - relevant - drawn, 0) / np.maximum(size - drawn, 1)
            none_so_far = np.cumprod(
                stays, axis=1
            )  # no relevant item among the first 1, 2, ... of the group
            none_before = np.concatenate([np.ones((now.size, 1)), none_so_far[:, :-1]], axis=1)
            expected[now] = ((none_before - none_so_far) * value(above + drawn + 1.0)).sum(axis=1)
            start += now.size
        result = np.zeros(self.n_queries)
        result[queries] = expected[which.ravel()]
        return result

    def __repr__(self) -> str:
        return (
            f"RelevantRanks({self.n_queries:,} queries x {self.qrels.n_items:,} items, "
            f"{self.qrels.items.size:,} ranks, {self.tie_share:.1%} of queries tied)"
        )
