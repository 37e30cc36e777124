"""AudioSet: ten seconds of a video each, some of 527 sound classes."""

import math
import re
from collections.abc import Mapping
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError
from lib.datasets.annotations import require_file
from lib.datasets.audio_video import (
    AudioVideoClips,
    AudioVideoFormat,
    Segments,
    load_audio_video,
    split_labels,
)
from lib.datasets.csv_files import read_rows, read_table

NAME = "audioset"
SPLITS = ("retrieval", "eval", "balanced_train")
PUBLISHED = {
    "retrieval": {"clips": 1_725},  # in CAV-MAE's paper; the other numbers are those of the files
    "eval": {"segments": 20_371, "classes": 527},
    "balanced_train": {"segments": 22_160, "classes": 527},
}
CLASSES = "class_labels_indices.csv"


def load_audioset(root: str | Path, split: str = "retrieval", **options) -> AudioVideoClips:
    """Load AudioSet as audio-video retrieval.

    Args:
        root: holds `eval_segments.csv`, `balanced_train_segments.csv` and
            `class_labels_indices.csv` (or has them in `annotations/`), or CAV-MAE's subset file;
            pictures in `videos/`, sounds in `audio/`, else those of the videos. Files are called
            `<id>`, `<id>_<start as six digits>` or `<id>_<start>_<end>` in milliseconds.
        split: `"retrieval"`, the subset of the evaluation set that CAV-MAE published, on which
            papers report; `"eval"` or `"balanced_train"`, the segments of a set.
        options: `subset`, `relevance`, `trimmed`, `n_frames`, `allow_partial` and `need_media`
            of `audio_video.load_audio_video`.

    Reference: Gemmeke et al. 2017, "Audio Set"; Gong et al. 2023, "Contrastive audio-visual masked
    autoencoder".
    """
    return load_audio_video(root, split, AUDIOSET, **options)


def _read_split(root: Path, split: str) -> tuple[Segments, dict[str, int]]:
    folders = ("annotations",)
    classes = read_classes(require_file(root, CLASSES, folders, NAME))
    path = require_file(root, f"{split}_segments.csv", folders, NAME)
    segments = read_segments(path, classes)
    return segments, {"segments": len(segments), "classes": len(classes)}


def read_segments(path: str | Path, classes: Mapping[str, str] | None = None) -> Segments:
    """Read a segments file: comment lines, then `YTID, start_seconds, end_seconds, "label,label"`.

    The second line counts ids, segments, labels and positive labels, and the rows must agree. A
    label that is not in `classes`, `{mid: name}`, is an error.
    """
    comments: list[str] = []
    ids, stems, times, labels = [], [], [], []
    for line, (video, start, end, joined) in read_rows(path, 4, spaced=True, comments=comments):
        where = f"{path}, line {line}"
        if video == "YTID":
            raise RetrievalInputError(
                f"{where} names the columns and has lost the '#' in front of it. Fetch the file"
                " again"
            )
        clip_labels = split_labels(joined, where)
        unknown = [label for label in clip_labels if classes is not None and label not in classes]
        if unknown:
            raise RetrievalInputError(f"{where}: the label {unknown[0]!r} is not in {CLASSES}")
        first, last = _times(start, end, where)
        by_milliseconds = f"{video}_{round(1000 * first)}_{round(1000 * last)}"
        ids.append(video)
        stems.append((video, f"{video}_{int(first):06d}", by_milliseconds))
        times.append((first, last))
        labels.append(clip_labels)
    counted = {
        "num_ytids": len(set(ids)),
        "num_segs": len(ids),
        "num_unique_labels": len({label for clip_labels in labels for label in clip_labels}),
        "num_positive_labels": sum(map(len, labels)),
    }
    stated = dict(re.findall(r"(num_\w+)=(\d+)", " ".join(comments)))
    wrong = [
        f"{key}={stated[key]} and has {number}"
        for key, number in counted.items()
        if key in stated and int(stated[key]) != number
    ]
    if wrong:
        raise DamagedFileError(f"{path} is incomplete: {'; '.join(wrong)}. Fetch it again")
    return Segments(tuple(ids), tuple(stems), tuple(times), tuple(labels))


def _times(start: str, end: str, where: str) -> tuple[float, float]:
    try:
        first, last = float(start), float(end)
    except ValueError:
        first = last = math.nan
    if not (0 <= first < last < math.inf):
        raise RetrievalInputError(f"{where}: times must be seconds that ascend, got {start}, {end}")
    return first, last


def read_classes(path: str | Path) -> dict[str, str]:
    """Read `class_labels_indices.csv` as `{mid: display name}`, in its order."""
    classes: dict[str, str] = {}
    for line, row in read_table(path, ("index", "mid", "display_name")):
        if row["index"] != str(len(classes)) or row["mid"] in classes:
            raise RetrievalInputError(
                f"{path}, line {line}: expected index {len(classes)} and a new mid, got {row!r:.80}"
            )
        classes[row["mid"]] = row["display_name"]
    return classes


AUDIOSET = AudioVideoFormat(NAME, PUBLISHED, _read_split)
