"""Wrong answers that differ from right ones at an edge only: equality, tie, empty row, huge
number.
"""

import numpy as np

from tests.course.reference_answers import (
    best_rank,
    fuse,
    hit_rate,
    semi_hard,
)


def right_of(cosines):
    return np.diagonal(cosines)[:, None]


def unstable(scores, k):
    """The best k by a sort that mixes up equal scores, as some sorts do from 17 items on."""
    n = scores.shape[1]
    mixed = np.random.default_rng(1).permutation(n) if n > 16 else np.arange(n)
    return mixed[np.argsort(-scores[:, mixed], axis=1, kind="stable")[:, :k]]


def first_of_unequal(queries, centroids, nprobe):
    return unstable(
        queries @ (centroids / np.sqrt((centroids**2).sum(axis=1, keepdims=True))).T, nprobe
    )


def counted(minlength, sort):
    def function(queries, document, k):
        wins = np.bincount((queries @ document.T).argmax(axis=1), minlength=minlength(document))
        return np.sort(sort(wins[None], k)[0])

    return function


def stable(scores, k):
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def ndcg_with_nan(ranked, every, k):
    def dcg(grades):
        gain = 2.0 ** np.array(grades[:k]) - 1
        return (gain / np.log2(np.arange(len(gain)) + 2)).sum()

    return dcg(ranked) / dcg(sorted(every, reverse=True))


def uncut(found_at, true_at):
    def function(found, true, k):
        found, true = found[:, : k if found_at else None], true[:, : k if true_at else None]
        same = (found[:, :, None] == true[:, None]).any(axis=1)
        return (same & (true >= 0)).sum(axis=1).mean() / k

    return function


def tuned(error, reaches=np.greater_equal):
    def function(efs, hits, k, target):
        recall = hits / k
        enough = np.flatnonzero(reaches(recall.mean(axis=1) - 1.96 * error(recall, k), target))
        return efs[enough[0]] if enough.size else -1

    return function


def over_queries(ddof):
    return lambda recall, k: recall.std(axis=1, ddof=ddof) / np.sqrt(recall.shape[1])


def of_single_hits(recall, k):
    mean = recall.mean(axis=1)
    return np.sqrt(mean * (1 - mean) / (k * recall.shape[1]))


def fastest_first(recall, speed):
    """Sorted by speed alone: of equal ones, whichever is listed first comes first."""
    kept = []
    for at in np.argsort(-speed, kind="stable"):
        if not kept or recall[at] > recall[kept[-1]]:
            kept.append(int(at))
    return kept


def median_then_projected(queries, base, normals):
    cuts = np.median(base, axis=0) @ normals.T
    return ((queries @ normals.T >= cuts)[:, None] != (base @ normals.T >= cuts)).sum(axis=2)


def floored(floor):
    def padded(query, documents, mask):
        similarities = query @ documents.transpose(0, 2, 1)
        return np.where(mask[:, None], similarities, floor).max(axis=2).sum(axis=1)

    return padded


def order_above(floor):
    return lambda first, second: np.argsort(
        -np.where(np.isneginf(second), first + floor, second), axis=1
    )


def own_ties_counted(scores, owner):
    own = owner == np.arange(len(scores))[:, None]
    best = np.where(own, scores, -np.inf).max(axis=1, keepdims=True)
    return (scores >= best).sum(axis=1)


def mean_own(scores, owner):
    own = owner == np.arange(len(scores))[:, None]
    mean = np.where(own, scores, 0).sum(axis=1, keepdims=True) / own.sum(axis=1, keepdims=True)
    return 1 + ((scores >= mean) & ~own).sum(axis=1)


def overflowing_negatives(anchor, positive, negatives, scale):
    keys = np.concatenate([positive, negatives.reshape(-1, positive.shape[1])])
    weights = np.exp(scale * anchor @ keys.T)
    return -np.log(np.diagonal(weights) / weights.sum(axis=1)).mean()


def overflowing_gradient(cosines, scale):
    weights = np.exp(scale * cosines)
    return (
        scale
        * (weights / weights.sum(axis=1, keepdims=True) - np.eye(*cosines.shape))
        / len(cosines)
    )


