"""ActivityNet Captions: whole videos, and for each one paragraph of all its sentences."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.reading import MissingFileError
from lib.datasets.annotations import Record, captioned, every_text, field_of, find, read_json
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import published_counts
from lib.datasets.media.files import VIDEO_SUFFIXES, ClipFiles, find_names

NAME = "activitynet"
SPLITS = ("val_1", "val_2", "train")
PARAGRAPHS = ("as published", "tidy")
PUBLISHED = {
    split: {"videos": n_videos, "captions": n_videos}
    for split, n_videos in (("val_1", 4_917), ("val_2", 4_885), ("train", 10_009))
}
FOLDERS = ("videos", "Activity_Videos", "")
_WHERE = ("", "captions/", "annotations/")


def load_activitynet(
    root: str | Path,
    split: str = "val_1",
    *,
    paragraph: str = "as published",
    n_frames: int = 64,
    allow_partial: bool = False,
) -> CaptionedMedia:
    """ActivityNet Captions as paragraph-to-video retrieval: one query a video, all its sentences in
    a row.

        query = " ".join(sentences)

    Sentences other than the first begin with a space in the files, so that the published query has
    two spaces between sentences; most tokenizers do not care, and `paragraph="tidy"` has one.

    Args:
        root: holds `val_1.json`, `val_2.json`, `train.json` (or has them in `captions/` or
            `annotations/`), and the videos in `videos/`, as `<id>.mp4` or `v_<id>.mp4` (.mkv, .webm
            and .avi too).
        split: `"val_1"`, on which papers report; `"val_2"`, the same videos but 32, told by other
            people; `"train"`.
        paragraph: `"as published"` or `"tidy"`.
        n_frames: frames of each video; CLIP4Clip takes 64, one a second.
        allow_partial: evaluate the videos that are there, and say how many. They are never all
            there: videos leave YouTube, and published code skips what it does not find, which
                shrinks the gallery and
            raises its R@K. The result carries both numbers.

    Returns:
        Item ids and text ids are the file's (`"v_uqiMw7tQ1Cc"`), in file order.

    Raises:
        MissingFileError: no annotation file.
        DamagedFileError: one that is not whole.
        RetrievalInputError: counts that differ from the published ones, videos that are missing, an
            entry without sentences, an id that `val_ids.json` or `train_ids.json`, where there,
            does not list.

    Reference: Krishna et al. 2017, "Dense-captioning events in videos"; Zhang et al. 2018,
    "Cross-modal and hierarchical modeling of video and text" (paragraphs).
    """
    check_choice(split, SPLITS, "split")
    check_choice(paragraph, PARAGRAPHS, "paragraph")
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    paragraphs = _paragraphs(root, split, tidy=paragraph == "tidy")
    stems = [(video.removeprefix("v_"), video) for video in paragraphs]
    names = find_names(root, stems, FOLDERS, VIDEO_SUFFIXES)
    return captioned(
        [
            Record(name, video, ((video, text),))
            for name, (video, text) in zip(names, paragraphs.items())
        ],
        root,
        partial(ClipFiles, n_frames=n_frames),
        name=label,
        split=split,
        modality="video",
        what="videos",
        published=published,
        captions=f"paragraph, {paragraph}",
        choose=every_text,
        allow_partial=allow_partial,
        datasheet="activitynet",
    )


def _paragraphs(root: Path, split: str, *, tidy: bool) -> dict[str, str]:
    """`{video id: paragraph}` in file order."""
    path = find(root, [f"{folder}{split}.json" for folder in _WHERE])
    if path is None:
        raise MissingFileError(
            f"{root} has no {split}.json (nor have its folders {', '.join(_WHERE[1:])}). "
            f"`crossmodal data download {NAME}` says where it comes from"
        )
    data = read_json(path)
    if not isinstance(data, Mapping):
        raise RetrievalInputError(
            f"{path} must be an object of videos, found a {type(data).__name__}"
        )
    paragraphs = {}
    for video, entry in data.items():
        where = f"{path}, video {video!r}"
        sentences = field_of(entry, "sentences", list, where)
        wrong = [
            number for number, sentence in enumerate(sentences) if not isinstance(sentence, str)
        ]
        if wrong or not sentences:
            raise RetrievalInputError(
                f"{where}: 'sentences' must be a list of texts, found {sentences!r:.80}"
            )
        paragraphs[video] = (
            " ".join(one.strip() for one in sentences) if tidy else " ".join(sentences)
        )
    _check_listed(paragraphs, root, "train_ids.json" if split == "train" else "val_ids.json")
    return paragraphs


def _check_listed(videos: Mapping[str, str], root: Path, name: str) -> None:
    path = find(root, [folder + name for folder in _WHERE])
    if path is None:
        return
    listed = read_json(path)
    if not isinstance(listed, list):
        raise RetrievalInputError(f"{path} must be a list of ids, found a {type(listed).__name__}")
    others = sorted(set(videos) - {one for one in listed if isinstance(one, str)})
    if others:
        raise RetrievalInputError(
            f"{path} does not list {len(others):,} of the videos, the first is {others[0]!r}; the"
            " files are of different releases"
        )
