"""Count the bytes that a loss keeps between forward and backward."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from lib.losses import infonce_loss, sigmoid_loss
from lib.training.objectives import OBJECTIVES, Objective

Loss = Callable[[Tensor, Tensor], Tensor]
BLOCK = 128


def _plain(objective: Objective) -> Loss:
    learnt = SimpleNamespace(logit_scale=torch.tensor(2.66), logit_bias=torch.tensor(-5.0))
    return lambda query, key: objective.loss(
        learnt, query, key, torch.eye(len(query), dtype=torch.bool)
    )


WAYS: dict[str, Loss] = {
    **{name: _plain(objective) for name, objective in OBJECTIVES.items()},
    "InfoNCE, blocked": partial(infonce_loss, direction="both", block_size=BLOCK),
    "sigmoid, blocked": partial(sigmoid_loss, block_size=BLOCK),
}


def pairs(batch_size: int, dim: int = 64) -> tuple[Tensor, Tensor]:
    """Make random unit queries and keys, (B, d) each."""
    generator = torch.Generator().manual_seed(0)
    query, key = F.normalize(torch.randn(2, batch_size, dim, generator=generator), dim=2)
    return query.clone().requires_grad_(), key.clone().requires_grad_()


def kept_bytes(loss: Loss, batch_size: int, dim: int = 64) -> int:
    """Count the bytes of all different tensors that autograd keeps until the backward pass.

    The embeddings are not counted. The peak is higher, because the forward pass also makes
    tensors that it drops; but this count is exact, and grows in the same way.
    """
    query, key = pairs(batch_size, dim)
    known = {tensor.untyped_storage().data_ptr() for tensor in (query, key)}
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in known:
            saved[tensor.untyped_storage().data_ptr()] = tensor  # alive: no address comes twice
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        result = loss(query, key)
    size = sum(tensor.untyped_storage().nbytes() for tensor in saved.values())
    del result  # it held the tensors until here
    return size


def matrices_kept(batch_size: int) -> dict[str, float]:
    """Return `kept_bytes` of every loss in B x B matrices of float32: bytes / (4 B^2)."""
    return {name: kept_bytes(loss, batch_size) / (4 * batch_size**2) for name, loss in WAYS.items()}
