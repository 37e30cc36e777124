"""Typical wrong answers to the exercises of notebook 17, with a phrase of their messages."""

import math

import numpy as np

from tests.course import reference_answers as right
from tests.course.reference_answers import (
    codes_that_fit,
    found_by_distance,
    frontier_of,
    honest_benchmark,
)


def sweeping(keep=np.greater, ties=-1):
    """A frontier with one step replaced."""

    def function(recall, speed):
        best, kept = -1.0, []
        for at in sorted(range(len(recall)), key=lambda i: (-speed[i], ties * recall[i])):
            if keep(recall[at], best):
                kept.append(at)
                best = recall[at]
        return kept

    return function


def beaten_in_both(recall, speed):
    everyone = sorted(range(len(recall)), key=lambda i: -speed[i])
    return [i for i in everyone if not ((recall > recall[i]) & (speed > speed[i])).any()]


def of_the_worst(recall, speed):
    return sweeping()(-recall + 2, -speed)[::-1]


def near(threshold=lambda kth, slack: kth + slack, at=None, missing=True, once=True, share=True):
    """Recall by distance with one step replaced."""

    def function(run, distances, slack):
        k, total = run.shape[1], 0
        for ids, far in zip(run, distances, strict=True):
            kth = np.sort(far)[(k if at is None else at) - 1]
            kept = [i for i in ids if i >= 0 or not missing]
            kept = set(kept) if once else kept
            total += sum(far[i] <= threshold(kth, slack) for i in kept)
        return total / (k * len(run) if share else len(run))

    return function


def by_id(run, distances, slack):
    k = run.shape[1]
    return np.mean(
        [len(set(ids) & set(np.argsort(far)[:k])) / k for ids, far in zip(run, distances)]
    )


def all_that_came(run, distances, slack):
    return np.mean([len(set(ids)) / run.shape[1] for ids in run])


def of_what_came(run, distances, slack):
    k, shares = run.shape[1], []
    for ids, far in zip(run, distances):
        kept = [i for i in ids if i >= 0]
        shares.append(sum(far[i] <= np.sort(far)[k - 1] + slack for i in kept) / len(kept))
    return np.mean(shares)


def benchmark(alone=True, warm=True, centre=np.median, recall=None):
    """The benchmark with one step replaced."""

    def function(search, queries, own, true, k, clock):
        if warm:
            search(queries[:1], k)
        seconds, asked = (
            [],
            [queries[i : i + 1] for i in range(len(queries))] if alone else [queries],
        )
        for some in asked:
            start = clock()
            search(some, k)
            seconds.append((clock() - start) / len(some))
        if recall is None:
            return centre(seconds), honest_benchmark(search, queries, own, true, k, clock)[1]
        return centre(seconds), recall(search(queries, k + 1), own, true, k)

    return function


def share_of(found, true, k):
    return sum(len(set(a) & set(b)) for a, b in zip(found, true)) / (k * len(found))


def itself_too(found, own, true, k):
    return share_of(found[:, :k], true[:, :k], k)


def k_only(found, own, true, k):
    return share_of(
        [[i for i in run[:k] if i != me] for run, me in zip(found, own)], true[:, 1:], k
    )


def first_column(found, own, true, k):
    return share_of(found[:, 1:], true[:, 1:], k)


def by_k_and_one(found, own, true, k):
    return share_of([[i for i in run if i != me][:k] for run, me in zip(found, own)], true, k + 1)


def fitting(ids=8, fixed=True, sizes=None, equal=True, none=-1, pick=max):
    """Codes that fit, with one term replaced."""

    def function(n, d, nlist, ram):
        left = ram - ids * n - (4 * nlist * d + 8 * nlist + 1024 * d if fixed else 0)
        possible = sizes or [size for size in range(1, d + 1) if d % size == 0]
        fits = [size for size in possible if (n * size <= left if equal else n * size < left)]
        return pick(fits) if fits else none

    return function


def fastest_first(recall, speed):
    """Sorted by speed alone: of equal ones, whichever is listed first comes first."""
    kept = []
    for at in np.argsort(-speed, kind="stable"):
        if not kept or recall[at] > recall[kept[-1]]:
            kept.append(int(at))
    return kept


def frontier_above_zero(recall, speed):
    best, kept = 0.0, []
    for at in sorted(range(len(recall)), key=lambda i: (-speed[i], -recall[i])):
        if recall[at] > best:
            kept.append(at)
            best = recall[at]
    return kept


