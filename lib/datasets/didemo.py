"""DiDeMo: films of up to 30 seconds, and for each one paragraph of all its sentences."""

from functools import partial
from pathlib import Path

from lib.core.checks import RetrievalInputError, check_choice
from lib.datasets.annotations import Record, captioned_media, field_of, read_json, require_file
from lib.datasets.captioned import CaptionedMedia
from lib.datasets.completeness import Count, check_counts, published_counts
from lib.datasets.media.files import VIDEO_SUFFIXES, ClipFiles, find_names
from lib.datasets.paragraphs import PARAGRAPHS, join_sentences
from lib.datasets.text_lists import read_ids

NAME = "didemo"
SPLITS = ("test", "test_release", "val", "train")
# Lists: albanie/collaborative-experts, misc/datasets/didemo/README.md. test_data.json: counted in
# the file of the release.
_VIDEOS = {"test": 1_004, "test_release": 1_037, "val": 1_065, "train": 8_392}
PUBLISHED = {split: {"videos": n, "captions": n} for split, n in _VIDEOS.items()}
for _split in ("test", "test_release"):
    PUBLISHED[_split]["sentences of the file"] = 4_021
FOLDERS = ("videos", "DiDeMo_Videos", "video")
_ANNOTATIONS = ("didemo_data", "data", "annotations")
SECONDS = 30  # at which the authors cut longer films before they were described


def load_didemo(
    root: str | Path,
    split: str = "test",
    *,
    paragraph: str = "as published",
    trimmed: bool = False,
    n_frames: int = 64,
    allow_partial: bool = False,
    need_media: bool = True,
) -> CaptionedMedia:
    """Load DiDeMo for paragraph-to-video retrieval: one query per video.

        query = " ".join(descriptions of the video, in the order of the file)

    Args:
        root: holds `test_data.json`, `val_data.json`, `train_data.json` and the lists
            `test_list.txt` and so on (or has them in `didemo_data/`, `data/` or `annotations/`),
            and the films in `videos/`, `DiDeMo_Videos/` or `video/`: under the name in the file,
            or with another suffix.
        split: `"test"`, `"val"`, `"train"`: the videos of the list, which papers use;
            `"test_release"`: all of `test_data.json`.
        paragraph: `"as published"` or `"tidy"`.
        trimmed: False if the files are the films of the release, of which the first 30 seconds
            were described and are read here; True if they are already cut to these.
        n_frames: frames per film; CLIP4Clip takes 64 at most, one per second.
        allow_partial: evaluate the films that exist.
        need_media: False reads the annotations alone.

    Returns:
        Item ids and text ids are the names of the file, in the order in which it has them first.

    Reference: Hendricks et al. 2017, "Localizing moments in video with natural language"; Zhang
    et al. 2018, "Cross-modal and hierarchical modeling of video and text" (paragraphs); Liu et al.
    2019, "Use what you have" (lists).
    """
    check_choice(split, SPLITS, "split")
    check_choice(paragraph, PARAGRAPHS, "paragraph")
    root = Path(root)
    label, published = published_counts(root, NAME, split, PUBLISHED)
    part = split.removesuffix("_release")
    path = require_file(root, f"{part}_data.json", _ANNOTATIONS, NAME)
    sentences = read_sentences(path)
    key = "sentences of the file"
    if key in published:
        count = Count(key, sum(map(len, sentences.values())), published[key])
        check_counts([count], f"{label}, {split} split", allow_partial)
    if split == part:
        sentences = _listed(sentences, path, root, part)
    videos = list(sentences)
    stems = [(video, video.rpartition(".")[0] or video) for video in videos]
    names = find_names(root, stems, FOLDERS, ("", *VIDEO_SUFFIXES))
    texts = [join_sentences(sentences[v], f"{path}, video {v!r}", paragraph) for v in videos]
    segments = None if trimmed else [(0.0, float(SECONDS))] * len(videos)
    return captioned_media(
        [Record(file, id_, ((id_, text),)) for file, id_, text in zip(names, videos, texts)],
        root,
        partial(ClipFiles, segments=segments, n_frames=n_frames),
        name=label,
        split=split,
        modality="video",
        published=published,
        captions=f"paragraph, {paragraph}",
        datasheet=NAME,
        allow_partial=allow_partial,
        need_media=need_media,
        source=path,
    )


def read_sentences(path: str | Path) -> dict[str, list[str]]:
    """Read `{video: descriptions}` of a file of the release, in the order of the file.

    Args:
        path: a list of `{"video", "description", "times", "annotation_id", ...}`; each
            annotation once.
    """
    data = read_json(path)
    if not isinstance(data, list):
        raise RetrievalInputError(f"{path} must be a list of entries, got {type(data).__name__}")
    sentences: dict[str, list[str]] = {}
    entry_of: dict[int, int] = {}
    for number, entry in enumerate(data):
        where = f"{path}, entry {number}"
        annotation = field_of(entry, "annotation_id", int, where)
        if annotation in entry_of:
            raise RetrievalInputError(
                f"{where}: annotation {annotation} is also entry {entry_of[annotation]}"
            )
        entry_of[annotation] = number
        video = field_of(entry, "video", str, where)
        sentences.setdefault(video, []).append(field_of(entry, "description", str, where))
    return sentences


def _listed(
    sentences: dict[str, list[str]], path: Path, root: Path, part: str
) -> dict[str, list[str]]:
    """The videos of the list of a part, in the order of the annotations."""
    list_path = require_file(root, f"{part}_list.txt", _ANNOTATIONS, NAME)
    listed = set(read_ids(list_path))
    without = sorted(listed - set(sentences))
    if without:
        raise RetrievalInputError(
            f"{path} has no sentence for {len(without):,} videos of {list_path.name}, the first is"
            f" {without[0]!r}; names must be written as in the file, with their suffix"
        )
    return {video: texts for video, texts in sentences.items() if video in listed}
