"""xFlickr&CO: 1,000 pictures of Flickr30K and 1,000 of COCO, described in eight languages."""

import re
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.reading import MissingFileError
from lib.datasets.annotations import Record, captioned_media, field_of
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import published_counts
from lib.datasets.flickr30k import FOLDERS as FLICKR_FOLDERS
from lib.datasets.media.files import PictureFiles
from lib.datasets.text_lines import read_json_lines

NAME = "xflickrco"
SPLITS = ("test",)
# MTEB 2.26.24, descriptive statistics of XFlickr30kCoT2IRetrieval, the same in each language.
PUBLISHED = {"test": {"images": 2_000, "captions": 2_000}}
LANGUAGES = ("en", "de", "es", "id", "ja", "ru", "tr", "zh")
FOLDERS = ("annotations", "xFlickrCO/annotations")  # of the authors' repository
COCO_FOLDERS = ("val2014", "images/val2014")
_PICTURE = re.compile(r"[0-9]{1,18}\.jpg|(COCO_val2014_[0-9]{12}\.jpg)")


def load_xflickrco(
    root: str | Path,
    split: str = "test",
    *,
    language: str = "en",
    allow_partial: bool = False,
    need_media: bool = True,
) -> CaptionedMedia:
    """Load the xFlickr&CO pictures with their sentences in one language.

    Args:
        root: holds `annotations/<language>/test.jsonl`, itself or in `xFlickrCO/`, the pictures of
            Flickr30K in one of its folders, and those of COCO in `val2014/` or `images/val2014/`.
        split: `"test"`; there is no other.
        language: one of `LANGUAGES`.
        allow_partial: evaluate what exists, and say so.
        need_media: False reads the annotations alone.

    Returns:
        Item ids are the file names without suffix; the id of a sentence adds its language. The
        split names the language, too: `"test de"`.

    Reference: Bugliarello et al. 2022, "IGLUE: a benchmark for transfer learning across modalities,
    tasks, and languages".
    """
    check_choice(split, SPLITS, "split")
    check_choice(language, LANGUAGES, "language")
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    paths = [root / folder / language / "test.jsonl" for folder in FOLDERS]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise MissingFileError(
            f"{root} does not have {language}/test.jsonl in {' or '.join(FOLDERS)}."
            f" `crossmodal data download {NAME}` shows its source"
        )
    flickr, coco = (
        next((folder for folder in folders if (root / folder).is_dir()), folders[0])
        for folders in (FLICKR_FOLDERS, COCO_FOLDERS)
    )
    return captioned_media(
        _records(path, language, flickr, coco),
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
        source=path,
    )


def _records(path: Path, language: str, flickr: str, coco: str) -> list[Record]:
    records: dict[str, Record] = {}
    for where, entry in read_json_lines(path):
        name = field_of(entry, "img_path", str, where)
        match = _PICTURE.fullmatch(name)
        if match is None:
            raise RetrievalInputError(
                f"{where}: img_path must be a picture of Flickr30K or of COCO's val2014, such as"
                f" 1007129816.jpg, got {name!r:.60}"
            )
        item = name.removesuffix(".jpg")
        if item in records:
            raise RetrievalInputError(f"{where}: pictures must be distinct, got {name} twice")
        found = field_of(entry, "sentences", list, where)
        if not found or not all(isinstance(text, str) and text.strip() for text in found):
            raise RetrievalInputError(f"{where}: sentences must hold texts, got {found!r:.60}")
        texts = tuple((f"{item}#{language}#{at}", text) for at, text in enumerate(found))
        records[item] = Record(f"{coco if match[1] else flickr}/{name}", item, texts)
    return list(records.values())
