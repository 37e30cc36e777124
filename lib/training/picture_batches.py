"""Training batches of `pictures`: drawings and emoji in colour, and frozen states of captions."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from lib.datasets import pictures
from lib.models.dual_encoder import image_tensor
from lib.models.text_tower import TextStates
from lib.training.augment import colour_drawings
from lib.training.batches import Batch, DrawingOrder, number_keys

# Colours of ink that captions name: red, green, blue.
INKS = {
    "red": (220, 30, 30),
    "orange": (255, 140, 0),
    "yellow": (250, 210, 30),
    "green": (40, 160, 60),
    "blue": (40, 90, 220),
    "purple": (140, 50, 180),
    "pink": (255, 120, 180),
    "brown": (130, 80, 40),
    "gray": (130, 130, 130),
    "black": (0, 0, 0),
}
INKS_PER_NAME = 2  # each coloured caption costs a pass of the text tower before the first step
PLAIN = -1  # the ink of a caption that names none
FURTHER_CAPTIONS = 0.3  # share of the captions that are not a name, where a picture has others
INKED_CAPTIONS = 0.1  # share of the drawings in an ink that the caption names
FREE_INKS, FREE_PAPERS = 0.3, 0.15  # shares of the drawings in any other dark ink, on light paper
PIECE_DROPOUT = 0.1  # share of the pieces of a caption that are masked
FINISHING_SHARE = 0.15  # of the further icons, in an epoch of the last 40% of the steps
EMOJI_COPIES = 2  # of each coloured emoji then, beside itself: they are few


@dataclass(frozen=True)
class RightPairs:
    """Tell which texts are right for which pictures.

    A text is right for the pictures that bear it, and for those that share the name or the pixels
    of the picture it was drawn for.

    Args:
        names: int64 (n_pictures,), text of each picture's name.
        pixels: int64 (n_pictures,), the same number for the same pixels.
        borne: bool (n_pictures, n_texts), sparse: the further texts of each picture.
    """

    names: np.ndarray
    pixels: np.ndarray
    borne: csr_array

    def among(self, chosen: np.ndarray, texts: np.ndarray) -> np.ndarray:
        """Find the right pairs of a batch, bool (B, B), where text j was drawn for picture j."""
        names, pixels = self.names[chosen], self.pixels[chosen]
        right = self.borne[chosen][:, texts].toarray()
        right |= (names[:, None] == texts) | (names[:, None] == names)
        return right | (pixels[:, None] == pixels)


def mark_texts(pairs: Sequence[tuple[int, int]], shape: tuple[int, int]) -> csr_array:
    """Mark pairs of a picture and its text, each once, in a sparse bool table of this shape."""
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    table = csr_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=shape)
    table.sum_duplicates()
    return table


@dataclass(frozen=True)
class CaptionTable:
    """Captions of the training pictures, each text once; those with a colour come last.

    Args:
        texts: the captions.
        names: int64 (n_pictures,), text of each picture's name; -1 where it is not trained.
        is_drawing: bool (n_pictures,), the pictures whose ink may be named.
        others: bool (n_pictures, n_texts), sparse: the further captions of each picture.
        inks: int64 (n_texts, INKS_PER_NAME), positions in `INKS` of the colours of a name.
        inked: int64 (n_texts, INKS_PER_NAME), text of the name with that colour; -1 where no
            drawing has this name.
    """

    texts: tuple[str, ...]
    names: np.ndarray
    is_drawing: np.ndarray
    others: csr_array
    inks: np.ndarray
    inked: np.ndarray

    def draw(
        self, chosen: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw a caption for each picture.

        Returns:
            Text of each caption; the same without its colour; the ink it names, or `PLAIN`.
        """
        names = self.names[chosen]
        starts = self.others.indptr[chosen]
        counts = self.others.indptr[chosen + 1] - starts
        further = (rng.random(len(chosen)) < FURTHER_CAPTIONS) & (counts > 0)
        at = starts + (rng.random(len(chosen)) * counts).astype(np.int64)
        plain = names.copy()
        plain[further] = self.others.indices[at[further]]
        column = rng.integers(INKS_PER_NAME, size=len(chosen))
        inked = self.inked[names, column]
        takes_ink = (rng.random(len(chosen)) < INKED_CAPTIONS) & self.is_drawing[chosen]
        plain[takes_ink] = names[takes_ink]
        inks = np.where(takes_ink, self.inks[names, column], PLAIN)
        return np.where(takes_ink, inked, plain), plain, inks


def number_captions(corpus: pictures.Pictures, positions: np.ndarray, seed: int) -> CaptionTable:
    """Number the captions of training pictures, and choose the colours of each drawing's name."""
    ids: dict[str, int] = {}
    names, pairs, drawn = np.full(len(corpus), -1), [], {}
    for position in positions.tolist():
        name, *others = corpus.captions[position]
        names[position] = ids.setdefault(name, len(ids))
        pairs += [(position, ids.setdefault(other, len(ids))) for other in others]
        if corpus.is_drawing[position]:
            drawn[name] = ids[name]
    colours, rng = list(INKS), np.random.default_rng([seed, 1])
    inks = {row: rng.permutation(len(INKS))[:INKS_PER_NAME] for row in drawn.values()}
    inked = {
        row: [ids.setdefault(f"{colours[ink]} {name}", len(ids)) for ink in inks[row]]
        for name, row in drawn.items()
    }
    others = mark_texts(pairs, (len(corpus), len(ids)))
    none = [-1] * INKS_PER_NAME
    columns = [np.array([of.get(row, none) for row in range(len(ids))]) for of in (inks, inked)]
    return CaptionTable(tuple(ids), names, corpus.is_drawing, others, *columns)


