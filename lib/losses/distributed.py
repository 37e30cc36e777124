"""Losses over several processes: each holds its own pairs, the negatives are those of all.

Every one of W processes holds b pairs and computes its share of the loss of the full batch of
B = W b pairs:

    mean over processes of the values    = the loss of the full batch in one process
    mean over processes of the gradients = its gradient, for encoders, temperature and bias alike

DistributedDataParallel takes the second mean; without it call `average_gradients`. Without a
process group W is 1, and each function is the plain loss: one script serves both.
`lib.losses.distributed_check` checks this on your machine.
"""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from lib.core.checks import RetrievalInputError, check_choice
from lib.losses.infonce import DIRECTIONS, infonce_loss
from lib.losses.inputs import (
    check_finite,
    check_pairs,
    check_positive,
    check_tensor,
    shape_of,
    wide_dtype,
)
from lib.losses.mnr import mnr_loss
from lib.losses.sigmoid import pair_sum


def rank_and_world() -> tuple[int, int]:
    """Get the number of this process and of all processes; (0, 1) without a process group."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def _check_same_shape(tensor: Tensor, name: str) -> None:
    """Refuse a shape that differs between processes, in all of them, so that none is left waiting.

    Collectives of unequal shapes hang or read foreign memory. So the shapes are exchanged first.
    """
    rank, world = rank_and_world()
    gathered = _all_gather(torch.tensor(tensor.shape, device=tensor.device))
    shapes = [tuple(shape.tolist()) for shape in gathered]
    if len(set(shapes)) > 1:
        by_rank = [*shapes[world - rank :], *shapes[: world - rank]]
        raise RetrievalInputError(
            f"{name} must have the same shape in every process, got {by_rank} by rank; drop the"
            " last, incomplete batch"
        )


def _all_gather(tensor: Tensor) -> list[Tensor]:
    """Gather the tensors of all processes: this one first, then the next rank and so on round."""
    rank, world = rank_and_world()
    if world == 1:
        return [tensor]
    tensor = tensor.contiguous()
    pieces = [torch.empty_like(tensor) for _ in range(world)]
    dist.all_gather(pieces, tensor)
    return [*pieces[rank:], *pieces[:rank]]


class _GatherOwnFirst(torch.autograd.Function):
    """Gather all rows; backward: sum what all processes computed for the rows of this one."""

    @staticmethod
    def forward(ctx, rows: Tensor) -> Tensor:
        return torch.cat(_all_gather(rows))  # (W b, ...)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> Tensor:
        rank, world = rank_and_world()
        pieces = list(gradient.contiguous().chunk(world))
        own_gradient = torch.empty_like(pieces[0])
        dist.reduce_scatter(own_gradient, [*pieces[world - rank :], *pieces[: world - rank]])
        return own_gradient


def gather_own_first(rows: Tensor) -> Tensor:
    """Gather the rows of all processes with gradients; those of this process come first.

    So the key of query i stays in row i, and a loss that takes more keys than queries works across
    processes as it is:

        mined_triplet_loss(query_emb, gather_own_first(key_emb), mining="hard")

    A gather without gradients gives the same loss, but loses the gradients that the queries of
    other processes have for these keys.

    Args:
        rows: (b, ...), the same shape in all processes. Half precision becomes float32: gradients
            are not rounded before they are summed. Integers, such as ids, stay integers.

    Returns:
        (W b, ...): rows of this process, of the next, and so on round.
    """
    check_tensor(rows, "rows", dtype=getattr(rows, "dtype", None))
    if rows.ndim == 0 or len(rows) == 0:
        raise RetrievalInputError(f"expected at least one row, got shape {tuple(rows.shape)}")
    if rows.is_floating_point():
        rows = rows.to(wide_dtype(rows))
    if rank_and_world()[1] == 1:
        return rows
    _check_same_shape(rows, "rows")
    return _GatherOwnFirst.apply(rows)


class _PassToNext(torch.autograd.Function):
    """Send rows to the next process and receive from the previous; backward: the reverse."""

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


def pass_to_next(rows: Tensor) -> Tensor:
    """Send rows to the next process of a ring and return those of the previous, with gradients.

    Args:
        rows: (b, ...), the same shape in all processes.

    Returns:
        (b, ...). After W - 1 calls each process has seen the rows of all.
    """
    return _PassToNext.apply(rows)


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Average gradients over processes, for parameters outside of DistributedDataParallel.

    Args:
        parameters: the same in all processes, in the same order. A missing gradient counts as 0.
    """
    _, world = rank_and_world()
    for parameter in parameters:
        if world == 1 or not parameter.requires_grad:
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        dist.all_reduce(parameter.grad)
        parameter.grad /= world


def _check_ids(ids: Tensor | None, n: int) -> None:
    if ids is not None:
        check_tensor(ids, "ids", dtype=torch.int64)
    if ids is not None and (ids.shape != (n,) or ids.is_floating_point()):
        raise RetrievalInputError(f"ids must be {n} integers, got {shape_of(ids)}")


