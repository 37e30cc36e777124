"""Search terms: the words that people type to find the icons of Font Awesome, as captions.

The package `fontawesomefree` describes each icon of Font Awesome by some search terms that its
editors collected: `house` has abode, building, home, main, residence. The same drawings are in
`icons`, so an icon gets several human captions. The file is read by path; the package is Django
code and is not imported. `data/README.md` has licences, counts and known flaws.
"""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.qrels import Qrels
from lib.core.reading import DamagedFileError, MissingFileError, reading
from lib.core.task import RetrievalTask
from lib.core.writing import sha256_of
from lib.datasets import icons
from lib.datasets.captioned import CaptionedMedia, equal_texts_once

METADATA = "static/fontawesomefree/metadata/icons.json"
SHA256 = "45c844e0ad16ef3a9003e1de9e4b142b564078db87cf27e1cf1e71163f571a45"  # of release 6.6.0
ADVICE = "Install it with: pip install fontawesomefree==6.6.0"
STYLE_OF_FAMILY = {"fontawesome-solid": "solid", "fontawesome-regular": "regular"}
NAME = "icons, search terms"
CAPTIONS = ("names and terms", "terms", "names")
GALLERIES = ("with terms", "all icons")
BEARS_TERM, SAME_CONCEPT = 3, 1  # grades
MISSPELT = {"uer": "user"}  # the most frequent term, on 131 icons


def clean_terms(terms: Sequence[str]) -> tuple[str, ...]:
    """Return terms in lower case with single spaces; each once, and none without letter or digit.

    Two spellings that differ by hyphens alone are one term, in the spelling that comes first.
    """
    cleaned: dict[str, str] = {}
    for term in terms:
        text = " ".join(term.lower().split())
        text = MISSPELT.get(text, text)
        if any(map(str.isalnum, text)):
            cleaned.setdefault(_key(text), text)
    return tuple(cleaned.values())


def _key(text: str) -> str:
    return " ".join(text.replace("-", " ").split())


def metadata_path() -> Path:
    """Return the path of the metadata of Font Awesome, after checking its SHA-256."""
    spec = importlib.util.find_spec("fontawesomefree")
    if spec is None or spec.origin is None:
        raise MissingFileError(f"fontawesomefree, the source of search terms, is missing. {ADVICE}")
    path = Path(spec.origin).parent / METADATA
    if not path.is_file():
        raise MissingFileError(f"{path} is missing. {ADVICE}")
    digest = sha256_of(path)
    if digest != SHA256:
        digests = f"{digest[:12]}..., that of release 6.6.0 is {SHA256[:12]}..."
        raise DamagedFileError(f"{path} has another content: its SHA-256 is {digests}. {ADVICE}")
    return path


def read_terms(path: str | Path) -> dict[tuple[str, str, int], tuple[str, ...]]:
    """Read the search terms of a metadata file of Font Awesome.

    Args:
        path: `icons.json`: `{name: {"unicode": "f015", "styles": [...], "search": {"terms":
            [...]}}}`.

    Returns:
        `{(family, name, code point): terms}`, cleaned; icons without terms are left out.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"{path} is missing. {ADVICE}")
    with reading(path, "no metadata of Font Awesome", ADVICE):
        entries = json.loads(path.read_text(encoding="utf-8"))
        found = {}
        for name, entry in entries.items():
            terms, code = clean_terms(entry["search"]["terms"]), int(entry["unicode"], 16)
            for family, style in STYLE_OF_FAMILY.items():
                if terms and style in entry["styles"]:
                    found[family, name, code] = terms
    return found


@lru_cache(maxsize=1)
def load_terms() -> tuple[tuple[str, ...], ...]:
    """Load the search terms of every icon of `lib.datasets.icons`, aligned by position.

    An icon has terms where family, name and code point agree: then the drawing is the same. Other
    icons have none.
    """
    terms = read_terms(metadata_path())
    files = icons.font_files()
    codes = {family: json.loads(files[family][1].read_text()) for family in STYLE_OF_FAMILY}
    corpus = icons.load_icons()
    return tuple(
        terms.get((family, name, int(codes[family][name], 16)), ()) if family in codes else ()
        for family, name in zip(corpus.families, corpus.names, strict=True)
    )


def positions_with_terms(split: str) -> np.ndarray:
    """Return the positions of a split's icons that have search terms, in order."""
    terms = load_terms()
    positions = icons.load_icons().positions(split)
    return positions[[bool(terms[position]) for position in positions]]


# ---- several captions per picture


def captions_of(name: str, terms: Sequence[str], captions: str = CAPTIONS[0]) -> tuple[str, ...]:
    """Return the captions of one icon: its name as a phrase, then its terms, each once."""
    check_choice(captions, CAPTIONS, "captions")
    phrase = (icons.phrase_of(name),) if captions != "terms" else ()
    return clean_terms((*phrase, *(() if captions == "names" else terms)))


