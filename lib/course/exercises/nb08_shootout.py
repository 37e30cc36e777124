"""Exercises of notebook 08: an interval over seeds, an error over queries that come in groups."""

import numpy as np

from lib.course.engine import Exercise, Wrong, as_array, as_number, call, expect_refusal


def _close(a, b) -> bool:
    return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, rtol=1e-6, atol=1e-9))


# ---- shootout.interval: deviations -3, -3, -3 and 9, so s = 6 and s / root of 4 = 3; with a
# quantile of 2 the half width is 6.

FOUR = np.array([20.0, 20.0, 20.0, 32.0])
TRIPLE = "three numbers: mean, low, high"
WRONG_HALVES = {
    108.0**0.5 / 2: (
        "the standard deviation was divided by n",
        (
            "A mean taken from the same values lies too close to them: divide the sum of squares by"
            " n - 1."
        ),
    ),
    12.0: (
        "that is where single seeds lie, not where their mean lies",
        "The mean of n seeds varies less than a seed: a root of n is missing.",
    ),
    3.0: ("it was divided by n", "The error of a mean falls with the root of n, not with n."),
    18.0: ("the variance was taken for the deviation", "A square root is missing."),
    5.88: (
        "1.96 stands where the quantile belongs",
        (
            "That is the normal distribution, for a known deviation. With few seeds use the"
            " quantile given."
        ),
    ),
}


def _three(function, values, quantile) -> np.ndarray:
    result = call(function, values, quantile)
    return as_array(result, shape=(3,), kind="numbers", meaning=TRIPLE).astype(float)


def _interval_mean(function) -> None:
    mean, low, high = _three(function, FOUR, 2.0)
    if _close(mean, 20.0):
        raise Wrong("the centre is 20, which is the median", "The mean of 20, 20, 20 and 32 is 23.")
    if _close(low, 23.0):
        raise Wrong("the mean stands second", "In this order: mean, low, high.")
    if not _close(mean, 23.0):
        raise Wrong(f"the mean is {mean:.6g}", "The mean of 20, 20, 20 and 32 is 23.")
    if _close([low, high], [20.0, 32.0]):
        raise Wrong(
            "low and high are the smallest and the largest seed",
            "That range grows with the number of seeds; an interval for the mean must shrink.",
        )
    if _close(low, high):
        raise Wrong(
            "low and high are equal", "Return the ends of the interval, not its half width twice."
        )
    if not _close(high - mean, mean - low) or high < low:
        raise Wrong(
            "the ends do not lie around the mean",
            "low = mean - half width, high = mean + half width.",
        )


def _interval_width(function) -> None:
    mean, _, high = _three(function, FOUR, 2.0)
    for wrong, message in WRONG_HALVES.items():
        if _close(high - mean, wrong):
            raise Wrong(*message)
    if not _close(high - mean, 6.0):
        raise Wrong(
            f"the half width is {high - mean:.6g}, expected 6",
            "By hand: squares 9, 9, 9, 81, sum 108, over 3 is 36, root 6; over the root of 4 is 3;"
            " times 2.",
        )


def _interval_of_one(function) -> None:
    expect_refusal(
        function,
        np.array([20.0]),
        12.7,
        case="a single seed",
        hint=(
            "One seed says nothing about the spread. Raise a ValueError: a silent NaN, or a width"
            " of 0, ends up in a table."
        ),
    )
    empty = "Fewer than two values: a ValueError, whether there is one or none."
    expect_refusal(function, np.array([]), 12.7, case="no seed at all", hint=empty)
    two = _three(function, np.array([20.0, 32.0]), 2.0)
    if not _close(two, [26.0, 14.0, 38.0]):
        raise Wrong(
            f"for seeds 20 and 32 it returns {two.tolist()}",
            "s is 8.49, over the root of 2 it is 6.",
        )


# ---- shootout.error: mean differences (1, 1, 1, 0, 0, 1/2, 0), centred (1, 1, 1, -1, -1, 0, -1) /
# 2, summed by group 3/2, -1, -1/2: the root of 3.5 over 7.

