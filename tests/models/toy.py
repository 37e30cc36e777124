"""A dual encoder small enough to build in a test."""

from __future__ import annotations

import numpy as np
import torch

from lib.models.dual_encoder import DualEncoder
from lib.models.tokenizer import Tokenizer

WORDS = ["red car", "blue car", "alarm clock", "arrow left"]


def toy_config(channels: int = 1, size: int = 16, **changes) -> dict:
    return {
        "name": "toy",
        "embed_dim": 16,
        "channels": channels,
        "image_size": size,
        "dims": [8, 16],
        "vision": {"image_size": size, "patch_size": 8, "width": 16, "layers": 1, "head_width": 8},
        "text": {"width": 16, "heads": 2, "layers": 1},
        "tokenizer": Tokenizer.train(WORDS, 20, context_length=10).to_dict(),
        **changes,
    }


def toy_encoder(seed: int = 0, **changes) -> DualEncoder:
    """Colour images of 16 x 16, since open_clip's own vision transformer always reads three channels."""
    torch.manual_seed(seed)
    return DualEncoder(toy_config(channels=3, **changes))


def toy_images(n: int = 7, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, size=(n, 16, 16, 3), dtype=np.uint8)
