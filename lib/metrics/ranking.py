"""Metrics of one ranked list per query, vectorised over queries; each returns one value per
query.
"""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import check_count
from lib.core.qrels import Qrels
from lib.metrics.runs import check_deep_enough, judge


def hit_rate_at_k(
    ranked_ids, targets: Qrels | Sequence | np.ndarray, k: int, *, no_relevant: str = "error"
) -> np.ndarray:
    """Says whether any relevant item is among the first k: what cross-modal papers print as R@K.

        hit@k(i) = 1 if {items ranked 1..k for query i} meets {relevant items of i}, else 0

    Args:
        ranked_ids: `(n_queries, depth)` gallery positions, best first; -1 where nothing was
            returned.
        targets: `Qrels`, or one list of relevant ids per query, or `(n_queries,)` with one id per
            query.
        k: from 1 to `depth`.
        no_relevant: what a query without relevant items is: "error", or "zero" for a miss.

    Returns:
        `(n_queries,)` float64, each 0 or 1.

    Raises:
        RetrievalInputError: ids that are not whole numbers, twice in a row or outside the gallery;
            `k` beyond the depth of the run; a query without relevant items.

    Relations: equals `recall_at_k` when every query has one relevant item; never smaller otherwise.
    With five captions per image the recall at 1 cannot exceed 20%, the hit rate can reach 100%.

    Reference: F. Faghri et al., VSE++, BMVC 2018.
    """
    grades, _ = judge(ranked_ids, targets, check_count(k, "k"), no_relevant)
    return hits(grades > 0, k)


def recall_at_k(
    ranked_ids, targets: Qrels | Sequence | np.ndarray, k: int, *, no_relevant: str = "error"
) -> np.ndarray:
    """The fraction of a query's relevant items that are among the first k.

        recall@k(i) = |{items ranked 1..k for query i} and {relevant items of i}| / |{relevant items
        of i}|

    Args:
        ranked_ids: `(n_queries, depth)` gallery positions, best first; -1 where nothing was
            returned.
        targets: `Qrels`, or one list of relevant ids per query, or `(n_queries,)` with one id per
            query.
        k: from 1 to `depth`.
        no_relevant: what a query without relevant items is: "error", or "zero" for a recall of 0.

    Returns:
        `(n_queries,)` float64 in [0, 1].

    Raises:
        RetrievalInputError: as `hit_rate_at_k`.

    Relations: at most `min(k, R) / R` for R relevant items, and at most `hit_rate_at_k`. This is
    the recall of information retrieval; what cross-modal papers call recall is `hit_rate_at_k`.

    Reference: C. Manning, P. Raghavan, H. Schuetze, Introduction to Information Retrieval, section
    8.3.
    """
    grades, qrels = judge(ranked_ids, targets, check_count(k, "k"), no_relevant)
    return found_share(grades > 0, qrels.counts, k)


def precision_at_k(
    ranked_ids, targets: Qrels | Sequence | np.ndarray, k: int, *, no_relevant: str = "error"
) -> np.ndarray:
    """The fraction of the first k places that hold a relevant item.

        P@k(i) = |{items ranked 1..k for query i} and {relevant items of i}| / k

    Args:
        ranked_ids: `(n_queries, depth)` gallery positions, best first; -1 where nothing was
            returned.
        targets: `Qrels`, or one list of relevant ids per query, or `(n_queries,)` with one id per
            query.
        k: from 1 to `depth`. A place that holds -1 counts as a wrong one: the denominator stays k.
        no_relevant: what a query without relevant items is: "error", or "zero" for a precision of
            0.

    Returns:
        `(n_queries,)` float64 in [0, 1].

    Raises:
        RetrievalInputError: as `hit_rate_at_k`.

    Relations: `k P@k = R recall@k` for R relevant items; at most `min(k, R) / k`; at k = R it is
    `r_precision`.

    Reference: C. Manning, P. Raghavan, H. Schuetze, Introduction to Information Retrieval, section
    8.4.
    """
    grades, _ = judge(ranked_ids, targets, check_count(k, "k"), no_relevant)
    return correct_share(grades > 0, k)


