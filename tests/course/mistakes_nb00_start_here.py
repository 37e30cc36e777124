"""Typical wrong answers to the exercises of notebook 00, with a phrase of their messages."""

import numpy as np

from tests.course import reference_answers as right
from tests.course.reference_answers import hit_rate


def ascending(scores, k):
    return np.argsort(scores, axis=1, kind="stable")[:, :k]


def best_last(scores, k):
    return np.argsort(scores, axis=1, kind="stable")[:, -k:]


def scores_instead_of_ids(scores, k):
    return -np.sort(-scores, axis=1)[:, :k]


def ties_by_larger_id(scores, k):
    return np.argsort(scores, axis=1, kind="stable")[:, ::-1][:, :k]


def unsorted_partition(scores, k):
    ids = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return np.sort(ids, axis=1)  # what argpartition may return: the right set in some order


def unstable_sort(scores, k):
    # An unstable sort may do anything with ties; this one is right on small galleries, as numpy's
    # default is.
    if scores.shape[1] <= 16:
        return np.argsort(-scores, axis=1, kind="stable")[:, :k]
    shuffled = np.random.default_rng(1).permutation(scores.shape[1])
    return shuffled[np.argsort(-scores[:, shuffled], axis=1, kind="stable")][:, :k]


def mutates(scores, k):
    scores *= -1
    return np.argsort(scores, axis=1, kind="stable")[:, :k]


def wrong_axis(scores, k):
    return np.argsort(-scores, axis=0, kind="stable")[:k]


def transposed(scores, k):
    return np.argsort(-scores, axis=1, kind="stable")[:, :k].T


def one_too_many(scores, k):
    return np.argsort(-scores, axis=1, kind="stable")[:, : k + 1]


def ids_from_one(scores, k):
    return np.argsort(-scores, axis=1, kind="stable")[:, :k] + 1


def only_first_rank(ranked_ids, relevant_id, k):
    return np.mean(ranked_ids[:, 0] == relevant_id)


def one_rank_too_far(ranked_ids, relevant_id, k):
    return np.mean((ranked_ids[:, : k + 1] == relevant_id[:, None]).any(axis=1))


def a_count(ranked_ids, relevant_id, k):
    return int((ranked_ids[:, :k] == relevant_id[:, None]).any(axis=1).sum())


def a_percentage(ranked_ids, relevant_id, k):
    return 100 * np.mean((ranked_ids[:, :k] == relevant_id[:, None]).any(axis=1))


def the_diagonal(ranked_ids, relevant_id, k):
    return np.mean((ranked_ids[:, :k] == np.arange(len(ranked_ids))[:, None]).any(axis=1))


def precision(ranked_ids, relevant_id, k):
    return np.mean(ranked_ids[:, :k] == relevant_id[:, None])


def whole_depth(ranked_ids, relevant_id, k):
    return np.mean((ranked_ids == relevant_id[:, None]).any(axis=1))


def rank_k_alone(ranked_ids, relevant_id, k):
    return np.mean(ranked_ids[:, k - 1] == relevant_id)


def per_query(ranked_ids, relevant_id, k):
    return (ranked_ids[:, :k] == relevant_id[:, None]).any(axis=1)


def top_k_below_n(scores, k):
    np.partition(scores, k, axis=1)  # what is at place k, which the whole gallery does not have
    return right.top_k(scores, k)


def nudged(scores, k):
    return np.argsort(1e-9 * np.arange(scores.shape[1]) - scores, axis=1)[:, :k]


MISTAKES = {
    "start.top_k": [
        (ascending, "order is ascending"),
        (best_last, "best one comes last"),
        (scores_instead_of_ids, "scores themselves"),
        (ties_by_larger_id, "smaller id comes first"),
        (unsorted_partition, "not sorted by score"),
        (unstable_sort, "'stable'"),
        (mutates, "changed its input"),
        (wrong_axis, "expected (2, 3)"),
        (transposed, "transpose"),
        (one_too_many, "has shape (2, 4)"),
        (ids_from_one, "no position in a gallery of 5"),
        (top_k_below_n, "ValueError: kth"),
        (nudged, "in no fixed order"),
    ],
    "start.hit_rate": [
        (only_first_rank, "only at rank 1"),
        (one_rank_too_far, "one rank too far"),
        (a_count, "number of hits, not their share"),
        (a_percentage, "returns percent"),
        (the_diagonal, "diagonal"),
        (precision, "precision"),
        (whole_depth, "whatever k is"),
        (rank_k_alone, "rank k alone"),
        (per_query, "one value per query"),
        (lambda ids, right, k: hit_rate(ids, right, k - 1), "it looks one rank too short"),
        (lambda ids, right, k: hit_rate(ids, right, k + 1), "it looks one rank too far"),
    ],
}
