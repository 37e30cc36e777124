"""Multiple negatives ranking loss: one-way InfoNCE with hard negatives appended to the keys."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError, check_choice, check_choices
from lib.losses.infonce import infonce_loss, infonce_of_logits
from lib.losses.inputs import (
    as_scalar,
    check_not_negative,
    check_pairs,
    check_positive,
    check_tensor,
    cosines,
    one_if_finite,
)

DIRECTIONS = ("query_to_key", "key_to_query", "query_to_query", "key_to_key")
HARDNESS_ON = ("all", "in_batch", "hard")


def mnr_loss(
    anchor: Tensor,
    positive: Tensor,
    negatives: Tensor | None = None,
    scale: float | Tensor = 20.0,
    *,
    directions: Sequence[str] = ("query_to_key",),
    hardness: float = 0.0,
    hardness_on: str = "all",
    block_size: int | None = None,
) -> Tensor:
    """Compute the multiple negatives ranking loss: one-way InfoNCE over the keys of the batch.

    With the keys k = [positives; negatives] and the cosines c_ij = <a_i, k_j>:

        L = -1/B sum_i log [ exp(scale c_ii) / Z_i ],    Z_i = sum_j exp(scale c_ij)

    `directions` adds terms to the one softmax; with all four it is the loss of GTE:

        key_to_query     Z_i += sum_j exp(scale <a_j, p_i>)
        query_to_query   Z_i += sum_{j != i} exp(scale <a_j, a_i>)
        key_to_key       Z_i += sum_j exp(scale <k_j, p_i>), without the keys of anchor i

    `hardness` weighs each wrong key by exp(hardness c_ij), without gradient: negatives that are
    close to the anchor get a larger share of the push,

        Z_i = exp(scale c_ii) + sum_{j != i} exp(scale c_ij + hardness stop_gradient(c_ij))

    Args:
        anchor: (B, d), unit rows.
        positive: (B, d), unit rows; row i belongs to anchor i.
        negatives: (B, K, d) mined for each anchor, or (K, d) mined for all of them; unit rows.
            Every anchor sees all of them.
        scale: 1 / temperature, positive and finite; a 0-d tensor if it is learnt.
        directions: terms of the softmax, "query_to_key" among them.
        hardness: strength of the weights, at least 0. Lan et al. use 9, EmbeddingGemma 5.
        hardness_on: weigh "all" wrong keys, only "in_batch" ones (those of other anchors), or
            only the "hard" negatives of the anchor itself.
        block_size: as in `infonce_loss`; only for "query_to_key" without hardness.

    Returns:
        0-d loss. Random unit embeddings give about log of the number of keys, plus var(logits) / 2.

    References: Henderson et al. 2017, section 4.4; Li et al. 2023, "Towards General Text
    Embeddings with Multi-stage Contrastive Learning" (GTE, four directions); Lan et al. 2025,
    "LLaVE", eq. 5 (hardness). sentence-transformers' MultipleNegativesRankingLoss has the same
    terms ("doc" is our key) and the default scale of 20.
    """
    check_pairs(anchor, positive, square=True)
    check_positive(scale, "scale")
    hardness = check_not_negative(hardness, "hardness")
    check_choice(hardness_on, HARDNESS_ON, "hardness_on")
    directions = check_choices(directions, DIRECTIONS, "directions")
    if "query_to_key" not in directions or len(set(directions)) < len(directions):
        raise RetrievalInputError(
            f"directions must name 'query_to_key', which holds the positive pair, and none twice;"
            f" got {directions}"
        )
    keys, is_own = _keys(anchor, positive, negatives)
    if directions == ["query_to_key"] and not hardness:
        return infonce_loss(anchor, keys, 1 / scale, block_size=block_size)
    if block_size is not None:
        raise RetrievalInputError(
            "block_size works with 'query_to_key' alone and without hardness; leave it out"
        )
    similarity = cosines(anchor, keys)  # (B, n_keys)
    scale = as_scalar(scale, similarity)
    logits = [scale * similarity]  # positives on the diagonal
    if hardness:
        weighted = {"all": torch.ones_like(is_own), "in_batch": ~is_own, "hard": is_own.clone()}
        weighted = weighted[hardness_on].fill_diagonal_(False)
        logits[0] = logits[0] + hardness * similarity.detach() * weighted
    if "key_to_query" in directions:
        logits.append(scale * cosines(positive, anchor))
    # Masked after scaling: the gradient of the scale would be NaN where a similarity is -inf.
    if "query_to_query" in directions:
        itself = torch.eye(len(anchor), dtype=torch.bool, device=anchor.device)
        logits.append((scale * cosines(anchor, anchor)).masked_fill(itself, -torch.inf))
    if "key_to_key" in directions:
        logits.append((scale * cosines(positive, keys)).masked_fill(is_own, -torch.inf))
    inputs = [anchor, positive] if negatives is None else [anchor, positive, negatives]
    return infonce_of_logits(torch.cat(logits, dim=1)) * one_if_finite(*inputs)


def _keys(anchor: Tensor, positive: Tensor, negatives: Tensor | None) -> tuple[Tensor, Tensor]:
    """Join positives and negatives to keys; mark the keys (B, n_keys) that belong to an anchor."""
    is_own = torch.eye(len(anchor), dtype=torch.bool, device=anchor.device)
    if negatives is None:
        return positive, is_own
    check_tensor(negatives, "negatives")
    per_anchor = negatives.ndim == 3 and len(negatives) == len(anchor)
    if not (negatives.ndim == 2 or per_anchor) or negatives.shape[-1] != anchor.shape[1]:
        raise RetrievalInputError(
            f"negatives must be (K, {anchor.shape[1]}) or ({len(anchor)}, K, {anchor.shape[1]})"
            f" for anchors {tuple(anchor.shape)}, got {tuple(negatives.shape)}"
        )
    if per_anchor:
        own_negatives = is_own.repeat_interleave(negatives.shape[1], dim=1)
    else:
        own_negatives = is_own.new_ones(len(anchor), len(negatives))
    keys = torch.cat([positive, negatives.flatten(0, -2)])  # (B + K, d) or (B + B K, d)
    return keys, torch.cat([is_own, own_negatives], dim=1)
