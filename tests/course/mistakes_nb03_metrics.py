"""Typical wrong answers to the exercises of notebook 03, with a phrase of their messages."""

import math

import numpy as np

from tests.course import reference_answers as right
from tests.course.reference_answers import average_precision


def ranks(ranked_ids, relevant):
    return [rank for rank, item in enumerate(ranked_ids, start=1) if item in relevant]


def from_zero(ranked_ids, relevant):
    return next((1 / max(i, 1) for i, item in enumerate(ranked_ids) if item in relevant), 0.0)


def with_index(ranked_ids, relevant):
    return 1 / (1 + min(ranked_ids.index(item) for item in relevant if item in ranked_ids))


def with_argmax(ranked_ids, relevant):
    return 1 / (1 + np.argmax([item in relevant for item in ranked_ids]))


def behind_the_end(ranked_ids, relevant):
    return 1 / min(ranks(ranked_ids, relevant), default=len(ranked_ids) + 1)


def nothing_said(ranked_ids, relevant):
    for rank, item in enumerate(ranked_ids, start=1):
        if item in relevant:
            return 1 / rank
    return None


def smallest_id(ranked_ids, relevant):
    item = min(relevant)
    return 1 / (1 + ranked_ids.index(item)) if item in ranked_ids else 0.0


def set_as_one_object(ranked_ids, relevant):
    hits = np.isin(ranked_ids, relevant)
    return 1 / (1 + hits.argmax()) if hits.any() else 0.0


def every_item(ranked_ids, relevant):
    return [float(item in relevant) / rank for rank, item in enumerate(ranked_ids, start=1)]


def relevant_at(ranked_ids, relevant_ids):
    return (ranked_ids[:, :, None] == relevant_ids[:, None, :]).any(axis=2) & (ranked_ids >= 0)


def precisions(hit):
    return hit.cumsum(axis=1) / np.arange(1, hit.shape[1] + 1)


def with_padding(ranked_ids, relevant_ids):
    hit = (ranked_ids[:, :, None] == relevant_ids[:, None, :]).any(axis=2)
    return (precisions(hit) * hit).sum(axis=1) / (relevant_ids >= 0).sum(axis=1)


def padding_in_both(ranked_ids, relevant_ids):
    hit = (ranked_ids[:, :, None] == relevant_ids[:, None, :]).any(axis=2)
    return (precisions(hit) * hit).sum(axis=1) / relevant_ids.shape[1]


def over_depth(ranked_ids, relevant_ids):
    hit = relevant_at(ranked_ids, relevant_ids)
    return (precisions(hit) * hit).sum(axis=1) / hit.shape[1]


def over_width(ranked_ids, relevant_ids):
    hit = relevant_at(ranked_ids, relevant_ids)
    return (precisions(hit) * hit).sum(axis=1) / relevant_ids.shape[1]


def over_hits(ranked_ids, relevant_ids):
    hit = relevant_at(ranked_ids, relevant_ids)
    return (precisions(hit) * hit).sum(axis=1) / np.maximum(hit.sum(axis=1), 1)


def over_the_shorter(ranked_ids, relevant_ids):
    hit = relevant_at(ranked_ids, relevant_ids)
    shorter = np.minimum((relevant_ids >= 0).sum(axis=1), hit.shape[1])
    return (precisions(hit) * hit).sum(axis=1) / shorter


def reciprocal_ranks(ranked_ids, relevant_ids):
    hit = relevant_at(ranked_ids, relevant_ids)
    return (hit / np.arange(1, hit.shape[1] + 1)).sum(axis=1) / (relevant_ids >= 0).sum(axis=1)


def over_all_ranks(ranked_ids, relevant_ids):
    return precisions(relevant_at(ranked_ids, relevant_ids)).mean(axis=1)


def precision_at_the_end(ranked_ids, relevant_ids):
    return relevant_at(ranked_ids, relevant_ids).mean(axis=1)


def recall(ranked_ids, relevant_ids):
    return relevant_at(ranked_ids, relevant_ids).sum(axis=1) / (relevant_ids >= 0).sum(axis=1)


def mean_over_queries(ranked_ids, relevant_ids):
    return average_precision(ranked_ids, relevant_ids).mean()


def ranks_from_zero(ranked_ids, relevant_ids):
    hit = relevant_at(ranked_ids, relevant_ids)
    with np.errstate(all="ignore"):
        return (hit * hit.cumsum(axis=1) / np.arange(hit.shape[1])).sum(axis=1)


def writes_into_the_list(ranked_ids, relevant_ids):
    ranked_ids[ranked_ids < 0] = -2
    return average_precision(ranked_ids, relevant_ids)


def discounted(grades, k, gain, discount):
    return sum(gain(g) / discount(rank) for rank, g in enumerate(grades[:k], start=1))


def variant(gain=lambda g: 2.0**g - 1, discount=lambda rank: math.log2(rank + 1), ideal=None):
    """nDCG with one of its parts replaced; `ideal` maps the grades of list and query to the ideal
    list.
    """
    best = ideal or (lambda ranked, every: sorted(every, reverse=True))

    def function(ranked_grades, all_grades, k):
        reached = discounted(ranked_grades, k, gain, discount)
        return reached / max(discounted(best(ranked_grades, all_grades), k, gain, discount), 1e-12)

    return function


def both_bugs(ranked_grades, all_grades, k):
    """The code of the bug hunt."""
    gain = 2.0 ** np.array(ranked_grades[:k])
    discount = np.log2(np.arange(len(gain)) + 2)
    return (gain / discount).sum() / (np.sort(gain)[::-1] / discount).sum()


