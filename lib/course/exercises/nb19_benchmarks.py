"""Exercises of notebook 19: ragged captions, folds, a loader that counts, protocols compared."""

import numpy as np

from lib.course.cases import Case, Exercise, Refusal, Wrong, expect

# ---- benchmarks.best_rank: image 0 has one caption, 1 has three, 2 two. Of others' captions, two
# stand above the best own one of image 0, one ties with that of image 1.

SCORES = np.array(
    [
        [0.5, 0.7, 0.1, 0.2, 0.9, 0.3],
        [0.6, 0.2, 0.6, 0.1, 0.3, 0.15],
        [-0.5, -0.6, -0.9, -0.7, -0.55, -0.2],
    ]
)
RAGGED = np.array([0, 1, 1, 1, 2, 2])
RANKS = np.array([3.0, 2.0, 1.0])
OTHER_ORDER = np.array([4, 2, 0, 5, 1, 3])
LOW = np.array([[-3e30, -2e30], [-5e30, -4e30]])

best_rank = Exercise(
    "benchmarks.best_rank",
    """Return the rank, from 1, of each image's best own caption among all captions of others:
    scores (n_images, n_captions) and owner (n_captions,), the image of each caption, in;
    (n_images,) out. Ties with another image's caption count against.""",
    (
        Case((SCORES, RAGGED), RANKS, mistakes={
            "the tie of image 1 counts for it | Caption 0 scores exactly as high as its best own"
            " one. A tie counts against: at least as high.": [3, 1, 1],
            "ranks start at 0 | Rank 1 is the best: nothing stands above it.": RANKS - 1,
            "each image has the rank of its worst own caption"
            " | One good caption is enough: take the best of its own.": [3, 4, 2],
            "each image has the rank of the mean of its own"
            " | One good caption is enough: take the best.": [3, 3, 1],
            "each image has the rank of its first own caption"
            " | The caption that stands first in the file is not the best one.": [3, 3, 2],
        }, otherwise="For image 0 the captions 1 and 4 stand above its only one.",
            given="for three images", meaning="one rank per image"),
        (
            Case((SCORES[:, OTHER_ORDER], RAGGED[OTHER_ORDER]), RANKS,
                "Captions of an image need not stand together: read in `owner` which image each"
                " belongs to.", given="with the captions in another order"),
            Case((np.array([[0.5, 0.5, 0.3], [0.1, 0.2, 0.9]]), np.array([0, 0, 1])),
                np.array([1.0, 1.0]),
                "Only captions of others count against it: leave its own out of the count.",
                given="where an image's own two captions tie for the first place"),
            Case((LOW, np.array([0, 1])), np.array([2.0, 1.0]),
                "A caption that is not its own got a number, 0 or another, that is above its own"
                " score.", given="with scores of -2e30 and less"),
        ),
    ),
    """- First the best own score of each image, then how many captions of others reach it.
    - A table of true and false, image by caption, says which image each caption belongs to.
    - Put minus infinity where a caption is not its own, and take the largest of each row.""",
    "No number of captions is built in, so six captions, or seven, change nothing.",
)  # fmt: skip

# ---- benchmarks.mean_of_folds: six images in two folds of three; their captions: 2, 1, 1 and 1, 1,
# 4.

OWNER = np.array([0, 0, 1, 2, 3, 4, 5, 5, 5, 5])
# For each caption the image with the best score in the whole gallery, and the best inside its own
# fold.
BEST = np.array([0, 4, 1, 0, 3, 0, 5, 5, 3, 4])
BEST_INSIDE = np.array([0, 0, 1, 0, 3, 4, 5, 5, 3, 4])
FOLDED = (3 / 4 + 4 / 6) / 2


def _fold_scores() -> np.ndarray:
    """`(10, 6)`: low scores, 0.8 for the best image inside the fold, 0.9 for the best of all."""
    rows, columns = np.ogrid[: OWNER.size, :6]
    scores = ((7 * rows + 5 * columns) % 13) / 100
    scores[np.arange(OWNER.size), BEST_INSIDE] = 0.8
    scores[np.arange(OWNER.size), BEST] = 0.9
    return scores


FOLD_SCORES = _fold_scores()

