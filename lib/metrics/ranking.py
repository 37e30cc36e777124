"""Ranking metrics of lists of ids; each returns one value per query, or its mean.

run      1. dog  2. cat  3. cow       relevant: cat, cow       R = 2
hit@1 = 0, hit@2 = 1, recall@2 = 1/2, P@2 = 1/2, RR = 1/2, AP = (1/2 + 2/3) / 2
"""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import check_choice, check_count
from lib.core.qrels import Qrels
from lib.metrics.kernels import FAMILIES, PlacedItems, check_gain, normalised_dcg
from lib.metrics.runs import check_deep_enough, judge

DENOMINATORS = ("relevant", "min(R,k)", "hits")
Targets = Qrels | Sequence | np.ndarray


def _values(family: str, ranked_ids, targets, k: int | None, no_relevant: str) -> np.ndarray:
    """Compute one family from the first k items of every list."""
    grades, qrels = judge(ranked_ids, targets, k, no_relevant)
    if FAMILIES[family].cut == "R":
        check_deep_enough(qrels.counts, grades.shape[1], qrels.n_items)
    placed = PlacedItems.from_grades(grades, qrels.counts)
    return FAMILIES[family].kernel(placed, grades.shape[1])


# ---- any relevant item


def hit_rate_at_k(
    ranked_ids, targets: Targets, k: int, *, no_relevant: str = "error"
) -> np.ndarray:
    """Compute the hit rate at k per query, which cross-modal papers print as R@K.

        hit@k(i) = 1 if any of the items at ranks 1..k is relevant to query i, else 0

    With one relevant item per query it equals `recall_at_k`. With five captions per image the
    recall at 1 cannot exceed 20%; the hit rate can reach 100%.

    Args:
        ranked_ids: `(n_queries, depth)` gallery positions, best first; -1 where nothing was
            returned.
        targets: `Qrels`, or one list of relevant ids per query, or `(n_queries,)` with one id per
            query, or `{query position: ids}`.
        k: from 1 to `depth`.
        no_relevant: for queries without relevant items: "error", or "zero" for a value of 0.

    Returns:
        `(n_queries,)` float64, each 0 or 1.

    Reference: F. Faghri et al., VSE++, BMVC 2018.
    """
    return _values("R", ranked_ids, targets, check_count(k, "k"), no_relevant)


def reciprocal_rank(
    ranked_ids, targets: Targets, k: int | None = None, *, no_relevant: str = "error"
) -> np.ndarray:
    """Compute the reciprocal rank of the first relevant item per query, 0 if it is beyond rank k.

        RR@k(i) = 1 / min {r in 1..k : the item at rank r is relevant to query i}

    Args:
        ranked_ids, targets, no_relevant: as in `hit_rate_at_k`.
        k: from 1 to `depth`; None: the whole depth.

    Returns:
        `(n_queries,)` float64 in [0, 1].

    Reference: E. Voorhees, The TREC-8 Question Answering Track Report, 1999.
    """
    return _values("MRR", ranked_ids, targets, k, no_relevant)


def mean_reciprocal_rank(
    ranked_ids, targets: Targets, k: int | None = None, *, no_relevant: str = "error"
) -> float:
    """Compute the mean reciprocal rank over queries (MRR).

        MRR@k = 1/n sum_i RR@k(i)

    Args:
        ranked_ids, targets, k, no_relevant: as in `reciprocal_rank`. Some libraries leave out
            queries without relevant items, some count 0; `evaluate(..., no_relevant="skip")` leaves
            them out and reports how many.

    Returns:
        A float in [0, 1].
    """
    return float(reciprocal_rank(ranked_ids, targets, k, no_relevant=no_relevant).mean())


def first_rank(ranked_ids, targets: Targets, *, no_relevant: str = "error") -> np.ndarray:
    """Return the rank of the first relevant item per query, counted from 1.

        r(i) = min {r : the item at rank r is relevant to query i}

    Args:
        ranked_ids, targets: as in `hit_rate_at_k`.
        no_relevant: for queries without relevant items: "error", or "zero" for infinity.

    Returns:
        `(n_queries,)` float64; infinity where no relevant item is in the run.
    """
    grades, qrels = judge(ranked_ids, targets, None, no_relevant)
    return PlacedItems.from_grades(grades, qrels.counts).first_rank


