"""Exercises of notebook 03: ties, a paired test, captions that are not five, McNemar's exact
test.
"""

import numpy as np

from lib.course.engine import Exercise, Wrong, as_number, call, expect_refusal


def _close(a, b) -> bool:
    return bool(np.allclose(a, b, rtol=1e-6, atol=1e-9))


def _share(function, *given, meaning: str) -> float:
    """Calls for a share in [0, 1]; a count or a percentage is told so."""
    value = as_number(call(function, *given), meaning=meaning)
    if value > 1 + 1e-9:
        raise Wrong(
            f"it returns {value:.6g}, which is above 1",
            "A share is asked for: divide by the number of queries, and leave percent to the"
            " report.",
        )
    return value


def _p(function, *given) -> float:
    """Calls for a p-value."""
    return as_number(call(function, *given), meaning="one p-value")


def _compare(value: float, right: float, wrong: dict[float, tuple[str, str]], hint: str) -> None:
    """Contented by the right value; a known wrong one gets its own message, any other the hint."""
    if _close(value, right):
        return
    for known, message in wrong.items():
        if _close(value, known):
            raise Wrong(*message)
    raise Wrong(f"it returns {value:.6g}, expected {right:.6g}", hint)


# ---- traps.pessimistic_r1: of seven queries three are clean hits, one a clean miss, and three are
# tied, two with a wrong item later on file and one with an earlier one.

SCORES = np.array(
    [
        [0.1, 0.2, 0.9, 0.3],
        [0.8, 0.8, 0.1, 0.2],
        [0.7, 0.1, 0.2, 0.7],
        [0.9, 0.5, 0.1, 0.0],
        [0.0, 0.6, 0.5, 0.1],
        [-0.9, -0.3, -0.2, -0.4],
        [0.4, 0.1, 0.4, 0.2],
    ]
)
CORRECT = np.array([2, 0, 3, 1, 1, 2, 0])
WRONG_R1 = {
    6 / 7: (
        "all three tied queries are hits",
        "That is optimistic: a tie must count against the model.",
    ),
    5 / 7: (
        "ties are decided by the order on file: the first item wins",
        "An argmax never sees a tie. Compare with every other score instead.",
    ),
    4 / 7: (
        "ties are decided by the order on file: the last item wins",
        "A sort never sees a tie. Compare with every other score instead.",
    ),
    4.5 / 7: (
        "tied queries count half",
        "That is the expected value; the pessimistic one counts them 0.",
    ),
    0.0: (
        "no query is a hit",
        (
            "The right item is >= itself: take it out of the count. And `correct`, not the row"
            " number, names it."
        ),
    ),
    3 / 4: (
        "it divides by the number of items",
        "There is one value per query: 7 rows, not 4 columns.",
    ),
    1 / 7: (
        "the misses are counted",
        "Turn the comparison round: a hit has nothing at or above it.",
    ),
}


def _r1_number(function) -> None:
    _share(
        function,
        SCORES,
        CORRECT,
        meaning="one number from 0 to 1: the share of queries that are hits",
    )


def _r1_value(function) -> None:
    value = _share(function, SCORES, CORRECT, meaning="one number")
    _compare(value, 3 / 7, WRONG_R1, "By hand: rows 0, 4 and 5 have their right item alone on top.")


def _r1_of_collapse(function) -> None:
    value = _share(function, np.full((4, 6), 0.3), np.array([5, 0, 2, 2]), meaning="one number")
    hint = "A model that scores everything alike has found nothing."
    _compare(value, 0.0, {1.0: ("a constant model gets 100%", hint)}, hint)


def _r1_of_nan(function) -> None:
    for where, case in ((4, "a row of NaN"), ((4, 0), "a single NaN, at a wrong item,")):
        broken = SCORES.copy()
        broken[where] = np.nan
        expect_refusal(
            function,
            broken,
            CORRECT,
            case=case,
            hint=(
                "NaN compares as False with everything, so it can be a hit or a miss by the"
                " direction of your sign. Raise a ValueError before you compare."
            ),
        )
    masked = np.where(SCORES == 0.0, -np.inf, SCORES)  # two wrong items
    value = _share(function, masked, CORRECT, meaning="one number")
    _compare(value, 3 / 7, {}, "Minus infinity is a score, below all others.")


# ---- traps.sign_flip: differences 2, 0, 2, -1, 4, 0 with sum 7. The flipped sums, in the order of
# the rows: 7, 9, -9, -7, 3, -1, 5, -1, -3, -5, 1, 7.

