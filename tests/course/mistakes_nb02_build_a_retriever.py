"""Typical wrong answers to the exercises of the notebook that builds a retriever, with a phrase of
their messages.
"""

import numpy as np

from tests.course.reference_answers import best_by_cosine, by_least_squares, normalise


def by_dot_product(queries, gallery, k):
    return np.argsort(-(queries @ gallery.T), axis=1)[:, :k]


def whole_gallery_by_one_length(queries, gallery, k):
    return by_dot_product(queries, gallery / np.sqrt((gallery**2).sum()), k)


def worst_first(queries, gallery, k):
    return np.argsort(normalise(queries) @ normalise(gallery).T, axis=1)[:, :k]


def length_divided_once_more(queries, gallery, k):
    return by_dot_product(queries, gallery / (gallery**2).sum(axis=1, keepdims=True), k)


def right_for_two(queries, gallery, k):
    """Sorts where few items are asked for, and only separates where many are."""
    found = best_by_cosine(queries, gallery, k)
    return found if k < 10 else found[:, ::-1]


def untrained(texts, images, new_texts, new_images):
    return new_texts, new_images


def swapped(*given):
    return by_least_squares(*given)[::-1]


def other_rows(texts, images, new_texts, new_images):
    return by_least_squares(texts, images[::-1], new_texts, new_images)


def texts_alone(*given):
    return by_least_squares(*given)[0]


def two_spaces(*given):
    texts, images = by_least_squares(*given)
    return texts[:, :64], images


def zeros(texts, images, new_texts, new_images):
    return 0 * new_texts, new_images


def few_pairs(n):
    return lambda texts, images, *new: by_least_squares(texts[:n], images[:n], *new)


MISTAKES = {
    "build.search": [
        (by_dot_product, "the longest item wins"),
        (whole_gallery_by_one_length, "the longest item wins"),
        (worst_first, "it returns the worst items"),
        (lambda q, g, k: best_by_cosine(q, g, k)[:, ::-1], "the best one last"),
        (length_divided_once_more, "A square root is missing"),
        (right_for_two, "not in the order of their cosines"),
        (
            lambda q, g, k: best_by_cosine(q, g, k) if k < 10 else by_dot_product(q, g, k),
            "Does the length still count?",
        ),
        (lambda q, g, k: best_by_cosine(q, g, len(g)), "expected (1, 3)"),
    ],
    "build.connect": [
        (untrained, "as without training"),
        (swapped, "the two results are swapped"),
        (other_rows, "as without training"),
        (texts_alone, "does not return two things"),
        (two_spaces, "Both must live in one space"),
        (zeros, "a vector of the new texts is zero"),
        (few_pairs(60), "and 35% are asked for"),
    ],
    "build.beat": [
        (untrained, "as without training"),
        (swapped, "the two results are swapped"),
        (few_pairs(110), "and 54% are asked for"),
    ],
}
