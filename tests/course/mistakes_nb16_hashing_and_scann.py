"""Typical wrong answers to the exercises of notebook 16, with a phrase of their messages."""

import numpy as np

from tests.course import reference_answers as right


def sides(question=lambda products: products >= 0):
    return lambda rows, normals: question(rows @ normals.T).astype(int)


def curve(together=None, joined=None):
    """The S-curve with one step replaced."""

    def function(cosine, bits, tables):
        p = 1 - np.arccos(cosine) / np.pi if together is None else together(cosine)
        return 1 - (1 - p**bits) ** tables if joined is None else joined(p, bits, tables)

    return function


def differing(of_queries=None, of_base=None, count=np.not_equal):
    """Differing bits, with other thresholds (projections of queries, of the base -> a number per
    plane).
    """

    def function(queries, base, normals):
        asked, held = queries @ normals.T, base @ normals.T
        cuts = [
            np.median(held, axis=0) if cut is None else cut(asked, held)
            for cut in (of_queries, of_base)
        ]
        return count((asked >= cuts[0])[:, None], (held >= cuts[1])[None]).sum(axis=2)

    return function


def own_mean(asked, held):
    return asked.mean(axis=0)


def own_median(asked, held):
    return np.median(asked, axis=0)


def base_mean(asked, held):
    return held.mean(axis=0)


def zero(asked, held):
    return 0.0


def loss(parallel=None, combine=None):
    """The score-aware loss with one step replaced."""

    def function(rows, decoded, eta):
        residual = rows - decoded
        unit = rows / np.linalg.norm(rows, axis=1)[:, None]
        along = (
            (residual * unit).sum(axis=1) if parallel is None else parallel(residual, rows, decoded)
        )
        whole = (residual**2).sum(axis=1)
        return whole + (eta - 1) * along**2 if combine is None else combine(along, whole, eta)

    return function


def onto_the_code(residual, rows, decoded):
    return (residual * decoded).sum(axis=1) / np.linalg.norm(decoded, axis=1)


def median_then_projected(queries, base, normals):
    cuts = np.median(base, axis=0) @ normals.T
    return ((queries @ normals.T >= cuts)[:, None] != (base @ normals.T >= cuts)).sum(axis=2)


def middle_taken(at):
    def function(queries, base, normals):
        projected = base @ normals.T
        cuts = np.sort(projected, axis=0)[at(len(base))]
        return ((queries @ normals.T >= cuts)[:, None] != (projected >= cuts)).sum(axis=2)

    return function


def loss_by_angle(vectors, decoded, eta):
    residual = vectors - decoded
    squared = (residual**2).sum(axis=1)
    with np.errstate(all="ignore"):
        cosine = (residual * vectors).sum(axis=1) / np.sqrt(squared * (vectors**2).sum(axis=1))
    return squared * (1 + (eta - 1) * cosine**2)


MISTAKES = {
    "lsh.signature": [
        (sides(np.sign), "a side is -1"),
        (sides(lambda products: products > 0), "a product of exactly 0"),
        (sides(lambda products: products < 0), "the other way round"),
        (sides(lambda products: products), "the products, not their sides"),
        (lambda rows, normals: (normals[:1] @ rows.T >= 0).astype(int), "the result has shape"),
        (lambda rows, normals: (normals @ rows.T >= 0).astype(int), "one row and three planes"),
        (
            lambda rows, normals: (rows @ normals.T >= np.median(rows @ normals.T, axis=0)).astype(
                int
            ),
            "depend on the rows beside it",
        ),
        (
            lambda rows, normals: (
                (rows @ normals.T >= 0).astype(int)
                if len(rows) > 1
                else np.ones((1, len(normals)), int)
            ),
            "depend on the rows beside it",
        ),
        (lambda rows, normals: (np.sign(rows @ normals.T) + 1) / 2, "gives one half"),
        (lambda rows, normals: rows @ normals.T > 0, "exactly 0 gives the bit 0"),
    ],
    "lsh.tables": [
        (curve(lambda cosine: (1 + cosine) / 2), "linear in the cosine"),
        (curve(lambda cosine: cosine), "the cosine itself"),
        (curve(lambda cosine: np.arccos(cosine) / np.pi), "the chance to be separated"),
        (
            curve(lambda cosine: 1 - np.degrees(np.arccos(cosine)) / np.pi),
            "degrees are divided by pi",
        ),
        (curve(lambda cosine: 1 - np.arccos(cosine) / (2 * np.pi)), "divided by a whole turn"),
        (
            curve(joined=lambda p, bits, tables: (1 - (1 - p) ** tables) ** bits),
            "one bit is enough",
        ),
        (
            curve(joined=lambda p, bits, tables: 1 - (1 - p**tables) ** bits),
            "have changed places",
        ),
        (curve(joined=lambda p, bits, tables: p ** (bits * tables)), "all tables must agree"),
        (curve(joined=lambda p, bits, tables: tables * p**bits), "chances of tables are added"),
        (
            lambda cosines, bits, tables: right.shared_bucket(np.abs(cosines), bits, tables),
            "of -0.5 and -1",
        ),
        (
            lambda cosines, bits, tables: right.shared_bucket(cosines.clip(0), bits, tables),
            "of -0.5 and -1",
        ),
    ],
    "lsh.thresholds": [
        (differing(own_mean, base_mean), "depends on the queries beside it"),
        (lambda *given: right.differing_bits(*given).T, "one query and five base vectors"),
        (differing(own_median), "depends on the queries beside it"),
        (differing(base_mean, base_mean), "the threshold is the mean"),
        (differing(zero, zero), "all bits are equal"),
        (differing(count=np.equal), "equal bits are counted"),
        (differing(of_queries=zero), "the queries at 0"),
        (differing(of_base=zero), "the base at 0"),
        (median_then_projected, "the projection of a median is another number"),
        (middle_taken(lambda n: n // 2), "a base of 0, 1, 3 and 4"),
        (middle_taken(lambda n: (n - 1) // 2), "a base of 0, 1, 3 and 4"),
    ],
    "lsh.anisotropic": [
        (loss(combine=lambda along, whole, eta: eta * along**2 + whole), "counted twice"),
        (
            loss(lambda residual, rows, _: (residual * rows).sum(axis=1)),
            "no length of a projection",
        ),
        (
            loss(combine=lambda along, whole, eta: along**2 + eta * (whole - along**2)),
            "eta weighs the part across",
        ),
        (loss(onto_the_code), "along and across the decoded vector"),
        (loss(combine=lambda along, whole, eta: eta * whole), "eta multiplies the whole error"),
        (loss(combine=lambda along, whole, eta: whole), "eta changes nothing"),
        (
            loss(combine=lambda along, whole, eta: (eta * along) ** 2 + whole - along**2),
            "eta is squared",
        ),
        (loss(combine=lambda along, whole, eta: whole - along**2), "only the part across"),
        (loss_by_angle, "codes without any error"),
    ],
}
