"""Concepts: items that share one form a group, and a group lies in one split as a whole."""

import hashlib
import re
from collections.abc import Collection, Hashable, Iterable
from functools import cache

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SPLITS = ("train", "validation", "test")
# The hash of a concept group, in thousandths, chooses its split.
TEST_BELOW, VALIDATION_BELOW = 86, 136
ES_ENDINGS = ("ches", "shes", "sses", "xes", "zes")


def group_by_keys(keys: Iterable[Iterable[Hashable]]) -> np.ndarray:
    """Group items that share a key, directly or through other items.

    Args:
        keys: the keys of each item; an item without a key is a group of its own.

    Returns:
        int64 (n,), the group of each item, numbered by first appearance.
    """
    keys = [tuple(own) for own in keys]
    first: dict[Hashable, int] = {}  # the first item with a key
    edges = [(item, first.setdefault(key, item)) for item, own in enumerate(keys) for key in own]
    a, b = np.array(edges, dtype=int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(a)), (a, b)), shape=(len(keys), len(keys)))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def thousandth_of(key: str) -> int:
    """Compute a number from 0 to 999 by the hash of a key, the same whatever the corpus holds."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8]) % 1000


def split_of(key: str) -> str:
    """Choose the split of a concept group by the thousandth of its key."""
    thousandth = thousandth_of(key)
    if thousandth < TEST_BELOW:
        return "test"
    return "validation" if thousandth < VALIDATION_BELOW else "train"


@cache  # a vocabulary has some thousand words
def singular_of(word: str) -> str:
    """Return an English noun without its regular plural ending: clocks, boxes, berries."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(ES_ENDINGS):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and word[-2] not in "sui":
        return word[:-1]
    return word


def concept_spellings(phrase: str, style_words: Collection[str] = ()) -> set[str]:
    """Return the spellings by which two phrases are recognised as one concept.

    Words are lower-case and singular. They are joined as they stand, so that `light bulb` meets
    `lightbulb`, and in alphabetical order; both again without the style words.

    Args:
        phrase: an English name, words separated by anything but letters and digits.
        style_words: words that say how a concept is drawn, not which it is.

    Returns:
        One to four spellings; phrases with a common one count as the same concept.
    """
    words = re.findall(r"[^\W_]+", phrase.lower().replace("'", ""))
    spellings = set()
    plain = [word for word in words if word not in style_words]
    for chosen in (words, plain) if len(plain) < len(words) else (words,):
        singular = [singular_of(word) for word in chosen]
        spellings |= {"".join(singular), " ".join(sorted(singular))}
    return spellings - {""}
