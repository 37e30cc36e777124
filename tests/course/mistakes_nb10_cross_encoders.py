"""Typical wrong answers to the exercises of notebook 10, with a phrase of their messages."""

import numpy as np

from tests.course.reference_answers import (
    hard_negative_chances,
    interaction_part,
    match_probability,
)


def softmax(x, axis):
    weights = np.exp(x - x.max(axis=axis, keepdims=True))
    return weights / weights.sum(axis=axis, keepdims=True)


def overflowing(logits):
    weights = np.exp(logits)
    return weights[:, 1] / weights.sum(axis=1)


def clipped(logits):
    return match_probability(np.clip(logits, -50, 50))


def diagonal_masked(logits, same):
    return softmax(np.where(np.eye(*logits.shape, dtype=bool), -np.inf, logits), axis=1)


def masked_after(logits, same):
    return np.where(same, 0, softmax(logits, axis=1))


def zero_logits(logits, same):
    return softmax(np.where(same, 0.0, logits), axis=1)


def by_columns(logits, same):
    weights = np.exp(logits) * ~same
    return weights / np.maximum(weights.sum(axis=0), 1e-300)


def nothing_left(logits, same):
    return softmax(np.where(same, -np.inf, logits), axis=1)


def even_where_nothing_is_left(logits, same):
    found = hard_negative_chances(logits, same)
    return np.where(same.all(axis=1, keepdims=True), 0.25, found)


def unshifted(logits, same):
    weights = np.exp(logits) * ~same
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)


def shifted_by_all(logits, same):
    weights = np.where(same, 0.0, np.exp(logits - logits.max(axis=1, keepdims=True)))
    total = weights.sum(axis=1, keepdims=True)
    return weights / np.where(total > 0, total, 1.0)


def drawn_after(prepare):
    def function(logits, same):
        weights = np.exp(prepare(logits, same)) * ~same
        total = weights.sum(axis=1, keepdims=True)
        return weights / np.where(total > 0, total, 1.0)

    return function


def less_one_maximum(logits, same):
    return np.where(same, -np.inf, logits) - logits[~same].max()


def less_floored_maximum(logits, same):
    floored = np.where(same, -100.0, logits)
    return floored - floored.max(axis=1, keepdims=True)


MISTAKES = {
    "cross.probability": [
        (lambda logits: 1 - match_probability(logits), "probability of no match"),
        (lambda logits: softmax(logits[:, 1], axis=0), "runs over the candidates"),
        (lambda logits: 1 / (1 + np.exp(-logits[:, 1])), "logit of no match is ignored"),
        (lambda logits: logits[:, 1] - logits[:, 0], "difference of the logits"),
        (lambda logits: logits[:, 1], ", expected ["),
        (overflowing, "give NaN or infinity"),
        (clipped, "Clipping changes it"),
        (lambda logits: softmax(logits, axis=1), "expected (4,)"),
    ],
    "cross.interaction": [
        (lambda s: s - s.mean(axis=1, keepdims=True), "only the term of the query"),
        (lambda s: s - s.mean(axis=0), "only the term of the item"),
        (lambda s: s - s.mean(axis=1, keepdims=True) - s.mean(axis=0), "taken away twice"),
        (lambda s: s - s.mean(), "only the mean of all scores"),
        (lambda s: s - interaction_part(s), "two terms do explain"),
        (lambda s: interaction_part(s) / 2, ", expected ["),
        (lambda s: interaction_part(s.T), "It is the transpose"),
    ],
    "cross.negatives": [
        (diagonal_masked, "only the diagonal is masked"),
        (lambda logits, same: softmax(logits, axis=1), "nothing is masked"),
        (masked_after, "after the softmax"),
        (zero_logits, "set to 0, which is a logit like any other"),
        (by_columns, "runs along the columns"),
        (nothing_left, "row 2 is NaN"),
        (even_where_nothing_is_left, "has no wrong column and does not get zeros"),
        (unshifted, "900 more on every logit"),
        (shifted_by_all, "beside a right column with a logit of 1,000"),
        (drawn_after(less_one_maximum), "900 less"),
        (drawn_after(less_floored_maximum), "900 less"),
    ],
}