mean_of_folds = Exercise(
    "benchmarks.mean_of_folds",
    """Return the mean over folds of R@1, with captions as queries: scores (n_captions, n_images),
    owner (n_captions,), and the number of folds; folds are equal runs of neighbouring images.""",
    (
        Case((FOLD_SCORES, OWNER, 2), FOLDED, mistakes={
            "it is R@1 on the whole gallery"
            " | Each caption competes only with the images of its fold.": 5 / 10,
            "it is the first fold alone | Papers average all folds; the first is one of them.":
                3 / 4,
            "it is the share of all captions, whatever their fold | A fold with more captions"
            " counts no more than another: average the folds' own R@1.": 7 / 10,
            "it is the last fold alone | Average all folds.": 4 / 6,
            "it is the sum of the folds | Divide by the number of folds: papers print their mean.":
                3 / 4 + 4 / 6,
            "it returns a number above 1 | Return a share, not a percentage or a count.":
                lambda share: share > 1,
        }, otherwise=f"By hand it is (3/4 + 4/6) / 2 = {FOLDED:.4f}. A fold is three neighbouring"
            " images here, and the captions that belong to them: four, and six.",
            given="for two folds", meaning="one number from 0 to 1: the mean of the folds' R@1"),
        (
            Case((FOLD_SCORES - 1.0, OWNER, 2), FOLDED,
                "Images of other folds must not compete, not even with a score of 0.",
                given="with 1 taken from every score"),
            Case((FOLD_SCORES, OWNER, 1), 5 / 10, "One fold is the whole gallery, so R@1 of it.",
                given="with one fold"),
        ),
    ),
    """- The fold of an image is its position divided by the images of a fold, rounded down.
    - A caption is in the fold of its image; within the fold, only those columns compete.
    - R@1 of each fold first; then the plain mean of these.""",
    "With ragged captions the mean of means is not the mean over captions, and papers print the"
    " former.",
)  # fmt: skip

# ---- benchmarks.load_clips: names that do not sort in the order of the file, one missing, one that
# the file does not name.

CLIPS = [("v9", "a dog"), ("v1", "a cat"), ("v5", "a car"), ("v9", "a dog runs")]
ON_DISK = {"v1", "v9", "v7"}
PAIRS = [("v9", "a dog"), ("v1", "a cat"), ("v9", "a dog runs")]


def _two_lists(contents: str, rows: bool):
    """Return a reader of an answer of two lists; the items of the first are pairs or names."""

    def read(result) -> list[list]:
        expect(
            isinstance(result, tuple | list) and len(result) == 2,
            f"it does not return two things | Return two lists: {contents}.",
        )
        try:
            first, second = result
            return [[tuple(pair) for pair in first] if rows else list(first), list(second)]
        except TypeError:
            raise Wrong(f"the two things are no lists | Return two lists: {contents}.") from None

    return read


PAIRS_AND_MISSING = _two_lists("the pairs of name and caption, then the missing names", rows=True)


def _says_how_many(function) -> None:
    case = "a missing clip, where partial loading is not allowed,"
    hint = "A gallery that shrinks makes every model better. Raise a ValueError that says 2 of 3."
    error = Refusal((CLIPS, ON_DISK, False), case, hint)(function)
    if not {"2", "3"} <= set(str(error)):
        hint = (
            "Say how many were found of how many, 2 of 3 clips: the size of the loss must be seen."
        )
        raise Wrong(f"it refuses with {str(error)[:100]!r}", hint)


