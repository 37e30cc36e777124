"""Exercises of notebook 04: ties, a paired test, ragged captions, McNemar's exact test."""

import numpy as np

from lib.course.cases import Case, Exercise, Refusal

ABOVE_1 = {
    "it returns a number above 1 | Return a share: divide by the number of queries. Percent belongs"
    " into the report.": lambda share: share > 1 + 1e-9,
}  # fmt: skip

# ---- traps.pessimistic_r1: of seven queries three are clean hits, one is a clean miss, and three
# are tied, two with a wrong item later on file and one with an earlier one.

SCORES = np.array([
    [0.1, 0.2, 0.9, 0.3], [0.8, 0.8, 0.1, 0.2], [0.7, 0.1, 0.2, 0.7], [0.9, 0.5, 0.1, 0.0],
    [0.0, 0.6, 0.5, 0.1], [-0.9, -0.3, -0.2, -0.4], [0.4, 0.1, 0.4, 0.2],
])  # fmt: skip
CORRECT = np.array([2, 0, 3, 1, 1, 2, 0])
MASKED = np.where(SCORES == 0.0, -np.inf, SCORES)  # two wrong items
NAN_ROW = np.where(np.arange(7)[:, None] == 4, np.nan, SCORES)
ONE_NAN = np.where((np.arange(7)[:, None] == 4) & (np.arange(4) == 0), np.nan, SCORES)
INFINITE = "Minus infinity is a score, below all others: refuse NaN only, with np.isnan."
NAN = (
    "NaN compares as False with everything, so it can be a hit or a miss by the direction of your"
    " sign. Raise a ValueError before you compare."
)

pessimistic_r1 = Exercise(
    "traps.pessimistic_r1",
    """Return R@1 when ties count against the model: scores (n, m) and the position of each query's
    right item, (n,), in; the share of queries whose right item scores above all others out.
    ValueError if a score is NaN.""",
    (
        Case((SCORES, CORRECT), 3 / 7, mistakes={
            "all three tied queries are hits"
            " | That is optimistic: a tie must count against the model.": 6 / 7,
            "ties are decided by the order on file: the first item wins"
            " | An argmax never sees a tie. Compare with every other score instead.": 5 / 7,
            "ties are decided by the order on file: the last item wins"
            " | A sort never sees a tie. Compare with every other score instead.": 4 / 7,
            "tied queries count half"
            " | That is the expected value; the pessimistic one counts them 0.": 4.5 / 7,
            "no query is a hit | The right item is >= itself: take it out of the count. And"
            " `correct`, not the row number, names it.": 0.0,
            "it divides by the number of items"
            " | There is one value per query: 7 rows, not 4 columns.": 3 / 4,
            "the misses are counted | Turn the comparison round: a hit has nothing at or above it.":
                1 / 7,
            **ABOVE_1,
        }, otherwise="By hand: rows 0, 4 and 5 have their right item alone on top.",
            meaning="one number from 0 to 1: the share of queries that are hits"),
        Case((np.full((4, 6), 0.3), np.array([5, 0, 2, 2])), 0.0, mistakes={
            "a constant model gets 100% | A model that gives every item the same score has no hit.":
                1.0,
        }, otherwise="A model that gives every item the same score has no hit.",
            given="for a constant model"),
        (
            Refusal((NAN_ROW, CORRECT), "a row of NaN", NAN),
            Refusal((ONE_NAN, CORRECT), "a single NaN, at a wrong item,", NAN),
        ),
        Case((MASKED, CORRECT), 3 / 7, INFINITE, given="with two scores of minus infinity",
            if_raises=INFINITE),
    ),
    """- First get the score of each query's right item, one number per row.
    - Count, per row, the scores that are at least as high. The right item is always one of them.
    - A hit is a row where that count is 1. And refuse NaN before any comparison.""",
    "Whatever order an index puts equal scores in, it cannot do worse than this number.",
)  # fmt: skip

