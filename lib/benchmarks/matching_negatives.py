"""Which wrong pairs a cross-encoder is trained on: twins, other images, and right ones taken for wrong."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from lib.checks import RetrievalInputError
from lib.interaction_objectives import negative_chances
from lib.models.dual_encoder import DualEncoder, text_features
from lib.streams import Batch


@torch.inference_mode()
def cosines(dual: DualEncoder, batch: Batch) -> torch.Tensor:
    """(B, B) cosines of the batch's texts (rows) with its images."""
    towers = dual.network.eval()
    images = F.normalize(towers.encode_image(batch.images).float(), dim=1)
    return F.normalize(text_features(towers, batch.tokens).float(), dim=1) @ images.T


def shares(
    similarities: torch.Tensor, right: torch.Tensor, sharpnesses: Sequence[float], *, twins: bool = True
) -> list[dict]:
    """Where the hard negatives of a batch fall, by the factor on its cosines.

    Args:
        similarities: (B, B) of texts with images.
        right: bool (B, B), which images each text is true of.
        sharpnesses: factors to try.
        twins: whether image i + B/2 is the twin of image i.

    Returns:
        Rows sharpness, `twin` (percent of the draws, everything right masked; None without twins) and `right`
        (percent of the draws that would be right pairs, called wrong, if the diagonal alone were masked).

    Raises:
        RetrievalInputError: twins in an odd batch.
    """
    n = len(similarities)
    if twins and n % 2:
        raise RetrievalInputError(f"a batch of twins is even, got {n} texts")
    own = torch.eye(n, dtype=torch.bool)
    rows = []
    for sharpness in sharpnesses:
        masked = negative_chances(sharpness * similarities, right)
        loose = negative_chances(sharpness * similarities, own)
        twin = 100 * masked[own.roll(n // 2, dims=1)].sum().item() / n if twins else None
        mistaken = 100 * loose[right & ~own].sum().item() / n
        rows.append({"sharpness": sharpness, "twin": twin, "right": mistaken})
    return rows