def median_rank(ranked_ids, targets: Targets, *, no_relevant: str = "error") -> float:
    """Compute the median rank of the first relevant item over queries (MedR); lower is better.

        MedR = median_i r(i), the mean of the two middle values for an even number of queries

    Papers use three medians: of ranks 1, 2, 4, 10 this one is 3.0, the lower one is 2, and VSE++'s
    `floor(median(r - 1)) + 1` is 3; of 1, 2, 3, 10 they are 2.5, 2 and 2.

    Args:
        ranked_ids, targets, no_relevant: as in `first_rank`.

    Returns:
        A float of at least 1; infinity if the median lies beyond the run.
    """
    return float(np.median(first_rank(ranked_ids, targets, no_relevant=no_relevant)))


def mean_rank(ranked_ids, targets: Targets, *, no_relevant: str = "error") -> float:
    """Compute the mean rank of the first relevant item over queries (MeanR); lower is better.

        MeanR = 1/n sum_i r(i)

    A few very bad queries decide it; papers print `median_rank` beside it.

    Args:
        ranked_ids, targets, no_relevant: as in `first_rank`.

    Returns:
        A float of at least 1; infinity if any first relevant rank lies beyond the run.
    """
    return float(np.mean(first_rank(ranked_ids, targets, no_relevant=no_relevant)))


# ---- all relevant items


def recall_at_k(ranked_ids, targets: Targets, k: int, *, no_relevant: str = "error") -> np.ndarray:
    """Compute recall@k per query: the fraction of its relevant items that are among the first k.

        recall@k(i) = |{items at ranks 1..k} and {relevant items of i}| / |{relevant items of i}|

    This is the recall of information retrieval. What cross-modal papers call recall is
    `hit_rate_at_k`.

    Args:
        ranked_ids, targets, k, no_relevant: as in `hit_rate_at_k`.

    Returns:
        `(n_queries,)` float64 in [0, 1], at most `min(k, R) / R` for R relevant items.

    Reference: C. Manning, P. Raghavan, H. Schuetze, Introduction to Information Retrieval, 8.3.
    """
    return _values("recall", ranked_ids, targets, check_count(k, "k"), no_relevant)


def precision_at_k(
    ranked_ids, targets: Targets, k: int, *, no_relevant: str = "error"
) -> np.ndarray:
    """Compute precision@k per query: the fraction of the first k places with a relevant item.

        P@k(i) = |{items at ranks 1..k} and {relevant items of i}| / k

    A place that holds -1 counts as wrong: the denominator stays k.

    Args:
        ranked_ids, targets, k, no_relevant: as in `hit_rate_at_k`.

    Returns:
        `(n_queries,)` float64 in [0, 1], at most `min(k, R) / k` for R relevant items.

    Reference: C. Manning, P. Raghavan, H. Schuetze, Introduction to Information Retrieval, 8.4.
    """
    return _values("P", ranked_ids, targets, check_count(k, "k"), no_relevant)


def r_precision(ranked_ids, targets: Targets, *, no_relevant: str = "error") -> np.ndarray:
    """Compute R-precision per query: precision at R, its number of relevant items.

        RP(i) = |{items at ranks 1..R} and {relevant items of i}| / R

    Precision and recall at R are the same number. The run must reach rank R of every query.

    Args:
        ranked_ids, targets, no_relevant: as in `hit_rate_at_k`.

    Returns:
        `(n_queries,)` float64 in [0, 1].

    Reference: C. Manning, P. Raghavan, H. Schuetze, Introduction to Information Retrieval, 8.4.
    """
    return _values("R-precision", ranked_ids, targets, None, no_relevant)


# ---- order of several relevant items


