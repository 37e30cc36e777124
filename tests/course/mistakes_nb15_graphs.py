"""Typical wrong answers to the exercises of notebook 15, with a phrase of their messages."""

import numpy as np

from tests.course import reference_answers as right
from tests.course.reference_answers import beam_of, filtered_hits, greedy_path


def climbing(better=np.greater, pick=max):
    """A greedy walk with one step replaced."""

    def function(scores, neighbours, entry):
        path = [entry]
        while True:
            best = pick(neighbours[path[-1]], key=lambda node: scores[node])
            if not better(scores[best], scores[path[-1]]):
                return path
            path.append(best)

    return function


def one_step_early(scores, neighbours, entry):
    return greedy_path(scores, neighbours, entry)[:-1] or [entry]


def first_better(scores, neighbours, entry):
    path = [entry]
    while better := [node for node in neighbours[path[-1]] if scores[node] > scores[path[-1]]]:
        path.append(better[0])
    return path


def plain_with_memory(scores, neighbours, entry):
    path = [entry]
    while fresh := [
        n for n in neighbours[path[-1]] if n not in path and scores[n] >= scores[path[-1]]
    ]:
        path.append(max(fresh, key=lambda node: scores[node]))
    return path


def over_the_hill(scores, neighbours, entry):
    path = [entry]
    while fresh := [node for node in neighbours[path[-1]] if node not in path]:
        path.append(max(fresh, key=lambda node: scores[node]))
    return path


def walking(stop="worst", seen=True):
    """A beam with one step replaced."""

    def function(scores, neighbours, entry, ef):
        waiting, best, known = [entry], [entry], {entry}
        while waiting:
            node = max(waiting, key=lambda other: scores[other])
            waiting.remove(node)
            bar = scores[best[-1 if stop == "worst" else 0]]
            if (len(best) == ef or stop == "best") and scores[node] < bar:
                break
            for other in neighbours[node]:
                if seen and other in known:
                    continue
                known.add(other)
                if len(best) < ef or scores[other] > scores[best[-1]]:
                    waiting.append(other)
                    best = sorted([*best, other], key=lambda each: -scores[each])[:ef]
        return best

    return function


def greedy_alone(scores, neighbours, entry, ef):
    return greedy_path(scores, neighbours, entry)[::-1]


def exact(scores, neighbours, entry, ef):
    return sorted(range(len(scores)), key=lambda node: -scores[node])[:ef]


def asking(times):
    return lambda search, n, allowed, k: [i for i in search(min(times * k, n)) if i in allowed][:k]


def padded(search, n, allowed, k):
    hits = [item for item in search(k) if item in allowed]
    return (hits + [item for item in search(k) if item not in allowed])[:k]


def uncut(search, n, allowed, k):
    return [item for item in search(n) if item in allowed]


def never_above_k(search, n, allowed, k):
    return filtered_hits(search, n, allowed, min(k, 4))


def tuning(lower=1.96, at=0, divide=True, root=True, none=-1):
    """A choice of ef with one step replaced."""

    def function(efs, hits, k, target):
        recall = hits / k if divide else hits
        error = recall.std(axis=1, ddof=1) / (np.sqrt(recall.shape[1]) if root else 1)
        enough = np.flatnonzero(recall.mean(axis=1) - lower * error >= target)
        return efs[enough[at]] if enough.size else none

    return function


def tuned(error, reaches=np.greater_equal):
    def function(efs, hits, k, target):
        recall = hits / k
        enough = np.flatnonzero(reaches(recall.mean(axis=1) - 1.96 * error(recall, k), target))
        return efs[enough[0]] if enough.size else -1

    return function


def over_queries(ddof):
    return lambda recall, k: recall.std(axis=1, ddof=ddof) / np.sqrt(recall.shape[1])


def of_single_hits(recall, k):
    mean = recall.mean(axis=1)
    return np.sqrt(mean * (1 - mean) / (k * recall.shape[1]))


def filtered_unless_none(search, n, allowed, k):
    hits = right.filtered_hits(search, n, allowed, k)
    return hits or [min(range(n))]


def doubling(search, n, allowed, k):
    asked = k
    while len(hits := [item for item in search(asked) if item in allowed]) < k:
        asked *= 2
    return hits[:k]


def asked_for_k_first(search, n, allowed, k):
    hits = [item for item in search(k) if item in allowed]
    return hits if len(hits) >= k else right.filtered_hits(search, n, allowed, k)


def ef_before_the_last_miss(efs, hits, k, target):
    at = [
        right.surely_reaching(efs[i : i + 1], hits[i : i + 1], k, target) for i in range(len(efs))
    ]
    enough = [i for i in range(len(efs)) if -1 not in at[i:]]
    return efs[enough[0]] if enough else -1


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


MISTAKES = {
    "graph.greedy": [
        (one_step_early, "stops one step early"),
        (climbing(np.less, min), "higher"),
        (climbing(np.greater_equal), "strictly better"),
        (plain_with_memory, "it moves between equal nodes"),
        (first_better, "takes the first better neighbour"),
        (over_the_hill, "went downhill"),
        (lambda *given: greedy_path(*given)[1:], "the entry is missing"),
        (lambda *given: greedy_path(*given)[-1:], "only the end is returned"),
        (lambda scores, neighbours, entry: [int(np.argmax(scores))], "that is exact search"),
        (walk_from_zero, "with 1 taken from every score"),
    ],
    "graph.beam": [
        (walking(stop="best"), "the *worst* of ef remembered"),
        (walking(seen=False), "a node is returned twice"),
        (greedy_alone, "it does not open the best node it knows"),
        (exact, "which is exact search"),
        (lambda *given: beam_of(*given)[::-1], "the best comes last"),
        (beam_from_zero, "with 1 taken from every score"),
    ],
    "graph.filtered": [
        (asking(1), "Filtering k hits leaves what is left of k"),
        (asking(4), "A fixed multiple of k is a guess"),
        (padded, "an item that is not allowed is returned"),
        (uncut, "Cut after the k-th"),
        (never_above_k, "return what there is"),
        (filtered_unless_none, "nothing is allowed"),
        (asked_for_k_first, "k = 50 is more than the 40 items"),
        (doubling, "never ask it for more"),
    ],
    "graph.tune": [
        (tuning(lower=0), "the mean reaches 0.88"),
        (tuning(at=-1), "a smaller ef is enough"),
        (tuning(divide=False), "divide by it"),
        (tuning(root=False), "the root of their number"),
        (lambda efs, *rest: tuning()(np.arange(len(efs)), *rest), "the place in the list"),
        (tuning(none=80), "Return -1 when none does"),
        (tuned(over_queries(0)), "Divide the sum of squares by n - 1"),
        (tuned(of_single_hits), "that of single hits"),
        (tuned(over_queries(1), np.greater), "a lower end that equals the target is refused"),
        (ef_before_the_last_miss, "where 20 is enough and 40 is not"),
    ],
}
