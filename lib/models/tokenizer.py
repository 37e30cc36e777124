"""Byte-pair tokenizer: a frequent word becomes one token, a rare or unseen one a few pieces."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from lib.core.checks import RetrievalInputError, check_count

PAD, UNKNOWN = 0, 1
ASCII_WORD = re.compile("[0-9a-z]+")
END = "·"  # marks the last character of a word: "car" differs from the start of "cart"


def words_of(text: str) -> list[str]:
    """Split a text into lower-case words of letters and digits; accents and ligatures are folded.

    `"Red alarm-clock"` -> `["red", "alarm", "clock"]`.
    """
    if text.isascii():  # nothing to fold: the same words, thirty times faster
        return ASCII_WORD.findall(text.lower())
    folded = unicodedata.normalize("NFKD", text).casefold()
    letters = (c for c in folded if not unicodedata.combining(c))
    return "".join(c if c.isalnum() else " " for c in letters).split()


def plain_letters(text: str) -> str:
    """Write styled, full-width and circled letters as plain ones, as `words_of` reads them."""
    return unicodedata.normalize("NFKC", text)


def _characters(word: str) -> tuple[str, ...]:
    return (*word[:-1], word[-1] + END)


def _merge(pieces: tuple[str, ...], left: str, right: str) -> tuple[str, ...]:
    merged, i = [], 0
    while i < len(pieces):
        if i + 1 < len(pieces) and pieces[i] == left and pieces[i + 1] == right:
            merged.append(left + right)
            i += 2
        else:
            merged.append(pieces[i])
            i += 1
    return tuple(merged)


def learn_merges(texts: Iterable[str], n_merges: int) -> list[tuple[str, str]]:
    """Learn byte-pair encoding: repeatedly join the most frequent pair of neighbouring pieces.

    Ties go to the alphabetically first pair: the result depends on the texts alone. Learning stops
    when no pair occurs twice.

    Args:
        texts: training texts.
        n_merges: largest number of pairs to join.

    Returns:
        The pairs in the order in which they were joined.

    Reference: Sennrich, Haddow and Birch 2016, "Neural Machine Translation of Rare Words with
    Subword Units".
    """
    counts = Counter(word for text in texts for word in words_of(text))
    spelled = {word: _characters(word) for word in counts}
    pairs: Counter[tuple[str, str]] = Counter()
    # Words with each pair: only they change when it merges.
    holders: dict[tuple[str, str], set[str]] = {}

    def count(word: str, sign: int) -> None:
        for pair in itertools.pairwise(spelled[word]):
            pairs[pair] += sign * counts[word]
            if sign > 0:
                holders.setdefault(pair, set()).add(word)

    for word in spelled:
        count(word, +1)
    merges: list[tuple[str, str]] = []
    while len(merges) < n_merges and pairs:
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        if pairs[best] < 2:
            break
        merges.append(best)
        for word in holders.pop(best):
            count(word, -1)
            spelled[word] = _merge(spelled[word], *best)
            count(word, +1)
        pairs = +pairs  # drops pairs that no longer occur
    return merges


def words_of_each(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield the words of each text; refuse what is no list of texts with a letter or digit."""
    if isinstance(texts, str):
        raise RetrievalInputError(
            f"texts must be a list, got one string {texts[:60]!r}; pass [text]"
        )
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise RetrievalInputError(f"texts[{i}] must be a string, got {type(text).__name__}")
        words = words_of(text)
        if not words:
            raise RetrievalInputError(
                f"texts[{i}] is {text[:60]!r}: it holds no letter or digit. Type at least one word"
            )
        yield words


def refuse_long_text(texts: Sequence[str], i: int, n_ids: int, context_length: int) -> None:
    """Raise the error of a text that is longer than a model reads."""
    raise RetrievalInputError(
        f"texts[{i}] is too long: {n_ids} pieces, the model reads {context_length}."
        f" Shorten {texts[i][:60]!r}"
    )


def _check_dropout(dropout: float, rng: np.random.Generator | None) -> None:
    if not 0 <= dropout <= 1:
        raise RetrievalInputError(f"dropout must lie between 0 and 1, got {dropout}")
    if dropout and rng is None:
        raise RetrievalInputError("dropout needs rng, a numpy Generator, for a repeatable run")


