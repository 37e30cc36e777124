"""Queries of which the kind is known: real ones, strings without meaning, texts off the topic.

The validation sets choose and calibrate; the test sets report. No text is in both.
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lib.core.checks import check_choice
from lib.core.writing import sha256_of
from lib.datasets import pictures
from lib.models.tokenizer import words_of
from lib.search.familiarity import words_in
from lib.studies.familiarity.off_topic import load_off_topic

SPLITS = ("validation", "test")
REAL = ("names", "terms", "names in a sentence")
STRINGS = ("letters", "consonants", "keyboard", "syllables", "hashes", "shuffled names")
OFF_TOPIC = ("sentences", "phrases")
UNKNOWN = ("strings", "off-topic sentences", "off-topic phrases")
N_REAL, N_STRINGS = 500, 100  # of each kind
SEEDS = {"validation": 11, "test": 12}
IN_A_SENTENCE = (
    "a picture of {}",
    "i need an icon that shows {}",
    "show me {} on a white background",
    "the symbol for {} in my app",
)
KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
VOWELS = "aeiou"
CONSONANTS = "".join(c for c in string.ascii_lowercase if c not in VOWELS)


@dataclass(frozen=True)
class QuerySets:
    """Queries of one split, aligned by position.

    Args:
        texts: the queries.
        kinds: an entry of `REAL`, or of `UNKNOWN`, for each.
        details: an entry of `STRINGS`, or the source, or "".
        groups: int64 (n,), the concept of a real query; each other query is its own group.
    """

    texts: tuple[str, ...]
    kinds: np.ndarray
    details: np.ndarray
    groups: np.ndarray

    @property
    def is_real(self) -> np.ndarray:
        """Return bool (n,), true for real queries."""
        return np.isin(self.kinds, REAL)


def order_of(text: str) -> str:
    """Return a key that orders texts at random, the same on every machine."""
    return sha256_of(text.encode())


def captions_of(split: str) -> tuple[dict[str, int], dict[str, int]]:
    """Return the names and the further captions of a split's pictures, each with its concept."""
    corpus = pictures.load_pictures()
    names: dict[str, int] = {}
    terms: dict[str, int] = {}
    for position in corpus.positions(split, pictures.GALLERIES).tolist():
        name, *others = (text.lower() for text in corpus.captions[position])
        group = int(corpus.groups[position])
        names.setdefault(name, group)
        for text in others:
            terms.setdefault(text, group)
    return names, {text: group for text, group in terms.items() if text not in names}


def real_queries(split: str) -> list[tuple[str, str, int]]:
    """Return (text, kind, concept group) of names and further captions of a split's pictures.

    A text of both splits is a query of one of them, chosen by its hash.
    """
    other = SPLITS[1 - SPLITS.index(split)]
    shared = {text for part in captions_of(other) for text in part}
    chosen = []
    for found in captions_of(split):
        own = [
            text
            for text in filter(words_in, found)
            if text not in shared or int(order_of(text)[:8], 16) % 2 == SPLITS.index(split)
        ]
        chosen.append({text: found[text] for text in sorted(own, key=order_of)[:N_REAL]})
    names, terms = chosen
    return [
        *((name, REAL[0], group) for name, group in names.items()),
        *((term, REAL[1], group) for term, group in terms.items()),
        *(
            (IN_A_SENTENCE[i % len(IN_A_SENTENCE)].format(name), REAL[2], group)
            for i, (name, group) in enumerate(names.items())
        ),
    ]


def random_word(kind: str, rng: np.random.Generator) -> str:
    """Make up one word of 4 to 8 characters, or a hexadecimal number of 6 to 10."""
    n = int(rng.integers(4, 9))
    if kind == "keyboard":
        return _keyboard_walk(n, rng)
    if kind == "syllables":
        return "".join(rng.choice(list((CONSONANTS, VOWELS)[i % 2])) for i in range(n))
    alphabets = {
        "letters": string.ascii_lowercase,
        "consonants": CONSONANTS,
        "hashes": string.hexdigits[:16],
    }
    alphabet = alphabets[check_choice(kind, alphabets, "kind")]
    return "".join(rng.choice(list(alphabet), n + 2 * (kind == "hashes")))


def _keyboard_walk(n: int, rng: np.random.Generator) -> str:
    """Press neighbouring keys, at times on another row."""
    row = int(rng.integers(3))
    key, pressed = int(rng.integers(len(KEYBOARD[row]))), ""
    while len(pressed) < n:
        pressed += KEYBOARD[row][key]
        if rng.random() < 0.2:
            row = (row + 1) % 3
        key = (key + int(rng.integers(-2, 3))) % len(KEYBOARD[row])
    return pressed


def random_strings(names: Sequence[str], seed: int) -> list[tuple[str, str]]:
    """Return (text, kind): one to three made-up words each, and names with shuffled letters."""
    rng = np.random.default_rng(seed)
    made = [
        (" ".join(random_word(kind, rng) for _ in range(rng.integers(1, 4))), kind)
        for kind in STRINGS[:-1]
        for _ in range(N_STRINGS)
    ]
    long = [name for name in names if min(map(len, words_of(name))) >= 4][:N_STRINGS]
    shuffled = (
        " ".join("".join(rng.permutation(list(word))) for word in words_of(name)) for name in long
    )
    return made + [(text, STRINGS[-1]) for text in shuffled]


@lru_cache(maxsize=2)
def load_query_sets(split: str) -> QuerySets:
    """Load the queries of `"validation"` or `"test"`; the same on every machine."""
    real = real_queries(check_choice(split, SPLITS, "split"))
    strings = random_strings([text for text, kind, _ in real if kind == "names"], SEEDS[split])
    off_topic = [row for row in load_off_topic() if row["split"] == split]
    texts = [text for text, *_ in real] + [text for text, _ in strings]
    texts += [row["text"] for row in off_topic]
    kinds = [kind for _, kind, _ in real] + [UNKNOWN[0]] * len(strings)
    kinds += [f"off-topic {row['kind']}" for row in off_topic]
    details = [""] * len(real) + [kind for _, kind in strings]
    details += [row["source"] for row in off_topic]
    first_free = max(group for *_, group in real) + 1
    groups = [group for *_, group in real]
    groups += range(first_free, first_free + len(texts) - len(real))
    return QuerySets(tuple(texts), np.array(kinds), np.array(details), np.array(groups))