load_clips = Exercise(
    "benchmarks.load_clips",
    """Return the (name, caption) pairs of the clips that are on disk, in the order of the file, and
    the names that are missing; raise ValueError that says how many of how many were found, unless
    partial loading is allowed.""",
    (
        Case((CLIPS, {"v1", "v5", "v9"}, False), [CLIPS, []], mistakes={
            "the pairs come in another order | The order of the file is the order of evaluation.":
                lambda lists: lists[0] != CLIPS and sorted(lists[0]) == sorted(CLIPS),
            "a clip gets a caption that belongs to another clip"
            " | Positions in a folder and positions in a file are two orders. Join by name.":
                lambda lists: not set(lists[0]) <= set(CLIPS),
            "captions are lost although nothing is missing | A clip may have several captions: go"
            " through the rows, not through the names.": lambda lists: len(lists[0]) < len(CLIPS),
        }, otherwise="Everything is on disk in this case: all pairs, and no missing name.",
            given="where all clips are on disk", read=PAIRS_AND_MISSING),
        (
            Case((CLIPS, ON_DISK, True), [PAIRS, ["v5"]], mistakes={
                "v7 is loaded, which the file does not name | The file says what the benchmark is.":
                    lambda lists: any("v7" in pair for pair in lists[0]),
                "v5 is loaded, which is not on disk | Leave its rows out, and list its name.":
                    lambda lists: any("v5" in pair for pair in lists[0]),
            }, otherwise="The second list holds each name that is in the file and not on disk,"
                " once. It makes the loss visible.", given="with v5 missing",
                read=PAIRS_AND_MISSING),
            Case((CLIPS, {"v1", "v5"}, True), [CLIPS[1:3], ["v9"]],
                "Clips are missing, not captions: each name once.",
                given="with v9, which has two captions, missing", read=PAIRS_AND_MISSING),
        ),
        _says_how_many,
    ),
    """- What decides which clips belong to the benchmark, and in which order: the file, or the
      folder?
    - Go through the rows; check for each whether its name is on disk.
    - Count distinct names, found and listed, and refuse before anything is returned.""",
    "The three errors are silent: the numbers they give look like results.",
)  # fmt: skip

# ---- benchmarks.side_by_side

MINE = {"split": "test", "captions": 25_010, "prompt": "", "inference": "inductive", "folds": 1}
THEIRS = {"split": "test", "captions": 25_000, "prompt": None, "inference": "transductive"}
THEIRS["year"] = 2021
DIFFER, LEFT_OPEN = ["captions", "inference"], ["folds", "prompt", "year"]
COLUMNS = _two_lists("the columns that differ, then those left open", rows=False)

side_by_side = Exercise(
    "benchmarks.side_by_side",
    """Return two sorted lists: the columns in which two protocols, dicts of column to value,
    differ, and the columns that at least one of them leaves open (None, or not there).""",
    (
        Case((MINE, THEIRS), [DIFFER, LEFT_OPEN], mistakes={
            "columns that only one of the two has are dropped"
            " | `folds` and `year` are stated on one side only, so the other leaves them open.":
                lambda lists: sorted(lists[0]) == DIFFER and lists[1] == ["prompt"],
            "an unstated prompt counts as another prompt | None says that the source does not state"
            " it. That is neither equal nor different.": lambda lists: "prompt" in lists[0],
            "an unstated prompt counts as the same | An unstated value is no agreement: list it as"
            " left open.": lambda lists: "prompt" not in lists[1],
            "25,010 and 25,000 captions pass as one gallery | Near is not equal.":
                lambda lists: "captions" not in lists[0],
            "a column of one side only counts as different | The other side leaves it open.":
                lambda lists: not {"folds", "year"}.isdisjoint(lists[0]),
            "the names are not sorted | Sort both lists: then two users get one answer.":
                lambda lists: [sorted(each) for each in lists] == [DIFFER, LEFT_OPEN],
        }, otherwise="By hand: captions and inference differ; folds, prompt and year are left open"
            " by one side.", read=COLUMNS),
        (
            Case((THEIRS, MINE), [DIFFER, LEFT_OPEN],
                "Neither of the two protocols is the standard: look at both.", given="turned round",
                read=COLUMNS),
            Case((MINE, MINE), [[], []],
                "a protocol does not agree with itself | The empty prompt is stated: no words in"
                " front.", read=COLUMNS),
            Case(({"a": 0, "b": False}, {"a": 1, "b": True}), [["a", "b"], []],
                "a value of 0 or False counts as unstated | Only None, or no entry, is unstated.",
                read=COLUMNS),
            Case(({"a": None}, {"a": None}), [[], ["a"]],
                "two unstated values pass as agreement | Where neither side states it, nothing is"
                " known: left open.", read=COLUMNS),
        ),
    ),
    """- There are three answers per column: equal, different, and not known.
    - Look at the columns of both dicts together, not at those of one.
    - First check whether one side leaves it open; only then compare. An empty text is a
      statement.""",
    "If equal and unknown look alike in a table, numbers of two protocols stand side by side.",
)  # fmt: skip
