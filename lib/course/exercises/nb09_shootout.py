"""Exercises of notebook 09: an interval over seeds, a fair choice, equal budgets, an error."""

import numpy as np

from lib.course.cases import Case, Exercise, Refusal, Wrong, as_number, is_same

# ---- shootout.interval: deviations -3, -3, -3 and 9, so s = 6 and s / root of 4 = 3; with a
# quantile of 2 the half width is 6.

FOUR = np.array([20.0, 20.0, 20.0, 32.0])

interval = Exercise(
    "shootout.interval",
    """Return mean, low and high, the interval of the mean over seeds: values (n,) and the quantile
    of Student's t in; mean, and mean -/+ quantile s / root of n, out. ValueError for fewer than two
    values.""",
    (
        Case((FOUR, 2.0), (23.0, 17.0, 29.0), mistakes={
            "the standard deviation was divided by n | A mean taken from the same values lies too"
            " close to them: divide the sum of squares by n - 1.":
                (23.0, 23 - 27**0.5, 23 + 27**0.5),
            "that is where single seeds lie, not where their mean lies | The mean of n seeds varies"
            " less than a seed: a root of n is missing.": (23.0, 11.0, 35.0),
            "it was divided by n | The error of a mean falls with the root of n, not with n.":
                (23.0, 20.0, 26.0),
            "the variance was taken for the deviation | A square root is missing.":
                (23.0, 5.0, 41.0),
            "1.96 stands where the quantile belongs | That is the normal distribution, for a known"
            " deviation. With few seeds use the quantile given.": (23.0, 17.12, 28.88),
            "low and high are the smallest and the largest seed | That range grows with the number"
            " of seeds; an interval for the mean must shrink.": (23.0, 20.0, 32.0),
            "the mean stands second | In this order: mean, low, high.":
                lambda three: is_same(three[1], 23.0),
            "the centre is 20, which is the median | The mean of 20, 20, 20 and 32 is 23.":
                lambda three: is_same(three[0], 20.0),
            "the mean is wrong | The mean of 20, 20, 20 and 32 is 23.":
                lambda three: not is_same(three[0], 23.0),
            "low and high are equal | Return the ends of the interval, not its half width twice.":
                lambda three: is_same(three[1], three[2]),
            "the ends do not lie around the mean | low = mean - half width, high = mean + half"
            " width.": lambda three: not is_same(three[1] + three[2], 46.0) or three[1] > three[2],
        }, otherwise="By hand: squares 9, 9, 9, 81, sum 108, over 3 is 36, root 6; over the root of"
            " 4 is 3; times 2 is the half width.", meaning="three numbers: mean, low, high"),
        Case((np.array([20.0, 32.0]), 2.0), (26.0, 14.0, 38.0),
            "s is 8.49, over the root of 2 it is 6."),
        (
            Refusal((np.array([20.0]), 12.7), "a single seed",
                "One seed says nothing about the spread. Raise a ValueError: a silent NaN, or a"
                " width of 0, ends up in a table."),
            Refusal((np.array([]), 12.7), "no seed at all",
                "Fewer than two values: a ValueError, for one and for none."),
        ),
    ),
    """- Mean first; then how far the seeds lie from it; then how far their mean may lie from the
      truth.
    - s squared is the sum of squared deviations over n - 1.
    - Half width: the quantile times s, over the root of n. Before all that, count the values.""",
    "With two seeds the quantile is 12.7, with five 2.8: the third seed helps most.",
)  # fmt: skip

# ---- shootout.error: mean differences (1, 1, 1, 0, 0, 1/2, 0), centred (1, 1, 1, -1, -1, 0, -1) /
# 2, summed by group 3/2, -1, -1/2: the root of 3.5 over 7.

HITS_A = np.array([[1, 1, 1, 1, 0, 1, 1], [1, 1, 1, 1, 0, 0, 1]], dtype=float)
HITS_B = np.array([[0, 0, 0, 1, 0, 0, 1], [0, 0, 0, 1, 0, 0, 1]], dtype=float)
GROUPS = np.array([0, 0, 0, 1, 1, 2, 2])
MIXED = [6, 0, 3, 1, 5, 4, 2]
RENAMED = np.array([70, 70, 70, 8, 8, 9, 9])[MIXED]
ERROR = 3.5**0.5 / 7

