"""Triplet losses, and the mining of their negatives: all, semi-hard, or the hardest."""

import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError, check_choice
from lib.losses.infonce import DIRECTIONS
from lib.losses.inputs import (
    check_all_finite,
    check_mask,
    check_not_negative,
    check_pairs,
    check_tensor,
    cosines,
    one_if_finite,
    shape_of,
    wide_dtype,
)

MINING = ("all", "semi_hard", "hard")
REDUCTIONS = ("mean", "sum", "active")


def triplet_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 0.2,
    *,
    reduction: str = "mean",
) -> Tensor:
    """Compute the triplet loss, a hinge on the difference of two cosines.

        L = mean_i [ margin + <a_i, n_i> - <a_i, p_i> ]_+

    With unit vectors the FaceNet form [ |a - p|^2 - |a - n|^2 + alpha ]_+ is twice this loss for
    alpha = 2 margin: its alpha of 0.2 is a margin of 0.1 here.

    Args:
        anchor: (B, d), unit rows. Half precision is computed in float32, also under autocast.
        positive: (B, d), unit rows; row i is right for anchor i.
        negative: (B, d), unit rows; row i is wrong for anchor i.
        margin: difference of cosines from which a triplet costs nothing, at least 0.
        reduction: "mean" over all triplets, "sum", or "active": mean over the triplets with a
            loss above 0. "active" does not fall as triplets are solved: they leave the count too.

    Returns:
        0-d loss; 0, without gradient, once every triplet meets the margin.

    Reference: Schroff et al. 2015, "FaceNet", eq. 2.
    """
    check_choice(reduction, REDUCTIONS, "reduction")
    check_not_negative(margin, "margin")
    rows = (anchor, positive, negative)
    for name, row in zip(("anchor", "positive", "negative"), rows, strict=True):
        check_tensor(row, name)
    if anchor.ndim != 2 or any(x.shape != anchor.shape for x in rows) or len(anchor) == 0:
        raise RetrievalInputError(
            f"expected anchor, positive and negative (B, d) with B >= 1, got {shape_of(*rows)}"
        )
    anchor = anchor.to(wide_dtype(*rows))
    difference = float(margin) + (anchor * negative).sum(dim=1) - (anchor * positive).sum(dim=1)
    hinges = difference.relu()  # (B,)
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
    """Compute the triplet loss over mined negatives of the batch.

    With T the cells (i, j) that `mine_triplets` marks, query i against the wrong key j:

        L = mean_{(i, j) in T} [ margin + c_ij - c_ii ]_+

    VSE++ is `mining="hard", direction="both", reduction="sum"`; VSE is the same with "all".

    Args:
        query_emb: (B, d), unit rows. Half precision is computed in float32, also under autocast.
        key_emb: (M, d), unit rows; key i belongs to query i. M > B only for "query_to_key".
        margin: required difference of cosines, at least 0.
        mining: "all", "semi_hard" (wrong keys less than a margin below the right one) or "hard"
            (the best wrong key of each row).
        direction: "query_to_key" (queries are anchors), "key_to_query", or "both": the triplets of
            both directions in one set. A sum adds the directions; a mean does not.
        same: bool (B, M), true where a key is *also* right for a query: never a negative.
        reduction: as in `triplet_loss`, over the mined triplets.

    Returns:
        0-d loss; 0, with a gradient of 0, if nothing is mined.

    References: Kiros et al. 2014 (sum of hinges); Faghri et al. 2018, "VSE++", eq. 6 (max of
    hinges).
    """
    check_choice(direction, DIRECTIONS, "direction")
    check_choice(reduction, REDUCTIONS, "reduction")
    check_choice(mining, MINING, "mining")
    check_not_negative(margin, "margin")
    check_pairs(query_emb, key_emb, square=direction != "query_to_key")
    matrix = cosines(query_emb, key_emb)  # (B, M)
    if same is not None:
        check_mask(same, tuple(matrix.shape), "same")
    loss = mined_hinges(matrix, margin, mining, direction, same, reduction)
    return loss * one_if_finite(query_emb, key_emb)


def mined_hinges(
    matrix: Tensor, margin: float, mining: str, direction: str, same: Tensor | None, reduction: str
) -> Tensor:
    """Compute `mined_triplet_loss` from checked cosines (B, M)."""
    views = []
    if direction != "key_to_query":
        views.append((matrix, same))
    if direction != "query_to_key":
        views.append((matrix.T, None if same is None else same.T))
    total, count = 0, 0
    for scores, also_right in views:
        triplets = _mined_cells(scores, margin, mining, also_right)
        hinges = (float(margin) + scores - scores.diagonal()[:, None]).relu()
        hinges = hinges.masked_fill(~triplets, 0)
        total = total + hinges.sum()
        count = count + torch.count_nonzero(triplets if reduction == "mean" else hinges)
    return _reduce(total, count, reduction)


def _reduce(total: Tensor, count: Tensor, reduction: str) -> Tensor:
    # Without triplets the loss and its gradient are 0, not 0 / 0.
    return total if reduction == "sum" else total / count.clamp(min=1)


@torch.no_grad()
def mine_triplets(
    cosines: Tensor, margin: float = 0.2, mining: str = "all", *, same: Tensor | None = None
) -> Tensor:
    """Mark the triplets of a batch: cell (i, j) is (query i, its key i, negative key j).

    With N_i the keys that are wrong for query i (all but key i and those that `same` marks):

        all        j in N_i
        semi_hard  j in N_i with  c_ii - margin < c_ij < c_ii
        hard       argmax_{j in N_i} c_ij

    Args:
        cosines: (B, M), M >= B, the positives on the diagonal. Give the transpose to make keys
            the anchors.
        margin: required difference of cosines; used by "semi_hard" only.
        mining: "all", "semi_hard" or "hard".
        same: bool (B, M), true where a key is also right for a query, and so never a negative.

    Returns:
        bool (B, M), false on the diagonal. "hard" marks one cell in each row, the first of equals,
        whether or not it violates the margin; a row without negatives has none.

    References: Schroff et al. 2015, "FaceNet" (semi-hard); Hermans et al. 2017 (batch-hard).
    """
    check_tensor(cosines, "cosines")
    if cosines.ndim != 2 or not 2 <= len(cosines) <= cosines.shape[1]:
        raise RetrievalInputError(
            f"expected floating point cosines (B, M) with M >= B >= 2, got {shape_of(cosines)}"
        )
    check_choice(mining, MINING, "mining")
    check_not_negative(margin, "margin")
    check_all_finite(cosines, "cosines")
    if same is not None:
        check_mask(same, tuple(cosines.shape), "same")
    return _mined_cells(cosines, margin, mining, same)


@torch.no_grad()
def _mined_cells(cosines: Tensor, margin: float, mining: str, same: Tensor | None) -> Tensor:
    wrong = torch.ones_like(cosines, dtype=torch.bool)  # (B, M)
    if same is not None:
        wrong &= ~same
    wrong.fill_diagonal_(False)
    if mining == "all":
        return wrong
    positive = cosines.diagonal()[:, None]  # (B, 1)
    if mining == "semi_hard":
        return wrong & (cosines < positive) & (cosines > positive - float(margin))
    hardest = cosines.masked_fill(~wrong, float("-inf")).max(dim=1, keepdim=True).indices
    # A row of -inf has a maximum too, so a marked cell must also be a negative.
    return torch.zeros_like(wrong).scatter_(1, hardest, True) & wrong
