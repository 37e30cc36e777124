"""Mine hard negatives with a first model, train with them, and count the twins among them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.core.checks import RetrievalInputError
from lib.index.exact import topk_exact
from lib.losses import mnr_loss
from lib.models.dual_encoder import DualEncoder, text_features
from lib.studies.losses.train_trial import TrainingPairs, encoded
from lib.training.batches import Batch, PairStream
from lib.training.interaction_objectives import negative_probabilities
from lib.training.objectives import Objective, objective


def mine_negatives(
    network: nn.Module, pairs: TrainingPairs, ranks: range = range(10)
) -> np.ndarray:
    """Find the wrong training images at given ranks for each training text.

    Skipping the first few ranks is the usual guard against right images without a label.

    Args:
        network: first model, trained without hard negatives.
        pairs: corpus; images of an equal text are right, and never returned.
        ranks: ranks among the wrong images; 0 has the highest cosine.

    Returns:
        (n, len(ranks)) positions of images, the hardest first.
    """
    _, copies = np.unique(pairs.text_ids, return_counts=True)
    most = int(copies.max())  # so many right images can stand before a wrong one
    if not len(ranks) or ranks[0] < 0 or ranks[-1] + most >= len(pairs.images):
        raise RetrievalInputError(
            f"`ranks` must be ranks of wrong images from 0, at least one, got {ranks}. There are"
            f" {len(pairs.images)} images, of which up to {most} are right for one text"
        )
    texts, images = encoded(network, pairs.images, pairs.texts)
    _, ids = topk_exact(texts, images, k=ranks[-1] + 1 + most)  # (n, k)
    right = pairs.text_ids[ids] == pairs.text_ids[:, None]
    wrong_first = np.take_along_axis(ids, np.argsort(right, axis=1, kind="stable"), axis=1)
    return wrong_first[:, list(ranks)]


@dataclass(frozen=True)
class NegativesStream:
    """Append one negative image per pair to the batches of a `PairStream`."""

    pairs: TrainingPairs
    negatives: np.ndarray  # (n, m) wrong images of each text; a batch takes one of each row
    batch_size: int  # B texts and 2 B images
    seed: int  # of the order, and of the choice among the m

    def batch(self, step: int) -> Batch:
        rows = torch.arange(len(self.pairs.images))
        order = PairStream(rows, rows, self.pairs.text_ids, self.batch_size, self.seed).batch(step)
        candidates = self.negatives[order.tokens.numpy()]  # (B, m)
        rng = np.random.default_rng([self.seed, 3, step])
        pick = rng.integers(candidates.shape[1], size=len(candidates))
        negatives = torch.from_numpy(candidates[np.arange(len(candidates)), pick])
        images = torch.cat([order.images, negatives])
        return Batch(self.pairs.images[images], self.pairs.texts[order.tokens], order.positives)


def _loss(network: nn.Module, images: Tensor, texts: Tensor, positives: Tensor) -> Tensor:
    pairs = len(texts)
    return mnr_loss(texts, images[:pairs], images[pairs:], network.logit_scale.exp())


def ranking_with_negatives() -> Objective:
    """Make the MNR objective for batches of a `NegativesStream`."""
    return replace(objective("MNR"), loss=_loss)


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
