"""Tell queries that a model knows from queries that are far from everything, with numpy alone.

A cosine says which picture is nearest, not whether anything is near. Two numbers of the frozen text
tower say more: the part of the query's sentence vector that lies in the directions of captions, and
the pieces per word, because a word that the tower never met falls into many. A logistic function of
both is the familiarity, between 0 and 1. `crossmodal bench familiarity` fits it on validation
queries and compares it with other scores; the results are `data/artifacts/familiarity`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, unit_rows
from lib.core.paths import artifacts_dir
from lib.core.reading import DamagedFileError, load_arrays
from lib.core.writing import save_arrays
from lib.models.numpy_text import NumpyTextEncoder
from lib.models.tokenizer import words_of

NAME = "familiarity"
SCALE_FILE = "scale.npz"
REBUILD = "Restore it with git, or run: crossmodal bench familiarity"
N_MARKS = 2  # pieces that the tokenizer adds to each text
# Words end at spaces, ASCII punctuation, and the punctuation of other scripts.
WORD = re.compile(r"[^\s!-/:-@\[-`{-~\u00a1\u00ab\u00bb\u00bf\u2010-\u2027\u3001-\u3002]+")


@dataclass(frozen=True)
class FamiliarityScale:
    """The calibrated numbers.

    Args:
        directions: float32 (width, n), the first right singular vectors of sentence vectors of
            training captions.
        weights: of the part inside the directions, of the pieces per word, and the constant.
        least: a query with less is unknown.
        least_word: a word alone with less is unknown.
        exceed: the share of real validation queries whose familiarity is at least `least`.
        words: words of training captions that the tokenizer splits; they are known.
        sha256: of the weights of the text tower.
    """

    directions: np.ndarray
    weights: tuple[float, float, float]
    least: float
    least_word: float
    exceed: float
    words: frozenset[str]
    sha256: str

    def save(self, folder: Path | None = None) -> None:
        """Write the scale, sealed."""
        save_arrays(
            (folder or artifacts_dir() / NAME) / SCALE_FILE,
            compressed=True,
            directions=self.directions.astype(np.float16),
            numbers=np.array([*self.weights, self.least, self.least_word, self.exceed]),
            words=np.array(sorted(self.words)),
            sha256=np.array(self.sha256),
        )


@lru_cache(maxsize=4)
def load_scale(folder: Path | None = None) -> FamiliarityScale:
    """Load the committed scale after checking its checksum."""
    path = (folder or artifacts_dir() / NAME) / SCALE_FILE
    arrays = load_arrays(path, rebuild=REBUILD)
    names = {"directions", "numbers", "words", "sha256"}
    if set(arrays) != names or arrays["numbers"].shape != (6,) or arrays["directions"].ndim != 2:
        shapes = {name: array.shape for name, array in arrays.items()}
        raise DamagedFileError(f"{path} must hold a familiarity scale, got {shapes}. {REBUILD}")
    *weights, least, least_word, exceed = arrays["numbers"].tolist()
    return FamiliarityScale(
        directions=arrays["directions"].astype(np.float32),
        weights=tuple(weights),
        least=least,
        least_word=least_word,
        exceed=exceed,
        words=frozenset(arrays["words"].tolist()),
        sha256=str(arrays["sha256"]),
    )


@dataclass(frozen=True)
class Familiarity:
    """The judgement of one query.

    Args:
        query: the text.
        score: familiarity, 0 to 1.
        least: the least of a known query.
        exceed: the share of real validation queries that reach it.
        unknown_words: words of the query that the text tower does not know.
    """

    query: str
    score: float
    least: float
    exceed: float
    unknown_words: tuple[str, ...]

    @property
    def is_unknown(self) -> bool:
        """Return whether the query is far from the captions of all pictures."""
        return self.score < self.least

    @property
    def sentences(self) -> list[str]:
        """Return what to tell the user; nothing for a known query of known words."""
        told = []
        if self.is_unknown:
            told.append(
                f'Perhaps no picture is close to "{_short(" ".join(self.query.split()))}": its'
                f" familiarity is {self.score:.2f}; {self.exceed:.0%} of the validation queries"
                f" reach {self.least:.2f}."
            )
        if self.unknown_words:
            plural = "s" if len(self.unknown_words) > 1 else ""
            told.append(f"Unknown word{plural}: {', '.join(map(_short, self.unknown_words))}.")
        return told


def _short(text: str, most: int = 100) -> str:
    """Cut a long text, so that what is said about it can be read."""
    return text if len(text) <= most else text[: most - 3] + "..."


def words_in(text: str) -> list[str]:
    """Split a text into words as they are written, each with a letter or digit."""
    return [word for word in WORD.findall(text) if words_of(word)]


def sentence_vectors(encoder: NumpyTextEncoder, texts: Sequence[str]) -> np.ndarray:
    """Compute the mean of the text tower's last states, float32 (n, width), rows of length 1.

    The end of a text that is longer than the model reads is left out.
    """
    ids = encoder.tokenizer.encode(texts, cut=True)
    lengths = np.count_nonzero(ids != encoder.tower.config["pad_token_id"], axis=1)
    pieces = [row[:n] for row, n in zip(ids, lengths.tolist(), strict=True)]
    means = [states.mean(axis=0) for _, states in encoder.states(pieces)]
    width = encoder.tower.config["hidden_size"]
    return unit_rows(np.array(means, np.float32), "texts") if means else np.empty((0, width))


def part_inside(vectors: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Compute the length of the projection of unit vectors on orthonormal directions.

        sqrt(sum_j <v, u_j>^2), between 0 and 1

    Args:
        vectors: (n, width), rows of length 1.
        directions: (width, n_directions), orthonormal columns.

    Returns:
        (n,).
    """
    return np.sqrt(((vectors @ directions) ** 2).sum(axis=1))


