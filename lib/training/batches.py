"""Training batches, each a pure function of its step."""

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lib.core.checks import RetrievalInputError, check_number
from lib.datasets import icons, scenes
from lib.models.dual_encoder import image_tensor
from lib.models.tokenizer import Tokenizer
from lib.training.augment import restroke, warp


@dataclass(frozen=True)
class Batch:
    """Paired images and texts; `positives[i, j]` is true where text j is right for image i."""

    images: Tensor  # (B, channels, H, W), or (B, features)
    # (B, context_length), or (B, features), or the states of a frozen tower, see `TextStates.batch`
    tokens: Tensor | tuple[Tensor, Tensor, Tensor]
    positives: Tensor  # bool (B, B)


class DrawingOrder:
    """Order of training drawings: new each epoch, with hard negatives and rougher warps later.

    Drawings are warped more and more until 60% of the steps: a gentle start learns fast, a rough
    end overfits late. From then on a batch holds runs of four drawings with the same head, the
    first word of a name: the model must tell an account with a check mark from one with a cross.

    Args:
        positions: int (n,), the training drawings in their corpus.
        heads: int, the head of every drawing of the corpus.
        batch_size, steps, seed: of the training.
        finish: random numbers -> the positions of one epoch from 60% of the steps on, always
            equally many; by default `positions`.
    """

    RUN = 4
    HARD_FROM = 0.6

    def __init__(
        self,
        positions: np.ndarray,
        heads: np.ndarray,
        batch_size: int,
        steps: int,
        seed: int,
        *,
        finish: Callable[[np.random.Generator], np.ndarray] | None = None,
    ) -> None:
        self.finish = finish or (lambda rng: positions)
        n_finishing = len(self.finish(np.random.default_rng(seed)))
        smallest = min(len(positions), n_finishing)
        if smallest < batch_size:
            raise RetrievalInputError(
                f"batch_size must be at most {smallest}, the training drawings, got {batch_size}"
            )
        self.positions, self.head_ids = positions, heads
        self.batch_size, self.steps, self.seed = batch_size, steps, seed
        self.per_epoch = len(positions) // batch_size
        self.hard_epoch = math.ceil(self.HARD_FROM * steps / self.per_epoch)  # the first one
        self.per_hard_epoch = n_finishing // batch_size

    def place_of(self, step: int) -> tuple[int, int]:
        """Return the epoch of a step, and which of its batches the step takes."""
        late = step - self.hard_epoch * self.per_epoch
        if late < 0:
            return divmod(step, self.per_epoch)
        epoch, at = divmod(late, self.per_hard_epoch)
        return self.hard_epoch + epoch, at

    def order(self, epoch: int) -> np.ndarray:
        """Order the training positions of one epoch."""
        rng = np.random.default_rng([self.seed, epoch])
        if epoch < self.hard_epoch:
            return rng.permutation(self.positions)
        shuffled = rng.permutation(self.finish(rng))
        by_head = shuffled[np.argsort(self.head_ids[shuffled], kind="stable")]
        heads = self.head_ids[by_head]
        starts = np.flatnonzero(np.r_[True, heads[1:] != heads[:-1]])
        place = np.arange(len(heads)) - np.repeat(starts, np.diff(np.r_[starts, len(heads)]))
        run = np.cumsum(place % self.RUN == 0) - 1  # each head is cut into runs of at most RUN
        return by_head[np.argsort(rng.permutation(run[-1] + 1)[run], kind="stable")]

    def draw(self, step: int) -> tuple[np.ndarray, np.random.Generator, torch.Generator]:
        """Return the positions of a step, and the random numbers of its texts and its images."""
        epoch, at = self.place_of(step)
        chosen = self.order(epoch)[at * self.batch_size : (at + 1) * self.batch_size]
        rng = np.random.default_rng([self.seed, epoch, at])
        return chosen, rng, torch.Generator().manual_seed(int(rng.integers(2**62)))

    def bend(self, images: Tensor, step: int, generator: torch.Generator) -> Tensor:
        """Warp and restroke images (n, channels, H, W) with bright ink as roughly as a step asks.

        Returns:
            The images in channels-last memory.
        """
        strength = 0.4 + 0.6 * min(1.0, step / (self.HARD_FROM * self.steps))
        images = restroke(warp(images, strength, generator), 0.6, generator)
        return images.contiguous(memory_format=torch.channels_last)