def r_precision(
    ranked_ids, targets: Qrels | Sequence | np.ndarray, *, no_relevant: str = "error"
) -> np.ndarray:
    """Precision at R, where R is the number of relevant items of the query itself.

        RP(i) = |{items ranked 1..R for query i} and {relevant items of i}| / R

    Args:
        ranked_ids: `(n_queries, depth)` gallery positions, best first; -1 where nothing was
            returned.
        targets: `Qrels`, or one list of relevant ids per query, or `(n_queries,)` with one id per
            query.
        no_relevant: what a query without relevant items is: "error", or "zero" for a value of 0.

    Returns:
        `(n_queries,)` float64 in [0, 1]; 1 is within reach of every query, unlike with a fixed k.

    Raises:
        RetrievalInputError: as `hit_rate_at_k`; a run that ends before rank R of some query.

    Relations: precision and recall at R are the same number; `hit_rate_at_k(..., 1)` when R = 1; at
    least `average_precision_at_r`, which also asks in which order the items came.

    Reference: C. Manning, P. Raghavan, H. Schuetze, Introduction to Information Retrieval, section
    8.4.
    """
    grades, qrels = judge(ranked_ids, targets, None, no_relevant)
    check_deep_enough(qrels.counts, grades.shape[1], qrels.n_items)
    return share_of_first_r(grades > 0, qrels.counts)


def reciprocal_rank(
    ranked_ids,
    targets: Qrels | Sequence | np.ndarray,
    k: int | None = None,
    *,
    no_relevant: str = "error",
) -> np.ndarray:
    """One over the rank of the first relevant item, 0 when none is among the first k.

        RR@k(i) = 1 / min {r in 1..k : the item at rank r is relevant to query i}

    Args:
        ranked_ids: `(n_queries, depth)` gallery positions, best first; -1 where nothing was
            returned.
        targets: `Qrels`, or one list of relevant ids per query, or `(n_queries,)` with one id per
            query.
        k: from 1 to `depth`; the whole depth when None.
        no_relevant: what a query without relevant items is: "error", or "zero" for a reciprocal
            rank of 0.

    Returns:
        `(n_queries,)` float64 in [0, 1]. Ranks count from 1.

    Raises:
        RetrievalInputError: as `hit_rate_at_k`.

    Relations: at least `hit_rate_at_k(..., 1)` and at most `hit_rate_at_k(..., k)`; its mean is
    `mean_reciprocal_rank`.

    Reference: E. Voorhees, The TREC-8 Question Answering Track Report, 1999.
    """
    grades, _ = judge(ranked_ids, targets, k, no_relevant)
    return inverse_first_rank(grades > 0)


def mean_reciprocal_rank(
    ranked_ids,
    targets: Qrels | Sequence | np.ndarray,
    k: int | None = None,
    *,
    no_relevant: str = "error",
) -> float:
    """The mean of `reciprocal_rank` over queries.

        MRR@k = 1/n sum_i RR@k(i)

    Args:
        ranked_ids: `(n_queries, depth)` gallery positions, best first; -1 where nothing was
            returned.
        targets: `Qrels`, or one list of relevant ids per query, or `(n_queries,)` with one id per
            query.
        k: from 1 to `depth`; the whole depth when None.
        no_relevant: what a query without relevant items is: "error", or "zero". Libraries differ
            silently
            here: some drop such queries, some count 0. `evaluate(..., no_relevant="skip")` drops
                them and
            says how many there were.

    Returns:
        A float in [0, 1].

    Raises:
        RetrievalInputError: as `hit_rate_at_k`.
    """
    return float(reciprocal_rank(ranked_ids, targets, k, no_relevant=no_relevant).mean())


def first_rank(
    ranked_ids, targets: Qrels | Sequence | np.ndarray, *, no_relevant: str = "error"
) -> np.ndarray:
    """The rank of the first relevant item, counted from 1.

        r(i) = min {r : the item at rank r is relevant to query i}

    Args:
        ranked_ids: `(n_queries, depth)` gallery positions, best first; -1 where nothing was
            returned.
        targets: `Qrels`, or one list of relevant ids per query, or `(n_queries,)` with one id per
            query.
        no_relevant: what a query without relevant items is: "error", or "zero" for "not found".

    Returns:
        `(n_queries,)` float64; infinity where no relevant item is in the run, because its rank is
        then only known to be larger than the depth.

    Raises:
        RetrievalInputError: as `hit_rate_at_k`.

    Relations: `reciprocal_rank` is its inverse; `ranks_of_relevant` finds it without a depth.
    """
    grades, _ = judge(ranked_ids, targets, None, no_relevant)
    return rank_of_first(grades > 0)


