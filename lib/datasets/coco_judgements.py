"""Judgements of captions and images of COCO-5K: original, CxC and ECCV Caption.

The package `eccv-caption` has ids, no pictures and no text: the order of the 25,000 test captions,
and the positives of each set in both directions. Its files are read by path, because importing it
warns of a missing optional package. See `data/README.md` for origin, licences and flaws.
"""

import importlib.util
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.qrels import Qrels
from lib.core.reading import DamagedFileError, MissingFileError
from lib.core.writing import sha256_of

JUDGEMENTS = ("original", "cxc", "eccv")
DIRECTIONS = ("image_to_text", "text_to_image")
N_IMAGES, CAPTIONS_PER_IMAGE, N_FOLDS = 5000, 5, 5
SHA256 = {  # of release 0.1.0, the only one
    "coco_test_ids.npy":
        "edf99145aaed260188fd9384c1329ed287fca0e9b92e4e59de46660667932a15",
    "original_image_to_caption.json":
        "17e7673206edefd9cd227e8fafb703eba375671e43dd202a33b51567ebd4593e",
    "original_caption_to_image.json":
        "646c37bf5148480d854a3d135b1f3646cc7fa2bd0f84ed7499e264f09338e0fa",
    "cxc_image_to_caption.json":
        "e567e46b527901bb87ad9cf6511d005e5ad80620a968db1b3314bce23c917a61",
    "cxc_caption_to_image.json":
        "95fa65de2171c2d5df8769b46770cb74b9d4e09522d0c255e5d166c56028d125",
    "eccv_image_to_caption.json":
        "47b822df8932da569a471a557f49e7b45465dac3728c2e2922f7bfbd25399242",
    "eccv_caption_to_image.json":
        "3f1d209e7fc4100acc4092818125884d1523582ccebf950a4f89ff71babe281a",
}  # fmt: skip
# Two ECCV positives, of images 575916 and 421999, are captions that are not among the 25,000.
UNFINDABLE_CAPTIONS = (144675, 467259)
# (judgements, direction): (queries that have a positive, positives), as published.
PUBLISHED_COUNTS = {
    ("original", "image_to_text"): (5_000, 25_000),
    ("original", "text_to_image"): (25_000, 25_000),
    ("cxc", "image_to_text"): (5_000, 35_585),
    ("cxc", "text_to_image"): (24_972, 35_585),
    ("eccv", "image_to_text"): (1_261, 22_550),
    ("eccv", "text_to_image"): (1_332, 11_279),
}


