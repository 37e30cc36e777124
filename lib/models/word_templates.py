"""A baseline that learns nothing: the average drawing of every word, compared pixel by pixel."""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.models.tokenizer import words_of


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
