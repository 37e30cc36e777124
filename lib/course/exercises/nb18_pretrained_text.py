"""Exercises of notebook 18: means without padding, attention pooling, layers that are trained."""

import numpy as np

from lib.course.cases import Case, Exercise

# ---- text.mean: text 1 has three pieces, text 2 one, behind which stands what padding left.

STATES = np.array([
    [[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]],
    [[3.0, -1.0], [9.0, 9.0], [9.0, 9.0]],
])  # fmt: skip
MASK = np.array([[True, True, True], [True, False, False]])
FRONT = np.array([[False, True, True]])

mean = Exercise(
    "text.mean",
    """Return the mean of the states (n, L, d) of each text over the pieces where mask (n, L) is
    true: (n, d).""",
    (
        Case((STATES[:1], MASK[:1]), np.array([[1.0, 1.0]]), mistakes={
            "the states were added | Divide by the number of pieces.": [[3.0, 3.0]],
            "the mean runs along the coordinates of a state | A text keeps all coordinates; its"
            " pieces disappear.": [[0.5, 0.5, 2.0]],
        }, otherwise="Three states, and all of them count.", given="for a text without padding",
            meaning="one vector per text"),
        Case((STATES, MASK), np.array([[1.0, 1.0], [3.0, -1.0]]), mistakes={
            "padding counts like a piece | What stands there has no meaning. Where is the mask"
            " used?": [[1.0, 1.0], [7.0, 17 / 3]],
            "padding is 0 in the sum, and still counted | Divide by the pieces of each text, not by"
            " the length of the longest.": [[1.0, 1.0], [1.0, -1 / 3]],
            "every text is divided by the pieces of the whole batch | Each text has a count of its"
            " own.": [[0.75, 0.75], [0.75, -0.25]],
        }, otherwise="The second text has one piece: its mean is that piece.",
            given="for a long and a short text"),
        Case((STATES[:1], FRONT), np.array([[1.0, 1.5]]),
            "Padding can stand in front. Take the pieces that the mask names, not the first ones.",
            given="for padding in front"),
    ),
    """- First make the states of padding 0, then add the states of each text up.
    - Divide by the number of true entries in each row of the mask, as a column.""",
    "The sentence vector of a sentence transformer is this mean. A text has the same vector alone"
    " and in a batch of longer ones.",
)  # fmt: skip

# ---- text.pool: scores of the first text are ln 1, ln 3, ln 4, so its weights are 1/8, 3/8, 4/8.

LOGS = np.log([1.0, 3.0, 4.0])
POOLED = np.array([
    [[LOGS[0], 8.0], [LOGS[1], 0.0], [LOGS[2], 16.0]],
    [[LOGS[0], 8.0], [LOGS[1], 0.0], [50.0, 99.0]],
])  # fmt: skip
QUERY = np.array([1.0, 0.0])
POOL_MASK = np.array([[True, True, True], [True, True, False]])


def _pooled(weights, states) -> np.ndarray:
    return np.asarray(weights) @ states


WHOLE = _pooled([1 / 8, 3 / 8, 4 / 8], POOLED[0])
PART = _pooled([1 / 4, 3 / 4], POOLED[1, :2])

