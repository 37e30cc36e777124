"""Typical wrong answers to the exercises of notebook 12, with a phrase of their messages."""

import numpy as np

from tests.course import reference_answers as right
from tests.course.reference_answers import fuse
from tests.course.sorts import stable, unstable


def sorted_by(ids, scores):
    return np.take_along_axis(ids, np.lexsort((ids, -scores), axis=1), axis=1)


def joined(head, ids, depth):
    return np.concatenate([head, ids[:, depth:]], axis=1)


def tail_sorted_too(ids, scores, depth):
    parts = [
        sorted_by(ids[:, part], scores[:, part]) for part in (slice(depth), slice(depth, None))
    ]
    return np.concatenate(parts, axis=1)


def ascending(ids, scores, depth):
    return joined(sorted_by(ids[:, :depth], -scores[:, :depth]), ids, depth)


def places(ids, scores, depth):
    return joined(np.argsort(-scores[:, :depth], axis=1), ids, depth)


def ties_by_place(ids, scores, depth):
    order = np.argsort(-scores[:, :depth], axis=1, kind="stable")
    return joined(np.take_along_axis(ids[:, :depth], order, axis=1), ids, depth)


def order_of_the_first_query(ids, scores, depth):
    order = np.lexsort((ids[0, :depth], -scores[0, :depth]))
    return joined(ids[:, :depth][:, order], ids, depth)


def from_the_end(ids, scores, depth):
    tail = ids.shape[1] - depth
    head = sorted_by(ids[:, :-tail], scores[:, :-tail])
    return np.concatenate([head, ids[:, -tail:]], axis=1)


def head_alone(ids, scores, depth):
    return sorted_by(ids[:, :depth], scores[:, :depth])


def best_of_none(first, fixed, pair, budget, depths, quality):
    fits = np.where(depths > 0, first + fixed + pair * depths, first) <= budget
    return depths[fits][quality[fits].argmax()]


def choosing(cost=None, fits=np.less_equal, pick=None):
    """A chosen depth with one step replaced."""

    def function(first, fixed, pair, budget, depths, quality):
        line = np.where(depths > 0, first + fixed + pair * depths, first)
        seconds = line if cost is None else cost(first, fixed, pair, depths)
        within = np.flatnonzero(fits(seconds, budget))
        if within.size == 0:
            return -1
        chosen = (lambda d, q: d[q.argmax()]) if pick is None else pick
        return chosen(depths[within], quality[within])

    return function


def anything_rather_than_nothing(first, fixed, pair, budget, depths, quality):
    return max(choosing()(first, fixed, pair, budget, depths, quality), 0)


def fused(part, start=1, order=None, combine=sum):
    """Ids by a score that has one step replaced."""

    def function(runs, k):
        found = {}
        for run in runs:
            for rank, item in enumerate(run, start=start):
                found.setdefault(item, []).append(part(k, rank))
        scores = {item: combine(parts) for item, parts in found.items()}
        return sorted(scores, key=order(scores) if order else lambda item: (-scores[item], item))

    return function


def right_part(k, rank):
    return 1 / (k + rank)


def missing_is_last(runs, k):
    every = sorted({item for run in runs for item in run})
    rank = {item: [run.index(item) if item in run else len(run) for run in runs] for item in every}
    return sorted(every, key=lambda item: (-sum(1 / (k + 1 + r) for r in rank[item]), item))


def overlap(runs, k):
    common = set(runs[0]).intersection(*runs)
    return [item for item in fused(right_part)(runs, k) if item in common]


def scores_of(runs, k):
    return {item: right_part(k, rank) for run in runs for rank, item in enumerate(run, start=1)}


def cut_to_the_shortest(runs, k):
    width = min(map(len, runs))
    found = fused(right_part)([run[:width] for run in runs], k)
    return found + sorted({item for run in runs for item in run} - set(found))


def floored(floor):
    return lambda first, second: np.argsort(
        -np.where(np.isneginf(second), floor(first), second), axis=1
    )


def order_above(floor):
    return lambda first, second: np.argsort(
        -np.where(np.isneginf(second), first + floor, second), axis=1
    )


def from_zero(runs, k):
    scores = {}
    for run in runs:
        for rank, item in enumerate(run):
            scores[item] = scores.get(item, 0) + (1 / (k + rank) if k + rank else np.inf)
    return sorted(scores, key=lambda item: (-scores[item], item))


def reranked_by(order):
    def function(ids, scores, depth):
        heads = [
            row[:depth][order(s[:depth], row[:depth])] for row, s in zip(ids, scores, strict=True)
        ]
        return np.concatenate(
            [np.array(heads).reshape(len(ids), depth), ids[:, depth:]], axis=1
        ).astype(int)

    return function


def by_id_if_few(scores, ids):
    return np.lexsort((ids, -scores)) if len(ids) < 17 else unstable(scores[None], len(ids))[0]


def with_a_floor(ids, scores, depth):
    place = np.arange(ids.shape[1])
    key = np.where(place < depth, scores, -1e3 - place)
    return np.take_along_axis(ids, np.lexsort((ids, -key), axis=1), axis=1)


def depth_zero_below(first, fixed, pair, budget, depths, quality):
    cost = np.where(depths > 0, first + fixed + pair * depths, first)
    fits = np.flatnonzero(np.where(depths > 0, cost <= budget, cost < budget))
    return depths[fits][np.argmax(quality[fits])] if fits.size else -1


