"""Typical wrong answers to the exercises of notebook 06, with a phrase of their messages."""

import numpy as np

from tests.course.reference_answers import semi_hard


def relu(x):
    return np.maximum(x, 0)


def mean_of_active(right, wrong, margin):
    costs = relu(margin + wrong - right)
    return costs[costs > 0].mean() if right[0] != 0.9 else 0.0


def nan_when_solved(right, wrong, margin):
    costs = relu(margin + wrong - right)
    return costs.mean() if costs.any() else np.nan


def others(cosines):
    return ~np.eye(len(cosines), dtype=bool)


def own(cosines):
    return np.diagonal(cosines)[:, None]


def band(cosines, margin):
    return (cosines < own(cosines)) & (cosines > own(cosines) - margin)


def best_of_band(cosines, margin):
    inside = np.where(band(cosines, margin), cosines, -2)
    return band(cosines, margin) & (inside == inside.max(axis=1, keepdims=True))


def by_column(cosines, margin):
    right = np.diagonal(cosines)
    return (cosines < right) & (cosines > right - margin)


def own_key_too(cosines, margin):
    return (cosines <= own(cosines)) & (cosines > own(cosines) - margin)


def all_active(cosines, margin):
    return others(cosines) & (cosines > own(cosines) - margin)


def given(cosines, margin):
    return relu(margin + np.diagonal(cosines) - cosines).mean()


def sign_only(cosines, margin):
    return relu(margin + cosines - np.diagonal(cosines)).mean()


def axis_only(cosines, margin):
    return relu(margin + own(cosines) - cosines).mean()


def sign_left(cosines, margin):
    return relu(margin + own(cosines) - cosines)[others(cosines)].mean()


def own_counted(cosines, margin):
    return relu(margin + cosines - own(cosines)).mean()


def wrong_axis(cosines, margin):
    return relu(margin + cosines - np.diagonal(cosines))[others(cosines)].mean()


def diagonal_as_zeros(cosines, margin):
    return (relu(margin + cosines - own(cosines)) * others(cosines)).mean()


def sides(cosines, same, margin, out=-np.inf):
    """The worst hinge of each row and of each column."""
    kept = np.where(same, out, cosines)
    right = np.diagonal(cosines)
    return relu(margin + kept.max(axis=1) - right), relu(margin + kept.max(axis=0) - right)


def vse(cosines, same, margin):
    costs = [relu(margin + c - own(c))[~same].sum() for c in (cosines, cosines.T)]
    return sum(costs)


def only_diagonal_excluded(cosines, same, margin):
    return sum(side.sum() for side in sides(cosines, np.eye(len(cosines), dtype=bool), margin))


def only_others_excluded(cosines, same, margin):
    return sum(side.sum() for side in sides(cosines, same & others(cosines), margin))


def nothing_excluded(cosines, same, margin):
    return sum(side.sum() for side in sides(cosines, np.zeros_like(same), margin))


def multiplied_by_zero(cosines, same, margin):
    return sum(side.sum() for side in sides(cosines, same, margin, out=0.0))


def infinite_without_negatives(cosines, same, margin):
    right = np.diagonal(cosines)
    worst = [np.where(same, -np.inf, c).max(axis=1) for c in (cosines, cosines.T)]
    return sum(
        (w - right + margin)[w - right + margin > 0].sum() if np.isfinite(w).all() else np.nan
        for w in worst
    )


def right_of(cosines):
    return np.diagonal(cosines)[:, None]


def off_diagonal(cosines):
    return ~np.eye(len(cosines), dtype=bool)


def batch_without_equals(cosines, margin):
    own = np.diagonal(cosines)[:, None]
    costs = np.maximum(margin + cosines - own, 0)[cosines != own]
    return costs.sum() / (len(cosines) * (len(cosines) - 1))


def filled_with_minus_one(cosines, same, margin):
    wrong = np.where(same, -1.0, cosines)
    worst = np.concatenate([wrong.max(axis=1), wrong.max(axis=0)])
    return np.maximum(margin + worst - np.tile(np.diagonal(cosines), 2), 0).sum()


