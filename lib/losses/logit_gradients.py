"""Which cells of the logit matrix a loss pushes, and how hard: the gradients written out."""

import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError, check_choice
from lib.losses.infonce import DIRECTIONS
from lib.losses.inputs import (
    check_all_finite,
    check_margin,
    check_mask,
    check_tensor,
    count_positives,
    wide_dtype,
)
from lib.losses.mining import MINING, anchors_as_rows, mined_cells
from lib.losses.sigmoid import REDUCTIONS
from lib.losses.triplet import REDUCTIONS as TRIPLET_REDUCTIONS


def infonce_logit_gradient(
    logits: Tensor, direction: str = "query_to_key", positives: Tensor | None = None
) -> Tensor:
    """The gradient of InfoNCE on its logits: softmax minus target.

        query_to_key:  G_ij = (P_ij - T_ij) / B,  P = softmax over row i
        key_to_query:  G_ij = (Q_ij - T_ij) / M,  Q = softmax over column j
        both:          the mean of the two

    T spreads a weight of 1 over the right cells of each row (or column).

    Args:
        logits: (B, M), cosines / temperature. M may exceed B for "query_to_key" only.
        direction: as in `infonce_loss`.
        positives: bool (B, M); the diagonal by default.

    Returns:
        (B, M). A step against it pulls where it is negative and pushes where it is positive; each
        row (or column) sums to 0, so what pulls the right pair together equals what pushes the
        others apart.

    Raises:
        RetrievalInputError: logits that are not floating point (B, M) with M >= B >= 2, or M other
            than B where keys look for queries; a mask of another shape; a row or column without
            positives; an unknown direction.

    Relations: dL/dq = G k / temperature, dL/dk = G^T q / temperature, dL/dtemperature = -<G,
    cosines> / temperature^2.

    Reference: Wang and Liu 2021, "Understanding the Behaviour of Contrastive Loss", section 3.
    """
    check_choice(direction, DIRECTIONS, "direction")
    logits = _checked(logits, square=direction != "query_to_key")
    positives = _positives(logits, positives)
    by_row = by_column = None
    if direction != "key_to_query":
        share = positives / count_positives(positives, "query")[:, None]
        by_row = (logits.softmax(dim=1) - share) / len(logits)
    if direction != "query_to_key":
        share = positives / count_positives(positives.T, "key")
        by_column = (logits.softmax(dim=0) - share) / logits.shape[1]
    if by_row is None or by_column is None:
        return by_column if by_row is None else by_row
    return (by_row + by_column) / 2


def sigmoid_logit_gradient(
    logits: Tensor, positives: Tensor | None = None, reduction: str = "per_query"
) -> Tensor:
    """The gradient of the sigmoid loss on its logits.

        G_ij = (sigmoid(s_ij) - [j is right for i]) / B

    Args:
        logits: (B, M), cosines / temperature + bias.
        positives: bool (B, M); the diagonal by default.
        reduction: as in `sigmoid_loss`; "mean" divides by B M.

    Returns:
        (B, M). Nothing couples the cells: a row need not sum to 0.

    Raises:
        RetrievalInputError: logits that are not floating point (B, M) with M >= B >= 2, a mask of
            another shape, a query without positives, an unknown reduction.

    Relations: dL/dbias = sum of G, and otherwise as `infonce_logit_gradient`.

    Reference: Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training".
    """
    check_choice(reduction, REDUCTIONS, "reduction")
    logits = _checked(logits, square=False)
    positives = _positives(logits, positives)
    count_positives(positives, "query")
    # sigmoid(s) - 1 = -sigmoid(-s), which keeps its digits where s is large.
    cells = torch.where(positives, -torch.sigmoid(-logits), torch.sigmoid(logits))
    return cells / (logits.numel() if reduction == "mean" else len(logits))


@torch.no_grad()
def triplet_cosine_gradient(
    cosines: Tensor,
    margin: float = 0.2,
    mining: str = "all",
    *,
    direction: str = "query_to_key",
    same: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The gradient of `mined_triplet_loss` on its cosines: whole pushes, or none.

    With A the mined cells whose hinge is above 0, as 0 and 1, and n what the reduction divides by:

        query_to_key:  G = (A - diag(row sums of A)) / n
        key_to_query:  the same with A mined by column, and its column sums
        both:          the two added before n, which counts the triplets of both

    Args:
        cosines: (B, M), the right pairs on the diagonal. M may exceed B for "query_to_key" only.
        margin, mining, direction, same, reduction: as in `mined_triplet_loss`.

    Returns:
        (B, M): positive where the loss pushes apart, negative where it pulls together. Its sum is
        0.

    Raises:
        RetrievalInputError: cosines that are not floating point (B, M) with M >= B >= 2, or M other
            than B where keys look for queries; and all that `mine_triplets` refuses.

    Relations: dL/dq = G k, dL/dk = G^T q: there is no temperature in between.
    `infonce_logit_gradient` weighs each wrong key by its probability; here those that break the
    margin weigh the same.
    """
    check_choice(direction, DIRECTIONS, "direction")
    check_choice(reduction, TRIPLET_REDUCTIONS, "reduction")
    check_choice(mining, MINING, "mining")
    check_margin(margin)
    cosines = _checked(cosines, square=direction != "query_to_key", name="cosines")
    if same is not None:
        check_mask(same, tuple(cosines.shape), "same")
    gradient, count = torch.zeros_like(cosines), 0
    for scores, right, side in anchors_as_rows(direction, cosines, same, gradient):
        triplets = mined_cells(scores, margin, mining, right)
        active = triplets & (float(margin) + scores - scores.diagonal()[:, None] > 0)
        side += active  # a view: this writes into `gradient`
        side.diagonal().sub_(active.sum(dim=1))
        count = count + torch.count_nonzero(triplets if reduction == "mean" else active)
    return gradient if reduction == "sum" else gradient / count.clamp(min=1)


def _checked(logits: Tensor, *, square: bool, name: str = "logits") -> Tensor:
    check_tensor(logits, name)
    n_rows, n_columns = logits.shape if logits.ndim == 2 else (0, 0)
    if not (2 <= n_rows <= n_columns and (n_rows == n_columns or not square)):
        wanted = "(B, B)" if square else "(B, M) with M >= B"
        raise RetrievalInputError(
            f"{name} must be floating point {wanted} and B >= 2, got {logits.dtype}"
            f" {tuple(logits.shape)}"
        )
    check_all_finite(logits, name)
    return logits.to(wide_dtype(logits))


def _positives(logits: Tensor, positives: Tensor | None) -> Tensor:
    if positives is None:
        return torch.eye(*logits.shape, dtype=torch.bool, device=logits.device)
    check_mask(positives, tuple(logits.shape), "positives")
    return positives
