"""Exercises of notebook 08: the bias as a prior, the gradient, a loss put right, odds moved."""

import numpy as np

from lib.course.cases import Case, Exercise, as_number, call, expect, is_same

# ---- sigmoid.prior: 5 right among 64, so odds of 5 to 59.

PRIOR = np.log(5 / 59)
ODDS = " | Odds compare the right ones with the wrong ones."
BASE = " | The sigmoid is made with e, and so is its inverse."

prior = Exercise(
    "sigmoid.prior",
    """Return the bias at which a model whose cosines are all 0 expects as many right pairs as there
    are: n_keys keys, n_right of them right for each query.""",
    (
        Case((64, 5), PRIOR, mistakes={
            "the sign is turned round | Right pairs are rare, so the bias must make every pair"
            " improbable at first.": -PRIOR,
            f"the odds are 5 to 64, right ones to all{ODDS}": np.log(5 / 64),
            "the number of right keys has no effect"
            " | Five right keys are expected five times as often.": -np.log(63),
            f"it is minus the logarithm of all keys{ODDS}": -np.log(64),
            "it is the probability itself | The bias is a logit: the one whose sigmoid that is.":
                5 / 64,
            "these are the odds | The bias is a logit, the natural logarithm of the odds.": 5 / 59,
            f"the logarithm has base 10{BASE}": np.log10(5 / 59),
            f"the logarithm has base 2{BASE}": np.log2(5 / 59),
        }, otherwise="Its sigmoid should be 5 / 64.", meaning="one number, a logit"),
        (
            Case((16, 1), -np.log(15),
                "one right key among 16 does not give minus log 15 | That is the case of the"
                " paper."),
            Case((4, 3), np.log(3),
                "3 right keys of 4 do not give log 3 | If most keys are right, the bias is"
                " positive."),
        ),
    ),
    """- With all cosines 0 every logit is the bias, and its sigmoid is the probability of each
      pair.
    - That probability should be n_right / n_keys. Which logit has that sigmoid?
    - The inverse of the sigmoid is the natural logarithm of the odds, right ones to wrong ones.""",
    "With one right key it is minus log(B - 1). Five captions a picture raise it by about log 5.",
)  # fmt: skip

# ---- sigmoid.gradient: sigmoids 1/2, 3/4 and 1/4. Query 1 has two right keys, one of them off the
# diagonal.

LOG3 = np.log(3)
LOGITS = np.array([[0.0, LOG3, -LOG3], [LOG3, 0.0, -LOG3]])
POSITIVES = np.array([[True, False, False], [False, True, True]])
GRADIENT = np.array([[-0.25, 0.375, 0.125], [0.375, -0.25, -0.375]])
HUGE = np.array([[1000.0, -1000.0], [-1000.0, -1000.0]])
EYE = np.eye(2, dtype=bool)

gradient = Exercise(
    "sigmoid.gradient",
    """Return dL/ds of the sigmoid loss, divided as SigLIP does: logits (n_queries, n_keys) and
    positives, bool of that shape, in; (n_queries, n_keys) out, finite whatever the size of the
    logits.""",
    (
        Case((LOGITS, POSITIVES), GRADIENT, mistakes={
            "every sign is turned round | Raising the logit of a right pair lowers the loss.":
                -GRADIENT,
            "it is the gradient of the sum: twice too large for two queries | Divide by B.":
                2 * GRADIENT,
            "it is divided by all six cells"
            " | SigLIP divides by the number of queries, whatever the keys.": GRADIENT / 3,
            "it is divided by the number of keys | B counts the queries, that is, the rows.":
                GRADIENT * 2 / 3,
            "right pairs are pushed like wrong ones | Take 1 away in the cells that are right.":
                [[0.25, 0.375, 0.125], [0.375, 0.25, 0.125]],
            "the second right key of query 1 is pushed | Read the mask; the diagonal is only the"
            " usual case.": [[-0.25, 0.375, 0.125], [0.375, -0.25, 0.125]],
            "no cell is pulled: all signs are lost | A right pair has a negative gradient.":
                [[0.25, 0.375, 0.125], [0.375, 0.25, 0.375]],
            "each row sums to 0, as under a softmax"
            " | Here each cell is independent of the others: use the sigmoid of each.":
                lambda gradients: np.allclose(gradients.sum(axis=1), 0) and gradients.any(),
        }, otherwise="The logits 0, log 3, -log 3 of row 0 have sigmoids 1/2, 3/4, 1/4. The first"
            " key is right; divide by two queries.",
            meaning="one gradient per logit: queries by keys"),
        Case((HUGE, EYE), np.array([[0.0, 0.0], [0.0, -0.5]]), mistakes={
            "logits of 1000 give NaN | e to the 1000 is infinite, and infinity over infinity is"
            " NaN: write the sigmoid in another form.":
                lambda gradients: not np.isfinite(gradients).all(),
        }, otherwise="logits of 1000 give wrong gradients | A sigmoid is 0 or 1 there.",
            finite=False),
    ),
    """- No loop and no softmax: each cell by itself.
    - The sigmoid of the logit, less 1 where the pair is right.
    - Divide by the number of queries. For huge logits, write the sigmoid in a form whose
      exponential cannot become infinite.""",
    "Multiply it by the keys and the scale, and you have the gradient on the queries.",
)  # fmt: skip