def pieces_per_word(encoder: NumpyTextEncoder, texts: Sequence[str]) -> np.ndarray:
    """Compute the mean number of pieces of the words of each text, float64 (n,)."""
    return np.array([(encoder.tokenizer.lengths(words_in(t)) - N_MARKS).mean() for t in texts])


def familiarity_scores(
    texts: Sequence[str], encoder: NumpyTextEncoder, scale: FamiliarityScale
) -> np.ndarray:
    """Compute the familiarity of texts, without the names of unknown words, float64 (n,)."""
    vectors = sentence_vectors(encoder, texts)  # refuses a text without letter or digit
    inside = part_inside(vectors, scale.directions).astype(np.float64)
    pieces = pieces_per_word(encoder, texts)
    return logistic(np.column_stack([inside, pieces]), scale.weights)


def logistic(features: np.ndarray, weights: Sequence[float]) -> np.ndarray:
    """Compute 1 / (1 + exp(-(X w + b))); the last weight is b."""
    total = features @ np.asarray(weights[:-1]) + weights[-1]
    return 1 / (1 + np.exp(-np.clip(total, -50, 50)))


def measure_familiarity(
    queries: Sequence[str], encoder: NumpyTextEncoder, scale: FamiliarityScale | None = None
) -> list[Familiarity]:
    """Judge queries: familiar or not, and their unknown words.

    A word is unknown if the tokenizer splits it, no training caption has it, and it is unfamiliar
    as a query of its own.

    Args:
        queries: texts, each with a letter or digit.
        encoder: from `lib.models.numpy_text.load_text_encoder`.
        scale: the calibrated numbers; those of `data/artifacts/familiarity` by default.
    """
    scale = load_scale() if scale is None else scale
    if encoder.tower.sha256["model.safetensors"] != scale.sha256:
        raise RetrievalInputError(
            f"encoder must have the text tower that the scale was fitted on, got"
            f" {encoder.tower.name} of another SHA-256. Run: crossmodal bench familiarity"
        )
    scores = familiarity_scores(queries, encoder, scale)
    return [
        Familiarity(
            query, score, scale.least, scale.exceed, unknown_words_of(query, encoder, scale)
        )
        for query, score in zip(queries, scores.tolist(), strict=True)
    ]


def unknown_words_of(
    query: str, encoder: NumpyTextEncoder, scale: FamiliarityScale
) -> tuple[str, ...]:
    """Return the unknown words of a query, in order, each once; see `measure_familiarity`."""
    words = split_words(query, encoder, scale.words)
    scores = familiarity_scores(words, encoder, scale) if words else []
    return tuple(w for w, score in zip(words, scores, strict=True) if score < scale.least_word)


def split_words(query: str, encoder: NumpyTextEncoder, known: frozenset[str]) -> list[str]:
    """Return the words that the tokenizer splits and that are not among the known ones."""
    words = [w for w in dict.fromkeys(words_in(query)) if not known.issuperset(words_of(w))]
    if not words:
        return []
    pieces = encoder.tokenizer.lengths(words) - N_MARKS
    return [word for word, n in zip(words, pieces.tolist(), strict=True) if n > 1]
