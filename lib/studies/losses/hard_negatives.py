"""Hard negatives: the wrong images that a first model ranks highest, appended to every batch."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from lib.core.checks import RetrievalInputError
from lib.index.exact import topk_exact
from lib.losses import mnr_loss
from lib.studies.losses.train_trial import Corpus, Trial, corpus, encoded, train
from lib.training.batches import Batch, PairStream
from lib.training.loop import History
from lib.training.objectives import Objective, objective


def mined(network: nn.Module, pairs: Corpus, ranks: range = range(10)) -> np.ndarray:
    """The wrong training images that stand at given ranks for each training text.

    Args:
        network: the first model, trained without hard negatives.
        pairs: a corpus; images of an equal text are right, and never returned.
        ranks: which of the wrong images, 0 is the one with the highest cosine. Skipping the first
            few is the usual guard against right images that nobody wrote down.

    Returns:
        (n, len(ranks)) positions of images, the hardest first.

    Raises:
        RetrievalInputError: ranks that are empty, or reach further than there are wrong images.
    """
    _, place, copies = np.unique(pairs.text_ids, return_inverse=True, return_counts=True)
    most = int(copies.max())  # so many right images can stand before a wrong one
    if not len(ranks) or ranks[0] < 0 or ranks[-1] + most >= len(pairs.images):
        raise RetrievalInputError(
            f"ranks {ranks} of wrong images cannot be had: {len(pairs.images)} images, of which up"
            f" to {most} are right for one text; give ranks from 0, at least one"
        )
    texts, images = encoded(network, pairs.images, pairs.texts)
    _, ids = topk_exact(texts, images, k=ranks[-1] + 1 + most)  # (n, k)
    right = pairs.text_ids[ids] == pairs.text_ids[:, None]
    wrong_first = np.take_along_axis(ids, np.argsort(right, axis=1, kind="stable"), axis=1)
    return wrong_first[:, list(ranks)]


@dataclass(frozen=True)
class NegativesStream:
    """The batches of a `PairStream` over the same corpus, with one negative image per pair behind
    the images.

    Args:
        pairs: a corpus.
        negatives: (n, m) positions of images that are wrong for text i; a batch takes one of each
            row.
        batch_size: pairs per step: B texts and 2 B images.
        seed: of the order, and of the choice among the m.
    """

    pairs: Corpus
    negatives: np.ndarray
    batch_size: int
    seed: int

    def batch(self, step: int) -> Batch:
        rows = torch.arange(len(self.pairs.images))
        order = PairStream(rows, rows, self.pairs.text_ids, self.batch_size, self.seed).batch(step)
        chosen = self.negatives[order.tokens.numpy()]  # (B, m)
        pick = np.random.default_rng([self.seed, 3, step]).integers(
            chosen.shape[1], size=len(chosen)
        )
        images = torch.cat([order.images, torch.from_numpy(chosen[np.arange(len(chosen)), pick])])
        return Batch(self.pairs.images[images], self.pairs.texts[order.tokens], order.positives)


def _loss(network: nn.Module, images: Tensor, texts: Tensor, positives: Tensor) -> Tensor:
    pairs = len(texts)
    return mnr_loss(texts, images[:pairs], images[pairs:], network.logit_scale.exp())


def ranking_with_negatives() -> Objective:
    """MNR as in `lib.training.objectives`, for batches of B texts and B images with their negatives
    behind them.
    """
    return replace(objective("MNR"), loss=_loss)


def train_with_negatives(
    trial: Trial, negatives: np.ndarray, *, split: str = "validation", points: int = 1
) -> tuple[nn.Module, History]:
    """Trains as `train` does, each batch with one negative image per pair.

    Args:
        trial: what to train; its loss is MNR whatever it says, and nothing is damaged.
        negatives: (n, m), from `mined` or of your own choice.
        split, points: as of `train`.

    Returns:
        The network and its history.
    """
    pairs = corpus(trial.corpus, trial.encoders, split)
    stream = NegativesStream(pairs, negatives, trial.batch_size, trial.seed)
    return train(trial, split=split, points=points, target=ranking_with_negatives(), stream=stream)