def found_below(run, distances, slack):
    hits, k = 0, run.shape[1]
    for ids, far in zip(run, distances, strict=True):
        kth = np.sort(far)[k - 1]
        hits += sum(far[item] < kth + slack or far[item] <= kth for item in set(ids) - {-1})
    return hits / (k * len(run))


def found_by_those_that_found(run, distances, slack):
    some = (run >= 0).any(axis=1)
    return right.found_by_distance(run[some], distances[some], slack)


def codes_between(low, high, whole=math.floor):
    def function(n, d, nlist, ram):
        left = whole((ram - 8 * n - 4 * nlist * d - 8 * nlist - 4 * 256 * d) / n)
        return next((size for size in range(min(left, high(d)), low - 1, -1) if d % size == 0), -1)

    return function


def benchmark_with_uncut_lists(cut_found, cut_true, middle=np.median):
    def function(search, queries, own, true, k, clock):
        search(queries[:1], k + 1)
        seconds, hits = [], 0
        for at in range(len(queries)):
            start = clock()
            found = search(queries[at : at + 1], k + 1)[0]
            seconds.append(clock() - start)
            found, wanted = ([item for item in ids if item != own[at]] for ids in (found, true[at]))
            hits += len(
                set(found[: k if cut_found else None]) & set(wanted[: k if cut_true else None])
            )
        return middle(seconds), hits / (k * len(queries))

    return function


MISTAKES = {
    "tradeoffs.frontier": [
        (lambda *given: frontier_of(*given)[::-1], "the most accurate comes first"),
        (sweeping(np.greater_equal), "setting 1 is on it"),
        (sweeping(ties=1), "setting 6 is on it"),
        (beaten_in_both, "settings 1 and 6 are on it"),
        (of_the_worst, "the frontier of the worst"),
        (lambda recall, speed: [int(np.argmax(recall))], "expected [0, 2, 3, 5]"),
        (fastest_first, "of two equally fast settings"),
        (frontier_above_zero, "with a recall of 0, is missing"),
        (lambda *given: sorted(frontier_of(*given)), "the slower one listed first"),
    ],
    "tradeoffs.by_distance": [
        (by_id, "no neighbour by id"),
        (near(at=1), "within the slack of the *third* nearest"),
        (near(share=False), "it counts and does not divide"),
        (all_that_came, "far behind the third nearest"),
        (near(threshold=lambda kth, slack: kth + slack - 1e-9), "a tie is not forgiven"),
        (near(missing=False), "-1 was counted"),
        (of_what_came, "divide by k"),
        (near(once=False), "counted twice"),
        (near(threshold=lambda kth, slack: max(kth + slack, kth * (1 + slack))), "the slack grows"),
        (lambda *given: -found_by_distance(*given), "2 of 3"),
        (found_below, "exactly there still counts"),
        (found_by_those_that_found, "one of two queries found nothing"),
    ],
    "tradeoffs.honest": [
        (benchmark(alone=False), "those of a batch, divided"),
        (benchmark(alone=False, warm=False), "those of a first batch"),
        (benchmark(warm=False), "the first call is among the timed ones"),
        (benchmark(centre=np.mean), "it is the mean"),
        (benchmark(centre=min), "it is the fastest query"),
        (benchmark(recall=itself_too), "every query counts itself"),
        (benchmark(recall=k_only), "Ask for one more"),
        (benchmark(recall=first_column), "It need not stand first"),
        (benchmark(recall=by_k_and_one), "it divides by k + 1"),
        (benchmark_with_uncut_lists(False, True), "in one list only, [1, 2, 3]"),
        (benchmark_with_uncut_lists(True, False), "in one list only, [1, 7, 3]"),
        (
            benchmark_with_uncut_lists(
                True, True, lambda seconds: sorted(seconds)[len(seconds) // 2]
            ),
            "between the two",
        ),
    ],
    "tradeoffs.codes": [
        (fitting(ids=0), "the ids were forgotten"),
        (fitting(sizes=list(range(1, 97))), "do not divide 96"),
        (fitting(sizes=[2**power for power in range(7)]), "not only the powers of two"),
        (fitting(fixed=False), "Centroids take"),
        (fitting(equal=False), "equal is enough"),
        (fitting(pick=min), "the smallest code is returned"),
        (fitting(none=0), "it is not -1"),
        (lambda *given: codes_that_fit(*given) / 1e9, "for a million vectors it returns"),
        (codes_between(2, lambda d: d), "with 1 bytes a code"),
        (codes_between(1, lambda d: d - 1), "with 64 bytes a code"),
        (codes_between(1, lambda d: d, round), "one byte too little"),
    ],
}
