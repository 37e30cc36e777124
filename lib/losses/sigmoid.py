"""Sigmoid loss of SigLIP: binary classification of every pair."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.losses.blocked import BlockedSigmoid
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
    """Compute the start of the bias that fits a batch size: b = -log(batch_size - 1).

    At cosine 0 the model then expects one right key for each query, and the loss there is
    smallest. The -10 of the paper fits about 22,000 pairs; a small batch needs many steps to
    unlearn it.

    Args:
        batch_size: pairs per batch, at least 2; over all devices if they share negatives.
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
    """Compute the sigmoid loss: binary cross-entropy over all pairs of a batch, no softmax.

    With s_ij = <q_i, k_j> / temperature + bias and z_ij = 1 where key j is right for query i, else
    -1:

        L = 1/B sum_i sum_j -log sigmoid(z_ij s_ij)

    Args:
        query_emb: (B, d), unit rows. Half precision is computed in float32, also under autocast.
        key_emb: (M, d), unit rows; key i belongs to query i. M may exceed B.
        temperature: positive and finite; a 0-d tensor if it is learnt. The paper starts at 0.1.
        bias: finite; a 0-d tensor if it is learnt. The paper starts at -10, see
            `siglip_bias_for`.
        positives: bool (B, M), true where a key is right. By default the diagonal alone.
        reduction: "per_query" divides the sum by B, as the paper does. "mean" divides it by B M:
            every gradient is M times smaller, and the best learning rate depends on the batch.
        block_size: as in `infonce_loss`.

    Returns:
        0-d loss. At cosine 0 it is softplus(-bias) + (M - 1) softplus(bias).

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
    """Sum -log sigmoid(z s) over all pairs; arguments of `sigmoid_loss`, already checked.

    A row may have no positives here: the keys may belong to another process.
    """
    if block_size is not None:
        size = check_count(block_size, "block_size")
        query, key = (emb.to(wide_dtype(query_emb, key_emb)) for emb in (query_emb, key_emb))
        scale, bias = 1 / as_scalar(temperature, query), as_scalar(bias, query)
        total = BlockedSigmoid.apply(
            query, key, scale, bias, positives, size, torch.is_grad_enabled()
        )
        return total * one_if_finite(query_emb, key_emb)
    logits = scaled_cosines(query_emb, key_emb, temperature)  # (B, M)
    # In place: to allocate a large temporary costs more than to compute it.
    logits = logits.add_(as_scalar(bias, logits))
    logits = logits.mul_(negated_labels(logits, positives))
    return F.softplus(logits, threshold=LINEAR_FROM).sum() * one_if_finite(query_emb, key_emb)


def negated_labels(logits: Tensor, positives: Tensor | None) -> Tensor:
    """Make -z: -1 where a key is right, by default on the diagonal, else 1."""
    labels = torch.ones_like(logits)
    if positives is None:
        labels.diagonal().neg_()
    else:
        labels.masked_fill_(positives, -1)
    return labels
