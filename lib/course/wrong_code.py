"""Metric code as it is published, wrong on purpose: material of the error gallery.

Every function runs without an error and is right on some inputs. The docstring says what is wrong
and where the pattern is seen. Use `lib.metrics` instead.
"""

from collections.abc import Mapping, Sequence

import numpy as np

Ids = Sequence[int]

# ---- counting, for one query: ids best first, relevant ids, cut-off


def recall_that_is_hit_rate(ranked: Ids, relevant: Ids, k: int) -> float:
    """Return 1 if any relevant item is found. Seen in: most cross-modal papers, as R@K."""
    return float(any(item in relevant for item in ranked[:k]))


def hit_rate_in_what_there_is(ranked: Ids, relevant: Ids, k: int) -> float:
    """Cut at a k above the gallery size, where every query hits. Seen in: demos on a few items."""
    return float(len(set(ranked[:k]) & set(relevant)) > 0)


def precision_over_what_there_is(ranked: Ids, relevant: Ids, k: int) -> float:
    """Divide by the length of a list shorter than k. Seen in: torchmetrics, with `adaptive_k`."""
    top = ranked[:k]
    return sum(item in relevant for item in top) / len(top)


def precision_with_repeats(ranked: Ids, relevant: Ids, k: int) -> float:
    """Count an item as often as it is listed. Seen in: merged lists of several indexes."""
    return sum(item in relevant for item in ranked[:k]) / k


def average_precision_of_sets(ranked: Ids, relevant: Ids, k: int) -> float:
    """Count the hits and ignore their order. Seen in: recommender tutorials."""
    return len(set(ranked[:k]) & set(relevant)) / len(relevant)


def average_precision_over_hits(ranked: Ids, relevant: Ids, k: int) -> float:
    """Divide by the number of items found. Seen in: torchmetrics."""
    ranks = [rank for rank, item in enumerate(ranked[:k], start=1) if item in relevant]
    return float(np.mean([(i + 1) / rank for i, rank in enumerate(ranks)])) if ranks else 0.0


def average_precision_over_k(ranked: Ids, relevant: Ids, k: int) -> float:
    """Divide by k, even if fewer items are relevant. Seen in: recommender tutorials."""
    ranks = [rank for rank, item in enumerate(ranked[:k], start=1) if item in relevant]
    return sum((i + 1) / rank for i, rank in enumerate(ranks)) / k


# ---- ranks


def reciprocal_rank_by_argmax(ranked: Ids, relevant: Ids) -> float:
    """Return 1 without a hit: the argmax of only False is 0. Seen in: vectorised MRR."""
    hits = np.isin(ranked, relevant)
    return float(1 / (np.argmax(hits) + 1))


def mean_reciprocal_rank_of_found(ranked: Sequence[Ids], relevant: Ids) -> float:
    """Average over the answered queries. Seen in: loops with `if item in ranking: append`."""
    pairs = zip(ranked, relevant, strict=True)
    return float(np.mean([1 / (list(row).index(item) + 1) for row, item in pairs if item in row]))


def hit_rate_from_zero(ranked: Ids, relevant: Ids, k: int) -> float:
    """Count ranks from 0 and test <= k: k + 1 places count. Seen in: `np.where(...)[0] <= k`."""
    rank = min((place for place, item in enumerate(ranked) if item in relevant), default=np.inf)
    return float(rank <= k)


