"""Baselines: features that are not learned, and small models on top of them."""

import math
import zlib
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lib.core.checks import RetrievalInputError, check_count
from lib.models.gradients import StandardizedInput, gradient_features
from lib.models.tokenizer import words_of

WORDS = 8  # words of a text with a token vector of their own


# ---- features that are not learned


def hashed_text_features(texts: Sequence[str], dim: int = 2048) -> np.ndarray:
    """Hash words, pairs of neighbouring words and letter triples of each text into `dim` numbers.

    Every piece goes to one coordinate with one sign, both decided by its CRC-32. Letter triples
    make `clocks` similar to `clock`; pairs distinguish `left of` from `of left`.

    Args:
        texts: a list of strings.
        dim: number of coordinates.

    Returns:
        float32 (len(texts), dim), unit rows; zero where a text has no letter or digit.

    Reference: K. Weinberger et al., Feature Hashing for Large Scale Multitask Learning, ICML 2009.
    """
    dim = check_count(dim, "dim")
    _check_texts(texts)
    rows = np.zeros((len(texts), dim), np.float32)
    places: dict[str, list[tuple[int, int]]] = {}
    for row, text in zip(rows, texts, strict=True):
        words = words_of(text)
        for piece in (*words, *_word_pairs(words)):
            if piece not in places:
                places[piece] = [_hash_place(part, dim) for part in _parts(piece)]
            for coordinate, sign in places[piece]:
                row[coordinate] += sign
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def hashed_parts(texts: Sequence[str], dim: int, *, words: int = 8, parts: int = 40) -> np.ndarray:
    """Find the coordinates of `hashed_text_features` for each text and for each of its words.

    Args:
        texts: a list of strings, each with a letter or digit.
        dim: number of coordinates.
        words: largest number of words with a row of their own; the row of the text has all words.
        parts: largest number of pieces in a row; more are cut.

    Returns:
        int64 (len(texts), 1 + words, parts). Row 0 is the whole text with its pairs of neighbouring
        words, row i its word i. Entries are 1 + coordinate, and 0 where there is no piece. There is
        no sign: a learned vector per coordinate has one.
    """
    check_count(dim, "dim")
    _check_texts(texts)
    ids = np.zeros((len(texts), 1 + words, parts), np.int64)
    places: dict[str, list[int]] = {}
    for text, (whole, *single) in zip(texts, ids, strict=True):
        pieces = words_of(text)
        if not pieces:
            raise RetrievalInputError(f"{text!r} holds no letter or digit. Type at least one word")
        all_pieces = [*pieces, *_word_pairs(pieces)]
        for piece in all_pieces:
            if piece not in places:
                places[piece] = [1 + _hash_place(part, dim)[0] for part in _parts(piece)]
        coordinates = [place for piece in all_pieces for place in places[piece]][:parts]
        whole[: len(coordinates)] = coordinates
        for row, word in zip(single, pieces, strict=False):
            coordinates = places[word][:parts]
            row[: len(coordinates)] = coordinates
    return ids


def _check_texts(texts: Sequence[str]) -> None:
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise RetrievalInputError("texts must be a list of strings")


def _word_pairs(words: list[str]) -> list[str]:
    return [f"{a} {b}" for a, b in zip(words, words[1:], strict=False)]


def _parts(piece: str) -> list[str]:
    """List a word and its letter triples, or a pair of words alone."""
    if " " in piece:
        return [piece]
    bounded = f"<{piece}>"
    triples = (bounded[i : i + 3] for i in range(len(bounded) - 2))
    return [piece, *(triple for triple in triples if triple != piece)]


def _hash_place(part: str, dim: int) -> tuple[int, int]:
    """Return the coordinate and the sign of a piece."""
    code = zlib.crc32(part.encode())
    return code % dim, 1 if code >> 31 else -1


# ---- models on these features


