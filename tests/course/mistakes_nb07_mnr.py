"""Typical wrong answers to the exercises of notebook 07, with a phrase of their messages."""

import numpy as np

from tests.course.reference_answers import mine_hard_negatives, mnr_with_negatives, ranking_loss
from tests.course.sorts import stable, unstable


def shares(cosines, scale, axis=1):
    weights = np.exp(scale * cosines)
    return weights / weights.sum(axis=axis, keepdims=True)


def own(matrix):
    n = min(matrix.shape)
    return matrix[np.arange(n), np.arange(n)]


def by_columns(cosines, scale):
    return -np.log(own(shares(cosines, scale, axis=0))).mean()


def both_ways(cosines, scale):
    square = cosines[:, : len(cosines)]
    return (ranking_loss(cosines, scale) + ranking_loss(square.T, scale)) / 2


def without_itself(cosines, scale):
    weights = np.exp(scale * cosines)
    return -np.log(own(weights) / (weights.sum(axis=1) - own(weights))).mean()


def overflowing(cosines, scale):
    return -np.log(own(shares(cosines, scale))).mean()


def clipped(cosines, scale):
    return ranking_loss(cosines, min(scale, 88.0))


def force(cosines, scale, axis=1):
    return shares(cosines, scale, axis) - np.eye(*cosines.shape)


def by_column(cosines, scale):
    return scale * force(cosines, scale, axis=0) / len(cosines)


def keys_of(positive, negatives):
    return np.concatenate([positive, negatives.reshape(-1, positive.shape[1])])


def judged(logits, columns):
    rows = np.arange(len(logits))
    return (np.log(np.exp(logits).sum(axis=1)) - logits[rows, columns]).mean()


def negatives_first(power):
    def loss(query, positive, negatives, scale):
        items = np.concatenate([negatives.reshape(-1, positive.shape[1]), positive])
        return judged(scale**power * query @ items.T, np.arange(len(query)))

    return loss


def own_negatives(query, positive, negatives, scale):
    mine = np.einsum("id,ikd->ik", query, negatives)
    return ranking_loss(np.concatenate([query @ positive.T, mine], axis=1), scale)


def alternating(query, positive, negatives, scale):
    items = np.concatenate([positive[:, None], negatives], axis=1).reshape(-1, positive.shape[1])
    return ranking_loss(query @ items.T, scale)


def first_negative(query, positive, negatives, scale):
    return mnr_with_negatives(query, positive, negatives[:, :1], scale)


def order(scores):
    return np.argsort(-scores, axis=1, kind="stable")


def zeroed(cosines, right, k):
    return order(np.where(right, 0.0, cosines))[:, :k]


def ties_backwards(cosines, right, k):
    turned = order(np.where(right, -np.inf, cosines)[:, ::-1])
    return cosines.shape[1] - 1 - turned[:, :k]


def easiest(cosines, right, k):
    return order(np.where(right, -np.inf, -cosines))[:, :k]


def only_diagonal(cosines, right, k):
    return mine_hard_negatives(cosines, np.eye(*cosines.shape, dtype=bool) if k > 1 else right, k)


def own_key_only(cosines, right, k):
    marked = np.zeros_like(right)
    for i, row in enumerate(right):
        marked[i, np.flatnonzero(row)[-1]] = True
    return mine_hard_negatives(cosines, marked, k)


def one_less(cosines, right, k):
    return mine_hard_negatives(cosines, right, k + 1)[:, 1:]


def overflowing_negatives(query, positive, negatives, scale):
    items = np.concatenate([positive, negatives.reshape(-1, positive.shape[1])])
    weights = np.exp(scale * query @ items.T)
    return -np.log(np.diagonal(weights) / weights.sum(axis=1)).mean()


def overflowing_gradient(cosines, scale):
    weights = np.exp(scale * cosines)
    return (
        scale
        * (weights / weights.sum(axis=1, keepdims=True) - np.eye(*cosines.shape))
        / len(cosines)
    )


def shifted_by_one_maximum(x):
    x = x - x.max()
    with np.errstate(all="ignore"):
        return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def ranking_of(log_softmax):
    return lambda cosines, scale: -np.diagonal(log_softmax(scale * cosines)).mean()


def ranking_gradient_of(log_softmax):
    def function(cosines, scale):
        return (
            scale * (np.exp(log_softmax(scale * cosines)) - np.eye(*cosines.shape)) / len(cosines)
        )

    return function


