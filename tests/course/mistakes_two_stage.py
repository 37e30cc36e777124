"""Typical wrong answers to the exercises of notebook 11, each with a phrase of the hint meant for
it.
"""

import numpy as np


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
    ],
    "two_stage.depth": [
        (choosing(pick=lambda d, q: d[-1]), "the deepest is taken"),
        (choosing(fits=lambda seconds, budget: seconds > 0), "it takes 11 ms of a budget of 3 ms"),
        (choosing(lambda a, b, c, d: a + c * d), "the fixed cost of the second stage is forgotten"),
        (choosing(lambda a, b, c, d: a + b + c * d), "the first stage alone pays"),
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
    ],
    "two_stage.order": [
        (floored(lambda first: first), "sorted together"),
        (floored(lambda first: 0), "0 is a score like any other"),
        (floored(lambda first: -np.inf), "order is lost"),
        (lambda first, second: np.argsort(-second, axis=1), "order is lost"),
        (lambda first, second: np.argsort(-first, axis=1), "the order of the cosines"),
        (floored(lambda first: first - 100), "works until a logit falls below"),
        (lambda first, second: np.argsort(first, axis=1), "for the first list"),
    ],
}
