"""Typical wrong answers to the exercises of notebook 19, with a phrase of their messages."""

import numpy as np

from tests.course import reference_answers as right
from tests.course.reference_answers import best_rank

# ---- benchmarks.best_rank


def _own(scores, owner):
    return owner == np.arange(len(scores))[:, None]


def _best(scores, owner):
    return np.where(_own(scores, owner), scores, -np.inf).max(axis=1, keepdims=True)


def ties_for(scores, owner):
    return 1 + ((scores > _best(scores, owner)) & ~_own(scores, owner)).sum(axis=1)


def from_zero(scores, owner):
    return ((scores >= _best(scores, owner)) & ~_own(scores, owner)).sum(axis=1)


def worst_own(scores, owner):
    worst = np.where(_own(scores, owner), scores, np.inf).min(axis=1, keepdims=True)
    return 1 + ((scores >= worst) & ~_own(scores, owner)).sum(axis=1)


def first_own(scores, owner):
    first = np.array([scores[i, np.flatnonzero(owner == i)[0]] for i in range(len(scores))])
    return 1 + ((scores >= first[:, None]) & ~_own(scores, owner)).sum(axis=1)


def together(scores, owner):
    starts = np.searchsorted(np.sort(owner), np.arange(len(scores)))
    best = np.maximum.reduceat(scores, starts, axis=1)[
        np.arange(len(scores)), np.arange(len(scores))
    ]
    return 1 + ((scores >= best[:, None]) & ~_own(scores, owner)).sum(axis=1)


# ---- benchmarks.mean_of_folds


def whole(scores, owner, n_folds):
    return (scores.argmax(axis=1) == owner).mean()


def _folds(scores, owner, n_folds):
    size = scores.shape[1] // n_folds
    parts = []
    for fold in range(n_folds):
        mine = owner // size == fold
        inside = scores[mine][:, fold * size : (fold + 1) * size]
        parts.append(inside.argmax(axis=1) + fold * size == owner[mine])
    return parts


def first_fold(scores, owner, n_folds):
    return _folds(scores, owner, n_folds)[0].mean()


def pooled(scores, owner, n_folds):
    return np.concatenate(_folds(scores, owner, n_folds)).mean()


def sum_of_folds(scores, owner, n_folds):
    return sum(part.mean() for part in _folds(scores, owner, n_folds))


def count_of_hits(scores, owner, n_folds):
    return sum(part.sum() for part in _folds(scores, owner, n_folds))


# ---- benchmarks.load_clips


def as_printed(rows, on_disk, allow_partial):
    return list(zip(sorted(on_disk), [caption for _, caption in rows])), []


def by_name_only(rows, on_disk, allow_partial):
    captions = dict(rows)
    return [(name, captions[name]) for name in captions if name in on_disk], []


def silent(rows, on_disk, allow_partial):
    return [row for row in rows if row[0] in on_disk], []


def never_refuses(rows, on_disk, allow_partial):
    return silent(rows, on_disk, True)[0], sorted({name for name, _ in rows} - on_disk)


def says_nothing(rows, on_disk, allow_partial):
    pairs, missing = never_refuses(rows, on_disk, True)
    if missing and not allow_partial:
        raise ValueError("some clips are missing")
    return pairs, missing


def sorted_pairs(rows, on_disk, allow_partial):
    return sorted(never_refuses(rows, on_disk, True)[0]), []


# ---- benchmarks.side_by_side


def common_only(mine, theirs):
    both = sorted(set(mine) & set(theirs))
    unknown = [name for name in both if None in (mine[name], theirs[name])]
    return [name for name in both if name not in unknown and mine[name] != theirs[name]], unknown


def silence_differs(mine, theirs):
    return sorted(name for name in {*mine, *theirs} if mine.get(name) != theirs.get(name)), []


def silence_agrees(mine, theirs):
    stated = [name for name in {*mine, *theirs} if None not in (mine.get(name), theirs.get(name))]
    return sorted(name for name in stated if mine[name] != theirs[name]), []


