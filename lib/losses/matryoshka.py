"""Matryoshka training: the first d coordinates are an embedding too, for several d."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor

from lib.core.checks import RetrievalInputError, real_numbers, whole_numbers
from lib.losses.inputs import check_tensor, one_if_finite


def matryoshka_loss(
    loss: Callable[..., Tensor],
    query_emb: Tensor,
    key_emb: Tensor,
    dims: Sequence[int],
    *,
    weights: Sequence[float] | None = None,
    **options: object,
) -> Tensor:
    """Compute the weighted sum of one loss over truncated embeddings, each normalised again.

        L = sum_k w_k loss(unit(q[:, :d_k]), unit(k[:, :d_k]))

    Args:
        loss: any loss with the arguments (query_emb, key_emb, **options).
        query_emb: (B, d); need not be normalised.
        key_emb: (M, d); need not be normalised.
        dims: the sizes d_k, strictly ascending, at most d.
        weights: one per size; 1 each by default, as in the paper.
        options: more arguments of `loss`.

    Returns:
        0-d loss.

    Reference: Kusupati et al. 2022, "Matryoshka Representation Learning".
    """
    # Checked here because the slices below would make two different widths equal.
    for name, emb in (("query_emb", query_emb), ("key_emb", key_emb)):
        check_tensor(emb, name)
    if not callable(loss):
        raise RetrievalInputError(f"loss must be a function of two embeddings, got {loss!r}")
    if query_emb.ndim != 2 or key_emb.ndim != 2 or query_emb.shape[1] != key_emb.shape[1]:
        shapes = f"{tuple(query_emb.shape)} and {tuple(key_emb.shape)}"
        raise RetrievalInputError(f"expected (B, d) and (M, d) embeddings, got {shapes}")
    dims, width = whole_numbers(dims, "dims").tolist(), query_emb.shape[1]
    ascending = all(a < b for a, b in pairwise(dims))
    if not dims or not ascending or dims[0] < 1 or dims[-1] > width:
        raise RetrievalInputError(
            f"dims must ascend strictly from 1 to at most {width}, got {dims}"
        )
    weights = [1.0] * len(dims) if weights is None else real_numbers(weights, "weights").tolist()
    if len(weights) != len(dims):
        raise RetrievalInputError(f"{len(dims)} sizes need as many weights, got {len(weights)}")
    terms = []
    for dim, weight in zip(dims, weights, strict=True):
        query, key = F.normalize(query_emb[:, :dim], dim=1), F.normalize(key_emb[:, :dim], dim=1)
        terms.append(weight * loss(query, key, **options))
    # Also show a value that is not finite in a coordinate that no truncation uses.
    return sum(terms[1:], terms[0]) * one_if_finite(query_emb, key_emb)
