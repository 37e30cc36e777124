"""Typical wrong answers to the exercises of notebook 04, with a phrase of their messages."""

import math
from math import comb, erfc, sqrt

import numpy as np
from scipy.stats import binomtest

# ---- traps.pessimistic_r1


def own(scores, correct):
    return scores[np.arange(len(scores)), correct][:, None]


def optimistic(scores, correct):
    return (scores > own(scores, correct)).sum(axis=1).__eq__(0).mean()


def first_on_file(scores, correct):
    return (scores.argmax(axis=1) == correct).mean()


def last_on_file(scores, correct):
    return (np.argsort(scores, axis=1, kind="stable")[:, -1] == correct).mean()


def self_counted(scores, correct):
    return ((scores >= own(scores, correct)).sum(axis=1) == 0).mean()


def count_of_hits(scores, correct):
    return ((scores >= own(scores, correct)).sum(axis=1) == 1).sum()


def in_percent(scores, correct):
    return 100 * ((scores >= own(scores, correct)).sum(axis=1) == 1).mean()


def over_items(scores, correct):
    return ((scores >= own(scores, correct)).sum(axis=1) == 1).sum() / scores.shape[1]


def half_for_ties(scores, correct):
    return ((own(scores, correct) >= scores.max(axis=1, keepdims=True)) / own_ties(scores)).mean()


def own_ties(scores):
    return (scores == scores.max(axis=1, keepdims=True)).sum(axis=1, keepdims=True)


def diagonal(scores, correct):
    return (scores.argmax(axis=1) == np.arange(len(scores))).mean()


def nan_is_a_miss(scores, correct):
    return ((scores >= own(scores, correct)).sum(axis=1) == 1).mean()


# ---- traps.sign_flip


def flipped(a, b, signs):
    return signs @ (a - b), (a - b).sum()


def no_one_added(a, b, signs):
    sums, observed = flipped(a, b, signs)
    return (np.abs(sums) >= abs(observed)).mean()


def one_sided(a, b, signs):
    sums, observed = flipped(a, b, signs)
    return ((sums >= observed).sum() + 1) / (len(signs) + 1)


def strictly(a, b, signs):
    sums, observed = flipped(a, b, signs)
    return ((np.abs(sums) > abs(observed)).sum() + 1) / (len(signs) + 1)


def one_above(a, b, signs):
    sums, observed = flipped(a, b, signs)
    return ((np.abs(sums) >= abs(observed)).sum() + 1) / len(signs)


def one_below(a, b, signs):
    sums, observed = flipped(a, b, signs)
    return (np.abs(sums) >= abs(observed)).sum() / (len(signs) + 1)


def less_extreme(a, b, signs):
    sums, observed = flipped(a, b, signs)
    return ((np.abs(sums) < abs(observed)).sum() + 1) / (len(signs) + 1)


def flips_one_system(a, b, signs):
    sums, observed = signs @ a - b.sum(), (a - b).sum()
    return ((np.abs(sums) >= abs(observed)).sum() + 1) / (len(signs) + 1)


def p_of_each_flip(a, b, signs):
    return np.abs(signs @ (a - b)) >= abs((a - b).sum())


# ---- traps.own_caption