@dataclass(frozen=True, eq=False, repr=False)
class CocoJudgements:
    """Ids of COCO-5K in evaluation order, and the judgements over them. Arrays are read-only.

    Args:
        image_ids: int64 (5000,) COCO image ids, in the order of the test split.
        caption_ids: int64 (25000,) COCO annotation ids, five per image, in the same order. 137
            numbers are both an image id and a caption id: never mix the two.
        positives: `{(judgements, direction): Qrels}` as published: ECCV counts two captions that
            are not in the gallery. They have the positions 25,000 and 25,001.
    """

    image_ids: np.ndarray
    caption_ids: np.ndarray
    positives: dict[tuple[str, str], Qrels]

    @property
    def owner(self) -> np.ndarray:
        """`(25000,)` image position of each caption: the clusters of a bootstrap over captions."""
        return np.arange(self.caption_ids.size) // CAPTIONS_PER_IMAGE

    def qrels(self, judgements: str, direction: str, *, as_published: bool = False) -> Qrels:
        """Return the positives of one set, aligned to `image_ids` and `caption_ids`.

        The CxC directions are each other's transposes. Those of ECCV are not: its image queries
        and its caption queries were chosen separately.

        Args:
            judgements: `"original"` (each image's own five captions), `"cxc"` (pairs that people
                rated 3 or more of 5) or `"eccv"` (proposed by models, verified by people, for a
                quarter of the images).
            direction: `"image_to_text"`, shape (5000, 25000), or `"text_to_image"`, shape (25000,
                5000).
            as_published: keep the two ECCV positives outside the gallery of 25,000 captions, so
                that R is the divisor of the authors' code; the shape is then (5000, 25002).

        Returns:
            `Qrels` of grade 1. Queries without judgements have an empty row: evaluate with
            `no_relevant="skip"`, or take the `judged` queries first.
        """
        check_choice(judgements, JUDGEMENTS, "judgements")
        published = self.positives[judgements, check_choice(direction, DIRECTIONS, "direction")]
        n_items = (self.caption_ids if direction == "image_to_text" else self.image_ids).size
        if as_published or published.n_items == n_items:
            return published
        inside = published.items < n_items
        shape = (published.shape[0], n_items)
        return Qrels.from_pairs(published.query_index[inside], published.items[inside], shape=shape)

    def judged(self, judgements: str, direction: str) -> np.ndarray:
        """Return the positions of the queries that have a positive."""
        return np.flatnonzero(self.qrels(judgements, direction).counts)

    def fold(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Return image and caption positions of a 1K fold, a contiguous block of the test order."""
        if number not in range(N_FOLDS):
            raise RetrievalInputError(f"fold must be one of 0..{N_FOLDS - 1}, got {number!r}")
        size = N_IMAGES // N_FOLDS
        images = np.arange(number * size, (number + 1) * size)
        captions = np.arange(images[0] * CAPTIONS_PER_IMAGE, (images[-1] + 1) * CAPTIONS_PER_IMAGE)
        return images, captions

    def __repr__(self) -> str:
        sizes = {
            name: [f"{self.positives[name, direction].items.size:,}" for direction in DIRECTIONS]
            for name in JUDGEMENTS
        }
        sets = ", ".join(f"{name} {' / '.join(counts)}" for name, counts in sizes.items())
        return (
            f"CocoJudgements({self.image_ids.size:,} images, {self.caption_ids.size:,} captions; "
            f"positives image to text / text to image: {sets})"
        )


def available() -> bool:
    """Return True if the package with the files is installed."""
    return importlib.util.find_spec("eccv_caption") is not None


def data_folder() -> Path:
    """Find the files of the installed package, without importing it."""
    spec = importlib.util.find_spec("eccv_caption")
    if spec is None or not spec.submodule_search_locations:
        raise MissingFileError(
            "The package eccv-caption is not installed; it has the COCO judgements. "
            "Run: pip install eccv-caption==0.1.0"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "data"


@lru_cache(maxsize=1)
def load_judgements() -> CocoJudgements:
    """Load and check all seven files; all callers share the result."""
    folder = data_folder()
    caption_ids = np.load(_verified(folder, "coco_test_ids.npy"), allow_pickle=False)
    owners = _read_lists(folder, "original_caption_to_image.json")
    captions = caption_ids[::CAPTIONS_PER_IMAGE].tolist()
    image_ids = np.array([owners[caption][0] for caption in captions])
    ids = {"image": image_ids.tolist(), "caption": caption_ids.tolist()}
    positives = {}
    for judgements in JUDGEMENTS:
        for direction in DIRECTIONS:
            sides = ("image", "caption")
            query, item = sides if direction == "image_to_text" else sides[::-1]
            lists = _read_lists(folder, f"{judgements}_{query}_to_{item}.json")
            gallery = ids[item]
            if (judgements, direction) == ("eccv", "image_to_text"):
                gallery = [*gallery, *UNFINDABLE_CAPTIONS]
            qrels = Qrels.from_ids(lists, ids[query], gallery)
            counts = int((qrels.counts > 0).sum()), qrels.items.size
            if counts != PUBLISHED_COUNTS[judgements, direction]:
                raise DamagedFileError(
                    f"{judgements} {direction} has {counts} queries and positives, published are "
                    f"{PUBLISHED_COUNTS[judgements, direction]}"
                )
            positives[judgements, direction] = qrels
    for array in (image_ids, caption_ids):
        array.setflags(write=False)
    return CocoJudgements(image_ids, caption_ids, positives)


def _verified(folder: Path, name: str) -> Path:
    path, advice = folder / name, "Run: pip install --force-reinstall eccv-caption==0.1.0"
    if not path.is_file():
        raise MissingFileError(f"{path} is missing. {advice}")
    digest = sha256_of(path)
    if digest != SHA256[name]:
        raise DamagedFileError(
            f"{path} is not the file of release 0.1.0: its SHA-256 is {digest[:12]}..., expected "
            f"{SHA256[name][:12]}.... {advice}"
        )
    return path


def _read_lists(folder: Path, name: str) -> dict[int, list[int]]:
    lists = json.loads(_verified(folder, name).read_text())
    return {int(key): values for key, values in lists.items()}  # JSON keys are strings
