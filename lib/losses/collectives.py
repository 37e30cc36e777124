"""What processes say to each other: everyone's rows with their gradient, one's neighbour's rows,
means.

Without a process group there is one process, and these functions return what they are given.
"""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from lib.core.checks import RetrievalInputError
from lib.losses.inputs import check_tensor, wide_dtype


def rank_and_world() -> tuple[int, int]:
    """Which process this is, and of how many."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def check_same_shape(tensor: Tensor, name: str) -> None:
    """Refuses a shape that differs between processes, in all of them alike, so that none is left
    waiting.

    Collectives of unequal shapes hang or read foreign memory, so the few numbers of the shape
    travel first.
    """
    rank, world = rank_and_world()
    own = torch.tensor(tensor.shape, device=tensor.device)
    found = [tuple(shape.tolist()) for shape in _from_all(own)]
    if len(set(found)) > 1:
        by_rank = [*found[world - rank :], *found[: world - rank]]
        raise RetrievalInputError(
            f"{name} must have the same shape in every process, got {by_rank} by rank; drop the"
            " last, incomplete batch"
        )


def _from_all(tensor: Tensor) -> list[Tensor]:
    """The tensors of all processes, own first, then of the next rank and so on round."""
    rank, world = rank_and_world()
    if world == 1:
        return [tensor]
    tensor = tensor.contiguous()
    pieces = [torch.empty_like(tensor) for _ in range(world)]
    dist.all_gather(pieces, tensor)
    return [*pieces[rank:], *pieces[:rank]]


class _GatherOwnFirst(torch.autograd.Function):
    """Forward: everyone's rows. Backward: what all processes want of one's own, added up."""

    @staticmethod
    def forward(ctx, rows: Tensor) -> Tensor:
        return torch.cat(_from_all(rows))  # (W b, ...)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> Tensor:
        rank, world = rank_and_world()
        pieces = list(gradient.contiguous().chunk(world))
        own = torch.empty_like(pieces[0])
        by_rank = [*pieces[world - rank :], *pieces[: world - rank]]
        dist.reduce_scatter(own, by_rank)
        return own


def gather_own_first(rows: Tensor) -> Tensor:
    """The rows of all processes, one's own first, with gradients that go back to their owners.

    One's own first keeps the right key of query i in row i, so a loss that takes more keys than
    queries works across processes as it is:

        mined_triplet_loss(query_emb, gather_own_first(key_emb), mining="hard")

    Args:
        rows: (b, ...), the same shape in all processes. Half precision becomes float32, so that
            gradients are not rounded before they are added over processes; integers, such as ids,
            stay what they are.

    Returns:
        (W b, ...): rows of this process, of the next, and so on round.

    Raises:
        RetrievalInputError: no rows, or a shape that differs between processes.

    Relations: a gather without gradient gives the same loss, but drops what other processes'
    queries want of one's keys: a gradient in another direction.
    """
    check_tensor(rows, "rows", dtype=getattr(rows, "dtype", None))
    if rows.ndim == 0 or len(rows) == 0:
        raise RetrievalInputError(f"expected at least one row, got shape {tuple(rows.shape)}")
    if rows.is_floating_point():
        rows = rows.to(wide_dtype(rows))
    if rank_and_world()[1] == 1:
        return rows
    check_same_shape(rows, "rows")
    return _GatherOwnFirst.apply(rows)


class _PassOn(torch.autograd.Function):
    """Forward: one's rows to the next process, the previous one's here. Backward: the other way
    round.
    """

    @staticmethod
    def forward(ctx, rows: Tensor) -> Tensor:
        return _shift(rows, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _shift(gradient, -1)


def _shift(rows: Tensor, step: int) -> Tensor:
    rank, world = rank_and_world()
    rows, received = rows.contiguous(), torch.empty_like(rows)
    send = dist.P2POp(dist.isend, rows, (rank + step) % world)
    receive = dist.P2POp(dist.irecv, received, (rank - step) % world)
    for request in dist.batch_isend_irecv([send, receive]):
        request.wait()
    return received


def pass_on(rows: Tensor) -> Tensor:
    """The previous process's rows, for one's own, which go to the next; gradients go back the same
    way.

    Args:
        rows: (b, ...), the same shape in all processes.

    Returns:
        (b, ...). After W - 1 calls each process has seen the rows of all.
    """
    return _PassOn.apply(rows)


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Replaces each gradient by its mean over processes, as DistributedDataParallel does in
    backward.

    For what is learnt outside such a wrapper, and after `grad_cache_step`.

    Args:
        parameters: the same in all processes, in the same order. One that needs a gradient and has
            none in this process counts as 0.
    """
    _, world = rank_and_world()
    for parameter in parameters:
        if world == 1 or not parameter.requires_grad:
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        dist.all_reduce(parameter.grad)
        parameter.grad /= world
