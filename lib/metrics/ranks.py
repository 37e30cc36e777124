"""Ranks of relevant items from embeddings or scores, with every policy for ties."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lib.core.checks import (
    RetrievalInputError,
    as_embeddings,
    check_choice,
    check_count,
    check_k,
    unit_rows,
)
from lib.core.qrels import Qrels, check_qrels
from lib.metrics.kernels import PlacedItems
from lib.metrics.runs import check_judgements, queries_without_relevant

TIES = ("pessimistic", "optimistic", "expected", "id")
CELLS_AT_ONCE = 2**20  # bounds the memory of the expectation over tie orders
GALLERY_BLOCK = 2048  # with 512 queries one block of scores is 4 MB, small enough to stay in cache
PAIR_VALUES = 2**20  # of embeddings gathered at a time for products in float64
CROWDED = 1 / 64  # share of undecided cells from which the block is worth a product in float64


@dataclass(frozen=True, eq=False, repr=False)
class RelevantRanks:
    """Number of items above each relevant item, and with the same score; ranks under each policy.

    Equal scores say nothing about order, so a policy for ties decides it. With b items above, e
    items (itself included) of the same score and t relevant ones among them, the first relevant
    rank is

        "pessimistic"  b + 1 + (e - t)            wrong items first: never flatters a model
        "optimistic"   b + 1                      relevant items first
        "expected"     b + (e + 1) / (t + 1)      the mean over all orders; so are hit rate and MRR
        "id"           b + 1 + the tied items with a smaller gallery position: what an index returns

    `ranks_of_relevant` counts from embeddings, `ranks_in_scores` from scores.

    Args:
        qrels: the relevant items that were counted, all or the best-scored of each query.
        above: `(n_judgements,)` items of the gallery with a higher score than this relevant one.
        tied: `(n_judgements,)` items with its score, itself included.
        before: `(n_judgements,)` items with its score and a smaller position.

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

    def _placed(self, sign: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Order the judgements by query, then best first; ties by grade times `sign`, then by id.

        Returns the order, and for each place the relevant items of its score, all and the earlier
        ones.
        """
        query, grades = self.qrels.query_index, sign * self.qrels.grades.astype(np.int32)
        order = np.lexsort((self.qrels.items, grades, self.above, query))
        keys = (query * (self.qrels.n_items + 1) + self.above)[order]
        start, stop = np.searchsorted(keys, keys), np.searchsorted(keys, keys, side="right")
        return order, stop - start, np.arange(keys.size) - start

    @cached_property
    def _first(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return queries with a relevant item, the first of each, and how many tie with it."""
        queries = np.flatnonzero(self.qrels.counts)
        order, together, _ = self._placed()
        at = self.qrels.indptr[queries]
        return queries, order[at], together[at]

    def placed_items(self, ties: str = "pessimistic") -> PlacedItems:
        """Return ranks and grades, best first; "expected" has no single order and is refused.

        Tied relevant items come after the wrong ones ("pessimistic", low grades first) or before.
        """
        check_choice(ties, [policy for policy in TIES if policy != "expected"], "ties")
        order, together, earlier = self._placed({"pessimistic": 1, "optimistic": -1, "id": 0}[ties])
        extra = {
            "pessimistic": earlier + self.tied[order] - together,
            "optimistic": earlier,
            "id": self.before[order],
        }
        rank = self.above[order] + 1 + extra[ties]
        grades = self.qrels.grades[order]
        return PlacedItems(self.qrels.query_index, rank, grades, self.qrels.counts)

    def first_rank(self, ties: str = "pessimistic") -> np.ndarray:
        """Return the first relevant rank, `(n_queries,)` float64; infinity where there is none."""
        queries, first, together = self._first
        check_choice(ties, TIES, "ties")
        above, tied = self.above[first], self.tied[first]
        ranks = np.full(self.n_queries, np.inf)
        ranks[queries] = {
            "pessimistic": above + 1 + tied - together,
            "optimistic": above + 1,
            "expected": above + (tied + 1) / (together + 1),
            "id": above + 1 + self.before[first],
        }[ties]
        return ranks

    def hit_rate_at_k(self, k: int, ties: str = "pessimistic") -> np.ndarray:
        """Return the hit rate at k, `(n_queries,)` float64; "expected" is the probability of a hit.

        P(hit@k) = 1 - C(e - t, k - b) / C(e, k - b);  0 if k <= b,  1 if k - b > e - t
        """
        k = check_k(k, self.qrels.n_items)
        return self._mean_over_orders(lambda rank: (rank <= k).astype(np.float64), k, ties)

    def reciprocal_rank(self, k: int | None = None, ties: str = "pessimistic") -> np.ndarray:
        """Return the reciprocal rank, 0 beyond k, `(n_queries,)`; "expected" is its mean."""
        k = self.qrels.n_items if k is None else check_k(k, self.qrels.n_items)
        return self._mean_over_orders(lambda rank: np.where(rank <= k, 1 / rank, 0.0), k, ties)

    @property
    def tie_share(self) -> float:
        """The share of queries where the first relevant rank depends on the policy."""
        return float((self.first_rank("optimistic") != self.first_rank("pessimistic")).mean())

    def take(self, queries: np.ndarray, min_grade: int = 1) -> "RelevantRanks":
        """Keep some queries, in ascending order, and their judgements of a grade or more."""
        kept = np.zeros(self.n_queries, bool)
        kept[queries] = True
        cells = kept[self.qrels.query_index] & (self.qrels.grades >= min_grade)
        counts = self.above[cells], self.tied[cells], self.before[cells]
        return RelevantRanks(self.qrels.take_queries(queries).at_least(min_grade), *counts)

    def _mean_over_orders(self, value, k: int, ties: str) -> np.ndarray:
        """Apply `value` to the first rank; for "expected", average it over all orders of ties."""
        if check_choice(ties, TIES, "ties") != "expected":
            return value(self.first_rank(ties))
        queries, first, together = self._first
        triples = np.stack([self.above[first], self.tied[first], together], axis=1)
        different, which = np.unique(triples, axis=0, return_inverse=True)
        by_size = np.argsort(different[:, 1], kind="stable")
        expected = np.empty(len(different))
        start = 0
        while start < len(by_size):
            # Rows of similar width together; at least one, however wide.
            n_rows = np.arange(1, len(by_size) - start + 1)
            cells = np.minimum(different[by_size[start:], 1], k) * n_rows
            now = by_size[start : start + max(1, int(np.searchsorted(cells, CELLS_AT_ONCE)))]
            above, size, relevant = different[now].T[:, :, None]
            drawn = np.arange(min(int(size.max()), k))
            stays = np.maximum(size - relevant - drawn, 0) / np.maximum(size - drawn, 1)
            none_so_far = np.cumprod(stays, axis=1)  # no relevant item among the first 1, 2, ...
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


# ---- counting, without sorting


def ranks_of_relevant(
    queries,
    gallery,
    qrels: Qrels,
    *,
    metric: str = "cosine",
    which: str = "all",
    no_relevant: str = "error",
    query_block: int = 512,
    excluded: Qrels | None = None,
    candidates: Qrels | None = None,
) -> RelevantRanks:
    """Count the ranks of relevant items from embeddings, exactly and without the matrix of scores.

        above(i, j) = |{l : s_il > s_ij}|,   tied(i, j) = |{l : s_il = s_ij}|,   s_ij = <q_i, g_j>

    Products are in float32, where the same two vectors can differ in the last bit between blocks.
    Scores within the rounding error of a relevant item are decided in float64, and equal means
    equal up to the rounding of that. Identical items are tied for any block size.

    Args:
        queries: `(n_queries, d)` embeddings.
        gallery: `(n_items, d)` embeddings.
        qrels: the judgements, shape `(n_queries, n_items)`.
        metric: "cosine" or "inner_product".
        which: "all" relevant items, or the "first" of each query with those tied to it, which is
            enough for hit rate, reciprocal rank and the median, and faster where many are relevant.
        no_relevant: for queries without relevant items: "error", or "zero" (rank infinity).
        query_block: queries at a time; memory is about 10 bytes x query_block x 2048 items. It does
            not change the result.
        excluded: pairs of query and item, `(n_queries, n_items)`, that do not count: the item is
            no candidate of the query, as if it were not in the gallery. None may be relevant.
        candidates: the items of each query, `(n_queries, n_items)`, where it is ranked among these
            alone; every relevant item must be one.

    Returns:
        `RelevantRanks`, with metrics under each policy for ties.
    """
    check_choice(no_relevant, ("error", "zero"), "no_relevant")
    queries, gallery = _checked_rows(queries, gallery, metric)
    counter = _started(queries, gallery, qrels, which, no_relevant, excluded, candidates)
    if candidates is not None:
        counter.count_among(candidates)
        return counter.ranks()
    for rows, columns in _blocks(len(queries), len(gallery), query_block):
        counter.count(queries[rows] @ gallery[columns].T, rows, columns)
    return counter.ranks()


def ranks_both_ways(
    queries,
    gallery,
    qrels: Qrels,
    back: Qrels,
    *,
    metric: str = "cosine",
    which: str = "all",
    no_relevant: str = "error",
    query_block: int = 512,
) -> tuple[RelevantRanks, RelevantRanks]:
    """Count the ranks of both directions: the same counts from half of the products.

    Args:
        queries, gallery: embeddings, as for `ranks_of_relevant`.
        qrels: the judgements of the gallery, shape `(n_queries, n_items)`.
        back: the judgements of the other direction, shape `(n_items, n_queries)`: `qrels.T`, or
            those that a benchmark collected by themselves.
        metric, which, no_relevant, query_block: as for `ranks_of_relevant`.

    Returns:
        What `ranks_of_relevant(queries, gallery, qrels)` and `(gallery, queries, back)` return.
    """
    check_choice(no_relevant, ("error", "zero"), "no_relevant")
    queries, gallery = _checked_rows(queries, gallery, metric)
    forth = _started(queries, gallery, qrels, which, no_relevant)
    again = _started(gallery, queries, back, which, no_relevant)
    for rows, columns in _blocks(len(queries), len(gallery), query_block):
        block = queries[rows] @ gallery[columns].T
        forth.count(block, rows, columns)
        again.count(block, columns, rows, axis=1)
    return forth.ranks(), again.ranks()


def _checked_rows(queries, gallery, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the embeddings whose inner products are the scores."""
    check_choice(metric, ("cosine", "inner_product"), "metric")
    prepare = unit_rows if metric == "cosine" else as_embeddings
    queries = prepare(queries, "queries")
    return queries, prepare(as_embeddings(gallery, "gallery", dim=queries.shape[1]), "gallery")


def _started(
    queries, gallery, qrels: Qrels, which: str, no_relevant: str, excluded=None, candidates=None
) -> "_Counter":
    check_choice(which, ("all", "first"), "which")
    check_judgements(qrels, len(queries), len(gallery))
    queries_without_relevant(qrels, no_relevant)
    check_candidates(qrels, excluded, candidates)
    counter = _Counter(queries, gallery, qrels, excluded)
    if which == "first":
        counter.keep_best()
    return counter


def _blocks(n_queries: int, n_items: int, query_block: int) -> Iterator[tuple[slice, slice]]:
    for start in range(0, n_queries, check_count(query_block, "query_block")):
        for column in range(0, n_items, GALLERY_BLOCK):
            yield slice(start, start + query_block), slice(column, column + GALLERY_BLOCK)


def check_candidates(qrels: Qrels, excluded: Qrels | None, candidates: Qrels | None) -> None:
    """Refuse exclusions or candidates that do not fit the judgements."""
    if excluded is not None and candidates is not None:
        raise RetrievalInputError("give either excluded or candidates, not both")
    for name, pairs in (("excluded", excluded), ("candidates", candidates)):
        if pairs is None:
            continue
        check_qrels(pairs)
        if pairs.shape != qrels.shape:
            raise RetrievalInputError(
                f"{name} must have shape {qrels.shape} (the judgements), got {pairs.shape}"
            )
        inside = pairs.has_pairs(qrels.query_index, qrels.items)
        wrong = np.flatnonzero(inside if name == "excluded" else ~inside)
        if wrong.size:
            query, item = qrels.query_index[wrong[0]], qrels.items[wrong[0]]
            problem = "is excluded for" if name == "excluded" else "is not among the candidates of"
            raise RetrievalInputError(
                f"item {item} {problem} query {query}, but is relevant to it: no rank is defined."
                " Correct the pairs, or leave the judgement out"
            )


class _Counter:
    """Counts for every judgement while blocks of scores are computed."""

    def __init__(
        self, queries: np.ndarray, gallery: np.ndarray, qrels: Qrels, excluded: Qrels | None = None
    ) -> None:
        self.queries, self.gallery, self.excluded = queries, gallery, excluded
        self.excluded_queries = None if excluded is None else excluded.query_index
        self.query_norms, self.gallery_norms = (
            np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
            for rows in (queries, gallery)
        )
        if self.query_norms.max() * self.gallery_norms.max() > np.finfo(np.float32).max:
            query, item = self.query_norms.argmax(), self.gallery_norms.argmax()
            raise RetrievalInputError(
                f"queries[{query}] and gallery[{item}] are so long that their product overflows"
                " float32; scale both down, which changes no rank"
            )
        self._start(qrels, self._products(qrels.query_index, qrels.items))

    def _start(self, qrels: Qrels, relevant_scores: np.ndarray) -> None:
        self.qrels, self.relevant_scores = qrels, relevant_scores  # (n_judgements,) float64
        self.rows = qrels.query_index
        self.above, self.tied, self.before = np.zeros((3, relevant_scores.size), np.int64)

    def keep_best(self) -> None:
        """Drop all relevant items but the best of each query and those tied with it."""
        best = np.full(self.qrels.shape[0], -np.inf)
        np.maximum.at(best, self.rows, self.relevant_scores)
        keep = self.relevant_scores >= best[self.rows] - self._same(self.rows, self.qrels.items)
        indptr = np.concatenate([[0], np.cumsum(keep)])[self.qrels.indptr]
        items, grades = self.qrels.items[keep], self.qrels.grades[keep]
        best_only = Qrels(indptr, items, grades, self.qrels.n_items)
        self._start(best_only, self.relevant_scores[keep])

    def count(self, block: np.ndarray, rows: slice, columns: slice, axis: int = 0) -> None:
        """Add one block of float32 scores to the counts of the judgements of its queries.

        The queries `rows` are along `axis` of the block, the items `columns` along the other.
        """
        if self.excluded is not None:
            stop = min(rows.stop, len(self.queries))
            cells = slice(self.excluded.indptr[rows.start], self.excluded.indptr[stop])
            items = self.excluded.items[cells]
            here = (items >= columns.start) & (items < columns.stop)
            places = self.excluded_queries[cells][here] - rows.start, items[here] - columns.start
            block[places[axis], places[1 - axis]] = -np.inf  # below every relevant score
        starts, counts = self.qrels.indptr[:-1][rows], self.qrels.counts[rows]
        largest = self.gallery_norms[columns].max()
        for nth in range(counts.max(initial=0)):  # first relevant item of each query, then second
            has = np.flatnonzero(counts > nth)
            scores = block if has.size == counts.size else np.take(block, has, axis)
            self._add(scores, starts[has] + nth, columns, largest, axis)

    def _add(self, scores, cells: np.ndarray, columns: slice, largest: float, axis: int) -> None:
        relevant, rows = self.relevant_scores[cells], self.rows[cells]
        # |float32 product - exact| <= d 2^-24 |q| |g|; twice that leaves room for higher orders.
        width = 2 * self.queries.shape[1] * 2.0**-24 * self.query_norms[rows] * largest
        low = np.nextafter((relevant - width).astype(np.float32), np.float32(-np.inf))
        high = np.nextafter((relevant + width).astype(np.float32), np.float32(np.inf))
        low, high = (np.expand_dims(limits, 1 - axis) for limits in (low, high))
        surely_above = scores > high
        self.above[cells] += _count_true(surely_above, axis)
        undecided = np.flatnonzero((scores >= low) ^ surely_above)
        places = np.divmod(undecided, scores.shape[1])
        at, column = places[axis], places[1 - axis]
        item = columns.start + column
        if undecided.size > CROWDED * scores.size:  # a collapsed model: all vectors are close
            gallery = self.gallery[columns].astype(np.float64)
            exact = (self.queries[rows].astype(np.float64) @ gallery.T)[at, column]
        else:
            exact = self._products(rows[at], item)
        self._decide(cells, at, item, exact)

    def count_among(self, candidates: Qrels) -> None:
        """Count every judgement among the candidates of its query."""
        sizes = candidates.counts[self.rows]  # (n_judgements,)
        ends = np.cumsum(sizes)
        start = 0
        while start < sizes.size:
            stop = int(np.searchsorted(ends, ends[start] - sizes[start] + PAIR_VALUES, "right"))
            cells = np.arange(start, max(stop, start + 1))
            at = np.repeat(np.arange(cells.size), sizes[cells])
            nth = np.arange(at.size) - (ends[cells] - sizes[cells] - ends[start] + sizes[start])[at]
            item = candidates.items[candidates.indptr[self.rows[cells]][at] + nth]
            self._decide(cells, at, item, self._products(self.rows[cells][at], item))
            start = cells[-1] + 1

    def _decide(
        self, cells: np.ndarray, at: np.ndarray, item: np.ndarray, exact: np.ndarray
    ) -> None:
        """Compare float64 scores of some items with those of the judgements `cells[at]`."""
        relevant, rows = self.relevant_scores[cells], self.rows[cells]
        difference, same = exact - relevant[at], self._same(rows[at], item)
        self.above[cells] += np.bincount(at[difference > same], minlength=cells.size)
        equal = np.abs(difference) <= same
        at, item = at[equal], item[equal]
        self.tied[cells] += np.bincount(at, minlength=cells.size)
        smaller = item < self.qrels.items[cells][at]
        self.before[cells] += np.bincount(at[smaller], minlength=cells.size)

    def _same(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return how far apart rounding can put two equal float64 products."""
        rounding = 2 * self.queries.shape[1] * 2.0**-53
        return rounding * self.query_norms[rows] * self.gallery_norms[items]

    def _products(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        products = np.empty(rows.size)
        at_once = max(1, PAIR_VALUES // self.queries.shape[1])
        for start in range(0, rows.size, at_once):
            some = slice(start, start + at_once)
            q, g = self.queries[rows[some]], self.gallery[items[some]]
            products[some] = np.einsum("ij,ij->i", q, g, dtype=np.float64)
        return products

    def ranks(self) -> RelevantRanks:
        return RelevantRanks(self.qrels, self.above, self.tied, self.before)


def _count_true(cells: np.ndarray, axis: int) -> np.ndarray:
    """Count the true cells of each row (`axis` 0) or column; narrow sums take a third of the time
    of `np.count_nonzero`.
    """
    if max(cells.shape) >= 2**16:
        return np.count_nonzero(cells, axis=1 - axis)
    kept = "ij->" + "ij"[axis]
    return np.einsum(kept, cells.view(np.uint8), dtype=np.uint16, casting="unsafe")
