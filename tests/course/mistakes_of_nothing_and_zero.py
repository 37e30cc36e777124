"""Wrong answers that take 0 or a first place for granted: scores below 0, empty lists, lists left
uncut.
"""

import numpy as np

from tests.course import reference_answers as right


def walk_from_zero(scores, neighbours, entry):
    path = [entry]
    while True:
        best, most = None, 0.0
        for node in neighbours[path[-1]]:
            if scores[node] > most:
                best, most = node, scores[node]
        if best is None or most <= scores[path[-1]]:
            return path
        path.append(best)


def beam_from_zero(scores, neighbours, entry, ef):
    return [node for node in right.beam_of(scores, neighbours, entry, ef) if scores[node] > 0]


def depth_above_zero(first, fixed, pair, budget, depths, quality):
    chosen, most = -1, 0.0
    for depth, reached in zip(depths, quality, strict=True):
        if first + (fixed + pair * depth if depth else 0) <= budget and reached > most:
            chosen, most = depth, reached
    return chosen


def by_product(scores, owner):
    own = owner == np.arange(len(scores))[:, None]
    return ((scores * own).max(axis=1) > (scores * ~own).max(axis=1)).mean()


def first_of_hits(ranked, relevant):
    hits = np.array([item in relevant for item in ranked])
    return 1 / (hits.argmax() + 1) if hits[hits.argmax()] else 0.0


def benchmark(cut_found, cut_true, middle=np.median):
    def function(search, queries, own, true, k, clock):
        search(queries[:1], k + 1)
        seconds, hits = [], 0
        for at in range(len(queries)):
            start = clock()
            found = search(queries[at : at + 1], k + 1)[0]
            seconds.append(clock() - start)
            found, wanted = ([item for item in ids if item != own[at]] for ids in (found, true[at]))
            hits += len(
                set(found[: k if cut_found else None]) & set(wanted[: k if cut_true else None])
            )
        return middle(seconds), hits / (k * len(queries))

    return function


MISTAKES = {
    "graph.greedy": [(walk_from_zero, "with 1 taken from every score")],
    "graph.beam": [(beam_from_zero, "with 1 taken from every score")],
    "two_stage.depth": [(depth_above_zero, "where all qualities are 0")],
    "traps.own_caption": [(by_product, "All scores are negative here")],
    "metrics.reciprocal_rank": [(first_of_hits, "No relevant item is in this list")],
    "tradeoffs.honest": [
        (benchmark(False, True), "in one list only, [1, 2, 3]"),
        (benchmark(True, False), "in one list only, [1, 7, 3]"),
        (
            benchmark(True, True, lambda seconds: sorted(seconds)[len(seconds) // 2]),
            "between the two",
        ),
    ],
}
