"""Decorrelation: a penalty on coordinates that repeat each other."""

import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError
from lib.losses.inputs import check_tensor, shape_of, wide_dtype


def decorrelation_loss(emb: Tensor) -> Tensor:
    """Compute the decorrelation penalty: squared correlations between coordinates.

        L = 1/d sum_{j != k} r_jk^2,    r = correlation matrix of the batch's coordinates

    Add it to a contrastive loss. Small networks otherwise use few directions of the space, as many
    as tell the batch apart (dimensional collapse).

    Args:
        emb: (B, d) embeddings, not normalised by row. Half precision is computed in float32.

    Returns:
        0-d loss: 0 for uncorrelated coordinates, d - 1 where all are copies of one. With B <= d it
        cannot reach 0: random embeddings give about (d - 1) / (B - 1).

    Reference: the covariance term of Bardes, Ponce and LeCun 2022, "VICReg", on standardised
    coordinates; equal to the redundancy term of Zbontar et al. 2021, "Barlow Twins", in one view.
    """
    check_tensor(emb, "emb")
    if emb.ndim != 2 or min(emb.shape) < 2:
        raise RetrievalInputError(
            f"expected floating point (B, d) with B and d at least 2, got {shape_of(emb)}"
        )
    with torch.autocast(emb.device.type, enabled=False):
        emb = emb.to(wide_dtype(emb))
        standard = (emb - emb.mean(dim=0)) / (emb.std(dim=0) + 1e-4)  # (B, d)
        correlation = standard.T @ standard / (len(emb) - 1)  # (d, d)
        return (correlation.square().sum() - correlation.diagonal().square().sum()) / emb.shape[1]
