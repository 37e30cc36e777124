"""Typical wrong answers to the exercises of notebook 18, with a phrase of their messages."""

import numpy as np

from tests.course.reference_answers import attention_pooled, mean_of_pieces, unlocked_names


def zeroed(states, mask):
    return np.where(mask[:, :, None], states, 0)


def first_pieces(states, mask):
    return np.array([s[:n].mean(axis=0) for s, n in zip(states, mask.sum(axis=1), strict=True)])


def softmax(scores, axis=1):
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


def weighted(weights, states):
    return (weights[:, :, None] * states).sum(axis=1)


def raw_scores(states, query, mask):
    return weighted(np.where(mask, states @ query, 0), states)


def powers_alone(states, query, mask):
    return weighted(np.where(mask, np.exp(states @ query), 0), states)


def best_piece(states, query, mask):
    scores = np.where(mask, states @ query, -np.inf)
    return np.array([s[i] for s, i in zip(states, scores.argmax(axis=1), strict=True)])


def score_zero(states, query, mask):
    return weighted(softmax(np.where(mask, states @ query, 0)), states)


def zeroed_after(states, query, mask):
    return weighted(softmax(states @ query) * mask, states)


def over_texts(states, query, mask):
    return weighted(softmax(np.where(mask, states @ query, -np.inf), axis=0), states)


def overflowing(states, query, mask):
    powers = np.where(mask, np.exp(states @ query), 0)
    return weighted(powers / powers.sum(axis=1, keepdims=True), states)


def layer_of(name):
    return int(name.split(".")[2]) if name.startswith("tower.layer.") else None


def with_layers(test):
    return lambda names, n_layers, unlocked: [
        name
        for name in names
        if not name.startswith("tower")
        or (layer_of(name) is not None and test(layer_of(name), n_layers, unlocked))
    ]


def by_slice(names, n_layers, unlocked):
    trained = list(range(n_layers))[-unlocked:]
    return with_layers(lambda layer, *_: layer in trained)(names, n_layers, unlocked)


def by_prefix(names, n_layers, unlocked):
    locked = [f"tower.layer.{i}" for i in range(n_layers - unlocked)]
    return [x for x in names if not x.startswith(("tower.embeddings", *locked))]


def by_text(names, n_layers, unlocked):
    least = f"tower.layer.{n_layers - unlocked}"
    return [
        name
        for name in names
        if not name.startswith("tower") or (layer_of(name) is not None and name >= least)
    ]


MISTAKES = {
    "text.mean": [
        (lambda s, m: zeroed(s, m).sum(axis=1), "the states were added"),
        (lambda s, m: s.mean(axis=2), "along the coordinates"),
        (lambda s, m: s.mean(axis=1), "padding counts like a piece"),
        (lambda s, m: zeroed(s, m).mean(axis=1), "padding is 0 in the sum"),
        (lambda s, m: zeroed(s, m).sum(axis=1) / m.sum() * 1.0, "the whole batch"),
        (first_pieces, "Padding can stand in front"),
    ],
    "text.pool": [
        (raw_scores, "the scores are the weights"),
        (powers_alone, "nobody divided by their sum"),
        (lambda s, q, m: mean_of_pieces(s, m), "all pieces weigh the same"),
        (best_piece, "only the best piece"),
        (lambda s, q, m: attention_pooled(s, q, m | True), "padding takes part"),
        (score_zero, "padding got the score 0"),
        (zeroed_after, "set to 0 after the softmax"),
        (over_texts, "the softmax runs over texts"),
        (overflowing, "e to the 1000 is infinite"),
    ],
    "text.unlock": [
        (with_layers(lambda layer, n, k: layer < k), "the first layers are trained"),
        (
            lambda names, n, k: [x for x in unlocked_names(names, n, k) if x.startswith("tower")],
            "the tower alone",
        ),
        (
            lambda names, n, k: [x for x in names if x not in unlocked_names(names, n, k)],
            "these are the locked names",
        ),
        (with_layers(lambda layer, n, k: layer >= n - k - 1), "one layer too many"),
        (with_layers(lambda layer, n, k: layer > n - k), "one layer too few"),
        (by_slice, "the whole tower is trained"),
        (by_prefix, "expected ['tower.layer.10"),
        (by_text, "names were compared as texts"),
    ],
}
