"""Sorts of the mistakes: one that keeps equal scores in order and one that does not."""

import numpy as np


def stable(scores, k):
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def unstable(scores, k):
    """The best k by a sort that mixes up equal scores, as some sorts do from 17 items on."""
    n = scores.shape[1]
    mixed = np.random.default_rng(1).permutation(n) if n > 16 else np.arange(n)
    return mixed[np.argsort(-scores[:, mixed], axis=1, kind="stable")[:, :k]]
