"""InfoNCE: find the right key in the batch, by a softmax over similarities."""

import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.losses.blocked import BlockedInfoNCE
from lib.losses.inputs import (
    as_scalar,
    check_mask,
    check_pairs,
    check_positive,
    check_tensor,
    count_positives,
    one_if_finite,
    scaled_cosines,
    wide_dtype,
)

DIRECTIONS = ("query_to_key", "key_to_query", "both")


def infonce_of_logits(
    logits: Tensor, positives: Tensor | None = None, *, direction: str = "query_to_key"
) -> Tensor:
    """Compute InfoNCE from logits, such as late-interaction scores.

        L = mean_i [ log sum_j exp(s_ij) - mean_{p in P_i} s_ip ]

    Args:
        logits: (B, M), already divided by the temperature.
        positives: bool (B, M), at least one in each row (or column); the diagonal by default.
        direction: "query_to_key" (softmax over rows), "key_to_query" (columns), or "both".

    Returns:
        0-d loss.
    """
    check_choice(direction, DIRECTIONS, "direction")
    check_tensor(logits, "logits")
    if logits.ndim != 2 or 0 in logits.shape:
        raise RetrievalInputError(f"logits must be (B, M), got {tuple(logits.shape)}")
    if positives is not None:
        check_mask(positives, tuple(logits.shape), "positives")
    sides = []
    if direction != "key_to_query":
        sides.append(_infonce_of_rows(logits, positives, "query"))
    if direction != "query_to_key":
        transposed = None if positives is None else positives.T
        sides.append(_infonce_of_rows(logits.T, transposed, "key"))
    return sum(sides) / len(sides)


def _infonce_of_rows(logits: Tensor, positives: Tensor | None, side: str) -> Tensor:
    normaliser = logits.logsumexp(dim=1)  # (B,)
    if positives is None:
        if len(logits) > logits.shape[1]:
            raise RetrievalInputError(
                f"without positives every {side} needs its own column or row, got"
                f" {tuple(logits.shape)} logits"
            )
        return (normaliser - logits.diagonal()).mean() * one_if_finite(normaliser)
    counts = count_positives(positives, side)
    # `where` keeps one mask for the backward pass, `masked_fill` two. A product with the mask
    # would be NaN for a logit of -inf, a masked pair.
    right = torch.where(positives, logits, 0).sum(dim=1)
    loss = (normaliser - right / counts).mean()
    return loss * one_if_finite(normaliser)


def infonce_loss(
    query_emb: Tensor,
    key_emb: Tensor,
    temperature: float | Tensor = 0.07,
    *,
    direction: str = "query_to_key",
    same: Tensor | None = None,
    positives: Tensor | None = None,
    block_size: int | None = None,
) -> Tensor:
    """Compute InfoNCE over in-batch negatives; with `direction="both"` it is the CLIP loss.

    With s_ij = <q_i, k_j> / temperature and P_i the keys that are right for query i (by default
    only key i):

        L = mean_i  mean_{p in P_i} [ log sum_j exp(s_ij) - s_ip ]

    Args:
        query_emb: (B, d), unit rows. Half precision is computed in float32, also under autocast.
        key_emb: (M, d), unit rows; key i belongs to query i. M > B only for "query_to_key".
        temperature: positive and finite; a 0-d tensor if it is learnt.
        direction: "query_to_key", "key_to_query", or "both" (their mean).
        same: bool (B, M), true where a key is *also* right for a query. It leaves the
            denominator: neither pulled nor pushed. The diagonal always stays.
        positives: bool (B, M), true where a key is right: each is pulled equally. Not with `same`.
        block_size: rows and columns of a tile. The same loss and gradient then need
            O(block_size^2 + B d) memory instead of O(B M), and can be differentiated once only.
            512 to 1024 suits CPUs.

    Returns:
        0-d loss. Random unit embeddings give about log M + var(s) / 2.

    References: van den Oord et al. 2018; Radford et al. 2021 (both directions); Khosla et al. 2020,
    eq. 2 (several positives, the mean outside the logarithm).
    """
    check_choice(direction, DIRECTIONS, "direction")
    check_pairs(query_emb, key_emb, square=direction != "query_to_key")
    check_positive(temperature, "temperature")
    by_row, by_column = direction != "key_to_query", direction != "query_to_key"
    _check_masks(same, positives, (len(query_emb), len(key_emb)), by_row, by_column)
    if block_size is not None:
        size = check_count(block_size, "block_size")
        query, key = (emb.to(wide_dtype(query_emb, key_emb)) for emb in (query_emb, key_emb))
        scale = 1 / as_scalar(temperature, query)
        loss = BlockedInfoNCE.apply(query, key, scale, by_row, by_column, same, positives, size)
        return loss * one_if_finite(query_emb, key_emb)
    logits = scaled_cosines(query_emb, key_emb, temperature)  # (B, M)
    if same is not None:
        diagonal = torch.eye(*logits.shape, dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(same & ~diagonal, float("-inf"))
    loss = infonce_of_logits(logits, positives, direction=direction)
    return loss * one_if_finite(query_emb, key_emb)


def _check_masks(
    same: Tensor | None,
    positives: Tensor | None,
    shape: tuple[int, int],
    by_row: bool,
    by_column: bool,
) -> None:
    if same is not None and positives is not None:
        raise RetrievalInputError("give either same (masked out) or positives (pulled), not both")
    if same is not None:
        check_mask(same, shape, "same")
    if positives is not None:
        check_mask(positives, shape, "positives")
        if by_row:
            count_positives(positives, "query")
        if by_column:
            count_positives(positives.T, "key")
