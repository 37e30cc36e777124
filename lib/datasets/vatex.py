"""VATEX: clips of ten seconds, with ten English and ten Chinese sentences each."""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.reading import DamagedFileError, MissingFileError, reading
from lib.datasets.annotations import (
    Record,
    captioned_media,
    field_of,
    find_file,
    read_json,
    require_file,
)
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import published_counts
from lib.datasets.media.files import VIDEO_SUFFIXES, ClipFiles, find_names
from lib.datasets.text_lists import check_disjoint, read_ids

NAME = "vatex"
SPLITS = ("test", "val", "train", "validation", "public_test")
LANGUAGES = ("en", "zh")
_FIELDS = {"en": "enCap", "zh": "chCap"}
# 25,991 training, 3,000 validation and 6,000 public test clips, ten sentences each in a language:
# vatex release and its readers. Halves of the validation set: Chen et al. 2020 (HGR).
_VIDEOS = {
    "test": 1_500,
    "val": 1_500,
    "train": 25_991,
    "validation": 3_000,
    "public_test": 6_000,
}
PUBLISHED = {split: {"videos": n, "captions": 10 * n} for split, n in _VIDEOS.items()}
OFFICIAL = {
    "train": "vatex_training_v1.0.json",
    "validation": "vatex_validation_v1.0.json",
    "public_test": "vatex_public_test_english_v1.1.json",
}
TOGETHER = "vatex_data.json"  # {clip: {"enCap": [...], "chCap": [...]}}
ENGLISH = "ref_captions.json"  # {clip: [...]}, of HGR
# The list of a part, in HGR's form and as text.
LISTS = {"test": ("tst_names.npy", "test_list.txt"), "val": ("val_names.npy", "val_list.txt")}
FOLDERS = ("videos", "VATEX_Videos", "clips")
_ANNOTATIONS = ("vatex_data", "annotations", "public_split", "annotation/RET")
_CLIP = re.compile(r"(.+)_(\d{6})_(\d{6})", re.ASCII)


def load_vatex(
    root: str | Path,
    split: str = "test",
    *,
    language: str = "en",
    trimmed: bool = True,
    n_frames: int = 12,
    allow_partial: bool = False,
    need_media: bool = True,
) -> CaptionedMedia:
    """Load the VATEX clips of a split and their sentences in one language.

    Args:
        root: holds the annotations (or has them in `vatex_data/`, `annotations/`, `public_split/`
            or `annotation/RET/`): the JSON files of the release, `vatex_data.json`, or HGR's
            `ref_captions.json` (English); for `"test"` and `"val"` also the list of the part,
            `tst_names.npy` or `test_list.txt`. Clips in `videos/`, `VATEX_Videos/` or `clips/`.
        split: `"test"`, `"val"`: the two halves of the validation set that HGR drew, on the first
            of which papers report; `"train"`, `"validation"`, `"public_test"`: those of the release
            (the last one in English only).
        language: `"en"` or `"zh"`.
        trimmed: True if files are the clips, `<clip>.mp4`; False if they are whole films,
            `<id>.mp4`, of which the times in the clip's name are read.
        n_frames: frames of each clip.
        allow_partial: evaluate what exists, and say so.
        need_media: False reads the annotations alone.

    Returns:
        Item ids are the file's (`"Ptf_2VRj-V0_000122_000132"`), in the order of the list or file;
        text ids add the number of the sentence ("#0" to "#9").

    Reference: Wang et al. 2019, "VATEX"; Chen et al. 2020, "Fine-grained video-text retrieval with
    hierarchical graph reasoning" (HGR).
    """
    check_choice(split, SPLITS, "split")
    check_choice(language, LANGUAGES, "language")
    if split == "public_test" and language == "zh":
        raise RetrievalInputError("language must be 'en' for 'public_test'; it has no Chinese")
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    texts = _texts_of_split(root, split, language)
    times = None if trimmed else [_times_of_clip(clip) for clip in texts]
    stems = [clip if trimmed else _CLIP.fullmatch(clip)[1] for clip in texts]
    names = find_names(root, stems, FOLDERS, VIDEO_SUFFIXES)
    return captioned_media(
        [_record(name, clip, texts[clip]) for name, clip in zip(names, texts)],
        root,
        partial(ClipFiles, segments=times, n_frames=n_frames),
        name=label,
        split=split,
        modality="video",
        published=published,
        captions=f"every sentence, {language}",
        datasheet=NAME,
        allow_partial=allow_partial,
        need_media=need_media,
    )


