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
        dtypes = f"{query_emb.dtype} and {key_emb.dtype}"
        raise RetrievalInputError(f"embeddings must be floating point, got {dtypes}")
    if len(query_emb) < 2 or len(key_emb) < 2:
        raise RetrievalInputError(
            f"a contrastive loss needs at least 2 pairs, with one it is 0; got {shapes}"
        )
    if square and len(query_emb) != len(key_emb):
        raise RetrievalInputError(f"this direction needs as many keys as queries, got {shapes}")
    if len(key_emb) < len(query_emb):
        raise RetrievalInputError(f"every query needs its own key, got {shapes}")


def _check_temperature(temperature: float | Tensor) -> None:
    if isinstance(temperature, Tensor):
        if temperature.numel() != 1:
            raise RetrievalInputError(f"temperature must be one number, got shape {tuple(temperature.shape)}")
        temperature = temperature.detach()
    if not 0 < float(temperature) < float("inf"):  # refuses NaN as well
        raise RetrievalInputError(f"temperature must be positive and finite, got {float(temperature)}")


def _check_mask(mask: Tensor, shape: tuple[int, int], name: str) -> None:
    if mask.dtype != torch.bool or tuple(mask.shape) != shape:
        raise RetrievalInputError(f"{name} must be bool {shape}, got {mask.dtype} {tuple(mask.shape)}")


def _cosines(query_emb: Tensor, key_emb: Tensor) -> Tensor:
    """Dot products in float32 at least, whatever the inputs are and whatever autocast would make of them.

    bfloat16 keeps 3 digits: at a scale of 100 that alone puts 2% of noise on the gradient.
    """
    dtype = torch.promote_types(torch.promote_types(query_emb.dtype, key_emb.dtype), torch.float32)
    with torch.autocast(query_emb.device.type, enabled=False):
        return query_emb.to(dtype) @ key_emb.to(dtype).T


def _one_way(logits: Tensor, positives: Tensor | None, side: str) -> Tensor:
    """Mean over rows of lse_j(s_ij) minus the mean positive logit."""
    normaliser = logits.logsumexp(dim=1)  # (B,)
    if positives is None:
        return (normaliser - logits.diagonal()).mean()
    counts = positives.sum(dim=1)
    if (counts == 0).any():
        raise RetrievalInputError(
            f"positives marks nothing as right for {side} {int((counts == 0).nonzero()[0])}"
        )
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
    _check_pairs(query_emb, key_emb, square=direction != "query_to_key")
    if same is not None and positives is not None:
        raise RetrievalInputError("give either same (masked out) or positives (pulled), not both")
    _check_temperature(temperature)
    logits = _cosines(query_emb, key_emb) / temperature  # (B, M)
    if same is not None:
        _check_mask(same, tuple(logits.shape), "same")
        diagonal = torch.eye(*logits.shape, dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(same & ~diagonal, float("-inf"))
    if positives is not None:
        _check_mask(positives, tuple(logits.shape), "positives")
    transposed = None if positives is None else positives.T
    if direction == "query_to_key":
        return _one_way(logits, positives, "query")
    if direction == "key_to_query":
        return _one_way(logits.T, transposed, "key")
    return (_one_way(logits, positives, "query") + _one_way(logits.T, transposed, "key")) / 2
