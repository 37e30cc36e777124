"""The losses over several processes: each keeps its own pairs, all of them are negatives.

Every one of W processes holds b pairs and computes its share of the loss of the full batch of B = W
b pairs:

    mean over processes of the values    = the loss of the full batch in one process
    mean over processes of the gradients = its gradient, for encoders, temperature and bias alike

The second mean is what DistributedDataParallel takes, and `average_gradients` where it is not used.
Without a process group W is 1, and each function is the loss it is named after, so one script
serves both. Check a machine with `torchrun --standalone --nproc_per_node 2 -m
lib.losses.distributed_check`.
"""

import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError, check_choice
from lib.losses.collectives import check_same_shape, gather_own_first, pass_on, rank_and_world
from lib.losses.infonce import DIRECTIONS, infonce_loss
from lib.losses.inputs import check_finite, check_pairs, check_positive, check_tensor, wide_dtype
from lib.losses.mnr import mnr_loss
from lib.losses.sigmoid import pair_sum


def _check_ids(ids: Tensor | None, n: int) -> None:
    if ids is not None:
        check_tensor(ids, "ids", dtype=torch.int64)
    if ids is not None and (ids.shape != (n,) or ids.is_floating_point()):
        raise RetrievalInputError(f"ids must be {n} integers, got {ids.dtype} {tuple(ids.shape)}")


def distributed_infonce_loss(
    query_emb: Tensor,
    key_emb: Tensor,
    temperature: float | Tensor = 0.07,
    *,
    direction: str = "query_to_key",
    ids: Tensor | None = None,
    block_size: int | None = None,
) -> Tensor:
    """This process's share of `infonce_loss` over the pairs of all processes.

    With own queries i and the keys j of all processes:

        L_r = mean_{i on r} [ log sum_j exp(s_ij) - s_ii ]

    Args:
        query_emb: (b, d), unit rows, b >= 2; b is the same in all processes.
        key_emb: (b, d), unit rows; key i belongs to query i.
        temperature, direction, block_size: as of `infonce_loss`.
        ids: (b,) integers; pairs with equal ids, wherever they are, are right for each other, and
            so leave each other's denominator (`same` of `infonce_loss`).

    Returns:
        0-d share; its mean over processes is the loss of the full batch.

    Raises:
        RetrievalInputError: what `infonce_loss` refuses, and batches that differ in size between
            processes.

    Relations: open_clip's `ClipLoss` with `local_loss` and `gather_with_grad`: O(b B) logits a
    process, or O(block_size^2) with blocks. Its default (neither flag) gives encoders 1/W of the
    gradient and the temperature all of it; `local_loss` alone gives encoders a wrong direction.

    Reference: Radford et al. 2021, section 2.5.
    """
    check_choice(direction, DIRECTIONS, "direction")
    check_pairs(query_emb, key_emb, square=True)
    _check_ids(ids, len(query_emb))
    same = None if ids is None else ids[:, None] == gather_own_first(ids)  # (b, B)
    sides = {"query_to_key": [(query_emb, key_emb)], "key_to_query": [(key_emb, query_emb)]}
    sides["both"] = sides["query_to_key"] + sides["key_to_query"]
    shares = [
        infonce_loss(own, gather_own_first(others), temperature, same=same, block_size=block_size)
        for own, others in sides[direction]
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
    """This process's share of `mnr_loss` over the anchors, positives and negatives of all
    processes.

    Args:
        anchor: (b, d), unit rows, b >= 2; b is the same in all processes.
        positive: (b, d), unit rows; row i belongs to anchor i.
        negatives: (K, d) or (b, K, d), unit rows, of this process; K is the same in all. Every
            anchor sees those of all processes.
        scale, block_size: as of `mnr_loss`.

    Returns:
        0-d share; its mean over processes is the loss of the full batch.

    Raises:
        RetrievalInputError: what `mnr_loss` refuses, and shapes that differ between processes.

    Relations: without negatives it is `distributed_infonce_loss(anchor, positive, 1 / scale)`.
    """
    check_pairs(anchor, positive, square=True)
    others = gather_own_first(positive)[len(positive) :]  # ((W - 1) b, d)
    if negatives is not None:
        check_tensor(negatives, "negatives")
        if negatives.ndim not in (2, 3) or negatives.shape[-1] != anchor.shape[1]:
            found = f"{tuple(negatives.shape)} for anchors {tuple(anchor.shape)}"
            raise RetrievalInputError(f"negatives must be (K, d) or (b, K, d), got {found}")
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
    """This process's share of `sigmoid_loss` over the pairs of all processes, keys going round a
    ring.

        L_r = -1/b sum_{i on r} sum_j log sigmoid(z_ij s_ij),    z_ij = +1 where key j is right for
        i, else -1

    Args:
        query_emb: (b, d), unit rows, b >= 2; b is the same in all processes. Queries stay where
            they are.
        key_emb: (b, d), unit rows; key i belongs to query i. Blocks of keys take W - 1 steps to the
            next process, and their gradients come back the same way.
        temperature, bias, block_size: as of `sigmoid_loss`.
        ids: (b,) integers; pairs with equal ids, wherever they are, are right for each other: z =
            +1.

    Returns:
        0-d share; its mean over processes is the loss of the full batch.

    Raises:
        RetrievalInputError: what `sigmoid_loss` refuses, and batches that differ in size between
            processes.

    Relations: the entries of the matrix are independent, so no process needs a row at once: b x b
    logits at a time where InfoNCE needs b x B.

    Reference: Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training", section 3.3.
    """
    check_pairs(query_emb, key_emb, square=True)
    check_positive(temperature, "temperature")
    check_finite(bias, "bias")
    _check_ids(ids, len(query_emb))
    check_same_shape(key_emb, "key_emb")
    keys, labels = key_emb.to(wide_dtype(key_emb)), ids
    positives, total = None, 0  # none given: the diagonal
    for step in range(rank_and_world()[1]):
        if step > 0:
            keys = pass_on(keys)
            labels = None if ids is None else pass_on(labels)
            positives = torch.zeros(1, 1, dtype=torch.bool, device=keys.device).expand(
                len(keys), len(keys)
            )
        if ids is not None:
            positives = ids[:, None] == labels  # (b, b)
        total = total + pair_sum(query_emb, keys, temperature, bias, positives, block_size)
    return total / len(query_emb)
