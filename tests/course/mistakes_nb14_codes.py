"""Typical wrong answers to the exercises of notebook 14, with a phrase of their messages."""

import numpy as np

from tests.course.reference_answers import ANSWERS

scores_from_tables, whole = ANSWERS["codes.adc"], ANSWERS["codes.residual"]


def pieces(rows, books):
    return np.split(rows, len(books), axis=1)


def rounded(queries, books):
    """Queries as their own codes."""
    near = [
        ((q[:, None] - b) ** 2).sum(axis=2).argmin(axis=1)
        for q, b in zip(pieces(queries, books), books)
    ]
    return np.concatenate([book[code] for book, code in zip(books, near)], axis=1)


def tables(queries, books):
    return np.stack([q @ book.T for q, book in zip(pieces(queries, books), books)], axis=1)


def unsummed(queries, books, codes):
    return np.stack(
        [table[:, codes[:, j]] for j, table in enumerate(tables(queries, books).swapaxes(0, 1))], 1
    )


def every_other(queries, books, codes):
    m = len(books)
    return scores_from_tables(
        np.concatenate([queries[:, j::m] for j in range(m)], axis=1), books, codes
    )


def squared(queries, books, codes):
    decoded = np.concatenate([book[codes[:, j]] for j, book in enumerate(books)], axis=1)
    return ((queries[:, None] - decoded) ** 2).sum(axis=2)


def two_pieces_of_two(queries, books, codes):
    return sum((queries[:, 2 * j : 2 * j + 2] @ books[j].T)[:, codes[:, j]] for j in range(2))


def decoded(queries, books, codes):
    return queries @ np.concatenate([books[j][codes[:, j]] for j in range(len(books))], axis=1).T


def residuals(cells, codes, centroids, books):
    return np.concatenate([book[codes[:, j]] for j, book in enumerate(books)], axis=1)


def second_half_first(cells, codes, centroids, books):
    return whole(cells, codes[:, ::-1], centroids, books)


def two_pieces(cells, codes, centroids, books):
    pieces = [books[0][codes[:, 0]], books[1][codes[:, 1]]]
    return centroids[cells] + np.concatenate(pieces, axis=1)


MISTAKES = {
    "codes.adc": [
        (lambda q, b, c: scores_from_tables(rounded(q, b), b, c), "the query has been rounded too"),
        (lambda q, b, c: scores_from_tables(q, b, c[:, ::-1]), "another order of pieces"),
        (every_other, "every other number"),
        (unsummed, "are not added"),
        (lambda q, b, c: tables(q, b), "these are the tables"),
        (lambda q, b, c: scores_from_tables(q, b, c) / len(b), "the mean over the pieces"),
        (lambda q, b, c: -scores_from_tables(q, b, c), "the sign is turned"),
        (squared, "squared distances"),
        (lambda q, b, c: -squared(q, b, c), "squared distances"),
        (two_pieces_of_two, "with three pieces of two numbers"),
        (lambda q, b, c: scores_from_tables(q, b, c).T, "It is the transpose"),
        (decoded, "every vector was decoded"),
    ],
    "codes.residual": [
        (residuals, "these are the residuals"),
        (lambda cells, codes, centroids, books: centroids[cells], "these are the centroids"),
        (lambda cells, *rest: rest[1][cells] - residuals(cells, *rest), "residual is subtracted"),
        (lambda cells, *rest: residuals(cells, *rest) - rest[1][cells], "centroid is subtracted"),
        (
            lambda cells, *rest: rest[1].mean(axis=0) + residuals(cells, *rest),
            "the mean of the centroids",
        ),
        (lambda cells, *rest: rest[1][0] + residuals(cells, *rest), "the first centroid"),
        (
            lambda cells, *rest: (
                rest[1][np.arange(len(cells)) % len(rest[1])] + residuals(cells, *rest)
            ),
            "the order of the rows",
        ),
        (second_half_first, "The first vector lies in cell 1"),
        (lambda *given: whole(*given).T, "It is the transpose"),
        (two_pieces, "with three pieces of two numbers"),
    ],
}
