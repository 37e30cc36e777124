"""Flickr30k-CN: the test pictures of Flickr30K, with five Chinese sentences each."""

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.reading import MissingFileError
from lib.datasets.annotations import Record, captioned_media, field_of, find_file
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import published_counts
from lib.datasets.csv_files import read_table
from lib.datasets.flickr30k import FOLDERS as PICTURE_FOLDERS
from lib.datasets.media.base64_pictures import Base64Pictures
from lib.datasets.media.files import MediaFiles, PictureFiles
from lib.datasets.text_lines import read_json_lines, read_lines

NAME = "flickr30k_cn"
# Table of the authors' README (li-xirong/cross-lingual-cap). Only the test sentences were
# translated by people.
_IMAGES = {"test": 1_000, "val": 1_000, "train": 29_783}
SPLITS = tuple(_IMAGES)
PUBLISHED = {split: {"images": n, "captions": 5 * n} for split, n in _IMAGES.items()}
# Split: the start of Chinese-CLIP's file names.
_PARTS = {"test": "test", "val": "valid", "train": "train"}
FOLDERS = ("Flickr30k-CN", "flickr30k-cn", "test")
NUMBERED = "flickr30k_cn_test.txt"
TABLES = ("flickr30k_test_zh.txt", NUMBERED)  # CLIP_benchmark's, and InternVL's name for its own
HEADER = ("image", "caption")
_NUMBERED_LINE = re.compile(r"([0-9]{1,18})(?:\.jpg)?#(?:[^#\t]{0,40}#)?([0-9])\t(.*)", re.DOTALL)


def load_flickr30k_cn(
    root: str | Path,
    split: str = "test",
    *,
    allow_partial: bool = False,
    need_media: bool = True,
) -> CaptionedMedia:
    """Load the Flickr30K pictures of a split with their Chinese sentences.

    Args:
        root: holds Chinese-CLIP's `test_texts.jsonl` with `test_imgs.tsv`, itself or in
            `Flickr30k-CN/`; or for the test split `flickr30k_cn_test.txt` (numbered lines, or a CSV
            file as InternVL has it) or CLIP_benchmark's `flickr30k_test_zh.txt`, with the pictures
            in one of the folders of Flickr30K.
        split: `"test"`; of Chinese-CLIP's files also `"val"` and `"train"`, translated by machine.
        allow_partial: evaluate what exists, and say so.
        need_media: False reads the annotations alone.

    Returns:
        Item ids are those of Flickr30K, `"1007129816"`. Text ids are the file's numbers in
        Chinese-CLIP's files, elsewhere `"1007129816#0"` to `"#4"`.

    Reference: Lan et al. 2017, "Fluency-guided cross-lingual image captioning"; Yang et al. 2022,
    "Chinese CLIP" (the files).
    """
    check_choice(split, SPLITS, "split")
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    texts, folder = _sentences(root, split)
    open_media, name_of = _pictures(root, folder, split)
    return captioned_media(
        [Record(name_of(item), item, tuple(found)) for item, found in texts.items()],
        root,
        open_media,
        name=label,
        split=split,
        modality="image",
        published=published,
        captions="all",
        datasheet=NAME,
        allow_partial=allow_partial,
        need_media=need_media,
    )


Sentences = dict[str, list[tuple[str, str]]]  # {picture: [(text id, text), ...]}


def _sentences(root: Path, split: str) -> tuple[Sentences, str]:
    """Return the sentences of a split, and the folder of their file, relative to the root."""
    listed = find_file(root, f"{_PARTS[split]}_texts.jsonl", FOLDERS)
    if listed is not None:
        return _listed(listed), listed.parent.relative_to(root).as_posix()
    tables = [find_file(root, name, FOLDERS) for name in TABLES if split == "test"]
    path = next((path for path in tables if path is not None), None)
    if path is None:
        forms = f"{_PARTS[split]}_texts.jsonl"
        forms += f", {' or '.join(TABLES)}" if split == "test" else ""
        raise MissingFileError(
            f"{root} does not have {forms}. `crossmodal data download {NAME}` shows the sources"
        )
    is_csv = next(read_lines(path), "") == ",".join(HEADER)
    return _table(path) if is_csv else _numbered(path), path.parent.relative_to(root).as_posix()


def _listed(path: Path) -> Sentences:
    """Read Chinese-CLIP's lines `{"text_id", "text", "image_ids": [...]}`."""
    found: Sentences = {}
    for where, entry in read_json_lines(path):
        text, pictures = field_of(entry, "text", str, where), entry.get("image_ids")
        one = isinstance(pictures, list) and len(pictures) == 1 and pictures[0]
        if not isinstance(one, int | str) or isinstance(one, bool) or one == "":
            raise RetrievalInputError(
                f"{where}: image_ids must be a list with the one picture of the sentence, got"
                f" {pictures!r:.60}"
            )
        _check_words(text, where)
        text_id = str(field_of(entry, "text_id", (int, str), where))
        found.setdefault(str(one), []).append((text_id, text))
    return found


def _numbered(path: Path) -> Sentences:
    """Read lines such as `1007129816#zhm#0`, a tab, and the sentence."""
    found: Sentences = {}
    for number, line in enumerate(read_lines(path), start=1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        match = _NUMBERED_LINE.fullmatch(line)
        if match is None:
            raise RetrievalInputError(
                f"{where}: expected 'id#...#number', a tab and a sentence, got {line!r:.60}"
            )
        item, at, text = match.groups()
        _check_words(text, where)
        if any(text_id == f"{item}#{at}" for text_id, _ in found.get(item, ())):
            raise RetrievalInputError(f"{where}: sentence {at} of {item} occurs twice")
        found.setdefault(item, []).append((f"{item}#{at}", text))
    return found


def _table(path: Path) -> Sentences:
    """Read a CSV file with the columns image and caption."""
    found: Sentences = {}
    for line, row in read_table(path, HEADER):
        _check_words(row["caption"], f"{path}, line {line}")
        item = row["image"].removesuffix(".jpg")
        sentences = found.setdefault(item, [])
        sentences.append((f"{item}#{len(sentences)}", row["caption"]))
    return found


def _check_words(text: str, where: str) -> None:
    if not text.strip():
        raise RetrievalInputError(f"{where}: the sentence must be words, got {text!r:.40}")


def _pictures(
    root: Path, folder: str, split: str
) -> tuple[Callable[[Path, Sequence[str]], MediaFiles], Callable[[str], str]]:
    """Return a class of media, and the name of each picture in it."""
    table = Path(folder) / f"{_PARTS[split]}_imgs.tsv"
    if (root / table).is_file():
        return partial(Base64Pictures, table=table.as_posix()), str
    name = next((name for name in PICTURE_FOLDERS if (root / name).is_dir()), PICTURE_FOLDERS[0])
    return PictureFiles, lambda item: f"{name}/{item}.jpg"
