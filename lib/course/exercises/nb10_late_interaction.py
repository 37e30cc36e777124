"""Exercises of notebook 10: MaxSim, padding that does not leak, the loss of FILIP, tokens worth
keeping.
"""

import numpy as np

from lib.course.engine import (
    Exercise,
    Wrong,
    as_array,
    as_number,
    call,
    is_same,
    object_to_mistakes,
)

# Similarities 0.28, 0.8, -0.6 and 0.96, -0.6, -0.8: the words find 0.8 and 0.96.
QUERY = np.array([[1.0, 0.0], [0.0, 1.0]])
DOCUMENT = np.array([[0.28, 0.96], [0.8, -0.6], [-0.6, -0.8]])
SCORE = 1.76
SCORE_MISTAKES = (
    (
        0.88,
        (
            "it is the mean over the words",
            "ColBERT adds. The mean is FILIP's; here the sum is asked.",
        ),
    ),
    (
        1.16,
        (
            "every patch looked for its best word",
            "It is the words that choose: the maximum is over patches.",
        ),
    ),
    (
        0.96,
        ("only the best pair of all counts", "Every word has a maximum of its own; add them up."),
    ),
    (
        0.04,
        ("all similarities were added", "A word takes its best patch and leaves the others alone."),
    ),
    (-1.4, ("every word took its worst patch", "The largest similarity of each word is asked.")),
    (
        -0.32,
        (
            "word i was compared with patch i",
            "Nothing says that they belong together: compare all.",
        ),
    ),
)


def _score(function) -> None:
    value = as_number(call(function, QUERY, DOCUMENT), meaning="one number, the score")
    if not is_same(value, SCORE):
        object_to_mistakes(value, SCORE_MISTAKES)
        raise Wrong(
            f"it returns {value:.4g}, by hand it is {SCORE}",
            "The similarities are 0.28, 0.8, -0.6 for the first word and 0.96, -0.6, -0.8 for the"
            " second.",
        )


def _one_token(function) -> None:
    value = as_number(
        call(function, np.array([[2.0, -1.0]]), np.array([[0.5, 3.0]])), meaning="one number"
    )
    if is_same(value, -2 / np.sqrt(5 * 9.25)):
        raise Wrong(
            "the vectors were normalised",
            "Take them as they come: whoever wants cosines normalises.",
        )
    if not is_same(value, -2.0):
        raise Wrong(
            f"with one word and one patch it is {value:.4g}, not their dot product, -2",
            "A maximum over one number is that number, negative or not. A dual encoder is this"
            " case.",
        )
    value = as_number(
        call(function, np.tile(QUERY, (2, 1)), np.tile(DOCUMENT, (2, 1))), meaning="one number"
    )
    if not is_same(value, 2 * SCORE):
        raise Wrong(
            f"with every word and every patch twice it is {value:.4g}, not {2 * SCORE}",
            "Of patches that tie a word takes one, and a word that stands there twice counts"
            " twice.",
        )


# Document 1 has one token behind which padding is far from zero, document 2 finds nothing but
# negative similarities and is padded with zeros, document 3 is padded in front.
DOCUMENTS = np.array(
    [
        [[0.28, 0.96], [0.8, -0.6], [-0.6, -0.8]],
        [[-0.6, 0.8], [9.0, 9.0], [9.0, 9.0]],
        [[-0.8, -0.6], [-0.6, -0.8], [0.0, 0.0]],
        [[9.0, 9.0], [0.28, 0.96], [0.8, -0.6]],
    ]
)
MASK = np.array([[True] * 3, [True, False, False], [True, True, False], [False, True, True]])
SCORES = np.array([1.76, 0.2, -1.2, 1.76])
PADDING_COUNTS = (
    "padding counts like a token",
    "What stands there has no meaning. Where is the mask used?",
)
PADDING_WRONG = (
    (
        (1.76, 18.0, 0.0, 18.0),
        PADDING_COUNTS,
    ),
    (
        (1.76, 0.8, 0.0, 1.76),
        (
            "a word that finds nothing scores 0 instead of something negative",
            (
                "Zeros take part in the maximum, from a product with the mask or as its starting"
                " value, and 0 beats every negative similarity. Padding must lose against any"
                " number."
            ),
        ),
    ),
    (
        (0.88, 0.1, -0.6, 0.88),
        ("it is the mean over the words", "Add the maxima up, as in the warm-up."),
    ),
    (
        (1.76, 0.2, -1.2, 18.0),
        (
            "the first tokens are taken, as many as the mask counts",
            "Padding can stand in front. Use the mask.",
        ),
    ),
)