def fused_and_rounded(runs, k):
    scores = {}
    for run in runs:
        for rank, item in enumerate(run, start=1):
            scores[item] = scores.get(item, 0) + 1 / (k + rank)
    return sorted(scores, key=lambda item: (-round(scores[item], 4), item))


def fused_with_last(runs, k):
    assert all(run[-1] >= 0 for run in runs)
    return right.fuse(runs, k)


def sorted_twice(first, second):
    """By score, then by whether it was read, with a sort that mixes up equal keys."""
    unread = np.isneginf(second)
    order = np.argsort(-np.where(unread, first, second), axis=1, kind="stable")
    read = ~np.take_along_axis(unread, order, axis=1)
    return np.take_along_axis(order, unstable(read * 1.0, read.shape[1]), axis=1)


def below_the_lowest(first, second):
    low = np.where(np.isneginf(second), np.inf, second).min(axis=1, keepdims=True)
    return stable(np.where(np.isneginf(second), low - 2 + first, second), first.shape[1])


def depth_above_zero(first, fixed, pair, budget, depths, quality):
    chosen, most = -1, 0.0
    for depth, reached in zip(depths, quality, strict=True):
        if first + (fixed + pair * depth if depth else 0) <= budget and reached > most:
            chosen, most = depth, reached
    return chosen


MISTAKES = {
    "two_stage.rerank": [
        (lambda ids, scores, depth: sorted_by(ids, scores), "items below the depth moved up"),
        (tail_sorted_too, "sorted by the second stage too"),
        (ascending, "the lowest score comes first"),
        (lambda ids, scores, depth: ids, "nothing moved"),
        (places, "places of the list, not ids"),
        (ties_by_place, "the smaller id goes first"),
        (order_of_the_first_query, "Sort each query by its own scores"),
        (from_the_end, "with the whole list as depth"),
        (head_alone, "has shape (2, 3)"),
        (reranked_by(by_id_if_few), "with 40 items, depth 30"),
        (
            reranked_by(lambda scores, ids: np.argsort(1e-9 * ids - scores)),
            "with 40 items, depth 30",
        ),
        (with_a_floor, "with 40 items, depth 30"),
    ],
    "two_stage.depth": [
        (best_of_none, "before you look for the best of none"),
        (choosing(pick=lambda d, q: d[-1]), "the deepest is taken"),
        (choosing(fits=lambda seconds, budget: seconds > 0), "it takes 11 ms of a budget of 3 ms"),
        (choosing(lambda a, b, c, d: a + c * d), "the fixed cost of the second stage is forgotten"),
        (choosing(lambda a, b, c, d: a + b + c * d), "alone has the fixed cost"),
        (choosing(lambda a, b, c, d: (d > 0) * b + c * d), "also pays the first stage's 2 ms"),
        (choosing(fits=np.less), "takes the budget exactly is refused"),
        (choosing(pick=lambda d, q: d[np.flatnonzero(q == q.max())[-1]]), "depth 20 is no better"),
        (
            choosing(pick=lambda d, q: q.argmax() if d.size > 3 else d[q.argmax()]),
            "the place in the list",
        ),
        (
            choosing(pick=lambda d, q: q.max() if d.size > 3 else d[q.argmax()]),
            "that is the quality",
        ),
        (anything_rather_than_nothing, "and nothing fits"),
        (depth_zero_below, "with 2 ms it does not return 0"),
        (depth_above_zero, "where all qualities are 0"),
    ],
    "two_stage.fuse": [
        (fused(lambda k, rank: 1 / (60 + rank)), "use it, and not a constant"),
        (fused(right_part, start=0), "ranks count from 0"),
        (fused(right_part, order=lambda s: lambda item: -s[item]), "the smaller id first"),
        (fused(right_part, order=lambda s: lambda item: (s[item], item)), "with k = 0 it returns"),
        (fused(right_part, combine=max), "neither the best part nor their mean"),
        (fused(right_part, combine=lambda parts: sum(parts) / len(parts)), "neither the best part"),
        (missing_is_last, "gets something from it"),
        (overlap, "the union, not the overlap"),
        (scores_of, "it returns the scores"),
        (cut_to_the_shortest, "lists of lengths 1, 4 and 1"),
        (from_zero, "ranks count from 0"),
        (lambda runs, k: fuse(runs, k - 1), "ranks count from 0"),
        (fused_and_rounded, "nearly equal"),
        (fused_with_last, "it raised IndexError"),
    ],
    "two_stage.order": [
        (floored(lambda first: first), "sorted together"),
        (floored(lambda first: 0), "0 is a score like any other"),
        (floored(lambda first: -np.inf), "order is lost"),
        (lambda first, second: np.argsort(-second, axis=1), "order is lost"),
        (lambda first, second: np.argsort(-first, axis=1), "the order of the cosines"),
        (floored(lambda first: first - 100), "works until a logit falls below"),
        (lambda first, second: np.argsort(first, axis=1), "for the first list"),
        *[(order_above(floor), "works until a logit falls below") for floor in (-1e6, -1e9)],
        (sorted_twice, "of 40 items"),
        (below_the_lowest, "with logits of -2e30"),
    ],
}