def near_is_equal(mine, theirs):
    differ, unknown = columns(mine, theirs)
    return [name for name in differ if not isinstance(mine[name], int)], unknown


def columns(mine, theirs):
    names = sorted({*mine, *theirs})
    unknown = [name for name in names if mine.get(name) is None or theirs.get(name) is None]
    return [name for name in names if name not in unknown and mine[name] != theirs[name]], unknown


def empty_is_silence(mine, theirs):
    names = sorted({*mine, *theirs})
    unknown = [name for name in names if not mine.get(name) or not theirs.get(name)]
    return [name for name in names if name not in unknown and mine[name] != theirs[name]], unknown


def own_ties_counted(scores, owner):
    own = owner == np.arange(len(scores))[:, None]
    best = np.where(own, scores, -np.inf).max(axis=1, keepdims=True)
    return (scores >= best).sum(axis=1)


def mean_own(scores, owner):
    own = owner == np.arange(len(scores))[:, None]
    mean = np.where(own, scores, 0).sum(axis=1, keepdims=True) / own.sum(axis=1, keepdims=True)
    return 1 + ((scores >= mean) & ~own).sum(axis=1)


def best_rank_filled(fill):
    def function(scores, owner):
        own = owner == np.arange(len(scores))[:, None]
        best = np.where(own, scores, fill).max(axis=1, keepdims=True)
        return 1 + ((scores >= best) & ~own).sum(axis=1)

    return function


def folds_by_product(scores, owner, n_folds):
    size = scores.shape[1] // n_folds
    inside = np.arange(scores.shape[1]) // size == (owner // size)[:, None]
    hits = (scores * inside).argmax(axis=1) == owner
    return np.mean([hits[owner // size == fold].mean() for fold in range(n_folds)])


def missing_by_caption(rows, on_disk, allow_partial):
    pairs, names = right.load_clips(rows, on_disk, allow_partial)
    return pairs, [name for name, _ in rows if name in names]


def zero_is_silence(mine, theirs):
    def silent(protocol, name):
        value = protocol.get(name)
        return value is None or (not value and value != "")

    names = sorted({*mine, *theirs})
    left_open = [name for name in names if silent(mine, name) or silent(theirs, name)]
    return [
        name for name in names if name not in left_open and mine[name] != theirs[name]
    ], left_open


MISTAKES = {
    "benchmarks.best_rank": [
        (ties_for, "the tie of image 1 counts for it"),
        (from_zero, "ranks start at 0"),
        (worst_own, "rank of its worst own caption"),
        (first_own, "rank of its first own caption"),
        (together, "in another order"),
        (own_ties_counted, "own two captions tie"),
        (mean_own, "the rank of the mean of its own"),
        (lambda scores, owner: best_rank(scores, owner) - 1, "ranks start at 0"),
        (best_rank_filled(0.0), "above its own score"),
        (best_rank_filled(-1e9), "above its own score"),
    ],
    "benchmarks.mean_of_folds": [
        (whole, "R@1 on the whole gallery"),
        (first_fold, "the first fold alone"),
        (pooled, "share of all captions, whatever their fold"),
        (sum_of_folds, "sum of the folds"),
        (count_of_hits, "not a percentage or a count"),
        (folds_by_product, "with 1 taken from every score"),
    ],
    "benchmarks.load_clips": [
        (as_printed, "belongs to another clip"),
        (by_name_only, "may have several captions"),
        (silent, "makes the loss visible"),
        (never_refuses, "it raises no error"),
        (says_nothing, "how many were found of how many"),
        (sorted_pairs, "in another order"),
        (missing_by_caption, "Clips are missing, not captions"),
    ],
    "benchmarks.side_by_side": [
        (common_only, "only one of the two has are dropped"),
        (silence_differs, "counts as another prompt"),
        (silence_agrees, "counts as the same"),
        (near_is_equal, "pass as one gallery"),
        (empty_is_silence, "does not agree with itself"),
        (zero_is_silence, "0 or False counts as unstated"),
    ],
}
