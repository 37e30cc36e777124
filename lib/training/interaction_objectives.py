"""Objectives of late interaction and of cross-encoders."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lib.losses import infonce_of_logits
from lib.models.baselines import FeatureTokens
from lib.models.cross_encoder import CrossEncoderNetwork
from lib.models.dual_encoder import DualEncoder, text_features
from lib.models.late_interaction import LateInteraction, TowerTokens
from lib.models.maxsim import late_interaction_logits
from lib.training.batches import Batch


def late_interaction_loss(network: TowerTokens | FeatureTokens, batch: Batch) -> Tensor:
    """Compute InfoNCE of both FILIP scores of every pair, in both directions.

    Reference: Yao et al. 2022, "FILIP: Fine-grained interactive language-image pre-training".
    """
    texts, mask = network.encode_text(batch.tokens)
    images = network.encode_image(batch.images)
    scale, right = network.logit_scale.exp(), batch.positives.T  # (texts, images)
    both = [scale * scores for scores in late_interaction_logits(texts, images, mask)]
    sides = [infonce_of_logits(logits, right) for logits in both]
    sides += [infonce_of_logits(logits.T, right.T) for logits in both]
    return torch.stack(sides).mean()


def negative_probabilities(logits: Tensor, same: Tensor) -> Tensor:
    """Compute the probability of each wrong column to be drawn as the negative of a row.

        P(j | i) = softmax_j(s_ij) over the j that are not the same as i

    Args:
        logits: (B, M) scaled similarities of a dual encoder.
        same: bool (B, M), true where a column is right for the row as well.

    Returns:
        (B, M), rows adding up to 1, or to 0 where every column is the same as the row.

    Reference: Li et al. 2021, "Align before fuse", hard negatives for image-text matching.
    """
    # A row without any negative is NaN after the softmax.
    probabilities = logits.masked_fill(same, -torch.inf).softmax(dim=1)
    return torch.where(same.all(dim=1, keepdim=True), 0.0, probabilities)


def sample_negatives(logits: Tensor, same: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one wrong column for every row by `negative_probabilities`.

    Returns:
        int64 (B,) columns, -1 where every column is the same as the row.
    """
    empty = same.all(dim=1)
    probabilities = negative_probabilities(logits, same).masked_fill(empty[:, None], 1.0)
    # Drawn on the CPU, where the generator is: the same columns on every device.
    drawn = torch.multinomial(probabilities.cpu(), 1, generator=generator)[:, 0]
    return drawn.to(logits.device).masked_fill(empty, -1)


class MatchingObjective:
    """Binary cross-entropy of a cross-encoder on right pairs and hard wrong pairs.

    Every right pair (i, i) comes with two wrong ones: its text with a hard image, its image with a
    hard text. `sample_negatives` draws both from the similarities of a cheaper model.

    Args:
        cheaper: a dual encoder, or late interaction, with the same inputs; it is not trained.
        sharpness: factor on its similarities; 0 draws negatives evenly, a large one always the
            hardest. On batches of twins 6 draws the twin a third of the time. 30 draws almost only
            twins: the model learns to tell twins apart and ranks everything else at random.
    """

    def __init__(self, cheaper: DualEncoder | LateInteraction, sharpness: float = 6.0) -> None:
        self.cheaper, self.sharpness = cheaper, sharpness

    def __call__(self, network: CrossEncoderNetwork, batch: Batch) -> Tensor:
        logits = self.sharpness * self._similarities(batch)
        generator = torch.Generator().manual_seed(torch.randint(2**62, (1,)).item())
        wrong_text = sample_negatives(logits, batch.positives, generator)  # for each image
        wrong_image = sample_negatives(logits.T, batch.positives.T, generator)  # for each text
        pairs = torch.arange(len(logits), device=logits.device)
        text = torch.cat([pairs, wrong_text[wrong_text >= 0], pairs[wrong_image >= 0]])
        image = torch.cat([pairs, pairs[wrong_text >= 0], wrong_image[wrong_image >= 0]])
        states, mask = network.read_text(batch.tokens)
        scores = network(states[text], mask[text], network.read_image(batch.images)[image])
        right = torch.arange(len(text), device=text.device) < len(pairs)
        return F.binary_cross_entropy_with_logits(scores, right.float())

    @torch.no_grad()
    def _similarities(self, batch: Batch) -> Tensor:
        """Compute (images, texts): cosines, or the mean over a text's tokens of the best cosine."""
        network = self.cheaper.network.eval().to(batch.tokens.device)
        if isinstance(self.cheaper, LateInteraction):
            texts, mask = network.encode_text(batch.tokens)
            return late_interaction_logits(texts, network.encode_image(batch.images), mask)[0].T
        images = F.normalize(network.encode_image(batch.images).float(), dim=1)
        return images @ F.normalize(text_features(network, batch.tokens).float(), dim=1).T
