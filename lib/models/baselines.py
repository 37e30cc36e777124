"""Baselines: features that are not learned, and small models on top of them."""

import math
import zlib
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.core.checks import RetrievalInputError, check_count
from lib.models.tokenizer import words_of

ORIENTATIONS = 8
GRID = 8


def gradient_features(images: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients on an 8 x 8 grid, beside the mean colour of each cell.

    Each pixel votes for the two of eight directions that are nearest to its gradient g, by

        [ |g| cos(angle between them) - |g| cos 45 ]_+

    and a cell's entry is the root of its mean vote, so that one bold edge does not drown the thin
    ones.

    Args:
        images: uint8 (n, height, width), or (n, height, width, channels); sides that 8 divides.

    Returns:
        float32 (n, 64 * (8 + channels)).

    Raises:
        RetrievalInputError: another dtype or number of axes, or sides that 8 does not divide.

    Reference: N. Dalal, B. Triggs, Histograms of Oriented Gradients for Human Detection, CVPR 2005.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise RetrievalInputError(
            "images must be uint8 (n, height, width) or (n, height, width, channels), got"
            f" {images.dtype} {images.shape}"
        )
    if images.shape[1] % GRID or images.shape[2] % GRID:
        raise RetrievalInputError(
            f"images of {images.shape[1:3]} do not divide into {GRID} x {GRID} cells"
        )
    out = [_gradients(images[start : start + 256]) for start in range(0, len(images), 256)]
    channels = 1 if images.ndim == 3 else images.shape[3]
    return (
        np.concatenate(out)
        if out
        else np.empty((0, GRID**2 * (ORIENTATIONS + channels)), np.float32)
    )


def _gradients(images: np.ndarray) -> np.ndarray:
    pixels = torch.from_numpy(np.require(images, requirements=["C", "W"])).float() / 255
    pixels = (
        pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    )  # (n, channels, H, W)
    gray = F.pad(pixels.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across = gray[..., 1:-1, 2:] - gray[..., 1:-1, :-2]
    down = gray[..., 2:, 1:-1] - gray[..., :-2, 1:-1]
    outside = torch.hypot(across, down) * math.cos(2 * math.pi / ORIENTATIONS)
    cells = [F.adaptive_avg_pool2d(pixels, GRID)]
    for k in range(ORIENTATIONS):
        angle = 2 * math.pi * k / ORIENTATIONS
        votes = (across * math.cos(angle) + down * math.sin(angle)).sub_(outside).relu_()
        cells.append(F.adaptive_avg_pool2d(votes, GRID).sqrt())
    return torch.cat(cells, dim=1).flatten(1).numpy()


def hashed_text_features(texts: Sequence[str], dim: int = 2048) -> np.ndarray:
    """Words, pairs of neighbouring words and letter triples of each text, hashed into a fixed
    width.

    Every piece goes to one coordinate with one sign, both decided by its CRC-32, and rows have
    length 1. Letter triples make `clocks` similar to `clock`; pairs tell `left of` from `of left`.

    Args:
        texts: strings.
        dim: coordinates.

    Returns:
        float32 (len(texts), dim), unit rows; zero where a text has no letter or digit.

    Reference: K. Weinberger et al., Feature Hashing for Large Scale Multitask Learning, ICML 2009.
    """
    dim = check_count(dim, "dim")
    _check_texts(texts)
    rows = np.zeros((len(texts), dim), np.float32)
    known: dict[str, list[tuple[int, int]]] = {}
    for row, text in zip(rows, texts, strict=True):
        words = words_of(text)
        for piece in (*words, *(f"{a} {b}" for a, b in zip(words, words[1:], strict=False))):
            if piece not in known:
                known[piece] = [_place(part, dim) for part in _parts(piece)]
            for at, sign in known[piece]:
                row[at] += sign
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def hashed_parts(texts: Sequence[str], dim: int, *, words: int = 8, parts: int = 40) -> np.ndarray:
    """Coordinates of the pieces that `hashed_text_features` counts, for each text and for each of
    its words.

    Args:
        texts: strings.
        dim: coordinates.
        words: most words of a text that get a row of their own; the whole has all of them.
        parts: most pieces of a row; what is longer is cut.

    Returns:
        int64 (len(texts), 1 + words, parts): row 0 the whole text with its pairs of neighbouring
        words, row i its word i; 1 + coordinate, and 0 where there is no piece. Unlike in
        `hashed_text_features` there is no sign: a learnt vector per coordinate has one.

    Raises:
        RetrievalInputError: not a list of strings, or a text without a letter or digit.
    """
    check_count(dim, "dim")
    _check_texts(texts)
    ids = np.zeros((len(texts), 1 + words, parts), np.int64)
    known: dict[str, list[int]] = {}
    for text, (whole, *single) in zip(texts, ids, strict=True):
        found = words_of(text)
        if not found:
            raise RetrievalInputError(f"{text!r} holds no letter or digit. Type at least one word")
        pairs = [f"{a} {b}" for a, b in zip(found, found[1:], strict=False)]
        for piece in (*found, *pairs):
            if piece not in known:
                known[piece] = [1 + _place(part, dim)[0] for part in _parts(piece)]
        every = [at for piece in (*found, *pairs) for at in known[piece]][:parts]
        whole[: len(every)] = every
        for row, word in zip(single, found, strict=False):
            row[: len(known[word][:parts])] = known[word][:parts]
    return ids


def _check_texts(texts: Sequence[str]) -> None:
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise RetrievalInputError("texts must be a list of strings")


def _parts(piece: str) -> list[str]:
    if " " in piece:
        return [piece]
    bounded = f"<{piece}>"
    return [
        piece,
        *(bounded[i : i + 3] for i in range(len(bounded) - 2) if bounded[i : i + 3] != piece),
    ]


def _place(part: str, dim: int) -> tuple[int, int]:
    code = zlib.crc32(part.encode())
    return code % dim, 1 if code >> 31 else -1


class WordTemplates:
    """Bag-of-words baseline without gradients, encoders or word order.

    Each training word gets a template: the mean of the normalised training images whose text holds
    it. A query's embedding is the sum of its words' templates, each weighted by log(n_texts /
    n_texts with it), and scaled to unit length; an image's embedding is the image itself, centred
    and scaled to unit length.

    A query with only unknown words is the zero vector: everything ties, and it is counted like any
    other. It has no cosine, so search with `metric="inner_product"`, which is the cosine for all
    the others.

    Args:
        texts: one per training image.
        images: uint8 (n, height, width) or (n, height, width, channels).
        side: images are averaged down to side x side first, which forgives small shifts.

    Raises:
        RetrievalInputError: no images, another number of texts, or a size that `side` does not
            divide.
    """

    def __init__(self, texts: Sequence[str], images: np.ndarray, side: int = 16) -> None:
        if len(texts) != len(images) or len(texts) == 0:
            raise RetrievalInputError(
                f"need one text per image, at least one: got {len(texts)} texts and {len(images)}"
                " images"
            )
        self.side = side
        pixels = self.encode_image(images)
        rows: dict[str, list[int]] = {}
        for i, text in enumerate(texts):
            for word in dict.fromkeys(words_of(text)):
                rows.setdefault(word, []).append(i)
        self.templates = {
            word: np.log(len(texts) / len(members)) * pixels[members].mean(axis=0)
            for word, members in rows.items()
        }
        self.dim = pixels.shape[1]

    def encode_image(self, images: np.ndarray) -> np.ndarray:
        """Averaged-down, centred pixels, unit rows (0 if blank); float32 (n, side * side *
        channels).
        """
        images = np.asarray(images)
        if images.ndim not in (3, 4):
            raise RetrievalInputError(f"images must have 3 or 4 axes, got shape {images.shape}")
        n, height, width = images.shape[:3]
        if height % self.side or width % self.side:
            raise RetrievalInputError(
                f"images of {height} x {width} do not divide into {self.side} x {self.side}"
            )
        blocks = images.reshape(
            n, self.side, height // self.side, self.side, width // self.side, -1
        )
        flat = blocks.mean(axis=(2, 4), dtype=np.float32).reshape(n, -1)
        flat -= flat.mean(axis=1, keepdims=True)
        return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        """Weighted sum of word templates, scaled to length 1; float32 (n, dim), 0 where no word is
        known.
        """
        out = np.zeros((len(texts), self.dim), dtype=np.float32)
        for i, text in enumerate(texts):
            # In the order of the text: the order of a set, and so the last bit of a sum, changes by
            # run.
            for word in dict.fromkeys(words_of(text)):
                if word in self.templates:
                    out[i] += self.templates[word]
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)


class Heads(nn.Module):
    """One two-layer head per modality, from features that stay as they are into one space.

    It has the interface of the dual encoders trained here, so that whatever trains those trains
    this.

    Args:
        images: (n, image_dim) features of training images; mean and spread of each coordinate are
            taken from them, once.
        text_dim: of the text features.
        dim: of the space.
        width: of the hidden layers.
        dropout: on the features and the hidden layer of images, in training.
    """

    def __init__(
        self,
        images: Tensor,
        text_dim: int,
        *,
        dim: int = 128,
        width: int = 256,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", images.mean(dim=0))
        self.register_buffer("spread", images.std(dim=0).clamp(min=1e-3))
        self.image = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(images.shape[1], width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(width, dim),
        )
        self.text = nn.Sequential(nn.Linear(text_dim, width), nn.GELU(), nn.Linear(width, dim))
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.logit_bias = nn.Parameter(torch.tensor(0.0))

    def encode_image(self, features: Tensor) -> Tensor:
        """(n, image_dim) to (n, dim), not normalised."""
        return self.image((features - self.mean) / self.spread)

    def encode_text(self, features: Tensor) -> Tensor:
        """(n, text_dim) to (n, dim), not normalised."""
        return self.text(features)


WORDS = 8  # of a text that get a vector of their own


class FeatureTokens(nn.Module):
    """Two layers per modality, from features that stay as they are to several unit vectors an item.

        image   slot_k = normalise(W_k dropout(gelu(A x))),           x its gradient features, k =
        1..patches
        text    word_w = normalise(B gelu(sum of the vectors of its letter triples / root of their
        number))

    The first text vector is that of the whole text, with pairs of neighbouring words, through a
    last layer of its own. Nothing is shared with the dual encoders trained here, so its mistakes
    are other ones: that is what a second stage needs.

    Args:
        config: with `interaction`: `features` of an image and the coordinates `hashed` of
            `hashed_parts`, `patches` (slots of an image), `width` of the hidden layers (`hidden`
            where a cross-encoder has a `width` of its own), `dim` and `dropout`.

    Relations: with one slot and the whole text alone it is `Heads`.
    """

    def __init__(self, config: dict) -> None:
        super().__init__()
        made = config["interaction"]
        width, self.dim, self.hashed = (
            made.get("hidden", made["width"]),
            made["dim"],
            made["hashed"],
        )
        self.words = WORDS
        self.register_buffer("mean", torch.zeros(made["features"]))
        self.register_buffer("spread", torch.ones(made["features"]))
        dropout = nn.Dropout(made["dropout"])
        self.image = nn.Sequential(dropout, nn.Linear(made["features"], width), nn.GELU(), dropout)
        self.slots = nn.Linear(width, made["patches"] * self.dim)
        self.part_embedding = nn.Embedding(1 + self.hashed, width, padding_idx=0)
        nn.init.normal_(self.part_embedding.weight[1:], std=0.05)
        self.part_bias = nn.Parameter(torch.zeros(width))
        self.whole, self.word = nn.Linear(width, self.dim), nn.Linear(width, self.dim)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def images_in(self, images: np.ndarray) -> Tensor:
        """What `encode_image` reads: (n, features)."""
        return torch.from_numpy(gradient_features(images))

    def texts_in(self, texts: Sequence[str]) -> np.ndarray:
        """What `encode_text` reads: see `hashed_parts`."""
        return hashed_parts(texts, self.hashed, words=self.words)

    def fit_scale(self, features: Tensor) -> None:
        """Takes mean and spread of each coordinate from the features (n, features) of training
        images.
        """
        self.mean.copy_(features.mean(dim=0))
        self.spread.copy_(features.std(dim=0).clamp(min=1e-3))

    def encode_image(self, features: Tensor) -> Tensor:
        """(n, features) to (n, patches, dim) unit vectors."""
        slots = self.slots(self.image((features - self.mean) / self.spread))
        return F.normalize(slots.float().unflatten(1, (-1, self.dim)), dim=-1)

    def encode_text(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """(n, rows, parts) to (n, rows, dim) unit vectors, and (n, rows) which rows hold a word."""
        number = (ids > 0).sum(dim=2, keepdim=True).clamp(min=1)
        hidden = F.gelu(self.part_embedding(ids).sum(dim=2) / number.sqrt() + self.part_bias)
        vectors = torch.cat([self.whole(hidden[:, :1]), self.word(hidden[:, 1:])], dim=1)
        return F.normalize(vectors.float(), dim=-1), ids[:, :, 0] > 0
