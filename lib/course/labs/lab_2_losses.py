"""Lab 2: write a loss that beats symmetric InfoNCE in a fixed loop with a fixed budget."""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

from lib import metrics
from lib.course.cases import Wrong, describe, describe_error, expect
from lib.course.labs.engine import Criterion, Lab, Measured
from lib.studies.losses.train_trial import (
    Trial,
    encoded,
    mean_cosines,
    train,
    training_pairs,
)
from lib.training.objectives import Objective

SEEDS = (0, 1)
BATCH, PAIRS = 128, 28_000
RATE = 3e-3 / math.sqrt(2)  # at a batch of 64; at 128 it is 0.003
COLLAPSED = 0.9  # mean cosine of wrong pairs
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def infonce(texts: Tensor, images: Tensor, same: Tensor) -> Tensor:
    """Compute the baseline: symmetric InfoNCE, equal texts share the target, temperature 0.07."""
    scores = texts @ images.T / 0.07  # (B, B)
    target = same / same.sum(dim=1, keepdim=True)
    cross_entropy = torch.nn.functional.cross_entropy
    return (cross_entropy(scores, target) + cross_entropy(scores.T, target)) / 2


def _measure(loss: Loss, split: str) -> Measured:
    expect(
        callable(loss),
        f"the answer must be a function, got {describe(loss)}"
        " | Pass the loss itself, without calling it.",
    )
    _try_once(loss)
    hits, wrong_pairs, back = _judged(_trained(loss), split)
    base, _, _ = _judged(_baseline(), split)
    task = training_pairs("icons", "heads", split).task
    gain = metrics.compare_systems(hits, base, task.query_groups)
    symptoms = []
    if wrong_pairs > COLLAPSED:
        symptoms.append(
            f"the mean cosine of wrong pairs is {wrong_pairs:.2f}: all vectors point the same way."
            " Nothing in the loss pushes wrong pairs apart"
        )
    elif hits.mean() < 1:
        symptoms.append(
            "hardly any name finds its icon. Does the loss fall when right pairs come closer? Print"
            " it for a perfect batch and for a shuffled one"
        )
    values = {
        "R@1": float(hits.mean()),
        "gain": gain.difference,
        "lower bound of the gain": gain.low,
        "R@1 of images to texts": back,
    }
    intervals = {
        "R@1": metrics.bootstrap_interval(hits, task.query_groups),
        "gain": (gain.low, gain.high),
    }
    costs = {"pairs a training": PAIRS, "batch": BATCH, "trainings": len(SEEDS)}
    return Measured(values, intervals, costs, tuple(symptoms))


def _try_once(loss: Loss) -> None:
    """Call the loss on a small batch and say what is wrong with its result or its gradient."""
    random = torch.Generator().manual_seed(0)
    sides = [torch.randn(6, 4, generator=random) for _ in range(2)]
    texts, images = (torch.nn.functional.normalize(side, dim=1) for side in sides)
    texts.requires_grad_(), images.requires_grad_()
    same = torch.eye(6, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    try:
        value = loss(texts, images, same)
    except Exception as error:
        raise Wrong(
            f"it raised {describe_error(error)}",
            "Call it with texts (6, 4), images (6, 4) and same, 6 x 6 booleans, and read the"
            " traceback.",
        ) from None
    expect(value is not None, "it returns None | Return the loss, one number.")
    expect(
        isinstance(value, Tensor),
        f"it returns {describe(value)}, no tensor | .item(), float() and numpy cut the gradient.",
    )
    expect(
        value.shape == (),
        f"it returns a tensor of shape {tuple(value.shape)} | A loss is one number: take the mean.",
    )
    expect(
        bool(torch.isfinite(value)),
        f"it returns {value.item()} | Look for a logarithm of 0, or an exponential of a large"
        " number; cross_entropy and logsumexp are safe.",
    )
    grads = (
        torch.autograd.grad(value, (texts, images), allow_unused=True)
        if value.requires_grad
        else (None, None)
    )
    for name, grad in zip(("texts", "images"), grads, strict=True):
        expect(
            grad is not None and bool((grad != 0).any()),
            f"no gradient reaches the {name} | Is there a detach, an argmax or a comparison in the"
            " way? Both encoders must learn.",
        )
        expect(
            bool(torch.isfinite(grad).all()),
            f"the gradient of the {name} is not finite | A square root or a norm at 0 has none.",
        )


def _guarded(loss: Loss) -> Objective:
    def call(network, images: Tensor, texts: Tensor, positives: Tensor) -> Tensor:
        value = loss(texts, images, positives.T)
        expect(
            bool(torch.isfinite(value)),
            f"in training the loss became {value.item()} | Clip what goes into exp and log.",
        )
        return value

    return Objective(call)


def _trained(loss: Loss) -> list[torch.nn.Module]:
    trials = [Trial("icons", "heads", "InfoNCE", BATCH, seed, PAIRS, rate=RATE) for seed in SEEDS]
    return [train(trial, split="test", target=_guarded(loss))[0] for trial in trials]


def _judged(networks: list[torch.nn.Module], split: str) -> tuple[np.ndarray, float, float]:
    """Rank a split: hits at 1 of each query in percent, mean cosine of wrong pairs, R@1 back."""
    pairs = training_pairs("icons", "heads", split)
    judged = pairs.task.qrels.at_least(pairs.task.hit_grade)
    hits, cosines, back = [], [], []
    for network in networks:
        texts, images = encoded(network, pairs.task_images, pairs.task_texts)
        expect(
            np.isfinite(texts).all() and np.isfinite(images).all(),
            "after training the vectors are not finite | The gradients were too large. Is there a"
            " division by a small number?",
        )
        first = metrics.ranks_of_relevant(texts, images, judged, which="first").first_rank()
        other = metrics.ranks_of_relevant(images, texts, judged.T, which="first").first_rank()
        hits.append(first == 1)
        back.append(np.mean(other == 1))
        cosines.append(float(mean_cosines(network, pairs)["cosine wrong"]))
    return 100 * np.mean(hits, axis=0), float(np.mean(cosines)), 100 * float(np.mean(back))


@cache
def _baseline() -> list[torch.nn.Module]:
    return _trained(infonce)


LAB = Lab(
    "losses",
    "Write loss(texts, images, same): unit vectors (B, d) twice, and same (B, B), true where text"
    " i is right for image j; it returns one number to make small.",
    _measure,
    (
        Criterion("it trains", 3, "R@1", 15, 5,
                  "A loss that learns at all finds more. Compare it with InfoNCE line by line."),
        Criterion("it reaches InfoNCE", 4, "gain", -1, -4,
                  "Change one thing at a time, beginning with InfoNCE itself."),
        Criterion("it beats InfoNCE", 4, "gain", 1, 0.3,
                  "Think of equal texts, of margins, of the weight of the two directions."),
        Criterion("it beats InfoNCE beyond the luck of the queries", 3,
                  "lower bound of the gain", 0, -1, "A larger gain moves the interval up."),
        Criterion("reasons", 3, "", "says before the run why it should help, and compares after",
                  "a reason, after the run", none="no reason"),
        Criterion("comparison", 3, "", "one change at a time, two seeds, chosen on validation",
                  "several changes at once, or one seed", none="chosen on the test"),
    ),
    limit_s=150.0,
)  # fmt: skip
