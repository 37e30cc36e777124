"""Exercises of notebook 08: a choice that the test split did not make, and arms with an equal
budget.
"""

import numpy as np

from lib.course.engine import Exercise, Wrong, as_array, as_number, call


def _close(a, b) -> bool:
    return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, rtol=1e-6, atol=1e-9))


# ---- shootout.select: mean validation scores 32, 30, 34, 29, mean test scores 35, 32, 31, 33.

VALIDATION = np.array(
    [[30.0, 34.0, 32.0], [37.0, 22.0, 31.0], [33.0, 33.0, 36.0], [28.0, 35.0, 24.0]]
)
TEST = np.array([[34.0, 36.0, 35.0], [40.0, 22.0, 34.0], [30.0, 31.0, 32.0], [33.0, 36.0, 30.0]])
PAIR = "two numbers: the position of the setting, and the score to report"


def _selected(function, validation, test) -> tuple[float, float]:
    return tuple(
        as_array(call(function, validation, test), shape=(2,), kind="numbers", meaning=PAIR)
    )


def _choice(function) -> None:
    setting, score = _selected(function, VALIDATION, TEST)
    if _close(score, 36.0):
        raise Wrong(
            "every seed got a setting of its own",
            "You will ship one setting. Average over the seeds before you choose.",
        )
    if setting == 2:
        return
    reasons = {
        0: (
            "setting 0 is the best on the test split",
            "The test split may be read once, after the choice.",
        ),
        1: (
            "setting 1 has the best single run",
            "One lucky seed won. Choose by the mean over the seeds.",
        ),
        3: ("setting 3 is the worst on the validation split", "The highest mean is wanted."),
    }
    raise Wrong(
        *reasons.get(int(setting), (f"there is no setting {setting:g}", "Positions are 0 to 3."))
    )


def _report(function) -> None:
    _, score = _selected(function, VALIDATION, TEST)
    reasons = {
        34.0: (
            "it reports the score by which the setting was chosen",
            "The best of many is partly luck. Report what untouched data say.",
        ),
        32.0: (
            "it reports the best of the three test runs",
            "The mean over the seeds is what a next run gets.",
        ),
        35.0: (
            "it reports the best setting's test score",
            "Report the setting you chose, whatever it gives.",
        ),
    }
    for wrong, message in reasons.items():
        if _close(score, wrong):
            raise Wrong(*message)
    if not _close(score, 31.0):
        raise Wrong(
            f"it reports {score:.6g}, expected 31", "The mean test score of the chosen setting."
        )


def _blind_to_test(function) -> None:
    setting, score = _selected(function, VALIDATION, TEST[::-1])
    if setting != 2 or not _close(score, 32.0):
        raise Wrong(
            f"with other test scores it returns ({setting:g}, {score:.6g})",
            "The choice must not move when the test scores do; the reported score must.",
        )


# ---- shootout.budget: at 4,000 pairs the small batch has made 400 steps and the large one 100.

CURVES = {
    "B = 10": {"batch_size": 10, "steps": [100, 200, 300, 400], "hits": [10.0, 24.0, 17.0, 22.0]},
    "B = 40": {
        "batch_size": 40,
        "steps": [25, 50, 75, 100, 125],
        "hits": [5.0, 9.0, 14.0, 13.0, 30.0],
    },
}
# The smallest last look is at 1,920 pairs, where only B = 64 has one: the others look at 800, 1600,
# ...
RAGGED = {
    "B = 16": {"batch_size": 16, "steps": [50, 100, 125], "hits": [1.0, 2.0, 3.0]},
    "B = 64": {"batch_size": 64, "steps": [10, 20, 30], "hits": [4.0, 5.0, 6.0]},
    "B = 100": {"batch_size": 100, "steps": [8, 16, 24], "hits": [7.0, 8.0, 9.0]},
}
WRONG_BUDGETS = {
    (10.0, 30.0): (
        "both arms are read at the same step, so the large batch has seen four times the pairs",
        "Steps are not the budget. How many pairs has an arm seen after a step?",
    ),
    (22.0, 30.0): ("every arm is read at its own end", "They ended after 4,000 and 5,000 pairs."),
    (24.0, 30.0): (
        "every arm is read at its best look",
        (
            "That is a choice made on the scores you report, and the arms have not seen equally"
            " many pairs."
        ),
    ),
    (24.0, 14.0): (
        "the budget is right, but each arm reports the best look up to it",
        "Whoever looks more often wins more often. Report the look at the budget.",
    ),
    (10.0, 5.0): (
        "both arms are read at the first look",
        "The largest budget that all have reached is wanted.",
    ),
}


def _scores(function, curves) -> tuple[float, ...]:
    result = call(function, curves)
    if not isinstance(result, dict) or set(result) != set(curves):
        raise Wrong(
            "the result is no dict with the names of the arms",
            f"Expected one number each: {', '.join(curves)}.",
        )
    return tuple(as_number(result[name], meaning=f"one hit rate for {name}") for name in curves)


def _equal_pairs(function) -> None:
    scores = _scores(function, CURVES)
    for wrong, message in WRONG_BUDGETS.items():
        if _close(scores, wrong):
            raise Wrong(*message)
    if not _close(scores, (22.0, 13.0)):
        raise Wrong(
            f"it returns {scores}, expected (22.0, 13.0)",
            "Both arms have seen 4,000 pairs: one after 400 steps, the other after 100.",
        )


def _between_looks(function) -> None:
    scores = _scores(function, RAGGED)
    if _close(scores, (3.0, 6.0, 8.0)):
        raise Wrong(
            "an arm is read after 2,000 pairs where the budget is 1,920",
            "The nearest look may lie beyond the budget. Take the last one that does not.",
        )
    if not _close(scores, (2.0, 6.0, 8.0)):
        raise Wrong(
            f"with looks at different numbers of pairs it returns {scores}, expected (2.0, 6.0,"
            " 8.0)",
            "The budget is 1,920 pairs; an arm without a look there is read at the last one"
            " before it.",
        )


EXERCISES = (
    Exercise(
        name="shootout.select",
        statement=(
            "Return (setting, score), an honest choice: validation (n_settings, n_seeds) and test"
            " (n_settings, n_seeds) in; the position of the setting with the best mean on"
            " validation, and its mean on test, out."
        ),
        stages=(_choice, _report, _blind_to_test),
        hints=(
            "Two means per setting, one from each split.",
            "Only the validation means decide.",
            (
                "The position of the largest validation mean; then read the test mean at that"
                " position."
            ),
        ),
        insight="The score by which you choose is flattered by the choice; the other one is not.",
    ),
    Exercise(
        name="shootout.budget",
        statement=(
            "Return {name: hit rate} at equal budget: {name: {batch_size, steps, hits}} in, where"
            " hits[i] was measured after steps[i] steps. The budget is the largest number of pairs"
            " that every arm has reached; an arm is read at its last look that does not exceed it."
        ),
        stages=(_equal_pairs, _between_looks),
        hints=(
            "Turn the steps of each arm into pairs seen.",
            "The budget is the smallest of the arms' last numbers of pairs.",
            (
                "For each arm: the last look whose pairs are at most the budget. No maximum over"
                " scores."
            ),
        ),
        insight="At equal steps the larger batch has seen more data, and wins by that alone.",
    ),
)
