"""Exact search: the k best items of a gallery for every query, without ever holding all the
scores.
"""

from collections.abc import Sequence
from functools import cache, cached_property, partial
from itertools import pairwise

import numpy as np

from lib.core.checks import check_choice, check_count, check_k
from lib.index.exact_filters import FloatFilter, Int8Filter, int8_products_are_fast
from lib.index.exact_scores import METRICS, Vectors, pack, prepare, score_block, score_pairs, unpack
from lib.index.ids import NO_ID

CELLS = 2**20  # queries x items of a block: 4 MiB of products, which stay in the cache
LARGEST_QUERY_BLOCK = 1024
NO_HIT = np.iinfo(np.int64).max  # a key that sorts after every hit
FIRST_BLOCKS = (
    8  # at once to begin with (32 MiB): a floor that many items reach lets few others through
)
SETTLE_AGAIN = 3  # the floor is raised each time that many times more items have been seen
FEW_PRODUCTS = 2**18  # so many are scored exactly in less time than it takes to aim a filter
WAITING_ROOM = 2**20  # survivors that may wait for their exact score
INT8_ITEMS = 2**12  # with fewer the float32 product costs next to nothing
INT8_DIMENSIONS = range(
    32, 2**16
)  # one is wrong in torch, few gain nothing, and more may overflow int32
QUANTISE_FOR = 512  # queries that repay quantising a gallery for a single search
KEEP_CODES_FROM = (
    64  # queries, of all searches together, that show that a gallery is there to be searched
)


