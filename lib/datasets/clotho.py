"""Clotho: sounds of 15 to 30 seconds from Freesound, with five sentences each."""

from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.datasets.annotations import Record, captioned_media, require_file
from lib.datasets.audio_video import SOUND_SUFFIXES
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import published_counts
from lib.datasets.csv_files import read_table
from lib.datasets.media.files import AudioFiles, find_names

NAME = "clotho"
SPLITS = ("evaluation", "validation", "development")
N_TEXTS = 5  # of each sound
# Release 2.1; sizes from the layout in the README of DCASE's baseline, xieh97/dcase2023-audio-
# retrieval (3839, 1045 and 1045 files), and in all 6,974 sounds and 34,870 captions on the page of
# the challenge.
_SOUNDS = {"evaluation": 1_045, "validation": 1_045, "development": 3_839}
PUBLISHED = {split: {"sounds": n, "captions": N_TEXTS * n} for split, n in _SOUNDS.items()}
HEADER = ("file_name", *(f"caption_{number}" for number in range(1, N_TEXTS + 1)))
ANNOTATIONS = ("clotho_csv_files", "csv_files", "annotations")
METRIC = "MAP@10"  # which DCASE reports beside R@1, R@5 and R@10


def load_clotho(
    root: str | Path,
    split: str = "evaluation",
    *,
    allow_partial: bool = False,
    need_media: bool = True,
) -> CaptionedMedia:
    """Load the sounds of one split and their captions, for retrieval between text and sound.

    Args:
        root: holds `clotho_captions_<split>.csv` (or has it in `clotho_csv_files/`, `csv_files/` or
            `annotations/`), and the sounds in `<split>/`, `clotho_audio_<split>/`,
            `clotho_audio_files/<split>/`, `audio/<split>/` or `audio/`, under the names in the file
            (.wav; .flac, .mp3, .ogg and .m4a too).
        split: `"evaluation"`, on which papers report, `"validation"` or `"development"`.
        allow_partial: evaluate what exists.
        need_media: False reads the annotations alone.

    Returns:
        Item ids are the file names (`"Santa Motor.wav"`); text ids add the number of the caption
        (`"Santa Motor.wav#1"`).

    Reference: Drossos et al. 2020, "Clotho: an audio captioning dataset"; Xie et al. 2022,
    "Language-based audio retrieval task in DCASE 2022 challenge" (mAP@10).
    """
    check_choice(split, SPLITS, "split")
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    path = require_file(root, f"clotho_captions_{split}.csv", ANNOTATIONS, NAME)
    texts: dict[str, tuple[tuple[str, str], ...]] = {}
    for line, row in read_table(path, HEADER):
        name = row["file_name"]
        if not name or name in texts:
            problem = "is there twice" if name else "is empty"
            raise RetrievalInputError(f"{path}, line {line}: file_name {name!r:.60} {problem}")
        sentences = (row[column] for column in HEADER[1:])
        texts[name] = tuple((f"{name}#{at}", text) for at, text in enumerate(sentences, start=1))
    if not texts:
        raise RetrievalInputError(f"{path} has no row behind its header. Fetch it again")
    # Names hold dots: only the suffix of the format is taken off.
    stems = [name.removesuffix(".wav") for name in texts]
    folders = (split, f"clotho_audio_{split}", f"clotho_audio_{split}/{split}")
    folders += (f"clotho_audio_files/{split}", f"audio/{split}", "audio")
    files = find_names(root, stems, folders, SOUND_SUFFIXES)
    return captioned_media(
        [Record(file, name, texts[name]) for file, name in zip(files, texts)],
        root,
        AudioFiles,
        name=label,
        split=split,
        modality="audio",
        published=published,
        captions="all",
        datasheet=NAME,
        allow_partial=allow_partial,
        need_media=need_media,
        source=path,
    )