A = np.array([3.0, 1.0, 4.0, 2.0, 5.0, 2.0])
B = np.array([1.0, 1.0, 2.0, 3.0, 1.0, 2.0])
FLIPS = "++++++ +-+-++ -+-+-+ -+---- ++-+++ +-++-+ -++-+- -+-+++ ++---+ --++-+ +++--- +-+++-"
SIGNS = np.array([[1 if sign == "+" else -1 for sign in flip] for flip in FLIPS.split()])
WRONG_P = {
    5 / 12: (
        "5 of 12 flips, and nothing else, are counted",
        (
            "The data are one more reordering of themselves: 1 is added to the count and to the"
            " number of flips."
        ),
    ),
    4 / 13: (
        "flips to the other side, -9 and -7, are not counted",
        "The test is two-sided: compare absolute sums.",
    ),
    3 / 13: (
        "flips that give exactly the observed sum are not counted",
        "As extreme means at least as extreme: >=, not >.",
    ),
    6 / 12: ("the +1 is missing below the line", "Add it to the number of flips too."),
    5 / 13: ("the +1 is missing above the line", "Add it to the count too."),
    8 / 13: ("it counts the flips that are less extreme", "Turn the comparison round."),
}


def _p_value(function) -> None:
    hint = (
        "By hand: a - b is (2, 0, 2, -1, 4, 0). Multiply by each row of signs, add up, compare"
        " with 7."
    )
    _compare(_p(function, A, B, SIGNS), 6 / 13, WRONG_P, hint)


def _p_symmetric(function) -> None:
    _compare(
        _p(function, B, A, SIGNS), 6 / 13, {},
        "With the names of the systems swapped the p-value must stay: nothing says which one should win.",
    )  # fmt: skip


def _p_of_nothing(function) -> None:
    _compare(
        _p(function, A, A, SIGNS), 1.0,
        {1 / 13: ("two equal systems differ at p = 1/13", "A sum of 0 is as extreme as 0: use >=.")},
        "Two equal systems: every flip is as extreme as what was observed, so p = 1.",
    )  # fmt: skip


# ---- traps.own_caption: scores of captions, and which image each caption belongs to.


def _caption_scores(best: list[int], n_captions: int) -> np.ndarray:
    """`(n_images, n_captions)`: low scores, all different in a row, and 1 for the caption named."""
    rows, columns = np.ogrid[: len(best), :n_captions]
    scores = (5 * rows + 3 * columns) % 23 / 100
    scores[np.arange(len(best)), best] = 1.0
    return scores


FIVE = np.repeat([0, 1, 2, 3], 5)
RAGGED = np.repeat([0, 1, 2, 3], [4, 6, 5, 5])
ORDER = np.array([12, 3, 17, 0, 8, 19, 5, 10, 1, 14, 7, 16, 2, 11, 18, 4, 9, 15, 6, 13])
BEST = [
    3,
    4,
    12,
    1,
]  # of RAGGED: images 0, 1 and 2 find a caption of their own, image 3 one of image 0


def _own_number(function) -> None:
    value = _share(
        function, _caption_scores([2, 7, 3, 15], 20), FIVE, meaning="the share of images, 0 to 1"
    )
    wrong = {
        0.0: (
            "no image finds a caption of its own",
            (
                "Is caption i taken for the answer to image i? There are 20 captions and 4 images:"
                " look up whose the best caption is."
            ),
        ),
        1 / 4: (
            "only one image in four finds its own",
            "Three do: any of an image's five captions answers it, not only the first.",
        ),
    }
    _compare(
        value,
        3 / 4,
        wrong,
        "Images 0, 1 and 3 find a caption of their own, image 2 one of image 0.",
    )


def _own_ragged(function) -> None:
    value = _share(
        function, _caption_scores(BEST, 20), RAGGED, meaning="the share of images, 0 to 1"
    )
    wrong = {
        2 / 4: (
            "image 1 is a miss although its best caption, number 4, is its own",
            (
                "Image 0 has four captions here and image 1 has six. Where is it written that there"
                " are five?"
            ),
        )
    }
    _compare(value, 3 / 4, wrong, "Whose a caption is, only `owner` knows.")


def _own_shuffled(function) -> None:
    scores = _caption_scores(BEST, 20)[:, ORDER]
    value = _share(function, scores, RAGGED[ORDER], meaning="the share of images, 0 to 1")
    _compare(
        value, 3 / 4, {},
        "Only the file order of the captions changed. Does your code suppose that an image's captions are "
        "neighbours?",
    )  # fmt: skip
    value = _share(function, scores - 2, RAGGED[ORDER], meaning="the share of images, 0 to 1")
    _compare(
        value,
        3 / 4,
        {},
        "All scores are negative here: whose caption is no candidate must not become a 0.",
    )


# ---- traps.mcnemar: 5 against 1, then 2 against 2, then no difference.