def median_rank(
    ranked_ids, targets: Qrels | Sequence | np.ndarray, *, no_relevant: str = "error"
) -> float:
    """The median over queries of the first relevant item's rank (MedR), counted from 1.

        MedR = median_i r(i), the mean of the two middle values for an even number of queries

    Papers use three medians: of ranks 1, 2, 4, 10 this one is 3.0, the lower one 2, and VSE++'s
    `floor(median(r - 1)) + 1` is 3; of 1, 2, 3, 10 they are 2.5, 2 and 2.

    Args:
        ranked_ids: `(n_queries, depth)` gallery positions, best first; -1 where nothing was
            returned.
        targets: `Qrels`, or one list of relevant ids per query, or `(n_queries,)` with one id per
            query.
        no_relevant: what a query without relevant items is: "error", or "zero" for "not found".

    Returns:
        A float of at least 1; infinity when it lies beyond the depth of the run. A run that finds
        most items is enough for the exact median: what it misses is above the middle.

    Raises:
        RetrievalInputError: as `hit_rate_at_k`.

    Relations: the median of `first_rank`; lower is better.
    """
    return float(np.median(first_rank(ranked_ids, targets, no_relevant=no_relevant)))


def mean_rank(
    ranked_ids, targets: Qrels | Sequence | np.ndarray, *, no_relevant: str = "error"
) -> float:
    """The mean over queries of the first relevant item's rank (MeanR), counted from 1.

        MeanR = 1/n sum_i r(i)

    Args:
        ranked_ids: `(n_queries, depth)` gallery positions, best first; -1 where nothing was
            returned.
        targets: `Qrels`, or one list of relevant ids per query, or `(n_queries,)` with one id per
            query.
        no_relevant: what a query without relevant items is: "error", or "zero" for "not found".

    Returns:
        A float of at least 1; infinity as soon as one query's relevant items are all beyond the
        depth.

    Raises:
        RetrievalInputError: as `hit_rate_at_k`.

    Relations: the mean of `first_rank`; lower is better. A handful of hopeless queries decides it,
    which is why papers print `median_rank` beside it.
    """
    return float(np.mean(first_rank(ranked_ids, targets, no_relevant=no_relevant)))


def hits(relevant: np.ndarray, k: int) -> np.ndarray:
    """Hit rate at k from `(n_queries, depth)` booleans."""
    return relevant[:, :k].any(axis=1).astype(np.float64)


def found_share(relevant: np.ndarray, counts: np.ndarray, k: int) -> np.ndarray:
    """Recall at k from `(n_queries, depth)` booleans and `(n_queries,)` numbers of relevant
    items.
    """
    return relevant[:, :k].sum(axis=1) / np.maximum(counts, 1)


def correct_share(relevant: np.ndarray, k: int) -> np.ndarray:
    """Precision at k from `(n_queries, depth)` booleans."""
    return relevant[:, :k].sum(axis=1) / k


def share_of_first_r(relevant: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """R-precision from `(n_queries, depth)` booleans and `(n_queries,)` numbers of relevant
    items.
    """
    within = np.arange(relevant.shape[1]) < counts[:, None]
    return (relevant & within).sum(axis=1) / np.maximum(counts, 1)


def rank_of_first(relevant: np.ndarray) -> np.ndarray:
    """First relevant rank from `(n_queries, depth)` booleans, infinity where there is none."""
    return np.where(relevant.any(axis=1), relevant.argmax(axis=1) + 1.0, np.inf)


def inverse_first_rank(relevant: np.ndarray) -> np.ndarray:
    """Reciprocal rank from `(n_queries, depth)` booleans."""
    # argmax of a row without any True is 0 as well, which would make a miss a perfect score.
    return np.where(relevant.any(axis=1), 1.0 / (relevant.argmax(axis=1) + 1), 0.0)
