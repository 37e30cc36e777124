"""Urban1k: 1,000 pictures of streets, each with one long description."""

from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.reading import MissingFileError
from lib.datasets.annotations import Record, captioned_media
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import published_counts
from lib.datasets.media.files import PictureFiles
from lib.datasets.text_lines import read_lines

NAME = "urban1k"
SPLITS = ("test",)
# Its name, and the code of Long-CLIP: one picture beside each caption file.
PUBLISHED = {"test": {"images": 1_000, "captions": 1_000}}
FOLDERS = ("", "Urban1k/")  # the archive has a folder of its own
PICTURES, TEXTS = "image", "caption"


def load_urban1k(
    root: str | Path,
    split: str = "test",
    *,
    allow_partial: bool = False,
    need_media: bool = True,
) -> CaptionedMedia:
    """Load the Urban1k pictures, each with its description.

    A description has more words than most models read: CLIP takes 77 tokens and drops the rest, so
    that the number of tokens belongs to every result. `crossmodal eval` counts the texts whose
    ends were cut.

    Args:
        root: holds `image/N.jpg` and `caption/N.txt`, itself or in `Urban1k/`.
        split: `"test"`; there is no other.
        allow_partial: evaluate what exists, and say so.
        need_media: False reads the descriptions alone.

    Returns:
        Item ids and text ids are the names without suffix, in the order of the numbers. The first
        line of a file is the description, as in the authors' code; further lines are not read.

    Reference: Zhang et al. 2024, "Long-CLIP: unlocking the long-text capability of CLIP".
    """
    check_choice(split, SPLITS, "split")
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    folder = next((name for name in FOLDERS if (root / name / TEXTS).is_dir()), None)
    if folder is None:
        raise MissingFileError(
            f"{root} does not have the folder {TEXTS}, itself or in Urban1k."
            f" `crossmodal data download {NAME}` shows its source"
        )
    stems = sorted(_stems(root / folder / TEXTS, ".txt"), key=_by_number)
    if need_media and not allow_partial:
        _check_described(root / folder, stems)
    return captioned_media(
        [_record(root, folder, stem) for stem in stems],
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
    )


def _stems(folder: Path, suffix: str) -> set[str]:
    """Names without suffix of the visible files in a folder that have the suffix."""
    if not folder.is_dir():
        return set()
    return {path.stem for path in folder.glob(f"[!.]*{suffix}") if path.is_file()}


def _by_number(stem: str) -> tuple[int, str]:
    """Order 2 before 10; names that are no numbers come last."""
    is_number = stem.isascii() and stem.isdecimal() and len(stem) < 19
    return (int(stem) if is_number else 10**18, stem)


def _check_described(folder: Path, stems: list[str]) -> None:
    lacking = sorted(_stems(folder / PICTURES, ".jpg") - set(stems), key=_by_number)
    if lacking:
        raise RetrievalInputError(
            f"{folder / PICTURES}: {len(lacking):,} pictures have no description, the first is"
            f" {lacking[0] + '.jpg'!r}, expected {TEXTS}/{lacking[0]}.txt. Get the complete files"
            " again, or evaluate the others with allow_partial=True (--allow-partial)"
        )


def _record(root: Path, folder: str, stem: str) -> Record:
    path = root / folder / TEXTS / f"{stem}.txt"
    text = next(read_lines(path), "")
    if not text.strip():
        raise RetrievalInputError(
            f"{path}, line 1: it must be the description, got {text!r:.40}. Fetch the file again"
        )
    return Record(f"{folder}{PICTURES}/{stem}.jpg", stem, ((stem, text),))