def topk_exact(
    queries,
    gallery,
    k: int,
    metric: str = "cosine",
    *,
    block: int | None = None,
    query_block: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the k best items of a gallery for every query, exactly, block by block.

        cosine  q.x / (|q||x|)        inner_product  q.x        l2  -|q - x|^2

    Scores are the float32 nearest to a float64 sum in a fixed order (`lib.index.exact_scores`), so
    that neither they nor the order of the hits depend on block sizes, threads, the BLAS or the
    processor. Equal scores are ordered by the smaller id, at the cut-off as well.

    Args:
        queries: `(n_queries, d)` numbers.
        gallery: `(n_items, d)` numbers. int8 rows are used as they are: their products are exact
            integers, and under cosine the norms divide afterwards. Anything else becomes float32.
        k: hits per query, from 1 to `n_items`.
        metric: "cosine", "inner_product" or "l2"; higher is better under each.
        block: gallery items per step; chosen from the cache size when None. It changes the time,
            nothing else.
        query_block: queries per step, likewise.

    Returns:
        `(scores, ids)`: float32 and int64, both `(n_queries, k)`, best first; an id is a gallery
        position.

    Raises:
        RetrievalInputError: a value that is not finite (with its row and column), two different
            dimensions, a row of zeros under cosine, `k` below 1 or above the gallery, an unknown
            metric.

    Relations: `VectorSearchIndex(d, "Flat")` is the same search over a gallery that is prepared
    once.

    Reference: the VA-file of Weber, Schek and Blott (VLDB 1998): drop by a bound, then score what
    is left.
    """
    check_choice(metric, METRICS, "metric")
    items = prepare(gallery, "gallery", metric)
    asked = prepare(queries, "queries", metric, dim=items.rows.shape[1], allow_empty=True)
    k = check_k(k, len(items))
    block = None if block is None else check_count(block, "block")
    query_block = None if query_block is None else check_count(query_block, "query_block")
    return Gallery(items, metric, quantise_for=QUANTISE_FOR).topk(asked, k, block, query_block)


class Gallery:
    """Items prepared for exact search under one metric.

    Args:
        items: what `prepare` returned for `metric`.
        metric: one of `METRICS`.
        ranks: `(n_items,)` distinct whole numbers below 2**32 that order equal scores; positions
            when None.
        quantise_for: queries, of all searches together, from which on int8 codes of the items are
            kept.
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
        self._asked = 0

    @cached_property
    def float_filter(self) -> FloatFilter:
        return FloatFilter(self.items, self.metric)

    @cached_property
    def int8_filter(self) -> Int8Filter:
        return Int8Filter(self.items)

    def filters(self, n_queries: int) -> list:
        """The filters worth using for that many further queries, the coarsest and fastest first."""
        self._asked += n_queries
        quantise = (
            self.metric != "l2"
            and self.items.rows.dtype == np.float32
            and len(self.items) >= INT8_ITEMS
            and self.items.rows.shape[1] in INT8_DIMENSIONS
            and self._asked >= self.quantise_for
            and int8_products_are_fast()
        )
        return [self.int8_filter, self.float_filter] if quantise else [self.float_filter]

    def topk(
        self, queries: Vectors, k: int, block: int | None = None, query_block: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The `(scores, ranks)` of the k best items of each query, both `(n_queries, k)`, best
        first.
        """
        n_queries = len(queries)
        few = n_queries * self.items.rows.size <= FEW_PRODUCTS
        filters = [] if few else self.filters(n_queries)
        if n_queries == 1 and len(filters) == 1:
            # float32 products with two columns run at twice the speed of those with one, which MKL
            # treats apart. Codes have no such trouble.
            queries, query_block = queries.take([0, 0]), query_block and max(2, query_block)
        narrowest = min(len(self.items), max(1024, 8 * k))  # a filter needs k tiles to begin with
        query_block = min(query_block or max(1, CELLS // narrowest), LARGEST_QUERY_BLOCK)
        first = block or FIRST_BLOCKS * max(
            narrowest, CELLS // max(1, min(query_block, len(queries)))
        )
        block = block or first // FIRST_BLOCKS
        keys = np.empty((len(queries), k), np.int64)
        for start in range(0, len(queries), query_block):
            batch = queries.take(slice(start, start + query_block))
            keys[start : start + query_block] = self._best(batch, k, first, block, filters)
        return unpack(keys[:n_queries])

    def _best(
        self, queries: Vectors, k: int, first: int, block: int, filters: Sequence
    ) -> np.ndarray:
        search = _Search(self, queries, k)
        probes = [
            cache(partial(each.aim, queries)) for each in filters
        ]  # the last is rarely needed
        settled = 0
        edges = [0, *range(first, len(self.items), block), len(self.items)]
        for start, stop in pairwise(edges):
            for probe in probes:
                found = probe().survivors(start, stop, k, search.floor)
                if found is not None:
                    search.wait(*found)
                    break
            else:  # every filter let too many through: ties, or k close to the size of the gallery
                for at in range(start, stop, block):
                    search.score_all(at, min(at + block, stop))
            if stop >= SETTLE_AGAIN * settled or search.waiting > WAITING_ROOM:
                search.settle()
                settled = stop
        if settled < len(self.items):
            search.settle()
        search.score_waiting()
        return search.best


class _Search:
    """One batch of queries on its way through the gallery.

    `best` holds the keys of the k best hits scored so far, `floor` the score that k items are known
    to reach, and the waiting list items whose bound reaches the floor but whose score is not known
    yet.
    """

    def __init__(self, gallery: Gallery, queries: Vectors, k: int):
        self.gallery, self.queries = gallery, queries
        self.best = np.full((len(queries), k), NO_HIT)  # (n_queries, k), ascending
        self.floor = np.full(len(queries), -np.inf)
        self._blocks: list[tuple[np.ndarray, ...]] = []

    @property
    def waiting(self) -> int:
        return sum(query.size for query, _, _ in self._blocks)

    def wait(self, query: np.ndarray, item: np.ndarray, bound: np.ndarray) -> None:
        """Takes in what a filter could not drop: positions, and a score that each item cannot
        exceed.
        """
        self._blocks.append((query, item, bound))

    def score_all(self, start: int, stop: int) -> None:
        """Scores a whole block exactly."""
        gallery = self.gallery
        scores = score_block(self.queries, gallery.items.take(slice(start, stop)), gallery.metric)
        self._enter(pack(scores, gallery.ranks[start:stop]))

    def settle(self) -> None:
        """Scores the k most promising of those who wait, raises the floor to them, and drops who is
        below.
        """
        if self.waiting == 0:
            return
        n_queries, k = self.best.shape
        query, item, bound = (np.concatenate(column) for column in zip(*self._blocks, strict=True))
        order = np.argsort(query.astype(np.int16), kind="stable")  # a radix sort, for 16 bits only
        query, item, bound = query[order], item[order], bound[order]
        place = place_in_row(query, n_queries)
        bounds = np.full((n_queries, max(k, place.max() + 1)), -np.inf)
        bounds[query, place] = bound
        promising = bound >= np.partition(bounds, -k, axis=1)[query, -k]
        self._score(query[promising], item[promising])
        left = ~promising & (bound >= self.floor[query])
        self._blocks = [(query[left], item[left], bound[left])]
        if self.waiting > WAITING_ROOM:
            self.score_waiting()

    def score_waiting(self) -> None:
        """Scores everyone who waits, in the order of queries that `settle` left them in."""
        for query, item, _ in self._blocks:
            self._score(query, item)
        self._blocks = []

    def _score(self, query: np.ndarray, item: np.ndarray) -> None:
        gallery = self.gallery
        self._enter(
            keys_of_pairs(
                self.queries, gallery.items, query, item, gallery.ranks[item], gallery.metric
            )
        )

    def _enter(self, keys: np.ndarray) -> None:
        k = self.best.shape[1]
        keys = np.concatenate([self.best, keys], axis=1)
        if keys.shape[1] > 2 * k:
            keys = np.partition(keys, k - 1, axis=1)[:, :k]
        self.best = np.sort(keys, axis=1)[:, :k]
        worst = self.best[:, -1]
        self.floor = np.maximum(self.floor, np.where(worst == NO_HIT, -np.inf, unpack(worst)[0]))


def place_in_row(row: np.ndarray, n_rows: int) -> np.ndarray:
    """For rows in ascending order: 0, 1, 2, ... within each."""
    counts = np.bincount(row, minlength=n_rows)
    return np.arange(row.size) - np.repeat(np.cumsum(counts) - counts, counts)


def keys_of_pairs(
    queries: Vectors,
    items: Vectors,
    query_at: np.ndarray,
    item_at: np.ndarray,
    ranks: np.ndarray,
    metric: str,
) -> np.ndarray:
    """The keys of (query, item) pairs, a row per query, as they come; filled up with `NO_HIT`.

    Args:
        query_at, item_at: `(n_pairs,)` positions, ascending in `query_at`, no pair twice.
        ranks: `(n_pairs,)` whole numbers below 2**32 that order equal scores.
    """
    place = place_in_row(query_at, len(queries))
    keys = np.full((len(queries), place.max(initial=-1) + 1), NO_HIT)
    keys[query_at, place] = pack(score_pairs(queries, items, query_at, item_at, metric), ranks)
    return keys


def best_of_pairs(
    queries: Vectors, items: Vectors, query_at: np.ndarray, item_at: np.ndarray, k: int, metric: str
) -> tuple[np.ndarray, np.ndarray]:
    """The `(scores, positions)` of the k best pairs of each query, `(n_queries, k)`; see
    `hits_of`.
    """
    keys = np.sort(keys_of_pairs(queries, items, query_at, item_at, item_at, metric), axis=1)[:, :k]
    return hits_of(np.pad(keys, ((0, 0), (0, k - keys.shape[1])), constant_values=NO_HIT))


def hits_of(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The `(scores, ranks)` of sorted keys, -inf and -1 where there is no hit."""
    scores, ranks = unpack(keys)
    missing = keys == NO_HIT
    return np.where(missing, np.float32(-np.inf), scores), np.where(missing, NO_ID, ranks)
