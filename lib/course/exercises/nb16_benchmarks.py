"""Exercises of notebook 16: ragged captions, folds, a loader that counts, protocols side by
side.
"""

import numpy as np

from lib.course.engine import (
    Exercise,
    Wrong,
    as_array,
    as_number,
    call,
    expect_refusal,
    is_same,
    object_to_mistakes,
)

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
RANKS = np.array([3, 2, 1])
_RANK_MISTAKES = (
    (
        np.array([3, 1, 1]),
        (
            "the tie of image 1 counts for it",
            (
                "Caption 0 scores exactly as high as its best own one. A tie counts against: at"
                " least as high."
            ),
        ),
    ),
    (RANKS - 1, ("ranks start at 0", "Rank 1 is the best: nothing stands above it.")),
    (
        np.array([3, 4, 2]),
        (
            "each image has the rank of its worst own caption",
            "One good caption is enough: take the best of its own.",
        ),
    ),
    (
        np.array([3, 3, 1]),
        (
            "each image has the rank of the mean of its own",
            "One good caption is enough: take the best.",
        ),
    ),
    (
        np.array([3, 3, 2]),
        (
            "each image has the rank of its first own caption",
            "The caption that stands first in the file is not the best one.",
        ),
    ),
)


def _ranks(function, scores, owner) -> np.ndarray:
    meaning = "one rank per image"
    return as_array(
        call(function, scores, owner), shape=(len(scores),), kind="numbers", meaning=meaning
    )


def _ranks_by_hand(function) -> None:
    found = _ranks(function, SCORES, RAGGED)
    object_to_mistakes(found, _RANK_MISTAKES)
    if not is_same(found, RANKS):
        raise Wrong(
            f"the ranks are {found.tolist()}",
            f"By hand they are {RANKS.tolist()}: for image 0 the captions 1 and 4 stand above its"
            " only one.",
        )


def _ranks_in_any_order(function) -> None:
    order = np.array([4, 2, 0, 5, 1, 3])
    found = _ranks(function, SCORES[:, order], RAGGED[order])
    if not is_same(found, RANKS):
        raise Wrong(
            f"with the captions in another order the ranks become {found.tolist()}",
            "Captions of an image need not stand together: ask `owner` whose each one is.",
        )
    found = _ranks(function, np.array([[0.5, 0.5, 0.3], [0.1, 0.2, 0.9]]), np.array([0, 0, 1]))
    if not is_same(found, np.array([1, 1])):
        raise Wrong(
            "where an image's own two captions tie for the first place the ranks are"
            f" {found.tolist()}",
            "Only captions of others count against it: leave its own out of the count.",
        )
    found = _ranks(function, np.array([[-3e30, -2e30], [-5e30, -4e30]]), np.array([0, 1]))
    if not is_same(found, np.array([2, 1])):
        raise Wrong(
            f"with scores of -2e30 and less the ranks are {found.tolist()}, expected [2, 1]",
            "A caption that is not its own got a number, 0 or another, that is above its own"
            " score.",
        )


# ---- benchmarks.mean_of_folds: six images in two folds of three; their captions: 2, 1, 1 and 1, 1,
# 4.

OWNER = np.array([0, 0, 1, 2, 3, 4, 5, 5, 5, 5])
# For each caption the image with the best score in the whole gallery, and the best inside its own
# fold.
_BEST = np.array([0, 4, 1, 0, 3, 0, 5, 5, 3, 4])
_BEST_INSIDE = np.array([0, 0, 1, 0, 3, 4, 5, 5, 3, 4])
FOLDED = (3 / 4 + 4 / 6) / 2
_FOLD_MISTAKES = (
    (
        5 / 10,
        (
            "it is R@1 on the whole gallery",
            "Each caption competes only with the images of its fold.",
        ),
    ),
    (3 / 4, ("it is the first fold alone", "Papers average all folds; the first is one of them.")),
    (
        7 / 10,
        (
            "it is the share of all captions, whatever their fold",
            "A fold with more captions counts no more than another: average the folds' own R@1.",
        ),
    ),
    (4 / 6, ("it is the last fold alone", "Average all folds.")),
    (
        3 / 4 + 4 / 6,
        ("it is the sum of the folds", "Divide by the number of folds: papers print their mean."),
    ),
)


def _fold_scores() -> np.ndarray:
    """`(10, 6)`: low scores, 0.8 for the best image inside the fold, 0.9 for the best of all."""
    rows, columns = np.ogrid[: OWNER.size, :6]
    scores = ((7 * rows + 5 * columns) % 13) / 100
    scores[np.arange(OWNER.size), _BEST_INSIDE] = 0.8
    scores[np.arange(OWNER.size), _BEST] = 0.9
    return scores


def _fold_value(function, scores, owner, n_folds) -> float:
    meaning = "one number from 0 to 1: the mean of the folds' R@1"
    value = as_number(call(function, scores, owner, n_folds), meaning=meaning)
    if value > 2:
        raise Wrong(f"it returns {value:.6g}", "A share is asked for, not a percentage or a count.")
    return value


