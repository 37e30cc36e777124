"""Crossmodal-3600 (XM3600): 3,600 pictures, described by people in 36 languages."""

from collections.abc import Sequence
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.datasets.annotations import Record, captioned_media, field_of, require_file
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import published_counts
from lib.datasets.media.files import PictureFiles
from lib.datasets.text_lines import read_json_lines

NAME = "xm3600"
SPLITS = ("test",)
N_IMAGES = 3_600
# Captions of each language: MTEB 2.26.24, descriptive statistics of XM3600T2IRetrieval. Their sum,
# 261,375, is the number that the paper prints.
N_CAPTIONS = {
    "en": 7_200, "ar": 7_367, "bn": 3_600, "cs": 7_207, "da": 7_264, "de": 8_643, "el": 7_204,
    "es": 8_614, "fa": 7_245, "fi": 7_127, "fil": 7_109, "fr": 8_562, "he": 7_200, "hi": 8_503,
    "hr": 7_280, "hu": 7_216, "id": 7_126, "it": 8_471, "ja": 7_185, "ko": 7_650, "mi": 4_732,
    "nl": 8_059, "no": 7_213, "pl": 7_141, "pt": 7_243, "quz": 7_200, "ro": 7_123, "ru": 7_200,
    "sv": 7_273, "sw": 7_046, "te": 7_200, "th": 7_200, "tr": 7_233, "uk": 7_215, "vi": 7_350,
    "zh": 7_174,
}  # fmt: skip
LANGUAGES = (*N_CAPTIONS, "all")
CAPTIONS = ("all", "first")
PUBLISHED = {
    "test": {"images": N_IMAGES}
    | {f"captions, {language}": n for language, n in N_CAPTIONS.items()}
    | {"captions, all": sum(N_CAPTIONS.values())}
}
ANNOTATIONS = "captions.jsonl"
FOLDERS = ("captions", "annotations")
PICTURES = "images"


def load_xm3600(
    root: str | Path,
    split: str = "test",
    *,
    language: str = "en",
    captions: str = "all",
    allow_partial: bool = False,
    need_media: bool = True,
) -> CaptionedMedia:
    """Load the XM3600 pictures with their captions in one language, or in all.

    Args:
        root: holds `captions.jsonl`, and the pictures in `images/`.
        split: `"test"`; there is no other.
        language: one of the 36, or `"all"`: 261,375 captions, of which each is a query, and those
            of a picture in all languages are right for it.
        captions: `"all"`; or `"first"`, one caption a picture and language, as CLIP_benchmark
            evaluates and the table of open_clip prints.
        allow_partial: evaluate what exists, and say so.
        need_media: False reads the annotations alone.

    Returns:
        Item ids are the file's (`"image/key"`); the id of a caption adds its language and its
        number (`"0001a2b3c4d5e6f7#de#0"`). The split names the language, too: `"test de"`.

    Reference: Thapliyal et al. 2022, "Crossmodal-3600: a massively multilingual multimodal
    evaluation dataset".
    """
    check_choice(split, SPLITS, "split")
    check_choice(language, LANGUAGES, "language")
    check_choice(captions, CAPTIONS, "captions")
    root = Path(root)
    label, stated = published_counts(root, NAME, split, PUBLISHED)
    chosen = tuple(N_CAPTIONS) if language == "all" else (language,)
    n_images = stated["images"]
    n_texts = stated[f"captions, {language}"] if captions == "all" else n_images * len(chosen)
    path = require_file(root, ANNOTATIONS, FOLDERS, NAME)
    return captioned_media(
        _records(path, chosen, None if captions == "all" else 1),
        root,
        PictureFiles,
        name=label,
        split=f"{split} {language}",
        modality="image",
        published={"images": n_images, "captions": n_texts},
        captions=captions,
        datasheet=NAME,
        allow_partial=allow_partial,
        need_media=need_media,
        source=path,
    )


def _records(path: Path, languages: Sequence[str], first: int | None) -> list[Record]:
    """Pictures in file order, with all their captions in some languages, or the first few."""
    records: dict[str, Record] = {}
    for where, entry in read_json_lines(path):
        key = field_of(entry, "image/key", str, where)
        if key in records:
            raise RetrievalInputError(f"{where}: ids must be distinct, got {key!r} twice")
        texts = []
        for language in languages:
            place = f"{where}, {language}"
            found = field_of(field_of(entry, language, dict, where), "caption", list, place)
            if not found or not all(isinstance(text, str) and text.strip() for text in found):
                raise RetrievalInputError(f"{place}: caption must hold texts, got {found!r:.60}")
            texts += [(f"{key}#{language}#{at}", text) for at, text in enumerate(found[:first])]
        records[key] = Record(f"{PICTURES}/{key}.jpg", key, tuple(texts))
    return list(records.values())
