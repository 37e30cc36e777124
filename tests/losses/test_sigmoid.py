"""Sigmoid loss against a double loop, SigLIP's code, its prior and limit; planted bugs."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.loss import SigLipLoss
from scipy.special import log_expit

from lib.core.checks import RetrievalInputError
from lib.losses import siglip_bias_for, sigmoid_loss
from tests.losses.batches import gradients, mask, pairs


def by_hand(query, key, temperature, bias, positives=None):
    """Compute the formula of the docstring, one number at a time."""
    total = 0.0
    for i in range(len(query)):
        for j in range(len(key)):
            right = i == j if positives is None else bool(positives[i][j])
            logit = float(query[i] @ key[j]) / temperature + bias
            total += math.log1p(math.exp(-logit if right else logit))
    return total / len(query)


# ---- values


def test_two_orthogonal_pairs_worked_by_hand():
    # Cosines are the identity; at temperature 1 and bias 0 each query pays log(1 + 1/e) for its own
    # key and log 2 for the other.
    eye = torch.eye(2, dtype=torch.float64)
    assert sigmoid_loss(eye, eye, 1.0, 0.0).item() == pytest.approx(1.0064088680781682, abs=1e-12)


@pytest.mark.parametrize("shape", [(4, 4), (3, 4), (2, 5)])
@pytest.mark.parametrize("bias", [0.0, -10.0, 3.0])
def test_equals_the_double_loop(shape, bias):
    query, key = pairs(*shape)
    expected = by_hand(query.numpy(), key.numpy(), 0.1, bias)
    assert sigmoid_loss(query, key, 0.1, bias).item() == pytest.approx(expected, rel=1e-12)


def test_positives_by_hand():
    query, key = pairs(3)
    positives = mask([1, 1, 0], [0, 1, 0], [1, 0, 1])
    expected = by_hand(query.numpy(), key.numpy(), 0.2, -1.0, positives.tolist())
    assert sigmoid_loss(query, key, 0.2, -1.0, positives=positives).item() == pytest.approx(
        expected
    )
    diagonal = sigmoid_loss(query, key, positives=torch.eye(3, dtype=torch.bool))
    torch.testing.assert_close(diagonal, sigmoid_loss(query, key))


def test_equals_scipy():
    query, key = pairs(8, dim=5)
    logits = query.numpy() @ key.numpy().T / 0.1 - 4
    signs = 2 * torch.eye(8).numpy() - 1
    expected = -log_expit(signs * logits).sum() / 8
    assert sigmoid_loss(query, key, 0.1, -4.0).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("bias", [-10.0, -2.0, 5.0])
def test_equals_open_clip_in_value_and_gradient(dtype, tolerance, bias):
    query, key = pairs(16, dim=8, dtype=dtype)
    numbers = torch.tensor(10.0, dtype=dtype), torch.tensor(bias, dtype=dtype)
    found = gradients(lambda q, k, s, b: sigmoid_loss(q, k, 1 / s, b), query, key, *numbers)
    for mine, theirs in zip(found, gradients(SigLipLoss(), query, key, *numbers)):
        torch.testing.assert_close(mine, theirs, rtol=tolerance, atol=tolerance)


def test_keeps_the_digits_where_torch_by_default_does_not():
    # 25 above zero torch's softplus returns its argument; that is 1.4e-11 short.
    eye = torch.eye(2, dtype=torch.float64)
    positives = torch.ones(2, 2, dtype=torch.bool)
    found = sigmoid_loss(eye, eye, 1.0, -25.0, positives=positives).item()
    assert found == pytest.approx(
        24 + 25 + math.log1p(math.exp(-24)) + math.log1p(math.exp(-25)), abs=1e-13
    )


# ---- the prior


@pytest.mark.parametrize(
    ("batch", "at_minus_10", "best_bias", "at_best"),
    [(32, 10.00, -3.43, 4.45), (128, 10.01, -4.84, 5.85), (512, 10.02, -6.24, 7.24)],
)
def test_the_loss_of_an_untrained_model_and_the_bias_that_suits_it(
    batch, at_minus_10, best_bias, at_best
):
    query = torch.zeros(batch, 2, dtype=torch.float64)
    query[:, 0] = 1
    key = query.flip(1)  # every cosine is 0
    assert siglip_bias_for(batch) == pytest.approx(best_bias, abs=0.005)
    assert sigmoid_loss(query, key).item() == pytest.approx(at_minus_10, abs=0.005)
    assert sigmoid_loss(query, key, bias=siglip_bias_for(batch)).item() == pytest.approx(
        at_best, abs=0.005
    )
    bias = torch.tensor(siglip_bias_for(batch), dtype=torch.float64, requires_grad=True)
    sigmoid_loss(query, key, bias=bias).backward()
    assert abs(bias.grad.item()) < 1e-12  # the minimum


@pytest.mark.parametrize(("batch", "expected"), [(4096, 10.19), (32768, 11.49)])
def test_the_prior_of_a_large_batch(batch, expected):
    # Closed form of the docstring, at the bias of the paper.
    assert math.log1p(math.exp(10)) + (batch - 1) * math.log1p(math.exp(-10)) == pytest.approx(
        expected, abs=0.005
    )
    assert siglip_bias_for(batch) == pytest.approx({4096: -8.32, 32768: -10.40}[batch], abs=0.005)


def test_two_pairs_need_no_bias():
    assert siglip_bias_for(2) == 0


# ---- relations


def test_mean_makes_every_gradient_as_many_times_smaller_as_there_are_keys():
    query, key = pairs(6, 8)
    full = gradients(lambda q, k: sigmoid_loss(q, k), query, key)
    mean = gradients(lambda q, k: sigmoid_loss(q, k, reduction="mean"), query, key)
    for whole, part in zip(full, mean):
        torch.testing.assert_close(whole, 8 * part)


def test_a_cold_temperature_leaves_a_hinge_at_one_threshold():
    query, key = pairs(6)
    cosines, threshold, right = query @ key.T, 0.3, torch.eye(6, dtype=torch.bool)
    hinge = torch.where(right, threshold - cosines, cosines - threshold).relu().sum() / 6
    gaps = [
        (t * sigmoid_loss(query, key, t, -threshold / t) - hinge).item()
        for t in (0.1, 0.01, 0.001, 0.0001)
    ]
    rounding = 1e-14  # of sums in float64
    assert all(cold <= warm + rounding for warm, cold in zip(gaps, gaps[1:], strict=False))
    assert -rounding <= gaps[-1] < 1e-5


def test_pairs_do_not_compete():
    # Where a softmax gives a duplicate half of the mass, here both are simply right.
    eye = torch.eye(4, dtype=torch.float64).repeat(2, 1)
    copies = torch.eye(4, dtype=torch.bool).repeat(2, 2)
    assert sigmoid_loss(eye, eye, 0.01, -50.0, positives=copies).item() < 1e-12
    assert sigmoid_loss(eye, eye, 0.01, -50.0).item() == pytest.approx(
        50
    )  # the copy of each, called wrong


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 9), st.integers(2, 6), st.integers(0, 10_000))
def test_order_rotation_and_sides_do_not_matter(n, dim, seed):
    query, key = pairs(n, dim=dim, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(n, generator=generator)
    rotation = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64)).Q
    loss = sigmoid_loss(query, key)
    assert loss > 0
    torch.testing.assert_close(sigmoid_loss(query[order], key[order]), loss)
    torch.testing.assert_close(sigmoid_loss(query @ rotation, key @ rotation), loss)
    torch.testing.assert_close(sigmoid_loss(key, query), loss)


# ---- gradients


@pytest.mark.parametrize("reduction", ["per_query", "mean"])
@pytest.mark.parametrize("masked", [False, True])
def test_gradcheck_with_a_learnable_temperature_and_bias(reduction, masked):
    query, key = (x.requires_grad_() for x in pairs(3, 4))
    numbers = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in (0.3, -1.0)]
    positives = mask([1, 1, 0, 0], [0, 1, 0, 0], [0, 1, 1, 1]) if masked else None
    assert torch.autograd.gradcheck(
        lambda q, k, t, b: sigmoid_loss(q, k, t, b, positives=positives, reduction=reduction),
        (query, key, *numbers),
    )


def test_eight_pairs_are_learnt():
    generator = torch.Generator().manual_seed(0)
    query, key = (torch.randn(8, 8, generator=generator, requires_grad=True) for _ in range(2))
    optimizer = torch.optim.Adam([query, key], lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        sigmoid_loss(F.normalize(query), F.normalize(key), 0.1, siglip_bias_for(8)).backward()
        optimizer.step()
    assert (F.normalize(query) @ F.normalize(key).T).argmax(1).tolist() == list(range(8))


# ---- planted bugs: each breaks the value or the gradient of the paper's formula


def wrong(signs="z", axis_of_mean=(), bias_sign=1, scale=lambda t: 1 / t, negatives_only=False):
    def loss(query, key, temperature, bias):
        logits = query @ key.T * scale(temperature) + bias_sign * bias
        eye = torch.eye(len(logits), dtype=logits.dtype)
        z = {"z": 2 * eye - 1, "flipped": 1 - 2 * eye, "ones": torch.ones_like(eye)}[signs]
        cells = -F.logsigmoid(z * logits)
        if negatives_only:
            cells = cells * (1 - eye)
        return cells.mean(axis_of_mean).sum() if axis_of_mean else cells.sum() / len(logits)

    return loss


BUGS = {
    "the mean over all cells": wrong(axis_of_mean=(0, 1)),
    "the labels flipped": wrong(signs="flipped"),
    "every pair called right": wrong(signs="ones"),
    "the bias subtracted": wrong(bias_sign=-1),
    "multiplied by the temperature": wrong(scale=lambda t: t),
    "the positives forgotten": wrong(negatives_only=True),
}


def test_the_correct_form_of_the_planted_bugs_is_the_loss():
    query, key = pairs()
    found = wrong()(query, key, 0.1, -2.0).item()
    assert found == pytest.approx(by_hand(query.numpy(), key.numpy(), 0.1, -2.0), rel=1e-12)


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_caught(bug):
    query, key = pairs()
    assert (
        abs(
            BUGS[bug](query, key, 0.1, -2.0).item() - by_hand(query.numpy(), key.numpy(), 0.1, -2.0)
        )
        > 0.1
    )


# ---- precision and bad input


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    query, key = (x.to(dtype) for x in pairs(8, dim=4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = sigmoid_loss(query, key, 0.01)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, sigmoid_loss(query.float(), key.float(), 0.01))


def test_refuses():
    query, key = pairs(3)
    with pytest.raises(RetrievalInputError, match=r"\(3, 3\) and key_emb \(3, 2\)"):
        sigmoid_loss(query, key[:, :2])
    with pytest.raises(RetrievalInputError, match="at least 2 pairs"):
        sigmoid_loss(query[:1], key)
    with pytest.raises(RetrievalInputError, match=r"floating point, got torch\.int64"):
        sigmoid_loss(query.long(), key.long())
    with pytest.raises(RetrievalInputError, match="'per_query', 'mean'; got 'sum'"):
        sigmoid_loss(query, key, reduction="sum")
    for wrong_temperature in (0.0, -0.1, float("nan")):
        with pytest.raises(RetrievalInputError, match="temperature must be positive and finite"):
            sigmoid_loss(query, key, wrong_temperature)
    for wrong_bias in (float("nan"), float("-inf")):
        with pytest.raises(RetrievalInputError, match="bias must be finite"):
            sigmoid_loss(query, key, 0.1, wrong_bias)
    with pytest.raises(RetrievalInputError, match=r"bias must be one number, got shape \(3,\)"):
        sigmoid_loss(query, key, 0.1, torch.zeros(3))
    with pytest.raises(RetrievalInputError, match=r"positives must be bool \(3, 3\)"):
        sigmoid_loss(query, key, positives=torch.eye(3))
    with pytest.raises(RetrievalInputError, match="marks nothing as right for query 2"):
        sigmoid_loss(query, key, positives=mask([1, 0, 0], [0, 1, 0], [0, 0, 0]))
    for batch in (1, 0, 2.5):
        with pytest.raises(RetrievalInputError, match="batch"):
            siglip_bias_for(batch)
