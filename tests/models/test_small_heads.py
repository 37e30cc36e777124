"""Two heads on frozen features."""

import torch

from lib.models.baselines import Heads


def test_shapes_and_interface_of_a_dual_encoder():
    torch.manual_seed(0)
    heads = Heads(torch.randn(50, 12), 7, dim=5, width=9).eval()
    assert heads.encode_image(torch.randn(3, 12)).shape == (3, 5)
    assert heads.encode_text(torch.randn(4, 7)).shape == (4, 5)
    assert heads.logit_scale.shape == heads.logit_bias.shape == ()


def test_scale_and_shift_of_a_feature_do_not_matter():
    torch.manual_seed(0)
    images = torch.randn(50, 12)
    moved = images * torch.linspace(0.5, 20, 12) + torch.arange(12.0)
    torch.manual_seed(1)
    plain = Heads(images, 7).eval()
    torch.manual_seed(1)
    other = Heads(moved, 7).eval()
    assert torch.allclose(plain.encode_image(images), other.encode_image(moved), atol=1e-4)


def test_a_constant_feature_stays_finite():
    images = torch.randn(50, 4)
    images[:, 2] = 3.0
    assert Heads(images, 7).eval().encode_image(images).isfinite().all()
