"""The sigmoid loss of SigLIP: each pair is a yes-or-no question of its own."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.losses.blocked_sigmoid import BlockedSigmoid
from lib.losses.inputs import (
    as_scalar,
    check_finite,
    check_mask,
    check_pairs,
    check_positive,
    count_positives,
    one_if_finite,
    scaled_cosines,
    wide_dtype,
)

REDUCTIONS = ("per_query", "mean")
# Beyond this argument softplus(x) is x to the last bit of float64; torch's own 20 costs 2e-9.
LINEAR_FROM = 40


def siglip_bias_for(batch_size: int) -> float:
    """The bias at which an untrained model expects as many right pairs as there are.

        b = -log(batch_size - 1)

    One cell in `batch_size` is right; at cosine 0 this bias says so, and minimises the loss there.
    The paper's -10 is that bias for about 22,000 pairs: on a small batch it spends the first steps
    unlearning it.

    Args:
        batch_size: pairs per batch, at least 2; over all devices where they share negatives.

    Returns:
        The bias, 0 for two pairs.

    Raises:
        RetrievalInputError: fewer than 2 pairs.

    Relations: `sigmoid_loss` takes it as `bias`, `LogitBias` as its start.
    """
    if check_count(batch_size, "batch_size") < 2:
        raise RetrievalInputError("a batch of 1 has no negatives, so no bias; use at least 2 pairs")
    return -math.log(batch_size - 1)


def sigmoid_loss(
    query_emb: Tensor,
    key_emb: Tensor,
    temperature: float | Tensor = 0.1,
    bias: float | Tensor = -10.0,
    *,
    positives: Tensor | None = None,
    reduction: str = "per_query",
    block_size: int | None = None,
) -> Tensor:
    """Binary cross-entropy over all pairs of a batch, without a softmax.

    With s_ij = <q_i, k_j> / temperature + bias and z_ij = 1 where key j is right for query i, else
    -1:

        L = 1/B sum_i sum_j -log sigmoid(z_ij s_ij)

    Args:
        query_emb: (B, d), unit rows. Half precision is computed in float32, also under autocast.
        key_emb: (M, d), unit rows; key i belongs to query i. M may exceed B.
        temperature: positive and finite; a 0-d tensor where it is learnt. The paper starts at 0.1.
        bias: finite; a 0-d tensor where it is learnt. The paper starts at -10, see
            `siglip_bias_for`.
        positives: bool (B, M), true where a key is right. By default the diagonal alone.
        reduction: "per_query" divides the sum by B, as the paper does; "mean" divides it by B M,
            which makes every gradient M times smaller and the rate of learning depend on the batch.
        block_size: rows and columns of a tile; with it the same loss and gradient take
            O(block_size^2 + B d) memory instead of O(B M). 512 to 1024 suits CPUs.

    Returns:
        0-d loss. At cosine 0 it is softplus(-bias) + (M - 1) softplus(bias).

    Raises:
        RetrievalInputError: mismatched shapes, integer tensors, fewer than 2 pairs, a query without
            positives, a temperature that is not positive, a bias that is not finite, an unknown
            reduction, a block size below 1.

    Relations: as temperature -> 0 with bias = -m / temperature, temperature * L becomes a hinge on
    each cosine against one threshold m for all queries, where `infonce_loss` compares within a row
    only. Each pair stands alone, so another right pair is relabelled, and devices need exchange no
    normaliser. Blocked, it can be differentiated once.

    Reference: Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training".
    """
    check_choice(reduction, REDUCTIONS, "reduction")
    check_pairs(query_emb, key_emb)
    check_positive(temperature, "temperature")
    check_finite(bias, "bias")
    if positives is not None:
        check_mask(positives, (len(query_emb), len(key_emb)), "positives")
        count_positives(positives, "query")
    total = pair_sum(query_emb, key_emb, temperature, bias, positives, block_size)
    return total / (len(query_emb) * (len(key_emb) if reduction == "mean" else 1))


def pair_sum(
    query_emb: Tensor,
    key_emb: Tensor,
    temperature: float | Tensor,
    bias: float | Tensor,
    positives: Tensor | None,
    block_size: int | None,
) -> Tensor:
    """Sum over all pairs of -log sigmoid(z s) = softplus(-z s); arguments as of `sigmoid_loss`,
    checked.

    Here a row may have no positives: these may be keys of another process.
    """
    if block_size is not None:
        size = check_count(block_size, "block_size")
        query, key = (emb.to(wide_dtype(query_emb, key_emb)) for emb in (query_emb, key_emb))
        scale, bias = 1 / as_scalar(temperature, query), as_scalar(bias, query)
        total = BlockedSigmoid.apply(
            query, key, scale, bias, positives, size, torch.is_grad_enabled()
        )
        return total * one_if_finite(query_emb, key_emb)
    # In place: a large temporary costs more to get from the system than to compute.
    logits = scaled_cosines(query_emb, key_emb, temperature)  # (B, M)
    logits = logits.add_(as_scalar(bias, logits))
    against = torch.ones_like(logits)  # -z
    if positives is None:
        against.diagonal().neg_()
    else:
        against.masked_fill_(positives, -1)
    total = F.softplus(logits.mul_(against), threshold=LINEAR_FROM).sum()
    return total * one_if_finite(query_emb, key_emb)