class Tokenizer:
    """Convert texts to rows of token ids: pieces, then EOT, then padding.

    open_clip's text tower pools at `argmax` of the ids, that is at the largest id in the row. EOT
    therefore *must* be the largest id; here it is `vocab_size - 1` by construction. With another
    choice the tower would silently pool at some word.

    Args:
        alphabet: known single characters; others become the unknown token.
        merges: pairs in the order in which they were learned (`learn_merges`).
        context_length: ids per row, EOT included; at least 2.
    """

    def __init__(
        self, alphabet: Sequence[str], merges: Sequence[tuple[str, str]], context_length: int = 24
    ) -> None:
        if check_count(context_length, "context_length") < 2:
            raise RetrievalInputError(
                "context_length 1 leaves no room for a word before the end mark"
            )
        self.alphabet = list(alphabet)
        self.merges = [tuple(pair) for pair in merges]
        self.context_length = context_length
        pieces = [
            *self.alphabet,
            *(c + END for c in self.alphabet),
            *("".join(pair) for pair in self.merges),
        ]
        self._ids = {piece: i for i, piece in enumerate(dict.fromkeys(pieces), start=UNKNOWN + 1)}
        self.eot = len(self._ids) + UNKNOWN + 1
        self.vocab_size = self.eot + 1
        self._order = {pair: i for i, pair in enumerate(self.merges)}
        self._spelling: dict[str, list[int]] = {}

    @classmethod
    def train(cls, texts: Sequence[str], n_merges: int, context_length: int = 24) -> Tokenizer:
        """Learn alphabet and merges from texts of the training split."""
        alphabet = sorted({c for text in texts for word in words_of(text) for c in word})
        return cls(alphabet, learn_merges(texts, n_merges), context_length)

    def pieces(
        self, word: str, *, dropout: float = 0.0, rng: np.random.Generator | None = None
    ) -> list[str]:
        """Split one word of `words_of` by applying the merges in their order.

        With `dropout`, each merge is skipped with that probability: training then sees rare
        spellings of frequent words (BPE-dropout, Provilkov, Emelianenko and Voita 2020).
        """
        _check_dropout(dropout, rng)
        spelled = _characters(word)
        while len(spelled) > 1:
            known = [self._order[p] for p in itertools.pairwise(spelled) if p in self._order]
            if dropout:
                known = [order for order in known if rng.random() >= dropout]
            if not known:
                break
            spelled = _merge(spelled, *self.merges[min(known)])
        return list(spelled)

    def _word_ids(self, word: str, dropout: float, rng: np.random.Generator | None) -> list[int]:
        if dropout and rng.random() < 0.5:  # half of the words keep their usual spelling
            return [
                self._ids.get(piece, UNKNOWN)
                for piece in self.pieces(word, dropout=dropout, rng=rng)
            ]
        if word not in self._spelling:
            self._spelling[word] = [self._ids.get(piece, UNKNOWN) for piece in self.pieces(word)]
        return self._spelling[word]

    def encode(
        self,
        texts: Sequence[str],
        *,
        dropout: float = 0.0,
        rng: np.random.Generator | None = None,
        cut: bool = False,
    ) -> np.ndarray:
        """Convert each text to a row of token ids.

        Args:
            texts: queries or captions, each with a letter or digit.
            dropout: probability of skipping a merge, for training; needs `rng`. Half of the words,
                chosen at random, keep their usual spelling; a text that would be too long does too.
            rng: random generator for the spellings.
            cut: cut a text that is too long, as published tokenizers do, instead of an error.
                `lengths` tells which texts are too long.

        Returns:
            int64 (n_texts, context_length).
        """
        _check_dropout(dropout, rng)
        rows = np.full((len(texts), self.context_length), PAD, dtype=np.int64)
        for i, words in enumerate(words_of_each(texts)):
            ids = [id_ for word in words for id_ in self._word_ids(word, dropout, rng)]
            if dropout and len(ids) >= self.context_length:
                ids = [id_ for word in words for id_ in self._word_ids(word, 0.0, None)]
            if len(ids) >= self.context_length and not cut:
                refuse_long_text(texts, i, len(ids), self.context_length - 1)
            ids = ids[: self.context_length - 1]
            rows[i, : len(ids)] = ids
            rows[i, len(ids)] = self.eot
        return rows

    def lengths(self, texts: Sequence[str]) -> np.ndarray:
        """Count the ids of each text without a cut, the end mark included; int64 (n_texts,)."""
        lengths = (
            sum(len(self._word_ids(word, 0.0, None)) for word in words)
            for words in words_of_each(texts)
        )
        return np.fromiter(lengths, dtype=np.int64, count=len(texts)) + 1

    def to_dict(self) -> dict:
        """Return plain data for JSON and `from_dict`."""
        return {
            "alphabet": "".join(self.alphabet),
            "merges": [list(pair) for pair in self.merges],
            "context_length": self.context_length,
        }

    @classmethod
    def from_dict(cls, stored: dict) -> Tokenizer:
        """Rebuild a tokenizer; its ids depend on the stored lists alone."""
        return cls(list(stored["alphabet"]), stored["merges"], stored["context_length"])
