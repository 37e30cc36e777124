"""Ranks without sorting: counting what scores higher than a relevant item, a block of scores at a
time.
"""

import numpy as np

from lib.core.checks import (
    RetrievalInputError,
    as_embeddings,
    as_real_matrix,
    check_choice,
    check_count,
    unit_rows,
)
from lib.core.qrels import Qrels, check_qrels
from lib.metrics.ranks import RelevantRanks
from lib.metrics.runs import queries_without_relevant

GALLERY_BLOCK = 2048  # with 512 queries one block of scores is 4 MB, small enough to stay in cache
PAIR_VALUES = 2**20  # of embeddings gathered at a time for products in float64
CROWDED = 1 / 64  # share of undecided cells from which the block is worth a product in float64


def ranks_of_relevant(
    queries,
    gallery,
    qrels: Qrels,
    *,
    metric: str = "cosine",
    which: str = "all",
    no_relevant: str = "error",
    query_block: int = 512,
) -> RelevantRanks:
    """Counts the ranks of relevant items from embeddings, exactly and without the matrix of scores.

        above(i, j) = |{l : s_il > s_ij}|,   tied(i, j) = |{l : s_il = s_ij}|,   s_ij = <q_i, g_j>

    Scores are multiplied in float32, where the same two vectors can differ in the last bit from one
    block to the next. So whatever lies within the rounding error of a relevant item's score is
    decided in float64, and equal means equal up to the rounding of that. Identical items are tied
    for any block size.

    Args:
        queries: `(n_queries, d)` embeddings.
        gallery: `(n_items, d)` embeddings.
        qrels: the judgements, shape `(n_queries, n_items)`.
        metric: "cosine" or "inner_product".
        which: "all" relevant items, or the "first" of each query with those tied to it, which is
            enough for hit rate, reciprocal rank and the median and takes less time where many are
            relevant.
        no_relevant: what becomes of queries without relevant items: "error", or "zero" (rank
            infinity).
        query_block: queries at a time; memory is about 10 bytes x query_block x 2048 items. It does
            not change the result.

    Returns:
        `RelevantRanks`, from which metrics follow under each policy for ties.

    Raises:
        RetrievalInputError: embeddings that are not finite or, with cosine, zero; other numbers of
            rows than in `qrels`; queries without relevant items.

    Relations: `first_rank` of an exact search of the whole gallery, when ties are broken by "id".
    """
    check_choice(metric, ("cosine", "inner_product"), "metric")
    check_choice(which, ("all", "first"), "which")
    check_choice(no_relevant, ("error", "zero"), "no_relevant")
    query_block = check_count(query_block, "query_block")
    prepare = unit_rows if metric == "cosine" else as_embeddings
    queries = prepare(queries, "queries")
    gallery = prepare(as_embeddings(gallery, "gallery", dim=queries.shape[1]), "gallery")
    check_judgements(qrels, len(queries), len(gallery))
    queries_without_relevant(qrels, no_relevant)
    counter = _Counter(queries, gallery, qrels)
    if which == "first":
        counter.keep_best()
    for start in range(0, len(queries), query_block):
        for column in range(0, len(gallery), GALLERY_BLOCK):
            counter.count(slice(start, start + query_block), slice(column, column + GALLERY_BLOCK))
    return counter.ranks()