def captioned_icons(split: str = "test", captions: str = CAPTIONS[0]) -> CaptionedMedia:
    """Return the icons with search terms and their captions: several texts for a picture.

    A text that describes several pictures occurs once and is relevant to all of them.

    Args:
        split: `"train"`, `"validation"` or `"test"`: the splits of `lib.datasets.icons`.
        captions: `"names and terms"`, `"terms"` or `"names"`.

    Returns:
        `CaptionedMedia` with images uint8 (n, 64, 64), ids `"<family>/<name>"`, and qrels of grade
        `BEARS_TERM`. Five-caption protocols work on it as on COCO, with another number of texts for
        each picture.
    """
    check_choice(captions, CAPTIONS, "captions")
    corpus, terms = icons.load_icons(), load_terms()
    positions = positions_with_terms(split)
    texts_of_item = [captions_of(corpus.names[p], terms[p], captions) for p in positions]
    texts = [text for own in texts_of_item for text in own]
    owners = np.repeat(np.arange(len(positions)), [len(own) for own in texts_of_item])
    every = Qrels.from_pairs(np.arange(len(texts)), owners, shape=(len(texts), len(positions)))
    first, qrels = equal_texts_once(list(map(_key, texts)), every)
    unique = [texts[row] for row in first]
    return CaptionedMedia(
        name=NAME,
        split=split,
        modality="image",
        media=corpus.images[positions],
        item_ids=[f"{corpus.families[p]}/{corpus.names[p]}" for p in positions],
        texts=unique,
        text_ids=unique,
        qrels=_graded(qrels, BEARS_TERM),
        captions=captions,
        counts=(),
        datasheet=NAME,
    )


def _graded(qrels: Qrels, grade: int) -> Qrels:
    return Qrels(qrels.indptr, qrels.items, np.full(qrels.items.size, grade), qrels.n_items)


# ---- the test set


def task(
    split: str = "test", direction: str = "text_to_image", gallery: str = GALLERIES[0]
) -> RetrievalTask:
    """Return the task from search terms to icons, or from icons to search terms, on one split.

    A query is one term; the icons that bear it are hits (grade 3). The gallery holds the icons that
    have terms, because only of those do we know that a missing term was not given. In the gallery
    of all icons of the split, icons of other families may fit a term that nobody gave them: they
    are unjudged, and scores are lower than a person would give. There, an icon without terms gets
    grade 1 for the terms of its concept in Font Awesome.

    `query_groups` is the concept group of the first icon that bears the term. Terms and icons hang
    together in one large component, so no clustering makes queries independent. Terms of one
    concept share its drawing and succeed or fail together, which this clustering respects; a term
    of several concepts counts for the first.

    Args:
        split: `"train"`, `"validation"` or `"test"`. Drawings and concepts of the test split are
            unseen in training; its terms may describe training icons as well.
        direction: `"text_to_image"` or `"image_to_text"`.
        gallery: `"with terms"`, or `"all icons"` from text to image.
    """
    check_choice(direction, icons.DIRECTIONS, "direction")
    check_choice(gallery, GALLERIES, "gallery")
    corpus = icons.load_icons()
    media = captioned_icons(split, "terms")
    positions, qrels = positions_with_terms(split), media.qrels
    first = positions[qrels.items[qrels.indptr[:-1]]]  # of each term, the first icon
    by_term = RetrievalTask(
        name=NAME,
        split=split,
        direction="text_to_image",
        queries=list(media.texts),
        gallery=media.media,
        qrels=qrels,
        query_groups=corpus.groups[first],
        hit_grade=BEARS_TERM,
        datasheet=NAME,
    )
    if gallery == GALLERIES[0]:
        return by_term if direction == "text_to_image" else by_term.turned(corpus.groups[positions])
    if direction != "text_to_image":
        raise RetrievalInputError(
            "gallery must be 'with terms' from image to text, got 'all icons'. Icons without terms"
            " have no text to be found"
        )
    everything = corpus.positions(split)
    qrels = _judge_all(qrels, corpus.groups, positions, everything)
    return replace(by_term, gallery=corpus.images[everything], qrels=qrels)


def _judge_all(
    qrels: Qrels, group_of: np.ndarray, positions: np.ndarray, everything: np.ndarray
) -> Qrels:
    """Grade every (term, icon) pair over all icons of a split, from those with terms."""
    place = {position: item for item, position in enumerate(everything.tolist())}
    with_terms = set(positions.tolist())
    without: dict[int, list[int]] = {}  # gallery places of a group's icons without terms
    for position, item in place.items():
        if position not in with_terms:
            without.setdefault(int(group_of[position]), []).append(item)
    grades: dict[tuple[int, int], int] = {}
    for query, item in zip(qrels.query_index.tolist(), qrels.items.tolist(), strict=True):
        position = int(positions[item])
        grades[query, place[position]] = BEARS_TERM
        for mate in without.get(int(group_of[position]), ()):
            grades[query, mate] = SAME_CONCEPT
    queries, items = np.array(list(grades)).T
    shape = (qrels.shape[0], len(everything))
    return Qrels.from_pairs(queries, items, np.array(list(grades.values())), shape=shape)


def term_subsets(split: str = "test") -> Mapping[str, np.ndarray]:
    """Return kinds of terms, as a boolean for each query of `task(split)` from text to image.

    Returns:
        `"all terms"`; `"not in a name"`, terms that share no word with the name of an icon that
        bears them, which a search over names cannot find; `"not in training"`, terms that are
        neither a term nor a name of any training icon.
    """
    corpus, terms = icons.load_icons(), load_terms()
    media = captioned_icons(split, "terms")
    words = [set(_key(id_.split("/")[1]).split()) for id_ in media.item_ids]
    train = corpus.positions("train")
    seen = {_key(corpus.names[position]) for position in train}
    seen |= {_key(term) for position in train for term in terms[position]}
    keys = list(map(_key, media.texts))
    apart = [
        not any(words[item] & set(key.split()) for item in media.qrels.row(query)[0])
        for query, key in enumerate(keys)
    ]
    return {
        "all terms": np.ones(len(keys), dtype=bool),
        "not in a name": np.array(apart),
        "not in training": np.array([key not in seen for key in keys]),
    }
