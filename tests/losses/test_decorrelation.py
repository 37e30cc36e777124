import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.losses import decorrelation_loss


def test_by_hand():
    # Coordinates 0 and 1 are opposite, coordinate 2 is uncorrelated with both: two of six pairs
    # have r^2 = 1.
    emb = torch.tensor([[1.0, -1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, 1.0], [-1.0, 1.0, -1.0]])
    assert float(decorrelation_loss(emb)) == pytest.approx(2 / 3, rel=1e-3)


def test_copies_of_one_coordinate_give_d_minus_1():
    column = torch.randn(50, 1, generator=torch.Generator().manual_seed(0))
    assert float(decorrelation_loss(column.repeat(1, 5))) == pytest.approx(4.0, rel=1e-3)


def test_is_numpys_correlation_matrix():
    emb = torch.randn(20, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    r = np.corrcoef(emb.numpy(), rowvar=False)
    expected = (np.sum(r**2) - np.sum(np.diag(r) ** 2)) / 7
    assert float(decorrelation_loss(emb)) == pytest.approx(expected, rel=1e-3)


def test_random_embeddings_give_the_floor_of_the_batch_size():
    emb = torch.randn(64, 256, generator=torch.Generator().manual_seed(2))
    assert float(decorrelation_loss(emb)) == pytest.approx(255 / 63, rel=0.03)


def test_scale_shift_and_order_of_rows_do_not_matter():
    emb = torch.randn(30, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    moved = emb[torch.randperm(30, generator=torch.Generator().manual_seed(4))] * 7 + 3
    assert float(decorrelation_loss(moved)) == pytest.approx(
        float(decorrelation_loss(emb)), rel=1e-3
    )


def test_gradient():
    emb = torch.randn(
        5, 3, generator=torch.Generator().manual_seed(5), dtype=torch.float64, requires_grad=True
    )
    assert torch.autograd.gradcheck(decorrelation_loss, (emb,))


def test_its_gradient_pulls_copies_apart():
    generator = torch.Generator().manual_seed(6)
    emb = torch.randn(64, 1, generator=generator).repeat(1, 4) + 0.1 * torch.randn(
        64, 4, generator=generator
    )
    emb.requires_grad_(True)
    optimizer = torch.optim.Adam([emb], lr=0.05)
    before = float(decorrelation_loss(emb).detach())
    for _ in range(200):
        optimizer.zero_grad()
        decorrelation_loss(emb).backward()
        optimizer.step()
    assert before > 2.5 and float(decorrelation_loss(emb).detach()) < 0.1


def test_half_precision_is_computed_in_float32_also_under_autocast():
    emb = torch.randn(16, 8, generator=torch.Generator().manual_seed(7))
    expected = float(decorrelation_loss(emb.bfloat16().float()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = decorrelation_loss(emb.bfloat16())
    assert found.dtype == torch.float32 and float(found) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "emb",
    [torch.zeros(4), torch.zeros(1, 4), torch.zeros(4, 1), torch.zeros(4, 4, dtype=torch.int64)],
)
def test_bad_input(emb):
    with pytest.raises(RetrievalInputError, match=r"at least 2, got torch|must be floating point"):
        decorrelation_loss(emb)
