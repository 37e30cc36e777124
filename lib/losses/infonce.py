"""InfoNCE: pick the right key out of the batch, by softmax over similarities."""

from __future__ import annotations

import torch
from torch import Tensor

from lib.checks import RetrievalInputError, check_choice
from lib.losses.inputs import check_mask, check_pairs, check_positive, cosines, count_positives

DIRECTIONS = ("query_to_key", "key_to_query", "both")


def _one_way(logits: Tensor, positives: Tensor | None, side: str) -> Tensor:
    """Mean over rows of lse_j(s_ij) minus the mean positive logit."""
    normaliser = logits.logsumexp(dim=1)  # (B,)
    if positives is None:
        return (normaliser - logits.diagonal()).mean()
    counts = count_positives(positives, side)
    return (normaliser - (logits * positives).sum(dim=1) / counts).mean()


def infonce_loss(
    query_emb: Tensor,
    key_emb: Tensor,
    temperature: float | Tensor = 0.07,
    *,
    direction: str = "query_to_key",
    same: Tensor | None = None,
    positives: Tensor | None = None,
) -> Tensor:
    """InfoNCE over in-batch negatives; both directions averaged is the CLIP loss.

    With s_ij = <q_i, k_j> / temperature and P_i the keys that are right for query i (by default only key i):

        L = mean_i  mean_{p in P_i} [ log sum_j exp(s_ij) - s_ip ]

    Args:
        query_emb: (B, d), unit rows. Half precision is computed in float32, also under autocast.
        key_emb: (M, d), unit rows; key i belongs to query i. M may exceed B for "query_to_key" only.
        temperature: positive and finite; a 0-d tensor where it is learnt.
        direction: "query_to_key", "key_to_query", or "both" (their mean).
        same: bool (B, M), true where a key is *also* right for a query: it leaves the denominator, so it is
            neither pulled nor pushed. The diagonal is kept whatever it says.
        positives: bool (B, M), true where a key is right: each is pulled equally. Excludes `same`.

    Returns:
        0-d loss. Random unit embeddings give about log M + var(s) / 2.

    Raises:
        RetrievalInputError: mismatched shapes, integer tensors, fewer than 2 pairs, a query (or, looking the
            other way, a key) without positives, a temperature that is not positive, an unknown direction, or
            both masks.

    Relations: one-way it is the multiple negatives ranking loss with scale 1 / temperature.

    References: van den Oord et al. 2018; Radford et al. 2021 (both directions); Khosla et al. 2020, eq. 2
    (several positives, the mean outside the logarithm).
    """
    check_choice(direction, DIRECTIONS, "direction")
    check_pairs(query_emb, key_emb, square=direction != "query_to_key")
    if same is not None and positives is not None:
        raise RetrievalInputError("give either same (masked out) or positives (pulled), not both")
    check_positive(temperature, "temperature")
    logits = cosines(query_emb, key_emb) / temperature  # (B, M)
    if same is not None:
        check_mask(same, tuple(logits.shape), "same")
        diagonal = torch.eye(*logits.shape, dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(same & ~diagonal, float("-inf"))
    if positives is not None:
        check_mask(positives, tuple(logits.shape), "positives")
    transposed = None if positives is None else positives.T
    if direction == "query_to_key":
        return _one_way(logits, positives, "query")
    if direction == "key_to_query":
        return _one_way(logits.T, transposed, "key")
    return (_one_way(logits, positives, "query") + _one_way(logits.T, transposed, "key")) / 2