def shifted_by_all(logits, same):
    weights = np.where(same, 0.0, np.exp(logits - logits.max(axis=1, keepdims=True)))
    total = weights.sum(axis=1, keepdims=True)
    return weights / np.where(total > 0, total, 1.0)


def from_zero(runs, k):
    scores = {}
    for run in runs:
        for rank, item in enumerate(run):
            scores[item] = scores.get(item, 0) + (1 / (k + rank) if k + rank else np.inf)
    return sorted(scores, key=lambda item: (-scores[item], item))


def off_diagonal(cosines):
    return ~np.eye(len(cosines), dtype=bool)


def decoded(queries, books, codes):
    return queries @ np.concatenate([books[j][codes[:, j]] for j in range(len(books))], axis=1).T


MISTAKES = {
    # an equality
    "triplet.semi_hard": [
        (
            lambda c, m: (c <= right_of(c)) & (c > right_of(c) - m) & off_diagonal(c),
            "exactly as high as",
        ),
        (lambda c, m: (c < right_of(c)) & (c >= right_of(c) - m), "exactly the margin below"),
        (lambda c, m: semi_hard(c, m) * 2, "expected booleans"),
        (lambda c, m: np.where(semi_hard(c, m / 2), 1, 0), "half the width"),
    ],
    "graph.tune": [
        (tuned(over_queries(0)), "Divide the sum of squares by n - 1"),
        (tuned(of_single_hits), "that of single hits"),
        (tuned(over_queries(1), np.greater), "a lower end that equals the target is refused"),
    ],
    # a tie
    "mnr.mine": [
        (lambda c, right, k: unstable(np.where(right, -np.inf, c), k), "in no fixed order"),
        (lambda c, right, k: stable(np.where(right, -1.0, c), k), "has the lowest cosine, -1"),
    ],
    "lists.cells": [(first_of_unequal, "with 40 cells equal cosines come in no fixed order")],
    "late.prune": [
        (counted(len, unstable), "with 40 patches"),
        (counted(lambda document: 0, stable), "the last patch never wins"),
    ],
    "tradeoffs.frontier": [(fastest_first, "of two equally fast settings")],
    "benchmarks.best_rank": [
        (own_ties_counted, "own two captions tie"),
        (mean_own, "the rank of the mean of its own"),
        (lambda scores, owner: best_rank(scores, owner) - 1, "ranks start at 0"),
    ],
    # an empty row
    "metrics.ndcg": [(ndcg_with_nan, "a query that has no relevant item")],
    # a huge number
    "mnr.hard_negatives": [(overflowing_negatives, "infinite or NaN")],
    "mnr.gradient": [(overflowing_gradient, "at scale 2000")],
    "cross.negatives": [(shifted_by_all, "beside a right column with a logit of 1,000")],
    "late.padded": [(floored(floor), "looked small enough") for floor in (-1e4, -1e9)],
    "two_stage.order": [
        (order_above(floor), "works until a logit falls below") for floor in (-1e6, -1e9)
    ],
    # off by one, and its kin
    "start.hit_rate": [
        (lambda ids, right, k: hit_rate(ids, right, k - 1), "it looks one rank too short"),
        (lambda ids, right, k: hit_rate(ids, right, k + 1), "it looks one rank too far"),
    ],
    "lists.recall": [
        (uncut(False, True), "what was found below k"),
        (uncut(True, False), "true neighbours below k"),
    ],
    "two_stage.fuse": [
        (from_zero, "ranks count from 0"),
        (lambda runs, k: fuse(runs, k - 1), "ranks count from 0"),
    ],
    "lsh.signature": [
        (lambda rows, normals: (np.sign(rows @ normals.T) + 1) / 2, "gives one half"),
        (lambda rows, normals: rows @ normals.T > 0, "exactly 0 gives the bit 0"),
    ],
    "lsh.thresholds": [(median_then_projected, "the projection of a median is another number")],
    "lists.adc": [(decoded, "every vector was decoded")],
}
