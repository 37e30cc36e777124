"""Gradients on the logits against their closed forms, and against the losses of embeddings."""

import pytest
import torch
import torch.nn.functional as F

from lib.core.checks import RetrievalInputError
from lib.losses import infonce_logit_gradient, infonce_loss, sigmoid_logit_gradient, sigmoid_loss

DIRECTIONS = ("query_to_key", "key_to_query", "both")


def logits_of(n_queries=4, n_keys=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(n_queries, n_keys or n_queries, generator=generator, dtype=torch.float64)


def through_the_loss(loss, logits, **options):
    """dL/ds by autograd: with the identity as keys, an embedding is its own row of logits."""
    logits = logits.clone().requires_grad_()
    loss(logits, torch.eye(logits.shape[1], dtype=logits.dtype), 1.0, **options).backward()
    return logits.grad


def marked(n_queries, n_keys):
    cells = torch.rand(n_queries, n_keys, generator=torch.Generator().manual_seed(3)) < 0.3
    return cells | torch.eye(n_queries, n_keys, dtype=torch.bool)


def test_two_pairs_worked_by_hand():
    # Softmax of (log 3, 0) is (3/4, 1/4): the right cell is pulled with 1/4, the wrong one pushed
    # with 1/4.
    logits = torch.tensor([[3.0, 1.0], [1.0, 3.0]], dtype=torch.float64).log()
    half_of_quarter = torch.tensor([[-1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) / 8
    for direction in DIRECTIONS:
        torch.testing.assert_close(infonce_logit_gradient(logits, direction), half_of_quarter)
    # sigmoid(log 3) = 3/4, sigmoid(0) = 1/2.
    expected = torch.tensor([[-1 / 8, 1 / 4], [1 / 4, -1 / 8]], dtype=torch.float64)
    torch.testing.assert_close(sigmoid_logit_gradient(logits), expected)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("masked", [False, True])
def test_infonce_equals_softmax_minus_target_and_the_loss(direction, masked):
    logits, positives = logits_of(), marked(4, 4) if masked else None
    found = infonce_logit_gradient(logits, direction, positives)
    right = (torch.eye(4) if positives is None else positives).to(logits.dtype)
    by_row = (logits.softmax(1) - right / right.sum(1, keepdim=True)) / 4
    by_column = (logits.softmax(0) - right / right.sum(0)) / 4
    closed = {"query_to_key": by_row, "key_to_query": by_column, "both": (by_row + by_column) / 2}
    torch.testing.assert_close(found, closed[direction])
    expected = through_the_loss(infonce_loss, logits, direction=direction, positives=positives)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("reduction", ["per_query", "mean"])
@pytest.mark.parametrize("masked", [False, True])
def test_sigmoid_equals_sigmoid_minus_target_and_the_loss(reduction, masked):
    logits, positives = logits_of(3, 5), marked(3, 5) if masked else None
    found = sigmoid_logit_gradient(logits, positives, reduction)
    right = (torch.eye(3, 5) if positives is None else positives).to(logits.dtype)
    closed = (logits.sigmoid() - right) / (15 if reduction == "mean" else 3)
    torch.testing.assert_close(found, closed)
    expected = through_the_loss(
        sigmoid_loss, logits, bias=0.0, positives=positives, reduction=reduction
    )
    torch.testing.assert_close(found, expected)


def test_needs_no_gradient_of_its_input_and_returns_none():
    logits = logits_of().requires_grad_()
    with torch.no_grad():
        found = [infonce_logit_gradient(logits), sigmoid_logit_gradient(logits)]
    assert not any(gradient.requires_grad for gradient in found) and logits.grad is None


def test_more_keys_than_queries():
    found = infonce_logit_gradient(logits_of(3, 6))
    torch.testing.assert_close(found, through_the_loss(infonce_loss, logits_of(3, 6)))


def test_chain_to_embeddings_and_temperature():
    generator = torch.Generator().manual_seed(1)
    query, key = (
        F.normalize(torch.randn(5, 3, generator=generator, dtype=torch.float64)).requires_grad_()
        for _ in range(2)
    )
    temperature = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    infonce_loss(query, key, temperature, direction="both").backward()
    with torch.no_grad():
        cosines = query @ key.T
        cells = infonce_logit_gradient(cosines / 0.2, "both")
        torch.testing.assert_close(query.grad, cells @ key / 0.2)
        torch.testing.assert_close(key.grad, cells.T @ query / 0.2)
        torch.testing.assert_close(temperature.grad, -(cells * cosines).sum() / 0.2**2)


def test_a_softmax_balances_each_row_and_a_sigmoid_does_not():
    logits = logits_of()
    zeros = torch.zeros(4, dtype=torch.float64)
    torch.testing.assert_close(infonce_logit_gradient(logits).sum(1), zeros)
    torch.testing.assert_close(infonce_logit_gradient(logits, "key_to_query").sum(0), zeros)
    assert sigmoid_logit_gradient(logits).sum(1).abs().min() > 1e-3


def test_a_colder_temperature_moves_the_push_to_the_hardest_negative():
    cosines = torch.tensor([[0.5, 0.4, 0.1, 0.0]] + [[0.0] * 4] * 3, dtype=torch.float64)
    shares = []
    for temperature in (1.0, 0.1, 0.01):
        push = infonce_logit_gradient(cosines / temperature)[0, 1:]
        shares.append((push[0] / push.sum()).item())
    assert shares == sorted(shares) and shares[0] < 0.45 and shares[-1] > 0.999


def test_the_pull_keeps_its_digits_on_a_solved_pair():
    cells = sigmoid_logit_gradient(torch.full((2, 2), 30.0))  # float32
    assert cells[0, 0].item() == pytest.approx(-0.5 * 9.3576e-14, rel=1e-4)


# ---- bad input


@pytest.mark.parametrize("gradient", [infonce_logit_gradient, sigmoid_logit_gradient])
def test_refuses(gradient):
    with pytest.raises(
        RetrievalInputError, match=r"\(B, M\) with M >= B.*got torch.float32 \(3, 2\)"
    ):
        gradient(torch.zeros(3, 2))
    with pytest.raises(RetrievalInputError, match=r"got torch.int64 \(3, 3\)"):
        gradient(torch.zeros(3, 3, dtype=torch.int64))
    with pytest.raises(RetrievalInputError, match=r"got torch.float32 \(3,\)"):
        gradient(torch.zeros(3))
    with pytest.raises(RetrievalInputError, match=r"positives must be bool \(2, 2\)"):
        gradient(torch.zeros(2, 2), positives=torch.eye(3, dtype=torch.bool))
    with pytest.raises(RetrievalInputError, match="marks nothing as right for query 0"):
        gradient(torch.zeros(2, 2), positives=torch.zeros(2, 2, dtype=torch.bool))


def test_refuses_unknown_options():
    with pytest.raises(RetrievalInputError, match="'key_to_query', 'both'; got 'rows'"):
        infonce_logit_gradient(torch.zeros(2, 2), "rows")
    with pytest.raises(RetrievalInputError, match=r"floating point \(B, B\)"):
        infonce_logit_gradient(torch.zeros(2, 3), "both")
    with pytest.raises(RetrievalInputError, match="'per_query', 'mean'; got 'none'"):
        sigmoid_logit_gradient(torch.zeros(2, 2), reduction="none")
