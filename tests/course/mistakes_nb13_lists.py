"""Typical wrong answers to the exercises of notebook 13, with a phrase of their messages."""

import numpy as np

from tests.course.reference_answers import ANSWERS
from tests.course.sorts import stable, unstable

choose = ANSWERS["lists.tune"]


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def sorted_cells(score):
    return lambda q, c, nprobe: np.argsort(-score(q, c), axis=1, kind="stable")[:, :nprobe]


def cosine(queries, centroids):
    return queries @ unit(centroids).T


def euclidean(queries, centroids):
    return -((queries[:, None] - centroids) ** 2).sum(axis=2)


def matches(found, true, k):
    return found[:, :k, None] == true[:, None, :k]


def any_hit(found, true, k):
    both = zip(found[:, :k].tolist(), true[:, :k].tolist())
    return np.mean([bool(set(answer) & set(truth)) for answer, truth in both])


def per_place(found, true, k):
    return matches(found, true, k).sum(axis=(1, 2)).mean() / k


def per_found(found, true, k):
    hits = matches(found, true, k).any(axis=1).sum(axis=1)
    return (hits / np.maximum((found[:, :k] >= 0).sum(axis=1), 1)).mean()


def whole_lists(found, true, k):
    return (matches(found, true, None).any(axis=1) & (true >= 0)).sum(axis=1).mean() / k


def answered_alone(found, true, k):
    hits = (matches(found, true, k).any(axis=1) & (true[:, :k] >= 0)).sum(axis=1)
    return hits[(found >= 0).any(axis=1)].mean() / k


def summed(found, true, k):
    return (matches(found, true, k).any(axis=1) & (true[:, :k] >= 0)).sum() / k


def nothing_is_found(found, true, k):
    return matches(found, true, k).any(axis=1).sum(axis=1).mean() / k


def first_where(reached, nprobes):
    return np.argmax(reached) if reached.any() else len(nprobes) - 1


def strictly(nprobes, learn, test, k, target):
    at = first_where(learn.mean(axis=1) / k > target, nprobes)
    return nprobes[at], test[at].mean() / k


def best(nprobes, learn, test, k, target):
    at = learn.mean(axis=1).argmax()
    return nprobes[at], test[at].mean() / k


def first_or_nothing(nprobes, learn, test, k, target):
    at = np.argmax(learn.mean(axis=1) / k >= target)
    return nprobes[at], test[at].mean() / k


def first_of_unequal(queries, centroids, nprobe):
    return unstable(
        queries @ (centroids / np.sqrt((centroids**2).sum(axis=1, keepdims=True))).T, nprobe
    )


def uncut(found_at, true_at):
    def function(found, true, k):
        found, true = found[:, : k if found_at else None], true[:, : k if true_at else None]
        same = (found[:, :, None] == true[:, None]).any(axis=1)
        return (same & (true >= 0)).sum(axis=1).mean() / k

    return function


def nprobe_before_the_last_miss(nprobes, learn, test, k, target):
    reached = learn.mean(axis=1) / k >= target
    at = len(nprobes) - 1
    while at > 0 and reached[at - 1]:
        at -= 1
    return nprobes[at], test[at].mean() / k


def cells_by_guarded_length(queries, centroids, nprobe):
    lengths = np.maximum(np.sqrt((centroids**2).sum(axis=1, keepdims=True)), 0.5)
    return stable(queries @ (centroids / lengths).T, nprobe)


def recall_above_zero(found, true, k):
    same = (found[:, :k, None] == true[:, None, :k]).any(axis=1) & (true[:, :k] > 0)
    return same.sum(axis=1).mean() / k


MISTAKES = {
    "lists.cells": [
        (sorted_cells(lambda q, c: q @ c.T), "a long centroid wins"),
        (sorted_cells(lambda q, c: unit(q) @ c.T), "a long centroid wins"),
        (sorted_cells(euclidean), "Euclidean distances"),
        (sorted_cells(lambda q, c: -cosine(q, c)), "the worst cells come first"),
        (lambda q, c, p: np.sort(sorted_cells(cosine)(q, c, p), axis=1), "sorted by their number"),
        (
            lambda q, c, p: np.argsort(cosine(q, c), axis=1)[:, ::-1][:, :p],
            "equal cosine the larger number",
        ),
        (lambda q, c, p: cosine(q, c).argmax(axis=1), "one cell per query"),
        (lambda q, c, p: -np.sort(-cosine(q, c), axis=1)[:, :p], "expected integers"),
        (lambda q, c, p: sorted_cells(cosine)(q, c, p).T, "It is the transpose"),
        (first_of_unequal, "with 40 cells equal cosines come in no fixed order"),
        (cells_by_guarded_length, "a thousandth of the centroids"),
    ],
    "lists.recall": [
        (per_place, "was returned, three times"),
        (any_hit, "not whether there is any hit"),
        (whole_lists, "below k"),
        (per_found, "two hits and nothing else"),
        (answered_alone, "without a hit is left out"),
        (summed, "the sum over the queries"),
        (nothing_is_found, "so it is no hit"),
        (uncut(False, True), "what was found below k"),
        (uncut(True, False), "true neighbours below k"),
        (recall_above_zero, "id 0 is not found"),
    ],
    "lists.tune": [
        (lambda n, learn, test, k, t: choose(n, test, test, k, t), "chose on the test queries"),
        (lambda n, learn, test, k, t: choose(n, learn, learn, k, t), "reports the learn queries"),
        (
            lambda n, learn, test, k, t: choose(np.arange(len(n)), learn, test, k, t),
            "the place in the list",
        ),
        (strictly, "equals the target is refused"),
        (best, "not the cheapest that is enough"),
        (
            lambda n, learn, test, k, t: np.multiply(choose(n, learn, test, k, t), (1, k)),
            "in neighbours",
        ),
        (first_or_nothing, "a target that nothing reaches"),
        (nprobe_before_the_last_miss, "where 4 reaches the target and 8 does not"),
    ],
}
