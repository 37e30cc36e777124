"""Typical wrong answers to the exercises of notebook 21, with a phrase of their messages."""

import math

import numpy as np

from tests.course import reference_answers as right


def joined(scores, ids):
    """One row of scores and ids for each query, shard after shard."""
    return (np.moveaxis(part, 0, 1).reshape(part.shape[1], -1) for part in (scores, ids))


def merged_by(order):
    def merge(scores, ids, k):
        scores, ids = joined(scores, ids)
        return np.take_along_axis(ids, order(scores, ids), axis=1)[:, :k]

    return merge


def by_larger_id(scores, ids):
    return np.lexsort((-ids, -scores), axis=1)


def lowest_first(scores, ids):
    return np.lexsort((ids, scores), axis=1)


def shard_after_shard(scores, ids):
    return np.tile(np.arange(ids.shape[1]), (len(ids), 1))


def of_the_first_query(scores, ids, k):
    return np.tile(right.merge_shards(scores, ids, k)[:1], (ids.shape[1], 1))


def places(scores, ids, k):
    scores, ids = joined(scores, ids)
    return np.lexsort((ids, -scores), axis=1)[:, :k]


def without_missing_last(scores, ids, k):
    scores, ids = joined(np.where(ids < 0, 0.45, scores), ids)
    return np.take_along_axis(ids, np.lexsort((ids, -scores), axis=1), axis=1)[:, :k]


def by_place_in_ties(scores, ids, k):
    if k < 20:
        return right.merge_shards(scores, ids, k)
    return merged_by(lambda s, i: np.argsort(-s, axis=1, kind="stable"))(scores, ids, k)


def shifted_by(starts, keep=True):
    def global_ids(local, sizes):
        begin = starts(np.array(sizes, dtype=np.int64))
        moved = [rows + at for rows, at in zip(local, begin, strict=True)]
        if not keep:
            return np.stack(moved)
        return np.stack([np.where(rows < 0, -1, new) for rows, new in zip(local, moved)])

    return global_ids


MISTAKES = {
    "shards.merge": [
        (merged_by(by_larger_id), "item 30 comes before item 15"),
        (merged_by(lowest_first), "the lowest scores come first"),
        (merged_by(shard_after_shard), "the hits of one shard stand together"),
        (of_the_first_query, "both queries get the same items"),
        (places, "places, not ids"),
        (without_missing_last, "with k = 8"),
        (by_place_in_ties, "many equal scores"),
    ],
    "shards.ids": [
        (shifted_by(lambda n: np.arange(len(n)) * n), "as if all were as large as this one"),
        (shifted_by(lambda n: np.cumsum(n) - n, keep=False), "a missing hit became an item"),
        (shifted_by(np.cumsum), "does not begin at 0"),
        (lambda local, sizes: np.stack(local), "shards claim the same ids"),
    ],
    "shards.late": [
        (lambda p, n, copies: p, "the share of queries of one shard"),
        (lambda p, n, copies: min(1.0, n * p), "n times p"),
        (lambda p, n, copies: (1 - p) ** n, "in time"),
        (lambda p, n, copies: p**n, "all shards must be late"),
        (lambda p, n, copies: 1 - (1 - p) ** n, "the copies change nothing"),
        (lambda p, n, copies: 1 - (1 - p) ** (n / copies), "divided by the copies"),
    ],
    "shards.machines": [
        (lambda qps, s, cores, share: math.ceil(qps * s / cores), "busy all the time"),
        (lambda qps, s, cores, share: math.ceil(qps * s / share), "counts cores"),
        (lambda qps, s, cores, share: math.ceil(qps * s * share / cores), "multiplied"),
        (lambda qps, s, cores, share: round(qps * s / share / cores), "a part of a machine"),
        (
            lambda qps, s, cores, share: (
                int(-(-round(qps * s / share / cores, 9) // 1)) if qps > 1 else 0
            ),
            "one query a second",
        ),
        (lambda qps, s, cores, share: math.ceil(qps * s / share / cores), "16 cores"),
    ],
}
