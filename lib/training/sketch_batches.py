"""Training batches of `sketches`: line drawings by a hand, and icons bent as a hand would.

Line drawings of the training emoji are drawn again in every batch, by another seed. They are few,
1,345; so icons of the training split take part, bent as pictures, half of them as outlines.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lib.datasets import pictures, sketches
from lib.datasets.strokes import (
    Hand,
    deform_drawings,
    measured_hand,
    pen_widths,
    render_drawings,
)
from lib.models.dual_encoder import image_tensor
from lib.training.augment import warp

SEED = 21  # of training sketches: no task draws with it
MARGINS = (2.0, 8.0)  # pixels around a sketch
WAVES = ((5, 0.07), (10, 0.035), (20, 0.02))  # points of a grid, and moves; 2 is the picture's side
CARE = 0.3  # spread of the logarithm of the moves, one for each icon
OUTLINES = 0.5  # share of the icons


@dataclass(frozen=True)
class SketchBatch:
    """Images of a batch, and what they show.

    Args:
        images: (B, 3, 64, 64), line drawings first, then icons.
        places: int64 (n_drawings,), rows of `SketchStream.shown`.
        icons: int64 (n_icons,), rows among the training icons.
    """

    images: Tensor
    places: Tensor
    icons: Tensor


def bend(drawings: Tensor, generator: torch.Generator) -> Tensor:
    """Move the pixels of drawings, (n, 1, H, W) in [0, 1], by smooth random fields."""
    n, _, height, width = drawings.shape
    field = torch.zeros(n, 2, height, width)
    for side, size in WAVES:
        coarse = torch.randn(n, 2, side, side, generator=generator) * size
        field += F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
    field *= torch.exp(CARE * torch.randn(n, 1, 1, 1, generator=generator))
    still = F.affine_grid(
        torch.eye(2, 3).repeat(n, 1, 1), list(drawings.shape), align_corners=False
    )
    return F.grid_sample(drawings, still + field.permute(0, 2, 3, 1), align_corners=False)


def outline(drawings: Tensor) -> Tensor:
    """Return the line around each area of ink, one pixel wide, (n, 1, H, W)."""
    return (F.max_pool2d(drawings, 3, 1, 1) - drawings).clamp(0, 1)


class SketchStream:
    """Batches of training sketches as a pure function of the step.

    Args:
        n_drawings, n_icons: in a batch.
        seed: of the training.
        places: int (n,), places of emoji whose line drawings are trained on; by default
            `training_places()`.
        hand: that draws them; the measured one by default.

    Attributes:
        shown: int (n,), places of the emoji whose pictures are the answers: those of the training
            split and of `places`.
    """

    def __init__(
        self,
        n_drawings: int,
        n_icons: int,
        seed: int,
        *,
        places: np.ndarray | None = None,
        hand: Hand | None = None,
    ) -> None:
        corpus = pictures.load_pictures()
        self.n_drawings, self.n_icons, self.seed = n_drawings, n_icons, seed
        self.hand = measured_hand() if hand is None else hand
        self.places = sketches.training_places() if places is None else places
        self.strokes = sketches.emoji_strokes()
        self.shown = np.union1d(sketches.emoji_places("train"), self.places)
        self.rows = np.searchsorted(self.shown, self.places)
        self.ink = 255 - corpus.pixels(corpus.positions("train", ["icons"]))[..., 0]

    def batch(self, step: int) -> SketchBatch:
        seeds = [SEED, self.seed, step]
        rng, generator = np.random.default_rng(seeds), torch.Generator().manual_seed(step)
        chosen = rng.choice(len(self.places), self.n_drawings, replace=False)
        drawings = [self.strokes[place] for place in self.places[chosen].tolist()]
        pens = np.clip(pen_widths(self.hand, sketches.PEN, len(drawings), seeds), 1, 4)
        again = deform_drawings(drawings, self.hand, seeds)
        ink = render_drawings(again, pictures.SIZE, pens, margin=float(rng.uniform(*MARGINS)))
        inks = [image_tensor(ink, 1, pictures.SIZE)]
        icons = rng.choice(len(self.ink), self.n_icons, replace=False)
        if self.n_icons:
            bent = image_tensor(self.ink[icons], 1, pictures.SIZE)
            as_line = torch.rand(len(bent), 1, 1, 1, generator=generator) < OUTLINES
            bent = torch.where(as_line, outline(bent), bent)
            inks.append(bend(warp(bent, 0.5, generator), generator))
        images = (1 - torch.cat(inks)).expand(-1, 3, -1, -1)
        images = images.contiguous(memory_format=torch.channels_last)
        return SketchBatch(images, torch.from_numpy(self.rows[chosen]), torch.from_numpy(icons))
