"""Exact search: the k best items of a gallery for every query, without holding all the scores."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property, partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from lib.core.checks import check_choice, check_count, check_k
from lib.index.exact_scores import (
    METRICS,
    NO_HIT,
    Vectors,
    keys_of_pairs,
    pack,
    prepare,
    score_block,
    unpack,
)
from lib.index.ids import place_in_row

if TYPE_CHECKING:
    from lib.index.exact_filters import FloatFilter, Int8Filter

CELLS = 2**20  # queries x items of a block: 4 MiB of products, which stay in the cache
LARGEST_QUERY_BLOCK = 1024
FIRST_BLOCKS = 8  # read at once at the start (32 MiB): a floor from many items drops more of them
SETTLE_AGAIN = 3  # the floor is raised each time that many times more items have been seen
FEW_PRODUCTS = 2**18  # with fewer, exact scores take less time than preparing a filter
LARGEST_QUEUE = 2**20  # items that may wait for their exact score
INT8_ITEMS = 2**12  # with fewer the float32 product costs next to nothing
# One dimension is wrong in torch, few gain nothing, and more can overflow int32.
INT8_DIMENSIONS = range(32, 2**16)
QUANTISE_FOR = 512  # queries that repay quantising a gallery for a single search
KEEP_CODES_FROM = 64  # the same for an index: queries of all searches so far


def topk_exact(
    queries,
    gallery,
    k: int,
    metric: str = "cosine",
    *,
    block: int | None = None,
    query_block: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Find the k best items of a gallery for every query, exactly, block by block.

        cosine  q.x / (|q||x|)        inner_product  q.x        l2  -|q - x|^2

    Scores are the float32 nearest to a float64 sum in a fixed order (`lib.index.exact_scores`):
    scores and the order of hits do not depend on block sizes, threads, BLAS or processor. Equal
    scores are ordered by the smaller id, at the cut-off as well. `VectorSearchIndex(d, "Flat")` is
    the same search over a gallery that is prepared once.

    Args:
        queries: `(n_queries, d)` numbers.
        gallery: `(n_items, d)` numbers. int8 rows are used as they are: their products are exact
            integers, and under cosine the norms divide afterwards. Other types become float32.
        k: hits per query, from 1 to `n_items`.
        metric: "cosine", "inner_product" or "l2"; higher is better under each.
        block, query_block: gallery items and queries per step; chosen from the cache size when
            None. They change only the time.

    Returns:
        `(scores, ids)`: float32 and int64, both `(n_queries, k)`, best first; an id is a gallery
        position.

    Reference: the VA-file of Weber, Schek and Blott (VLDB 1998): drop by a bound, then score what
    is left.
    """
    check_choice(metric, METRICS, "metric")
    items = prepare(gallery, "gallery", metric)
    vectors = prepare(queries, "queries", metric, dim=items.rows.shape[1], allow_empty=True)
    k = check_k(k, len(items))
    block = None if block is None else check_count(block, "block")
    query_block = None if query_block is None else check_count(query_block, "query_block")
    return Gallery(items, metric, quantise_for=QUANTISE_FOR).topk(vectors, k, block, query_block)