MCNEMAR_100 = 0.13321061920721333  # 42 against 58
WINS = np.array([1, 1, 1, 1, 1, 0, 1, 1, 0, 1])
LOSSES = np.array([0, 0, 0, 0, 0, 1, 1, 1, 0, 1])
WRONG_MCNEMAR = {
    7 / 64: ("it is one-sided", "Neither system was expected to win: twice the smaller tail."),
    12 / 64: (
        "only the split of 5 and 1 is counted",
        "As extreme means 5 and 1 or anything beyond it, so 6 and 0 too.",
    ),
    0.10247043485974938: (
        "that is the chi-square approximation",
        "With six queries that differ it is far off. Count the coin tosses exactly.",
    ),
    0.22067136191984682: (
        "that is the chi-square approximation with continuity correction",
        "It is close, but exact costs no more: count the coin tosses.",
    ),
    22 / 1024: (
        "all ten queries are tossed for",
        (
            "Where both systems are right, or both wrong, nothing can be learnt: those queries drop"
            " out."
        ),
    ),
    1.0: (
        "5 wins against 1 are no evidence at all?",
        "Take the tail up to the smaller of the two counts.",
    ),
}


def _mcnemar_value(function) -> None:
    hint = (
        "Six queries differ, 5 to 1. Of the 64 ways six coins can fall, 1 + 6 have at most one"
        " head."
    )
    _compare(_p(function, WINS, LOSSES), 14 / 64, WRONG_MCNEMAR, hint)


def _mcnemar_even(function) -> None:
    hint = "Twice the tail up to 2 of 4 heads is 22/16: a probability stops at 1."
    a, b = np.array([1, 1, 0, 0, 1]), np.array([0, 0, 1, 1, 1])
    _compare(_p(function, a, b), 1.0, {22 / 16: ("it returns 22/16, above 1", hint)}, hint)
    a = np.arange(100) < 42
    hint = (
        "42 wins against 58: 2 to the 100 does not fit into 64 bits. Python's whole numbers have no"
        " end."
    )
    _compare(_p(function, a.astype(int), 1 - a), MCNEMAR_100, {}, hint)


def _mcnemar_same(function) -> None:
    hint = "Two systems that never differ: no coin is tossed, and p is 1."
    _compare(_p(function, WINS, WINS), 1.0, {}, hint)


EXERCISES = (
    Exercise(
        name="traps.pessimistic_r1",
        statement=(
            "Return R@1 when ties count against the model: scores (n, m) and the position of each"
            " query's right item, (n,), in; the share of queries whose right item scores above all"
            " others out. ValueError if a score is NaN."
        ),
        stages=(_r1_number, _r1_value, _r1_of_collapse, _r1_of_nan),
        hints=(
            "First get the score of each query's right item, one number per row.",
            (
                "Count, per row, the scores that are at least as high. The right item is always one"
                " of them."
            ),
            "A hit is a row where that count is 1. And refuse NaN before any comparison.",
        ),
        insight=(
            "Whatever order an index puts equal scores in, it cannot do worse than this number."
        ),
    ),
    Exercise(
        name="traps.sign_flip",
        statement=(
            "Return the two-sided p-value of the difference between a (n,) and b (n,), given the"
            " flips to try, signs (m, n) of +1 and -1: p = (number of flips at least as extreme +"
            " 1) / (m + 1)."
        ),
        stages=(_p_value, _p_symmetric, _p_of_nothing),
        hints=(
            "The unit is the difference of the two systems on one query: a - b.",
            "Each row of signs gives one sum of flipped differences. That is one matrix product.",
            (
                "Compare absolute sums with the absolute observed sum, at least as large; then the"
                " two +1."
            ),
        ),
        insight=(
            "The smallest p you can report is 1 / (m + 1): more flips buy resolution, never"
            " certainty."
        ),
    ),
    Exercise(
        name="traps.own_caption",
        statement=(
            "Return the share of images whose best-scored caption is one of their own: scores"
            " (n_images, n_captions) and owner (n_captions,), the image of each caption, in; one"
            " number out."
        ),
        stages=(_own_number, _own_ragged, _own_shuffled),
        hints=(
            "Find the best caption of each image: a position among all captions.",
            "Ask `owner` whose caption that is.",
            "The share of images for which the answer is the image itself. No 5 appears anywhere.",
        ),
        insight="The code became shorter when the assumption left: ids are simpler than positions.",
    ),
    Exercise(
        name="traps.mcnemar",
        statement=(
            "Return McNemar's exact two-sided p-value for the hits, 0 or 1, of two systems on the"
            " same queries: a (n,) and b (n,) in, p = min(1, 2 P[X <= the smaller count]) out,"
            " where X is the number of heads of as many fair coins as there are queries on which"
            " exactly one system is right; 1 if there is no such query."
        ),
        stages=(_mcnemar_value, _mcnemar_even, _mcnemar_same),
        hints=(
            "Two counts are all you need: queries only a gets right, queries only b gets right.",
            "Of n coins, the ways to see exactly i heads are the binomial coefficient of n over i.",
            (
                "Add the ways from 0 to the smaller count, double, divide by 2 to the n, and stop"
                " at 1."
            ),
        ),
        insight=(
            "The ten queries were six: what both systems get right or wrong carries no evidence."
        ),
    ),
)
