"""Typical wrong answers to the exercises of notebook 20, with a phrase of their messages."""

import numpy as np

from tests.course.reference_answers import ANSWERS
from tests.course.sorts import unstable

choose = ANSWERS["folder.threshold"]


def unit(row):
    return row / np.linalg.norm(row)


# ---- folder.changes


def by_path(known, found):
    new = {digest for path, digest in found.items() if known.get(path) != digest}
    return [sorted(new), sorted(set(known) - set(found))]


def new_paths_alone(known, found):
    new = {found[path] for path in set(found) - set(known)} - set(known.values())
    return [sorted(new), sorted(set(known) - set(found))]


def twice(known, found):
    old = set(known.values())
    return [
        sorted(digest for digest in found.values() if digest not in old),
        sorted(set(known) - set(found)),
    ]


def edited_are_dropped(known, found):
    new = set(found.values()) - set(known.values())
    return [sorted(new), sorted(p for p, digest in known.items() if found.get(p) != digest)]


def paths_to_encode(known, found):
    old = set(known.values())
    return [
        sorted(path for path, digest in found.items() if digest not in old),
        sorted(set(known) - set(found)),
    ]


def swapped(known, found):
    return ANSWERS["folder.changes"](known, found)[::-1]


def digests_dropped(known, found):
    new, gone = set(found.values()) - set(known.values()), set(known.values()) - set(found.values())
    return [sorted(new), sorted(gone - {"33"})]


def drops_by_digest(known, found):
    new = set(found.values()) - set(known.values())
    here = set(found.values())
    gone = sorted(p for p, digest in known.items() if digest not in here and p not in found)
    return [sorted(new), gone]


def not_sorted(known, found):
    new, gone = ANSWERS["folder.changes"](known, found)
    return [new[::-1], gone]


def sorted_as_numbers(known, found):
    new, gone = ANSWERS["folder.changes"](known, found)
    return [sorted(new, key=int), gone]


# ---- folder.compose


def composed(
    weigh=lambda t, p, w: (1 - w) * t + w * p,
    mean=lambda rows: unit(rows.mean(axis=0)),
    away=lambda rows: 0.5 * rows.mean(axis=0),
    end=unit,
):
    def function(text, pictures, without, weight):
        query = weigh(text, mean(pictures), weight) if len(pictures) else text
        return end(query - away(without) if len(without) else query)

    return function


def half_text(text, pictures, without, weight):
    picture = unit(pictures.mean(axis=0)) if len(pictures) else 0
    query = (1 - weight) * text + weight * picture
    return query - (0.5 * without.mean(axis=0) if len(without) else 0)


def half_text_unit(text, pictures, without, weight):
    return unit(half_text(text, pictures, without, weight))


def ignores_without(text, pictures, without, weight):
    return composed()(text, pictures, without[:0], weight)


def no_rows(text, pictures, without, weight):
    return unit((1 - weight) * text + weight * sum(pictures) / len(pictures))


# ---- folder.page


def given(scores, allowed, group, k, offset):
    best = np.argsort(scores)[::-1][offset : offset + k]
    best = best[allowed[best]]
    _, first = np.unique(group[best], return_index=True)
    return best[first]


def folded(order, group):
    _, first = np.unique(group[order], return_index=True)
    return order[np.sort(first)]


def ranked(scores, allowed):
    order = np.argsort(-scores, kind="stable")
    return order[allowed[order]]


def condition_last(scores, allowed, group, k, offset):
    best = folded(np.argsort(-scores, kind="stable"), group)[offset : offset + k]
    return best[allowed[best]]


def copies_stay(scores, allowed, group, k, offset):
    return ranked(scores, allowed)[offset : offset + k]


def everything_allowed(scores, allowed, group, k, offset):
    return folded(np.argsort(-scores, kind="stable"), group)[offset : offset + k]


def order_lost(scores, allowed, group, k, offset):
    order = ranked(scores, allowed)
    _, first = np.unique(group[order], return_index=True)
    return order[first][offset : offset + k]


