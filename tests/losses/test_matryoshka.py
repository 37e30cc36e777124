"""Matryoshka: a weighted sum of one loss over re-normalised truncations."""

import math

import pytest
import torch
import torch.nn.functional as F

from lib.core.checks import RetrievalInputError
from lib.losses import infonce_loss, matryoshka_loss


def pairs(n=6, dim=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(n, dim, generator=generator, dtype=torch.float64) for _ in range(2))


def sum_of_norms(query_emb, key_emb):
    return query_emb.norm(dim=1).sum() + key_emb.norm(dim=1).sum()


def test_full_size_alone_is_the_loss_on_unit_rows():
    query, key = pairs()
    expected = infonce_loss(
        F.normalize(query, dim=1), F.normalize(key, dim=1), 0.1, direction="both"
    )
    found = matryoshka_loss(infonce_loss, query, key, [8], temperature=0.1, direction="both")
    torch.testing.assert_close(found, expected)


def test_two_sizes_by_hand():
    # The first coordinate alone makes both pairs alike (+1): log 2. Both coordinates make them
    # orthogonal.
    query = torch.tensor([[1.0, 0.0], [1e-3, 1.0]], dtype=torch.float64)
    full = F.normalize(query, dim=1)
    logits = full @ full.T
    expected = math.log(2) + (logits.logsumexp(1) - logits.diagonal()).mean().item()
    found = matryoshka_loss(infonce_loss, query, query, [1, 2], temperature=1.0)
    assert found.item() == pytest.approx(expected, abs=1e-12)


def test_each_truncation_is_normalised_again():
    query, key = pairs(n=5)
    assert matryoshka_loss(sum_of_norms, query, key, [1, 3, 8]).item() == pytest.approx(3 * 10)


def test_weights_are_linear_and_one_by_default():
    query, key = pairs()
    sizes = [2, 4, 8]
    single = [matryoshka_loss(infonce_loss, query, key, [size]) for size in sizes]
    torch.testing.assert_close(matryoshka_loss(infonce_loss, query, key, sizes), sum(single))
    weighted = matryoshka_loss(infonce_loss, query, key, sizes, weights=[0.5, 0, 2])
    torch.testing.assert_close(weighted, 0.5 * single[0] + 2 * single[2])


def test_the_scale_of_the_input_does_not_matter():
    query, key = pairs()
    found = matryoshka_loss(infonce_loss, 7 * query, key / 3, [4, 8])
    torch.testing.assert_close(found, matryoshka_loss(infonce_loss, query, key, [4, 8]))


def test_coordinates_beyond_the_largest_size_get_no_gradient():
    query, key = (x.requires_grad_() for x in pairs())
    matryoshka_loss(infonce_loss, query, key, [2, 4]).backward()
    assert query.grad[:, :4].abs().min() > 0 and query.grad[:, 4:].abs().max() == 0


def test_gradcheck():
    query, key = (x.requires_grad_() for x in pairs(n=3, dim=4))
    temperature = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda q, k, t: matryoshka_loss(
            infonce_loss, q, k, [2, 4], weights=[1, 0.5], temperature=t
        ),
        (query, key, temperature),
    )


@pytest.mark.parametrize("dims", [[], [0, 4], [4, 4], [8, 4], [4, 9], [-1]])
def test_refuses_sizes_that_do_not_ascend_within_the_width(dims):
    with pytest.raises(RetrievalInputError, match=r"ascend strictly from 1 to at most 8, got \["):
        matryoshka_loss(infonce_loss, *pairs(), dims)


def test_refuses_another_number_of_weights():
    with pytest.raises(RetrievalInputError, match="2 sizes need as many weights, got 3"):
        matryoshka_loss(infonce_loss, *pairs(), [4, 8], weights=[1, 1, 1])


def test_refuses_widths_that_the_truncation_would_hide():
    query, key = pairs()
    with pytest.raises(RetrievalInputError, match=r"got \(6, 8\) and \(6, 4\)"):
        matryoshka_loss(infonce_loss, query, key[:, :4], [2, 4])
    with pytest.raises(RetrievalInputError, match=r"got \(8,\) and \(6, 8\)"):
        matryoshka_loss(infonce_loss, query[0], key, [2])
