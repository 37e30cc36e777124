"""Every objective trains, starts as in its paper, and uses positives if it can."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from lib.core.checks import RetrievalInputError
from lib.losses import infonce_loss
from lib.models.baselines import Heads
from lib.training.batches import Batch, PairStream
from lib.training.loop import Plan, Trainer
from lib.training.objectives import OBJECTIVES, objective


def pairs(n: int = 64, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    meaning = torch.randn(n, 6, generator=generator)
    mixing = torch.randn(2, 6, 20, generator=generator)
    return torch.tanh(meaning @ mixing[0]), torch.tanh(meaning @ mixing[1])


@pytest.mark.parametrize("name", OBJECTIVES)
def test_every_objective_learns_to_match_pairs(name):
    images, texts = pairs()
    torch.manual_seed(0)
    network, target = Heads(images, 20, dim=16, width=32, dropout=0.0), objective(name)
    target.prepare(network, 16)
    stream = PairStream(images, texts, np.arange(64), 16, seed=0)
    plan = Plan(120, 5e-3, warmup=10, weight_decay=0.0, average=0.0, validate_every=120)
    trained = Trainer(network, stream, target, plan).run()
    with torch.no_grad():
        cosines = (
            F.normalize(trained.encode_text(texts), dim=1)
            @ F.normalize(trained.encode_image(images), dim=1).T
        )
    found = (cosines.argmax(dim=1) == torch.arange(64)).float().mean()
    assert found > 0.9, "64 pairs of a smooth map are learnt in 120 steps"


@pytest.mark.parametrize("name", OBJECTIVES)
def test_only_what_a_loss_uses_is_learnt(name):
    images, texts = pairs(16)
    network, target = Heads(images, 20), objective(name)
    target.prepare(network, 16)
    target(network, Batch(images, texts, torch.eye(16, dtype=torch.bool))).backward()
    for parameter, used in (
        (network.logit_scale, target.learns_scale),
        (network.logit_bias, target.bias is not None),
    ):
        assert (parameter.grad is not None and parameter.grad.item() != 0) == used


def test_starting_points():
    network = Heads(pairs()[0], 20)
    objective("sigmoid").prepare(network, 256)
    assert network.logit_scale.exp().item() == pytest.approx(10, rel=1e-6)
    assert network.logit_bias.item() == pytest.approx(-math.log(255), rel=1e-6)
    objective("MNR").prepare(network, 256)
    assert network.logit_scale.exp().item() == pytest.approx(20, rel=1e-6)
    assert not network.logit_scale.requires_grad


def test_infonce_is_the_loss_of_the_library():
    images, texts = pairs(16)
    network, target = Heads(images, 20).eval(), objective("InfoNCE")
    target.prepare(network, 16)
    right = torch.eye(16, dtype=torch.bool)
    right[0, 1] = right[1, 0] = True
    sides = [
        F.normalize(side, dim=1)
        for side in (network.encode_image(images), network.encode_text(texts))
    ]
    expected = infonce_loss(*sides, 0.07, direction="both", positives=right)
    assert target(network, Batch(images, texts, right)).item() == pytest.approx(
        expected.item(), rel=1e-5
    )


@pytest.mark.parametrize("name", OBJECTIVES)
def test_whether_further_right_pairs_change_the_loss(name):
    images, texts = pairs(16)
    network, target = Heads(images, 20).eval(), objective(name)
    target.prepare(network, 16)
    right = torch.eye(16, dtype=torch.bool)
    alone = target(network, Batch(images, texts, right)).item()
    right[0, 1:] = True
    with_positives = target(network, Batch(images, texts, right)).item()
    assert (with_positives != alone) == target.takes_positives


def test_unknown_loss_lists_the_known():
    with pytest.raises(RetrievalInputError, match="InfoNCE"):
        objective("info nce")