def first_page_always(scores, allowed, group, k, offset):
    return folded(ranked(scores, allowed), group)[:k]


def offset_before_folding(scores, allowed, group, k, offset):
    return folded(ranked(scores, allowed)[offset:], group)[:k]


def backwards(scores, allowed, group, k, offset):
    order = np.argsort(scores, kind="stable")[::-1]
    return folded(order[allowed[order]], group)[offset : offset + k]


def luck(scores, allowed, group, k, offset):
    order = unstable(scores[None], len(scores))[0]
    return folded(order[allowed[order]], group)[offset : offset + k]


# ---- folder.threshold


def strictly_below(copies, different, candidates, most):
    kept = [(different >= each).mean() < most for each in candidates]
    at = kept.index(True) if any(kept) else -1
    return candidates[at], (copies >= candidates[at]).mean()


def above(copies, different, candidates, most):
    chosen, _ = choose(copies, different, candidates, most)
    return chosen, (copies > chosen).mean()


def first_or_nothing(copies, different, candidates, most):
    at = np.argmax([(different >= each).mean() <= most for each in candidates])
    return candidates[at], (copies >= candidates[at]).mean()


def changed(change):
    return lambda *arguments: change(*choose(*arguments), *arguments)


MISTAKES = {
    "folder.changes": [
        (by_path, "encoded again: e.png is a.png"),
        (new_paths_alone, "an edited file is missed"),
        (twice, "encoded twice"),
        (edited_are_dropped, "an edited file is dropped"),
        (paths_to_encode, "paths are returned for the first list"),
        (swapped, "changed places"),
        (digests_dropped, "the dropped ones are digests"),
        (drops_by_digest, "one of two equal files is deleted"),
        (not_sorted, "the lists are not sorted"),
        (sorted_as_numbers, "the lists are not sorted"),
    ],
    "folder.compose": [
        (half_text, "half of the text is lost"),
        (half_text_unit, "does not count whole"),
        (composed(weigh=lambda t, p, w: w * t + (1 - w) * p), "at the wrong part"),
        (composed(end=lambda row: row), "has not length 1"),
        (composed(weigh=lambda t, p, w: t + p), "count the same"),
        (composed(mean=lambda rows: rows.mean(axis=0)), "shorter than 1"),
        (composed(mean=lambda rows: rows.sum(axis=0)), "count twice"),
        (composed(away=lambda rows: -0.5 * rows.mean(axis=0)), "is added"),
        (composed(away=lambda rows: rows.mean(axis=0)), "subtracted whole"),
        (composed(away=lambda rows: 0.5 * rows.sum(axis=0)), "are summed"),
        (ignores_without, "it is ignored"),
        (no_rows, "mean of no rows"),
    ],
    "folder.page": [
        (given, "applied after the cut"),
        (condition_last, "applied after the cut"),
        (copies_stay, "copies take two places"),
        (everything_allowed, "that is not allowed"),
        (order_lost, "the order is lost"),
        (first_page_always, "does not follow the first"),
        (offset_before_folding, "the last page is wrong"),
        (backwards, "equal scores come in another order"),
        (luck, "equal scores come in another order"),
    ],
    "folder.threshold": [
        (strictly_below, "equals the limit is refused"),
        (lambda c, d, t, most: (t[-1], (c >= t[-1]).mean()), "the largest candidate is taken"),
        (lambda c, d, t, most: (t[0], (c >= t[0]).mean()), "the limit is not kept"),
        (changed(lambda t, share, *_: (t, 1 - share)), "copies that are missed"),
        (changed(lambda t, _, c, d, *__: (t, (d >= t).mean())), "the share of different pairs"),
        (
            changed(lambda t, share, c, d, all_, most: (all_.tolist().index(t), share)),
            "the place of the candidate",
        ),
        (changed(lambda t, share, c, *_: (t, share * len(c))), "the number of copies"),
        (above, "equals the threshold is not folded"),
        (first_or_nothing, "no candidate keeps the limit"),
    ],
}
