"""Flickr30K: five captions for each of 31,783 pictures; Karpathy's test split has 1,000 of them."""

import csv
import io
import re
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.reading import DamagedFileError, MissingFileError
from lib.datasets.annotations import (
    Record,
    captioned_media,
    find_file,
    read_blip,
    read_karpathy,
)
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import published_counts
from lib.datasets.csv_files import read_table
from lib.datasets.media.files import PictureFiles

NAME = "flickr30k"
SPLITS = ("test", "val", "train", "all")
CAPTIONS = ("all", "tokens", "clip_benchmark")
_IMAGES = {"test": 1_000, "val": 1_014, "train": 29_000, "all": 31_783}
PUBLISHED = {split: {"images": images, "captions": 5 * images} for split, images in _IMAGES.items()}
KARPATHY = "dataset_flickr30k.json"
TOKENS = "results_20130124.token"
KAGGLE = "results.csv"
FOLDERS = ("flickr30k-images", "flickr30k_images", "Images", "images")
_KAGGLE_HEADER = ["image_name", "comment_number", "comment"]
_NUMBER_AND_CAPTION = re.compile(r"([0-4])\s+(\S.*)")


def load_flickr30k(
    root: str | Path,
    split: str = "test",
    *,
    captions: str = "all",
    allow_partial: bool = False,
    need_media: bool = True,
) -> CaptionedMedia:
    """Load the Flickr30K pictures of a split, each with its five captions.

    Args:
        root: holds the pictures in one of `flickr30k-images/`, `flickr30k_images/`, `Images/`,
            `images/`, and annotations: `dataset_flickr30k.json`, CLIP_benchmark's
            `flickr30k_<split>_karpathy.txt`, BLIP's `flickr30k_<split>.json`, the release's
            `results_20130124.token`, or the `results.csv` of the copy on Kaggle.
        split: one of Karpathy's, or `"all"` 31,783 pictures of the release, of which his file has
            31,014.
        captions: `"all"`, the sentences as they were typed, from Karpathy's file or
            CLIP_benchmark's; `"tokens"`, those of the release, in which punctuation is separated
            ("a dog , running ."); or `"clip_benchmark"`, the typed ones as CLIP_benchmark's reader
            takes them from its CSV file, with the quotes of quoted cells. An encoder may score
            each differently. The split `"all"` has tokens only.
        allow_partial: evaluate what exists, and say so.
        need_media: False reads the annotations alone.

    Returns:
        Item ids are file names without suffix, caption ids `"1000092795#0"` to `"#4"`. The order is
        that of the annotation file.

    Reference: Young et al. 2014, "From image descriptions to visual denotations"; Karpathy and
    Fei-Fei 2015.
    """
    check_choice(split, SPLITS, "split")
    check_choice(captions, CAPTIONS, "captions")
    if split == "all" and captions != "tokens":
        raise RetrievalInputError(
            f"captions must be 'tokens' for split 'all' (other files are smaller), got {captions!r}"
        )
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    texts = _tokens(root, split) if captions == "tokens" else _typed(root, split)
    if captions == "clip_benchmark":
        texts = {name: [quoted(text) for text in sentences] for name, sentences in texts.items()}
    folder = next((f"{name}/" for name in FOLDERS if (root / name).is_dir()), f"{FOLDERS[0]}/")
    return captioned_media(
        [_record(folder, filename, sentences) for filename, sentences in texts.items()],
        root,
        PictureFiles,
        name=label,
        split=split,
        modality="image",
        published=published,
        captions=captions,
        datasheet=NAME,
        allow_partial=allow_partial,
        need_media=need_media,
    )


def quoted(text: str) -> str:
    """Return a caption as CLIP_benchmark's reader takes it from a line of its CSV file.

    The writer puts a cell with commas or quotes in quotes, and doubles the quotes inside. The
    reader cuts the line behind ".jpg," and keeps all of that.
    """
    cell = io.StringIO()
    csv.writer(cell, lineterminator="").writerow([text])
    return cell.getvalue().rstrip()


def _record(folder: str, filename: str, sentences: list[str]) -> Record:
    item_id = filename.rsplit(".", 1)[0]
    texts = tuple((f"{item_id}#{number}", text) for number, text in enumerate(sentences))
    return Record(folder + filename, item_id, texts)


