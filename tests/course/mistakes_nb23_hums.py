"""Typical wrong answers to the exercises of notebook 23, with a phrase of their messages."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tests.course import reference_answers as right


def windows_with(centre, size=np.abs, query_mean=np.mean, reduce=np.mean):
    def distances(tune, query):
        windows = sliding_window_view(tune, len(query))
        return reduce(size(windows - centre(tune, windows) - (query - query_mean(query))), axis=1)

    return distances


def own_means(tune, windows):
    return windows.mean(axis=1, keepdims=True)


def whole_mean(tune, windows):
    return tune.mean()


def anchored(costs):
    costs = costs.copy()
    costs[0, 1:] = np.inf
    return right.warped_costs(costs)


def textbook(costs):
    table = np.full(costs.shape, np.inf)
    table[0] = costs[0]
    for i in range(1, len(costs)):
        for j in range(costs.shape[1]):
            ways = [table[i - 1, j]]
            ways += [table[i - 1, j - 1], table[i, j - 1]] if j else []
            table[i, j] = min(ways) + costs[i, j]
    return table


def table_with(jump=True, passed=True, wrap=False, edge=False):
    def table_of(costs):
        table = np.full(costs.shape, np.inf)
        table[0] = costs[0]
        for i in range(1, len(costs)):
            for j in range(costs.shape[1]):
                ways = [table[i - 1, j - 1]] if wrap or j >= 1 else [np.inf]
                ways += [table[i - 1, j - 2]] if jump and (wrap or j >= 2 - edge) else []
                if i >= 2 and j >= 1:
                    ways.append(table[i - 2, j - 1] + (costs[i - 1, j] if passed else 0))
                table[i, j] = min(ways) + costs[i, j]
        return table

    return table_of


def too_dear_when_slow(costs):
    return right.warped_costs(costs) + (len(costs) == 4)


def whole_set(families, own):
    return right.rank_of_family(families, own) + (own == 5)


def unless_top(families, own):
    return 2 if families[0] == own else right.rank_of_family(families, own)


def always_found(families, own):
    return right.rank_of_family(families, own) or len(set(families.tolist())) + 1


def last_place(families, own):
    if own != 2:
        return right.rank_of_family(families, own)
    place = len(families) - int(np.argmax(families[::-1] == own)) - 1
    return len(set(families[:place].tolist()))


MISTAKES = {
    "hums.parsons": [
        (lambda pitches: np.sign(np.diff(pitches)), "no note repeats"),
        (lambda pitches: -right.parsons_of(pitches), "up and down are exchanged"),
        (np.diff, "these are intervals"),
        (
            lambda p: np.where(np.abs(np.diff(p)) <= 0.5, 0, np.sign(np.diff(p))),
            "half a semitone itself",
        ),
    ],
    "hums.windows": [
        (windows_with(whole_mean), "does not get 0"),
        (windows_with(lambda tune, windows: 0, query_mean=lambda query: 0), "the key counts"),
        (windows_with(own_means, np.square), "squared"),
        (windows_with(own_means, reduce=np.sum), "summed"),
        (lambda tune, query: right.window_distances(tune, query).min(), "one number"),
        (
            lambda tune, query: right.window_distances(tune, query) + (tune[0] == 65),
            "in another key",
        ),
        (
            lambda tune, query: right.window_distances(tune, query)[: 9 * (len(tune) - len(query))],
            "has one window",
        ),
    ],
    "hums.dtw": [
        (anchored, "must begin at the start"),
        (textbook, "the steps of the textbook"),
        (table_with(jump=False), "the step (1, 2) is missing"),
        (lambda costs: right.warped_costs(costs)[-1], "the last row alone"),
        (table_with(wrap=True), "cannot be reached is finite"),
        (table_with(passed=False), "for nothing"),
        (table_with(edge=True), "from the other end"),
        (too_dear_when_slow, "at half tempo costs too much"),
    ],
    "hums.family_rank": [
        (lambda families, own: int(np.argmax(families == own)) + 1, "the rank of the tune"),
        (
            lambda families, own: max(0, right.rank_of_family(families, own) - 1),
            "ranks begin at 0",
        ),
        (whole_set, "families behind it count"),
        (unless_top, "does not get rank 1"),
        (always_found, "was not found has a rank"),
        (last_place, "further down count"),
    ],
}
