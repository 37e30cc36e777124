"""Training losses as pure functions of embeddings: one file a loss, torch only."""

from lib.losses.decorrelation import decorrelation_loss
from lib.losses.distributed import (
    average_gradients,
    distributed_infonce_loss,
    distributed_mnr_loss,
    distributed_sigmoid_loss,
    gather_own_first,
)
from lib.losses.grad_cache import grad_cache_step
from lib.losses.infonce import infonce_loss, infonce_of_logits
from lib.losses.learnt_scale import LogitBias, LogitScale
from lib.losses.logit_gradients import (
    infonce_logit_gradient,
    sigmoid_logit_gradient,
    triplet_cosine_gradient,
)
from lib.losses.matryoshka import matryoshka_loss
from lib.losses.mnr import mnr_loss
from lib.losses.sigmoid import siglip_bias_for, sigmoid_loss
from lib.losses.triplet import mine_triplets, mined_triplet_loss, triplet_loss

__all__ = [
    "LogitBias",
    "LogitScale",
    "average_gradients",
    "decorrelation_loss",
    "distributed_infonce_loss",
    "distributed_mnr_loss",
    "distributed_sigmoid_loss",
    "gather_own_first",
    "grad_cache_step",
    "infonce_logit_gradient",
    "infonce_loss",
    "infonce_of_logits",
    "matryoshka_loss",
    "mine_triplets",
    "mined_triplet_loss",
    "mnr_loss",
    "siglip_bias_for",
    "sigmoid_logit_gradient",
    "sigmoid_loss",
    "triplet_cosine_gradient",
    "triplet_loss",
]
