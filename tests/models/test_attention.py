"""Pooling of states by a small trained transformer."""

from types import SimpleNamespace

import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.models.attention import StatesPooler


def pooler(**options) -> StatesPooler:
    torch.manual_seed(0)
    return StatesPooler(6, 5, **{"width": 4, "heads": 2, "layers": 1, **options}).eval()


@pytest.fixture
def states():
    torch.manual_seed(1)
    return torch.randn(2, 3, 6), torch.randn(2, 3, 6)


MASK = torch.tensor([[True, True, True], [True, True, False]])


def plain_pooler(**options) -> StatesPooler:
    """Build a pooler that adds words and states, has no positions, and whose norm is plain."""
    plain = StatesPooler(2, 5, width=2, heads=1, layers=0, **options)
    with torch.no_grad():
        for part in (plain.words, plain.contexts):
            part.weight.copy_(torch.eye(2))
        plain.contexts.bias.zero_()
        plain.position_embedding.zero_()
    return plain


def test_mean_by_hand():
    """h = (3, 1) and (1, 5); the norm gives (1, -1) and (-1, 1); one text has only the first."""
    words = torch.tensor([[[1.0, 1.0], [0.0, 5.0]]]).repeat(2, 1, 1)
    contexts = torch.tensor([[[2.0, 0.0], [1.0, 0.0]]]).repeat(2, 1, 1)
    mask = torch.tensor([[True, True], [True, False]])
    pooled = plain_pooler(pooling="mean").pool(words, contexts, mask)
    torch.testing.assert_close(pooled, torch.tensor([[0.0, 0.0], [1.0, -1.0]]), atol=1e-4, rtol=0)


def test_attention_by_hand():
    """Scores ln 3 and 0 for (1, -1) and (-1, 1): weights 3/4 and 1/4."""
    plain = plain_pooler()
    with torch.no_grad():
        plain.query.weight.copy_(torch.tensor([[0.5, -0.5]]) * torch.tensor(3.0).log() / 2)
    words = torch.tensor([[[3.0, 1.0], [1.0, 5.0]]])
    pooled = plain.pool(words, torch.zeros(1, 2, 2), torch.ones(1, 2, dtype=torch.bool))
    # q . (1, -1) = ln 3 / 2 and q . (-1, 1) = -ln 3 / 2
    torch.testing.assert_close(pooled, torch.tensor([[0.5, -0.5]]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("options", [{}, {"pooling": "mean"}, {"layers": 0}])
def test_padding_changes_nothing(states, options):
    network = pooler(**options)
    words, contexts = (torch.cat([rows, 99 * torch.ones(2, 2, 6)], dim=1) for rows in states)
    wide = torch.cat([MASK, torch.zeros(2, 2, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(network.pool(words, contexts, wide), network.pool(*states, MASK))


def test_both_inputs_and_the_order_count(states):
    network, (words, contexts) = pooler(), states
    result = network.pool(words, contexts, MASK)
    flipped = words.flip(1), contexts.flip(1)
    for other in ((words + 1, contexts), (words, 2 * contexts), flipped):
        assert (network.pool(*other, MASK)[0] - result[0]).abs().max() > 1e-3


def test_it_reads_an_output_of_transformers(states):
    network, (words, contexts) = pooler(), states
    output = SimpleNamespace(hidden_states=(words, torch.randn(2, 3, 6), contexts))
    expected = network.pool(words, contexts, MASK)
    torch.testing.assert_close(network(output, MASK.long()), expected)


def test_every_parameter_is_trained(states):
    network = pooler().train()
    network.pool(*states, MASK).pow(3).sum().backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_refuses_another_pooling():
    with pytest.raises(RetrievalInputError, match="pooling must be one of 'attention', 'mean'"):
        pooler(pooling="max")
