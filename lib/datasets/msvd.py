"""MSVD: 1,970 short clips with about forty sentences each."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.reading import MissingFileError
from lib.datasets.annotations import (
    Record,
    captioned_media,
    find_file,
    read_blip,
    read_json,
    require_file,
)
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import published_counts
from lib.datasets.media.files import ClipFiles, find_names
from lib.datasets.plain_pickle import read_plain_pickle
from lib.datasets.text_lists import numbered_lines, read_ids

NAME = "msvd"
SPLITS = ("test", "val", "train")
SENTENCES = ("raw-captions", "release", "umt")
# Videos: albanie/collaborative-experts, misc/datasets/msvd/README.md. Sentences: of
# raw-captions.pkl, as CLIP4Clip's loader counts them (recalled; together 80,827).
PUBLISHED = {
    "test": {"videos": 670, "captions": 27_763},
    "val": {"videos": 100, "captions": 4_290},
    "train": {"videos": 1_200, "captions": 48_774},
}
RAW = ("raw-captions.pkl", "raw-captions.json")
RELEASE = "AllVideoDescriptions.txt"
FOLDERS = ("YouTubeClips", "MSVD_Videos", "videos")
_ANNOTATIONS = ("msvd_data", "annotations")
_SUFFIXES = (".avi", ".mp4", ".mkv", ".webm")  # the release has .avi


def load_msvd(
    root: str | Path,
    split: str = "test",
    *,
    sentences: str = "raw-captions",
    n_frames: int = 12,
    allow_partial: bool = False,
    need_media: bool = True,
) -> CaptionedMedia:
    """Load the MSVD clips of a split; every sentence is a query, and its own clip is right.

    Args:
        root: holds `train_list.txt`, `val_list.txt`, `test_list.txt` and `raw-captions.pkl` (or has
            them in `msvd_data/` or `annotations/`), and the clips in `YouTubeClips/`,
            `MSVD_Videos/` or `videos/`, as `<id>.avi` (.mp4, .mkv and .webm too).
        split: `"test"`, on which papers report, `"val"` or `"train"`.
        sentences: `"raw-captions"`, the words in lower case that published code joins with spaces;
            `"release"`, the sentences as typed, of `AllVideoDescriptions.txt`; or `"umt"`, those of
            `msvd_ret_<split>.json`, with which UMT and InternVideo2 are evaluated. Nobody states
            the number of the latter two.
        n_frames: frames of each clip.
        allow_partial: evaluate what exists, and say so.
        need_media: False reads the annotations alone.

    Returns:
        Item ids are the file's (`"-4wsuPCjDBc_5_15"`: film, start and end in seconds), in the order
        of the list. Text ids add the number of the sentence (`"-4wsuPCjDBc_5_15#3"`). From clip to
        text there are two protocols, see `lib.metrics.evaluate_by_best_text`.

    Reference: Chen and Dolan 2011, "Collecting highly parallel data for paraphrase evaluation";
    Venugopalan et al. 2015, "Sequence to sequence - video to text" (splits); Luo et al. 2022,
    "CLIP4Clip".
    """
    check_choice(split, SPLITS, "split")
    check_choice(sentences, SENTENCES, "sentences")
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    if sentences != "raw-captions":
        published.pop("captions")
    texts = _read_umt(root, split) if sentences == "umt" else _listed(root, split, sentences)
    videos = list(texts)
    names = find_names(root, videos, FOLDERS, _SUFFIXES)
    return captioned_media(
        [_record(name, video, texts[video]) for name, video in zip(names, videos)],
        root,
        partial(ClipFiles, n_frames=n_frames),
        name=label,
        split=split,
        modality="video",
        published=published,
        captions=f"every sentence, {sentences}",
        datasheet=NAME,
        allow_partial=allow_partial,
        need_media=need_media,
    )


def _listed(root: Path, split: str, sentences: str) -> dict[str, list[str]]:
    """`{video: sentences}` in the order of the list of a split."""
    list_path = require_file(root, f"{split}_list.txt", _ANNOTATIONS, NAME)
    videos = read_ids(list_path)
    if sentences == "release":
        path = require_file(root, RELEASE, _ANNOTATIONS, NAME)
        texts = _read_release(path)
    else:
        path, texts = _read_raw(root)
    without = [video for video in videos if video not in texts]
    if without:
        raise RetrievalInputError(
            f"{path} has no sentence for {len(without):,} of the {len(videos):,} videos of"
            f" {list_path.name}, the first is {without[0]!r}; both must be of one release"
        )
    return {video: texts[video] for video in videos}


def _read_umt(root: Path, split: str) -> dict[str, list[str]]:
    """`{video: sentences}` of a list of `{"video": "<id>.avi", "caption": [...]}`, in its order."""
    texts: dict[str, list[str]] = {}
    path = require_file(root, f"msvd_ret_{split}.json", _ANNOTATIONS, NAME)
    for where, file, captions in read_blip(path, "video"):
        video = file.rpartition("/")[2].removesuffix(".avi").removesuffix(".mp4")
        if video in texts:
            raise RetrievalInputError(f"{where}: {video!r} occurs twice")
        texts[video] = captions
    return texts


def _record(file: str, video: str, texts: list[str]) -> Record:
    return Record(file, video, tuple((f"{video}#{at}", text) for at, text in enumerate(texts)))


def _read_raw(root: Path) -> tuple[Path, dict[str, list[str]]]:
    """`{video: sentences}` of the pickle, or of its content as JSON."""
    pickled, plain = (find_file(root, name, _ANNOTATIONS) for name in RAW)
    if pickled is None and plain is None:
        raise MissingFileError(
            f"{root} does not have {' or '.join(RAW)}, itself or in {' or '.join(_ANNOTATIONS)}. "
            f"`crossmodal data download {NAME}` shows its source"
        )
    path = pickled or plain
    data = read_plain_pickle(path) if pickled else read_json(path, keyed=True)
    if not isinstance(data, Mapping) or not all(isinstance(video, str) for video in data):
        raise RetrievalInputError(f"{path} must map ids of videos to sentences, got {_kind(data)}")
    return path, {
        video: _sentences(of_video, f"{path}, video {video!r}") for video, of_video in data.items()
    }


def _sentences(of_video, where: str) -> list[str]:
    """Join the words of each sentence with spaces, as published code does."""
    if not isinstance(of_video, list) or not of_video:
        raise RetrievalInputError(
            f"{where}: it must have a list of sentences, got {_kind(of_video)}"
        )
    texts = []
    for number, words in enumerate(of_video):
        whole = isinstance(words, str)  # in JSON that somebody converted
        if not whole and not (
            isinstance(words, list | tuple) and all(isinstance(word, str) for word in words)
        ):
            raise RetrievalInputError(
                f"{where}, sentence {number} must be a list of words, got {_kind(words)}"
            )
        texts.append(words if whole else " ".join(words))
    return texts


def _kind(value) -> str:
    """Show a text; of all else say the type, because a list may hold itself or a million lists."""
    return repr(value)[:60] if isinstance(value, str) else type(value).__name__


def _read_release(path: Path) -> dict[str, list[str]]:
    """`{video: sentences}` of lines `-4wsuPCjDBc_5_15 a squirrel is eating a peanut`."""
    texts: dict[str, list[str]] = {}
    for line, text in numbered_lines(path):
        if text.startswith("#"):  # the licence at the top
            continue
        video, _, sentence = text.partition(" ")
        if not sentence.strip():
            expected = "an id, a space and a sentence"
            raise RetrievalInputError(f"{path}, line {line}: expected {expected}, got {text!r:.80}")
        texts.setdefault(video, []).append(sentence.strip())
    return texts
