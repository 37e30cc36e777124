"""Metrics of one ranked list per query, vectorised over queries; each returns one value per query."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lib.checks import RetrievalInputError, check_choice, check_count
from lib.qrels import Qrels


def hit_rate_at_k(
    ranked_ids, targets: Qrels | Sequence | np.ndarray, k: int, *, no_relevant: str = "error"
) -> np.ndarray:
    """Says whether any relevant item is among the first k: what cross-modal papers print as R@K.

        hit@k(i) = 1 if {items ranked 1..k for query i} meets {relevant items of i}, else 0

    Args:
        ranked_ids: `(n_queries, depth)` gallery positions, best first; -1 where nothing was returned.
        targets: `Qrels`, or one list of relevant ids per query, or `(n_queries,)` with one id per query.
        k: from 1 to `depth`.
        no_relevant: what a query without relevant items is: "error", or "zero" for a miss.

    Returns:
        `(n_queries,)` float64, each 0 or 1.

    Raises:
        RetrievalInputError: ids that are not whole numbers, twice in a row or outside the gallery; `k` beyond
            the depth of the run; a query without relevant items.

    Relations: equals `recall_at_k` when every query has one relevant item; never smaller otherwise. With five
    captions per image the recall at 1 cannot exceed 20%, the hit rate can reach 100%.

    Reference: F. Faghri et al., VSE++, BMVC 2018.
    """
    relevant, _, k = _judge(ranked_ids, targets, k, no_relevant)
    return hits(relevant, k)


def recall_at_k(
    ranked_ids, targets: Qrels | Sequence | np.ndarray, k: int, *, no_relevant: str = "error"
) -> np.ndarray:
    """The fraction of a query's relevant items that are among the first k.

        recall@k(i) = |{items ranked 1..k for query i} and {relevant items of i}| / |{relevant items of i}|

    Args:
        ranked_ids: `(n_queries, depth)` gallery positions, best first; -1 where nothing was returned.
        targets: `Qrels`, or one list of relevant ids per query, or `(n_queries,)` with one id per query.
        k: from 1 to `depth`.
        no_relevant: what a query without relevant items is: "error", or "zero" for a recall of 0.

    Returns:
        `(n_queries,)` float64 in [0, 1].

    Raises:
        RetrievalInputError: as `hit_rate_at_k`.

    Relations: at most `min(k, R) / R` for R relevant items, and at most `hit_rate_at_k`. This is the recall
    of information retrieval; what cross-modal papers call recall is `hit_rate_at_k`.

    Reference: C. Manning, P. Raghavan, H. Schuetze, Introduction to Information Retrieval, section 8.3.
    """
    relevant, qrels, k = _judge(ranked_ids, targets, k, no_relevant)
    return found_share(relevant, qrels.counts, k)


def reciprocal_rank(
    ranked_ids, targets: Qrels | Sequence | np.ndarray, k: int | None = None, *, no_relevant: str = "error"
) -> np.ndarray:
    """One over the rank of the first relevant item, 0 when none is among the first k.

        RR@k(i) = 1 / min {r in 1..k : the item at rank r is relevant to query i}

    Args:
        ranked_ids: `(n_queries, depth)` gallery positions, best first; -1 where nothing was returned.
        targets: `Qrels`, or one list of relevant ids per query, or `(n_queries,)` with one id per query.
        k: from 1 to `depth`; the whole depth when None.
        no_relevant: what a query without relevant items is: "error", or "zero" for a reciprocal rank of 0.

    Returns:
        `(n_queries,)` float64 in [0, 1]. Ranks count from 1.

    Raises:
        RetrievalInputError: as `hit_rate_at_k`.

    Relations: at least `hit_rate_at_k(..., 1)` and at most `hit_rate_at_k(..., k)`; its mean is
    `mean_reciprocal_rank`.

    Reference: E. Voorhees, The TREC-8 Question Answering Track Report, 1999.
    """
    relevant, _, k = _judge(ranked_ids, targets, k, no_relevant)
    return inverse_first_rank(relevant[:, :k])


def mean_reciprocal_rank(
    ranked_ids, targets: Qrels | Sequence | np.ndarray, k: int | None = None, *, no_relevant: str = "error"
) -> float:
    """The mean of `reciprocal_rank` over queries.

        MRR@k = 1/n sum_i RR@k(i)

    Args:
        ranked_ids: `(n_queries, depth)` gallery positions, best first; -1 where nothing was returned.
        targets: `Qrels`, or one list of relevant ids per query, or `(n_queries,)` with one id per query.
        k: from 1 to `depth`; the whole depth when None.
        no_relevant: what a query without relevant items is: "error", or "zero". Libraries differ silently
            here: some drop such queries, some count 0. `evaluate(..., no_relevant="skip")` drops them and
            says how many there were.

    Returns:
        A float in [0, 1].

    Raises:
        RetrievalInputError: as `hit_rate_at_k`.
    """
    return float(reciprocal_rank(ranked_ids, targets, k, no_relevant=no_relevant).mean())


def as_ranked_ids(ranked_ids, n_items: int | None = None) -> np.ndarray:
    """Checks a run: whole numbers of shape `(n_queries, depth)`, no item twice in a row, all in the gallery.

    Args:
        ranked_ids: gallery positions, best first; -1 where nothing was returned.
        n_items: size of the gallery; not checked against when None.

    Raises:
        RetrievalInputError: names the row and the id.
    """
    ids = np.asarray(ranked_ids)
    if ids.ndim != 2 or ids.dtype.kind not in "iu" or 0 in ids.shape:
        raise RetrievalInputError(
            f"a run must be whole numbers of shape (n_queries, depth), neither 0, got {ids.dtype} {ids.shape}"
        )
    outside = ids < -1 if n_items is None else (ids < -1) | (ids >= n_items)
    if outside.any():
        row, column = np.argwhere(outside)[0]
        gallery = (
            "-1 or more" if n_items is None else f"-1..{n_items - 1} (gallery positions, -1 for no item)"
        )
        raise RetrievalInputError(f"id {ids[row, column]} in row {row} of the run is outside {gallery}")
    ordered = np.sort(ids, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        row, column = np.argwhere(twice)[0]
        raise RetrievalInputError(
            f"id {ordered[row, column]} is twice in row {row} of the run; a list that repeats an item "
            f"has no defined rank for it"
        )
    return ids.astype(np.int64, copy=False)


def as_targets(targets, n_queries: int, largest_id: int) -> Qrels:
    """Brings the forms that targets may take into one.

    Args:
        targets: `Qrels`, or one list of relevant ids per query, or `(n_queries,)` with one id per query.
        n_queries: rows of the run that they are for.
        largest_id: the largest id in it; without `Qrels` nobody says how large the gallery is.
    """
    if not isinstance(targets, Qrels):
        rows = list(targets)
        one_each = not any(map(np.iterable, rows))
        lists = [rows] if one_each else [list(row) if np.iterable(row) else [row] for row in rows]
        lists = [np.asarray(ids) for ids in lists]
        items = np.concatenate([ids for ids in lists if ids.size] or [np.empty(0, int)])
        if items.dtype.kind not in "iu":
            raise RetrievalInputError(f"targets must be whole numbers (gallery positions), got {items.dtype}")
        queries = np.repeat(np.arange(len(rows)), 1 if one_each else [ids.size for ids in lists])
        n_items = 1 + int(max(largest_id, items.max(initial=0)))
        targets = Qrels.from_pairs(queries, items, shape=(len(rows), n_items))
    if targets.shape[0] != n_queries:
        raise RetrievalInputError(f"targets are for {targets.shape[0]} queries, the run has {n_queries} rows")
    return targets


def queries_without_relevant(qrels: Qrels, no_relevant: str) -> np.ndarray:
    """Positions of queries that nothing is relevant to; an error under the policy "error"."""
    empty = np.flatnonzero(qrels.counts == 0)
    if empty.size and no_relevant == "error":
        more = f" (and {empty.size - 1} more queries)" if empty.size > 1 else ""
        raise RetrievalInputError(
            f"query {empty[0]} has no relevant item{more}, so its metrics are undefined; "
            f"count it as a miss with no_relevant='zero', or leave such queries out of run and targets"
        )
    return empty


def check_depth(k, depth: int) -> int:
    """Returns a cut-off as `int` when the run is as deep."""
    k = check_count(k, "k")
    if k > depth:
        raise RetrievalInputError(
            f"k = {k} is deeper than the run, which holds {depth} items per query; search with k={k} or more"
        )
    return k


def hits(relevant: np.ndarray, k: int) -> np.ndarray:
    """Hit rate at k from `(n_queries, depth)` booleans."""
    return relevant[:, :k].any(axis=1).astype(np.float64)


def found_share(relevant: np.ndarray, counts: np.ndarray, k: int) -> np.ndarray:
    """Recall at k from `(n_queries, depth)` booleans and `(n_queries,)` numbers of relevant items."""
    return relevant[:, :k].sum(axis=1) / np.maximum(counts, 1)


def inverse_first_rank(relevant: np.ndarray) -> np.ndarray:
    """Reciprocal rank from `(n_queries, depth)` booleans."""
    # argmax of a row without any True is 0 as well, which would make a miss a perfect score.
    return np.where(relevant.any(axis=1), 1.0 / (relevant.argmax(axis=1) + 1), 0.0)


def _judge(ranked_ids, targets, k, no_relevant: str) -> tuple[np.ndarray, Qrels, int]:
    check_choice(no_relevant, ("error", "zero"), "no_relevant")
    ids = as_ranked_ids(ranked_ids, targets.n_items if isinstance(targets, Qrels) else None)
    qrels = as_targets(targets, len(ids), ids.max())
    queries_without_relevant(qrels, no_relevant)
    depth = ids.shape[1]
    return qrels.grades_of(ids) > 0, qrels, depth if k is None else check_depth(k, depth)
