"""VGGSound: ten seconds of a video each, one of 309 sound classes, its source in the picture."""

from functools import partial
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.datasets.csv_files import read_rows
from lib.datasets.labelled_clips import load_labelled_clips
from lib.datasets.segments import Segments, annotation
from lib.datasets.sound_and_vision import SoundAndVision

NAME = "vggsound"
SPLITS = ("retrieval", "test")
PUBLISHED = {
    "retrieval": {"clips": 1_545},  # 309 x 5
    "test": {"segments": 15_446, "classes": 309, "five per class": 1_545},
}
ANNOTATIONS = "vggsound.csv"
SECONDS = 10  # of every segment


def load_vggsound(
    root: str | Path,
    split: str = "retrieval",
    *,
    subset: str = "five per class",
    relevance: str = "same clip",
    trimmed: bool = True,
    n_frames: int = 10,
    allow_partial: bool = False,
) -> SoundAndVision:
    """VGGSound as audio-video retrieval.

    Args:
        root: holds `vggsound.csv` (or has it in `annotations/`), or CAV-MAE's subset file; clips in
            `videos/` as `<id>_<start as six digits>.mp4`, sounds in `audio/`, else those of the
            clips.
        split: `"retrieval"`, the subset of the test set that CAV-MAE published, on which papers
            report, or `"test"`.
        subset: of the test set: `"five per class"`, drawn by us from seed 0 and so not the
            published choice, or `"all"`.
        relevance: `"same clip"`, or `"labels"`: every clip of the same class.
        trimmed: whether the files are the ten seconds; False where they are whole videos.
        n_frames: frames of each clip.
        allow_partial: evaluate what there is, and say so.

    Raises:
        MissingFileError: no annotation file.
        DamagedFileError: one that is not whole.
        RetrievalInputError: counts that differ from the published ones, clips that are missing.

    Relations: `audioset.load_audioset` has several labels a clip.

    Reference: Chen et al. 2020, "VGGSound"; Gong et al. 2023, "Contrastive audio-visual masked
    autoencoder".
    """
    return load_labelled_clips(
        root,
        split,
        name=NAME,
        published=PUBLISHED,
        read_set=partial(_read_set, split=split),
        subset=subset,
        relevance=relevance,
        trimmed=trimmed,
        n_frames=n_frames,
        allow_partial=allow_partial,
    )


def _read_set(root: Path, split: str) -> tuple[Segments, dict[str, int]]:
    segments = read_segments(annotation(root, ANNOTATIONS, NAME), split)
    return segments, {
        "segments": len(segments),
        "classes": len({own[0] for own in segments.labels}),
    }


def read_segments(path: str | Path, split: str) -> Segments:
    """The rows `YouTubeID,start_seconds,label,split` of one split; there is no header line, and
    labels with commas are quoted.

    Raises:
        RetrievalInputError: a row of another form; no row of the split.
    """
    ids, stems, times, labels = [], [], [], []
    for line, (video, start, label, part) in read_rows(path, 4):
        if not start.isdecimal() or part not in ("train", "test") or not label:
            raise RetrievalInputError(
                f"{path}, line {line}: expected id, whole seconds, a label, and train or test;"
                f" found {video!r}, {start!r}, {label!r:.40}, {part!r}"
            )
        if part == split:
            ids.append(f"{video}_{int(start):06d}")
            stems.append((ids[-1], video))
            times.append((float(start), float(start) + SECONDS))
            labels.append((label,))
    if not ids:
        raise RetrievalInputError(f"{path} has no row of the split {split!r}")
    return Segments(tuple(ids), tuple(stems), tuple(times), tuple(labels))
