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
POSITIVE = 3.0  # the authors count a pair from here on as one that belongs together
HEADER = ["caption", "image", "agg_score", "sampling_method"]
FOLDERS = ("data", "cxc")
_CAPTION = re.compile(r"COCO_val2014:sentid:(\d+)")
_IMAGE = re.compile(r"COCO_val2014_0*(\d+)\.jpg")


@dataclass(frozen=True, eq=False, repr=False)
class Ratings:
    """Rated pairs of a caption and an image, in file order.

    Args:
        text_ids: COCO caption id of each pair, as in a corpus of `lib.datasets.coco`.
        item_ids: COCO image id of each pair.
        scores: `(n,)` mean ratings from 0 (unrelated) to 5 (describes it).
        methods: why the pair was rated: `"c2i_original"`, or `"c2i_intrasim"` for pairs found to be
            similar.
        counts: what was found beside what is published.
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
        """`(n,)` whole grades, `floor(score + 0.5)`: halves go up, so each grade but 0 and 5 spans
        1.

        Rounding halves to even would send 2.5 to 2 and 3.5 to 4, and make even grades wider than
        odd ones.
        """
        return np.floor(self.scores + 0.5).astype(np.int64)


def load_ratings(root: str | Path, split: str = "test", *, allow_partial: bool = False) -> Ratings:
    """Reads the ratings of captions and images, which the authors call semantic image-text
    similarity.

    Args:
        root: holds `sits_<split>.csv`, itself or in `data/` or `cxc/`.
        split: `"test"` or `"val"`, both of Karpathy's.
        allow_partial: accept other counts than the published ones.

    Raises:
        MissingFileError, DamagedFileError: no file, or one that is no CSV.
        RetrievalInputError: a row that is malformed (with its line), a score outside 0..5, wrong
            counts.

    Relations: `graded_qrels` aligns them to a corpus. `coco.judgements(corpus, "cxc", ...)` has the
    positives without scores, from a package that is installed.

    Reference: Parekh et al. 2021, "Crisscrossed Captions".
    """
    check_choice(split, SPLITS, "split")
    path = find_file(root, f"sits_{split}.csv", FOLDERS)
    if path is None:
        raise MissingFileError(
            f"{root} has no sits_{split}.csv. It is in the folder data/ of the repository "
            f"google-research-datasets/Crisscrossed-Captions"
        )
    label, published = published_counts(path.parent, NAME, split, PUBLISHED)
    rows = _rows(path)
    methods = [method for _, _, _, method in rows]
    found = {"ratings": len(rows), "ratings of original pairs": methods.count("c2i_original")}
    counts = tuple(Count(what, found[what], number) for what, number in published.items())
    check_counts(counts, f"{label}, {split} split", allow_partial)
    return Ratings(
        tuple(text_id for text_id, _, _, _ in rows),
        tuple(item_id for _, item_id, _, _ in rows),
        np.array([score for _, _, score, _ in rows], dtype=np.float64),
        tuple(methods),
        counts,
    )


def _rows(path: Path) -> list[tuple[str, str, float, str]]:
    return [_parsed(row, f"{path}, line {line}") for line, row in read_table(path, HEADER)]


def _parsed(row: dict[str, str], where: str) -> tuple[str, str, float, str]:
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
        raise RetrievalInputError(
            f"{where}: agg_score must be a number from 0 to 5, found {row['agg_score']!r}"
        )
    return text[1], item[1], score, row["sampling_method"]


def graded_qrels(
    ratings: Ratings, corpus: CaptionedMedia, direction: str, *, threshold: float | None = None
) -> tuple[Qrels, Count]:
    """Ratings as judgements of a corpus.

        grade = floor(score + 0.5), or 1 where score >= threshold; grade 0 is not stored

    Args:
        ratings: what `load_ratings` gave.
        corpus: COCO, the split of the ratings or a part of it, with ids of captions (not
            `"unique"`).
        direction: `"text_to_image"` or `"image_to_text"`.
        threshold: None for grades 1 to 5; `POSITIVE` for the yes or no of the authors.

    Returns:
        The judgements, and how many of the rated pairs have both ends in the corpus.

    Raises:
        RetrievalInputError: a direction that the corpus does not have, the gallery `"unique"`, a
            pair that is rated twice.

    Relations: with `threshold=POSITIVE`, the positives of `coco.judgements(corpus, "cxc",
    direction)`.
    """
    to_text = check_choice(direction, corpus.directions, "direction") == "image_to_text"
    if corpus.captions == "unique":
        raise RetrievalInputError(
            "the ratings name captions by id; load captions='all' or 'first 5'"
        )
    text, item = (
        corpus.positions("text", ratings.text_ids),
        corpus.positions("item", ratings.item_ids),
    )
    inside = (text >= 0) & (item >= 0)
    grades = ratings.grades if threshold is None else (ratings.scores >= threshold).astype(np.int64)
    kept = inside & (grades > 0)
    qrels = Qrels.from_pairs(text[kept], item[kept], grades[kept], shape=corpus.qrels.shape)
    return qrels.T if to_text else qrels, Count("rated pairs", int(inside.sum()), len(ratings))
