"""FashionIQ: a piece of clothing and two sentences that say how the wanted piece differs."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_distinct
from lib.core.qrels import Qrels
from lib.datasets.annotations import field_of, placed, read_json, require_file
from lib.datasets.completeness import Count, check_counts, published_counts
from lib.datasets.composed import REFERENCES, ComposedGallery, ComposedQueries, positions_of
from lib.datasets.media.files import PictureFiles, find_names

NAME = "fashioniq"
SPLITS = ("val", "train")
CATEGORIES = ("dress", "shirt", "toptee")
# Val: counted in the files of XiaoxiaoGuo/fashion-iq. Train: recalled.
PUBLISHED = {
    "val": {
        "dress pictures": 3_817, "dress queries": 2_017,
        "shirt pictures": 6_346, "shirt queries": 2_038,
        "toptee pictures": 5_373, "toptee queries": 1_961,
    },
    "train": {
        "dress pictures": 11_452, "dress queries": 5_985,
        "shirt pictures": 19_036, "shirt queries": 5_988,
        "toptee pictures": 16_121, "toptee queries": 6_027,
    },
}  # fmt: skip
CAPTIONS = ("capitalised", "stripped", "as typed", "reversed")
GALLERIES = ("split", "union")
FOLDERS = {"cap": ("captions", "json"), "split": ("image_splits",)}
PICTURES = ("images", "image_data", "resized_image")
SUFFIXES = (".jpg", ".png", ".jpeg")
_ENDS = ".?, "  # what CLIP4Cir and SEARLE take off both ends of a sentence


class _Pair(NamedTuple):
    where: str
    candidate: str
    target: str
    text: str


def load_fashioniq(
    root: str | Path,
    split: str = "val",
    *,
    category: str = "all",
    captions: str = "capitalised",
    gallery: str = "split",
    reference: str = "kept",
    query: str = "sum",
    allow_partial: bool = False,
    need_media: bool = True,
) -> ComposedQueries:
    """Load the queries and the gallery of each of the three categories.

    Args:
        root: holds `captions/cap.dress.val.json`, `image_splits/split.dress.val.json` and so on,
            and the pictures in `images/`, `.jpg` or `.png`.
        split: `"val"` is the one that papers report; the targets of test are not published.
        category: `"all"` three and their mean, or one.
        captions: how the two sentences become one text, "Is red and has a hood" for `"is red"` and
            `"has a hood."`: `"capitalised"` as in CLIP4Cir, `"stripped"` as in SEARLE (no capital),
            `"as typed"` as in CoSMo, or `"reversed"`, the second first, as in Pic2Word.
        gallery: `"split"`, all pictures of the category; or `"union"`, those that are a reference
            or a target of a query, as VAL evaluates: fewer, and a higher number.
        reference: `"kept"` in the gallery of its query, as in CLIP4Cir and Pic2Word, or
            `"removed"`.
        query: what a model makes of a query: `"sum"` of picture and text, `"image"`, or `"text"`.
        allow_partial: evaluate what exists, and say so.
        need_media: False reads the annotations alone.

    Returns:
        One gallery for each category. Query ids are the category and the place in its file
        (`"dress#0"`), picture ids the numbers of the shop (`"B008BHCT58"`); a picture can belong to
        two categories.

    Reference: Wu et al. 2021, "Fashion IQ"; Chen et al. 2020, "VAL"; Baldrati et al. 2022,
    "CLIP4Cir".
    """
    for value, known, name in (
        (split, SPLITS, "split"),
        (category, ("all", *CATEGORIES), "category"),
        (captions, CAPTIONS, "captions"),
        (gallery, GALLERIES, "gallery"),
        (reference, REFERENCES, "reference"),
    ):
        check_choice(value, known, name)
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    chosen = CATEGORIES if category == "all" else (category,)
    pairs = {name: _read_pairs(root, name, split, captions, reference) for name in chosen}
    pictures = {
        name: _read_pictures(root, name, split) if gallery == "split" else _in_pairs(pairs[name])
        for name in chosen
    }
    counts = []
    for name in chosen:
        in_split = published[f"{name} pictures"] if gallery == "split" else None
        counts.append(Count(f"{name} pictures", len(pictures[name]), in_split))
        counts.append(Count(f"{name} queries", len(pairs[name]), published[f"{name} queries"]))
    check_counts(counts, f"{label}, {split} split", allow_partial)
    item_ids = list(dict.fromkeys(id_ for name in chosen for id_ in pictures[name]))
    item_at = {id_: at for at, id_ in enumerate(item_ids)}
    galleries, references, targets, start = [], [], [], 0
    for name in chosen:
        where, candidates, wanted, _ = zip(*pairs[name])
        items = np.array([item_at[id_] for id_ in pictures[name]], np.int64)
        references.append(items[positions_of(candidates, pictures[name], where, "candidate")])
        targets.append(items[positions_of(wanted, pictures[name], where, "target")])
        galleries.append(ComposedGallery(name, start + np.arange(len(where)), items))
        start += len(where)
    every_target = np.concatenate(targets)
    corpus = ComposedQueries(
        name=label,
        split=split,
        media=PictureFiles(root, find_names(root, item_ids, PICTURES, SUFFIXES)),
        item_ids=tuple(item_ids),
        texts=tuple(pair.text for name in chosen for pair in pairs[name]),
        text_ids=tuple(f"{name}#{at}" for name in chosen for at in range(len(pairs[name]))),
        references=np.concatenate(references),
        qrels=Qrels.from_pairs(np.arange(start), every_target, shape=(start, len(item_ids))),
        galleries=tuple(galleries),
        reference=reference,
        relevance=f"{captions}, gallery {gallery}, reference {reference}",
        counts=tuple(counts),
        composition=query,
        datasheet=NAME,
    )
    with placed(str(root)):
        return corpus.with_present_media(allow_partial) if need_media else corpus


def joined_captions(first: str, second: str, how: str) -> str:
    """Join the two sentences of a query into one text, in one of the ways of `CAPTIONS`."""
    if how == "reversed":
        first, second = second, first
    if how in ("capitalised", "stripped"):
        first, second = first.strip(_ENDS), second.strip(_ENDS)
    return f"{first.capitalize() if how == 'capitalised' else first} and {second}"


def _read_pairs(
    root: Path, category: str, split: str, captions: str, reference: str
) -> list[_Pair]:
    """Read and check the pairs of a category, in file order."""
    path = require_file(root, f"cap.{category}.{split}.json", FOLDERS["cap"], NAME)
    data = read_json(path)
    if not isinstance(data, list) or not data:
        raise RetrievalInputError(
            f"{path} must be a list of at least one pair, got {data!r:.60}. Fetch it again"
        )
    pairs = []
    for number, entry in enumerate(data):
        where = f"{path}, pair {number}"
        candidate, target = (field_of(entry, key, str, where) for key in ("candidate", "target"))
        two = field_of(entry, "captions", list, where)
        if len(two) != 2 or not all(isinstance(text, str) for text in two):
            raise RetrievalInputError(f"{where}: captions must be two texts, got {two!r:.80}")
        if candidate == target and reference == "removed":
            raise RetrievalInputError(
                f"{where}: candidate and target are both {target!r}; a reference that is wanted"
                " cannot be removed. Use reference=kept"
            )
        pairs.append(_Pair(where, candidate, target, joined_captions(*two, captions)))
    return pairs


def _read_pictures(root: Path, category: str, split: str) -> list[str]:
    """Read the ids of all pictures of a category."""
    path = require_file(root, f"split.{category}.{split}.json", FOLDERS["split"], NAME)
    data = read_json(path)
    if not isinstance(data, list) or not data or not all(isinstance(id_, str) for id_ in data):
        raise RetrievalInputError(
            f"{path} must be a list of at least one picture id, got {data!r:.60}. Fetch it again"
        )
    check_distinct(data, "picture", str(path))
    return data


def _in_pairs(pairs: Sequence[_Pair]) -> list[str]:
    """Return the pictures that are a target or a candidate, each once, in file order."""
    return list(dict.fromkeys(id_ for pair in pairs for id_ in (pair.target, pair.candidate)))
