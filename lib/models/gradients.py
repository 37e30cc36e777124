"""Histograms of oriented gradients: features of images that need no training."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.core.checks import RetrievalInputError

GRID, ORIENTATIONS = 8, 8


def gradient_features(images: np.ndarray) -> np.ndarray:
    """Compute `image_gradients` of uint8 images.

    Args:
        images: uint8 (n, height, width), or (n, height, width, channels); sides that 8 divides.

    Returns:
        float32 (n, 64 * (channels + 8)).
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise RetrievalInputError(
            "images must be uint8 (n, height, width) or (n, height, width, channels), got"
            f" {images.dtype} {images.shape}"
        )
    if images.shape[1] % GRID or images.shape[2] % GRID:
        raise RetrievalInputError(
            f"images of {images.shape[1:3]} do not divide into {GRID} x {GRID} cells"
        )
    channels = 1 if images.ndim == 3 else images.shape[3]
    empty = np.empty((0, count_features(channels)), np.float32)
    batches = [_features_of(images[start : start + 256]) for start in range(0, len(images), 256)]
    return np.concatenate([empty, *batches])


def _features_of(images: np.ndarray) -> np.ndarray:
    pixels = torch.from_numpy(np.require(images, requirements=["C", "W"])).float() / 255
    pixels = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    return image_gradients(pixels).numpy()


def count_features(channels: int) -> int:
    """Count the numbers of an image: `channels` colours and 8 orientations in 64 cells."""
    return GRID**2 * (channels + ORIENTATIONS)


def image_gradients(images: Tensor) -> Tensor:
    """Compute the mean colour and a histogram of oriented gradients of the cells of an 8 x 8 grid.

    Each pixel votes for the two of eight directions that are nearest to its gradient g, by

        [ |g| cos(angle between them) - |g| cos 45 ]_+

    A cell's entry is the root of its mean vote, which keeps thin edges visible beside a bold one.

    Args:
        images: float (n, channels, height, width) in [0, 1].

    Returns:
        (n, 64 * (channels + 8)): mean of each channel, then votes for each direction.

    Reference: N. Dalal, B. Triggs, Histograms of Oriented Gradients for Human Detection, CVPR 2005.
    """
    gray = F.pad(images.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across = gray[..., 1:-1, 2:] - gray[..., 1:-1, :-2]
    down = gray[..., 2:, 1:-1] - gray[..., :-2, 1:-1]
    outside = torch.hypot(across, down) * math.cos(2 * math.pi / ORIENTATIONS)
    cells = [F.adaptive_avg_pool2d(images, GRID)]
    for k in range(ORIENTATIONS):
        angle = 2 * math.pi * k / ORIENTATIONS
        votes = (across * math.cos(angle) + down * math.sin(angle)).sub_(outside).relu_()
        cells.append(F.adaptive_avg_pool2d(votes, GRID).sqrt())
    return torch.cat(cells, dim=1).flatten(1)


class StandardizedInput(nn.Module):
    """Base of a network whose input features have mean 0 and spread 1 over the training items.

    Args:
        features: number of input features.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))

    @torch.no_grad()
    def fit_scale(self, features: Tensor) -> None:
        """Set mean and spread of each feature from (n, features) of training items."""
        self.mean.copy_(features.mean(dim=0))
        self.spread.copy_(features.std(dim=0).clamp(min=1e-3))

    def standardize(self, features: Tensor) -> Tensor:
        """Compute (features - mean) / spread, (n, features)."""
        return (features - self.mean) / self.spread


class GradientFeatures(StandardizedInput):
    """Map `image_gradients` of images of three channels through a trained layer.

        f = gelu(W (gradients - mean) / spread + b)

    Such features need no training to see strokes, and overfit later than filters.

    Args:
        width: number of features.
        dropout: on the gradients, in training.
        later_dropout: on the features.
    """

    def __init__(self, width: int, dropout: float, later_dropout: float) -> None:
        inputs = count_features(channels=3)
        super().__init__(inputs)
        self.layers = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(inputs, width), nn.GELU(), nn.Dropout(later_dropout)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Compute (n, width) features of (n, 3, height, width) images in [0, 1]."""
        with torch.autocast(images.device.type, enabled=False):
            scaled = self.standardize(image_gradients(images.float()))
        return self.layers(scaled)
