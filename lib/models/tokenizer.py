"""A small byte-pair tokenizer: words that are frequent become one token, rare and unseen ones a few pieces."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from lib.checks import RetrievalInputError

PAD, UNKNOWN = 0, 1
END = "·"  # marks the last character of a word, so that "car" and the start of "cart" are different pieces


def words_of(text: str) -> list[str]:
    """Lower-case words of a text, accents and compatibility forms folded, split at anything but letters and digits.

    `"Red alarm-clock"` -> `["red", "alarm", "clock"]`.
    """
    folded = unicodedata.normalize("NFKD", text).casefold()
    kept = "".join(c if c.isalnum() else " " for c in folded if not unicodedata.combining(c))
    return kept.split()


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
    """Byte-pair encoding: repeatedly joins the most frequent pair of neighbouring pieces.

    Ties go to the alphabetically first pair, so the result depends on the texts alone. Stops early when no pair
    occurs twice.

    Reference: Sennrich, Haddow and Birch 2016, "Neural Machine Translation of Rare Words with Subword Units".
    """
    counts = Counter(word for text in texts for word in words_of(text))
    spelled = {word: _characters(word) for word in counts}
    merges: list[tuple[str, str]] = []
    while len(merges) < n_merges:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, pieces in spelled.items():
            for pair in zip(pieces, pieces[1:], strict=False):
                pairs[pair] += counts[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        if pairs[best] < 2:
            break
        merges.append(best)
        joined = "".join(best)
        for word, pieces in spelled.items():
            if joined in word + END:
                spelled[word] = _merge(pieces, *best)
    return merges


class Tokenizer:
    """Texts to rows of token ids: pieces, then EOT, then padding.

    open_clip's text tower pools at `argmax` of the ids, that is at the largest id in the row. EOT therefore *must*
    be the largest id; here it is `vocab_size - 1` by construction. With any other choice the tower would silently
    pool at some word.

    Args:
        alphabet: single characters the tokenizer can spell with; others become the unknown token.
        merges: pairs in the order they were learnt (`learn_merges`).
        context_length: ids per row, EOT included.

    Relations: `Tokenizer.train` learns both from texts; `to_dict` / `from_dict` store them in a model card.
    """

    def __init__(self, alphabet: Sequence[str], merges: Sequence[tuple[str, str]], context_length: int = 24) -> None:
        self.alphabet = list(alphabet)
        self.merges = [tuple(pair) for pair in merges]
        self.context_length = context_length
        pieces = [*self.alphabet, *(c + END for c in self.alphabet), *("".join(pair) for pair in self.merges)]
        self._ids = {piece: i for i, piece in enumerate(dict.fromkeys(pieces), start=UNKNOWN + 1)}
        self.eot = len(self._ids) + UNKNOWN + 1
        self.vocab_size = self.eot + 1
        self._order = {pair: i for i, pair in enumerate(self.merges)}
        self._spelling: dict[str, list[int]] = {}

    @classmethod
    def train(cls, texts: Sequence[str], n_merges: int, context_length: int = 24) -> Tokenizer:
        """Learns the alphabet and the merges from texts (the training split, never the test names)."""
        alphabet = sorted({c for text in texts for word in words_of(text) for c in word})
        return cls(alphabet, learn_merges(texts, n_merges), context_length)

    def pieces(self, word: str, *, dropout: float = 0.0, rng: np.random.Generator | None = None) -> list[str]:
        """Splits one word by applying merges in the order they were learnt.

        With `dropout`, each merge is skipped with that probability, so that training sees rare spellings of
        frequent words (BPE-dropout, Provilkov, Emelianenko and Voita 2020).
        """
        spelled = _characters(word)
        while len(spelled) > 1:
            known = [self._order[p] for p in zip(spelled, spelled[1:], strict=False) if p in self._order]
            if dropout:
                known = [order for order in known if rng.random() >= dropout]
            if not known:
                break
            spelled = _merge(spelled, *self.merges[min(known)])
        return list(spelled)

    def _word_ids(self, word: str, dropout: float, rng: np.random.Generator | None) -> list[int]:
        if dropout and rng.random() < 0.5:  # half of the words keep their usual spelling
            return [self._ids.get(piece, UNKNOWN) for piece in self.pieces(word, dropout=dropout, rng=rng)]
        if word not in self._spelling:
            self._spelling[word] = [self._ids.get(piece, UNKNOWN) for piece in self.pieces(word)]
        return self._spelling[word]

    def encode(
        self, texts: Sequence[str], *, dropout: float = 0.0, rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """Token ids of each text.

        Args:
            texts: the queries or captions.
            dropout: probability of skipping a merge, for training; needs `rng`. A spelling that would not fit
                the row is replaced by the usual one.

        Returns:
            int64 (n_texts, context_length).

        Raises:
            RetrievalInputError: one string instead of a list; an entry that is not a string or holds no letter
                or digit; more pieces than fit. Nothing is truncated.
        """
        if isinstance(texts, str):
            raise RetrievalInputError(f"texts must be a list of strings, got one string {texts!r}; pass [text]")
        if dropout and rng is None:
            raise RetrievalInputError("dropout needs rng, a numpy Generator, so that the run can be repeated")
        rows = np.full((len(texts), self.context_length), PAD, dtype=np.int64)
        for i, text in enumerate(texts):
            if not isinstance(text, str):
                raise RetrievalInputError(f"texts[{i}] must be a string, got {type(text).__name__}")
            words = words_of(text)
            if not words:
                raise RetrievalInputError(f"texts[{i}] is {text!r}: it holds no letter or digit. Type at least one word")
            ids = [id_ for word in words for id_ in self._word_ids(word, dropout, rng)]
            if dropout and len(ids) >= self.context_length:
                ids = [id_ for word in words for id_ in self._word_ids(word, 0.0, None)]
            if len(ids) >= self.context_length:
                raise RetrievalInputError(
                    f"texts[{i}] needs {len(ids)} pieces and the end mark, the model reads {self.context_length}: "
                    f"{text[:60]!r}. Shorten it"
                )
            rows[i, : len(ids)] = ids
            rows[i, len(ids)] = self.eot
        return rows

    def to_dict(self) -> dict:
        """What `from_dict` needs, ready for JSON."""
        return {
            "alphabet": "".join(self.alphabet),
            "merges": [list(pair) for pair in self.merges],
            "context_length": self.context_length,
        }

    @classmethod
    def from_dict(cls, stored: dict) -> Tokenizer:
        """Rebuilds a tokenizer; ids are a function of the stored lists alone."""
        return cls(list(stored["alphabet"]), stored["merges"], stored["context_length"])