def _typed(root: Path, split: str) -> dict[str, list[str]]:
    if (root / KARPATHY).is_file():
        return {
            image.filename: [sentence.raw for sentence in image.sentences]
            for image in read_karpathy(root / KARPATHY, (split,))
        }
    path, blip = root / f"flickr30k_{split}_karpathy.txt", root / f"flickr30k_{split}.json"
    if blip.is_file() and not path.is_file():
        return {image.rpartition("/")[2]: texts for _, image, texts in read_blip(blip)}
    if not path.is_file():
        raise _missing(root, f"{KARPATHY}, {path.name} or {blip.name}")
    texts: dict[str, list[str]] = {}
    for _, row in read_table(path, ("image", "caption")):
        texts.setdefault(row["image"], []).append(row["caption"])
    return texts


def _tokens(root: Path, split: str) -> dict[str, list[str]]:
    if (root / TOKENS).is_file():
        texts = _numbered(_token_rows(root / TOKENS), root / TOKENS)
    elif path := find_file(root, KAGGLE, ("flickr30k_images",)):
        texts = _numbered(_kaggle_rows(path), path)
    else:
        raise _missing(root, f"{TOKENS} or results.csv")
    if split == "all":
        return texts
    if not (root / KARPATHY).is_file():
        raise _missing(root, f"{KARPATHY} (the list of the split {split!r})")
    chosen = [image.filename for image in read_karpathy(root / KARPATHY, (split,))]
    without = [filename for filename in chosen if filename not in texts]
    if without:
        n = f"{len(without):,} of {len(chosen):,}"
        raise RetrievalInputError(f"{n} pictures lack tokens, first {without[0]!r}. Fetch it again")
    return {filename: texts[filename] for filename in chosen}


def _missing(root: Path, what: str) -> MissingFileError:
    advice = f"`crossmodal data download {NAME}` shows its source"
    return MissingFileError(f"{root} does not have {what} for these captions. {advice}")


# ---- rows of the release and its copy: (line, picture, number, caption)


def _lines(path: Path) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            yield from stream
    except UnicodeDecodeError as error:
        raise DamagedFileError(f"{path} is not UTF-8 text: {error}. Fetch it again") from error


def _token_rows(path: Path) -> Iterator[tuple[int, str, str, str]]:
    """Read lines of the form `1000092795.jpg#0<TAB>caption`."""
    for line, text in enumerate(_lines(path), start=1):
        text = text.rstrip("\r\n")
        if not text:
            continue
        name, tab, caption = text.partition("\t")
        filename, mark, number = name.rpartition("#")
        if not tab or not mark:
            where, expected = f"{path}, line {line}", "'name.jpg#0<TAB>caption'"
            raise RetrievalInputError(f"{where}: expected {expected}, got {text!r:.80}")
        yield line, filename, number, caption


def _kaggle_rows(path: Path) -> Iterator[tuple[int, str, str, str]]:
    """Read lines of the form `image_name| comment_number| comment`.

    One row of the copy lacks its second bar and is repaired. Quotes are part of the captions there,
    and no field is quoted.
    """
    for line, text in enumerate(_lines(path), start=1):
        fields = [field.strip() for field in text.split("|")]
        if line == 1:
            if fields != _KAGGLE_HEADER:
                header = "| ".join(_KAGGLE_HEADER)
                raise RetrievalInputError(f"{path} must start with {header!r}, got {text!r:.80}")
            continue
        if fields == [""]:
            continue
        number_and_caption = _NUMBER_AND_CAPTION.fullmatch(fields[1]) if len(fields) == 2 else None
        if number_and_caption:
            warnings.warn(
                f"{path}, line {line}: no bar behind the number {number_and_caption[1]}; repaired",
                stacklevel=2,
            )
            fields[1:] = number_and_caption.groups()
        if len(fields) != 3:
            where = f"{path}, line {line}"
            raise RetrievalInputError(f"{where}: expected 3 fields between bars, got {text!r:.80}")
        yield line, *fields


def _numbered(rows: Iterable[tuple[int, str, str, str]], path: Path) -> dict[str, list[str]]:
    """Captions of each picture; a number that is not the next one is an error."""
    texts: dict[str, list[str]] = {}
    for line, filename, number, caption in rows:
        captions = texts.setdefault(filename, [])
        if number != str(len(captions)):
            raise RetrievalInputError(
                f"{path}, line {line}: caption {number!r} of {filename!r}, expected number"
                f" {len(captions)}. A line is missing, repeated or out of order: fetch the file"
                " again"
            )
        captions.append(caption)
    return texts
