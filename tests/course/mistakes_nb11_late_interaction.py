"""Typical wrong answers to the exercises of notebook 11, with a phrase of their messages."""

import numpy as np

from tests.course.reference_answers import filip_loss, keep_most_won, maxsim_of, maxsim_padded
from tests.course.sorts import stable, unstable


def unit(x):
    return x / np.sqrt((x**2).sum(axis=-1, keepdims=True))


def all_similarities(query, documents):
    return query @ documents.transpose(0, 2, 1)  # (n, L_q, L_d)


def filled_with(value):
    return lambda q, d, m: (
        np.where(m[:, None], all_similarities(q, d), value).max(axis=2).sum(axis=1)
    )


def by_infinity(query, documents, mask):
    weights = np.where(mask, 1, -np.inf)[:, None]
    return (all_similarities(query, documents) * weights).max(axis=2).sum(axis=1)


def first_tokens(query, documents, mask):
    return np.array([maxsim_of(query, d[:n]) for d, n in zip(documents, mask.sum(axis=1))])


def into_its_input(query, documents, mask):
    documents[~mask] = 0
    return maxsim_padded(query, documents, mask)


def cross_entropy(logits):
    largest = logits.max(axis=1, keepdims=True)
    return (np.log(np.exp(logits - largest).sum(axis=1)) + largest[:, 0] - np.diag(logits)).mean()


def overflowing(t, i):
    return (plain_cross_entropy(t) + plain_cross_entropy(i.T)) / 2


def plain_cross_entropy(logits):
    return (np.log(np.exp(logits).sum(axis=1)) - np.diag(logits)).mean()


def wins(queries, document):
    return np.bincount((queries @ document.T).argmax(axis=1), minlength=len(document))


def by_wins(queries, document, k):
    return np.argsort(-wins(queries, document), kind="stable")[:k]


def by_sum(queries, document, k):
    return np.sort(np.argsort(-(queries @ document.T).sum(axis=0))[:k])


def seldom(queries, document, k):
    return np.sort(np.argsort(wins(queries, document), kind="stable")[:k])


def last_of_equals(queries, document, k):
    counted = wins(queries, document)
    return np.sort(np.lexsort((-np.arange(len(counted)), -counted))[:k])


def only_winners(queries, document, k):
    return (
        np.flatnonzero(wins(queries, document))[:k]
        if k > 2
        else keep_most_won(queries, document, k)
    )


def counted(minlength, sort):
    def function(queries, document, k):
        wins = np.bincount((queries @ document.T).argmax(axis=1), minlength=minlength(document))
        return np.sort(sort(wins[None], k)[0])

    return function


def floored(floor):
    def padded(query, documents, mask):
        similarities = query @ documents.transpose(0, 2, 1)
        return np.where(mask[:, None], similarities, floor).max(axis=2).sum(axis=1)

    return padded


def shifted_by_one_maximum(x):
    x = x - x.max()
    with np.errstate(all="ignore"):
        return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def tied_patches_added(query, document):
    similarities = query @ document.T
    return (similarities * (similarities == similarities.max(axis=1, keepdims=True))).sum()


def mask_subtracted(query, documents, mask):
    return (query @ documents.transpose(0, 2, 1) - 1e15 * ~mask[:, None]).max(axis=2).sum(axis=1)


MISTAKES = {
    "late.maxsim": [
        (lambda q, d: maxsim_of(q, d) / len(q), "the mean over the words"),
        (lambda q, d: maxsim_of(d, q), "every patch looked for its best word"),
        (lambda q, d: (q @ d.T).max(), "only the best pair"),
        (lambda q, d: (q @ d.T).sum(), "all similarities were added"),
        (lambda q, d: (q @ d.T).min(axis=1).sum(), "its worst patch"),
        (lambda q, d: (q * d[: len(q)]).sum(), "word i was compared with patch i"),
        (lambda q, d: q.mean(axis=0) @ d.mean(axis=0), "one mean vector a side"),
        (lambda q, d: maxsim_of(unit(q), unit(d)), "the vectors were normalised"),
        (lambda q, d: np.maximum(q @ d.T, 0).max(axis=1).sum(), "with one word and one patch"),
        (lambda q, d: (q @ d.T).max(axis=1), "2 values"),
        (tied_patches_added, "every word and every patch twice"),
        (lambda q, d: sum(set((q @ d.T).max(axis=1))), "every word and every patch twice"),
    ],
    "late.padded": [
        (filled_with(0), "scores 0 instead of something negative"),
        (lambda q, d, m: maxsim_padded(q, d, m | True), "padding counts like a token"),
        (
            lambda q, d, m: (all_similarities(q, d) * m[:, None]).max(axis=2).sum(axis=1),
            "scores 0 instead of something negative",
        ),
        (
            lambda q, d, m: np.maximum(filled_with(-np.inf)(q, d, m), 0),
            "0.0, 1.76], expected [1.76, 0.2, -1.2",
        ),
        (lambda q, d, m: maxsim_padded(q, d, m) / len(q), "the mean over the words"),
        (first_tokens, "the first tokens are taken"),
        (filled_with(-99.0), "a number that looked small enough"),
        (into_its_input, "it changed its input"),
        (by_infinity, "not finite"),
        *[(floored(floor), "looked small enough") for floor in (-1e4, -1e9)],
        (mask_subtracted, "a similarity of -1e30"),
    ],
    "late.filip": [
        (lambda t, i: filip_loss(t, i.T), "no image chooses among texts"),
        (lambda t, i: filip_loss(t.T, i), "both softmaxes run over texts"),
        (lambda t, i: filip_loss(t.T, i.T), "the softmax of the other"),
        (lambda t, i: 2 * filip_loss(t, i), "the two losses are added"),
        (lambda t, i: -filip_loss(t, i), "it is negative"),
        (lambda t, i: len(t) * filip_loss(t, i), "the sum over the pairs"),
        (lambda t, i: cross_entropy(t), "only texts choose"),
        (lambda t, i: cross_entropy(i.T), "only images choose"),
        (overflowing, "e to the 1000 is infinite"),
        (
            lambda a, b: (
                -(np.diag(shifted_by_one_maximum(a)) + np.diag(shifted_by_one_maximum(b.T))).mean()
                / 2
            ),
            "with logits of 1000",
        ),
    ],
    "late.prune": [
        (by_wins, "by their wins"),
        (by_sum, "similarities were added or compared"),
        (seldom, "the patches with the fewest wins"),
        (last_of_equals, "the later one stays"),
        (only_winners, "has shape (1,)"),
        (lambda q, d, k: wins(q, d), "has shape (4,)"),
        (counted(len, unstable), "with 40 patches"),
        (counted(lambda document: 0, stable), "the last patch never wins"),
    ],
}