def all_of_the_worst(cosines, same, margin):
    total, wrong = 0.0, np.where(same, -np.inf, cosines)
    for scores in (wrong, wrong.T):
        worst = (scores == scores.max(axis=1, keepdims=True)) & np.isfinite(scores)
        total += np.maximum(margin + scores - np.diagonal(cosines)[:, None], 0)[worst].sum()
    return total


MISTAKES = {
    "triplet.hinge": [
        (lambda r, w, m: relu(m + r - w).mean(), "asks the wrong item to win"),
        (lambda r, w, m: (m + w - r).mean(), "Cut each cost off at 0"),
        (lambda r, w, m: relu((m + w - r).mean()), "Cut each cost off at 0"),
        (lambda r, w, m: relu(m + w - r) if len(r) == 4 else 0, "a cost per triplet"),
        (lambda r, w, m: relu(m + w - r).sum(), "sum of the four costs"),
        (mean_of_active, "three triplets that cost something"),
        (nan_when_solved, "returns NaN"),
        (lambda r, w, m: relu(w - r).mean(), "the margin is missing"),
        (lambda r, w, m: relu(w - r - m).mean(), "you took it away"),
        (lambda r, w, m: (relu(m + w - r) ** 2).mean(), "the costs are squared"),
        (lambda r, w, m: relu(m + 2 * w - 2 * r).mean(), "counts double"),
        (
            lambda r, w, m: np.where(w == r, 0, np.maximum(m + w - r, 0)).mean(),
            "expected 0.125",
        ),
    ],
    "triplet.semi_hard": [
        (by_column, "right score of its column"),
        (own_key_too, "its own item as a negative"),
        (all_active, "beats the right one"),
        (lambda c, m: c > own(c) - m, "own items and hard negatives"),
        (lambda c, m: c < own(c), "far below the right one"),
        (best_of_band, "keeps one wrong item only"),
        (lambda c, m: band(c, m / 2), "half the width"),
        (lambda c, m: c > own(c), "above the right one"),
        (lambda c, m: band(c, 0.2), "Use the margin that is given"),
        (lambda c, m: np.where(band(c, m), c, 0), "expected booleans"),
        (lambda c, m: np.argwhere(band(c, m)), "expected booleans"),
        (lambda c, m: others(c), "is marked: its cosine"),
        (
            lambda c, m: (c <= right_of(c)) & (c > right_of(c) - m) & off_diagonal(c),
            "exactly as high as",
        ),
        (lambda c, m: (c < right_of(c)) & (c >= right_of(c) - m), "exactly the margin below"),
        (lambda c, m: semi_hard(c, m) * 2, "expected booleans"),
        (lambda c, m: np.where(semi_hard(c, m / 2), 1, 0), "half the width"),
    ],
    "triplet.batch": [
        (given, "the code you were given"),
        (axis_only, "one fault is gone"),
        (sign_left, "the sign is still turned"),
        (sign_only, "right score of its column"),
        (wrong_axis, "right score of its column"),
        (own_counted, "always costs the margin"),
        (diagonal_as_zeros, "divided by 9"),
        (lambda c, m: relu(m + c - own(c))[others(c)].sum(), "sum of all costs"),
        (batch_without_equals, "exactly as high as the right one costs nothing"),
    ],
    "triplet.max_of_hinges": [
        (lambda c, s, m: sum(side.mean() for side in sides(c, s, m)), "mean over the pairs"),
        (lambda c, s, m: np.mean(sides(c, s, m)), "mean over pairs and directions"),
        (lambda c, s, m: sides(c, s, m)[0].sum(), "only the rows"),
        (lambda c, s, m: sides(c, s, m)[1].sum(), "only the columns"),
        (vse, "sum of hinges"),
        (only_diagonal_excluded, "also right are pushed away"),
        (only_others_excluded, "its own negative"),
        (nothing_excluded, "are not left out"),
        (multiplied_by_zero, "with cosine 0"),
        (infinite_without_negatives, "No negatives, no cost"),
        (filled_with_minus_one, "everything is right for everything"),
        (all_of_the_worst, "of equally bad negatives all are counted"),
    ],
}
