"""Augmentation keeps what a name says: no mirroring, no change at strength 0, the same change for a
seed.
"""

import math

import pytest
import torch

from lib.training.augment import colour_drawings, restroke, warp


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def arrow_left(n=1, size=64):
    """Draw a bar with a head on its left end."""
    image = torch.zeros(n, 1, size, size)
    middle = size // 2
    image[..., middle - 2 : middle + 2, 14 : size - 14] = 1
    for reach in range(12):
        image[..., middle - reach : middle + reach, 10 + reach] = 1
    return image


def head_side(images):
    """Where ink is taller: below 0 the head is on the left."""
    height = images.sum(dim=2)[:, 0]  # (n, W) ink of each column
    columns = torch.linspace(-1, 1, height.shape[1])
    centre = (height * columns).sum(1) / height.sum(1)
    tall = height**3
    return (tall * columns).sum(1) / tall.sum(1) - centre


def bent(images, seed=0, **options):
    return warp(images, 1.0, generator(seed), **options)


def test_strength_zero_leaves_images_alone():
    images = torch.rand(5, 3, 32, 32, generator=generator())
    torch.testing.assert_close(warp(images, 0.0, generator()), images, rtol=0, atol=1e-5)


def test_never_mirrors():
    left = arrow_left(200)
    assert (head_side(left) < -0.05).all() and (head_side(left.flip(3)) > 0.05).all()
    assert (head_side(bent(left)) < -0.02).all()
    assert (head_side(bent(left.flip(2))) < -0.02).all()


def test_changes_each_image_in_its_own_way_within_the_stated_reach():
    images = torch.zeros(400, 1, 65, 65)
    images[:, :, 28:37, 28:37] = 1  # a square in the middle
    moved = bent(images)
    ink = moved.sum(dim=(1, 2, 3)) / 81
    assert (
        0.5 < ink.min() < 0.8 and 1.3 < ink.max() < 1.25**2 * 1.1 * 1.05
    )  # area: scale twice, aspect once
    columns = (moved.sum(dim=(1, 2)) * torch.arange(65.0)).sum(1) / moved.sum(dim=(1, 2, 3)) - 32
    # 6% of 65 pixels, and 0.12 is read in the warped image, up to 1.25 times larger.
    assert 3 < columns.abs().max() < 0.06 * 65 * 1.5
    assert len(torch.unique(columns.round(decimals=3))) > 350


def test_rotation_stays_within_ten_degrees_and_shear():
    line = torch.zeros(300, 1, 65, 65)
    line[:, :, 32, 10:55] = 1
    moved = bent(line)[:, 0]
    x, y = torch.meshgrid(torch.arange(65.0), torch.arange(65.0), indexing="xy")
    total = moved.sum(dim=(1, 2))
    x0, y0 = (moved * x).sum(dim=(1, 2)) / total, (moved * y).sum(dim=(1, 2)) / total
    dx, dy = x - x0.view(-1, 1, 1), y - y0.view(-1, 1, 1)
    slope = (moved * dx * dy).sum(dim=(1, 2)) / (moved * dx * dx).sum(dim=(1, 2))
    degrees = slope.atan().rad2deg().abs().max().item()
    assert 7 < degrees < 10 * 1.2  # a stretched image turns a little more


def test_half_strength_moves_less():
    images = arrow_left(50)
    little, much = (((warp(images, s, generator()) - images) ** 2).mean() for s in (0.5, 1.0))
    assert 0 < little < much


def test_side_resizes():
    images = torch.rand(3, 1, 64, 64, generator=generator())
    assert bent(images, side=48).shape == (3, 1, 48, 48)
    assert bent(torch.rand(2, 3, 20, 30)).shape == (2, 3, 20, 30)
    # The same amounts, whatever the size: shrinking a smooth picture first or last is nearly the
    # same.
    smooth = torch.nn.functional.avg_pool2d(arrow_left(4), 9, stride=1, padding=4)
    small = torch.nn.functional.interpolate(bent(smooth), 32, mode="bilinear", antialias=True)
    assert (bent(smooth, side=32) - small).abs().mean() < 0.01


