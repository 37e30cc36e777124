"""Which wrong pairs a cross-encoder is trained on: how many of them are twins."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from lib.core.checks import RetrievalInputError
from lib.models.dual_encoder import DualEncoder, text_features
from lib.training.batches import Batch
from lib.training.interaction_objectives import negative_chances


@torch.inference_mode()
def cosines(dual: DualEncoder, batch: Batch) -> torch.Tensor:
    """(B, B) cosines of the batch's texts (rows) with its images."""
    towers = dual.network.eval()
    images = F.normalize(towers.encode_image(batch.images).float(), dim=1)
    return F.normalize(text_features(towers, batch.tokens).float(), dim=1) @ images.T


def twin_shares(
    similarities: torch.Tensor, right: torch.Tensor, sharpnesses: Sequence[float]
) -> list[dict]:
    """How often the hard negative of a text is the twin of its image, by the factor on the cosines.

    Args:
        similarities: (B, B) of texts with images; image i + B/2 is the twin of image i.
        right: bool (B, B), which images each text is true of.
        sharpnesses: factors to try.

    Returns:
        Rows sharpness and `twin`, percent of the draws with everything right masked.

    Raises:
        RetrievalInputError: an odd batch, which is no batch of twins.
    """
    n = len(similarities)
    if n % 2:
        raise RetrievalInputError(f"a batch of twins is even, got {n} texts")
    twin = torch.eye(n, dtype=torch.bool).roll(n // 2, dims=1)
    drawn = {
        sharpness: negative_chances(sharpness * similarities, right) for sharpness in sharpnesses
    }
    return [
        {"sharpness": sharpness, "twin": 100 * chances[twin].sum().item() / n}
        for sharpness, chances in drawn.items()
    ]