error = Exercise(
    "shootout.error",
    """Return the standard error of the mean difference of two losses: hits a and b (n_seeds,
    n_queries) and groups (n_queries,) in; with d the difference averaged over seeds, the root of
    the sum over groups of (sum of d - mean d in the group) squared, over n_queries, out.""",
    (
        Case((HITS_A, HITS_B, GROUPS), ERROR, mistakes={
            "the queries are taken for independent | Queries of a group succeed and fail together:"
            " add up the differences of a group before you square.": 1.5**0.5 / 7,
            "it is s over the root of n, as of independent queries | Queries of a group succeed and"
            " fail together: add up the differences of a group first.": (1.5 / 42) ** 0.5,
            "every group counts once, however many queries it has | The mean is over queries: add"
            " up the differences of a group, do not average them.": 13**0.5 / 12,
            "two seeds of seven queries are taken for fourteen queries"
            " | A second seed gives no new queries. Average over the seeds first.": 3.5**0.5 / 14,
            "the mean difference was not taken away"
            " | The error is about the spread around the mean: centre first.": 9.25**0.5 / 7,
            "it was not divided by the number of queries"
            " | The sum over groups is the error of a sum.": 3.5**0.5,
            "it was divided by the number of groups"
            " | The mean is over queries: divide by their number.": 3.5**0.5 / 3,
        }, otherwise="By hand: differences (1, 1, 1, 0, 0, 1/2, 0), their mean 1/2, sums by group"
            " 3/2, -1, -1/2.", meaning="one number: the standard error"),
        Case((HITS_A[:, MIXED], HITS_B[:, MIXED], RENAMED), ERROR,
            "Only `groups` says which queries belong together: neighbours need not, and the names"
            " are no positions.",
            given="with the queries in another order, and groups named 70, 8 and 9,"),
        Case((HITS_A, HITS_A, GROUPS), 0.0,
            "Take the difference query by query before anything else: what is hard for both must"
            " cancel.", given="for two equal losses"),
    ),
    """- Subtract, average over the seeds, and take the mean away: one number per query.
    - Add these numbers up within each group; the label says which group a query is in.
    - Square the sums, add them, take the root, divide by the number of queries.""",
    "Five captions of one image are nearer to one query than to five. Without groups p is too low.",
)  # fmt: skip

# ---- shootout.select: mean validation scores 32, 30, 34, 29, mean test scores 35, 32, 31, 33.

VALIDATION = np.array(
    [[30.0, 34.0, 32.0], [37.0, 22.0, 31.0], [33.0, 33.0, 36.0], [28.0, 35.0, 24.0]]
)
TEST = np.array([[34.0, 36.0, 35.0], [40.0, 22.0, 34.0], [30.0, 31.0, 32.0], [33.0, 36.0, 30.0]])

select = Exercise(
    "shootout.select",
    """Return (setting, score), an honest choice: validation (n_settings, n_seeds) and test
    (n_settings, n_seeds) in; the position of the setting with the best mean on validation, and its
    mean on test, out.""",
    (
        Case((VALIDATION, TEST), (2, 31.0), mistakes={
            "every seed got a setting of its own | You use one setting later. Average over the"
            " seeds before you choose.": lambda pair: is_same(pair[1], 36.0),
            "setting 0 is the best on the test split"
            " | The test split may be read once, after the choice.": lambda pair: pair[0] == 0,
            "setting 1 has the best single run"
            " | One lucky seed won. Choose by the mean over the seeds.": lambda pair: pair[0] == 1,
            "setting 3 is the worst on the validation split | Choose the highest mean.":
                lambda pair: pair[0] == 3,
            "there is no such setting | Positions are 0 to 3.": lambda pair: pair[0] != 2,
            "it reports the score by which the setting was chosen | The best of many is partly"
            " luck. Report the score on data that played no part in the choice.": (2, 34.0),
            "it reports the best of the three test runs"
            " | Report the mean over the seeds: it is what a next run gets.": (2, 32.0),
            "it reports the best setting's test score"
            " | Report the setting you chose, whatever it gives.": (2, 35.0),
        }, otherwise="Choose setting 2, with the validation mean 34, and report its mean test"
            " score, 31.",
            meaning="two numbers: the position of the setting, and the score to report"),
        Case((VALIDATION[:2], TEST[:2]), (0, 35.0),
            "Of the first two settings, setting 0 has the validation mean 32.",
            given="for two settings"),
        Case((VALIDATION, TEST[::-1]), (2, 32.0),
            "The choice must not move when the test scores do; the reported score must.",
            given="with other test scores"),
    ),
    """- Two means per setting, one from each split.
    - Only the validation means decide.
    - The position of the largest validation mean; then read the test mean at that position.""",
    "The score by which you choose is too high because of the choice; the other one is not.",
)  # fmt: skip