def cut(list_at, ideal_at):
    """nDCG whose list and ideal list are cut at places of their own."""

    def function(ranked_grades, all_grades, k):
        best = sorted(all_grades, reverse=True)
        reached, ideal = (
            discounted(grades, at(k), lambda g: 2.0**g - 1, lambda rank: math.log2(rank + 1))
            for grades, at in ((ranked_grades, list_at), (best, ideal_at))
        )
        return reached / ideal

    return function


def with_plain_factorials(n, r, k):
    ways = math.factorial(n - r) * math.factorial(n - k)
    return 1 - ways / (math.factorial(n) * math.factorial(n - r - k))


def with_factorials(n, r, k):
    if k > n - r:
        return 1.0
    orders = float(math.factorial(n)) / math.factorial(n - k)
    return 1 - math.factorial(n - r) / math.factorial(n - r - k) / orders


def ndcg_with_nan(ranked, every, k):
    def dcg(grades):
        gain = 2.0 ** np.array(grades[:k]) - 1
        return (gain / np.log2(np.arange(len(gain)) + 2)).sum()

    return dcg(ranked) / dcg(sorted(every, reverse=True))


def precision_above(found_floor, right_floor):
    def function(ranked, relevant):
        hit = (ranked[:, :, None] == relevant[:, None, :]).any(axis=2) & (ranked > found_floor)
        precision = hit.cumsum(axis=1) / np.arange(1, hit.shape[1] + 1)
        return (precision * hit).sum(axis=1) / (relevant > right_floor).sum(axis=1)

    return function


def first_of_hits(ranked, relevant):
    hits = np.array([item in relevant for item in ranked])
    return 1 / (hits.argmax() + 1) if hits[hits.argmax()] else 0.0


MISTAKES = {
    "metrics.reciprocal_rank": [
        (from_zero, "as if it came first"),
        (lambda ranked, relevant: 1 / (1 + min(ranks(ranked, relevant))), "added once too often"),
        (
            lambda ranked, relevant: float(min(ranks(ranked, relevant), default=0)),
            "the rank itself",
        ),
        (lambda ranked, relevant: 1 / max(ranks(ranked, relevant)), "the last relevant item"),
        (lambda ranked, relevant: np.mean([1 / r for r in ranks(ranked, relevant)]), "it averages"),
        (lambda ranked, relevant: sum(1 / r for r in ranks(ranked, relevant)), "it adds up"),
        (with_index, "happens often"),
        (with_argmax, "a perfect 1"),
        (behind_the_end, "A list without a relevant item is worth 0"),
        (nothing_said, "returned None for one of the cases"),
        (smallest_id, "Any relevant item will do"),
        (set_as_one_object, "It takes a set for one object"),
        (every_item, "the result has 5 values"),
        (lambda ids, few: right.reciprocal_rank(ids[:-1], few), "The last rank"),
        (first_of_hits, "No relevant item is in this list"),
    ],
    "metrics.average_precision": [
        (with_padding, "Padding is not an id"),
        (over_width, "The width of the table of relevant items is not R"),
        (padding_in_both, "Leave it out of both"),
        (over_depth, "it divides by the length of the list"),
        (over_hits, "the third relevant item costs nothing"),
        (over_the_shorter, "min(R, k)"),
        (reciprocal_ranks, "as if it were the first"),
        (over_all_ranks, "averaged over all ranks"),
        (precision_at_the_end, "the precision at the depth of the list"),
        (recall, "it returns the recall"),
        (mean_over_queries, "has shape ()"),
        (ranks_from_zero, "not finite"),
        (writes_into_the_list, "changed its input"),
        (precision_above(0, -1), "Item 0 is an item like any other"),
        (precision_above(-1, 0), "Item 0 is an item like any other"),
    ],
    "metrics.ndcg": [
        (both_bugs, "every wrong item gets a gain"),
        (variant(gain=lambda g: 2.0 ** (g - 1)), "every wrong item gets a gain"),
        (variant(ideal=lambda ranked, every: sorted(ranked, reverse=True)), "missed two of three"),
        (variant(gain=float), "the gain is linear"),
        (variant(discount=float), "divided by the rank"),
        (variant(discount=lambda rank: max(math.log2(rank), 1)), "rank 2 is not discounted"),
        (variant(ideal=lambda ranked, every: every), "not the best order"),
        (variant(discount=math.log2), "raised ZeroDivisionError"),
        (cut(lambda k: 10, lambda k: k), "Only the first k places"),
        (cut(lambda k: k, lambda k: 10), "has k places too"),
        (ndcg_with_nan, "a query that has no relevant item"),
        (lambda found, every, k: max(every) and right.ndcg(found, every, k), "no relevant item"),
    ],
    "metrics.chance": [
        (lambda n, r, k: k * r / n, "the expected number of relevant items"),
        (lambda n, r, k: 1 - (1 - r / n) ** k, "drawn with replacement"),
        (lambda n, r, k: math.comb(n - r, k) / math.comb(n, k), "the chance of a miss"),
        (
            lambda n, r, k: math.comb(r, k) / math.comb(n, k) if k > 1 else r / n,
            "both are in the list",
        ),
        (
            lambda n, r, k: r * math.comb(n - r, k - 1) / math.comb(n, k),
            "the chance of exactly one",
        ),
        (
            lambda n, r, k: 1 - math.prod((n - r - i) / (n - i) for i in range(1, k + 1)),
            "the share of relevant",
        ),
        (lambda n, r, k: min(0.4 + 0.3 * (k > 1), 1), "Two items are wrong"),
        (with_plain_factorials, "no way to choose 3 from 2"),
        (with_factorials, "too large for a float"),
        (
            lambda n, r, k: 1.0 if k >= n - r else right.chance_hit_rate(n, r, k),
            "just the two wrong items",
        ),
        (lambda n, r, k: right.chance_hit_rate(n, max(r, 1), k), "Nothing is relevant"),
    ],
}