def median_rank_below_middle(ranks: Ids) -> float:
    """Return the lower of two middle ranks. Seen in: `torch.median`, so in CLIP4Clip."""
    return float(sorted(ranks)[(len(ranks) - 1) // 2])


# ---- graded gain, for one query: ids best first, {id: grade}, cut-off


def ndcg_of_what_was_found(ranked: Ids, grades: Mapping[int, int], k: int) -> float:
    """Take the returned list, sorted, as the ideal. Seen in: torchmetrics, scikit-learn."""
    reached = [grades.get(item, 0) for item in ranked[:k]]
    return _dcg(np.exp2(reached) - 1) / _dcg(np.exp2(sorted(reached, reverse=True)) - 1)


def ndcg_exponential_in_name(ranked: Ids, grades: Mapping[int, int], k: int) -> float:
    """Sum the grades g where the text says 2^g - 1. Seen in: papers that cite Burges."""
    return _ndcg(ranked, grades, k, lambda g: g)


def ndcg_of_shifted_exponent(ranked: Ids, grades: Mapping[int, int], k: int) -> float:
    """Use the gain 2^(g - 1), which is not 0 for wrong items. Seen in: docstrings."""
    return _ndcg(ranked, grades, k, lambda g: 2.0 ** (g - 1))


def ndcg_from_rank_zero(ranked: Ids, grades: Mapping[int, int], k: int) -> float:
    """Count ranks from 0, so the first discount log2(rank + 1) is 0. Seen in: hand-written DCG."""
    reached = np.array([grades.get(item, 0) for item in ranked[:k]])
    ideal = np.array(sorted(grades.values(), reverse=True)[:k])
    with np.errstate(divide="ignore", invalid="ignore"):
        dcg, best = ((gain / np.log2(np.arange(len(gain)) + 1)).sum() for gain in (reached, ideal))
        return float(dcg / best)


def _dcg(gains) -> float:
    return float((np.asarray(gains) / np.log2(np.arange(len(gains)) + 2)).sum())


def _ndcg(ranked, grades, k, gain) -> float:
    others = len(set(ranked) - set(grades))  # unjudged items of the list have grade 0
    ideal = sorted([*grades.values(), *[0] * others], reverse=True)[:k]
    reached = [grades.get(item, 0) for item in ranked[:k]]
    return _dcg(gain(np.array(reached, float))) / _dcg(gain(np.array(ideal, float)))


# ---- R@1 from a square matrix of scores whose right answers are on the diagonal


def r1_counting_above(scores: np.ndarray) -> float:
    """Count equal scores, and NaN, as below the right item. Seen in: frozen-in-time."""
    return float((np.sum(scores > np.diag(scores)[:, None], axis=1) == 0).mean())


def r1_counting_not_below(scores: np.ndarray) -> float:
    """Count ties as misses, but NaN, which is never >=, as a hit. Seen in: careful rewrites."""
    others = np.sum(scores >= np.diag(scores)[:, None], axis=1) - 1  # without the right item itself
    return float((others < 1).mean())


def r1_argsort_reversed(scores: np.ndarray) -> float:
    """Let the last tied item on file win. Seen in: VSE++, BLIP, there with an unstable sort."""
    best = np.argsort(scores, axis=1, kind="stable")[:, ::-1][:, 0]
    return float((best == np.arange(len(scores))).mean())


def r1_argsort_negated(scores: np.ndarray) -> float:
    """Let the first tied item on file win. Seen in: `np.argsort(-scores)`."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, 0]
    return float((best == np.arange(len(scores))).mean())


def r1_sorted_equals_diagonal(scores: np.ndarray) -> float:
    """Count every tied item as a rank of its own. Seen in: CLIP4Clip, CAV-MAE."""
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
    """Take the best query of each item. Seen in: tables with swapped directions."""
    return float((scores.argmax(axis=0) == np.arange(scores.shape[1])).mean())


def average_precision_of_positives(scores: Sequence[float], relevant: Ids) -> float:
    """Treat items with a score below 0, often a cosine, as irrelevant. Seen in: torchmetrics."""
    order = np.argsort(-np.asarray(scores), kind="stable")
    hits = [rank for rank, i in enumerate(order, start=1) if i in relevant and scores[i] > 0]
    return sum((n + 1) / rank for n, rank in enumerate(hits)) / len(relevant)


# ---- which item is the right answer of which query


def r1_on_the_diagonal(scores: np.ndarray, query_ids: Ids, item_ids: Ids) -> float:
    """Take item i for the answer to query i, without the ids. Seen in: loaders that shuffle."""
    return float((scores.argmax(axis=1)[: scores.shape[1]] == np.arange(len(scores))).mean())


def r1_five_captions_each(scores: np.ndarray, owner: Ids) -> float:
    """Take captions 5 i to 5 i + 4 for those of image i. Seen in: VSE++, as `npts = n / 5`."""
    n_images = scores.shape[1] // 5
    return float(np.mean([scores[i].argmax() // 5 == i for i in range(n_images)]))


# ---- statistics


def p_value_without_the_data(differences: Sequence[float], n_resamples: int) -> float:
    """Leave out the +1: p can be 0, which no data can show. Seen in: ranx."""
    d, rng = np.asarray(differences, float), np.random.default_rng(0)
    signs = rng.choice([-1.0, 1.0], size=(n_resamples, d.size))
    return float((np.abs(signs @ d) >= abs(d.sum())).mean())
