"""Augment training drawings without changing what they show."""

import math

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
        images: (n, 1, H, W), ink bright.
        probability: share of the images that change. Thinning stops at 60%: hairlines survive.
        generator: of the choice of images and the amounts.

    Returns:
        (n, 1, H, W); no pixel of a thickened image is darker, none of a thinned one brighter.
    """
    n = len(images)
    amount = torch.rand(n, generator=generator) * 2 - 1
    chosen = torch.rand(n, generator=generator) < probability
    thicker = (amount.clamp(min=0) * chosen).view(n, 1, 1, 1)
    thinner = ((-amount).clamp(min=0) * chosen * 0.6).view(n, 1, 1, 1)
    dilated = F.max_pool2d(images, 3, stride=1, padding=1)
    eroded = -F.max_pool2d(-images, 3, stride=1, padding=1)
    return images + thicker * (dilated - images) + thinner * (eroded - images)
