"""Gradients of the losses on their logits, (B, M): which cells are pulled and which pushed."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.core.checks import RetrievalInputError, check_choice
from lib.losses.infonce import DIRECTIONS, infonce_of_logits
from lib.losses.inputs import (
    check_all_finite,
    check_mask,
    check_not_negative,
    check_tensor,
    count_positives,
    shape_of,
    wide_dtype,
)
from lib.losses.sigmoid import LINEAR_FROM, REDUCTIONS, negated_labels
from lib.losses.triplet import MINING, mined_hinges
from lib.losses.triplet import REDUCTIONS as TRIPLET_REDUCTIONS


def infonce_logit_gradient(
    logits: Tensor, direction: str = "query_to_key", positives: Tensor | None = None
) -> Tensor:
    """Compute the gradient of InfoNCE on its logits: (softmax - target) / B.

    A negative cell is pulled, a positive one pushed. Each row (or column) sums to 0.

    Args:
        logits: (B, M), cosines / temperature. M > B only for "query_to_key".
        direction: as in `infonce_loss`.
        positives: bool (B, M); the diagonal by default.

    Returns:
        (B, M).

    Reference: Wang and Liu 2021, "Understanding the Behaviour of Contrastive Loss", section 3.
    """
    check_choice(direction, DIRECTIONS, "direction")
    positives = _checked(logits, "logits", positives, square=direction != "query_to_key")
    return _gradient(lambda s: infonce_of_logits(s, positives, direction=direction), logits)


def sigmoid_logit_gradient(
    logits: Tensor, positives: Tensor | None = None, reduction: str = "per_query"
) -> Tensor:
    """Compute the gradient of the sigmoid loss on its logits: (sigmoid(s) - positive) / B.

    Args:
        logits: (B, M), cosines / temperature + bias.
        positives: bool (B, M); the diagonal by default.
        reduction: as in `sigmoid_loss`; "mean" divides by B M.

    Returns:
        (B, M). The cells are independent: a row need not sum to 0.
    """
    check_choice(reduction, REDUCTIONS, "reduction")
    positives = _checked(logits, "logits", positives)
    count_positives(positives, "query")
    n = logits.numel() if reduction == "mean" else len(logits)

    def loss(s: Tensor) -> Tensor:
        return F.softplus(s * negated_labels(s, positives), threshold=LINEAR_FROM).sum() / n

    return _gradient(loss, logits)


def triplet_cosine_gradient(
    cosines: Tensor,
    margin: float = 0.2,
    mining: str = "all",
    *,
    direction: str = "query_to_key",
    same: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Compute the gradient of `mined_triplet_loss` on its cosines: equal pushes, or none.

    Args:
        cosines: (B, M), the right pairs on the diagonal. M > B only for "query_to_key".
        margin, mining, direction, same, reduction: as in `mined_triplet_loss`.

    Returns:
        (B, M): positive where the loss pushes, negative where it pulls. Its sum is 0.
    """
    check_choice(direction, DIRECTIONS, "direction")
    check_choice(reduction, TRIPLET_REDUCTIONS, "reduction")
    check_choice(mining, MINING, "mining")
    check_not_negative(margin, "margin")
    _checked(cosines, "cosines", None, square=direction != "query_to_key")
    if same is not None:
        check_mask(same, tuple(cosines.shape), "same")
    return _gradient(lambda c: mined_hinges(c, margin, mining, direction, same, reduction), cosines)


@torch.enable_grad()
def _gradient(loss: Callable[[Tensor], Tensor], matrix: Tensor) -> Tensor:
    matrix = matrix.detach().to(wide_dtype(matrix)).requires_grad_()
    return torch.autograd.grad(loss(matrix), matrix)[0]


def _checked(
    matrix: Tensor, name: str, positives: Tensor | None, *, square: bool = False
) -> Tensor:
    """Check the matrix and return its mask of positives, the diagonal by default."""
    check_tensor(matrix, name)
    n_rows, n_columns = matrix.shape if matrix.ndim == 2 else (0, 0)
    if not (2 <= n_rows <= n_columns and (n_rows == n_columns or not square)):
        expected = "(B, B)" if square else "(B, M) with M >= B"
        raise RetrievalInputError(
            f"{name} must be floating point {expected} and B >= 2, got {shape_of(matrix)}"
        )
    check_all_finite(matrix, name)
    if positives is None:
        return torch.eye(*matrix.shape, dtype=torch.bool, device=matrix.device)
    check_mask(positives, tuple(matrix.shape), "positives")
    return positives