HITS_A = np.array([[1, 1, 1, 1, 0, 1, 1], [1, 1, 1, 1, 0, 0, 1]], dtype=float)
HITS_B = np.array([[0, 0, 0, 1, 0, 0, 1], [0, 0, 0, 1, 0, 0, 1]], dtype=float)
GROUPS = np.array([0, 0, 0, 1, 1, 2, 2])
ERROR = 3.5**0.5 / 7
WRONG_ERRORS = {
    1.5**0.5 / 7: (
        "the queries are taken for independent",
        (
            "Queries of a group succeed and fail together: add up the differences of a group before"
            " you square."
        ),
    ),
    3.5**0.5 / 14: (
        "two seeds of seven queries are taken for fourteen queries",
        "The same query asked twice is no second query. Average over the seeds first.",
    ),
    9.25**0.5 / 7: (
        "the mean difference was not taken away",
        "The error is about the spread around the mean: centre first.",
    ),
    3.5**0.5: (
        "it was not divided by the number of queries",
        "The sum over groups is the error of a sum.",
    ),
    3.5**0.5 / 3: (
        "it was divided by the number of groups",
        "The mean is over queries: divide by their number.",
    ),
}


def _error_value(function) -> None:
    value = as_number(
        call(function, HITS_A, HITS_B, GROUPS), meaning="one number: the standard error"
    )
    for wrong, message in WRONG_ERRORS.items():
        if _close(value, wrong):
            raise Wrong(*message)
    if not _close(value, ERROR):
        raise Wrong(
            f"it returns {value:.6g}, expected {ERROR:.6g}",
            "By hand: differences (1, 1, 1, 0, 0, 1/2, 0), their mean 1/2, sums by group 3/2, -1,"
            " -1/2.",
        )


def _error_order(function) -> None:
    order = [6, 0, 3, 1, 5, 4, 2]
    names = np.array([70, 70, 70, 8, 8, 9, 9])[order]
    value = as_number(
        call(function, HITS_A[:, order], HITS_B[:, order], names), meaning="one number"
    )
    if not _close(value, ERROR):
        raise Wrong(
            "with the queries in another order, and groups named 70, 8 and 9, it returns"
            f" {value:.6g}",
            "Only `groups` says who belongs together: not the neighbour, and the names are no"
            " positions.",
        )


def _error_paired(function) -> None:
    value = as_number(call(function, HITS_A, HITS_A, GROUPS), meaning="one number")
    if not _close(value, 0.0):
        raise Wrong(
            f"two equal losses differ by 0 with an error of {value:.6g}",
            "Take the difference query by query before anything else: what is hard for both must"
            " cancel.",
        )


EXERCISES = (
    Exercise(
        name="shootout.interval",
        statement=(
            "Return mean, low and high, the interval of the mean over seeds: values (n,) and the"
            " quantile of Student's t in; mean, and mean -/+ quantile s / root of n, out."
            " ValueError for fewer than two values."
        ),
        stages=(_interval_mean, _interval_width, _interval_of_one),
        hints=(
            (
                "Mean first; then how far the seeds lie from it; then how far their mean may lie"
                " from the truth."
            ),
            "s squared is the sum of squared deviations over n - 1.",
            (
                "Half width: the quantile times s, over the root of n. Before all that, count the"
                " values."
            ),
        ),
        insight=(
            "With two seeds the quantile is 12.7, with five 2.8: the third seed is the best"
            " bargain."
        ),
    ),
    Exercise(
        name="shootout.error",
        statement=(
            "Return the standard error of the mean difference of two losses: hits a and b (n_seeds,"
            " n_queries) and groups (n_queries,) in; with d the difference averaged over seeds, the"
            " root of the sum over groups of (sum of d - mean d in the group) squared, over"
            " n_queries, out."
        ),
        stages=(_error_value, _error_order, _error_paired),
        hints=(
            "Subtract, average over the seeds, and take the mean away: one number per query.",
            "Add these numbers up within each group; the label says who belongs to which.",
            "Square the sums, add them, take the root, divide by the number of queries.",
        ),
        insight=(
            "Five captions of one image are nearer to one query than to five. Forget it: p is too"
            " low."
        ),
    ),
)
