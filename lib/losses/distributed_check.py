"""Compare the distributed losses with the full batch in one process, on this machine.

    torchrun --standalone --nproc_per_node 2 -m lib.losses.distributed_check

Each process takes its share of one seeded batch through DistributedDataParallel. It uses nccl if
there are GPUs, else gloo. `compare_with_one_process` starts gloo processes by itself.
"""

import copy
import multiprocessing
import os
import pickle
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lib.core.checks import check_choices, check_count
from lib.losses.distributed import (
    distributed_infonce_loss,
    distributed_mnr_loss,
    distributed_sigmoid_loss,
    gather_own_first,
    rank_and_world,
)
from lib.losses.infonce import infonce_loss
from lib.losses.mnr import mnr_loss
from lib.losses.sigmoid import sigmoid_loss
from lib.losses.triplet import mined_triplet_loss

MOST_RANKS = 64  # on one machine: each process takes 300 MB
MOST_DIMENSIONS = 2**12  # the encoders are square: 134 MB of float64 each
Loss = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""Loss of query embeddings, key embeddings, ids, temperature and bias."""


def _infonce(**options: object) -> tuple[Loss, Loss]:
    return (
        lambda q, k, ids, t, b: distributed_infonce_loss(q, k, t, **options),
        lambda q, k, ids, t, b: infonce_loss(q, k, t, **options),
    )


def _equal(ids: Tensor) -> Tensor:
    return ids[:, None] == ids


# The loss over processes, and the loss of the full batch that it must equal.
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


def compare_with_one_process(
    losses: Sequence[str] = tuple(CASES),
    *,
    ranks: int = 2,
    n_per_process: int = 5,
    dim: int = 8,
) -> list[dict]:
    """Compare distributed losses in gloo processes with the full batch in one process.

    Args:
        losses: names in `CASES`.
        ranks: processes to start on this machine.
        n_per_process: pairs in each process.
        dim: coordinates of an embedding.

    Returns:
        One row per loss: `loss`, its `value`, `loss_difference` and `gradient_difference` (largest
        absolute differences from one process), and the bytes of embeddings and of their gradients
        that one process receives, by `gathered_bytes` (all-gather and reduce-scatter) and
        `neighbour_bytes` (ring). float64.
    """
    names = check_choices(losses, CASES, "losses")
    sizes = {"n_per_process": check_count(n_per_process, "n_per_process", least=2)}
    sizes["dim"] = check_count(dim, "dim", most=MOST_DIMENSIONS)
    work = partial(_compare_cases, names, **sizes)
    return run_processes(work, check_count(ranks, "ranks", most=MOST_RANKS))[0]


def _compare_cases(names: Sequence[str], **sizes: int) -> list[dict]:
    rows = []
    for name in names:
        with _counted_bytes() as received:
            result = differences(*CASES[name], **sizes)
        row = {"loss": name, "value": result.pop("value"), "loss_difference": result.pop("loss")}
        rows.append(row | {"gradient_difference": max(result.values())} | received)
    return rows


@contextmanager
def _counted_bytes() -> Iterator[dict[str, int]]:
    """Count the bytes of embeddings and gradients that the losses receive from other processes."""
    received = {"gathered_bytes": 0, "neighbour_bytes": 0}
    others = rank_and_world()[1] - 1

    def all_gather(pieces: list[Tensor], tensor: Tensor) -> None:
        received["gathered_bytes"] += others * _float_bytes(tensor)
        plain["all_gather"](pieces, tensor)

    def reduce_scatter(output: Tensor, pieces: list[Tensor]) -> None:
        received["gathered_bytes"] += others * _float_bytes(output)
        plain["reduce_scatter"](output, pieces)

    def batch_isend_irecv(operations: list[dist.P2POp]) -> list[dist.Work]:
        receive = [operation.tensor for operation in operations if operation.op is dist.irecv]
        received["neighbour_bytes"] += sum(map(_float_bytes, receive))
        return plain["batch_isend_irecv"](operations)

    counting = [all_gather, reduce_scatter, batch_isend_irecv]
    plain = {function.__name__: getattr(dist, function.__name__) for function in counting}
    try:
        for function in counting:
            setattr(dist, function.__name__, function)
        yield received
    finally:
        for name, function in plain.items():
            setattr(dist, name, function)


def _float_bytes(tensor: Tensor) -> int:
    """Size of a tensor; 0 for shapes and ids."""
    return tensor.nbytes if tensor.is_floating_point() else 0


def run_processes(function: Callable[[], object], ranks: int) -> list:
    """Run a function in gloo processes on this machine, one thread each.

    Args:
        function: importable by the new processes: module level, or a `partial` of such a function.
        ranks: processes to start.

    Returns:
        What it returned in each process, by rank.
    """
    # A fork server imports once for all processes, and, unlike this process, has no threads that a
    # fork would lose.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    module = getattr(function, "func", function).__module__
    multiprocessing.set_forkserver_preload([__name__, module])
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.start_processes(
            _run_process, (ranks, function, folder), nprocs=ranks, start_method=method
        )
        return [pickle.loads(Path(folder, str(rank)).read_bytes()) for rank in range(ranks)]


def _run_process(rank: int, ranks: int, function: Callable[[], object], folder: str) -> None:
    torch.set_num_threads(1)
    if "lo" in (name for _, name in socket.if_nameindex()):
        # Works where the name of the host does not resolve.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    store, limit = f"file://{folder}/store", timedelta(seconds=60)
    dist.init_process_group("gloo", store, rank=rank, world_size=ranks, timeout=limit)
    Path(folder, str(rank)).write_bytes(pickle.dumps(function()))
    dist.barrier()
    dist.destroy_process_group()


class TwoEncoders(nn.Module):
    """Two small encoders with a learnt temperature and bias, in float64."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.log_scale = nn.Parameter(torch.tensor(2.0))
        self.bias = nn.Parameter(torch.tensor(-2.0))
        self.double()

    def forward(self, loss: Loss, query: Tensor, key: Tensor, ids: Tensor) -> Tensor:
        query, key = F.normalize(self.query(query), dim=1), F.normalize(self.key(key), dim=1)
        value = loss(query, key, ids, (-self.log_scale).exp(), self.bias)
        # DistributedDataParallel needs a gradient of each parameter.
        return value + 0 * (self.log_scale + self.bias)


