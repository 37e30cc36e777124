"""Multiple negatives ranking: InfoNCE in one direction, with hard negatives appended to the
keys.
"""

import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError
from lib.losses.infonce import infonce_loss
from lib.losses.inputs import check_pairs, check_positive, check_tensor


def mnr_loss(
    anchor: Tensor,
    positive: Tensor,
    negatives: Tensor | None = None,
    scale: float | Tensor = 20.0,
    *,
    block_size: int | None = None,
) -> Tensor:
    """Multiple negatives ranking loss: each anchor picks its positive from everything in the batch.

    With the keys k = [positives; negatives]:

        L = -1/B sum_i log [ exp(scale <a_i, k_i>) / sum_j exp(scale <a_i, k_j>) ]

    Args:
        anchor: (B, d), unit rows.
        positive: (B, d), unit rows; row i belongs to anchor i.
        negatives: (K, d) shared by the batch, or (B, K, d) mined for each anchor; unit rows. Each
            anchor sees all of them, those of the others too: they are further negatives at no
            further encoding.
        scale: 1 / temperature, positive and finite; a 0-d tensor where it is learnt.
        block_size: as in `infonce_loss`, memory O(block_size^2 + (B + K) d) instead of O(B (B +
            K)).

    Returns:
        0-d loss. Random unit embeddings give about log of the number of keys, plus var(logits) / 2.

    Raises:
        RetrievalInputError: another number of positives than of anchors, negatives of another shape
            than above, a scale that is not positive, and all that `infonce_loss` refuses.

    Relations: it *is* `infonce_loss(anchor, keys, 1 / scale)`, "query_to_key"; anchors never
    compete for a positive, which the other direction adds. Call that form with `same` where a
    negative may be right.

    References: Henderson et al. 2017, section 4.4; sentence-transformers'
    MultipleNegativesRankingLoss, whose scale of 20 this takes over.
    """
    check_pairs(anchor, positive, square=True)
    check_positive(scale, "scale")
    keys = positive
    if negatives is not None:
        check_tensor(negatives, "negatives")
        per_anchor = negatives.ndim == 3 and len(negatives) == len(anchor)
        if not (negatives.ndim == 2 or per_anchor) or negatives.shape[-1] != anchor.shape[1]:
            raise RetrievalInputError(
                f"negatives must be (K, {anchor.shape[1]}) or ({len(anchor)}, K, {anchor.shape[1]})"
                f" for anchors {tuple(anchor.shape)}, got {tuple(negatives.shape)}"
            )
        keys = torch.cat(
            [positive, negatives.reshape(-1, anchor.shape[1])]
        )  # (B + K, d) or (B + B K, d)
    return infonce_loss(anchor, keys, 1 / scale, block_size=block_size)