def _folds_by_hand(function) -> None:
    value = _fold_value(function, _fold_scores(), OWNER, 2)
    object_to_mistakes(value, _FOLD_MISTAKES)
    if not is_same(value, FOLDED):
        raise Wrong(
            f"it returns {value:.4f}",
            f"By hand it is (3/4 + 4/6) / 2 = {FOLDED:.4f}. A fold is three neighbouring images"
            " here, and the captions that belong to them: four, and six.",
        )


def _one_fold_is_the_whole(function) -> None:
    value = _fold_value(function, _fold_scores() - 1.0, OWNER, 2)
    if not is_same(value, FOLDED):
        raise Wrong(
            f"with 1 taken from every score it returns {value:.4f}",
            "Images of other folds must not compete, not even with a score of 0.",
        )
    value = _fold_value(function, _fold_scores(), OWNER, 1)
    if not is_same(value, 5 / 10):
        raise Wrong(
            f"with one fold it returns {value:.4f}", "One fold is the whole gallery, so R@1 of it."
        )


# ---- benchmarks.load_clips: names that do not sort in the order of the file, one missing, one
# stranger.

CLIPS = [("v9", "a dog"), ("v1", "a cat"), ("v5", "a car"), ("v9", "a dog runs")]
ON_DISK = {"v1", "v9", "v7"}
PAIRS = [("v9", "a dog"), ("v1", "a cat"), ("v9", "a dog runs")]


def _loaded(function, rows, on_disk, allow_partial) -> tuple[list, list]:
    result = call(function, rows, on_disk, allow_partial)
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise Wrong(
            "it does not return two things", "Return the pairs, and the names that are missing."
        )
    try:
        return [tuple(pair) for pair in result[0]], list(result[1])
    except TypeError:
        raise Wrong(
            "the two things are no lists", "Pairs of name and caption first, then missing names."
        ) from None


def _loads_all(function) -> None:
    pairs, missing = _loaded(function, CLIPS, {"v1", "v5", "v9"}, False)
    if sorted(pairs) == sorted(CLIPS) and pairs != CLIPS:
        raise Wrong(
            "the pairs come in another order", "The order of the file is the order of evaluation."
        )
    if any(pair not in CLIPS for pair in pairs):
        wrong = next(pair for pair in pairs if pair not in CLIPS)
        raise Wrong(
            f"{wrong[0]} gets the caption {wrong[1]!r}, which belongs to another clip",
            "Positions in a folder and positions in a file are two orders. Join by name.",
        )
    if len(pairs) < len(CLIPS):
        raise Wrong(
            f"of {len(CLIPS)} captions {len(pairs)} are left although nothing is missing",
            "A clip may have several captions: go through the rows, not through the names.",
        )
    if missing:
        raise Wrong(f"{missing} are called missing", "Everything is on disk in this case.")


def _says_what_is_missing(function) -> None:
    pairs, missing = _loaded(function, CLIPS, ON_DISK, True)
    if any("v7" in pair for pair in pairs):
        raise Wrong(
            "v7 is loaded, which the file does not name", "The file says what the benchmark is."
        )
    if any("v5" in pair for pair in pairs):
        raise Wrong("v5 is loaded, which is not on disk", "Leave its rows out, and list its name.")
    if pairs != PAIRS:
        raise Wrong(f"the pairs are {pairs}", f"With v5 missing they are {PAIRS}.")
    if missing != ["v5"]:
        raise Wrong(
            f"the missing names are {missing}, expected ['v5']",
            "The second list holds each name that the file has and the disk has not, once. It is"
            " what makes the loss visible.",
        )
    missing = _loaded(function, CLIPS, {"v1", "v5"}, True)[1]
    if missing != ["v9"]:
        raise Wrong(
            f"with v9, which has two captions, missing, the missing names are {missing}",
            "Clips are missing, not captions: each name once.",
        )


def _refuses(function) -> None:
    hint = "A gallery that shrinks makes every model better. Raise a ValueError that says 2 of 3."
    case = "a missing clip, where partial loading is not allowed,"
    error = expect_refusal(function, CLIPS, ON_DISK, False, case=case, hint=hint)
    if not {"2", "3"} <= set(str(error)):
        raise Wrong(
            f"it refuses with {str(error)[:100]!r}",
            "Say how many were found of how many: 2 of 3 clips. The size of the loss must be seen.",
        )


# ---- benchmarks.side_by_side

MINE = {"split": "test", "captions": 25_010, "prompt": "", "inference": "inductive", "folds": 1}
THEIRS = {
    "split": "test",
    "captions": 25_000,
    "prompt": None,
    "inference": "transductive",
    "year": 2021,
}


def _columns(function, mine, theirs) -> tuple[list, list]:
    result = call(function, mine, theirs)
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise Wrong(
            "it does not return two things", "Return the columns that differ, and those left open."
        )
    try:
        return list(result[0]), list(result[1])
    except TypeError:
        raise Wrong(
            "the two things are no lists", "Two lists of column names are asked for."
        ) from None