# ---- sigmoid.loss: the six cells cost 8 log 2 + log 4/3 together.

SUM = 8 * np.log(2) + np.log(4 / 3)


def _pushes(function) -> None:
    # Only the logit of a wrong pair differs.
    near, far = (np.array([[2.0, wrong], [-2.0, 2.0]]) for wrong in (-2.0, 2.0))
    low, high = (
        as_number(call(function, logits, EYE), meaning="one number, the loss")
        for logits in (near, far)
    )
    expect(
        not is_same(low, high),
        "every wrong pair costs log 2, whatever its logit: none is ever pushed"
        " | Its label is 0, and 0 times the logit is 0. What should z be for a wrong pair?",
    )
    expect(high > low, "a wrong pair costs less the closer it is | Look at the sign of its z.")


loss = Exercise(
    "sigmoid.loss",
    """Return the sigmoid loss, divided as SigLIP does: logits (n_queries, n_keys) and positives,
    bool of that shape, in; one number out, finite whatever the size of the logits.""",
    (
        _pushes,
        Case((LOGITS, POSITIVES), SUM / 2, mistakes={
            "it is the mean over all six cells | SigLIP divides the sum by the queries, two here.":
                SUM / 6,
            "it is the sum over all pairs | Divide it by the number of queries.": SUM,
            "it is divided by the number of keys | Divide the sum by the number of queries.":
                SUM / 3,
            "it is negative | A logarithm of a probability is negative; the loss is minus that.":
                -SUM / 2,
            "right and wrong are exchanged | z is +1 for a right pair and -1 for a wrong one.":
                1.817814,
            "only the right pairs cost anything"
            " | A wrong pair is a question too, with the answer no.": 1.386294,
            "the diagonal alone counts as right"
            " | Read the mask: query 1 has a second right key, key 2.": 2.367123,
        }, otherwise="Two right pairs at 0 and one at -log 3; two wrong pairs at log 3 and one at"
            " -log 3."),
        Case((HUGE, EYE), 500.0,
            "The probability is 0 in floating point, or was kept away from 0 by a small number."
            " Take the logarithm on paper: log(1 + e to the x) has a form that cannot overflow.",
            given="for one right pair at a logit of -1000, and logits of 1000 and -1000 elsewhere,",
            finite=False),
    ),
    """- Print z. Which two values should it have?
    - The paper divides by the number of queries, not by the number of pairs.
    - Minus the logarithm of a sigmoid of x is the logarithm of 1 + e to the -x. numpy has a
      function that adds in the logarithm.""",
    "The loss with labels of 0 falls too: while right pairs rise, and all others with them.",
)  # fmt: skip

# ---- sigmoid.in_gallery: from one right among 11 to one among 101 the odds fall to a tenth.

P = np.array([0.5, 0.1, 0.9])
MOVED = np.array([1 / 11, 1 / 91, 9 / 19])
CERTAIN = np.array([0.0, 1.0])
SCALED = " | Go to odds, scale them, and come back."

in_gallery = Exercise(
    "sigmoid.in_gallery",
    """Return the probabilities p (n,), learnt where one of batch_size keys is right, for a gallery
    where one of gallery_size is; 0 and 1 stay what they are.""",
    (
        Case((P, 11, 101), MOVED, mistakes={
            "nothing changed | A right pair is rarer in the larger gallery.": P,
            "the probabilities rise in the larger gallery | Turn the ratio round.":
                [10 / 11, 10 / 19, 90 / 91],
            f"the probability was scaled by 11 / 101, not its odds{SCALED}": P * 11 / 101,
            f"the probability was scaled by 1 / 10, not its odds{SCALED}": P / 10,
            "these are the odds | Come back from odds to a probability.": [0.1, 1 / 90, 0.9],
            "the ratio is 11 to 101 | The prior odds of a pair are one to all the others.":
                [11 / 112, 11 / 920, 99 / 200],
            "these are log-odds | Come back from log-odds to a probability: the sigmoid.":
                np.log([0.1, 1 / 90, 0.9]),
        }, otherwise="0.5 among 11 becomes 1/11 among 101: odds of 1 to 1, times 10 wrong items"
            " before over 100 wrong items now, are 1 to 10.", meaning="a probability for each"),
        Case((MOVED, 101, 11), P,
            "back from 101 to 11 it does not undo itself | The ratio of the two sizes decides"
            " alone."),
        Case((CERTAIN, 11, 101), CERTAIN,
            "A probability of 0 or 1 stays. Odds of 1 are infinite: multiply the fraction out, and"
            " no odds are needed.", given="for probabilities 0 and 1", finite=False),
    ),
    """- Bayes' rule: posterior odds are prior odds times what the pair itself says, and that stays.
    - The prior odds are one to the number of all others, before and after.
    - Scale p / (1 - p) by (batch_size - 1) / (gallery_size - 1) and turn it back into a
      probability.""",
    "It moves every score by the same amount in log-odds, so no ranking changes.",
)  # fmt: skip
