"""Which negatives a triplet loss looks at: all, those just below the positive, or the hardest."""

import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError, check_choice
from lib.losses.inputs import check_all_finite, check_margin, check_mask, check_tensor

MINING = ("all", "semi_hard", "hard")


@torch.no_grad()
def mine_triplets(
    cosines: Tensor, margin: float = 0.2, mining: str = "all", *, same: Tensor | None = None
) -> Tensor:
    """Marks the triplets of a batch: cell (i, j) is the triplet (query i, its own key i, negative
    key j).

    With N_i the keys that are wrong for query i (all but key i and what `same` marks):

        all        j in N_i
        semi_hard  j in N_i with  c_ii - margin < c_ij < c_ii
        hard       argmax_{j in N_i} c_ij

    Args:
        cosines: (B, M), M >= B, the positives on the diagonal. Its transpose lets keys be the
            anchors.
        margin: difference of cosines that is asked for; only "semi_hard" reads it.
        mining: "all", "semi_hard" or "hard".
        same: bool (B, M), true where a key is also right for a query, and so never a negative.

    Returns:
        bool (B, M), false on the diagonal. "hard" marks one cell a row, the first of equals,
        violated or not; a row without negatives has none.

    Raises:
        RetrievalInputError: cosines that are not floating point (B, M) with M >= B >= 2, a margin
            that is negative or not finite, an unknown kind of mining, a mask of another shape or
            type.

    Relations: a row has one positive, so its triplets are the cells of a matrix: O(B M), where
    libraries that start from class labels enumerate index triples. "semi_hard" keeps every cell of
    the band, as pytorch-metric-learning does; tf-addons and sentence-transformers keep the hardest
    of it, and the easiest negative where the band is empty.

    References: Schroff et al. 2015, "FaceNet" (semi-hard); Hermans et al. 2017 (batch-hard).
    """
    check_tensor(cosines, "cosines")
    if cosines.ndim != 2 or not 2 <= len(cosines) <= cosines.shape[1]:
        found = f"{cosines.dtype} {tuple(cosines.shape)}"
        raise RetrievalInputError(
            f"expected floating point cosines (B, M) with M >= B >= 2, got {found}"
        )
    check_choice(mining, MINING, "mining")
    check_margin(margin)
    check_all_finite(cosines, "cosines")
    if same is not None:
        check_mask(same, tuple(cosines.shape), "same")
    return mined_cells(cosines, margin, mining, same)


@torch.no_grad()
def mined_cells(cosines: Tensor, margin: float, mining: str, same: Tensor | None) -> Tensor:
    """`mine_triplets` of checked arguments; NaN, which it cannot show, is for the caller to
    find.
    """
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
    # A row of -inf has a maximum too, so what is marked must still be a negative.
    return torch.zeros_like(wrong).scatter_(1, hardest, True) & wrong


def anchors_as_rows(direction: str, *matrices: Tensor | None) -> list[tuple[Tensor | None, ...]]:
    """Views of (B, M) matrices with the anchors of a direction as rows; "both" has one after the
    other.
    """
    forward, backward = matrices, tuple(None if m is None else m.T for m in matrices)
    return {"query_to_key": [forward], "key_to_query": [backward], "both": [forward, backward]}[
        direction
    ]
