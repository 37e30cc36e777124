"""Texts to ask a collection with while its index is tuned: captions, or words of file names."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from lib.index.tuning.choice import LEAST_QUERIES
from lib.search.collection.collection import Collection

MOST_TEXTS = 2_000
LEAST_LETTERS = 3  # of a word in Latin letters
_BORDERS = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W\d_]+")
# Words that cameras and programs write.
NO_WORDS = {"copy", "dsc", "dscf", "dscn", "file", "image", "img", "jpeg", "jpg", "mvimg", "photo"}
NO_WORDS |= {"picture", "png", "pxl", "scan", "screenshot", "untitled", "whatsapp"}


def words_of_name(path: str) -> str:
    """Return the words of a file name, "red_Car-12.jpg" gives "red car"; "" where it has none."""
    words = _WORD.findall(_BORDERS.sub(" ", PurePosixPath(path).stem).lower())
    long_enough = (w for w in words if len(w) >= LEAST_LETTERS or not w.isascii())
    return " ".join(word for word in long_enough if word not in NO_WORDS)


def text_queries(collection: Collection, seed: int = 0) -> tuple[list[str], str]:
    """Draw at most 2,000 different texts of a collection, and say where they come from.

    Captions where at least 40 pictures have different ones, else words of file names, else none.
    """
    captions = _distinct(collection.table["caption"].to_pylist())
    if len(captions) >= LEAST_QUERIES:
        return _some(captions, seed), "captions"
    names = _distinct([words_of_name(path) for path in collection.table["path"].to_pylist()])
    if len(names) >= LEAST_QUERIES:
        return _some(names, seed), "words of file names"
    return [], f"none: {len(captions)} captions and {len(names)} file names with words are too few"


def _distinct(texts: Sequence[str | None]) -> list[str]:
    return list(dict.fromkeys(text.strip() for text in texts if text and text.strip()))


def _some(texts: list[str], seed: int) -> list[str]:
    if len(texts) <= MOST_TEXTS:
        return texts
    drawn = np.random.default_rng(seed).choice(len(texts), MOST_TEXTS, replace=False)
    return [texts[at] for at in np.sort(drawn)]
