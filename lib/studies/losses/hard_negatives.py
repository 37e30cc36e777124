"""Measure how often the hard negative of a text is the twin of its image."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.core.checks import RetrievalInputError
from lib.models.dual_encoder import DualEncoder, text_features
from lib.training.batches import Batch
from lib.training.interaction_objectives import negative_probabilities


@torch.inference_mode()
def batch_cosines(dual: DualEncoder, batch: Batch) -> Tensor:
    """Compute (B, B) cosines of the batch's texts (rows) with its images."""
    towers = dual.network.eval()
    images = F.normalize(towers.encode_image(batch.images).float(), dim=1)
    return F.normalize(text_features(towers, batch.tokens).float(), dim=1) @ images.T


def twin_shares(similarities: Tensor, right: Tensor, sharpnesses: Sequence[float]) -> list[dict]:
    """Compute how often the hard negative of a text is the twin of its image.

    Args:
        similarities: (B, B) of texts with images; image i + B/2 is the twin of image i.
        right: bool (B, B), the images that each text is true of.
        sharpnesses: factors on the cosines.

    Returns:
        Rows `sharpness` and `twin`, percent of the draws with everything right masked.
    """
    n = len(similarities)
    if n % 2:
        raise RetrievalInputError(f"a batch of twins must be even, got {n} texts")
    twin = torch.eye(n, dtype=torch.bool).roll(n // 2, dims=1)
    rows = []
    for sharpness in sharpnesses:
        probabilities = negative_probabilities(sharpness * similarities, right)
        rows.append({"sharpness": sharpness, "twin": 100 * probabilities[twin].sum().item() / n})
    return rows
