"""InfoNCE: pick the right key out of the batch, by softmax over similarities."""

from __future__ import annotations

import torch
from torch import Tensor

from lib.checks import RetrievalInputError, check_choice

DIRECTIONS = ("query_to_key", "key_to_query", "both")


def _check_pairs(query_emb: Tensor, key_emb: Tensor, *, square: bool) -> None:
    shapes = f"query_emb {tuple(query_emb.shape)} and key_emb {tuple(key_emb.shape)}"
    if query_emb.ndim != 2 or key_emb.ndim != 2 or query_emb.shape[1] != key_emb.shape[1]:
        raise RetrievalInputError(f"expected (B, d) and (M, d) embeddings, got {shapes}")
    if not (query_emb.is_floating_point() and key_emb.is_floating_point()):
        raise RetrievalInputError(f"embeddings must be floating point, got {query_emb.dtype} and {key_emb.dtype}")
    if len(query_emb) < 2 or len(key_emb) < 2:
        raise RetrievalInputError(f"a contrastive loss needs at least 2 pairs (with one, it is 0), got {shapes}")
    if square and len(query_emb) != len(key_emb):
        raise RetrievalInputError(f"this direction needs as many keys as queries, got {shapes}")
    if len(key_emb) < len(query_emb):
        raise RetrievalInputError(f"every query needs its own key, got {shapes}")


def _check_mask(mask: Tensor, shape: tuple[int, int], name: str) -> None:
    if mask.dtype != torch.bool or tuple(mask.shape) != shape:
        raise RetrievalInputError(f"{name} must be bool {shape}, got {mask.dtype} {tuple(mask.shape)}")


def _one_way(logits: Tensor, positives: Tensor | None) -> Tensor:
    """Mean over rows of lse_j(s_ij) minus the mean positive logit."""
    normaliser = logits.logsumexp(dim=1)  # (B,)
    if positives is None:
        return (normaliser - logits.diagonal()).mean()
    counts = positives.sum(dim=1)
    if (counts == 0).any():
        raise RetrievalInputError(f"row {int((counts == 0).nonzero()[0])} of positives marks no key as right")
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
        query_emb: (B, d), unit rows. Half precision is computed in float32.
        key_emb: (M, d), unit rows; key i belongs to query i. M may exceed B for "query_to_key" only.
        temperature: positive; a 0-d tensor where it is learnt.
        direction: "query_to_key", "key_to_query", or "both" (their mean).
        same: bool (B, M), true where a key is *also* right for a query: it leaves the denominator, so it is
            neither pulled nor pushed. The diagonal is kept whatever it says.
        positives: bool (B, M), true where a key is right: each is pulled equally. Excludes `same`.

    Returns:
        0-d loss. Random unit embeddings give about log M + var(s) / 2.

    Raises:
        RetrievalInputError: mismatched shapes, integer tensors, fewer than 2 pairs, a query without positives,
            a temperature that is not positive, an unknown direction, or both masks.

    Relations: one-way it is the multiple negatives ranking loss with scale 1 / temperature.

    References: van den Oord et al. 2018; Radford et al. 2021 (both directions); Khosla et al. 2020, eq. 2
    (several positives, the mean outside the logarithm).
    """
    check_choice(direction, DIRECTIONS, "direction")
    _check_pairs(query_emb, key_emb, square=direction != "query_to_key")
    if same is not None and positives is not None:
        raise RetrievalInputError("give either same (masked out) or positives (pulled), not both")
    if float(temperature) <= 0:
        raise RetrievalInputError(f"temperature must be positive, got {float(temperature)}")
    logits = query_emb.float() @ key_emb.float().T if query_emb.dtype.itemsize < 4 else query_emb @ key_emb.T
    logits = logits / temperature  # (B, M)
    if same is not None:
        _check_mask(same, tuple(logits.shape), "same")
        diagonal = torch.eye(*logits.shape, dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(same & ~diagonal, float("-inf"))
    if positives is not None:
        _check_mask(positives, tuple(logits.shape), "positives")
    transposed = None if positives is None else positives.T
    if direction == "query_to_key":
        return _one_way(logits, positives)
    if direction == "key_to_query":
        return _one_way(logits.T, transposed)
    return (_one_way(logits, positives) + _one_way(logits.T, transposed)) / 2