# ---- traps.sign_flip: differences 2, 0, 2, -1, 4, 0 with sum 7. The flipped sums, in the order of
# the rows: 7, 9, -9, -7, 3, -1, 5, -1, -3, -5, 1, 7.

A = np.array([3.0, 1.0, 4.0, 2.0, 5.0, 2.0])
B = np.array([1.0, 1.0, 2.0, 3.0, 1.0, 2.0])
FLIPS = "++++++ +-+-++ -+-+-+ -+---- ++-+++ +-++-+ -++-+- -+-+++ ++---+ --++-+ +++--- +-+++-"
SIGNS = np.array([[1 if sign == "+" else -1 for sign in flip] for flip in FLIPS.split()])

sign_flip = Exercise(
    "traps.sign_flip",
    """Return the two-sided p-value of the difference between a (n,) and b (n,), given the flips to
    try, signs (m, n) of +1 and -1: p = (number of flips at least as extreme + 1) / (m + 1).""",
    (
        Case((A, B, SIGNS), 6 / 13, mistakes={
            "5 of 12 flips, and nothing else, are counted | The data are one more reordering of"
            " themselves: 1 is added to the count and to the number of flips.": 5 / 12,
            "flips to the other side, -9 and -7, are not counted"
            " | The test is two-sided: compare absolute sums.": 4 / 13,
            "flips that give exactly the observed sum are not counted"
            " | As extreme means at least as extreme: >=, not >.": 3 / 13,
            "the +1 is missing below the line | Add it to the number of flips too.": 6 / 12,
            "the +1 is missing above the line | Add it to the count too.": 5 / 13,
            "it counts the flips that are less extreme | Turn the comparison round.": 8 / 13,
        }, otherwise="By hand: a - b is (2, 0, 2, -1, 4, 0). Multiply by each row of signs, add up,"
            " compare with 7.", meaning="one p-value"),
        Case((B, A, SIGNS), 6 / 13,
            "With the two systems swapped the p-value must stay: the test does not expect one of"
            " them to win.", given="with a and b swapped"),
        Case((A, A, SIGNS), 1.0, mistakes={
            "two equal systems differ at p = 1/13 | A sum of 0 is as extreme as 0: use >=.": 1 / 13,
        }, otherwise="Two equal systems: every flip is as extreme as the observed sum, so p = 1.",
            given="for two equal systems"),
    ),
    """- The unit is the difference of the two systems on one query: a - b.
    - Each row of signs gives one sum of flipped differences. That is one matrix product.
    - Compare absolute sums with the absolute observed sum, at least as large; then the two +1.""",
    "The smallest p you can report is 1 / (m + 1): more flips give a finer p, never certainty.",
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
# Of RAGGED: the best captions of images 0, 1 and 2 are their own, that of image 3 belongs to image
# 0.
BEST = _caption_scores([3, 4, 12, 1], 20)

own_caption = Exercise(
    "traps.own_caption",
    """Return the share of images whose best-scored caption is one of their own: scores (n_images,
    n_captions) and owner (n_captions,), the image of each caption, in; one number out.""",
    (
        Case((_caption_scores([2, 7, 3, 15], 20), FIVE), 3 / 4, mistakes={
            "no image has a best caption of its own | Is caption i taken for the answer to image i?"
            " There are 20 captions and 4 images: look up the owner of the best caption.": 0.0,
            "only one image in four is a hit"
            " | Three are: any of an image's five captions answers it, not only the first.": 1 / 4,
            "captions choose among images: it is a share of captions"
            " | The queries are the images, the rows. Take the argmax along axis 1.": 7 / 20,
            **ABOVE_1,
        }, otherwise="The best captions of images 0, 1 and 3 are their own, that of image 2 belongs"
            " to image 0.", meaning="the share of images, 0 to 1"),
        Case((BEST, RAGGED), 3 / 4, mistakes={
            "image 1 is a miss although its best caption, number 4, is its own | Image 0 has four"
            " captions here and image 1 has six. Where does the code assume five?": 2 / 4,
        }, otherwise="The image of a caption is written in `owner`, and nowhere else."),
        (
            Case((BEST[:, ORDER], RAGGED[ORDER]), 3 / 4,
                "Only the file order of the captions changed. Does your code assume that an image's"
                " captions are neighbours?"),
            Case((BEST[:, ORDER] - 2, RAGGED[ORDER]), 3 / 4,
                "All scores are negative here: a caption that is no candidate must not become a"
                " 0."),
        ),
    ),
    """- Find the best caption of each image: a position among all captions.
    - Look up in `owner` which image that caption belongs to.
    - The share of images for which the answer is the image itself. No 5 appears anywhere.""",
    "Without the assumption the code is shorter: ids are simpler than positions.",
)  # fmt: skip

# ---- traps.mcnemar: 5 against 1, then 2 against 2, then no difference.

WINS = np.array([1, 1, 1, 1, 1, 0, 1, 1, 0, 1])
LOSSES = np.array([0, 0, 0, 0, 0, 1, 1, 1, 0, 1])
HITS_42 = (np.arange(100) < 42).astype(int)
HITS_AS_COINS = 2 * (1 + 12 + 66 + 220 + 495) / 2**12  # at most 4 heads of 12 coins
NO_COIN = "No query tells the two systems apart, so no coin is tossed, and p is 1."
EVEN = "Twice the tail up to 2 of 4 heads is 22/16: a probability stops at 1."

mcnemar = Exercise(
    "traps.mcnemar",
    """Return McNemar's exact two-sided p-value for the hits, 0 or 1, of two systems on the same
    queries: a (n,) and b (n,) in, p = min(1, 2 P[X <= the smaller count]) out, where X is the
    number of heads of as many fair coins as there are queries on which exactly one system is right;
    1 if there is no such query.""",
    (
        Case((WINS, LOSSES), 14 / 64, mistakes={
            "it is one-sided | Neither system was expected to win: twice the smaller tail.": 7 / 64,
            "only the split of 5 and 1 is counted"
            " | As extreme means 5 and 1 or anything beyond it, so 6 and 0 too.": 12 / 64,
            "that is the chi-square approximation | With six queries that differ it is far off."
            " Count the coin tosses exactly.": 0.10247043485974938,
            "that is the chi-square approximation with continuity correction"
            " | It is close, but exact costs no more: count the coin tosses.": 0.22067136191984682,
            "all ten queries count as coins | Queries on which both systems are right, or both"
            " wrong, say nothing about the difference: leave them out.": 22 / 1024,
            "all hits of both systems count as coins | Count the queries on which exactly one"
            " system is right: 5 and 1, not 8 and 4 hits.": HITS_AS_COINS,
            "5 wins against 1 give no evidence"
            " | Take the tail up to the smaller of the two counts.": 1.0,
        }, otherwise="Six queries differ, 5 to 1. Of the 64 ways six coins can fall, 1 + 6 have at"
            " most one head.", meaning="one p-value"),
        (
            Case((np.array([1, 1, 0, 0, 1]), np.array([0, 0, 1, 1, 1])), 1.0, mistakes={
                f"it returns 22/16, above 1 | {EVEN}": 22 / 16,
            }, otherwise=EVEN),
            Case((HITS_42, 1 - HITS_42), 0.13321061920721333,
                "42 wins against 58: 2 to the 100 does not fit into 64 bits. Python's whole numbers"
                " have no limit.", finite=False),
        ),
        Case((WINS, WINS), 1.0, NO_COIN, given="for two systems that never differ",
            finite=False, if_raises=NO_COIN),
    ),
    """- Two counts are all you need: queries only a gets right, queries only b gets right.
    - Of n coins, the ways to see exactly i heads are the binomial coefficient of n over i.
    - Add the ways from 0 to the smaller count, double, divide by 2 to the n, and stop at 1.""",
    "Only six of the ten queries counted: what both systems get right or wrong carries no"
    " evidence.",
)  # fmt: skip
