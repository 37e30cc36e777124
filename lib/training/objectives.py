"""How each loss trains a dual encoder: what is learnt beside the encoders, and where it starts."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.core.checks import check_choice
from lib.losses import infonce_loss, mined_triplet_loss, mnr_loss, siglip_bias_for, sigmoid_loss
from lib.models.dual_encoder import text_features
from lib.training.batches import Batch


@dataclass(frozen=True)
class Objective:
    """A loss as it is used in training, with the defaults of its paper.

    Args:
        loss: `(network, unit images, unit texts, positives) -> 0-d loss`.
        scale: 1 / temperature at the start.
        learns_scale: whether it is trained.
        bias: batch size -> bias at the start, where the loss has one.
        forgives: whether it can be told of further right pairs in the batch.
    """

    loss: Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
    scale: float = 1.0
    learns_scale: bool = False
    bias: Callable[[int], float] | None = None
    forgives: bool = True

    def prepare(self, network: nn.Module, batch_size: int) -> None:
        """Sets the network's `logit_scale` (a logarithm) and `logit_bias` to where this loss
        starts.
        """
        with torch.no_grad():
            network.logit_scale.fill_(math.log(self.scale)).requires_grad_(self.learns_scale)
            if self.bias is not None:
                network.logit_bias.fill_(self.bias(batch_size))
            network.logit_bias.requires_grad_(self.bias is not None)

    def __call__(self, network: nn.Module, batch: Batch) -> Tensor:
        """The loss of a batch; texts look for images and images for texts alike, except for MNR."""
        images = F.normalize(network.encode_image(batch.images).float(), dim=1)
        texts = F.normalize(text_features(network, batch.tokens).float(), dim=1)
        return self.loss(network, images, texts, batch.positives)


def _infonce(network: nn.Module, images: Tensor, texts: Tensor, positives: Tensor) -> Tensor:
    return infonce_loss(
        images, texts, 1 / network.logit_scale.exp(), direction="both", positives=positives
    )


def _mnr(network: nn.Module, images: Tensor, texts: Tensor, positives: Tensor) -> Tensor:
    return mnr_loss(texts, images, scale=network.logit_scale.exp())  # the text is the anchor


def _sigmoid(network: nn.Module, images: Tensor, texts: Tensor, positives: Tensor) -> Tensor:
    scale, bias = network.logit_scale.exp(), network.logit_bias
    return sigmoid_loss(images, texts, 1 / scale, bias, positives=positives)


def _triplet(mining: str, reduction: str) -> Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]:
    def loss(network: nn.Module, images: Tensor, texts: Tensor, positives: Tensor) -> Tensor:
        return mined_triplet_loss(
            images, texts, 0.2, mining, direction="both", same=positives, reduction=reduction
        )

    return loss


OBJECTIVES = {
    "InfoNCE": Objective(_infonce, scale=1 / 0.07, learns_scale=True),
    "MNR": Objective(_mnr, scale=20.0, forgives=False),
    "sigmoid": Objective(_sigmoid, scale=10.0, learns_scale=True, bias=siglip_bias_for),
    "triplet, all": Objective(_triplet("all", "active")),
    "triplet, semi-hard": Objective(_triplet("semi_hard", "active")),
    "triplet, hard": Objective(_triplet("hard", "mean")),
}


def objective(name: str) -> Objective:
    """The objective of a name; an unknown one is refused with the list of those there are."""
    return OBJECTIVES[check_choice(name, OBJECTIVES, "loss")]
