"""Triplet losses: the right key must beat the wrong one by a margin, and then nothing more is
asked.
"""

import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError, check_choice
from lib.losses.infonce import DIRECTIONS
from lib.losses.inputs import (
    check_margin,
    check_mask,
    check_pairs,
    check_tensor,
    cosines,
    one_if_finite,
    wide_dtype,
)
from lib.losses.mining import MINING, anchors_as_rows, mined_cells

REDUCTIONS = ("mean", "sum", "active")


def _reduce(total: Tensor, count: Tensor, reduction: str) -> Tensor:
    """A batch without triplets costs 0, with a gradient of 0, and not 0 / 0."""
    return total if reduction == "sum" else total / count.clamp(min=1)


def triplet_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 0.2,
    *,
    reduction: str = "mean",
) -> Tensor:
    """Hinge on the difference of two cosines, for triplets that are given.

        L = mean_i [ margin + <a_i, n_i> - <a_i, p_i> ]_+

    Args:
        anchor: (B, d), unit rows. Half precision is computed in float32, also under autocast.
        positive: (B, d), unit rows; row i is right for anchor i.
        negative: (B, d), unit rows; row i is wrong for anchor i.
        margin: the difference of cosines beyond which a triplet costs nothing, at least 0.
        reduction: "mean" over all triplets, "sum", or "active": mean over those that cost
            something. The value of "active" does not fall as triplets are solved, because they
            leave the count too.

    Returns:
        0-d loss, 0 once every triplet keeps the margin: unlike a softmax it then has no gradient at
        all.

    Raises:
        RetrievalInputError: three shapes that differ or are not (B, d), integers, no triplets, a
            margin that is negative or not finite, an unknown reduction.

    Relations: on unit vectors the squared distance is 2 - 2 cos, so FaceNet's form
    [ |a - p|^2 - |a - n|^2 + alpha ]_+ with alpha = 2 margin is exactly twice this one, and its
    alpha of 0.2 is a margin of 0.1 here. `mined_triplet_loss` finds the negatives in the batch.

    Reference: Schroff et al. 2015, "FaceNet", eq. 2.
    """
    check_choice(reduction, REDUCTIONS, "reduction")
    check_margin(margin)
    rows = (anchor, positive, negative)
    for name, row in zip(("anchor", "positive", "negative"), rows, strict=True):
        check_tensor(row, name)
    found = ", ".join(f"{x.dtype} {tuple(x.shape)}".removeprefix("torch.") for x in rows)
    if anchor.ndim != 2 or any(x.shape != anchor.shape for x in rows) or len(anchor) == 0:
        raise RetrievalInputError(
            f"expected anchor, positive and negative (B, d) with B >= 1, got {found}"
        )
    anchor = anchor.to(wide_dtype(*rows))
    hinges = (
        float(margin) + (anchor * negative).sum(dim=1) - (anchor * positive).sum(dim=1)
    ).relu()  # (B,)
    counted = torch.ones_like(hinges) if reduction == "mean" else hinges
    return _reduce(hinges.sum(), torch.count_nonzero(counted), reduction) * one_if_finite(*rows)


def mined_triplet_loss(
    query_emb: Tensor,
    key_emb: Tensor,
    margin: float = 0.2,
    mining: str = "all",
    *,
    direction: str = "query_to_key",
    same: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Triplet loss over negatives of the batch, chosen by `mine_triplets`; hard and summed is
    VSE++.

    With T the mined cells (i, j), query i against the wrong key j:

        L = mean_{(i, j) in T} [ margin + c_ij - c_ii ]_+

    Args:
        query_emb: (B, d), unit rows. Half precision is computed in float32, also under autocast.
        key_emb: (M, d), unit rows; key i belongs to query i. M may exceed B for "query_to_key"
            only.
        margin: difference of cosines that is asked for, at least 0.
        mining: "all", "semi_hard" (wrong keys less than a margin below the right one) or "hard"
            (the best wrong key of each row).
        direction: "query_to_key" (queries are anchors), "key_to_query", or "both": the triplets of
            both directions in one set. A sum over it adds the directions; a mean does not.
        same: bool (B, M), true where a key is *also* right for a query: never a negative.
        reduction: "mean" over the mined triplets, "sum", or "active": mean over those that cost
            something.

    Returns:
        0-d loss; 0, with a gradient of 0, where nothing is mined.

    Raises:
        RetrievalInputError: mismatched shapes, integer tensors, fewer than 2 pairs, a margin that
            is negative or not finite, an unknown mining, direction or reduction, a mask of another
            shape or type.

    Relations: VSE++ is `mined_triplet_loss(q, k, 0.2, "hard", direction="both", reduction="sum")`,
    and its predecessor VSE the same with "all". Per row, temperature * InfoNCE tends to "hard" with
    margin 0 as the temperature goes to 0. pytorch-metric-learning's `TripletMarginLoss` on cosines
    is "all" with "active". Only the wrong keys that are mined and break the margin feel a force,
    all of them the same; InfoNCE weighs each by its softmax probability.

    References: Kiros et al. 2014 (sum of hinges); Faghri et al. 2018, "VSE++", eq. 6 (max of
    hinges).
    """
    check_choice(direction, DIRECTIONS, "direction")
    check_choice(reduction, REDUCTIONS, "reduction")
    check_choice(mining, MINING, "mining")
    check_margin(margin)
    check_pairs(query_emb, key_emb, square=direction != "query_to_key")
    matrix = cosines(query_emb, key_emb)  # (B, M)
    if same is not None:
        check_mask(same, tuple(matrix.shape), "same")
    total, count = 0, 0
    for scores, right in anchors_as_rows(direction, matrix, same):
        triplets = mined_cells(scores, margin, mining, right)
        hinges = (
            (float(margin) + scores - scores.diagonal()[:, None]).relu().masked_fill(~triplets, 0)
        )
        total = total + hinges.sum()
        count = count + torch.count_nonzero(triplets if reduction == "mean" else hinges)
    return _reduce(total, count, reduction) * one_if_finite(query_emb, key_emb)