def _record(file: str, clip: str, texts: list[str]) -> Record:
    return Record(file, clip, tuple((f"{clip}#{at}", text) for at, text in enumerate(texts)))


def _times_of_clip(clip: str) -> tuple[float, float]:
    match = _CLIP.fullmatch(clip)
    if match is None or int(match[2]) >= int(match[3]):
        raise RetrievalInputError(
            f"{clip!r:.80}: trimmed=False needs ids such as 'Ptf_2VRj-V0_000122_000132', with start"
            " and end in seconds"
        )
    return float(match[2]), float(match[3])


def _texts_of_split(root: Path, split: str, language: str) -> dict[str, list[str]]:
    """`{clip: sentences}` in the order of the split."""
    if split in OFFICIAL:
        path = require_file(root, OFFICIAL[split], _ANNOTATIONS, NAME)
        return dict(_read_official(path, language))
    names, path = _read_list(root, split)
    other = "val" if split == "test" else "test"
    if any(find_file(root, name, _ANNOTATIONS) for name in LISTS[other]):
        check_disjoint(names, _read_list(root, other)[0], path, f"the list of {other!r}")
    source, texts = _described(root, language)
    without = [clip for clip in names if clip not in texts]
    if without:
        raise RetrievalInputError(
            f"{source} has no sentence for {len(without):,} of the {len(names):,} clips of"
            f" {path.name}, the first is {without[0]!r}"
        )
    return {clip: texts[clip] for clip in names}


def _read_list(root: Path, split: str) -> tuple[list[str], Path]:
    arrays, text = (find_file(root, name, _ANNOTATIONS) for name in LISTS[split])
    if arrays is None and text is None:
        raise MissingFileError(
            f"{root} does not have {' or '.join(LISTS[split])}, itself or in"
            f" {' or '.join(_ANNOTATIONS)}. `crossmodal data download {NAME}` shows its source"
        )
    if text is not None:
        return read_ids(text), text
    with reading(arrays, "no array of names", "Fetch it again"):
        found = np.load(arrays, allow_pickle=False)
        if not isinstance(found, np.ndarray) or found.ndim != 1 or found.dtype.kind != "U":
            raise DamagedFileError(f"{arrays} must hold one column of names. Fetch it again")
        names = found.tolist()
        if not names or len(set(names)) < len(names):
            raise RetrievalInputError(f"{arrays} must list each clip once. Fetch it again")
    return names, arrays


def _described(root: Path, language: str) -> tuple[Path, dict[str, list[str]]]:
    """`{clip: sentences}` of the file that is there; the release comes first."""
    path = find_file(root, OFFICIAL["validation"], _ANNOTATIONS)
    if path is not None:
        return path, dict(_read_official(path, language))
    path = find_file(root, TOGETHER, _ANNOTATIONS)
    english = find_file(root, ENGLISH, _ANNOTATIONS) if language == "en" else None
    if path is None and english is None:
        names = [OFFICIAL["validation"], TOGETHER, *([ENGLISH] if language == "en" else [])]
        raise MissingFileError(
            f"{root} does not have {' or '.join(names)}, itself or in {' or '.join(_ANNOTATIONS)}. "
            f"`crossmodal data download {NAME}` shows its source"
        )
    source = path or english
    data = read_json(source, keyed=True)
    if not isinstance(data, Mapping):
        raise RetrievalInputError(f"{source} must be an object of clips, got {type(data).__name__}")
    texts = {}
    for clip, entry in data.items():
        where = f"{source}, clip {clip!r}"
        sentences = field_of(entry, _FIELDS[language], list, where) if path else entry
        texts[clip] = _checked(sentences, where)
    return source, texts


def _read_official(path: Path, language: str) -> Iterator[tuple[str, list[str]]]:
    data = read_json(path)
    if not isinstance(data, list):
        raise RetrievalInputError(f"{path} must be a list of clips, got {type(data).__name__}")
    seen: dict[str, int] = {}
    for number, entry in enumerate(data):
        where = f"{path}, clip {number}"
        clip = field_of(entry, "videoID", str, where)
        if seen.setdefault(clip, number) != number:
            raise RetrievalInputError(f"{where}: {clip!r} is also clip {seen[clip]}")
        yield clip, _checked(field_of(entry, _FIELDS[language], list, where), where)


def _checked(sentences, where: str) -> list[str]:
    if not isinstance(sentences, list) or not sentences:
        raise RetrievalInputError(f"{where}: it must have a list of texts, got {sentences!r:.80}")
    if not all(isinstance(text, str) for text in sentences):
        raise RetrievalInputError(f"{where}: sentences must be texts, got {sentences!r:.80}")
    return sentences