class IconStream:
    """Icons of the training split with their names, ordered and warped by `DrawingOrder`.

    Two drawings of a batch that share a name or their pixels are positives of each other.
    """

    def __init__(
        self, corpus: icons.Icons, tokenizer: Tokenizer, batch_size: int, steps: int, seed: int
    ) -> None:
        self.corpus, self.tokenizer = corpus, tokenizer
        heads = number_keys(map(icons.head_of, corpus.names))
        positions = corpus.positions("train")
        self.drawings = DrawingOrder(positions, heads, batch_size, steps, seed)
        self.name_ids = number_keys(corpus.names)
        self.drawing_ids = number_keys(image.tobytes() for image in corpus.images)

    def batch(self, step: int) -> Batch:
        chosen, rng, generator = self.drawings.draw(step)
        images = image_tensor(self.corpus.images[chosen], 1, icons.SIZE)
        images = self.drawings.bend(images, step, generator)
        phrases = [icons.phrase_of(self.corpus.names[i]) for i in chosen]
        tokens = torch.from_numpy(self.tokenizer.encode(phrases, dropout=0.1, rng=rng))
        names, drawings = self.name_ids[chosen], self.drawing_ids[chosen]
        positives = (names[:, None] == names) | (drawings[:, None] == drawings)
        return Batch(images, tokens, torch.from_numpy(positives))


class SceneStream:
    """Endless generated training scenes with one caption each; none comes twice.

    With `twins`, half of each batch repeats the other half with places or colours exchanged (see
    `scenes.training_twins`): every image has a wrong caption of the same words.
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
        # A caption may also be true of another scene of the batch: then that is a positive too.
        all_images = np.tile(np.arange(self.batch_size), (self.batch_size, 1))
        true_pairs = scenes.qrels(batch).at_least(3).take_queries(chosen)
        right = true_pairs.grades_of(all_images) > 0  # (texts, images)
        return Batch(
            image_tensor(images, 3, scenes.SIZE),
            torch.from_numpy(self.tokenizer.encode(scenes.caption_choice(batch, which))),
            torch.from_numpy(right.T.copy()),
        )


class PairStream:
    """Fixed pairs in a new order each epoch, with wrong labels or repeated pairs on request.

    Args:
        images: (n, ...) inputs of the image encoder: pixels, or features.
        texts: (n, ...) inputs of the text encoder; row i belongs to image i.
        text_ids: (n,) equal for equal texts, which are right for each other's images.
        batch_size: pairs per step.
        seed: of the order, the noise and the repeats.
        noise: share of the pairs that exchange their texts, once for the whole run.
        repeats: share of each batch that repeats other rows of it.
        mark_positives: mark all right pairs in `positives`, or the diagonal alone.
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
        mark_positives: bool = True,
    ) -> None:
        n = len(images)
        if len(texts) != n or len(text_ids) != n or n < batch_size:
            raise RetrievalInputError(
                f"images, texts and ids must be equally many and at least batch_size ="
                f" {batch_size}, got {n}, {len(texts)} and {len(text_ids)}"
            )
        self.images, self.texts, self.batch_size, self.seed = images, texts, batch_size, seed
        self.n_repeated = round(check_number(repeats, "repeats", 0, 1, below=True) * batch_size)
        self.mark_positives = mark_positives
        self.fresh = batch_size - self.n_repeated
        self.per_epoch = n // self.fresh
        rng = np.random.default_rng([seed, 1])
        swapped = rng.permutation(n)[: round(check_number(noise, "noise", 0, 1, below=True) * n)]
        self.text_of = np.arange(n)
        self.text_of[swapped] = np.roll(swapped, 1)
        self.text_ids = np.asarray(text_ids)

    def batch(self, step: int) -> Batch:
        epoch, at = divmod(step, self.per_epoch)
        order = np.random.default_rng([self.seed, 0, epoch]).permutation(len(self.images))
        chosen = order[at * self.fresh : (at + 1) * self.fresh]
        repeated = np.random.default_rng([self.seed, 2, step]).choice(chosen, self.n_repeated)
        chosen = np.concatenate([chosen, repeated])
        texts = self.text_of[chosen]
        ids = self.text_ids[texts]
        right = ids[:, None] == ids if self.mark_positives else np.eye(len(ids), dtype=bool)
        return Batch(self.images[chosen], self.texts[texts], torch.from_numpy(right))


def number_keys(keys: Iterable[Hashable]) -> np.ndarray:
    """Number keys in the order they are first seen: int64 (n,), equal for equal keys."""
    ids: dict = {}
    return np.array([ids.setdefault(key, len(ids)) for key in keys])