class WordTemplates:
    """Match words and images without gradients, encoders or word order.

    An image's embedding is the image itself, without its own brightness and contrast and without
    the mean of all training images, scaled to unit length. The template of a training word is the
    mean embedding of the training images with that word in their text. A query's embedding is the
    sum of its words' templates, each weighted by log(n_texts / n_texts with the word), and scaled
    to unit length. Without the mean taken off, all templates resemble the mean image, and the few
    images near it are found for every text.

    A query of unknown words is the zero vector, and all its scores tie. It has no cosine: search
    with `metric="inner_product"`, which is the cosine for all others.

    Args:
        texts: one text per training image.
        images: uint8 (n, height, width) or (n, height, width, channels).
        side: images are averaged to side x side first, which tolerates small shifts.
    """

    def __init__(self, texts: Sequence[str], images: np.ndarray, side: int = 16) -> None:
        if len(texts) != len(images) or len(texts) == 0:
            raise RetrievalInputError(
                f"need one text per image, at least one: got {len(texts)} texts and {len(images)}"
                " images"
            )
        self.side, self.mean = side, 0.0
        averaged = self._averaged(images)
        self.mean = self._centred(averaged).mean(axis=0)  # (dim,)
        pixels = self._centred(averaged)
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
        """Average and centre pixels: float32 (n, side * side * channels), unit rows, 0 if blank.

        The mean of the training images is taken off.
        """
        return self._centred(self._averaged(images))

    def _averaged(self, images: np.ndarray) -> np.ndarray:
        """Average blocks of pixels, without brightness and contrast: float32 (n, dim)."""
        images = np.asarray(images)
        if images.ndim not in (3, 4):
            raise RetrievalInputError(f"images must have 3 or 4 axes, got shape {images.shape}")
        n, height, width = images.shape[:3]
        if height % self.side or width % self.side:
            raise RetrievalInputError(
                f"images of {height} x {width} do not divide into {self.side} x {self.side}"
            )
        high, wide = height // self.side, width // self.side
        # Rows first, whole lines of memory at a time; sums of bytes are exact.
        rows = images.reshape(n, self.side, high, -1).sum(axis=2, dtype=np.float32)
        blocks = rows.reshape(n, self.side, self.side, wide, -1).sum(axis=3)
        flat = (blocks / np.float32(high * wide)).reshape(n, -1)
        return _unit(flat - flat.mean(axis=1, keepdims=True))

    def _centred(self, flat: np.ndarray) -> np.ndarray:
        return _unit(np.where(flat.any(axis=1, keepdims=True), flat - self.mean, flat))

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        """Sum word templates: float32 (n, dim), unit rows, 0 where no word is known."""
        out = np.zeros((len(texts), self.dim), dtype=np.float32)
        for i, text in enumerate(texts):
            # In the order of the text: with the order of a set, the last bit would change by run.
            for word in dict.fromkeys(words_of(text)):
                if word in self.templates:
                    out[i] += self.templates[word]
        return _unit(out)


def _unit(rows: np.ndarray) -> np.ndarray:
    """Scale rows to unit length; rows of zeros stay."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


class Heads(StandardizedInput):
    """Map frozen features of each modality into one space, by two layers each.

    It trains in seconds, to compare losses, and has the interface of the dual encoders trained
    here.

    Args:
        images: (n, image_dim) features of training images, for the mean and spread of each
            coordinate.
        text_dim: dimension of the text features.
        dim: dimension of the space.
        width: width of the hidden layers.
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
        super().__init__(images.shape[1])
        self.fit_scale(images)
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
        """Map (n, image_dim) to (n, dim), not normalised."""
        return self.image(self.standardize(features))

    def encode_text(self, features: Tensor) -> Tensor:
        """Map (n, text_dim) to (n, dim), not normalised."""
        return self.text(features)


class FeatureTokens(StandardizedInput):
    """Map frozen features of an item to several unit vectors, by two layers per modality.

        image   slot_k = normalise(W_k dropout(gelu(A x))),  x its gradient features
        text    word_w = normalise(B gelu(sum of the vectors of its letter triples / sqrt(number)))

    The first text vector is that of the whole text, with pairs of neighbouring words, through its
    own last layer. Nothing is shared with the dual encoders trained here. Its mistakes are
    therefore different, which helps a second stage. With one slot and the whole text alone it is
    `Heads`.

    Args:
        config: with `interaction`: `features` of an image, the coordinates `hashed` of
            `hashed_parts`, `patches` (slots of an image), `width` of the hidden layers (`hidden`
            where a cross-encoder has its own `width`), `dim` and `dropout`.
    """

    def __init__(self, config: dict) -> None:
        interaction = config["interaction"]
        super().__init__(interaction["features"])
        width = interaction.get("hidden", interaction["width"])
        self.dim, self.hashed, self.words = interaction["dim"], interaction["hashed"], WORDS
        dropout = nn.Dropout(interaction["dropout"])
        self.image = nn.Sequential(
            dropout, nn.Linear(interaction["features"], width), nn.GELU(), dropout
        )
        self.slots = nn.Linear(width, interaction["patches"] * self.dim)
        self.part_embedding = nn.Embedding(1 + self.hashed, width, padding_idx=0)
        nn.init.normal_(self.part_embedding.weight[1:], std=0.05)
        self.part_bias = nn.Parameter(torch.zeros(width))
        self.whole, self.word = nn.Linear(width, self.dim), nn.Linear(width, self.dim)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def images_in(self, images: np.ndarray) -> Tensor:
        """Convert images to the input of `encode_image`: (n, features)."""
        return torch.from_numpy(gradient_features(images))

    def texts_in(self, texts: Sequence[str]) -> np.ndarray:
        """Convert texts to the input of `encode_text`: see `hashed_parts`."""
        return hashed_parts(texts, self.hashed, words=self.words)

    def encode_image(self, features: Tensor) -> Tensor:
        """Map (n, features) to (n, patches, dim) unit vectors."""
        slots = self.slots(self.image(self.standardize(features)))
        return F.normalize(slots.float().unflatten(1, (-1, self.dim)), dim=-1)

    def encode_text(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Map (n, rows, parts) to (n, rows, dim) unit vectors, and (n, rows) rows with a word."""
        number = (ids > 0).sum(dim=2, keepdim=True).clamp(min=1)
        hidden = F.gelu(self.part_embedding(ids).sum(dim=2) / number.sqrt() + self.part_bias)
        vectors = torch.cat([self.whole(hidden[:, :1]), self.word(hidden[:, 1:])], dim=1)
        return F.normalize(vectors.float(), dim=-1), ids[:, :, 0] > 0
