"""Two small heads on frozen features: a dual encoder that trains in seconds, to compare losses
with.
"""

import math

import torch
from torch import Tensor, nn


class Heads(nn.Module):
    """One two-layer head per modality, from features that stay as they are into one space.

    It has the interface of the dual encoders trained here, so that whatever trains those trains
    this.

    Args:
        images: (n, image_dim) features of training images; mean and spread of each coordinate are
            taken from them, once.
        text_dim: of the text features.
        dim: of the space.
        width: of the hidden layers.
        dropout: on the features and the hidden layer of images, in training.
    """

    def __init__(
        self,
        images: Tensor,
        text_dim: int,
        *,
        dim: int = 128,
        width: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", images.mean(dim=0))
        self.register_buffer("spread", images.std(dim=0).clamp(min=1e-3))
        self.image = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(images.shape[1], width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, dim),
        )
        self.text = nn.Sequential(nn.Linear(text_dim, width), nn.GELU(), nn.Linear(width, dim))
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.logit_bias = nn.Parameter(torch.tensor(0.0))

    def encode_image(self, features: Tensor) -> Tensor:
        """(n, image_dim) to (n, dim), not normalised."""
        return self.image((features - self.mean) / self.spread)

    def encode_text(self, features: Tensor) -> Tensor:
        """(n, text_dim) to (n, dim), not normalised."""
        return self.text(features)
