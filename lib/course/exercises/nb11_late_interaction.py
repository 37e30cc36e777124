"""Exercises of notebook 11: MaxSim, padding that does not leak, the FILIP loss, pruned tokens."""

import numpy as np

from lib.course.cases import Case, Exercise

# ---- late.maxsim: similarities 0.28, 0.8, -0.6 and 0.96, -0.6, -0.8, so the largest are 0.8 and
# 0.96.

QUERY = np.eye(2)
DOCUMENT = np.array([[0.28, 0.96], [0.8, -0.6], [-0.6, -0.8]])
ONE_DOCUMENT = {
    "it is the mean over the words | ColBERT adds. The mean is FILIP's; here return the sum.": 0.88,
    "every patch looked for its best word | The words choose: the maximum is over patches.": 1.16,
    "only the best pair of all counts | Every word has a maximum of its own; add them up.": 0.96,
    "one mean vector a side was compared, as in a dual encoder | Keep the vectors apart: each word"
    " takes its own best patch.": 0.04 / 6,
    "all similarities were added | A word takes its best patch and ignores the others.": 0.04,
    "every word took its worst patch | Take the largest similarity of each word.": -1.4,
    "word i was compared with patch i | They do not belong together: compare all.": -0.32,
}  # fmt: skip

maxsim = Exercise(
    "late.maxsim",
    """Return the MaxSim of a query (L_q, d) with a document (L_d, d): one number.""",
    (
        Case((QUERY, DOCUMENT), 1.76, mistakes=ONE_DOCUMENT,
            otherwise="The similarities are 0.28, 0.8, -0.6 for the first word and 0.96, -0.6, -0.8"
            " for the second.", meaning="one number, the score"),
        (
            Case((np.array([[2.0, -1.0]]), np.array([[0.5, 3.0]])), -2.0, mistakes={
                "the vectors were normalised | Take them as they come: for cosines normalise before"
                " the call.": -2 / np.sqrt(5 * 9.25),
            }, otherwise="A maximum over one number is that number, negative or not. A dual encoder"
                " is this case: a dot product.", given="with one word and one patch"),
            Case((np.tile(QUERY, (2, 1)), np.tile(DOCUMENT, (2, 1))), 3.52,
                "Of patches that tie a word takes one, and a word that stands there twice counts"
                " twice.", given="with every word and every patch twice"),
        ),
    ),
    """- One matrix of all similarities, words by patches. What do you do with a row of it?
    - The largest of each row, then their sum.""",
    "With one word and one patch only a dot product is left: the dual encoder.",
)  # fmt: skip

# ---- late.padded: document 1 has one token behind which padding is far from zero, document 2 has
# only negative similarities and is padded with zeros, document 3 is padded in front.

DOCUMENTS = np.array([
    [[0.28, 0.96], [0.8, -0.6], [-0.6, -0.8]],
    [[-0.6, 0.8], [9.0, 9.0], [9.0, 9.0]],
    [[-0.8, -0.6], [-0.6, -0.8], [0.0, 0.0]],
    [[9.0, 9.0], [0.28, 0.96], [0.8, -0.6]],
])  # fmt: skip
MASK = np.array([[True] * 3, [True, False, False], [True, True, False], [False, True, True]])

padded = Exercise(
    "late.padded",
    """Return the MaxSim of a query (L_q, d) with documents (n, L_d, d) of which only the tokens
    count where mask (n, L_d) is true: (n,) numbers, the same as of each document alone.""",
    (
        Case((QUERY, DOCUMENTS[:1], MASK[:1]), np.array([1.76]),
            mistakes={text: [score] for text, score in ONE_DOCUMENT.items()},
            otherwise="That is the document of the warm-up.", given="without padding",
            meaning="one score per document"),
        Case((QUERY, DOCUMENTS, MASK), np.array([1.76, 0.2, -1.2, 1.76]), mistakes={
            "padding counts like a token"
            " | What stands there has no meaning. Where is the mask used?": (1.76, 18.0, 0.0, 18.0),
            "a word without a positive similarity scores 0 instead of something negative"
            " | Zeros take part in the maximum, from a product with the mask or as its starting"
            " value, and 0 is above every negative similarity. Padding must be below any number.":
                (1.76, 0.8, 0.0, 1.76),
            "it is the mean over the words | Add the maxima up, as in the warm-up.":
                (0.88, 0.1, -0.6, 0.88),
            "the first tokens are taken, as many as the mask counts"
            " | Padding can stand in front. Use the mask.": (1.76, 0.2, -1.2, 18.0),
        }, otherwise="Take the tokens that count of each document, and do the warm-up with them.",
            given="for four documents"),
        Case((QUERY[:1], np.array([[[-1e30, 0.0], [0.0, 0.0]]]), np.array([[True, False]])),
            np.array([-1e30]),
            "Padding got a number that looked small enough. There is one that is below all others.",
            given="for a similarity of -1e30"),
    ),
    """- Similarities of all documents at once have three axes: documents, words, patches.
    - Before the maximum over patches, padding must become something that no similarity can be
      below.
    - That is minus infinity, put in the place of the similarity, not multiplied with it.""",
    "Test it so: the same document alone and padded, with similarities that are all negative.",
)  # fmt: skip

