"""Metric code as it is found in the wild, wrong on purpose: the exhibits of
`lib.course.error_gallery`.

Every function runs without complaint and is right on some inputs, which is how it got published.
The docstring says what is wrong and where the pattern is seen. Nothing here is for use: each has
its right form in `lib.metrics`.
"""

from collections.abc import Mapping, Sequence

import numpy as np

# ---- what is counted, for one query: ids best first, relevant ids, cut-off


def recall_that_is_hit_rate(ranked: Sequence[int], relevant: Sequence[int], k: int) -> float:
    """Any one relevant item counts as all of them. Seen in: most tables of cross-modal papers, as
    R@K.
    """
    return float(any(item in relevant for item in ranked[:k]))


def hit_rate_in_what_there_is(ranked: Sequence[int], relevant: Sequence[int], k: int) -> float:
    """A slice never fails: at k above the gallery, every query hits. Seen in: demos on a handful of
    items.
    """
    return float(len(set(ranked[:k]) & set(relevant)) > 0)


def precision_over_what_there_is(ranked: Sequence[int], relevant: Sequence[int], k: int) -> float:
    """Divides by the length of a list that is shorter than k. Seen in: torchmetrics, with
    `adaptive_k`.
    """
    top = ranked[:k]
    return sum(item in relevant for item in top) / len(top)


def precision_with_repeats(ranked: Sequence[int], relevant: Sequence[int], k: int) -> float:
    """Counts an item as often as it is listed. Seen in: merged lists of several indexes or
    shards.
    """
    return sum(item in relevant for item in ranked[:k]) / k


def average_precision_of_sets(ranked: Sequence[int], relevant: Sequence[int], k: int) -> float:
    """Sets have no order, and this metric is about order. Seen in: recommender tutorials."""
    return len(set(ranked[:k]) & set(relevant)) / len(relevant)


def average_precision_over_hits(ranked: Sequence[int], relevant: Sequence[int], k: int) -> float:
    """Divides by what was found, so that what is missing costs nothing. Seen in: torchmetrics."""
    found = [rank for rank, item in enumerate(ranked[:k], start=1) if item in relevant]
    return float(np.mean([(i + 1) / rank for i, rank in enumerate(found)])) if found else 0.0


def average_precision_over_k(ranked: Sequence[int], relevant: Sequence[int], k: int) -> float:
    """Divides by k, out of reach of a query with fewer relevant items. Seen in: recommender
    tutorials.
    """
    found = [rank for rank, item in enumerate(ranked[:k], start=1) if item in relevant]
    return sum((i + 1) / rank for i, rank in enumerate(found)) / k


# ---- ranks


def reciprocal_rank_by_argmax(ranked: Sequence[int], relevant: Sequence[int]) -> float:
    """The argmax of a row without any True is 0: nothing found is perfect. Seen in: vectorised
    MRR.
    """
    hits = np.isin(ranked, relevant)
    return float(1 / (np.argmax(hits) + 1))


def mean_reciprocal_rank_of_found(
    ranked: Sequence[Sequence[int]], relevant: Sequence[int]
) -> float:
    """Averages over the queries that were answered. Seen in: loops with `if item in ranking:
    append`.
    """
    ranks = [
        list(row).index(item) + 1 for row, item in zip(ranked, relevant, strict=True) if item in row
    ]
    return float(np.mean([1 / rank for rank in ranks]))


def hit_rate_from_zero(ranked: Sequence[int], relevant: Sequence[int], k: int) -> float:
    """Ranks count from 0, the test is <=: k + 1 places count. Seen in: `np.where(...)[0] <= k`."""
    rank = min((place for place, item in enumerate(ranked) if item in relevant), default=np.inf)
    return float(rank <= k)