def _unpadded(function) -> None:
    meaning = "one score per document"
    given = QUERY, DOCUMENTS[:1], MASK[:1]
    found = as_array(call(function, *given), shape=(1,), kind="numbers", meaning=meaning)
    if not is_same(found, SCORES[:1]):
        object_to_mistakes(found[0], SCORE_MISTAKES)
        raise Wrong(
            f"without padding the score is {found[0]:.4g}, by hand it is {SCORE}",
            "That is the document of the warm-up.",
        )


def _padded(function) -> None:
    meaning = "one score per document"
    with np.errstate(all="ignore"):
        result = call(function, QUERY, DOCUMENTS, MASK)
    found = as_array(result, shape=(4,), kind="numbers", meaning=meaning)
    if is_same(found, SCORES):
        return
    object_to_mistakes(found, PADDING_WRONG)
    which = int(np.flatnonzero(~np.isclose(found, SCORES, rtol=1e-4, atol=1e-6))[0])
    raise Wrong(
        f"document {which} scores {found[which]:.4g}, alone and without padding it scores"
        f" {SCORES[which]}",
        "Take its tokens that count, and do the warm-up with them.",
    )


def _long_vectors(function) -> None:
    given = (
        np.array([[1.0, 0.0]]),
        np.array([[[-1e30, 0.0], [0.0, 0.0]]]),
        np.array([[True, False]]),
    )
    with np.errstate(all="ignore"):
        found = as_array(call(function, *given), shape=(1,), kind="numbers", meaning="one score")
    if not is_same(found, np.array([-1e30])):
        raise Wrong(
            f"a similarity of -1e30 becomes {found[0]:g}",
            "Padding got a number that looked small enough. There is one that is below all others.",
        )


T2I = np.array([[2.0, 0.0, 1.0], [1.0, 1.0, 3.0], [-1.0, 2.0, 0.0]])
I2T = np.array([[1.0, 2.0, 0.0], [0.0, 3.0, 1.0], [2.0, 0.0, 0.0]])
LOSS = 1.354177
LOSS_MISTAKES = (
    (
        1.438999,
        (
            "both softmaxes run over images: no image chooses among texts",
            (
                "Rows of both matrices are texts. What are the candidates of an image, and where do"
                " they stand?"
            ),
        ),
    ),
    (
        1.372421,
        ("both softmaxes run over texts", "A text chooses among images, which are the columns."),
    ),
    (
        1.457243,
        (
            "each matrix has the softmax of the other",
            "In text_to_image texts choose, in image_to_text images.",
        ),
    ),
    (2.708353, ("the two losses are added", "Their mean is asked.")),
    (
        -1.354177,
        ("it is negative", "A logarithm of a probability is negative; the loss is minus that."),
    ),
    (
        4.062530,
        ("it is the sum over the pairs", "Take the mean over queries, then over directions."),
    ),
    (1.605666, ("only texts choose", "Half of the loss is missing: images look for their texts.")),
    (1.102688, ("only images choose", "Half of the loss is missing: texts look for their images.")),
)


def _loss(function) -> None:
    value = as_number(call(function, T2I, I2T), meaning="one number, the loss")
    if not is_same(value, LOSS):
        object_to_mistakes(value, LOSS_MISTAKES)
        raise Wrong(
            f"it returns {value:.4f}, by hand it is {LOSS:.4f}",
            "Right pairs are on the diagonal. Means over three texts and over three images, then"
            " their mean.",
        )


def _loss_far_out(function) -> None:
    far = np.array([[1000.0, 0.0], [0.0, 1000.0]])
    with np.errstate(all="ignore"):
        given = (
            far - np.array([[0.0], [3000.0]]),
            np.array([0.0, 3000.0]) - far,
        )  # no query's softmax changes
        value = as_number(call(function, *given), meaning="the loss", finite=False)
    if not np.isfinite(value) or not is_same(value, 500.0):
        raise Wrong(
            f"with logits of 1000 the loss is {value:g}, it should be 500",
            "e to the 1000 is infinite. Take the largest logit of each query away before, and add"
            " it after the logarithm.",
        )


# Wins are 1, 2, 3, 0. Added up, the similarities are 7, 2.3, -7, 0.465.
ASKED = np.array([[-1.0, 0.1], [-1.0, 0.1], [-1.0, 0.1], [0.0, 1.0], [0.0, 1.0], [10.0, 0.0]])
OFFERED = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.05, 0.05]])
KEPT = np.array([1, 2])
POSITIONS = "positions of patches, ascending"


