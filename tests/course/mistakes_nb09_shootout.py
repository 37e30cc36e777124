"""Typical wrong answers to the exercises of notebook 09, with a phrase of their messages."""

import numpy as np


def around(half):
    """An interval with a wrong half width, and the right treatment of a single seed."""

    def function(values, quantile):
        if len(values) < 2:
            raise ValueError("one seed has no interval")
        mean, width = np.mean(values), half(np.asarray(values), quantile)
        return mean, mean - width, mean + width

    return function


def sd(values):
    return np.std(values, ddof=1)


def right_width(values, quantile):
    return quantile * sd(values) / np.sqrt(len(values))


def median_centred(values, quantile):
    centre, width = np.median(values), right_width(values, quantile)
    return centre, centre - width, centre + width


def mean_second(values, quantile):
    mean, width = np.mean(values), right_width(values, quantile)
    return mean - width, mean, mean + width


def with_zero_width(values, quantile):
    mean = np.mean(values)
    width = right_width(values, quantile) if len(values) > 1 else 0.0
    return mean, mean - width, mean + width


def each_seed_its_own(validation, test):
    best = validation.argmax(axis=0)
    return best[0], test[best, np.arange(test.shape[1])].mean()


def by_test(validation, test):
    return test.mean(axis=1).argmax(), test.mean(axis=1).max()


def by_both(validation, test):
    best = (validation + test).mean(axis=1).argmax()
    return best, test[best].mean()


def by_best_run(validation, test):
    best = validation.max(axis=1).argmax()
    return best, test[best].mean()


def by_worst(validation, test):
    best = validation.mean(axis=1).argmin()
    return best, test[best].mean()


def reporting(score):
    def function(validation, test):
        best = validation.mean(axis=1).argmax()
        return best, score(best, validation, test)

    return function


def pairs_of(curve):
    return np.array(curve["steps"]) * curve["batch_size"]


def budget_of(curves):
    return min(pairs_of(curve)[-1] for curve in curves.values())


def at_equal_steps(curves):
    step = min(curve["steps"][-1] for curve in curves.values())
    return {
        name: curve["hits"][np.flatnonzero(np.array(curve["steps"]) <= step)[-1]]
        for name, curve in curves.items()
    }


def best_up_to_budget(curves):
    budget = budget_of(curves)
    return {name: np.array(c["hits"])[pairs_of(c) <= budget].max() for name, c in curves.items()}


def nearest_look(curves):
    budget = budget_of(curves)
    return {name: c["hits"][np.abs(pairs_of(c) - budget).argmin()] for name, c in curves.items()}


def only_exact_looks(curves):
    budget = budget_of(curves)
    return {name: c["hits"][pairs_of(c).tolist().index(budget)] for name, c in curves.items()}


def interpolated(curves):
    budget = budget_of(curves)
    return {name: np.interp(budget, pairs_of(c), c["hits"]) for name, c in curves.items()}


def error(sums, below=None):
    """A standard error from centred differences by query, with one step replaced."""

    def function(a, b, groups):
        d = (a - b).mean(axis=0)
        return np.sqrt((sums(d - d.mean(), groups) ** 2).sum()) / (below or len)(groups)

    return function


def by_group(values, groups):
    return np.array([values[groups == group].sum() for group in np.unique(groups)])


def not_centred(a, b, groups):
    return np.sqrt((by_group((a - b).mean(axis=0), groups) ** 2).sum()) / len(groups)


def seeds_as_queries(a, b, groups):
    d = (a - b).ravel()
    return np.sqrt(((d - d.mean()) ** 2).sum()) / d.size


def unpaired(a, b, groups):
    errors = [error(by_group)(x, np.zeros_like(x), groups) for x in (a, b)]
    return np.hypot(*errors)


def standard_error_alone(a, b, groups):
    differences = (a - b).mean(axis=0)
    return differences.std(ddof=1) / np.sqrt(len(differences))


def groups_averaged(a, b, groups):
    differences = (a - b).mean(axis=0)
    means = [differences[groups == group].mean() for group in np.unique(groups)]
    return np.std(means, ddof=1) / np.sqrt(len(means))


def runs_of_neighbours(values, groups):
    starts = np.flatnonzero(np.r_[True, groups[1:] != groups[:-1]])
    return np.add.reduceat(values, starts)


def interval_from(n, of_none=False):
    def function(values, quantile):
        if len(values) < n and not (of_none and not len(values)):
            raise ValueError
        half = quantile * np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) else np.nan
        mean = np.mean(values) if len(values) else np.nan
        return mean, mean - half, mean + half

    return function


MISTAKES = {
    "shootout.interval": [
        (median_centred, "which is the median"),
        (mean_second, "the mean stands second"),
        (lambda v, q: (v.mean(), v.min(), v.max()), "smallest and the largest seed"),
        (lambda v, q: (v.mean(), right_width(v, q), right_width(v, q)), "low and high are equal"),
        (lambda v, q: v.mean(), "has shape ()"),
        (
            around(lambda v, q: q * np.std(v) / np.sqrt(len(v))),
            "divide the sum of squares by n - 1",
        ),
        (around(lambda v, q: q * sd(v)), "where single seeds lie"),
        (around(lambda v, q: q * sd(v) / len(v)), "falls with the root of n"),
        (around(lambda v, q: q * sd(v) ** 2 / len(v)), "variance was taken for the deviation"),
        (around(lambda v, q: 1.96 * sd(v) / np.sqrt(len(v))), "1.96 stands"),
        (with_zero_width, "One seed says nothing about the spread"),
        (interval_from(3), "it raised ValueError"),
        (interval_from(2, of_none=True), "no seed at all"),
    ],
    "shootout.select": [
        (by_test, "best on the test split"),
        (by_both, "best on the test split"),
        (by_best_run, "One lucky seed won"),
        (by_worst, "worst on the validation split"),
        (each_seed_its_own, "a setting of its own"),
        (reporting(lambda best, v, t: v[best].mean()), "by which the setting was chosen"),
        (reporting(lambda best, v, t: t[best].max()), "best of the three test runs"),
        (reporting(lambda best, v, t: t.mean(axis=1).max()), "Report the setting you chose"),
        (lambda v, t: v.mean(axis=1).argmax(), "has shape ()"),
    ],
    "shootout.budget": [
        (at_equal_steps, "Steps are not the budget"),
        (lambda curves: {name: c["hits"][-1] for name, c in curves.items()}, "at its own end"),
        (lambda curves: {name: max(c["hits"]) for name, c in curves.items()}, "at its best look"),
        (best_up_to_budget, "More looks give a higher best look"),
        (lambda curves: {name: c["hits"][0] for name, c in curves.items()}, "at the first look"),
        (nearest_look, "The nearest look may lie beyond"),
        (only_exact_looks, "it raised ValueError"),
        (interpolated, "read at the last one before it"),
        (lambda curves: list(at_equal_steps(curves).values()), "no dict with the names"),
    ],
    "shootout.error": [
        (error(lambda values, groups: values), "taken for independent"),
        (standard_error_alone, "as of independent queries"),
        (groups_averaged, "every group counts once"),
        (seeds_as_queries, "taken for fourteen queries"),
        (not_centred, "mean difference was not taken away"),
        (error(by_group, lambda groups: 1), "not divided by the number of queries"),
        (error(by_group, lambda groups: len(set(groups))), "divided by the number of groups"),
        (error(runs_of_neighbours), "Only `groups` says"),
        (
            error(lambda values, groups: np.bincount(groups, values)[:3]),
            "the names are no positions",
        ),
        (unpaired, "By hand: differences"),
    ],
}
