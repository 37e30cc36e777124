"""Pages: documents of a title, a text and a picture, made from what is known of an emoji.

A page is text and picture at once, as a page of a manual is. Its parts are taken as they are: the
name is the title; the text holds Unicode's group, other English names, the names in 13 languages
and, where a folder of WordNet is given, the gloss of the name; the picture is the emoji in colour.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from lib.core.reading import MissingFileError, reading
from lib.datasets import emoji

# First words of groups whose second word says what the things are, and second words that do not.
BROAD = frozenset([
    "animal", "arts", "av", "award", "country", "food", "musical", "other", "place", "plant", "sky",
    "subdivision",
])  # fmt: skip
UNUSUAL = frozenset(["asian", "geographic", "marine", "other", "prepared"])
ADVICE = "Give the folder of WordNet 3 that holds index.noun and data.noun"


@dataclass(frozen=True, eq=False)
class Page:
    """One document.

    Args:
        title: the English name.
        text: sentences about it, see `lib.datasets.sketches.pages`.
        picture: uint8 (64, 64, 3), on white.
        code: code points of the emoji, in hexadecimal.
    """

    title: str
    text: str
    picture: np.ndarray
    code: str

    @property
    def words(self) -> str:
        """Return title and text, for a search over words."""
        return f"{self.title}. {self.text}"


def category_word(subgroup: str) -> str:
    """Return one word for a group of Unicode, which the text of its pages holds.

    `"food-drink, food-fruit"` gives `"fruit"`, `"smileys-emotion, face-sleepy"` gives `"face"`: the
    first word of the last part, or the second where that says what the things are.
    """
    first, *rest = subgroup.partition(", ")[2].split("-")
    return rest[0] if first in BROAD and rest and rest[0] not in UNUSUAL else first


def load_pages(places: np.ndarray, wordnet: str | Path | None = None) -> list[Page]:
    """Make the pages of some emoji.

    Args:
        places: int (n,), places in `emoji`.
        wordnet: folder of WordNet's dictionary, for glosses. Committed numbers are without.
    """
    corpus = emoji.load_emoji()
    glosses = {} if wordnet is None else read_glosses(wordnet)
    pages = []
    for place in np.asarray(places).tolist():
        title = corpus.names["en"][place]
        group, _, part = corpus.subgroups[place].partition(", ")
        sentences = [f"Group: {_spoken(group)}, {_spoken(part)}."]
        if corpus.aliases[place]:
            sentences.append(f"Also called {', '.join(corpus.aliases[place])}.")
        others = dict.fromkeys(corpus.names[key][place] for key in corpus.names if key != "en")
        sentences.append(f"In other languages: {'; '.join(others)}.")
        gloss = glosses.get(title.lower()) or glosses.get(emoji.concept_of(title))
        if gloss:
            sentences.insert(0, f"{gloss[0].upper()}{gloss[1:]}.")
        page = Page(title, " ".join(sentences), corpus.color[place], corpus.codes[place])
        pages.append(page)
    return pages


def _spoken(part: str) -> str:
    return part.replace("-", " ")


@lru_cache(maxsize=2)
def read_glosses(folder: str | Path) -> Mapping[str, str]:
    """Read the gloss of the first meaning of each noun of WordNet, without its examples.

    Args:
        folder: with `index.noun` and `data.noun`; the package `wordnet-base` installs them.

    Returns:
        `{"alarm clock": "a clock that wakes a sleeper ..."}`.

    Reference: G. Miller, WordNet: A Lexical Database for English, CACM 1995; format: wndb(5WN).
    """
    folder = Path(folder)
    index, data = folder / "index.noun", folder / "data.noun"
    for path in (index, data):
        if not path.is_file():
            raise MissingFileError(f"{path} is missing. {ADVICE}")
    with reading(data, "no file of WordNet", ADVICE):
        gloss_of = {
            line[:8]: _gloss(line)
            for line in data.read_text("utf-8").splitlines()
            if line[:1] != " "
        }
    found = {}
    with reading(index, "no file of WordNet", ADVICE):
        for line in index.read_text("utf-8").splitlines():
            if line[:1] != " ":
                lemma, _, n_senses, *rest = line.split()
                found[lemma.replace("_", " ")] = gloss_of[rest[-int(n_senses)]]
    return found


def _gloss(line: str) -> str:
    """The definition behind the bar of a line, up to the first example."""
    return re.split(r';\s*"', line.partition("| ")[2])[0].strip().rstrip(";")
