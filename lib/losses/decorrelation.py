"""Decorrelation: coordinates that all say the same are one coordinate."""

import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError
from lib.losses.inputs import check_tensor


def decorrelation_loss(emb: Tensor) -> Tensor:
    """Mean over coordinates of the squared correlations with all other coordinates.

        L = 1/d sum_{j != k} r_jk^2,    r = correlation matrix of the batch's coordinates

    A contrastive loss is content with few directions once they tell the batch apart, and small
    networks stay there (dimensional collapse). This term asks the coordinates to differ.

    Args:
        emb: (B, d) embeddings, not normalised by row. Half precision is computed in float32.

    Returns:
        0-d loss: 0 for uncorrelated coordinates, d - 1 where all are copies of one. With B <= d it
        cannot reach 0: random embeddings give about (d - 1) / (B - 1).

    Raises:
        RetrievalInputError: not (B, d) with B >= 2 and d >= 2, or integers.

    Relations: an addition to a contrastive loss, never a loss of its own; it does not know which
    rows belong together. Matryoshka training alone does not prevent the collapse.

    Reference: the covariance term of Bardes, Ponce and LeCun 2022, "VICReg", on standardised
    coordinates, which makes it the redundancy term of Zbontar et al. 2021, "Barlow Twins", within
    one view.
    """
    check_tensor(emb, "emb")
    if emb.ndim != 2 or min(emb.shape) < 2:
        raise RetrievalInputError(
            f"expected floating point (B, d) with B and d at least 2, got {emb.dtype}"
            f" {tuple(emb.shape)}"
        )
    with torch.autocast(emb.device.type, enabled=False):
        emb = emb.to(torch.promote_types(emb.dtype, torch.float32))
        standard = (emb - emb.mean(dim=0)) / (emb.std(dim=0) + 1e-4)  # (B, d)
        correlation = standard.T @ standard / (len(emb) - 1)  # (d, d)
        return (correlation.square().sum() - correlation.diagonal().square().sum()) / emb.shape[1]
