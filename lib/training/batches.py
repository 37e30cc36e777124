"""Training batches, each a pure function of its step: what the models are shown."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError
from lib.datasets import icons, scenes
from lib.models.dual_encoder import image_tensor
from lib.models.tokenizer import Tokenizer
from lib.training.augment import restroke, warp


@dataclass(frozen=True)
class Batch:
    """Paired images and token rows; `positives[i, j]` is true where text j is right for image i."""

    images: Tensor  # (B, channels, H, W), or (B, features)
    tokens: Tensor  # (B, context_length), or (B, features)
    positives: Tensor  # bool (B, B)


class IconStream:
    """Icons of the training split with their names, in a new order each epoch.

    Drawings are warped more and more until 60% of the steps: a gentle start learns fast, a rough
    end overfits late. From then on a batch holds runs of four drawings whose names begin with the
    same word, so that the model must tell an account with a check mark from one with a cross. Two
    drawings of a batch that share a name or their pixels are positives of each other.
    """

    RUN = 4
    HARD_FROM = 0.6

    def __init__(
        self, corpus: icons.Icons, tokenizer: Tokenizer, batch_size: int, steps: int, seed: int
    ) -> None:
        self.corpus, self.tokenizer = corpus, tokenizer
        self.batch_size, self.steps, self.seed = batch_size, steps, seed
        self.positions = corpus.positions("train")
        self.per_epoch = len(self.positions) // batch_size
        self.name_ids = _first_seen(corpus.names)
        self.drawing_ids = _first_seen([image.tobytes() for image in corpus.images])
        self.head_ids = _first_seen([icons.head_of(name) for name in corpus.names])

    def order(self, epoch: int) -> np.ndarray:
        """Positions of one epoch in the order they are seen."""
        rng = np.random.default_rng([self.seed, epoch])
        shuffled = rng.permutation(self.positions)
        if epoch * self.per_epoch < self.HARD_FROM * self.steps:
            return shuffled
        by_head = shuffled[np.argsort(self.head_ids[shuffled], kind="stable")]
        heads = self.head_ids[by_head]
        starts = np.flatnonzero(np.r_[True, heads[1:] != heads[:-1]])
        place = np.arange(len(heads)) - np.repeat(starts, np.diff(np.r_[starts, len(heads)]))
        run = np.cumsum(place % self.RUN == 0) - 1  # each head is cut into runs of at most RUN
        return by_head[np.argsort(rng.permutation(run[-1] + 1)[run], kind="stable")]

    def batch(self, step: int) -> Batch:
        epoch, at = divmod(step, self.per_epoch)
        chosen = self.order(epoch)[at * self.batch_size : (at + 1) * self.batch_size]
        rng = np.random.default_rng([self.seed, epoch, at])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        strength = 0.4 + 0.6 * min(1.0, step / (self.HARD_FROM * self.steps))
        images = warp(image_tensor(self.corpus.images[chosen], 1, icons.SIZE), strength, generator)
        images = restroke(images, 0.6, generator).contiguous(memory_format=torch.channels_last)
        phrases = [icons.phrase_of(self.corpus.names[i]) for i in chosen]
        tokens = torch.from_numpy(self.tokenizer.encode(phrases, dropout=0.1, rng=rng))
        names, drawings = self.name_ids[chosen], self.drawing_ids[chosen]
        positives = (names[:, None] == names) | (drawings[:, None] == drawings)
        return Batch(images, tokens, torch.from_numpy(positives))


class SceneStream:
    """An endless stream of generated training scenes, one caption each; nothing is ever seen twice.

    Args:
        tokenizer: of the captions.
        batch_size: pairs per step.
        seed: which stream.
        twins: whether half of each batch repeats the other half with places or colours exchanged
            (see `scenes.training_twins`), so that every image has a caption of its own words that
            is wrong.
    """

    def __init__(
        self, tokenizer: Tokenizer, batch_size: int, seed: int, *, twins: bool = False
    ) -> None:
        self.tokenizer, self.batch_size, self.seed = tokenizer, batch_size, seed
        self.twins = twins

    def batch(self, step: int) -> Batch:
        sample = scenes.training_twins if self.twins else scenes.training_batch
        images, batch = sample(self.seed, step, self.batch_size)
        which = np.random.default_rng([self.seed, step]).integers(
            scenes.N_CAPTIONS, size=self.batch_size
        )
        chosen = np.arange(self.batch_size) * scenes.N_CAPTIONS + which
        # A caption may be true of another scene of the batch; the world knows, so that is a
        # positive too.
        everyone = np.tile(np.arange(self.batch_size), (self.batch_size, 1))
        true = (
            scenes.qrels(batch).at_least(3).take_queries(chosen).grades_of(everyone) > 0
        )  # (texts, images)
        return Batch(
            image_tensor(images, 3, scenes.SIZE),
            torch.from_numpy(self.tokenizer.encode(scenes.caption_choice(batch, which))),
            torch.from_numpy(true.T.copy()),
        )


class PairStream:
    """Fixed pairs of anything two encoders read, in a new order each epoch; labels and batches can
    be spoilt.

    Args:
        images: (n, ...) what the image encoder reads: pixels, or features.
        texts: (n, ...) what the text encoder reads; row i belongs to image i.
        text_ids: (n,) equal for equal texts, so that a batch knows who else is right.
        batch_size: pairs per step.
        seed: of the order and the damage.
        noise: share of the pairs whose text is swapped with that of another such pair, once and for
            all.
        repeats: share of each batch that repeats other rows of it.
        tell: whether `positives` shows all right pairs, or the diagonal alone.
    """

    def __init__(
        self,
        images: Tensor,
        texts: Tensor,
        text_ids: np.ndarray,
        batch_size: int,
        seed: int,
        *,
        noise: float = 0.0,
        repeats: float = 0.0,
        tell: bool = True,
    ) -> None:
        n = len(images)
        if len(texts) != n or len(text_ids) != n or n < batch_size:
            raise RetrievalInputError(
                f"{n} images, {len(texts)} texts and {len(text_ids)} ids are no pairs for batches"
                f" of {batch_size}"
            )
        self.images, self.texts, self.batch_size, self.seed = images, texts, batch_size, seed
        self.n_repeated, self.tell = round(_share(repeats, "repeats") * batch_size), tell
        self.fresh = batch_size - self.n_repeated
        self.per_epoch = n // self.fresh
        rng = np.random.default_rng([seed, 1])
        swapped = rng.permutation(n)[: round(_share(noise, "noise") * n)]
        self.text_of = np.arange(n)
        self.text_of[swapped] = np.roll(swapped, 1)
        self.text_ids = np.asarray(text_ids)

    def batch(self, step: int) -> Batch:
        epoch, at = divmod(step, self.per_epoch)
        order = np.random.default_rng([self.seed, 0, epoch]).permutation(len(self.images))
        chosen = order[at * self.fresh : (at + 1) * self.fresh]
        again = np.random.default_rng([self.seed, 2, step]).choice(chosen, self.n_repeated)
        chosen = np.concatenate([chosen, again])
        texts = self.text_of[chosen]
        ids = self.text_ids[texts]
        right = ids[:, None] == ids if self.tell else np.eye(len(ids), dtype=bool)
        return Batch(self.images[chosen], self.texts[texts], torch.from_numpy(right))


def _share(value: float, name: str) -> float:
    if not 0 <= value < 1:
        raise RetrievalInputError(f"{name} is a share from 0 to below 1, got {value}")
    return value


def _first_seen(keys: list) -> np.ndarray:
    """An id per key, equal for equal keys."""
    ids: dict = {}
    return np.array([ids.setdefault(key, len(ids)) for key in keys])