# ---- late.filip

T2I = np.array([[2.0, 0.0, 1.0], [1.0, 1.0, 3.0], [-1.0, 2.0, 0.0]])
I2T = np.array([[1.0, 2.0, 0.0], [0.0, 3.0, 1.0], [2.0, 0.0, 0.0]])
FAR = np.array([[1000.0, 0.0], [0.0, 1000.0]])

filip = Exercise(
    "late.filip",
    """Return FILIP's loss of two logit matrices (n_texts, n_images), right pairs on the diagonal:
    the mean of the cross-entropy of texts that choose images, from text_to_image, and of images
    that choose texts, from image_to_text.""",
    (
        Case((T2I, I2T), 1.354177, mistakes={
            "both softmaxes run over images: no image chooses among texts | Rows of both matrices"
            " are texts. What are the candidates of an image, and where do they stand?": 1.438999,
            "both softmaxes run over texts | A text chooses among images, which are the columns.":
                1.372421,
            "each matrix has the softmax of the other"
            " | In text_to_image texts choose, in image_to_text images.": 1.457243,
            "the two losses are added | Return their mean.": 2.708353,
            "it is negative | A logarithm of a probability is negative; the loss is minus that.":
                -1.354177,
            "it is the sum over the pairs | Take the mean over queries, then over directions.":
                4.062530,
            "only texts choose | Half of the loss is missing: images choose among texts.": 1.605666,
            "only images choose | Half of the loss is missing: texts choose among images.":
                1.102688,
        }, otherwise="Right pairs are on the diagonal. Means over three texts and over three"
            " images, then their mean.", meaning="one number, the loss"),
        Case((FAR - np.array([[0.0], [3000.0]]), np.array([0.0, 3000.0]) - FAR), 500.0,
            "e to the 1000 is infinite. Take the largest logit of each query away before, and add"
            " it after the logarithm.", given="with logits of 1000", finite=False),
    ),
    """- Which axis of image_to_text holds the candidates of one image?
    - Its columns are the queries. Turn the matrix before the same cross-entropy.
    - The logarithm of a sum of exponentials stays finite if the largest logit is taken out
      first.""",
    "A loss with the wrong axis still falls in training; only a number worked by hand shows it.",
)  # fmt: skip

# ---- late.prune: wins are 1, 2, 3, 0. Added up, the similarities are 7, 2.3, -7, 0.465.

TOKENS = np.array([[-1.0, 0.1], [-1.0, 0.1], [-1.0, 0.1], [0.0, 1.0], [0.0, 1.0], [10.0, 0.0]])
PATCHES = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.05, 0.05]])
STABLE = (
    "Of equal ones the first stays. Not every sort keeps equal items in the order they had; the"
    " word for one that does is 'stable'."
)

prune = Exercise(
    "late.prune",
    """Return the positions, ascending, of the k patches of a document (L_d, d) that are the best
    one for the most query tokens (T, d); of equal ones the first stays.""",
    (
        Case((TOKENS, PATCHES, 2), np.array([1, 2]), mistakes={
            "the right patches, but sorted by their wins | Patches keep the order in which they"
            " stand in the image: ascending positions.": [2, 1],
            "the patches with the fewest wins are kept | Keep the patches with the most wins.":
                lambda patches: {0, 3} == set(patches),
            "similarities were added or compared, wins were not counted | Patch 0 fits one word so"
            " well that a sum favours it. Count how many words each patch wins.":
                lambda patches: 0 in patches,
        }, otherwise="The wins are 1, 2, 3 and 0. Which two are the most?",
            meaning="positions of patches, ascending"),
        (
            Case((np.eye(2), PATCHES[:2], 1), np.array([0]),
                "of two patches with one win each the later one stays | Of equal ones the first"
                " stays."),
            Case((np.eye(40), np.eye(40), 20), np.arange(20), STABLE,
                given="with 40 patches of one win each"),
        ),
        (
            Case((TOKENS[:3], PATCHES, 3), np.array([0, 1, 2]),
                "The others have no win at all and tie: the first of them stay.",
                given="where one patch wins all"),
            Case((TOKENS[:3], PATCHES, 4), [0, 1, 2, 3],
                "A count that ends at the last winner does not include it: count all positions,"
                " zeros too.",
                given="where the last patch never wins, and all four are to be kept,"),
        ),
    ),
    """- Which patch wins for each query token? That is a list of T positions.
    - Count how often each position occurs, and do not forget those that never do.
    - Order by falling count with a stable sort, take k, and put those in ascending order.""",
    "The tokens to count wins with are a choice made on other queries than those you report.",
)  # fmt: skip