def average_precision(
    ranked_ids,
    targets: Targets,
    k: int | None = None,
    *,
    denominator: str = "relevant",
    no_relevant: str = "error",
) -> np.ndarray:
    """Compute average precision per query: precisions at the relevant ranks, over a denominator.

        AP@k(i) = 1/D sum_{r <= k} P@r(i) [the item at rank r is relevant to i]
        D = R ("relevant"),  min(R, k) ("min(R,k)"),  the relevant items among the first k ("hits")

    Three libraries give one name to three numbers: hits at ranks 1 and 3 with R = 5 and k = 3 give
    .3333, .5556 or .8333.

    Args:
        ranked_ids, targets, no_relevant: as in `hit_rate_at_k`.
        k: from 1 to `depth`; None: the whole depth. Relevant items beyond k add nothing.
        denominator: "relevant" (R; trec_eval, ranx), "min(R,k)" (recommender contests; a perfect
            list has 1 at every k), or "hits" (torchmetrics; missing items cost nothing, and more
            hits can lower the value).

    Returns:
        `(n_queries,)` float64 in [0, 1].

    Reference: E. Voorhees, D. Harman, TREC: Experiment and Evaluation in Information Retrieval,
    2005, ch. 3.
    """
    check_choice(denominator, DENOMINATORS, "denominator")
    grades, qrels = judge(ranked_ids, targets, k, no_relevant)
    placed = PlacedItems.from_grades(grades, qrels.counts)
    all_items = np.ones(placed.rank.size, bool)
    divisors = {
        "relevant": qrels.counts,
        "min(R,k)": np.minimum(qrels.counts, grades.shape[1]),
        "hits": placed.sum_where(all_items),
    }
    return placed.precision_sum(all_items) / np.maximum(divisors[denominator], 1)


def mean_average_precision(
    ranked_ids,
    targets: Targets,
    k: int | None = None,
    *,
    denominator: str = "relevant",
    no_relevant: str = "error",
) -> float:
    """Compute mean average precision over queries (MAP).

        MAP@k = 1/n sum_i AP@k(i)

    Args:
        ranked_ids, targets, k, denominator, no_relevant: as in `average_precision`.

    Returns:
        A float in [0, 1].
    """
    options = {"denominator": denominator, "no_relevant": no_relevant}
    values = average_precision(ranked_ids, targets, k, **options)
    return float(values.mean())


def average_precision_at_r(
    ranked_ids, targets: Targets, *, no_relevant: str = "error"
) -> np.ndarray:
    """Compute average precision per query over its first R places, R being its relevant items.

        AP@R(i) = 1/R sum_{r <= R} P@r(i) [the item at rank r is relevant to i]

    It is 1 exactly when the first R places hold the R relevant items. The run must reach rank R of
    every query.

    Args:
        ranked_ids, targets, no_relevant: as in `hit_rate_at_k`.

    Returns:
        `(n_queries,)` float64 in [0, 1], at most `r_precision` and at most `average_precision`.

    Reference: K. Musgrave et al., A Metric Learning Reality Check, ECCV 2020; S. Chun et al., ECCV
    Caption, ECCV 2022.
    """
    return _values("MAP@R", ranked_ids, targets, None, no_relevant)


def map_at_r(ranked_ids, targets: Targets, *, no_relevant: str = "error") -> float:
    """Compute the mean of `average_precision_at_r` over queries (mAP@R).

        mAP@R = 1/n sum_i AP@R(i)

    Args:
        ranked_ids, targets, no_relevant: as in `average_precision_at_r`.

    Returns:
        A float in [0, 1].
    """
    return float(average_precision_at_r(ranked_ids, targets, no_relevant=no_relevant).mean())


def ndcg_at_k(
    ranked_ids, targets: Targets, k: int, *, gain: str = "exponential", no_relevant: str = "error"
) -> np.ndarray:
    """Compute nDCG@k per query: discounted gain over that of the best order of all judged items.

        DCG@k(i) = sum_{r <= k} gain(g_r) / log2(r + 1)
        gain(g) = 2^g - 1 ("exponential")  or  g ("linear")
        nDCG@k(i) = DCG@k(i) / DCG@k of all grades of i, descending

    The ideal includes judged items that were not retrieved. An ideal of the retrieved items alone
    would call any list perfect that is in order.

    Args:
        ranked_ids, targets, k, no_relevant: as in `hit_rate_at_k`; targets without grades have
            grade 1.
        gain: "exponential" (C. Burges et al., 2005; gdeval; grades up to 30) or "linear" (Jarvelin
            and Kekalainen; trec_eval's `ndcg`). They agree where all grades are 1.

    Returns:
        `(n_queries,)` float64 in [0, 1]; 1 exactly when the first k grades are the k best,
        descending.

    Reference: K. Jarvelin, J. Kekalainen, Cumulated Gain-Based Evaluation of IR Techniques, TOIS
    2002.
    """
    k = check_count(k, "k")
    grades, qrels = judge(ranked_ids, targets, k, no_relevant)
    check_gain(qrels, gain)
    return normalised_dcg(PlacedItems.from_grades(grades, qrels.counts), qrels, k, gain)
