"""DOCCI: 15,000 photographs with descriptions of 136 words on average."""

from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.datasets.annotations import Record, captioned_media, field_of, require_file
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import published_counts
from lib.datasets.media.files import PictureFiles
from lib.datasets.text_lines import read_json_lines

NAME = "docci"
# The authors' card of google/docci, section "Data Splits".
_IMAGES = {"test": 5_000, "train": 9_647, "qual_dev": 100, "qual_test": 100}
SPLITS = tuple(_IMAGES)
PUBLISHED = {split: {"images": n, "captions": n} for split, n in _IMAGES.items()}
DESCRIPTIONS = "docci_descriptions.jsonlines"
PICTURES = "images"


def load_docci(
    root: str | Path,
    split: str = "test",
    *,
    allow_partial: bool = False,
    need_media: bool = True,
) -> CaptionedMedia:
    """Load the DOCCI pictures of a split, each with its description.

    The descriptions are longer than the 77 tokens that CLIP reads. A model drops the end, and with
    it what tells apart the related pictures of this corpus. `crossmodal eval` counts the texts
    whose ends were cut.

    Args:
        root: holds `docci_descriptions.jsonlines`, and the pictures in `images/`.
        split: `"test"`, `"train"`, or the small sets for people to look at, `"qual_dev"` and
            `"qual_test"`.
        allow_partial: evaluate what exists, and say so.
        need_media: False reads the descriptions alone.

    Returns:
        Item ids and text ids are the file's (`"test_00000"`), in the order of the file.

    Reference: Onoe et al. 2024, "DOCCI: descriptions of connected and contrasting images".
    """
    check_choice(split, SPLITS, "split")
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    path = require_file(root, DESCRIPTIONS, ("data",), NAME)
    return captioned_media(
        _records(path, split),
        root,
        PictureFiles,
        name=label,
        split=split,
        modality="image",
        published=published,
        captions="all",
        datasheet=NAME,
        allow_partial=allow_partial,
        need_media=need_media,
        source=path,
    )


def _records(path: Path, split: str) -> list[Record]:
    records: dict[str, Record] = {}
    for where, entry in read_json_lines(path):
        part, example = (field_of(entry, name, str, where) for name in ("split", "example_id"))
        if part not in SPLITS:
            known = ", ".join(SPLITS)
            raise RetrievalInputError(f"{where}: split must be one of {known}, got {part!r:.40}")
        if part != split:
            continue
        if example in records:
            raise RetrievalInputError(f"{where}: ids must be distinct, got {example!r} twice")
        text = field_of(entry, "description", str, where)
        if not text.strip():
            raise RetrievalInputError(f"{where}: 'description' must be words, got {text!r:.40}")
        picture = f"{PICTURES}/{field_of(entry, 'image_file', str, where)}"
        records[example] = Record(picture, example, ((example, text),))
    return list(records.values())
