"""Augment training drawings without changing what they show."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def warp(
    images: Tensor, strength: float, generator: torch.Generator, *, side: int | None = None
) -> Tensor:
    """Rotate, scale, stretch, shear and shift each image by its own random amount.

    No mirroring: "arrow left" mirrored is "arrow right". At strength 1: rotation up to 10 degrees,
    scale 0.80 to 1.25, aspect within 10%, shear up to 0.12, shift up to 6% of the side.

    Args:
        images: (n, channels, H, W) in [0, 1]; pixels from outside are 0.
        strength: factor on all amounts; 0 does not change the images.
        generator: of the random amounts.
        side: height and width of the result; by default those of the images.

    Returns:
        (n, channels, side, side), or (n, channels, H, W) without `side`.
    """
    n, channels, height, width = images.shape
    target = [n, channels, *((height, width) if side is None else (side, side))]

    def uniform(reach: float) -> Tensor:
        return (torch.rand(n, generator=generator) * 2 - 1) * reach * strength

    angle = uniform(math.radians(10))
    across = torch.exp(uniform(0.22))
    along = across * torch.exp(uniform(0.10))
    shear, right, down = uniform(0.12), uniform(0.12), uniform(0.12)  # 6% of an image 2 wide
    cos, sin = angle.cos(), angle.sin()
    rows = [
        torch.stack([cos * across, shear - sin * along, right], dim=1),
        torch.stack([sin * across, cos * along, down], dim=1),
    ]
    grid = F.affine_grid(torch.stack(rows, dim=1), target, align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def restroke(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Thicken or thin the strokes of some images, by up to a pixel on each side.

    Args:
        images: (n, channels, H, W), ink bright.
        probability: share of the images that change. Thinning stops at 60%: hairlines survive.
        generator: of the choice of images and the amounts.

    Returns:
        Images of the same shape; no pixel of a thickened one is darker, none of a thinned one
        brighter.
    """
    n = len(images)
    amount = torch.rand(n, generator=generator) * 2 - 1
    chosen = torch.rand(n, generator=generator) < probability
    thicker = (amount.clamp(min=0) * chosen).view(n, 1, 1, 1)
    thinner = ((-amount).clamp(min=0) * chosen * 0.6).view(n, 1, 1, 1)
    dilated, eroded = (_extreme_of_nine(images, pick) for pick in (torch.maximum, torch.minimum))
    return images + thicker * (dilated - images) + thinner * (eroded - images)


def _extreme_of_nine(images: Tensor, pick: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Compute the extreme of each pixel and its neighbours; max_pool2d is ten times slower."""
    for axis in (-2, -1):
        size = images.shape[axis] - 1
        before, after = images.narrow(axis, 0, size), images.narrow(axis, 1, size)
        extreme = images.clone()
        extreme.narrow(axis, 1, size).copy_(pick(after, before))
        left = extreme.narrow(axis, 0, size)
        left.copy_(pick(left, after))
        images = extreme
    return images


def colour_drawings(drawings: Tensor, inks: Tensor, papers: Tensor) -> Tensor:
    """Colour drawings: colour = (1 - x) paper + x ink, for the amount x of ink in a pixel.

    Args:
        drawings: (n, 1, H, W) in [0, 1], 1 = ink.
        inks: (n, 3) colours in [0, 1].
        papers: (n, 3) colours in [0, 1].

    Returns:
        (n, 3, H, W).
    """
    inks, papers = inks[:, :, None, None], papers[:, :, None, None]
    return papers + drawings * (inks - papers)
