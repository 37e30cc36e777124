"""XTD10: 1,000 pictures of COCO, with one caption in each of eleven languages."""

import re
from collections.abc import Sequence
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.datasets.annotations import Record, captioned_media, require_file
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import published_counts
from lib.datasets.media.files import PictureFiles
from lib.datasets.text_lines import read_lines

NAME = "xtd10"
SPLITS = ("test",)
# Lines of test_image_names.txt: 800 of train2014 and 200 of val2014.
PUBLISHED = {"test": {"images": 1_000, "captions": 1_000}}
LANGUAGES = ("en", "de", "es", "fr", "it", "jp", "ko", "pl", "ru", "tr", "zh")
NAMES = "test_image_names.txt"
FOLDERS = ("XTD10", "MIC", "STAIR")  # of the authors' repository
_PICTURE = re.compile(r"COCO_(train2014|val2014)_[0-9]{12}\.jpg")


def load_xtd10(
    root: str | Path,
    split: str = "test",
    *,
    language: str = "en",
    allow_partial: bool = False,
    need_media: bool = True,
) -> CaptionedMedia:
    """Load the XTD10 pictures with their captions in one language.

    Papers report R@10 for each language, and its mean over languages.

    Args:
        root: holds `test_image_names.txt` and `test_1kcaptions_<language>.txt`, itself or in the
            folders of the repository (`XTD10/`, `MIC/`, `STAIR/`), and the pictures in `train2014/`
            and `val2014/`, in these inside `images/`, or all in `images/`.
        split: `"test"`; there is no other.
        language: as in the names of the files; Japanese is `"jp"`.
        allow_partial: evaluate what exists, and say so.
        need_media: False reads the annotations alone.

    Returns:
        Item ids are the file names without suffix; the id of a caption adds its language
        (`"COCO_val2014_000000127068#de"`). Line i of a caption file describes picture i. The split
        names the language, too: `"test de"`.

    Reference: Aggarwal and Kale 2020, "Towards zero-shot cross-lingual image retrieval"; Rajendran
    et al. 2016 (German, French); Yoshikawa et al. 2017, "STAIR captions" (Japanese).
    """
    check_choice(split, SPLITS, "split")
    check_choice(language, LANGUAGES, "language")
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    path = require_file(root, NAMES, FOLDERS, NAME)
    names = _lines(path)
    _check_names(names, path)
    captions = require_file(root, f"test_1kcaptions_{language}.txt", FOLDERS, NAME)
    texts = _lines(captions)
    if len(texts) != len(names):
        raise RetrievalInputError(
            f"{captions} has {len(texts):,} lines, expected {len(names):,}, one for each line of"
            f" {path}. Fetch both files again"
        )
    blank = next((line for line, text in enumerate(texts, start=1) if not text.strip()), None)
    if blank is not None:
        raise RetrievalInputError(f"{captions}, line {blank}: it must be a caption, got a blank")
    records = []
    for name, text in zip(names, texts):
        item = name.removesuffix(".jpg")
        records.append(Record(_place(root, name), item, ((f"{item}#{language}", text),)))
    return captioned_media(
        records,
        root,
        PictureFiles,
        name=label,
        split=f"{split} {language}",
        modality="image",
        published=published,
        captions="all",
        datasheet=NAME,
        allow_partial=allow_partial,
        need_media=need_media,
        source=captions,
    )


def _lines(path: Path) -> list[str]:
    """Lines of a file; blank ones at its end are no lines."""
    lines = list(read_lines(path))
    while lines and not lines[-1].strip():
        del lines[-1]
    return lines


def _check_names(names: Sequence[str], path: Path) -> None:
    seen: dict[str, int] = {}
    for line, name in enumerate(names, start=1):
        if not _PICTURE.fullmatch(name):
            raise RetrievalInputError(
                f"{path}, line {line}: it must be the name of a COCO picture, such as"
                f" COCO_val2014_000000127068.jpg, got {name!r:.60}"
            )
        if name in seen:
            raise RetrievalInputError(f"{path}, line {line} repeats line {seen[name]}: {name}")
        seen[name] = line


def _place(root: Path, name: str) -> str:
    """Path of a picture in one of the layouts; where it is in none, that of COCO itself."""
    part = _PICTURE.fullmatch(name)[1]
    places = (f"{part}/{name}", f"images/{part}/{name}", f"images/{name}")
    return next((place for place in places if (root / place).is_file()), places[0])
