"""Audio-video benchmarks: labelled clips from a published subset, or drawn from a set; their files
found.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.datasets.completeness import Count, check_counts, check_media, published_counts
from lib.datasets.media.files import VIDEO_SUFFIXES, AudioFiles, ClipFiles, find_names
from lib.datasets.segments import SUBSETS, Segments, five_per_class, read_subset
from lib.datasets.sound_and_vision import RELEVANCE, SoundAndVision

RETRIEVAL = "retrieval"  # the split that a published subset makes, on which papers report
SOUND_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".m4a")
FIVE = "five per class"


def load_labelled_clips(
    root: str | Path,
    split: str,
    *,
    name: str,
    published: Mapping[str, Mapping[str, int]],
    read_set: Callable[[Path], tuple[Segments, dict[str, int]]],
    subset: str,
    relevance: str,
    trimmed: bool,
    n_frames: int,
    allow_partial: bool,
) -> SoundAndVision:
    """The clips of one split, checked against what is published.

    Args:
        root: pictures in `videos/`; sounds in `audio/`, else those of the videos.
        split: `"retrieval"`, the subset that CAV-MAE published, or a set.
        name: of the corpus, and of its datasheet.
        published: `{split: {what: number}}`; where a set states "five per class", so many are drawn
            from it.
        read_set: reads a set under the root: its segments, and what was counted.
        subset: of a set: `"five per class"`, drawn by us from seed 0, or `"all"`.
        relevance: `"same clip"` or `"labels"`, see `SoundAndVision`.
        trimmed: whether the files are the segments, or the videos that they are parts of.
        n_frames: of each clip.
        allow_partial: evaluate what there is, and say so.

    Raises:
        RetrievalInputError: an unknown name, counts that differ, or files that are missing, unless
            allowed.
    """
    check_choice(split, published, "split")
    check_choice(subset, SUBSETS, "subset")
    check_choice(relevance, RELEVANCE, "relevance")
    root = Path(root)
    label, stated = published_counts(root, name, split, published)
    if split == RETRIEVAL:
        segments, counts, n_clips, shown = read_subset(root, name), [], stated["clips"], split
    else:
        segments, found = read_set(root)
        counts = [Count(what, number, stated[what]) for what, number in found.items()]
        n_clips, shown = len(segments), split
        if subset == FIVE:
            segments = segments.take(five_per_class(segments.labels))
            n_clips, shown = stated.get(FIVE, len(segments)), f"{split}, {subset}, seed 0"
    return _paired(
        segments,
        root,
        name=label,
        split=shown,
        relevance=relevance,
        counts=counts,
        n_clips=n_clips,
        trimmed=trimmed,
        n_frames=n_frames,
        allow_partial=allow_partial,
        datasheet=name,
    )


def _paired(
    segments: Segments,
    root: Path,
    *,
    name: str,
    split: str,
    relevance: str,
    counts: Sequence[Count],
    n_clips: int,
    trimmed: bool,
    n_frames: int,
    allow_partial: bool,
    datasheet: str,
) -> SoundAndVision:
    """The corpus that segments and their files make, checked against what is published."""
    counts = [*counts, Count("clips", len(segments), n_clips)]
    check_counts(counts, f"{name}, {split}", allow_partial)
    if not (trimmed or segments.times):
        raise RetrievalInputError(
            f"{name}, {split}: the file names cut clips and no times; trimmed must be True"
        )
    parts = None if trimmed else segments.times
    seen = find_names(root, segments.stems, ("videos",), VIDEO_SUFFIXES)
    heard = find_names(root, segments.stems, ("audio",), SOUND_SUFFIXES)
    apart = AudioFiles(
        root, heard
    ).present()  # a sound that has no file of its own is that of the video
    sounds = AudioFiles(root, [a if own else v for a, v, own in zip(heard, seen, apart)], parts)
    clips = ClipFiles(root, seen, parts, n_frames=n_frames)
    present = clips.present()
    missing = [file for file, there in zip(clips.names, present) if not there]
    counts[-1] = Count("clips", int(present.sum()), n_clips)
    check_media(counts[-1], missing, name, allow_partial)
    whole = SoundAndVision(
        name=name,
        split=split,
        sounds=sounds,
        clips=clips,
        item_ids=segments.ids,
        labels=segments.labels,
        relevance=relevance,
        counts=tuple(counts),
        missing=tuple(missing),
        datasheet=datasheet,
    )
    return whole if present.all() else whole.take_items(np.flatnonzero(present))