class PictureStream:
    """Training pictures with a caption each, as `DrawingOrder` orders and warps them.

    The caption is the picture's name or, in three of ten cases, another one. Some drawings take an
    ink that their caption names ("red alarm clock"), others any dark ink, or a light paper. A
    caption is right for other pictures of the batch as `RightPairs` says; one with a colour only
    for drawings in that ink, while a coloured drawing may be called by its plain name.

    Further icons take part as any drawing until 60% of the steps; then only some of them, others in
    each epoch, and each emoji in colour comes three times: the end belongs to what is searched.

    Args:
        corpus: the pictures.
        encode_states: texts -> frozen states, called once.
        batch_size, steps, seed: of the training.
        positions: int (n,), the pictures to train on; by default all of the training split.
    """

    def __init__(
        self,
        corpus: pictures.Pictures,
        encode_states: Callable[[Sequence[str]], TextStates],
        batch_size: int,
        steps: int,
        seed: int,
        *,
        positions: np.ndarray | None = None,
    ) -> None:
        positions = corpus.positions("train") if positions is None else positions
        self.corpus = corpus
        further = positions[corpus.sources[positions] == pictures.FURTHER]
        usual = positions[corpus.sources[positions] != pictures.FURTHER]
        repeated = usual[corpus.sources[usual] == "emoji"]
        n_further = int(FINISHING_SHARE * len(further))

        def finish(rng: np.random.Generator) -> np.ndarray:
            some = rng.permutation(further)[:n_further]
            return np.concatenate([usual, some, *[repeated] * EMOJI_COPIES])

        heads = number_keys(corpus.heads)
        self.order = DrawingOrder(positions, heads, batch_size, steps, seed, finish=finish)
        self.captions = number_captions(corpus, positions, seed)
        self.states = encode_states(self.captions.texts)
        pixels = np.full(len(corpus), -1)
        pixels[positions] = number_pixels(corpus, positions)
        self.right = RightPairs(self.captions.names, pixels, self.captions.others)

    def batch(self, step: int) -> Batch:
        chosen, rng, generator = self.order.draw(step)
        texts, plain, inks = self.captions.draw(chosen, rng)
        images = self._draw_images(chosen, inks, step, rng, generator)
        words, contexts, mask = self.states.batch(texts)
        dropped = torch.rand(mask.shape, generator=generator) < PIECE_DROPOUT
        dropped[:, 0] = False  # a caption keeps its first mark
        right = self.right.among(chosen, plain) & ((inks == PLAIN) | (inks[:, None] == inks))
        return Batch(images, (words, contexts, mask & ~dropped), torch.from_numpy(right))

    def _draw_images(
        self,
        chosen: np.ndarray,
        inks: np.ndarray,
        step: int,
        rng: np.random.Generator,
        generator: torch.Generator,
    ) -> Tensor:
        """Draw the pictures of a batch, (B, 3, H, W): warped, and drawings in their inks."""
        pixels, drawn = 255 - self.corpus.pixels(chosen), self.captions.is_drawing[chosen]
        ink, paper = (torch.from_numpy(colours[drawn]) for colours in _draw_colours(inks, rng))
        images = torch.empty(pixels.shape).permute(0, 3, 1, 2)  # channels last in memory
        if drawn.any():
            drawings = image_tensor(pixels[drawn, :, :, 0], 1, pictures.SIZE)
            drawings = self.order.bend(drawings, step, generator)
            images[drawn] = colour_drawings(drawings, ink, paper)
        if not drawn.all():
            coloured = image_tensor(pixels[~drawn], 3, pictures.SIZE)
            images[~drawn] = 1 - self.order.bend(coloured, step, generator)
        return images


def _draw_colours(inks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw the ink and the paper of each drawing, float32 (n, 3) in [0, 1]."""
    n = len(inks)
    colours = np.array(list(INKS.values())) / 255
    named = colours[inks] + rng.uniform(-0.075, 0.075, (n, 3))
    free = rng.uniform(0, 0.7, (n, 3)) * (rng.random((n, 1)) < FREE_INKS)  # else black
    ink = np.where(inks[:, None] == PLAIN, free, named.clip(0, 1))
    paper = 1 - rng.uniform(0, 0.25, (n, 3)) * (rng.random((n, 1)) < FREE_PAPERS)  # else white
    return ink.astype(np.float32), paper.astype(np.float32)


def number_pixels(corpus: pictures.Pictures, positions: np.ndarray) -> np.ndarray:
    """Number the pictures at some positions, equal pixels alike."""
    return number_keys(_pixel_digests(corpus, positions))


def _pixel_digests(corpus: pictures.Pictures, positions: np.ndarray) -> Iterator[bytes]:
    for chunk in np.array_split(positions, -(-len(positions) // 1000)):
        for picture in corpus.pixels(chunk):
            yield hashlib.sha256(picture.tobytes()).digest()