class Gallery:
    """Items prepared for exact search under one metric.

    Equal scores are ordered by `ranks`, `(n_items,)` distinct whole numbers below 2**32, or by
    position. int8 codes are used after `quantise_for` queries, over all searches.
    """

    def __init__(
        self,
        items: Vectors,
        metric: str,
        ranks: np.ndarray | None = None,
        quantise_for: int = KEEP_CODES_FROM,
    ):
        self.items, self.metric, self.quantise_for = items, metric, quantise_for
        self.ranks = np.arange(len(items)) if ranks is None else ranks
        self._n_queries = 0

    @cached_property
    def float_filter(self) -> FloatFilter:
        from lib.index import exact_filters

        return exact_filters.FloatFilter(self.items, self.metric)

    @cached_property
    def int8_filter(self) -> Int8Filter:
        from lib.index import exact_filters

        return exact_filters.Int8Filter(self.items)

    def filters(self, n_queries: int) -> list:
        """Choose the filters that pay for that many more queries, the coarsest one first."""
        from lib.index import exact_filters  # imports torch, which other families do not need

        self._n_queries += n_queries
        quantise = (
            self.metric != "l2"
            and self.items.rows.dtype == np.float32
            and len(self.items) >= INT8_ITEMS
            and self.items.rows.shape[1] in INT8_DIMENSIONS
            and self._n_queries >= self.quantise_for
            and exact_filters.int8_products_are_fast()
        )
        return [self.int8_filter, self.float_filter] if quantise else [self.float_filter]

    def topk(
        self, queries: Vectors, k: int, block: int | None = None, query_block: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find `(scores, ranks)` of the k best items of each query, both `(n_queries, k)`."""
        n_queries = len(queries)
        few = n_queries * self.items.rows.size <= FEW_PRODUCTS
        filters = [] if few else self.filters(n_queries)
        if n_queries == 1 and len(filters) == 1:
            # MKL computes float32 products with two columns at twice the speed of one column.
            # int8 products do not need this.
            queries, query_block = queries.take([0, 0]), query_block and max(2, query_block)
        narrowest = min(len(self.items), max(1024, 8 * k))  # a filter needs k tiles to begin with
        query_block = min(query_block or max(1, CELLS // narrowest), LARGEST_QUERY_BLOCK)
        widest = max(narrowest, CELLS // max(1, min(query_block, len(queries))))
        first = block or FIRST_BLOCKS * widest
        block = block or widest
        keys = np.empty((len(queries), k), np.int64)
        for start in range(0, len(queries), query_block):
            batch = queries.take(slice(start, start + query_block))
            keys[start : start + query_block] = self._best(batch, k, first, block, filters)
        return unpack(keys[:n_queries])

    def _best(
        self, queries: Vectors, k: int, first: int, block: int, filters: Sequence
    ) -> np.ndarray:
        search = _BatchSearch(self, queries, k)
        # Made on first use, because the last filter is rarely needed.
        probes = [cache(partial(each.aim, queries)) for each in filters]
        settled = 0
        edges = [0, *range(first, len(self.items), block), len(self.items)]
        for start, stop in pairwise(edges):
            for probe in probes:
                survivors = probe().survivors(start, stop, k, search.floor)
                if survivors is not None:
                    search.enqueue(*survivors)
                    break
            else:  # every filter let too many through: ties, or k close to the size of the gallery
                for at in range(start, stop, block):
                    search.score_all(at, min(at + block, stop))
            if stop >= SETTLE_AGAIN * settled or search.n_waiting > LARGEST_QUEUE:
                search.settle()
                settled = stop
        if settled < len(self.items):
            search.settle()
        search.score_waiting()
        return search.best


class _BatchSearch:
    """State of one batch of queries on its way through the gallery.

    `best` holds the keys of the k best hits, `floor` a score that k items reach, and the queue the
    items with a bound above the floor that are not yet scored.
    """

    def __init__(self, gallery: Gallery, queries: Vectors, k: int):
        self.gallery, self.queries = gallery, queries
        self.best = np.full((len(queries), k), NO_HIT)  # (n_queries, k), ascending
        self.floor = np.full(len(queries), -np.inf)
        self._queue: list[tuple[np.ndarray, ...]] = []

    @property
    def n_waiting(self) -> int:
        return sum(query.size for query, _, _ in self._queue)

    def enqueue(self, query: np.ndarray, item: np.ndarray, bound: np.ndarray) -> None:
        """Add (query, item) positions that a filter kept, each with an upper bound of its score."""
        self._queue.append((query, item, bound))

    def score_all(self, start: int, stop: int) -> None:
        """Score a whole block exactly."""
        gallery = self.gallery
        scores = score_block(self.queries, gallery.items.take(slice(start, stop)), gallery.metric)
        self._merge(pack(scores, gallery.ranks[start:stop]))

    def settle(self) -> None:
        """Score the k most promising items of the queue, raise the floor, drop items below it."""
        if self.n_waiting == 0:
            return
        n_queries, k = self.best.shape
        query, item, bound = (np.concatenate(column) for column in zip(*self._queue, strict=True))
        order = np.argsort(query.astype(np.int16), kind="stable")  # a radix sort, for 16 bits only
        query, item, bound = query[order], item[order], bound[order]
        place = place_in_row(query, n_queries)
        bounds = np.full((n_queries, max(k, place.max() + 1)), -np.inf)
        bounds[query, place] = bound
        promising = bound >= np.partition(bounds, -k, axis=1)[query, -k]
        self._score(query[promising], item[promising])
        left = ~promising & (bound >= self.floor[query])
        self._queue = [(query[left], item[left], bound[left])]
        if self.n_waiting > LARGEST_QUEUE:
            self.score_waiting()

    def score_waiting(self) -> None:
        """Score all items of the queue, which `settle` left sorted by query."""
        for query, item, _ in self._queue:
            self._score(query, item)
        self._queue = []

    def _score(self, query: np.ndarray, item: np.ndarray) -> None:
        gallery, ranks = self.gallery, self.gallery.ranks[item]
        self._merge(keys_of_pairs(self.queries, gallery.items, query, item, ranks, gallery.metric))

    def _merge(self, keys: np.ndarray) -> None:
        k = self.best.shape[1]
        keys = np.concatenate([self.best, keys], axis=1)
        if keys.shape[1] > 2 * k:
            keys = np.partition(keys, k - 1, axis=1)[:, :k]
        self.best = np.sort(keys, axis=1)[:, :k]
        worst = self.best[:, -1]
        self.floor = np.maximum(self.floor, np.where(worst == NO_HIT, -np.inf, unpack(worst)[0]))