def full_batch(n_per_process: int, dim: int = 8) -> tuple[TwoEncoders, list[Tensor]]:
    """Make the same encoders and the same batch (query, key, ids) in every process."""
    n = n_per_process * rank_and_world()[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoders, query = TwoEncoders(dim), torch.randn(n, dim, dtype=torch.float64)
        key = query + 0.5 * torch.randn(n, dim, dtype=torch.float64)
    return encoders, [query, key, torch.arange(n) % (n - 2)]  # the first two ids again at the end


def own_rows(batch: list[Tensor]) -> list[Tensor]:
    """Select this process's share of the rows of each tensor."""
    rank, world = rank_and_world()
    return [part.chunk(world)[rank] for part in batch]


def differences(
    distributed_loss: Loss, full_batch_loss: Loss, *, n_per_process: int = 5, dim: int = 8
) -> dict[str, float]:
    """Measure the largest differences between a loss over processes and that of the full batch.

    Returns:
        The same in all processes: `value` of the full batch, the difference of the `loss`, and for
        each parameter that of the gradient which DistributedDataParallel averaged.
    """
    cuda = dist.get_backend() == "nccl"
    device = torch.device("cuda", torch.cuda.current_device()) if cuda else "cpu"
    encoders, batch = full_batch(n_per_process, dim)
    encoders, batch = encoders.to(device), [part.to(device) for part in batch]
    reference = copy.deepcopy(encoders)
    expected = reference(full_batch_loss, *batch)
    expected.backward()
    wrapped = DistributedDataParallel(encoders)  # must live until after the backward pass
    share = wrapped(distributed_loss, *own_rows(batch))
    share.backward()
    mean = share.detach().clone()
    dist.all_reduce(mean)
    results = {"loss": (mean / dist.get_world_size() - expected.detach()).abs()}
    for (name, parameter), right in zip(encoders.named_parameters(), reference.parameters()):
        results[name] = (parameter.grad - right.grad).abs().max()
    for difference in results.values():
        dist.all_reduce(difference, op=dist.ReduceOp.MAX)
    return {"value": expected.item()} | {name: value.item() for name, value in results.items()}


def main(tolerance: float = 1e-12) -> int:
    """Print the largest differences of each case under torchrun; return 1 if one is too large."""
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if gpu else "gloo")
    rows = _compare_cases(list(CASES))
    if dist.get_rank() == 0:
        for row in rows:
            loss, gradient = row["loss_difference"], row["gradient_difference"]
            print(f"{row['loss']:34s} loss {loss:.1e}   gradient {gradient:.1e}")
    dist.destroy_process_group()
    worst = max(max(row["loss_difference"], row["gradient_difference"]) for row in rows)
    return int(worst > tolerance)


if __name__ == "__main__":
    sys.exit(main())
