"""Exercises of notebook 07: the bias as a prior, the gradient by cell, a loss put right, odds
moved.
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

# 5 right among 64: odds 5 to 59.
PRIOR = -2.468100
PRIOR_MISTAKES = (
    (
        2.468100,
        (
            "the sign is turned round",
            "Right pairs are rare, so before it has seen anything it bets no.",
        ),
    ),
    (
        -2.549445,
        (
            "the odds are 5 to 64, right ones to all",
            "Odds compare the right ones with the wrong ones.",
        ),
    ),
    (
        -4.143135,
        (
            "the number of right keys plays no part",
            "Five right keys are expected five times as often.",
        ),
    ),
    (
        -4.158883,
        (
            "it is minus the logarithm of all keys",
            "Odds compare the right ones with the wrong ones.",
        ),
    ),
    (
        0.078125,
        ("it is the probability itself", "The bias is a logit: the one whose sigmoid that is."),
    ),
    (0.084746, ("these are the odds", "The bias is a logit, the natural logarithm of the odds.")),
    (
        -1.071883,
        ("the logarithm has base 10", "The sigmoid is made with e, and so is its inverse."),
    ),
    (-3.560715, ("the logarithm has base 2", "The sigmoid is made with e, and so is its inverse.")),
)


def _prior(function) -> None:
    value = as_number(call(function, 64, 5), meaning="one number, a logit")
    if not is_same(value, PRIOR):
        object_to_mistakes(value, PRIOR_MISTAKES)
        raise Wrong(
            f"for 64 keys, 5 of them right, it is {value:.4g}", "Its sigmoid should be 5 / 64."
        )


def _other_priors(function) -> None:
    if not is_same(as_number(call(function, 16, 1), meaning="one number"), -2.708050):
        raise Wrong(
            "one right key among 16 does not give minus log 15", "That is the case of the paper."
        )
    if not is_same(as_number(call(function, 4, 3), meaning="one number"), 1.098612):
        raise Wrong(
            "3 right keys of 4 do not give log 3",
            "If most keys are right, the bias is positive: bet yes.",
        )


# Sigmoids 1/2, 3/4 and 1/4. Query 1 has two right keys, one of them off the diagonal.
LOG3 = 1.0986122887
LOGITS = np.array([[0.0, LOG3, -LOG3], [LOG3, 0.0, -LOG3]])
POSITIVES = np.array([[True, False, False], [False, True, True]])
GRADIENT = np.array([[-0.25, 0.375, 0.125], [0.375, -0.25, -0.375]])
GRADIENT_MISTAKES = (
    (
        -GRADIENT,
        ("every sign is turned round", "Raising the logit of a right pair lowers the loss."),
    ),
    (
        2 * GRADIENT,
        ("it is the gradient of the sum: twice too large for two queries", "Divide by B."),
    ),
    (
        GRADIENT / 3,
        (
            "it is divided by all six cells",
            "SigLIP divides by the number of queries, whatever the keys.",
        ),
    ),
    (
        GRADIENT * 2 / 3,
        ("it is divided by the number of keys", "B counts the queries, that is, the rows."),
    ),
    (
        np.array([[0.25, 0.375, 0.125], [0.375, 0.25, 0.125]]),
        ("right pairs are pushed like wrong ones", "Take 1 away in the cells that are right."),
    ),
    (
        np.array([[-0.25, 0.375, 0.125], [0.375, -0.25, 0.125]]),
        (
            "the second right key of query 1 is pushed",
            "Read the mask; the diagonal is only the usual case.",
        ),
    ),
    (
        np.array([[0.25, 0.375, 0.125], [0.375, 0.25, 0.375]]),
        ("no cell is pulled: all signs are lost", "A right pair has a negative gradient."),
    ),
)


def _gradient(function) -> None:
    meaning = "one gradient per logit: queries by keys"
    found = as_array(
        call(function, LOGITS, POSITIVES), shape=(2, 3), kind="numbers", meaning=meaning
    )
    if is_same(found, GRADIENT):
        return
    object_to_mistakes(found, GRADIENT_MISTAKES)
    if np.allclose(found.sum(axis=1), 0) and not np.allclose(found, 0):
        raise Wrong(
            "each row sums to 0, as under a softmax",
            "Here the cells know nothing of each other: use the sigmoid of each.",
        )
    raise Wrong(
        f"for logits 0, log 3, -log 3 the first row is {np.round(found[0], 4).tolist()}",
        "Their sigmoids are 1/2, 3/4, 1/4. The first key is right; divide by two queries.",
    )


HUGE = np.array([[1000.0, -1000.0], [-1000.0, -1000.0]])
EYE = np.eye(2, dtype=bool)


def _gradient_far_out(function) -> None:
    with np.errstate(all="ignore"):
        found = np.asarray(call(function, HUGE, EYE), dtype=float)
    if not np.isfinite(found).all():
        raise Wrong(
            "logits of 1000 give NaN",
            "e to the 1000 is infinite, and infinity over infinity is NaN: rewrite.",
        )
    if not is_same(found, np.array([[0.0, 0.0], [0.0, -0.5]])):
        raise Wrong("logits of 1000 give wrong gradients", "A sigmoid is 0 or 1 there.")


# The six cells cost 8 log 2 + log 4/3 together.
SUM = 5.832860
LOSS_MISTAKES = (
    (
        SUM / 6,
        ("it is the mean over all six cells", "SigLIP divides the sum by the queries, two here."),
    ),
    (SUM, ("it is the sum over all pairs", "Divide it by the number of queries.")),
    (SUM / 3, ("it is divided by the number of keys", "Divide the sum by the number of queries.")),
    (
        -SUM / 2,
        ("it is negative", "A logarithm of a probability is negative; the loss is minus that."),
    ),
    (
        1.817814,
        ("right and wrong are exchanged", "z is +1 for a right pair and -1 for a wrong one."),
    ),
    (
        1.386294,
        (
            "only the right pairs cost anything",
            "A wrong pair is a question too, with the answer no.",
        ),
    ),
    (
        2.367123,
        (
            "the diagonal alone counts as right",
            "Read the mask: query 1 has a second right key, key 2.",
        ),
    ),
)
NEVER_PUSHED = (
    "every wrong pair costs log 2, whatever its logit: none is ever pushed",
    "Its label is 0, and 0 times the logit is 0. What should z be for a wrong pair?",
)


def _pushes(function) -> None:
    # Only the logit of a wrong pair differs.
    near, far = (np.array([[2.0, wrong], [-2.0, 2.0]]) for wrong in (-2.0, 2.0))
    low, high = (
        as_number(call(function, case, EYE), meaning="one number, the loss") for case in (near, far)
    )
    if is_same(low, high):
        raise Wrong(*NEVER_PUSHED)
    if high < low:
        raise Wrong("a wrong pair costs less the closer it is", "Look at the sign of its z.")


def _value(function) -> None:
    value = as_number(call(function, LOGITS, POSITIVES), meaning="one number, the loss")
    if not is_same(value, SUM / 2):
        object_to_mistakes(value, LOSS_MISTAKES)
        raise Wrong(
            f"it returns {value:.4f}, by hand it is {SUM / 2:.4f}",
            "Two right pairs at 0 and one at -log 3; two wrong pairs at log 3 and one at -log 3.",
        )


def _value_far_out(function) -> None:
    with np.errstate(all="ignore"):
        value = as_number(call(function, HUGE, EYE), meaning="the loss", finite=False)
    if not np.isfinite(value) or not is_same(value, 500.0):
        raise Wrong(
            f"one right pair at a logit of -1000, the rest settled: the loss is {value:g}, it"
            " should be 500",
            "The probability is 0 in floating point, or was kept away from 0 by a small number."
            " Take the logarithm on paper: log(1 + e to the x) has a form that cannot overflow.",
        )


# From one right among 11 to one among 101 the odds fall to a tenth.
P = np.array([0.5, 0.1, 0.9])
MOVED = np.array([1 / 11, 1 / 91, 9 / 19])
MOVED_MISTAKES = (
    (P, ("nothing changed", "A right pair is rarer in the larger gallery.")),
    (
        np.array([10 / 11, 10 / 19, 90 / 91]),
        ("the larger gallery makes it surer", "Turn the ratio round."),
    ),
    (
        P * 11 / 101,
        ("the probability was scaled, not its odds", "A pair at 0.9 is well above its rivals."),
    ),
    (
        P / 10,
        ("the probability was scaled, not its odds", "Go to odds, scale them, and come back."),
    ),
    (np.array([0.1, 1 / 90, 0.9]), ("these are the odds", "Come back from odds to a probability.")),
    (
        np.array([0.098214, 0.011957, 0.495]),
        ("the ratio is 11 to 101", "The prior odds of a pair are one to all the others."),
    ),
    (
        np.array([-2.302585, -4.499810, -0.105361]),
        ("these are log-odds", "Come back from log-odds to a probability: the sigmoid."),
    ),
)


def _moved(function) -> None:
    found = as_array(
        call(function, P, 11, 101), shape=(3,), kind="numbers", meaning="a probability for each"
    )
    if not is_same(found, MOVED):
        object_to_mistakes(found, MOVED_MISTAKES)
        raise Wrong(
            f"0.5 among 11 becomes {found[0]:.4g} among 101; by hand it is 1/11",
            "Odds of 1 to 1, times the 10 wrong items then over the 100 wrong items now: 1 to 10.",
        )


def _moved_back(function) -> None:
    found = as_array(
        call(function, MOVED, 101, 11), shape=(3,), kind="numbers", meaning="probabilities"
    )
    if not is_same(found, P):
        raise Wrong(
            "back from 101 to 11 it does not undo itself",
            "The ratio of the two sizes decides alone.",
        )


def _certain(function) -> None:
    with np.errstate(all="ignore"):
        found = np.asarray(call(function, np.array([0.0, 1.0]), 11, 101), dtype=float)
    if not is_same(found, np.array([0.0, 1.0])):
        raise Wrong(
            f"probabilities 0 and 1 become {found.tolist()}",
            "Who is certain stays certain. Odds of 1 are infinite: multiply the fraction out so"
            " that they do not occur.",
        )


EXERCISES = (
    Exercise(
        name="sigmoid.prior",
        statement=(
            "Return the bias at which a model whose cosines are all 0 expects as many right pairs"
            " as there are: n_keys keys, n_right of them right for each query."
        ),
        stages=(_prior, _other_priors),
        hints=(
            (
                "With all cosines 0 every logit is the bias, and its sigmoid is the probability of"
                " each pair."
            ),
            "That probability should be n_right / n_keys. Which logit has that sigmoid?",
            (
                "The inverse of the sigmoid is the natural logarithm of the odds, right ones to"
                " wrong ones."
            ),
        ),
        insight=(
            "With one right key it is minus log(B - 1). Five captions a picture raise it by about"
            " log 5."
        ),
    ),
    Exercise(
        name="sigmoid.gradient",
        statement=(
            "Return dL/ds of the sigmoid loss, divided as SigLIP does: logits (n_queries, n_keys)"
            " and positives, bool of that shape, in; (n_queries, n_keys) out."
        ),
        stages=(_gradient, _gradient_far_out),
        hints=(
            "No loop and no softmax: each cell by itself.",
            "The sigmoid of the logit, less 1 where the pair is right.",
            (
                "Divide by the number of queries. For huge logits, write the sigmoid so that its"
                " exponential cannot become infinite."
            ),
        ),
        insight="Multiply it by the keys and the scale, and you have the gradient on the queries.",
    ),
    Exercise(
        name="sigmoid.loss",
        statement=(
            "Return the sigmoid loss, divided as SigLIP does: logits (n_queries, n_keys) and "
            "positives, bool of that shape, in; one number out."
        ),
        stages=(_pushes, _value, _value_far_out),
        hints=(
            "Print z. Which two values should it have?",
            "The paper divides by the number of queries, not by the number of pairs.",
            (
                "Minus the logarithm of a sigmoid of x is the logarithm of 1 + e to the -x. numpy"
                " has a function that adds in the logarithm."
            ),
        ),
        insight=(
            "The loss with labels of 0 falls too: while right pairs rise, and all others with them."
        ),
    ),
    Exercise(
        name="sigmoid.in_gallery",
        statement=(
            "Return the probabilities p (n,), learnt where one of batch_size keys is right, for a "
            "gallery where one of gallery_size is; 0 and 1 stay what they are."
        ),
        stages=(_moved, _moved_back, _certain),
        hints=(
            (
                "Bayes' rule: posterior odds are prior odds times what the pair itself says, and"
                " that stays."
            ),
            "The prior odds are one to the number of all others, before and after.",
            (
                "Scale p / (1 - p) by (batch_size - 1) / (gallery_size - 1) and turn it back into a"
                " probability."
            ),
        ),
        insight="It moves every score by the same amount in log-odds, so no ranking changes.",
    ),
)
