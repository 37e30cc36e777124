"""ActivityNet Captions: whole videos, and for each one paragraph of all its sentences."""

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.datasets import annotations
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import published_counts
from lib.datasets.media.files import VIDEO_SUFFIXES, ClipFiles, find_names
from lib.datasets.paragraphs import PARAGRAPHS, join_sentences

NAME = "activitynet"
SPLITS = ("val_1", "val_2", "train")
_VIDEOS = {"val_1": 4_917, "val_2": 4_885, "train": 10_009}
PUBLISHED = {split: {"videos": videos, "captions": videos} for split, videos in _VIDEOS.items()}
FOLDERS = ("videos", "Activity_Videos", "")
_ANNOTATIONS = ("captions", "annotations")


def load_activitynet(
    root: str | Path,
    split: str = "val_1",
    *,
    paragraph: str = "as published",
    n_frames: int = 64,
    allow_partial: bool = False,
    need_media: bool = True,
) -> CaptionedMedia:
    """Load ActivityNet Captions for paragraph-to-video retrieval: one query per video.

        query = " ".join(sentences)

    In the files, nearly all sentences but the first begin with a space. The published query has two
    spaces between sentences, which most tokenizers ignore; `paragraph="tidy"` has one.

    Args:
        root: holds `val_1.json`, `val_2.json`, `train.json` (or has them in `captions/` or
            `annotations/`), and the videos in `videos/`, as `<id>.mp4` or `v_<id>.mp4` (.mkv, .webm
            and .avi too).
        split: `"val_1"`, on which papers report; `"val_2"`, the same videos but 32, described by
            other people; `"train"`.
        paragraph: `"as published"` or `"tidy"`.
        n_frames: frames per video; CLIP4Clip takes 64, one per second.
        allow_partial: evaluate the videos that exist. Some left YouTube; published code skips them,
            which shrinks the gallery and raises R@K. The result states both numbers.
        need_media: False reads the annotations alone.

    Returns:
        Item ids and text ids are the file's (`"v_uqiMw7tQ1Cc"`), in file order. `val_ids.json` or
        `train_ids.json`, where it exists, must list them.

    Reference: Krishna et al. 2017, "Dense-captioning events in videos"; Zhang et al. 2018,
    "Cross-modal and hierarchical modeling of video and text" (paragraphs).
    """
    check_choice(split, SPLITS, "split")
    check_choice(paragraph, PARAGRAPHS, "paragraph")
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    paragraphs = _paragraphs(root, split, paragraph)
    stems = [(video.removeprefix("v_"), video) for video in paragraphs]
    names = find_names(root, stems, FOLDERS, VIDEO_SUFFIXES)
    records = [
        annotations.Record(file, id_, ((id_, text),))
        for file, (id_, text) in zip(names, paragraphs.items())
    ]
    return annotations.captioned_media(
        records,
        root,
        partial(ClipFiles, n_frames=n_frames),
        name=label,
        split=split,
        modality="video",
        published=published,
        captions=f"paragraph, {paragraph}",
        datasheet=NAME,
        allow_partial=allow_partial,
        need_media=need_media,
    )


def _paragraphs(root: Path, split: str, paragraph: str) -> dict[str, str]:
    """`{video id: paragraph}` in file order."""
    path = annotations.require_file(root, f"{split}.json", _ANNOTATIONS, NAME)
    data = annotations.read_json(path, keyed=True)
    if not isinstance(data, Mapping):
        raise RetrievalInputError(f"{path} must be an object of videos, got {type(data).__name__}")
    paragraphs = {}
    for video, entry in data.items():
        where = f"{path}, video {video!r}"
        sentences = annotations.field_of(entry, "sentences", list, where)
        paragraphs[video] = join_sentences(sentences, where, paragraph)
    _check_listed(paragraphs, root, "train_ids.json" if split == "train" else "val_ids.json")
    return paragraphs


def _check_listed(videos: Collection[str], root: Path, name: str) -> None:
    path = annotations.find_file(root, name, _ANNOTATIONS)
    if path is None:
        return
    listed = annotations.read_json(path)
    if not isinstance(listed, list):
        raise RetrievalInputError(f"{path} must be a list of ids, got {type(listed).__name__}")
    others = sorted(set(videos) - {video for video in listed if isinstance(video, str)})
    if others:
        raise RetrievalInputError(
            f"{path} does not list {len(others):,} videos, the first is {others[0]!r}; both files"
            " must be of one release"
        )
