"""Typical wrong answers to the exercises of notebook 22, with a phrase of their messages."""

import numpy as np

from tests.course import reference_answers as right


def points_with(places, lifts):
    return lambda rows: np.column_stack([places(rows), lifts(rows)])


def summed(rows):
    return np.cumsum(rows[:, :2], axis=0)


def without_the_first(rows):
    return summed(rows) - rows[0, :2]


def lifts_before(rows):
    return np.cumsum(rows[:, 2]) - rows[:, 2]


def from_the_origin(rows):
    strokes = np.split(rows[:, :2], np.flatnonzero(rows[:-1, 2]) + 1)
    return np.concatenate([np.cumsum(stroke, axis=0) for stroke in strokes])


def one_stroke_at_most(rows):
    found = right.points_of(rows)
    return found if rows[0, 2] == 0 else found[::-1]


def to_line(points, start, end):
    along = end - start
    across = np.array([-along[1], along[0]])
    return np.abs((points - start) @ across) / np.linalg.norm(along)


def to_ends(points, start, end):
    return np.minimum(*(np.linalg.norm(points - at, axis=1) for at in (start, end)))


def held_above(points, start, end):
    along = end - start
    share = np.minimum((points - start) @ along / (along @ along), 1)
    return np.linalg.norm(points - start - share[:, None] * along, axis=1)


def with_sign(points, start, end):
    found = right.distances_to_piece(points, start, end)
    return np.where(points[:, 1] < 0, -found, found)


def divided(points, start, end):
    along = end - start
    share = np.clip((points - start) @ along / (along @ along), 0, 1)
    return np.linalg.norm(points - start - share[:, None] * along, axis=1)


def from_zero(points, start, end):
    return right.distances_to_piece(points, np.zeros(2), end - start)


def ap_over(bound, every=False, cut=True):
    def average(relevant, total, k):
        relevant = np.asarray(relevant[:k] if cut else relevant, dtype=float)
        precision = np.cumsum(relevant) / np.arange(1, len(relevant) + 1)
        kept = precision if every else precision * relevant
        return kept.sum() / bound(relevant.sum(), total, k)

    return average


def only_full(relevant, total, k):
    value = right.average_precision_at(relevant, total, k)
    return value if value != 1.0 else 0.5


def leaks(rows, known, share=np.mean, order=(0, 1)):
    def shares(drawing, concept, trained):
        parts = [share(np.isin(of[rows(trained)], of[known(trained)])) for of in (drawing, concept)]
        return tuple(parts[at] for at in order)

    return shares


def test_rows(trained):
    return ~trained


def trained_rows(trained):
    return trained


def all_rows(trained):
    return np.ones(len(trained), bool)


def own_sketches_too(drawing, concept, trained):
    found = right.leaking_shares(drawing, concept, trained)
    again = [len(set(of[~trained].tolist())) < (~trained).sum() for of in (drawing, concept)]
    return found if len(drawing) == 8 else tuple(float(twice) for twice in again)


def of_all(drawing, concept, trained):
    found = right.leaking_shares(drawing, concept, trained)
    return tuple(value * (~trained).mean() for value in found)


MISTAKES = {
    "sketches.points": [
        (points_with(lambda rows: rows[:, :2], lifts_before), "still steps"),
        (points_with(without_the_first, lifts_before), "the first step is missing"),
        (points_with(summed, lambda rows: np.cumsum(rows[:, 2])), "one point too early"),
        (points_with(summed, lambda rows: rows[:, 2] * 0), "not the number of the stroke"),
        (points_with(from_the_origin, lifts_before), "begins at the origin"),
        (one_stroke_at_most, "two dots and a line"),
    ],
    "sketches.segment": [
        (to_line, "the endless line"),
        (to_ends, "the nearer end"),
        (lambda *given: right.distances_to_piece(*given) ** 2, "the square"),
        (with_sign, "a distance is negative"),
        (held_above, "only the far end"),
        (divided, "start and end are one point"),
        (from_zero, "for a slanted piece"),
    ],
    "sketches.ap": [
        (ap_over(lambda found, total, k: max(found, 1)), "that were found"),
        (ap_over(lambda found, total, k: k), "it divides by k"),
        (lambda relevant, total, k: np.mean(relevant[:k]), "the precision at k"),
        (lambda relevant, total, k: np.sum(relevant[:k]) / total, "the share of the relevant"),
        (ap_over(lambda found, total, k: total, every=True), "precisions of all ranks"),
        (ap_over(lambda found, total, k: total, cut=False), "it ignores k"),
        (ap_over(lambda found, total, k: total), "all relevant items"),
        (only_full, "a perfect ranking"),
    ],
    "sketches.leak": [
        (leaks(trained_rows, test_rows), "those of the training sketches"),
        (of_all, "shares of all sketches"),
        (leaks(test_rows, trained_rows, order=(1, 0)), "the other order"),
        (leaks(test_rows, trained_rows, share=lambda hit: 1 - hit.mean()), "that is clean"),
        (leaks(test_rows, all_rows), "the sketch itself counts"),
        (own_sketches_too, "a clean split leaks"),
    ],
}