def ranks_in_scores(scores, qrels: Qrels, *, no_relevant: str = "error") -> RelevantRanks:
    """Counts the ranks of relevant items in scores that are already there, such as a re-ranker's.

    Args:
        scores: `(n_queries, n_items)` numbers, higher is better. Equal means equal in the dtype
            given, so that half precision has more ties than single: what was computed is what is
            judged.
        qrels: the judgements, of the same shape.
        no_relevant: what becomes of queries without relevant items: "error", or "zero" (rank
            infinity).

    Returns:
        `RelevantRanks`, from which metrics follow under each policy for ties.

    Raises:
        RetrievalInputError: a score that is not finite (named with its row and column), because NaN
            compares as smaller than nothing and would make its query a hit; another shape than that
            of `qrels`.

    Relations: `ranks_of_relevant` does the same without the matrix.
    """
    scores = as_real_matrix(scores, "scores")
    check_choice(no_relevant, ("error", "zero"), "no_relevant")
    check_judgements(qrels, *scores.shape)
    queries_without_relevant(qrels, no_relevant)
    if not np.isfinite(scores).all():
        row, column = np.argwhere(~np.isfinite(scores))[0]
        raise RetrievalInputError(
            f"scores has {scores[row, column]} in row {row}, column {column}; it has no place in an"
            " order"
        )
    rows = qrels.query_index
    above, tied, before = np.zeros((3, rows.size), np.int64)
    at_once = max(1, 2**22 // scores.shape[1])
    for start in range(0, rows.size, at_once):
        cells = slice(start, start + at_once)
        items = qrels.items[cells, None]
        of_row = scores[rows[cells]]  # (cells, n_items)
        own = np.take_along_axis(of_row, items, axis=1)
        same = of_row == own
        above[cells], tied[cells] = (of_row > own).sum(axis=1), same.sum(axis=1)
        before[cells] = (same & (np.arange(scores.shape[1]) < items)).sum(axis=1)
    return RelevantRanks(qrels, above, tied, before)


class _Counter:
    """The tallies of every judgement while blocks of scores go by."""

    def __init__(self, queries: np.ndarray, gallery: np.ndarray, qrels: Qrels) -> None:
        self.queries, self.gallery = queries, gallery
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
        self._judge(qrels, self._products(qrels.query_index, qrels.items))

    def _judge(self, qrels: Qrels, own: np.ndarray) -> None:
        self.qrels, self.own = (
            qrels,
            own,
        )  # own: (n_judgements,) float64 score of each relevant item
        self.rows = qrels.query_index
        self.above, self.tied, self.before = np.zeros((3, own.size), np.int64)

    def keep_best(self) -> None:
        """Forgets all relevant items but the best of each query and what ties with it."""
        best = np.full(self.qrels.shape[0], -np.inf)
        np.maximum.at(best, self.rows, self.own)
        keep = self.own >= best[self.rows] - self._same(self.rows, self.qrels.items)
        indptr = np.concatenate([[0], np.cumsum(keep)])[self.qrels.indptr]
        kept = Qrels(indptr, self.qrels.items[keep], self.qrels.grades[keep], self.qrels.n_items)
        self._judge(kept, self.own[keep])

    def count(self, rows: slice, columns: slice) -> None:
        """Adds one block of scores to the tallies of the judgements of its queries."""
        block = self.queries[rows] @ self.gallery[columns].T  # (rows, columns) float32
        starts, counts = self.qrels.indptr[:-1][rows], self.qrels.counts[rows]
        largest = self.gallery_norms[columns].max()
        for nth in range(
            counts.max(initial=0)
        ):  # the first relevant item of every query, then the second
            has = np.flatnonzero(counts > nth)
            cells = starts[has] + nth
            scores = block if has.size == len(block) else block[has]
            self._tally(scores, cells, columns, largest)

    def _tally(self, scores: np.ndarray, cells: np.ndarray, columns: slice, largest: float) -> None:
        own, rows = self.own[cells], self.rows[cells]
        # |float32 product - exact| <= d 2^-24 |q| |g|; twice that leaves room for higher orders.
        width = 2 * self.queries.shape[1] * 2.0**-24 * self.query_norms[rows] * largest
        low = np.nextafter((own - width).astype(np.float32), np.float32(-np.inf))[:, None]
        high = np.nextafter((own + width).astype(np.float32), np.float32(np.inf))[:, None]
        surely_above = scores > high
        self.above[cells] += np.count_nonzero(surely_above, axis=1)
        undecided = np.flatnonzero((scores >= low) ^ surely_above)
        at, column = np.divmod(undecided, scores.shape[1])
        if (
            undecided.size > CROWDED * scores.size
        ):  # a collapsed model: everything is close to everything
            gallery = self.gallery[columns].astype(np.float64)
            exact = (self.queries[rows].astype(np.float64) @ gallery.T).ravel()[undecided]
        else:
            exact = self._products(rows[at], columns.start + column)
        item = columns.start + column
        difference, same = exact - own[at], self._same(rows[at], item)
        self.above[cells] += np.bincount(at[difference > same], minlength=cells.size)
        equal = np.abs(difference) <= same
        at, item = at[equal], item[equal]
        self.tied[cells] += np.bincount(at, minlength=cells.size)
        smaller = item < self.qrels.items[cells][at]
        self.before[cells] += np.bincount(at[smaller], minlength=cells.size)

    def _same(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """How far from each other rounding can put two float64 products that are equal."""
        return (
            2
            * self.queries.shape[1]
            * 2.0**-53
            * self.query_norms[rows]
            * self.gallery_norms[items]
        )

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


def check_judgements(qrels, n_queries: int, n_items: int) -> None:
    """Refuses anything but `Qrels` of that shape."""
    check_qrels(qrels)
    if qrels.shape != (n_queries, n_items):
        raise RetrievalInputError(
            f"qrels have shape {qrels.shape} (queries, items), the scores would have"
            f" {(n_queries, n_items)}; if they are swapped, qrels.T is the other direction"
        )
