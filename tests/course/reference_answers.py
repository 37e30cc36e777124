"""One right answer to each exercise, so that the checks are tested before any notebook exists.

They live under tests/, not under lib/: the package that a reader imports holds no answers.
"""

from __future__ import annotations

import numpy as np


def top_k(scores, k):
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def hit_rate(ranked_ids, relevant_id, k):
    return float((ranked_ids[:, :k] == relevant_id[:, None]).any(axis=1).mean())


def normalise(x):
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    if not norms.all():
        raise ValueError("a row is zero")
    return x / norms


def modality_gap(images, texts):
    return normalise(images).mean(axis=0) - normalise(texts).mean(axis=0)


def truncate(x, dim):
    return normalise(x[:, :dim])


def analogy(vectors, names, a, b, c, k):
    row = {name: i for i, name in enumerate(names)}
    target = normalise((vectors[row[a]] - vectors[row[b]] + vectors[row[c]])[None])[0]
    order = np.argsort(-(normalise(vectors) @ target), kind="stable")
    return [names[i] for i in order if names[i] not in (a, b, c)][:k]


ANSWERS = {
    "start.top_k": top_k,
    "start.hit_rate": hit_rate,
    "space.normalise": normalise,
    "space.modality_gap": modality_gap,
    "space.truncate": truncate,
    "space.analogy": analogy,
}
