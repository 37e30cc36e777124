"""Learnt scale and bias: start, steps, and the clamp after the step."""

import math

import pytest
import torch
import torch.nn.functional as F

from lib.core.checks import RetrievalInputError
from lib.losses import LogitBias, LogitScale, infonce_loss, siglip_bias_for, sigmoid_loss
from lib.training.loop import parameter_groups


def test_starts_where_clip_starts():
    scale = LogitScale()
    assert scale.log_scale.item() == pytest.approx(2.6592, abs=1e-4)
    assert scale().item() == pytest.approx(14.2857, abs=1e-4) and scale().shape == ()
    assert scale.temperature.item() == pytest.approx(0.07, rel=1e-6)


def test_the_gradient_of_the_parameter_is_the_scale_times_that_of_the_scale():
    scale = LogitScale(10.0)
    scale().backward()
    assert scale.log_scale.grad.item() == pytest.approx(10, rel=1e-6)
    scale.log_scale.grad = None
    scale.temperature.backward()
    assert scale.log_scale.grad.item() == pytest.approx(-0.1, rel=1e-6)


def test_clamps_in_place_when_told_and_only_then():
    scale = LogitScale(init=50.0, max_scale=100.0)
    with torch.no_grad():
        scale.log_scale.fill_(math.log(1000))
    assert scale().item() == pytest.approx(1000, rel=1e-5)  # forward shows what is there
    assert scale.clamp_() is scale
    assert scale().item() == pytest.approx(100, rel=1e-5)
    with torch.no_grad():
        scale.log_scale.fill_(-3)
    assert scale.clamp_()().item() == 1


class ClampedInForward(LogitScale):
    """Planted bug: beyond the bound the gradient is 0, so the parameter never comes back."""

    def forward(self):
        return self.log_scale.exp().clamp(max=self.max_scale)


@pytest.mark.parametrize(("kind", "returns"), [(LogitScale, True), (ClampedInForward, False)])
def test_a_scale_beyond_its_bound_comes_back_when_the_data_ask_for_less(kind, returns):
    # Random pairs cannot be separated, so the best scale is small.
    generator = torch.Generator().manual_seed(0)
    query, key = (F.normalize(torch.randn(32, 8, generator=generator), dim=1) for _ in range(2))
    scale = kind(init=99.0)
    with torch.no_grad():
        scale.log_scale.fill_(math.log(150))  # as a step of the optimizer may leave it
    optimizer = torch.optim.SGD(scale.parameters(), lr=0.01)
    for _ in range(20):
        optimizer.zero_grad()
        infonce_loss(query, key, 1 / scale()).backward()
        optimizer.step()
        if kind is LogitScale:
            scale.clamp_()
    assert (scale().item() < 90) == returns


def test_a_fixed_scale_is_stored_and_not_trained():
    scale = LogitScale(20.0, learnable=False)
    assert list(scale.parameters()) == [] and not scale().requires_grad
    other = LogitScale(5.0, learnable=False)
    other.load_state_dict(scale.state_dict())
    assert other().item() == pytest.approx(20)


def test_neither_is_decayed_by_the_trainer():
    model = torch.nn.ModuleDict(
        {"scale": LogitScale(), "bias": LogitBias(), "head": torch.nn.Linear(2, 2)}
    )
    decayed, free = parameter_groups(model, 0.1)
    assert decayed["params"] == [model["head"].weight]
    assert len(free["params"]) == 3


def test_the_bias_is_what_it_says_and_learns():
    bias = LogitBias()
    assert bias().item() == -10 and bias().shape == ()
    bias = LogitBias(siglip_bias_for(8))
    eye = torch.eye(8)
    sigmoid_loss(eye, -eye, 0.1, bias()).backward()
    assert bias.bias.grad.item() < 0  # positives at -10: a step raises the bias


def test_both_say_what_they_hold():
    assert "scale=14.29, max_scale=100" in repr(LogitScale())
    assert "bias=-10" in repr(LogitBias())


def test_refuses():
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(RetrievalInputError, match="init must be positive"):
            LogitScale(wrong)
    with pytest.raises(
        RetrievalInputError, match=r"init must be in \[1, 100.0\].*got 0.07.*1 / temperature"
    ):
        LogitScale(0.07)
    with pytest.raises(RetrievalInputError, match="range of clamp_, got 14"):
        LogitScale(max_scale=10.0)
    with pytest.raises(RetrievalInputError, match="max_scale must be positive and finite"):
        LogitScale(max_scale=float("inf"))
    with pytest.raises(RetrievalInputError, match="init must be finite"):
        LogitBias(float("nan"))
