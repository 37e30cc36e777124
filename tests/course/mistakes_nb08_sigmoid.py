"""Typical wrong answers to the exercises of notebook 08, with a phrase of their messages."""

import numpy as np

from tests.course.reference_answers import sigmoid_in_gallery, sigmoid_logit_gradient, sigmoid_of


def z_of(positives):
    return np.where(positives, 1, -1)


def cells(logits, positives):
    return np.logaddexp(0, -z_of(positives) * logits)


def labels_of_0(logits, positives):
    p = 1 / (1 + np.exp(-positives.astype(float) * logits))
    return -np.log(p).mean()


def clipped(logits, positives):
    p = np.clip(sigmoid_of(z_of(positives) * logits), 1e-12, 1)
    return -np.log(p).sum() / len(logits)


def overflowing(logits, positives):
    return np.log(1 + np.exp(-z_of(positives) * logits)).sum() / len(logits)


def diagonal(logits):
    return np.eye(*logits.shape, dtype=bool)


def softmax_gradient(logits, positives):
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    return (p - positives / positives.sum(axis=1, keepdims=True)) / len(logits)


def nan_far_out(logits, positives):
    return (np.exp(logits) / (1 + np.exp(logits)) - positives) / len(logits)


def by_odds(p, batch_size, gallery_size):
    odds = p / (1 - p) * (batch_size - 1) / (gallery_size - 1)
    return odds / (1 + odds)


def only_from_11(p, batch_size, gallery_size):
    return sigmoid_in_gallery(p, 11, gallery_size)


MISTAKES = {
    "sigmoid.prior": [
        (lambda n, r: -np.log(r / (n - r)), "the sign is turned round"),
        (lambda n, r: np.log(r / n), "right ones to all"),
        (lambda n, r: -np.log(n - 1), "has no effect"),
        (lambda n, r: -np.log(n), "minus the logarithm of all keys"),
        (lambda n, r: r / n, "the probability itself"),
        (lambda n, r: r / (n - r), "these are the odds"),
        (lambda n, r: np.log10(r / (n - r)), "base 10"),
        (lambda n, r: np.log2(r / (n - r)), "base 2"),
        (lambda n, r: np.log(r) - np.log(59), "one right key among 16"),
        (lambda n, r: -abs(np.log(r / (n - r))), "the bias is positive"),
    ],
    "sigmoid.gradient": [
        (lambda s, p: -sigmoid_logit_gradient(s, p), "every sign is turned round"),
        (lambda s, p: sigmoid_logit_gradient(s, p) * len(s), "gradient of the sum"),
        (lambda s, p: sigmoid_logit_gradient(s, p) / s.shape[1], "divided by all six cells"),
        (lambda s, p: sigmoid_logit_gradient(s.T, p.T).T, "divided by the number of keys"),
        (lambda s, p: sigmoid_of(s) / len(s), "pushed like wrong ones"),
        (lambda s, p: sigmoid_logit_gradient(s, diagonal(s)), "the second right key"),
        (lambda s, p: sigmoid_of(-z_of(p) * s) / len(s), "all signs are lost"),
        (softmax_gradient, "as under a softmax"),
        (nan_far_out, "logits of 1000 give NaN"),
        (lambda s, p: sigmoid_logit_gradient(s, p).T, "rows and columns are swapped"),
    ],
    "sigmoid.loss": [
        (labels_of_0, "none is ever pushed"),
        (lambda s, p: -(np.log(sigmoid_of(s)) * p).sum() / len(s), "none is ever pushed"),
        (lambda s, p: cells(s, ~p).sum() / len(s), "costs less the closer it is"),
        (lambda s, p: cells(s, p).mean(), "the mean over all six cells"),
        (lambda s, p: cells(s, p).sum(), "the sum over all pairs"),
        (lambda s, p: cells(s, p).sum() / s.shape[1], "divided by the number of keys"),
        (lambda s, p: cells(s, diagonal(s)).sum() / len(s), "the diagonal alone"),
        (clipped, "expected 500"),
        (overflowing, "expected 500"),
    ],
    "sigmoid.in_gallery": [
        (lambda p, b, n: p, "nothing changed"),
        (lambda p, b, n: sigmoid_in_gallery(p, n, b), "rise in the larger gallery"),
        (lambda p, b, n: p * b / n, "the probability was scaled"),
        (lambda p, b, n: p * (b - 1) / (n - 1), "the probability was scaled"),
        (lambda p, b, n: p / (1 - p) * (b - 1) / (n - 1), "these are the odds"),
        (lambda p, b, n: sigmoid_in_gallery(p, b + 1, n + 1), "the ratio is 11 to 101"),
        (lambda p, b, n: np.log(p / (1 - p) * (b - 1) / (n - 1)), "these are log-odds"),
        (only_from_11, "does not undo itself"),
        (by_odds, "A probability of 0 or 1 stays"),
    ],
}