def median_rank_below_middle(ranks: Sequence[int]) -> float:
    """For an even number of queries, the lower middle rank. Seen in: `torch.median`, so in
    CLIP4Clip.
    """
    return float(sorted(ranks)[(len(ranks) - 1) // 2])


# ---- graded gain, for one query: ids best first, {id: grade}, cut-off


def ndcg_of_what_was_found(ranked: Sequence[int], grades: Mapping[int, int], k: int) -> float:
    """The ideal is the retrieved list sorted. Seen in: torchmetrics and scikit-learn, given only
    the list.
    """
    found = [grades.get(item, 0) for item in ranked[:k]]
    return _dcg(np.exp2(found) - 1) / _dcg(np.exp2(sorted(found, reverse=True)) - 1)


def ndcg_exponential_in_name(ranked: Sequence[int], grades: Mapping[int, int], k: int) -> float:
    """Says 2^g - 1 and sums g; with grades of 0 and 1 nobody notices. Seen in: papers that cite
    Burges.
    """
    return _ndcg(ranked, grades, k, lambda g: g)


def ndcg_of_shifted_exponent(ranked: Sequence[int], grades: Mapping[int, int], k: int) -> float:
    """The gain 2^(g - 1) pays for wrong items; 2^g, twice that, gives the same ratio. Seen in:
    docstrings.
    """
    return _ndcg(ranked, grades, k, lambda g: 2.0 ** (g - 1))


def ndcg_from_rank_zero(ranked: Sequence[int], grades: Mapping[int, int], k: int) -> float:
    """Counts ranks from 0 in the discount log2(rank + 1), which is then 0. Seen in: hand-written
    DCG.
    """
    found = np.array([grades.get(item, 0) for item in ranked[:k]])
    ideal = np.array(sorted(grades.values(), reverse=True)[:k])
    with np.errstate(divide="ignore", invalid="ignore"):
        best, reached = (
            (gain / np.log2(np.arange(len(gain)) + 1)).sum() for gain in (ideal, found)
        )
        return float(reached / best)


def _dcg(gains) -> float:
    return float((np.asarray(gains) / np.log2(np.arange(len(gains)) + 2)).sum())


def _ndcg(ranked, grades, k, gain) -> float:
    others = len(set(ranked) - set(grades))  # unjudged items of the list have grade 0
    ideal = sorted([*grades.values(), *[0] * others], reverse=True)[:k]
    found = [grades.get(item, 0) for item in ranked[:k]]
    return _dcg(gain(np.array(found, float))) / _dcg(gain(np.array(ideal, float)))


# ---- R@1 from a square matrix of scores whose right answers are on the diagonal


def r1_counting_above(scores: np.ndarray) -> float:
    """Optimistic: what ties with the right item is below it, and so is NaN. Seen in:
    frozen-in-time.
    """
    return float((np.sum(scores > np.diag(scores)[:, None], axis=1) == 0).mean())


def r1_counting_not_below(scores: np.ndarray) -> float:
    """Pessimistic: a tie is a miss. NaN is not >= anything, and becomes a hit. Seen in: careful
    rewrites.
    """
    others = np.sum(scores >= np.diag(scores)[:, None], axis=1) - 1  # without the right item itself
    return float((others < 1).mean())


def r1_argsort_reversed(scores: np.ndarray) -> float:
    """Ties go to the last item on file. Seen in: VSE++, BLIP; there the sort is not even stable."""
    return float(
        (np.argsort(scores, axis=1, kind="stable")[:, ::-1][:, 0] == np.arange(len(scores))).mean()
    )


def r1_argsort_negated(scores: np.ndarray) -> float:
    """Ties go to the first item on file. Seen in: `np.argsort(-scores)`."""
    return float(
        (np.argsort(-scores, axis=1, kind="stable")[:, 0] == np.arange(len(scores))).mean()
    )


def r1_sorted_equals_diagonal(scores: np.ndarray) -> float:
    """Every item tied with the right one adds an entry, NaN removes one. Seen in: CLIP4Clip,
    CAV-MAE.
    """
    places = np.where(np.sort(-scores, axis=1) + np.diag(scores)[:, None] == 0)[1]
    return float((places == 0).sum() / len(places)) if len(places) else np.nan


R1_WAYS = {
    "count >": r1_counting_above,
    "count >=": r1_counting_not_below,
    "argsort, reversed": r1_argsort_reversed,
    "argsort of the negated": r1_argsort_negated,
    "sorted == diagonal": r1_sorted_equals_diagonal,
}


def r1_of_columns(scores: np.ndarray) -> float:
    """Lets the gallery ask and reports it as the queries' R@1. Seen in: tables with swapped
    directions.
    """
    return float((scores.argmax(axis=0) == np.arange(scores.shape[1])).mean())


def average_precision_of_positives(scores: Sequence[float], relevant: Sequence[int]) -> float:
    """A score below 0 makes an item irrelevant; cosines are often below 0. Seen in:
    torchmetrics.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    hits = [rank for rank, i in enumerate(order, start=1) if i in relevant and scores[i] > 0]
    return sum((n + 1) / rank for n, rank in enumerate(hits)) / len(relevant)


# ---- whose answer is whose


def r1_on_the_diagonal(
    scores: np.ndarray, query_ids: Sequence[int], item_ids: Sequence[int]
) -> float:
    """Supposes that query i is answered by item i, whatever the ids say. Seen in: loaders that
    shuffle.
    """
    return float((scores.argmax(axis=1)[: scores.shape[1]] == np.arange(len(scores))).mean())


def r1_five_captions_each(scores: np.ndarray, owner: Sequence[int]) -> float:
    """Supposes that captions 5 i to 5 i + 4 are those of image i. Seen in: VSE++, as `npts = n /
    5`.
    """
    n_images = scores.shape[1] // 5
    return float(np.mean([scores[i].argmax() // 5 == i for i in range(n_images)]))


# ---- statistics


def p_value_without_the_data(differences: Sequence[float], n_resamples: int) -> float:
    """Leaves out the +1, so that p can be 0, which no data can show. Seen in: ranx."""
    d, rng = np.asarray(differences, float), np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], size=(n_resamples, d.size))
    return float((np.abs(signs @ d) >= abs(d.sum())).mean())