def five_each(scores, owner):
    return (scores.argmax(axis=1) // 5 == np.arange(len(scores))).mean()


def caption_is_image(scores, owner):
    return (scores.argmax(axis=1) == np.arange(len(scores))).mean()


def first_caption_only(scores, owner):
    first = [np.flatnonzero(owner == i)[0] for i in range(len(scores))]
    return (scores.argmax(axis=1) == first).mean()


def neighbours(scores, owner):
    starts = np.concatenate([[0], np.cumsum(np.bincount(owner))])
    best = scores.argmax(axis=1)
    return ((best >= starts[:-1]) & (best < starts[1:])).mean()


def captions_ask(scores, owner):
    return (scores.argmax(axis=0) == owner).mean()


def number_of_images(scores, owner):
    return (owner[scores.argmax(axis=1)] == np.arange(len(scores))).sum()


# ---- traps.mcnemar


def counts(a, b):
    return int(((a == 1) & (b == 0)).sum()), int(((a == 0) & (b == 1)).sum())


def tail(n, k):
    return sum(comb(n, i) for i in range(k + 1)) / 2**n


def one_tail(a, b):
    i, j = counts(a, b)
    return tail(i + j, min(i, j))


def point_only(a, b):
    i, j = counts(a, b)
    return min(1, 2 * comb(i + j, min(i, j)) / 2 ** (i + j))


def chi_square(a, b):
    i, j = counts(a, b)
    return erfc(sqrt((i - j) ** 2 / (i + j) / 2))


def chi_square_corrected(a, b):
    i, j = counts(a, b)
    return erfc(sqrt((abs(i - j) - 1) ** 2 / (i + j) / 2))


def all_hits(a, b):
    n = int(a.sum() + b.sum())
    return min(1, 2 * sum(comb(n, i) for i in range(int(min(a.sum(), b.sum())) + 1)) / 2**n)


def all_queries(a, b):
    i, j = counts(a, b)
    return min(1, 2 * tail(len(a), min(i, j)))


def larger_count(a, b):
    i, j = counts(a, b)
    return min(1, 2 * tail(i + j, max(i, j)))


def not_capped(a, b):
    i, j = counts(a, b)
    return 2 * tail(i + j, min(i, j)) if i != j else 22 / 16


def nothing_is_zero(a, b):
    i, j = counts(a, b)
    return min(1, 2 * tail(i + j, min(i, j))) if i + j else 0.0


def without_a_guard(a, b):
    only_a, only_b = counts(a, b)
    return binomtest(only_a, only_a + only_b).pvalue  # raises where no query differs


def refusing(is_broken):
    def function(scores, correct):
        if is_broken(scores, correct):
            raise ValueError
        own = np.take_along_axis(scores, correct[:, None], axis=1)
        return ((scores >= own).sum(axis=1) == 1).mean()

    return function


def mcnemar_in_64_bits(a, b):
    n, least = int((a != b).sum()), int(min((a > b).sum(), (b > a).sum()))
    ways = sum(math.comb(n, i) for i in range(least + 1))
    with np.errstate(all="ignore"):
        return min(1.0, 2 * ways / np.int64(2) ** np.int64(n))


def by_product(scores, owner):
    own = owner == np.arange(len(scores))[:, None]
    return ((scores * own).max(axis=1) > (scores * ~own).max(axis=1)).mean()


MISTAKES = {
    "traps.pessimistic_r1": [
        (optimistic, "optimistic: a tie must count against"),
        (first_on_file, "the first item wins"),
        (last_on_file, "the last item wins"),
        (self_counted, "The right item is >= itself"),
        (count_of_hits, "above 1"),
        (in_percent, "Percent belongs into the report"),
        (over_items, "divides by the number of items"),
        (half_for_ties, "tied queries count half"),
        (diagonal, "not the row number"),
        (nan_is_a_miss, "NaN compares as False"),
        (refusing(lambda s, _: np.isnan(s).all(axis=1).any()), "a single NaN, at a wrong item,"),
        (
            refusing(lambda s, c: np.isnan(np.take_along_axis(s, c[:, None], axis=1)).any()),
            "a single NaN, at a wrong item,",
        ),
        (refusing(lambda s, _: not np.isfinite(s).all()), "refuse NaN only, with np.isnan"),
    ],
    "traps.sign_flip": [
        (no_one_added, "The data are one more reordering"),
        (one_sided, "The test is two-sided"),
        (strictly, "at least as extreme: >=, not >"),
        (one_above, "missing below the line"),
        (one_below, "missing above the line"),
        (less_extreme, "less extreme"),
        (flips_one_system, "a - b is (2, 0, 2, -1, 4, 0)"),
        (p_of_each_flip, "has 12 values"),
    ],
    "traps.own_caption": [
        (five_each, "Where does the code assume five?"),
        (caption_is_image, "Is caption i taken for the answer to image i?"),
        (first_caption_only, "not only the first"),
        (neighbours, "captions are neighbours"),
        (captions_ask, "Take the argmax along axis 1"),
        (number_of_images, "Return a share"),
        (by_product, "All scores are negative here"),
    ],
    "traps.mcnemar": [
        (one_tail, "twice the smaller tail"),
        (point_only, "6 and 0 too"),
        (chi_square, "Count the coin tosses exactly"),
        (chi_square_corrected, "continuity correction"),
        (all_queries, "leave them out"),
        (all_hits, "not 8 and 4 hits"),
        (larger_count, "up to the smaller of the two"),
        (not_capped, "a probability stops at 1"),
        (nothing_is_zero, "no coin is tossed"),
        (mcnemar_in_64_bits, "does not fit into 64 bits"),
        (without_a_guard, "no coin is tossed, and p is 1"),
    ],
}