def _kept(function) -> None:
    found = as_array(
        call(function, ASKED, OFFERED, 2), shape=(2,), kind="integers", meaning=POSITIONS
    )
    if is_same(found, KEPT):
        return
    if is_same(np.sort(found), KEPT):
        raise Wrong(
            f"the right patches are there, as {found.tolist()}, by their wins",
            "Patches keep the order in which they stand in the image: ascending positions.",
        )
    if 0 in found and 3 in found:
        raise Wrong("those that seldom win are kept", "Keep the patches with the most wins.")
    if 0 in found:
        raise Wrong(
            "similarities were added or compared, wins were not counted",
            "Patch 0 fits one word so well that a sum favours it, but a patch earns its place by"
            " how many words it wins.",
        )
    raise Wrong(f"it keeps {found.tolist()}", "The wins are 1, 2, 3 and 0. Which two are the most?")


def _ties(function) -> None:
    given = np.eye(2), OFFERED[:2], 1
    found = as_array(call(function, *given), shape=(1,), kind="integers", meaning=POSITIONS)
    if found[0] != 0:
        raise Wrong(
            "of two patches with one win each the later one stays", "Of equal ones the first stays."
        )
    found = as_array(
        call(function, np.eye(40), np.eye(40), 20), shape=(20,), kind="integers", meaning=POSITIONS
    )
    if not is_same(found, np.arange(20)):
        raise Wrong(
            "with 40 patches of one win each it is not the first twenty that stay",
            "Not every sort keeps equal items in the order they had; the word for one that does is"
            " 'stable'.",
        )


def _never_won(function) -> None:
    found = as_array(
        call(function, ASKED[:3], OFFERED, 3), shape=(3,), kind="integers", meaning=POSITIONS
    )
    if not is_same(found, np.array([0, 1, 2])):
        raise Wrong(
            f"where one patch wins all, the best three are {found.tolist()}",
            "The others have no win at all and tie: the first of them stay.",
        )
    found = np.asarray(call(function, ASKED[:3], OFFERED, 4))
    if found.tolist() != [0, 1, 2, 3]:
        raise Wrong(
            "the last patch never wins, and of four patches, all to be kept, it keeps"
            f" {found.tolist()}",
            "A count that ends at the last winner does not know it: count all positions, zeros"
            " too.",
        )


EXERCISES = (
    Exercise(
        name="late.maxsim",
        statement="Return the MaxSim of a query (L_q, d) with a document (L_d, d): one number.",
        stages=(_score, _one_token),
        hints=(
            "One matrix of all similarities, words by patches. What do you do with a row of it?",
            "The largest of each row, then their sum.",
        ),
        insight="With one word and one patch nothing is left but a dot product: the dual encoder.",
    ),
    Exercise(
        name="late.padded",
        statement=(
            "Return the MaxSim of a query (L_q, d) with documents (n, L_d, d) of which only the"
            " tokens count where mask (n, L_d) is true: (n,) numbers, the same as of each document"
            " alone."
        ),
        stages=(_unpadded, _padded, _long_vectors),
        hints=(
            "Similarities of all documents at once have three axes: documents, words, patches.",
            (
                "Before the maximum over patches, padding must become something that no similarity"
                " can be below."
            ),
            "That is minus infinity, put in the place of the similarity, not multiplied with it.",
        ),
        insight=(
            "Test it so: the same document alone and padded, with similarities that are all"
            " negative."
        ),
    ),
    Exercise(
        name="late.filip",
        statement=(
            "Return FILIP's loss of two logit matrices (n_texts, n_images), right pairs on the"
            " diagonal: the mean of the cross-entropy of texts that choose images, from"
            " text_to_image, and of images that choose texts, from image_to_text."
        ),
        stages=(_loss, _loss_far_out),
        hints=(
            "Which axis of image_to_text holds the candidates of one image?",
            "Its columns are the queries. Turn the matrix before the same cross-entropy.",
            (
                "The logarithm of a sum of exponentials stays finite if the largest logit is taken"
                " out first."
            ),
        ),
        insight="A loss with the wrong axis still falls in training; only a worked number tells.",
    ),
    Exercise(
        name="late.prune",
        statement=(
            "Return the positions, ascending, of the k patches of a document (L_d, d) that are "
            "the best one for the most query tokens (T, d); of equal ones the first stays."
        ),
        stages=(_kept, _ties, _never_won),
        hints=(
            "Which patch wins for each query token? That is a list of T positions.",
            "Count how often each position occurs, and do not forget those that never do.",
            "Order by falling count with a stable sort, take k, and put those in ascending order.",
        ),
        insight=(
            "The tokens to count wins with are a choice made on other queries than those you"
            " report."
        ),
    ),
)