# ---- shootout.budget: at 4,000 pairs the small batch has made 400 steps and the large one 100.

CURVES = {
    "B = 10": {"batch_size": 10, "steps": [100, 200, 300, 400], "hits": [10.0, 24.0, 17.0, 22.0]},
    "B = 40":
        {"batch_size": 40, "steps": [25, 50, 75, 100, 125], "hits": [5.0, 9.0, 14.0, 13.0, 30.0]},
}  # fmt: skip
# The smallest last look is at 1,920 pairs, where only B = 64 has one: the others look at 800, 1600,
# ...
RAGGED = {
    "B = 16": {"batch_size": 16, "steps": [50, 100, 125], "hits": [1.0, 2.0, 3.0]},
    "B = 64": {"batch_size": 64, "steps": [10, 20, 30], "hits": [4.0, 5.0, 6.0]},
    "B = 100": {"batch_size": 100, "steps": [8, 16, 24], "hits": [7.0, 8.0, 9.0]},
}  # fmt: skip


def _hit_rates(curves: dict):
    """Return a reader of {name: hit rate} that gives the rates in the order of the curves."""

    def read(result) -> tuple[float, ...]:
        if not isinstance(result, dict) or set(result) != set(curves):
            raise Wrong(
                "the result is no dict with the names of the arms",
                f"Expected one number each: {', '.join(curves)}.",
            )
        return tuple(as_number(result[name], meaning=f"one hit rate for {name}") for name in curves)

    return read


budget = Exercise(
    "shootout.budget",
    """Return {name: hit rate} at equal budget: {name: {batch_size, steps, hits}} in, where hits[i]
    was measured after steps[i] steps. The budget is the largest number of pairs that every arm has
    reached; an arm is read at its last look that does not exceed it.""",
    (
        Case((CURVES,), (22.0, 13.0), mistakes={
            "both arms are read at the same step, so the large batch has seen four times the pairs"
            " | Steps are not the budget. How many pairs has an arm seen after a step?":
                (10.0, 30.0),
            "every arm is read at its own end | They ended after 4,000 and 5,000 pairs.":
                (22.0, 30.0),
            "every arm is read at its best look | That is a choice made on the scores you report,"
            " and the arms have not seen equally many pairs.": (24.0, 30.0),
            "the budget is right, but each arm reports the best look up to it"
            " | More looks give a higher best look. Report the look at the budget.": (24.0, 14.0),
            "both arms are read at the first look | Use the largest budget that all have reached.":
                (10.0, 5.0),
        }, otherwise="Both arms have seen 4,000 pairs: one after 400 steps, the other after 100.",
            read=_hit_rates(CURVES)),
        Case((RAGGED,), (2.0, 6.0, 8.0), mistakes={
            "an arm is read after 2,000 pairs where the budget is 1,920 | The nearest look may lie"
            " beyond the budget. Take the last one that does not.": (3.0, 6.0, 8.0),
        }, otherwise="The budget is 1,920 pairs; an arm without a look there is read at the last"
            " one before it.", given="with looks at different numbers of pairs",
            read=_hit_rates(RAGGED)),
    ),
    """- Turn the steps of each arm into pairs seen.
    - The budget is the smallest of the arms' last numbers of pairs.
    - For each arm: the last look whose pairs are at most the budget. No maximum over scores.""",
    "At equal steps the larger batch has seen more data, and wins by that alone.",
)  # fmt: skip
