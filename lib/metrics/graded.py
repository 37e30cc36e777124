"""Metrics that reward the order of several relevant items: average precision and discounted
gain.
"""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.core.qrels import Qrels
from lib.metrics.runs import check_deep_enough, judge

DENOMINATORS = ("relevant", "min(R,k)", "hits")
GAINS = ("exponential", "linear")
MAX_EXPONENTIAL_GRADE = (
    30  # 2^30 beside 1 leaves a float64 sum room for every rank; 2^1024 is infinite
)


def average_precision(
    ranked_ids,
    targets: Qrels | Sequence | np.ndarray,
    k: int | None = None,
    *,
    denominator: str = "relevant",
    no_relevant: str = "error",
) -> np.ndarray:
    """Precision at the rank of every relevant item among the first k, summed and divided by a named
    number.

        AP@k(i) = 1/D sum_{r <= k} P@r(i) [the item at rank r is relevant to i]
        D = R ("relevant"),  min(R, k) ("min(R,k)"),  the relevant items among the first k ("hits")

    Hits at ranks 1 and 3 with R = 5 and k = 3 are .3333, .5556 or .8333, under one name in three
    libraries.

    Args:
        ranked_ids: `(n_queries, depth)` gallery positions, best first; -1 where nothing was
            returned.
        targets: `Qrels`, or one list of relevant ids per query, or `(n_queries,)` with one id per
            query.
        k: from 1 to `depth`; the whole depth when None. Relevant items beyond it add nothing.
        denominator: "relevant" (R; trec_eval, ranx), "min(R,k)" (recommender contests; 1 is within
            reach at every k), or "hits" (torchmetrics; missing items cost nothing, so more hits can
            lower it).
        no_relevant: what a query without relevant items is: "error", or "zero" for a value of 0.

    Returns:
        `(n_queries,)` float64 in [0, 1].

    Raises:
        RetrievalInputError: as `hit_rate_at_k`, or another denominator.

    Relations: `reciprocal_rank` when R = 1; `average_precision_at_r` cuts at R instead of k.

    Reference: E. Voorhees, D. Harman, TREC: Experiment and Evaluation in Information Retrieval,
    2005, ch. 3.
    """
    check_choice(denominator, DENOMINATORS, "denominator")
    grades, qrels = judge(ranked_ids, targets, k, no_relevant)
    return precision_sum(grades > 0) / _denominators(grades > 0, qrels.counts, denominator)


def mean_average_precision(
    ranked_ids,
    targets: Qrels | Sequence | np.ndarray,
    k: int | None = None,
    *,
    denominator: str = "relevant",
    no_relevant: str = "error",
) -> float:
    """The mean of `average_precision` over queries (MAP).

        MAP@k = 1/n sum_i AP@k(i)

    Args:
        ranked_ids, targets, k, denominator, no_relevant: as in `average_precision`.

    Returns:
        A float in [0, 1].

    Raises:
        RetrievalInputError: as `average_precision`.
    """
    values = average_precision(
        ranked_ids, targets, k, denominator=denominator, no_relevant=no_relevant
    )
    return float(values.mean())


def average_precision_at_r(
    ranked_ids, targets: Qrels | Sequence | np.ndarray, *, no_relevant: str = "error"
) -> np.ndarray:
    """Average precision over the first R places, where R is the number of relevant items of the
    query.

        AP@R(i) = 1/R sum_{r <= R} P@r(i) [the item at rank r is relevant to i]

    Args:
        ranked_ids: `(n_queries, depth)` gallery positions, best first; -1 where nothing was
            returned.
        targets: `Qrels`, or one list of relevant ids per query, or `(n_queries,)` with one id per
            query.
        no_relevant: what a query without relevant items is: "error", or "zero" for a value of 0.

    Returns:
        `(n_queries,)` float64 in [0, 1].

    Raises:
        RetrievalInputError: as `hit_rate_at_k`; a run that ends before rank R of some query.

    Relations: at most `r_precision` and at most `average_precision`; 1 exactly when the first R
    places hold the R relevant items.

    Reference: K. Musgrave et al., A Metric Learning Reality Check, ECCV 2020; S. Chun et al., ECCV
    Caption, ECCV 2022.
    """
    grades, qrels = judge(ranked_ids, targets, None, no_relevant)
    check_deep_enough(qrels.counts, grades.shape[1], qrels.n_items)
    return precision_over_r(grades > 0, qrels.counts)


def map_at_r(
    ranked_ids, targets: Qrels | Sequence | np.ndarray, *, no_relevant: str = "error"
) -> float:
    """The mean of `average_precision_at_r` over queries (mAP@R).

        mAP@R = 1/n sum_i AP@R(i)

    Args:
        ranked_ids, targets, no_relevant: as in `average_precision_at_r`.

    Returns:
        A float in [0, 1].

    Raises:
        RetrievalInputError: as `average_precision_at_r`.
    """
    return float(average_precision_at_r(ranked_ids, targets, no_relevant=no_relevant).mean())