def test_stays_in_range_and_fills_with_black():
    moved = bent(torch.ones(50, 1, 32, 32))
    assert moved.min() == 0 and moved.max() <= 1 + 1e-6


def test_generator_decides():
    images = arrow_left(4)
    torch.testing.assert_close(bent(images, 7), bent(images, 7), rtol=0, atol=0)
    assert not torch.equal(bent(images, 7), bent(images, 8))
    torch.manual_seed(0)
    before = torch.get_rng_state()
    bent(images), restroke(images, 0.5, generator())
    assert torch.equal(torch.get_rng_state(), before)  # the global generator is not touched


def test_restroke_thickens_or_thins_but_never_both():
    images = bent(arrow_left(300))
    change = restroke(images, 1.0, generator()) - images
    thicker, thinner = (change > 1e-6).flatten(1).any(1), (change < -1e-6).flatten(1).any(1)
    assert not (thicker & thinner).any()
    assert 100 < thicker.sum() < 200 and 100 < thinner.sum() < 200


def test_restroke_by_hand():
    # One bright pixel: thickening by a spreads a over its 8 neighbours, thinning takes up to 60% of
    # it away.
    dot = torch.zeros(1, 1, 5, 5)
    dot[..., 2, 2] = 1
    for seed in range(20):
        amount = (torch.rand(1, generator=generator(seed)) * 2 - 1).item()
        found = restroke(dot, 1.0, generator(seed))[0, 0]
        if amount > 0:
            assert found[2, 2] == 1 and found[1:4, 1:4].sum().item() == pytest.approx(
                1 + 8 * amount, rel=1e-5
            )
        else:
            assert found.sum().item() == pytest.approx(1 + 0.6 * amount, rel=1e-5)
        assert found[0].sum() == found[:, 4].sum() == 0


def test_restroke_leaves_hairlines_and_the_rest_of_the_images():
    line = torch.zeros(100, 1, 9, 9)
    line[..., 4, :] = 1
    assert restroke(line, 1.0, generator())[:, 0, 4].min() >= 0.4 - 1e-6
    assert torch.equal(restroke(line, 0.0, generator()), line)
    changed = (restroke(line, 0.3, generator()) != line).flatten(1).any(1).float().mean().item()
    assert math.isclose(changed, 0.3, abs_tol=0.12)


def test_restroke_keeps_shape_and_range():
    images = torch.rand(6, 1, 17, 23, generator=generator())
    found = restroke(images, 1.0, generator())
    assert found.shape == images.shape and found.min() >= 0 and found.max() <= 1


def test_restroke_treats_channels_alike():
    image = torch.rand(5, 1, 12, 12, generator=generator())
    three = restroke(image.expand(-1, 3, -1, -1), 1.0, generator(3))
    assert torch.equal(three, restroke(image, 1.0, generator(3)).expand(-1, 3, -1, -1))


def test_restroke_is_the_extreme_of_the_neighbourhood():
    images = torch.rand(40, 2, 9, 11, generator=generator())
    found = restroke(images, 1.0, generator(5))
    amount = torch.rand(40, generator=generator(5)) * 2 - 1
    dilated = torch.nn.functional.max_pool2d(images, 3, stride=1, padding=1)
    eroded = -torch.nn.functional.max_pool2d(-images, 3, stride=1, padding=1)
    for i, a in enumerate(amount.tolist()):
        target, share = (dilated, a) if a > 0 else (eroded, -0.6 * a)
        torch.testing.assert_close(found[i], images[i].lerp(target[i], share))


def test_colour_drawings_by_hand():
    drawings = torch.tensor([[[[0.0, 0.5, 1.0]]]])
    found = colour_drawings(drawings, torch.tensor([[1.0, 0, 0]]), torch.tensor([[1.0, 1, 0.5]]))
    expected = [[[1.0, 1.0, 1.0]], [[1.0, 0.5, 0.0]], [[0.5, 0.25, 0.0]]]
    assert found.tolist() == [expected]
