"""Tokenizer of a published text tower: its own pieces, from its own `tokenizer.json`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import tokenizers

from lib.core.checks import RetrievalInputError, check_count, is_unicode
from lib.models.published_weights import VOCABULARY, published_tower
from lib.models.tokenizer import refuse_long_text, words_of_each


class PublishedTokenizer:
    """Convert texts to rows of token ids of a published tower, with its marks and its padding.

    The vocabulary is read with the first text; until then its file need not be on this machine.

    Args:
        published: name of the tower (`lib.models.published_weights`).
        context_length: ids per row, marks included.
    """

    def __init__(self, published: str, context_length: int) -> None:
        self.tower = published_tower(published)
        longest = self.tower.config["max_position_embeddings"]
        self.context_length = check_count(context_length, "context_length", least=3, most=longest)
        self.vocab_size = self.tower.config["vocab_size"]

    @cached_property
    def _vocabulary(self) -> tokenizers.Tokenizer:
        vocabulary = tokenizers.Tokenizer.from_file(str(self.tower.file(VOCABULARY)))
        vocabulary.no_padding()
        vocabulary.no_truncation()
        vocabulary.encode_special_tokens = True  # "[SEP]" inside a text stays text
        return vocabulary

    def _ids_of_each(self, texts: Sequence[str]) -> list[list[int]]:
        for i, _ in enumerate(words_of_each(texts)):
            if not is_unicode(texts[i]):
                raise RetrievalInputError(
                    f"texts[{i}] must be Unicode text, got {texts[i][:60]!r} with half of a"
                    " surrogate pair. Remove that character"
                )
        return [self._vocabulary.encode(text).ids for text in texts]

    def encode(self, texts: Sequence[str], *, cut: bool = False) -> np.ndarray:
        """Convert each text to a row of token ids.

        Args:
            texts: queries or captions, each with a letter or digit.
            cut: cut a text that is too long, before its end mark, instead of an error.

        Returns:
            int64 (n_texts, context_length).
        """
        shape = len(texts), self.context_length
        rows = np.full(shape, self.tower.config["pad_token_id"], dtype=np.int64)
        for i, ids in enumerate(self._ids_of_each(texts)):
            if len(ids) > self.context_length:
                if not cut:
                    refuse_long_text(texts, i, len(ids), self.context_length)
                ids = [*ids[: self.context_length - 1], ids[-1]]
            rows[i, : len(ids)] = ids
        return rows

    def lengths(self, texts: Sequence[str]) -> np.ndarray:
        """Count the ids of each text without a cut, marks included; int64 (n_texts,)."""
        return np.array([len(ids) for ids in self._ids_of_each(texts)], dtype=np.int64)

    def to_dict(self) -> dict:
        """Return plain data for JSON; `PublishedTokenizer(**stored)` is the inverse."""
        return {"published": self.tower.name, "context_length": self.context_length}
