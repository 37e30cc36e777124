"""Whether the losses over several processes are right on this machine: value and gradient,
measured.

    torchrun --standalone --nproc_per_node 2 -m lib.losses.distributed_check

Each process takes its share of one seeded batch through DistributedDataParallel; the reference is
the full batch in one process. It uses nccl where there are GPUs and gloo where there are none.
"""

import copy
import os
import sys
from collections.abc import Callable

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lib.losses.collectives import gather_own_first, rank_and_world
from lib.losses.distributed import (
    distributed_infonce_loss,
    distributed_mnr_loss,
    distributed_sigmoid_loss,
)
from lib.losses.infonce import infonce_loss
from lib.losses.mnr import mnr_loss
from lib.losses.sigmoid import sigmoid_loss
from lib.losses.triplet import mined_triplet_loss

Loss = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""Of query embeddings, key embeddings, ids, temperature and bias."""


def _infonce(**options: object) -> tuple[Loss, Loss]:
    return (
        lambda q, k, ids, t, b: distributed_infonce_loss(q, k, t, **options),
        lambda q, k, ids, t, b: infonce_loss(q, k, t, **options),
    )


def _equal(ids: Tensor) -> Tensor:
    return ids[:, None] == ids


CASES: dict[str, tuple[Loss, Loss]] = {
    "InfoNCE, query to key": _infonce(),
    "InfoNCE, key to query": _infonce(direction="key_to_query"),
    "InfoNCE, both": _infonce(direction="both"),
    "InfoNCE, both, in blocks": _infonce(direction="both", block_size=3),
    "InfoNCE, both, known duplicates": (
        lambda q, k, ids, t, b: distributed_infonce_loss(q, k, t, direction="both", ids=ids),
        lambda q, k, ids, t, b: infonce_loss(q, k, t, direction="both", same=_equal(ids)),
    ),
    "multiple negatives ranking": (
        lambda q, k, ids, t, b: distributed_mnr_loss(q, k, k.flip(1), 1 / t),
        lambda q, k, ids, t, b: mnr_loss(q, k, k.flip(1), 1 / t),
    ),
    "sigmoid": (
        lambda q, k, ids, t, b: distributed_sigmoid_loss(q, k, t, b),
        lambda q, k, ids, t, b: sigmoid_loss(q, k, t, b),
    ),
    "sigmoid, in blocks": (
        lambda q, k, ids, t, b: distributed_sigmoid_loss(q, k, t, b, block_size=3),
        lambda q, k, ids, t, b: sigmoid_loss(q, k, t, b),
    ),
    "sigmoid, known duplicates": (
        lambda q, k, ids, t, b: distributed_sigmoid_loss(q, k, t, b, ids=ids),
        lambda q, k, ids, t, b: sigmoid_loss(q, k, t, b, positives=_equal(ids)),
    ),
    "triplet, hardest negative": (
        lambda q, k, ids, t, b: mined_triplet_loss(q, gather_own_first(k), 0.2, "hard"),
        lambda q, k, ids, t, b: mined_triplet_loss(q, k, 0.2, "hard"),
    ),
}


class Towers(nn.Module):
    """Two small encoders with what a loss may learn beside them, in float64."""

    def __init__(self, dim: int = 8) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.log_scale, self.bias = (
            nn.Parameter(torch.tensor(2.0)),
            nn.Parameter(torch.tensor(-2.0)),
        )
        self.double()

    def forward(self, loss: Loss, query: Tensor, key: Tensor, ids: Tensor) -> Tensor:
        query, key = F.normalize(self.query(query), dim=1), F.normalize(self.key(key), dim=1)
        value = loss(query, key, ids, (-self.log_scale).exp(), self.bias)
        return value + 0 * (
            self.log_scale + self.bias
        )  # the wrapper waits for a gradient of each parameter


def full_batch(n_per_process: int, dim: int = 8, seed: int = 0) -> tuple[Towers, list[Tensor]]:
    """The same towers and the same batch (query, key, ids) in every process."""
    n = n_per_process * rank_and_world()[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        towers, query = Towers(dim), torch.randn(n, dim, dtype=torch.float64)
        key = query + 0.5 * torch.randn(n, dim, dtype=torch.float64)
    return towers, [query, key, torch.arange(n) % (n - 2)]  # the first two ids again at the end


def own_rows(batch: list[Tensor]) -> list[Tensor]:
    """This process's share of the rows of each tensor."""
    rank, world = rank_and_world()
    return [part.chunk(world)[rank] for part in batch]


def differences(
    distributed_loss: Loss, full_batch_loss: Loss, *, n_per_process: int = 5
) -> dict[str, float]:
    """How far the loss over processes is from the loss of the full batch in one.

    Args:
        distributed_loss: called in each process with its rows.
        full_batch_loss: called with all rows.
        n_per_process: pairs in each process.

    Returns:
        {"loss": |mean over processes - reference|, and for each parameter the largest difference of
        an entry of the gradient that DistributedDataParallel averaged}; equal in all processes.
    """
    device = (
        torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else "cpu"
    )
    towers, batch = full_batch(n_per_process)
    towers, batch = towers.to(device), [part.to(device) for part in batch]
    reference = copy.deepcopy(towers)
    expected = reference(full_batch_loss, *batch)
    expected.backward()
    wrapped = DistributedDataParallel(
        towers
    )  # keeps its name: dropped, it would not average in backward
    share = wrapped(distributed_loss, *own_rows(batch))
    share.backward()
    mean = share.detach().clone()
    dist.all_reduce(mean)
    found = {"loss": (mean / dist.get_world_size() - expected).abs()}
    for (name, parameter), right in zip(towers.named_parameters(), reference.parameters()):
        found[name] = (parameter.grad - right.grad).abs().max()
    for value in found.values():
        dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return {name: value.item() for name, value in found.items()}


def main(tolerance: float = 1e-12) -> int:
    """Prints the largest differences of each case, from the first process; 1 where one is too
    large.
    """
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if gpu else "gloo")
    worst = 0.0
    for name, losses in CASES.items():
        found = differences(*losses)
        value, gradient = found.pop("loss"), max(found.values())
        worst = max(worst, value, gradient)
        if dist.get_rank() == 0:
            print(f"{name:34s} loss {value:.1e}   gradient {gradient:.1e}")
    dist.destroy_process_group()
    return int(worst > tolerance)


if __name__ == "__main__":
    sys.exit(main())
