"""Crisscrossed Captions (CxC): how well a caption fits an image, rated by people from 0 to 5."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.qrels import Qrels
from lib.core.reading import MissingFileError
from lib.datasets.annotations import find_file
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import Count, check_counts, published_counts
from lib.datasets.csv_files import read_table

NAME = "cxc"
SPLITS = ("test", "val")
PUBLISHED = {"test": {"ratings": 44_833, "ratings of original pairs": 25_000}, "val": {}}
POSITIVE = 3.0  # the authors call a pair positive from this score on
HEADER = ["caption", "image", "agg_score", "sampling_method"]
FOLDERS = ("data", "cxc")
_CAPTION = re.compile(r"COCO_val2014:sentid:(\d+)")
_IMAGE = re.compile(r"COCO_val2014_0*(\d+)\.jpg")


@dataclass(frozen=True, eq=False, repr=False)
class Ratings:
    """Rated pairs of a caption and an image, in file order.

    Args:
        text_ids, item_ids: COCO caption id and image id of each pair, as in `lib.datasets.coco`.
        scores: `(n,)` mean ratings from 0 (unrelated) to 5 (describes it).
        methods: reason to rate the pair: `"c2i_original"`, or `"c2i_intrasim"` for similar pairs.
        counts: numbers in the file beside the published ones.
    """

    text_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    scores: np.ndarray
    methods: tuple[str, ...]
    counts: tuple[Count, ...]

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def grades(self) -> np.ndarray:
        """`(n,)` whole grades, `floor(score + 0.5)`; rounding to even would make ranges unequal."""
        return np.floor(self.scores + 0.5).astype(np.int64)


def load_ratings(root: str | Path, split: str = "test", *, allow_partial: bool = False) -> Ratings:
    """Load the ratings of `sits_<split>.csv` in the root, its `data/` or its `cxc/`.

    Reference: Parekh et al. 2021, "Crisscrossed Captions" (semantic image-text similarity).
    """
    check_choice(split, SPLITS, "split")
    path = find_file(root, f"sits_{split}.csv", FOLDERS)
    if path is None:
        raise MissingFileError(
            f"{root} has no sits_{split}.csv. It is in the folder data/ of the repository "
            f"google-research-datasets/Crisscrossed-Captions"
        )
    label, published = published_counts(path.parent, NAME, split, PUBLISHED)
    rows = [_parse_row(row, f"{path}, line {line}") for line, row in read_table(path, HEADER)]
    text_ids, item_ids, scores, methods = zip(*rows) if rows else ((), (), (), ())
    numbers = {"ratings": len(rows), "ratings of original pairs": methods.count("c2i_original")}
    counts = tuple(Count(what, numbers[what], number) for what, number in published.items())
    check_counts(counts, f"{label}, {split} split", allow_partial)
    return Ratings(text_ids, item_ids, np.array(scores, dtype=np.float64), methods, counts)


def _parse_row(row: dict[str, str], where: str) -> tuple[str, str, float, str]:
    text, item = _CAPTION.fullmatch(row["caption"]), _IMAGE.fullmatch(row["image"])
    if not text or not item:
        raise RetrievalInputError(
            f"{where}: expected 'COCO_val2014:sentid:<id>' and 'COCO_val2014_<id>.jpg', found "
            f"{row['caption']!r}, {row['image']!r}"
        )
    try:
        score = float(row["agg_score"])
    except ValueError:
        score = np.nan
    if not 0 <= score <= 5:
        raise RetrievalInputError(f"{where}: agg_score must be 0 to 5, got {row['agg_score']!r}")
    return text[1], item[1], score, row["sampling_method"]


def graded_qrels(
    ratings: Ratings, corpus: CaptionedMedia, direction: str, *, threshold: float | None = None
) -> tuple[Qrels, Count]:
    """Align ratings with a corpus, as graded judgements.

        grade = floor(score + 0.5), or 1 if score >= threshold; grade 0 is not stored

    Args:
        ratings: what `load_ratings` gave, for the split of the corpus.
        corpus: COCO, or a part of it, with caption ids (not `captions="unique"`).
        direction: `"text_to_image"` or `"image_to_text"`.
        threshold: None for grades 1 to 5; `POSITIVE` for the positives of the authors.

    Returns:
        The judgements, and the number of rated pairs with caption and image in the corpus.
    """
    to_text = check_choice(direction, corpus.directions, "direction") == "image_to_text"
    if corpus.captions == "unique":
        raise RetrievalInputError("captions must be 'all' or 'first 5' (with ids), got 'unique'")
    text = corpus.positions("text", ratings.text_ids)
    item = corpus.positions("item", ratings.item_ids)
    inside = (text >= 0) & (item >= 0)
    grades = ratings.grades if threshold is None else (ratings.scores >= threshold).astype(np.int64)
    positive = inside & (grades > 0)
    pairs = text[positive], item[positive], grades[positive]
    qrels = Qrels.from_pairs(*pairs, shape=corpus.qrels.shape)
    return qrels.T if to_text else qrels, Count("rated pairs", int(inside.sum()), len(ratings))


def load_grades(
    root: str | Path, corpus: CaptionedMedia, direction: str, *, allow_partial: bool = False
) -> tuple[Qrels, Count]:
    """Load the graded judgements of one direction of COCO, from the CxC ratings of its split.

    Args:
        root: the folder of the corpus, or of the ratings.
        corpus: COCO's test or val split, or its miniature.
        direction: `"text_to_image"` or `"image_to_text"`.
        allow_partial: accept other counts than the published ones.

    Returns:
        `Qrels` with grades 1 to 5 in the shape of the corpus, and the number of rated pairs in it.
        A query without a rated pair has an empty row; other unrated pairs have grade 0.
    """
    if corpus.name.split(" ")[0] != "coco":
        raise RetrievalInputError(f"CxC rates captions of COCO, not of {corpus.name}")
    ratings = load_ratings(root, corpus.split, allow_partial=allow_partial)
    return graded_qrels(ratings, corpus, direction)
