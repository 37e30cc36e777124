"""Pictures that each have a text, where both together are a query or a document."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Self

from PIL import Image

from lib.core.checks import RetrievalInputError
from lib.core.task import entries_at


class PicturesWithTexts(Sequence):
    """Pictures with texts: `[i]` is `(picture, text)`; a picture is decoded on access.

    Args:
        pictures: files, or pictures inside a table.
        texts: one of each picture.
    """

    kind = "pictures with texts"

    def __init__(self, pictures: Sequence, texts: Sequence[str]) -> None:
        if len(pictures) != len(texts):
            raise RetrievalInputError(
                f"each picture needs one text, got {len(pictures)} and {len(texts)}"
            )
        self.pictures, self.texts = pictures, tuple(texts)

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, position) -> tuple[Image.Image, str] | Self:
        if isinstance(position, slice):
            return self.take(range(len(self))[position])
        return self.pictures[position], self.texts[position]

    def take(self, positions) -> Self:
        """Return some of the pairs, in the order given; no picture is read."""
        texts = [self.texts[position] for position in positions]
        return type(self)(entries_at(self.pictures, positions), texts)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the texts and of all that makes the pictures."""
        facts = [self.pictures.fingerprint(), self.texts]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