pool = Exercise(
    "text.pool",
    """Return the attention pooling of states (n, L, d) with a query (d,): the weights of a text are
    the softmax of the dot products of its states with the query, over the pieces where mask (n, L)
    is true; the result (n, d) adds the states up with these weights.""",
    (
        Case((POOLED[:1], QUERY, POOL_MASK[:1]), WHOLE[None], mistakes={
            "the scores are the weights | A softmax makes them positive, with the sum 1.":
                [_pooled(LOGS, POOLED[0])],
            "the weights are powers that nobody divided by their sum | Their sum must be 1.":
                [8 * WHOLE],
            "all pieces weigh the same | That is the mean. Where is the query used?":
                [POOLED[0].mean(axis=0)],
            "the softmax runs over texts | Each text has its own softmax, over its pieces.":
                [POOLED[0].sum(axis=0)],
            "only the best piece is kept | That is a maximum; a softmax gives every piece a share.":
                [POOLED[0, 2]],
        }, otherwise="The scores are the logarithms of 1, 3 and 4: the weights are 1/8, 3/8 and"
            " 4/8.", given="for a text without padding", meaning="one vector per text"),
        Case((POOLED, QUERY, POOL_MASK), np.array([WHOLE, PART]), mistakes={
            "padding takes part in the softmax | Its score must be below any number before the"
            " softmax.": lambda rows: rows[1, 1] > 90,
            "padding got the score 0, which still has a weight | e to the 0 is 1. Its weight must"
            " be 0.": [WHOLE, _pooled([1 / 5, 3 / 5, 1 / 5], POOLED[1])],
            "the weights of padding were set to 0 after the softmax | The others no longer sum to"
            " 1.": lambda rows: abs(rows[1]).max() < 1e-9,
        }, otherwise="The second text has two pieces, with weights 1/4 and 3/4.",
            given="for a long and a short text"),
        Case((np.array([[[1000.0, 1.0], [0.0, 5.0]]]), QUERY, np.array([[True, True]])),
            np.array([[1000.0, 1.0]]),
            "e to the 1000 is infinite. Take the largest score of each text away first.",
            given="for a score of 1000", finite=False),
    ),
    """- The scores are one matrix product: (n, L).
    - Padding gets minus infinity in place of its score, before the softmax.
    - Take the largest score of each row away before the powers.""",
    "With equal weights this is the mean. The trained query decides what a text is about.",
)  # fmt: skip

# ---- text.unlock: twelve layers, so that "1" is also the beginning of "10" and "11".

LAYERS = [f"tower.layer.{i}.{part}" for i in range(12) for part in ("attention", "output")]
NAMES = ["tower.embeddings.words", *LAYERS, "head.attend", "head.query", "scale"]


def _layers(*numbers) -> list[str]:
    return [name for name in LAYERS if int(name.split(".")[2]) in numbers]


HEAD = NAMES[-3:]

unlock = Exercise(
    "text.unlock",
    """Return, in their order, the names of the parameters that are trained when the last `unlocked`
    of `n_layers` layers of the tower are: tower.layer.0 is the first layer, the embeddings of the
    tower stay locked, and all that is not in the tower is always trained.""",
    (
        Case((NAMES, 12, 2), [*_layers(10, 11), *HEAD], mistakes={
            "the first layers are trained | The last ones stand next to the head; the first hold"
            " the words.": [*_layers(0, 1), *HEAD],
            "the tower alone is returned | The head starts from random numbers: it is always"
            " trained.": _layers(10, 11),
            "these are the locked names | Return those that get a gradient.":
                ["tower.embeddings.words", *_layers(*range(10))],
            "one layer too many | Layers are counted from 0: of twelve the last is 11.":
                [*_layers(9, 10, 11), *HEAD],
            "one layer too few | Layers are counted from 0: of twelve the last two are 10 and 11.":
                [*_layers(11), *HEAD],
            "names were compared as texts | In the alphabet 2 is after 10. Compare numbers.":
                [*_layers(*range(2, 12)), *HEAD],
        }, otherwise="Layers 10 and 11, and what is outside the tower.",
            given="for two of twelve layers", meaning="a list of names"),
        Case((NAMES, 12, 0), HEAD, mistakes={
            "with 0 unlocked layers the whole tower is trained | The last 0 entries of a list are"
            " not what a slice from minus 0 gives.": [*LAYERS, *HEAD],
        }, otherwise="A locked tower: nothing in it gets a gradient.", given="for a locked tower"),
        Case((NAMES, 12, 11), [*_layers(*range(1, 12)), *HEAD],
            "Everything but the embeddings and layer 0. layer.1 is also how layer.10 begins.",
            given="for eleven of twelve"),
    ),
    """- Split a name at its dots; for a layer the third part is its number.
    - A layer is trained if its number is at least the number of layers minus the unlocked ones.""",
    "Count what a setting trains before you compare it. A list that looks locked and is not is the"
    " usual surprise.",
)  # fmt: skip