def distributed_infonce_loss(
    query_emb: Tensor,
    key_emb: Tensor,
    temperature: float | Tensor = 0.07,
    *,
    direction: str = "query_to_key",
    ids: Tensor | None = None,
    block_size: int | None = None,
) -> Tensor:
    """Compute this process's share of `infonce_loss` over the pairs of all processes.

    With the queries i of this process r and the keys j of all processes:

        L_r = mean_{i on r} [ log sum_j exp(s_ij) - s_ii ]

    It is open_clip's `ClipLoss` with `local_loss` and `gather_with_grad`. Without these flags the
    encoders get 1/W of the gradient; with `local_loss` alone its direction is wrong.

    Args:
        query_emb: (b, d), unit rows, b >= 2; b is the same in all processes.
        key_emb: (b, d), unit rows; key i belongs to query i.
        temperature, direction, block_size: as in `infonce_loss`.
        ids: (b,) integers; pairs with equal ids, in any process, are right for each other and
            leave each other's denominator (`same` in `infonce_loss`).

    Returns:
        0-d share; its mean over processes is the loss of the full batch.

    Reference: Radford et al. 2021, section 2.5.
    """
    check_choice(direction, DIRECTIONS, "direction")
    check_pairs(query_emb, key_emb, square=True)
    _check_ids(ids, len(query_emb))
    same = None if ids is None else ids[:, None] == gather_own_first(ids)  # (b, B)
    sides = {"query_to_key": [(query_emb, key_emb)], "key_to_query": [(key_emb, query_emb)]}
    sides["both"] = sides["query_to_key"] + sides["key_to_query"]
    shares = [
        infonce_loss(rows, gather_own_first(others), temperature, same=same, block_size=block_size)
        for rows, others in sides[direction]
    ]
    return sum(shares) / len(shares)


def distributed_mnr_loss(
    anchor: Tensor,
    positive: Tensor,
    negatives: Tensor | None = None,
    scale: float | Tensor = 20.0,
    *,
    block_size: int | None = None,
) -> Tensor:
    """Compute this process's share of `mnr_loss` over the rows of all processes.

    Args:
        anchor: (b, d), unit rows, b >= 2; b is the same in all processes.
        positive: (b, d), unit rows; row i belongs to anchor i.
        negatives: (K, d) or (b, K, d), unit rows; K is the same in all processes. Every anchor
            sees those of all processes.
        scale, block_size: as in `mnr_loss`.

    Returns:
        0-d share; its mean over processes is the loss of the full batch.
    """
    check_pairs(anchor, positive, square=True)
    others = gather_own_first(positive)[len(positive) :]  # ((W - 1) b, d)
    if negatives is not None:
        check_tensor(negatives, "negatives")
        per_anchor = negatives.ndim == 3 and len(negatives) == len(anchor)
        if not (negatives.ndim == 2 or per_anchor) or negatives.shape[-1] != anchor.shape[1]:
            raise RetrievalInputError(
                f"negatives must be (K, d) or (b, K, d), got {tuple(negatives.shape)} for anchors"
                f" {tuple(anchor.shape)}"
            )
        others = torch.cat([others, gather_own_first(negatives.flatten(0, -2))])
    return mnr_loss(anchor, positive, others, scale, block_size=block_size)


def distributed_sigmoid_loss(
    query_emb: Tensor,
    key_emb: Tensor,
    temperature: float | Tensor = 0.1,
    bias: float | Tensor = -10.0,
    *,
    ids: Tensor | None = None,
    block_size: int | None = None,
) -> Tensor:
    """Compute this process's share of `sigmoid_loss`; blocks of keys travel round a ring.

        L_r = -1/b sum_{i on r} sum_j log sigmoid(z_ij s_ij)

    No process needs a whole row at once: it holds b x b logits at a time, where InfoNCE needs
    b x B.

    Args:
        query_emb: (b, d), unit rows, b >= 2; b is the same in all processes. Queries do not travel.
        key_emb: (b, d), unit rows; key i belongs to query i. They take W - 1 steps to the next
            process, and their gradients come back the same way.
        temperature, bias, block_size: as in `sigmoid_loss`.
        ids: (b,) integers; pairs with equal ids, in any process, are right for each other: z = +1.

    Returns:
        0-d share; its mean over processes is the loss of the full batch.

    Reference: Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training", section 3.3.
    """
    check_pairs(query_emb, key_emb, square=True)
    check_positive(temperature, "temperature")
    check_finite(bias, "bias")
    _check_ids(ids, len(query_emb))
    _check_same_shape(key_emb, "key_emb")
    keys, key_ids = key_emb.to(wide_dtype(key_emb)), ids
    positives, total = None, 0  # by default the diagonal
    for step in range(rank_and_world()[1]):
        if step > 0:
            keys = pass_to_next(keys)
            key_ids = None if ids is None else pass_to_next(key_ids)
            nothing = torch.zeros(1, 1, dtype=torch.bool, device=keys.device)
            positives = nothing.expand(len(keys), len(keys))
        if ids is not None:
            positives = ids[:, None] == key_ids  # (b, b)
        total = total + pair_sum(query_emb, keys, temperature, bias, positives, block_size)
    return total / len(query_emb)
