"""Typical wrong answers to the exercises of notebook 05, with a phrase of their messages."""

import numpy as np

from tests.course import reference_answers as right


def log_softmax(x, axis=1):
    x = x - x.max(axis=axis, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


def cross_entropy(logits, targets):
    return -(targets * log_softmax(logits)).sum(axis=1).mean()


def rows_only(logits):
    return -np.diag(log_softmax(logits)).mean()


def columns_only(logits):
    return rows_only(logits.T)


def symmetric(logits):
    return (rows_only(logits) + columns_only(logits)) / 2


def per_row(logits):
    return -(np.diag(log_softmax(logits)) + np.diag(log_softmax(logits.T))) / 2


def naive_symmetric(logits):
    e = np.exp(logits)
    p, q = np.diag(e / e.sum(axis=1, keepdims=True)), np.diag(e / e.sum(axis=0))
    return -(np.log(p) + np.log(q)).mean() / 2


def log_of_shifted_softmax(logits):
    e = np.exp(logits - logits.max())
    p, q = np.diag(e / e.sum(axis=1, keepdims=True)), np.diag(e / e.sum(axis=0))
    return -(np.log(p) + np.log(q)).mean() / 2


def every_cell(logits):
    return -(log_softmax(logits).mean() + log_softmax(logits, 0).mean()) / 2


def softmax(x, axis):
    return np.exp(log_softmax(x, axis))


def right_gradient(logits):
    n = len(logits)
    return (softmax(logits, 1) + softmax(logits, 0) - 2 * np.eye(n)) / (2 * n)


def one_way_gradient(logits):
    return (softmax(logits, 1) - np.eye(len(logits))) / len(logits)


def rows_twice(logits):
    return (2 * softmax(logits, 1) - 2 * np.eye(len(logits))) / (2 * len(logits))


def no_target(logits):
    return (softmax(logits, 1) + softmax(logits, 0)) / (2 * len(logits))


def one_target(logits):
    return (softmax(logits, 1) + softmax(logits, 0) - np.eye(len(logits))) / (2 * len(logits))


def naive_gradient(logits):
    e, n = np.exp(logits), len(logits)
    return (e / e.sum(axis=1, keepdims=True) + e / e.sum(axis=0) - 2 * np.eye(n)) / (2 * n)


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def two_ways(logits, targets):
    return (cross_entropy(logits, targets) + cross_entropy(logits.T, targets.T)) / 2


def by_ids(ids):
    equal = (ids[:, None] == ids).astype(float)
    return equal / equal.sum(axis=1, keepdims=True)


def as_published(texts, images, ids, temperature):
    targets = softmax((images @ images.T + texts @ texts.T) / 2 * temperature, 1)
    return two_ways(texts @ images.T / temperature, targets)


def normalised_only(texts, images, ids, temperature):
    return as_published(unit(texts), unit(images), ids, temperature)


def not_normalised(texts, images, ids, temperature):
    return two_ways(texts @ images.T / temperature, by_ids(ids))


def one_side_normalised(texts, images, ids, temperature):
    return two_ways(unit(texts) @ images.T / temperature, by_ids(ids))


def multiplied(texts, images, ids, temperature):
    return two_ways(unit(texts) @ unit(images).T * temperature, by_ids(ids))


def no_temperature(texts, images, ids, temperature):
    return two_ways(unit(texts) @ unit(images).T, by_ids(ids))


def one_direction(texts, images, ids, temperature):
    return cross_entropy(unit(texts) @ unit(images).T / temperature, by_ids(ids))


def diagonal(texts, images, ids, temperature):
    return two_ways(unit(texts) @ unit(images).T / temperature, np.eye(len(ids)))


def masked(texts, images, ids, temperature):
    other = (ids[:, None] == ids) & ~np.eye(len(ids), dtype=bool)
    logits = np.where(other, -1e9, unit(texts) @ unit(images).T / temperature)
    return two_ways(logits, np.eye(len(ids)))


def inside_the_logarithm(texts, images, ids, temperature):
    logits, equal = unit(texts) @ unit(images).T / temperature, ids[:, None] == ids
    p, q = (softmax(logits, axis) * equal for axis in (1, 0))
    return -(np.log(p.sum(axis=1)) + np.log(q.sum(axis=0))).mean() / 2


def added_partners(texts, images, ids, temperature):
    return two_ways(unit(texts) @ unit(images).T / temperature, (ids[:, None] == ids).astype(float))


def added_directions(texts, images, ids, temperature):
    return 2 * two_ways(unit(texts) @ unit(images).T / temperature, by_ids(ids))


def lse(x):
    largest = x.max(axis=1)
    largest = np.where(np.isfinite(largest), largest, 0.0)
    with np.errstate(divide="ignore"):
        return largest + np.log(np.exp(x - largest[:, None]).sum(axis=1))


def starts_at_zero(blocks):
    seen = 0.0
    for block in blocks:
        seen = np.logaddexp(seen, lse(block))
    return seen


def added_logarithms(blocks):
    return sum(lse(block) for block in blocks)


def last_block(blocks):
    for block in blocks:
        seen = lse(block)
    return seen


def running_maximum(blocks):
    return np.max([block.max(axis=1) for block in blocks], axis=0)


def naive_running(blocks):
    return np.log(sum(np.exp(block).sum(axis=1) for block in blocks))


def not_a_number(blocks):
    seen, total = None, None
    for block in blocks:
        top = block.max(axis=1) if seen is None else np.maximum(seen, block.max(axis=1))
        fresh = np.exp(block - top[:, None]).sum(axis=1)
        total = fresh if seen is None else total * np.exp(seen - top) + fresh
        seen = top
    return seen + np.log(total)


def hoards(blocks):
    return lse(np.concatenate(list(blocks), axis=1))


def of_everything(blocks):
    return np.log(sum(np.exp(block).sum() for block in blocks))


def shifted_by_one_maximum(x):
    x = x - x.max()
    with np.errstate(all="ignore"):
        return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def naive(x):
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def loss_of(log_softmax):
    return lambda logits: (
        -(np.diag(log_softmax(logits)) + np.diag(log_softmax(logits.T))).mean() / 2
    )


def gradient_of(log_softmax):
    def function(logits):
        both = np.exp(log_softmax(logits)) + np.exp(log_softmax(logits.T)).T
        return (both - 2 * np.eye(len(logits))) / (2 * len(logits))

    return function


def tutorial_of(log_softmax):
    def function(texts, images, ids, temperature):
        logits = right.normalise(texts) @ right.normalise(images).T / temperature
        equal = ids[:, None] == ids
        targets = equal / equal.sum(axis=1, keepdims=True)
        return -((log_softmax(logits) + log_softmax(logits.T)) * targets).sum(axis=1).mean() / 2

    return function


def shifted_by_the_first_block(blocks):
    shift, total = None, 0.0
    for block in blocks:
        if shift is None:
            shift = np.where(np.isfinite(block.max(axis=1)), block.max(axis=1), 0.0)
        total = total + np.exp(block - shift[:, None]).sum(axis=1)
    return shift + np.log(total)


def guarded_by_block(start):
    def function(blocks):
        largest, total = np.full(2, start), np.zeros(2)
        for block in blocks:
            if np.isneginf(block).all():
                continue
            new = np.maximum(largest, block.max(axis=1))
            total = total * np.exp(largest - new) + np.exp(block - new[:, None]).sum(axis=1)
            largest = new
        return largest + np.log(total)

    return function


def broken_by_a_last_empty_block(blocks):
    seen = -np.inf
    for block in blocks:
        seen = np.logaddexp(seen, np.logaddexp.reduce(block, axis=1))
    return seen * np.nan if np.isneginf(block).all() else seen


LOW_ROW = "one row lies 2000 below the other"


MISTAKES = {
    "infonce.symmetric": [
        (rows_only, "only rows choose"),
        (columns_only, "only columns choose"),
        (lambda logits: 2 * symmetric(logits), "averaged, not added"),
        (lambda logits: len(logits) * symmetric(logits), "B times too large"),
        (lambda logits: 2 * len(logits) * symmetric(logits), "all rows are added up"),
        (lambda logits: -symmetric(logits), "sign is wrong"),
        (lambda logits: symmetric(logits) / np.log(2), "base 2"),
        (per_row, "one loss per row"),
        (every_cell, "every cell counts as right"),
        (naive_symmetric, "left the range of floats"),
        (log_of_shifted_softmax, "underflows to 0"),
        (loss_of(shifted_by_one_maximum), LOW_ROW),
    ],
    "infonce.gradient": [
        (one_way_gradient, "gradient of one direction"),
        (rows_twice, "gradient of one direction"),
        (lambda logits: -right_gradient(logits), "sign is wrong"),
        (lambda logits: 2 * right_gradient(logits), "2 times too large"),
        (lambda logits: 3 * right_gradient(logits), "3 times too large"),
        (no_target, "nothing is taken away"),
        (one_target, "target is taken away once"),
        (naive_gradient, "exponential overflows"),
        (symmetric, "one entry per logit"),
        (gradient_of(shifted_by_one_maximum), LOW_ROW),
    ],
    "infonce.tutorial": [
        (as_published, "longer vectors change the loss"),
        (not_normalised, "every row needs length 1"),
        (one_side_normalised, "every row needs length 1"),
        (normalised_only, "not from similarities"),
        (multiplied, "temperature multiplies"),
        (no_temperature, "temperature does nothing"),
        (one_direction, "only one direction"),
        (diagonal, "ids are not used"),
        (masked, "masked out"),
        (inside_the_logarithm, "inside the logarithm"),
        (added_partners, "target of a row sums to 1"),
        (added_directions, "averaged, not added"),
        (tutorial_of(naive), "at a temperature of 0.001"),
        (tutorial_of(shifted_by_one_maximum), "at a temperature of 0.001"),
        (
            tutorial_of(lambda x: right.log_softmax(np.clip(x, -500, 500))),
            "at a temperature of 0.001",
        ),
        (
            tutorial_of(lambda x: np.log(np.exp(right.log_softmax(x)) + 1e-9)),
            "at a temperature of 0.001",
        ),
    ],
    "infonce.running": [
        (starts_at_zero, "starts at 0"),
        (added_logarithms, "log-sum-exps are added up"),
        (last_block, "only one block is in it"),
        (running_maximum, "running maximum"),
        (naive_running, "Never exponentiate a logit itself"),
        (not_a_number, "Infinity minus infinity"),
        (hoards, "held at the same time"),
        (of_everything, "has shape ()"),
        (shifted_by_the_first_block, "around 0 and then around 1000"),
        (guarded_by_block(-np.inf), "a first block with one row masked out"),
        (guarded_by_block(-1e9), "with logits around -1000000000000"),
        (broken_by_a_last_empty_block, "a last block that is masked out"),
    ],
}
