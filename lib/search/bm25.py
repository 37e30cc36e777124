"""Search by BM25: rank texts by the words that they share with a query; nothing is learned."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from scipy.sparse import csr_array

from lib.core.checks import RetrievalInputError, check_choice, check_k, check_number
from lib.models.tokenizer import words_of
from lib.search.base import Retriever, Run, Work, best_first

QUERIES_AT_ONCE = 256  # bounds the memory of dense scores


def stems_of(text: str) -> list[str]:
    """Return the words of a text without the plural: stories -> story, clocks -> clock, bus -> bus.

    Reference: D. Harman, How effective is suffixing?, JASIS 42 (1991), the "S" stemmer.
    """
    return [_singular(word) for word in words_of(text)]


def _singular(word: str) -> str:
    if len(word) < 4 or not word.endswith("s"):
        return word
    if word.endswith("ies"):
        return word if word.endswith(("eies", "aies")) else word[:-3] + "y"
    if word.endswith("es"):
        return word if word.endswith(("aes", "ees", "oes")) else word[:-1]
    return word if word.endswith(("us", "ss")) else word[:-1]


def letter_grams_of(text: str, n: int = 3) -> list[str]:
    """Return the runs of n letters of each word with its ends: clock -> <cl, clo, loc, ock, ck>."""
    bounded = [f"<{word}>" for word in words_of(text)]
    return [word[i : i + n] for word in bounded for i in range(max(1, len(word) - n + 1))]


class BM25Retriever(Retriever):
    """Search texts by BM25, the usual lexical baseline. An item is found by its text alone.

        s(q, d) = sum over tokens t of q of  idf(t) tf / (tf + k1 (1 - b + b |d| / mean |d|))
        idf(t) = ln(1 + (N - n_t + 1/2) / (n_t + 1/2))

    tf counts t in d, n_t the texts with t, N all texts. A token that a query holds twice counts
    twice. The formula is Lucene's, without the constant factor k1 + 1 of the original. An item that
    shares no token with the query is not returned: its place is -1.

    Args:
        texts: the text of each item, for example the name of an icon.
        k1: saturation of repeated tokens; 0 counts a token once.
        b: normalisation by length, from 0 (none) to 1.
        tokens_of: splits a text: `words_of`, `stems_of` or `letter_grams_of`.
        labels: a name for each item; its text when None.

    Reference: S. Robertson, H. Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond,
    2009. Variants: C. Kamphuis et al., Which BM25 Do You Mean?, ECIR 2020.
    """

    def __init__(
        self,
        texts: Sequence[str],
        *,
        k1: float = 1.2,
        b: float = 0.75,
        tokens_of: Callable[[str], list[str]] = words_of,
        labels: Sequence[str] | None = None,
    ) -> None:
        _check_texts(texts, "texts")
        if len(texts) == 0:
            raise RetrievalInputError("texts must hold at least one text, got none")
        super().__init__(len(texts), list(texts) if labels is None else labels, ("BM25",))
        k1, b = check_number(k1, "k1", 0), check_number(b, "b", 0, 1)
        self.tokens_of, self.vocabulary = tokens_of, {}
        for text in texts:
            for token in tokens_of(text):
                self.vocabulary.setdefault(token, len(self.vocabulary))
        if not self.vocabulary:
            raise RetrievalInputError("texts must hold a word, got none in any of them")
        counts = self._counts(texts)  # (n_texts, n_tokens)
        lengths = counts.sum(axis=1)  # (n_texts,)
        n_t = np.bincount(counts.indices, minlength=len(self.vocabulary))
        idf = np.log1p((len(texts) - n_t + 0.5) / (n_t + 0.5))  # (n_tokens,)
        saturation = k1 * (1 - b + b * lengths / lengths.mean())  # (n_texts,)
        text_of_entry = np.repeat(np.arange(len(texts)), np.diff(counts.indptr))
        counts.data *= idf[counts.indices] / (counts.data + saturation[text_of_entry])
        self.weights = counts  # (n_texts, n_tokens): the summand of each token in each text

    def _counts(self, texts: Sequence[str]) -> csr_array:
        """Count the known tokens of each text, sparse float64 (n_texts, n_tokens)."""
        known = self.vocabulary
        rows = [Counter(t for t in self.tokens_of(text) if t in known) for text in texts]
        columns = [sorted((known[token], count) for token, count in row.items()) for row in rows]
        indptr = np.cumsum([0, *map(len, columns)])
        cells = np.array([cell for row in columns for cell in row], np.int64).reshape(-1, 2)
        data = cells[:, 1].astype(np.float64), cells[:, 0], indptr
        return csr_array(data, shape=(len(rows), len(known)))

    def encode(self, queries: Sequence[str], modality: str = "text") -> csr_array:
        """Count the known tokens of each query, (n_queries, n_tokens); other tokens are ignored."""
        check_choice(modality, ("text",), "modality")
        _check_texts(queries, "queries")
        return self._counts(queries)

    def search(self, queries: csr_array, k: int) -> Run:
        k = check_k(k, self.n_items)
        every = np.arange(self.n_items)
        found, n_pairs = [], 0
        for start in range(0, queries.shape[0], QUERIES_AT_ONCE):
            scores = (queries[start : start + QUERIES_AT_ONCE] @ self.weights.T).toarray()
            n_pairs += np.count_nonzero(scores)
            found.append(best_first(scores, np.where(scores > 0, every, -1), k))
        empty = np.empty((0, k)), np.empty((0, k), np.int64)
        scores, ids = (np.concatenate(parts) for parts in zip(empty, *found, strict=True))
        return Run.of_one_stage(scores, ids, "BM25", Work("BM25", n_pairs, 0))


def _check_texts(texts: Sequence[str], name: str) -> None:
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise RetrievalInputError(f"{name} must be a list of strings, got {texts!r:.80}")