def ndcg_at_k(
    ranked_ids,
    targets: Qrels | Sequence | np.ndarray,
    k: int,
    *,
    gain: str = "exponential",
    no_relevant: str = "error",
) -> np.ndarray:
    """Discounted gain of the first k items, divided by that of the best order of all judged items.

        DCG@k(i) = sum_{r <= k} gain(g_r) / log2(r + 1),   gain(g) = 2^g - 1 ("exponential") or g
        ("linear") nDCG@k(i) = DCG@k(i) / DCG@k of all grades of i, descending

    Args:
        ranked_ids: `(n_queries, depth)` gallery positions, best first; -1 where nothing was
            returned.
        targets: `Qrels`, or one list of relevant ids per query, or `(n_queries,)` with one id per
            query (grade 1). The ideal is taken over the whole row of judgements, also what was not
            retrieved; an ideal over the retrieved items alone would call any list perfect that is
            in order.
        k: from 1 to `depth`.
        gain: "exponential" (C. Burges et al., 2005; gdeval) or "linear" (Jarvelin and Kekalainen;
            trec_eval's `ndcg`). They agree where all grades are 1, so say which one was used.
        no_relevant: what a query without relevant items is: "error", or "zero" for a value of 0.

    Returns:
        `(n_queries,)` float64 in [0, 1]; 1 exactly when the grades of the first k are the k best,
        descending.

    Raises:
        RetrievalInputError: as `hit_rate_at_k`; another gain; a grade above 30 with the exponential
            gain.

    Relations: unlike recall and precision it needs grades to be on a scale: doubling them changes
    it (with "linear", it does not).

    Reference: K. Jarvelin, J. Kekalainen, Cumulated Gain-Based Evaluation of IR Techniques, TOIS
    2002.
    """
    check_choice(gain, GAINS, "gain")
    grades, qrels = judge(ranked_ids, targets, check_count(k, "k"), no_relevant)
    check_gain(qrels, gain)
    return normalised_gain(grades, qrels, k, gain)


def precision_sum(relevant: np.ndarray) -> np.ndarray:
    """Sum of the precisions at the relevant ranks, from `(n_queries, depth)` booleans."""
    rows, columns = np.nonzero(relevant)  # few cells are relevant, so only they are visited
    found = np.arange(rows.size) - np.searchsorted(rows, rows) + 1  # how many of the row so far
    return np.bincount(rows, found / (columns + 1), minlength=len(relevant))


def precision_over_r(relevant: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """AP@R from `(n_queries, depth)` booleans and `(n_queries,)` numbers of relevant items."""
    within = np.arange(relevant.shape[1]) < counts[:, None]
    return precision_sum(relevant & within) / np.maximum(counts, 1)


def normalised_gain(grades: np.ndarray, qrels: Qrels, k: int, gain: str) -> np.ndarray:
    """nDCG at k from `(n_queries, depth)` grades and all judgements."""
    rows, columns = np.nonzero(grades[:, :k])
    reached = _discounted(rows, columns, grades[rows, columns], len(grades), gain)
    ideal = ideal_gain(qrels, k, gain)
    return np.divide(reached, ideal, out=np.zeros(len(grades)), where=ideal > 0)


def ideal_gain(qrels: Qrels, k: int, gain: str) -> np.ndarray:
    """DCG at k of every query's judgements in their best order, `(n_queries,)`."""
    queries = qrels.query_index
    best_first = np.lexsort((-qrels.grades.astype(np.int32), queries))
    place = np.arange(queries.size) - qrels.indptr[queries]  # the order keeps queries together
    kept = place < k
    # Summed like the gain reached, over non-zero gains in order of rank, so that a perfect list is
    # exactly 1.
    return _discounted(
        queries[kept], place[kept], qrels.grades[best_first][kept], qrels.shape[0], gain
    )


def gain_of(grades: np.ndarray, gain: str) -> np.ndarray:
    """Gain of every grade, float64: `2^g - 1` or `g`."""
    grades = grades.astype(np.float64)
    return np.exp2(grades) - 1 if gain == "exponential" else grades


def check_gain(qrels: Qrels, gain: str) -> None:
    """Refuses grades whose exponential gain would drown everything else."""
    if gain == "exponential" and qrels.max_grade > MAX_EXPONENTIAL_GRADE:
        at = int(np.argmax(qrels.grades > MAX_EXPONENTIAL_GRADE))
        raise RetrievalInputError(
            f"grade {qrels.grades[at]} of query {qrels.query_index[at]}, item {qrels.items[at]} is"
            f" above {MAX_EXPONENTIAL_GRADE}, too much for the gain 2^grade - 1; use gain='linear'"
            " or coarser grades"
        )


def _discounted(rows, places, grades, n_queries: int, gain: str) -> np.ndarray:
    return np.bincount(rows, gain_of(grades, gain) / np.log2(places + 2.0), minlength=n_queries)


def _denominators(relevant: np.ndarray, counts: np.ndarray, denominator: str) -> np.ndarray:
    if denominator == "hits":
        counts = relevant.sum(axis=1)
    elif denominator == "min(R,k)":
        counts = np.minimum(counts, relevant.shape[1])
    return np.maximum(counts, 1)