def _columns_by_hand(function) -> None:
    differ, left_open = _columns(function, MINE, THEIRS)
    if sorted(differ) == ["captions", "inference"] and sorted(left_open) == ["prompt"]:
        raise Wrong(
            "columns that only one of the two has are dropped",
            "`folds` and `year` are stated on one side only, so the other leaves them open.",
        )
    if "prompt" in differ:
        raise Wrong(
            "an unstated prompt counts as another prompt",
            "None says that the source is silent. That is neither equal nor different.",
        )
    if "prompt" not in left_open:
        raise Wrong(
            "an unstated prompt counts as the same",
            "Silence is not agreement: list it as left open.",
        )
    if "captions" not in differ:
        raise Wrong("25,010 and 25,000 captions pass as one gallery", "Near is not equal.")
    if set(differ) & {"folds", "year"}:
        raise Wrong(
            "a column of one side only counts as different", "The other side leaves it open."
        )
    if differ != sorted(differ) or left_open != sorted(left_open):
        raise Wrong(
            "the names are not sorted", "Sort both lists, so that two readers see one answer."
        )
    if (differ, left_open) != (["captions", "inference"], ["folds", "prompt", "year"]):
        raise Wrong(
            f"it returns {differ} and {left_open}",
            "By hand: captions and inference differ; folds, prompt and year are left open by one"
            " side.",
        )


def _columns_symmetric(function) -> None:
    if _columns(function, THEIRS, MINE) != _columns(function, MINE, THEIRS):
        raise Wrong(
            "turned round, the answer changes",
            "Neither of the two numbers is the measure: ask both.",
        )
    if _columns(function, MINE, MINE) != ([], []):
        raise Wrong(
            "a protocol does not agree with itself",
            "The empty prompt is stated: no words in front.",
        )
    if _columns(function, {"a": 0, "b": False}, {"a": 1, "b": True}) != (["a", "b"], []):
        raise Wrong(
            "a value of 0 or False counts as silence", "Only None, or no entry, is silence."
        )
    if _columns(function, {"a": None}, {"a": None}) != ([], ["a"]):
        raise Wrong(
            "two silences pass as agreement", "Where both are silent, nothing is known: left open."
        )


EXERCISES = (
    Exercise(
        name="benchmarks.best_rank",
        statement=(
            "Return the rank, from 1, of each image's best own caption among all captions of"
            " others: scores (n_images, n_captions) and owner (n_captions,), the image of each"
            " caption, in; (n_images,) out. Ties with another image's caption count against."
        ),
        stages=(_ranks_by_hand, _ranks_in_any_order),
        hints=(
            "First the best own score of each image, then how many captions of others reach it.",
            "A table of true and false, image by caption, says whose caption each is.",
            "Put minus infinity where a caption is not its own, and take the largest of each row.",
        ),
        insight="No number of captions is built in, so six captions, or seven, change nothing.",
    ),
    Exercise(
        name="benchmarks.mean_of_folds",
        statement=(
            "Return the mean over folds of R@1, captions asking: scores (n_captions, n_images),"
            " owner (n_captions,), and the number of folds; folds are equal runs of neighbouring"
            " images."
        ),
        stages=(_folds_by_hand, _one_fold_is_the_whole),
        hints=(
            "The fold of an image is its position divided by the images of a fold, rounded down.",
            "A caption is in the fold of its image; within the fold, only those columns compete.",
            "R@1 of each fold first; then the plain mean of these.",
        ),
        insight=(
            "With ragged captions the mean of means is not the mean over captions, and papers print"
            " the former."
        ),
    ),
    Exercise(
        name="benchmarks.load_clips",
        statement=(
            "Return the (name, caption) pairs of the clips that are on disk, in the order of the"
            " file, and the names that are missing; raise ValueError that says how many of how many"
            " were found, unless partial loading is allowed."
        ),
        stages=(_loads_all, _says_what_is_missing, _refuses),
        hints=(
            (
                "What decides which clips belong to the benchmark, and in which order: the file, or"
                " the folder?"
            ),
            "Go through the rows; ask of each whether its name is on disk.",
            "Count distinct names, found and listed, and refuse before anything is returned.",
        ),
        insight="The three errors are silent: the numbers they give look like results.",
    ),
    Exercise(
        name="benchmarks.side_by_side",
        statement=(
            "Return two sorted lists: the columns in which two protocols, dicts of column to value,"
            " differ, and the columns that at least one of them leaves open (None, or not there)."
        ),
        stages=(_columns_by_hand, _columns_symmetric),
        hints=(
            "There are three answers per column: equal, different, and not known.",
            "Look at the columns of both dicts together, not at those of one.",
            (
                "First ask whether one side is silent; only then compare. An empty text is a"
                " statement."
            ),
        ),
        insight="A table that prints equal and unknown alike is how numbers of two protocols meet.",
    ),
)