def with_negatives_of(log_softmax):
    def function(query, positive, negatives, scale):
        items = np.concatenate([positive, negatives.reshape(-1, positive.shape[1])])
        return -np.diagonal(log_softmax(scale * query @ items.T)).mean()

    return function


MISTAKES = {
    "mnr.loss": [
        (lambda c, s: len(c) * ranking_loss(c, s), "the sum over the queries"),
        (lambda c, s: ranking_loss(c, s) / np.log(2), "the logarithm is base 2"),
        (lambda c, s: -ranking_loss(c, s), "the sign is turned"),
        (lambda c, s: ranking_loss(c[:, : len(c)], s), "the last column is ignored"),
        (by_columns, "items pick a query"),
        (both_ways, "both directions"),
        (without_itself, "the right item is missing from the sum"),
        (lambda c, s: ranking_loss(c, 1 / s), "divided by the scale"),
        (lambda c, s: ranking_loss(c, 1), "the scale is missing"),
        (lambda c, s: ranking_loss(c, s * s), "the scale is applied twice"),
        (lambda c, s: -np.log(own(shares(c, s)).mean()), "averaged before the logarithm"),
        (lambda c, s: -np.log(shares(c, s)).mean(), "the mean runs over all cells"),
        (lambda c, s: -np.log(shares(c, s).max(axis=1)).mean(), "the best item of each row"),
        (lambda c, s: -np.log(own(shares(c, s))), "it returns a loss per query"),
        (overflowing, "infinite or NaN"),
        (clipped, "with scale 2000"),
        (ranking_of(shifted_by_one_maximum), "the loss is infinite or NaN"),
    ],
    "mnr.gradient": [
        (lambda c, s: s * force(c, s)[:, : len(c)] / len(c), "expected (3, 4)"),
        (lambda c, s: -s * force(c, s) / len(c), "the signs are turned"),
        (lambda c, s: s * force(c, s), "B times too large"),
        (lambda c, s: force(c, s) / len(c), "the gradient on the logits"),
        (force, "share minus target and no more"),
        (lambda c, s: s * force(c, s) / c.size, "the number of cells"),
        (lambda c, s: s * force(c, s) / c.shape[1], "the number of items"),
        (lambda c, s: force(c, s) / s / len(c), "divided by the scale"),
        (lambda c, s: s * shares(c, s) / len(c), "nothing is pulled"),
        (by_column, "the rows sum to"),
        (lambda c, s: s * force(c, 1) / len(c), "row 0 is"),
        (overflowing_gradient, "at scale 2000"),
        (ranking_gradient_of(shifted_by_one_maximum), "at scale 2000 row 1"),
    ],
    "mnr.hard_negatives": [
        (negatives_first(1), "taught to pick a hard negative"),
        (lambda a, p, n, s: mnr_with_negatives(a, p, n, s * s), "the scale is applied twice"),
        (negatives_first(2), "both bugs"),
        (own_negatives, "its own hard negative only"),
        (lambda a, p, n, s: ranking_loss(a @ p.T, s), "the hard negatives are ignored"),
        (alternating, "positives and negatives alternate"),
        (lambda a, p, n, s: len(a) * mnr_with_negatives(a, p, n, s), "the sum over the queries"),
        (lambda a, p, n, s: mnr_with_negatives(a, p, n, 1), "the scale is missing"),
        (first_negative, "only the first is used"),
        (overflowing_negatives, "infinite or NaN"),
        (with_negatives_of(shifted_by_one_maximum), "the loss is infinite or NaN"),
    ],
    "mnr.mine": [
        (lambda c, right, k: order(c)[:, :k], "right items are returned"),
        (own_key_only, "as its negative"),
        (easiest, "the easiest items"),
        (ties_backwards, "falling ids"),
        (zeroed, "0 beats them"),
        (one_less, "for three queries row 0 is"),
        (lambda c, right, k: np.sort(c, axis=1)[:, :k], "expected integers"),
        (lambda c, right, k: np.zeros((len(c), k), dtype=int), "the same item twice"),
        (lambda c, right, k: unstable(np.where(right, -np.inf, c), k), "in no fixed order"),
        (lambda c, right, k: stable(np.where(right, -1.0, c), k), "has the lowest cosine, -1"),
    ],
}
