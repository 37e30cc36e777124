"""Late interaction from hand-made features: hashed words look among a few vectors of each image."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.models.baseline_features import gradient_features, hashed_parts

WORDS = 8  # of a text that get a vector of their own


class FeatureTokens(nn.Module):
    """Two layers per modality, from features that stay as they are to several unit vectors an item.

        image   slot_k = normalise(W_k dropout(gelu(A x))),           x its gradient features, k =
        1..patches
        text    word_w = normalise(B gelu(sum of the vectors of its letter triples / root of their
        number))

    The first text vector is that of the whole text, with pairs of neighbouring words, through a
    last layer of its own. Nothing is shared with the dual encoders trained here, so its mistakes
    are other ones: that is what a second stage needs.

    Args:
        config: with `interaction`: `features` of an image and the coordinates `hashed` of
            `hashed_parts`, `patches` (slots of an image), `width` of the hidden layers (`hidden`
            where a cross-encoder has a `width` of its own), `dim` and `dropout`.

    Relations: with one slot and the whole text alone it is `Heads`.
    """

    def __init__(self, config: dict) -> None:
        super().__init__()
        made = config["interaction"]
        width, self.dim, self.hashed = (
            made.get("hidden", made["width"]),
            made["dim"],
            made["hashed"],
        )
        self.words = WORDS
        self.register_buffer("mean", torch.zeros(made["features"]))
        self.register_buffer("spread", torch.ones(made["features"]))
        dropout = nn.Dropout(made["dropout"])
        self.image = nn.Sequential(dropout, nn.Linear(made["features"], width), nn.GELU(), dropout)
        self.slots = nn.Linear(width, made["patches"] * self.dim)
        self.part_embedding = nn.Embedding(1 + self.hashed, width, padding_idx=0)
        nn.init.normal_(self.part_embedding.weight[1:], std=0.05)
        self.part_bias = nn.Parameter(torch.zeros(width))
        self.whole, self.word = nn.Linear(width, self.dim), nn.Linear(width, self.dim)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def images_in(self, images: np.ndarray) -> Tensor:
        """What `encode_image` reads: (n, features)."""
        return torch.from_numpy(gradient_features(images))

    def texts_in(self, texts: Sequence[str]) -> np.ndarray:
        """What `encode_text` reads: see `hashed_parts`."""
        return hashed_parts(texts, self.hashed, words=self.words)

    def fit_scale(self, features: Tensor) -> None:
        """Takes mean and spread of each coordinate from the features (n, features) of training
        images.
        """
        self.mean.copy_(features.mean(dim=0))
        self.spread.copy_(features.std(dim=0).clamp(min=1e-3))

    def encode_image(self, features: Tensor) -> Tensor:
        """(n, features) to (n, patches, dim) unit vectors."""
        slots = self.slots(self.image((features - self.mean) / self.spread))
        return F.normalize(slots.float().unflatten(1, (-1, self.dim)), dim=-1)

    def encode_text(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """(n, rows, parts) to (n, rows, dim) unit vectors, and (n, rows) which rows hold a word."""
        number = (ids > 0).sum(dim=2, keepdim=True).clamp(min=1)
        hidden = F.gelu(self.part_embedding(ids).sum(dim=2) / number.sqrt() + self.part_bias)
        vectors = torch.cat([self.whole(hidden[:, :1]), self.word(hidden[:, 1:])], dim=1)
        return F.normalize(vectors.float(), dim=-1), ids[:, :, 0] > 0
