"""LSMDC: clips of films with the sentences that describe them for blind people."""

from functools import partial
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.paths import is_file_name
from lib.datasets.annotations import Record, captioned_media, require_file
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import published_counts
from lib.datasets.media.files import ClipFiles, find_names
from lib.datasets.text_lists import numbered_lines

NAME = "lsmdc"
SPLITS = ("test", "val", "train")
# Test and training rows: albanie/collaborative-experts, misc/datasets/lsmdc/README.md. Validation
# rows: Luo et al. 2022 (recalled). Clips of training and validation: nobody states them.
PUBLISHED = {
    "test": {"videos": 1_000, "captions": 1_000},
    "val": {"captions": 7_408},
    "train": {"captions": 101_079},
}
FILES = {
    "test": "LSMDC16_challenge_1000_publictect.csv",  # the release spells it so
    "val": "LSMDC16_annos_val.csv",
    "train": "LSMDC16_annos_training.csv",
}
FOLDERS = ("videos", "LSMDC_Videos", "avi")
_ANNOTATIONS = ("lsmdc_data", "annotations", "lsmdc2016")
_SUFFIXES = (".avi", ".mp4", ".mkv", ".webm")
COLUMNS = ("clip", "start aligned", "end aligned", "start extracted", "end extracted", "sentence")


def load_lsmdc(
    root: str | Path,
    split: str = "test",
    *,
    n_frames: int = 12,
    allow_partial: bool = False,
    need_media: bool = True,
) -> CaptionedMedia:
    """Load the LSMDC clips of a split and their sentences, in which names are "SOMEONE".

    Args:
        root: holds the files of 2016 (or has them in `lsmdc_data/`, `annotations/` or
            `lsmdc2016/`), and the clips in `videos/`, `LSMDC_Videos/` or `avi/`, in one folder a
            film or all in one, as `<clip>.avi` (.mp4, .mkv and .webm too).
        split: `"test"`, the 1,000 public test clips on which papers report, one sentence each;
            `"val"` or `"train"`, where some clips have several.
        n_frames: frames of each clip.
        allow_partial: evaluate what exists, and say so.
        need_media: False reads the annotations alone.

    Returns:
        Item ids are the file's (`"0001_American_Beauty_00.00.51.926-00.00.54.129"`: film, start
        and end). Text ids are the same in the test split; elsewhere they add the number of the
        sentence ("#0").

    Reference: Rohrbach et al. 2017, "Movie description".
    """
    check_choice(split, SPLITS, "split")
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    path = require_file(root, FILES[split], _ANNOTATIONS, NAME)
    texts = read_clips(path, several=split != "test")
    names = _find_clips(root, list(texts))
    return captioned_media(
        [_record(names[clip], clip, sentences, split) for clip, sentences in texts.items()],
        root,
        partial(ClipFiles, n_frames=n_frames),
        name=label,
        split=split,
        modality="video",
        published=published,
        captions="own clip",
        datasheet=NAME,
        allow_partial=allow_partial,
        need_media=need_media,
        source=path,
    )


def read_clips(path: str | Path, *, several: bool) -> dict[str, list[str]]:
    """Read `{clip: sentences}` of six columns between tabs, without a header and without quoting.

    Args:
        path: the file. Quotes belong to the sentences.
        several: False refuses a clip that occurs twice.
    """
    texts: dict[str, list[str]] = {}
    for line, text in numbered_lines(path):
        cells = text.split("\t")
        if len(cells) != len(COLUMNS):
            raise RetrievalInputError(
                f"{path}, line {line}: expected {len(COLUMNS)} columns between tabs"
                f" ({', '.join(COLUMNS)}), got {text!r:.120}"
            )
        clip, sentence = cells[0].strip(), cells[-1].strip()
        if not clip or not sentence:
            raise RetrievalInputError(
                f"{path}, line {line}: expected a clip and a sentence, got {text!r:.120}"
            )
        if clip in texts and not several:
            raise RetrievalInputError(f"{path}, line {line}: the clip {clip!r} occurs twice")
        texts.setdefault(clip, []).append(sentence)
    return texts


def _record(file: str, clip: str, sentences: list[str], split: str) -> Record:
    if split == "test":
        return Record(file, clip, ((clip, sentences[0]),))
    return Record(file, clip, tuple((f"{clip}#{at}", text) for at, text in enumerate(sentences)))


def _find_clips(root: Path, clips: list[str]) -> dict[str, str]:
    """`{clip: path}`; the folder of its film comes first."""
    by_film: dict[str, list[str]] = {}
    for clip in clips:
        by_film.setdefault(clip.rpartition("_")[0] or clip, []).append(clip)
    names, loose = {}, []
    for film, of_film in by_film.items():
        # A film may hold anything in a hostile file; only plain names can be folders.
        plain = not set(film) & set("/\\\0") and film not in (".", "..") and is_file_name(film)
        own = [
            f"{folder}/{film}" for folder in FOLDERS if plain and (root / folder / film).is_dir()
        ]
        if own:
            names |= zip(of_film, find_names(root, of_film, [*own, *FOLDERS], _SUFFIXES))
        else:
            loose += of_film
    return names | dict(zip(loose, find_names(root, loose, FOLDERS, _SUFFIXES)))
