"""Objectives of dual encoders: each loss with its learnt scale and bias, and where they start."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib import losses
from lib.core.checks import check_choice
from lib.models.dual_encoder import text_features
from lib.training.batches import Batch

MATRYOSHKA_DIMS = (16, 32, 64, 128, 256)
# At equal weights the short prefixes, the hardest to train, cost the full embedding much recall.
MATRYOSHKA_WEIGHTS = (0.1, 0.1, 0.2, 0.4, 1.0)


@dataclass(frozen=True)
class Objective:
    """Loss with its settings in training: the defaults of its paper.

    Args:
        loss: `(network, unit images, unit texts, positives) -> 0-d loss`.
        scale: 1 / temperature at the start.
        learns_scale: whether it is trained.
        bias: batch size -> bias at the start, if the loss has one.
        takes_positives: whether the loss uses further right pairs in the batch.
    """

    loss: Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
    scale: float = 1.0
    learns_scale: bool = False
    bias: Callable[[int], float] | None = None
    takes_positives: bool = True

    def prepare(self, network: nn.Module, batch_size: int) -> None:
        """Set the network's `logit_scale` (a logarithm) and `logit_bias` to their start."""
        with torch.no_grad():
            network.logit_scale.fill_(math.log(self.scale)).requires_grad_(self.learns_scale)
            if self.bias is not None:
                network.logit_bias.fill_(self.bias(batch_size))
            network.logit_bias.requires_grad_(self.bias is not None)

    def __call__(self, network: nn.Module, batch: Batch) -> Tensor:
        """Compute the loss of a batch, in both directions; MNR from text to image only."""
        images = F.normalize(network.encode_image(batch.images).float(), dim=1)
        texts = F.normalize(text_features(network, batch.tokens).float(), dim=1)
        return self.loss(network, images, texts, batch.positives)


def _infonce(network: nn.Module, images: Tensor, texts: Tensor, positives: Tensor) -> Tensor:
    temperature = 1 / network.logit_scale.exp()
    return losses.infonce_loss(images, texts, temperature, direction="both", positives=positives)


def _mnr(network: nn.Module, images: Tensor, texts: Tensor, positives: Tensor) -> Tensor:
    return losses.mnr_loss(texts, images, scale=network.logit_scale.exp())  # texts are anchors


def _sigmoid(network: nn.Module, images: Tensor, texts: Tensor, positives: Tensor) -> Tensor:
    temperature, bias = 1 / network.logit_scale.exp(), network.logit_bias
    return losses.sigmoid_loss(images, texts, temperature, bias, positives=positives)


def _triplet(mining: str, reduction: str) -> Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]:
    def loss(network: nn.Module, images: Tensor, texts: Tensor, positives: Tensor) -> Tensor:
        return losses.mined_triplet_loss(
            images, texts, 0.2, mining, direction="both", same=positives, reduction=reduction
        )

    return loss


OBJECTIVES = {
    "InfoNCE": Objective(_infonce, scale=1 / 0.07, learns_scale=True),
    "MNR": Objective(_mnr, scale=20.0, takes_positives=False),
    "sigmoid": Objective(_sigmoid, scale=10.0, learns_scale=True, bias=losses.siglip_bias_for),
    "triplet, all": Objective(_triplet("all", "active")),
    "triplet, semi-hard": Objective(_triplet("semi_hard", "active")),
    "triplet, hard": Objective(_triplet("hard", "mean")),
}


def objective(name: str) -> Objective:
    """Get the objective of a name in `OBJECTIVES`."""
    return OBJECTIVES[check_choice(name, OBJECTIVES, "loss")]


def matryoshka_infonce(network: nn.Module, batch: Batch, decorrelation: float = 0.0) -> Tensor:
    """Compute two-way InfoNCE with all positives over the Matryoshka sizes, weighted.

    `decorrelation` weighs `decorrelation_loss` of both modalities. Without it the space of the
    icons stays at some nine effective dimensions of 256 and learns several times more slowly.
    """
    images = network.encode_image(batch.images).float()
    texts = text_features(network, batch.tokens).float()
    loss = losses.matryoshka_loss(
        losses.infonce_loss, images, texts, MATRYOSHKA_DIMS,
        weights=[weight / sum(MATRYOSHKA_WEIGHTS) for weight in MATRYOSHKA_WEIGHTS],
        temperature=1 / network.logit_scale.exp(),
        direction="both",
        positives=batch.positives,
    )  # fmt: skip
    if decorrelation:
        penalty = losses.decorrelation_loss(images) + losses.decorrelation_loss(texts)
        loss = loss + decorrelation * penalty
    return loss
