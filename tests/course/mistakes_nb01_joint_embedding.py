"""Typical wrong answers to the exercises of notebook 01, with a phrase of their messages."""

import numpy as np

from tests.course import reference_answers as right


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def refusing(normalise):
    """Gives a wrong `normalise` the right treatment of zero rows, so that only its own mistake is
    left.
    """

    def function(x):
        if not x.any(axis=1).all():
            raise ValueError("a row is zero")
        return normalise(x)

    return function


def mutates(x):
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x


def wrong_error(x):
    if not x.any(axis=1).all():
        raise KeyError("zero")
    return unit(x)


def zero_stays_zero(x):
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def gap_of_raw_vectors(images, texts):
    return images.mean(axis=0) - texts.mean(axis=0)


def gap_swapped(images, texts):
    return unit(texts).mean(axis=0) - unit(images).mean(axis=0)


def gap_width(images, texts):
    return np.linalg.norm(unit(images).mean(axis=0) - unit(texts).mean(axis=0))


def gap_of_everything(images, texts):
    return unit(images).mean() - unit(texts).mean()


def gap_of_directions(images, texts):
    return unit(unit(images).mean(axis=0)) - unit(unit(texts).mean(axis=0))


def gap_of_pairs(images, texts):
    return (unit(images) - unit(texts)).mean(axis=0)


def gap_as_direction(images, texts):
    return unit(unit(images).mean(axis=0) - unit(texts).mean(axis=0))


def cut_only(x, dim):
    return x[:, :dim]


def keep_last(x, dim):
    return unit(x[:, -dim:])


def cut_rows(x, dim):
    return unit(x[:dim])


def pad(x, dim):
    kept = np.zeros_like(x)
    kept[:, :dim] = x[:, :dim]
    return unit(kept)


def cut_nothing(x, dim):
    return unit(x)


def ranked(vectors, names, scores, skip, k):
    order = [names[i] for i in np.argsort(-scores, kind="stable")]
    return [name for name in order if name not in skip][:k]


def rows_of(vectors, names, *words):
    return (vectors[names.index(word)] for word in words)


def with_inputs(vectors, names, a, b, c, k):
    va, vb, vc = rows_of(vectors, names, a, b, c)
    return ranked(vectors, names, unit(vectors) @ unit(va - vb + vc), (), k)


def skipped_too_late(vectors, names, a, b, c, k):
    return [name for name in with_inputs(vectors, names, a, b, c, k) if name not in (a, b, c)]


def signs_swapped(vectors, names, a, b, c, k):
    va, vb, vc = rows_of(vectors, names, a, b, c)
    return ranked(vectors, names, unit(vectors) @ unit(va + vb - vc), (a, b, c), k)


def start_swapped(vectors, names, a, b, c, k):
    va, vb, vc = rows_of(vectors, names, a, b, c)
    return ranked(vectors, names, unit(vectors) @ unit(vb - va + vc), (a, b, c), k)


def only_sums(vectors, names, a, b, c, k):
    va, vb, vc = rows_of(vectors, names, a, b, c)
    return ranked(vectors, names, unit(vectors) @ unit(va + vb + vc), (a, b, c), k)


def dot_product(vectors, names, a, b, c, k):
    va, vb, vc = rows_of(vectors, names, a, b, c)
    return ranked(vectors, names, vectors @ (va - vb + vc), (a, b, c), k)


def distance(vectors, names, a, b, c, k):
    va, vb, vc = rows_of(vectors, names, a, b, c)
    return ranked(vectors, names, -np.linalg.norm(vectors - (va - vb + vc), axis=1), (a, b, c), k)


def ascending(vectors, names, a, b, c, k):
    va, vb, vc = rows_of(vectors, names, a, b, c)
    return ranked(vectors, names, -(unit(vectors) @ unit(va - vb + vc)), (a, b, c), k)


def positions(vectors, names, a, b, c, k):
    va, vb, vc = rows_of(vectors, names, a, b, c)
    return np.argsort(-(unit(vectors) @ unit(va - vb + vc)))[:k].tolist()


def first_three_rows(vectors, names, a, b, c, k):
    va, vb, vc = vectors[:3]
    return ranked(vectors, names, unit(vectors) @ unit(va - vb + vc), (a, b, c), k)


def refusing_short_rows(x):
    if (np.linalg.norm(x, axis=1) < 1e-3).any():
        raise ValueError
    return right.normalise(x)


MISTAKES = {
    "space.normalise": [
        (refusing(lambda x: x / np.linalg.norm(x)), "One norm was taken over everything"),
        (refusing(lambda x: x / np.linalg.norm(x, axis=0).clip(1e-9)), "columns have length 1"),
        (refusing(lambda x: x / (x**2).sum(axis=1, keepdims=True)), "square root is missing"),
        (refusing(lambda x: x / np.abs(x).max(axis=1, keepdims=True)), "divided by the maximum"),
        (refusing(lambda x: x / np.abs(x).sum(axis=1, keepdims=True)), "L1 norm"),
        (refusing(lambda x: np.abs(unit(x))), "point elsewhere"),
        (refusing(lambda x: np.linalg.norm(x, axis=1)), "has shape (3,)"),
        (unit, "it raises no error and returns NaN"),
        (zero_stays_zero, "it raises no error and returns"),
        (wrong_error, "raises KeyError"),
        (mutates, "changed its input"),
        (refusing_short_rows, "a row of length 5e-6"),
    ],
    "space.modality_gap": [
        (gap_of_raw_vectors, "rows were not normalised"),
        (gap_swapped, "points the other way"),
        (gap_width, "width of the gap"),
        (gap_of_everything, "a mean ran over everything"),
        (gap_of_directions, "Normalise the rows, not the means"),
        (gap_of_pairs, "nothing is paired"),
        (gap_as_direction, "gap itself is not normalised"),
    ],
    "space.truncate": [
        (cut_only, "Normalise again after the cut"),
        (keep_last, "keeps the last coordinates"),
        (cut_rows, "keeps the first rows"),
        (pad, "set to zero"),
        (cut_nothing, "nothing was cut"),
    ],
    "space.analogy": [
        (with_inputs, "contains its own question"),
        (skipped_too_late, "before you take the k best"),
        (signs_swapped, "a + b - c"),
        (start_swapped, "b - a + c"),
        (only_sums, "a + b + c"),
        (dot_product, "dot product"),
        (distance, "distance between vectors of different lengths"),
        (ascending, "farthest name comes first"),
        (positions, "Return the names"),
        (first_three_rows, "Look each name up"),
    ],
}
