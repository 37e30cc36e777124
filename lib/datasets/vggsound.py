"""VGGSound: ten seconds of a video each, one of 309 sound classes, its source in the picture."""

import re
from pathlib import Path

from lib.core.checks import RetrievalInputError, whole_number_of
from lib.datasets.annotations import find_file, require_file
from lib.datasets.audio_video import AudioVideoClips, AudioVideoFormat, Segments, load_audio_video
from lib.datasets.csv_files import read_rows

NAME = "vggsound"
SPLITS = ("retrieval", "test")
PUBLISHED = {
    "retrieval": {"clips": 1_545},  # 309 x 5
    "test": {"segments": 15_446, "classes": 309, "five per class": 1_545},
}
ANNOTATIONS = "vggsound.csv"
TEST = "test.csv"  # the authors' list of the test set
SECONDS = 10  # of every segment
_CLIP = re.compile(r"(.+)_(\d{6})\.mp4")


def load_vggsound(root: str | Path, split: str = "retrieval", **options) -> AudioVideoClips:
    """Load VGGSound as audio-video retrieval.

    Args:
        root: holds `vggsound.csv` or the authors' `test.csv` (or has it in `annotations/` or
            `data/`), or CAV-MAE's subset file; clips in
            `videos/` as `<id>_<start as six digits>.mp4`, sounds in `audio/`, else those of the
            clips.
        split: `"retrieval"`, the subset of the test set that CAV-MAE published, on which papers
            report, or `"test"`.
        options: `subset`, `relevance`, `trimmed`, `n_frames`, `allow_partial` and `need_media`
            of `audio_video.load_audio_video`.

    Reference: Chen et al. 2020, "VGGSound"; Gong et al. 2023, "Contrastive audio-visual masked
    autoencoder".
    """
    return load_audio_video(root, split, VGGSOUND, **options)


def _read_split(root: Path, split: str) -> tuple[Segments, dict[str, int]]:
    path = find_file(root, ANNOTATIONS, ("annotations",))
    listed = split == "test" and find_file(root, TEST, ("annotations", "data"))
    if path is None and listed:
        segments = read_test_list(listed)
    else:
        segments = read_segments(require_file(root, ANNOTATIONS, ("annotations",), NAME), split)
    n_classes = len({clip_labels[0] for clip_labels in segments.labels})
    return segments, {"segments": len(segments), "classes": n_classes}


def read_segments(path: str | Path, split: str) -> Segments:
    """Read the rows `YouTubeID,start_seconds,label,split` of one split; there is no header line."""
    ids, stems, times, labels = [], [], [], []
    for line, (video, start, label, part) in read_rows(path, 4):
        seconds = whole_number_of(start, most_digits=6)
        if seconds is None or part not in ("train", "test") or not label:
            raise RetrievalInputError(
                f"{path}, line {line}: expected id, whole seconds, a label, and train or test;"
                f" found {video!r:.40}, {start!r:.40}, {label!r:.40}, {part!r:.40}"
            )
        if part == split:
            ids.append(f"{video}_{seconds:06d}")
            stems.append((ids[-1], video))
            times.append((float(seconds), float(seconds) + SECONDS))
            labels.append((label,))
    if not ids:
        raise RetrievalInputError(f"{path} has no row of the split {split!r}")
    return Segments(tuple(ids), tuple(stems), tuple(times), tuple(labels))


def read_test_list(path: str | Path) -> Segments:
    """Read the authors' list of the test set: `glLQrEijrKg_000300.mp4,playing hammond organ`."""
    ids, stems, times, labels = [], [], [], []
    for line, (file, label) in read_rows(path, 2):
        match = _CLIP.fullmatch(file)
        if match is None or not label:
            raise RetrievalInputError(
                f"{path}, line {line}: expected <id>_<start as six digits>.mp4 and a label; found"
                f" {file!r:.60}, {label!r:.40}"
            )
        start = float(match[2])
        ids.append(f"{match[1]}_{match[2]}")
        stems.append((ids[-1], match[1]))
        times.append((start, start + SECONDS))
        labels.append((label,))
    return Segments(tuple(ids), tuple(stems), tuple(times), tuple(labels))


VGGSOUND = AudioVideoFormat(NAME, PUBLISHED, _read_split)
