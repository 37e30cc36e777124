"""Matryoshka training: the first d coordinates must already be a good embedding, for several d."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor

from lib.checks import RetrievalInputError


def matryoshka_loss(
    loss: Callable[..., Tensor],
    query_emb: Tensor,
    key_emb: Tensor,
    dims: Sequence[int],
    *,
    weights: Sequence[float] | None = None,
    **options: object,
) -> Tensor:
    """Sum of one loss over several truncations of the same embeddings.

        L = sum_k w_k loss(unit(q[:, :d_k]), unit(k[:, :d_k]))

    A truncated unit vector is shorter than 1, so each truncation is normalised again before the loss.

    Args:
        loss: any loss that takes (query_emb, key_emb, **options).
        query_emb: (B, d); need not be normalised.
        key_emb: (M, d).
        dims: sizes to keep, strictly ascending, at most d.
        weights: one per size; 1 each by default, as in the paper.
        options: passed on to `loss`.

    Returns:
        0-d loss.

    Raises:
        RetrievalInputError: sizes that are empty, not ascending or above d; as many weights as sizes are needed.

    Relations: `dims=[d]` is the loss itself on normalised embeddings.

    Reference: Kusupati et al. 2022, "Matryoshka Representation Learning".
    """
    dims, width = list(dims), query_emb.shape[-1]
    if not dims or dims[0] < 1 or dims[-1] > width or any(b <= a for a, b in zip(dims, dims[1:], strict=False)):
        raise RetrievalInputError(f"dims must ascend strictly from 1 to at most {width}, got {dims}")
    weights = [1.0] * len(dims) if weights is None else list(weights)
    if len(weights) != len(dims):
        raise RetrievalInputError(f"{len(dims)} sizes need as many weights, got {len(weights)}")
    terms = [
        weight * loss(F.normalize(query_emb[:, :dim], dim=-1), F.normalize(key_emb[:, :dim], dim=-1), **options)
        for dim, weight in zip(dims, weights, strict=True)
    ]
    return sum(terms[1:], terms[0])
