"""Audio-video benchmarks: labelled clips, the subset that is evaluated, audio-to-video tasks."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_count, check_distinct
from lib.core.qrels import Qrels
from lib.core.reading import MissingFileError
from lib.core.task import RetrievalTask
from lib.datasets import completeness
from lib.datasets.annotations import entries_of, field_of, read_json
from lib.datasets.media.files import VIDEO_SUFFIXES, AudioFiles, ClipFiles, find_names

DIRECTIONS = ("audio_to_video", "video_to_audio")
RELEVANCE = ("same clip", "labels")
FIVE = "five per class"
SUBSETS = (FIVE, "all")
RETRIEVAL = "retrieval"  # the split of a published subset, on which papers report
PER_CLASS = "5_per_class_for_retrieval"  # in the names of the published subset files
SOUND_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".m4a")
MAX_JUDGEMENTS = 20_000_000  # by label; half a gigabyte while they are computed
_ROWS = 512  # of the matrix of shared labels at a time


@dataclass(frozen=True, eq=False)
class Segments:
    """Labelled parts of videos, in file order.

    Args:
        ids: distinct id of each clip.
        stems: possible names of its file, without suffix, the usual spelling first.
        times: `(start, end)` in its video, in seconds; None where the file states no times.
        labels: the classes of each clip, at least one.
    """

    ids: tuple[str, ...]
    stems: tuple[tuple[str, ...], ...]
    times: tuple[tuple[float, float], ...] | None
    labels: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: Sequence[int]) -> Segments:
        """Return some of the segments, in the order given."""
        columns = (self.ids, self.stems, self.times, self.labels)
        return Segments(*(column and tuple(column[at] for at in index) for column in columns))


@dataclass(frozen=True)
class AudioVideoFormat:
    """Format of one audio-video corpus.

    Args:
        published: `{split: {what: number}}`; `"five per class"` is the size of that draw.
        read_split: reads a split under the root: its segments, and `{what: number}` counted in it.
    """

    name: str
    published: Mapping[str, Mapping[str, int]]
    read_split: Callable[[Path, str], tuple[Segments, dict[str, int]]]


@dataclass(frozen=True, eq=False, repr=False)
class AudioVideoClips:
    """Hold clips as pairs of sound and picture: each is searched with the other.

    Other fields mean the same as in `CaptionedMedia`.

    Args:
        sounds, clips: the sound and the picture of each clip, in one order.
        labels: the classes of each clip.
        relevance: `"same clip"`, the published protocol, which counts other clips of the class as
            errors. `"labels"`: graded by the number of shared labels, see `shared_labels`.
    """

    name: str
    split: str
    sounds: AudioFiles
    clips: ClipFiles
    item_ids: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    relevance: str
    counts: tuple[completeness.Count, ...]
    missing: tuple[str, ...] = ()
    datasheet: str = ""

    directions = DIRECTIONS

    def __post_init__(self) -> None:
        check_choice(self.relevance, RELEVANCE, "relevance")
        n = len(self.item_ids)
        if not n == len(self.sounds) == len(self.clips) == len(self.labels):
            raise RetrievalInputError(
                f"{self.name}: ids, sounds, clips and labels must be equally many, got "
                f"{n}, {len(self.sounds)}, {len(self.clips)} and {len(self.labels)}"
            )
        check_distinct(self.item_ids, "clip", self.name)

    @cached_property
    def qrels(self) -> Qrels:
        """`(n, n)`, the same in both directions."""
        if self.relevance == "labels":
            return shared_labels(self.labels)
        return Qrels.from_owner(np.arange(len(self.item_ids)), len(self.item_ids))

    def task(self, direction: str) -> RetrievalTask:
        """Return queries, gallery and judgements of one direction; the media are still files."""
        sides = {"audio": self.sounds, "video": self.clips}
        query, gallery = check_choice(direction, DIRECTIONS, "direction").split("_to_")
        labels = {"name": self.name, "split": self.split, "datasheet": self.datasheet}
        sides = {"queries": sides[query], "gallery": sides[gallery]}
        return RetrievalTask(direction=direction, qrels=self.qrels, **sides, **labels)

    def take_items(self, index: Sequence[int], name_of_part: str = "") -> AudioVideoClips:
        """Return some of the clips, in the order given."""
        index = np.arange(len(self.item_ids))[np.asarray(index)].tolist()
        return replace(
            self,
            split=f"{self.split}, {name_of_part}" if name_of_part else self.split,
            sounds=self.sounds.take(index),
            clips=self.clips.take(index),
            item_ids=tuple(self.item_ids[at] for at in index),
            labels=tuple(self.labels[at] for at in index),
        )

    def without_items(self, positions: Sequence[int]) -> AudioVideoClips:
        """Leave out some clips, and list their files as missing."""
        lost = set(positions)
        part = self.take_items([at for at in range(len(self.item_ids)) if at not in lost])
        n = len(self.item_ids)
        counts = tuple(
            replace(one, found=n - len(lost)) if one.found == n else one for one in self.counts
        )
        files = tuple(self.clips.names[at] for at in sorted(lost))
        return replace(part, counts=counts, missing=(*self.missing, *files))

    def checksum(self, *, media: bool = True) -> str:
        """Return the SHA-256 of everything that decides a score, and, with media, an embedding."""
        prints = (self.sounds.fingerprint(), self.clips.fingerprint()) if media else ()
        facts = [self.name, self.split, self.relevance, self.item_ids, self.labels, prints]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def describe(self) -> str:
        """Describe the corpus in one line: name, split, protocol, size, and what is missing."""
        numbers = f"{len(self.item_ids):,} clips with sound, relevant: {self.relevance}"
        line = f"{self.name}, {self.split}: {numbers}"
        wrong = completeness.wrong_counts(self.counts)
        return f"{line} ({wrong})" if wrong else line

    def __repr__(self) -> str:
        return f"AudioVideoClips({self.describe()})"


def load_audio_video(
    root: str | Path,
    split: str,
    corpus: AudioVideoFormat,
    *,
    subset: str = FIVE,
    relevance: str = "same clip",
    trimmed: bool = True,
    n_frames: int = 10,
    allow_partial: bool = False,
    need_media: bool = True,
) -> AudioVideoClips:
    """Load the clips of one split, checked against the published counts.

    Args:
        root: pictures in `videos/`; sounds in `audio/`, else those of the videos.
        split: `"retrieval"`, the subset of CAV-MAE, on which papers report; or a set of the corpus.
        subset: of a set: `"all"`, or `"five per class"`, drawn from seed 0 and not the published
            choice.
        relevance: `"same clip"`, or `"labels"` for grades, see `AudioVideoClips`.
        trimmed: True if the files are the segments; False if they are whole videos.
        n_frames: frames per clip.
        allow_partial: evaluate what exists.
        need_media: False reads the annotations alone.
    """
    check_choice(split, corpus.published, "split")
    check_choice(subset, SUBSETS, "subset")
    check_choice(relevance, RELEVANCE, "relevance")
    root = Path(root)
    name, published = completeness.published_counts(root, corpus.name, split, corpus.published)
    if split == RETRIEVAL:
        segments, counts, n_clips = read_subset(root, corpus.name), [], published["clips"]
    else:
        segments, numbers = corpus.read_split(root, split)
        counts = [completeness.Count(what, n, published[what]) for what, n in numbers.items()]
        n_clips = len(segments)
        if subset == FIVE:
            segments = segments.take(five_per_class(segments.labels))
            n_clips = published.get(FIVE)  # a miniature states it; nobody has published our draw
            split = f"{split}, {FIVE}, seed 0"
    all_counts = [*counts, completeness.Count("clips", len(segments), n_clips)]
    completeness.check_counts(all_counts, f"{name}, {split}", allow_partial)
    if not (trimmed or segments.times):
        raise RetrievalInputError(f"{name}, {split}: the clips have no times; trimmed must be True")
    sounds, clips = _media_of(segments, root, trimmed, n_frames)
    present = clips.present() if need_media else np.ones(len(clips), dtype=bool)
    missing = tuple(file for file, exists in zip(clips.names, present) if not exists)
    there = int(present.sum())
    there_of_all = completeness.Count("clips", there, len(segments))
    completeness.check_media(there_of_all, missing, name, allow_partial)
    clip_count = completeness.Count("clips", there, n_clips)
    whole = AudioVideoClips(
        name=name,
        split=split,
        sounds=sounds,
        clips=clips,
        item_ids=segments.ids,
        labels=segments.labels,
        relevance=relevance,
        counts=(*counts, clip_count),
        missing=missing,
        datasheet=corpus.name,
    )
    found = whole.take_items(np.flatnonzero(present)) if missing else whole
    if relevance == "labels":
        found.qrels  # noqa: B018  # too many judgements are refused here, not after hours of encoding
    return found


def _media_of(
    segments: Segments, root: Path, trimmed: bool, n_frames: int
) -> tuple[AudioFiles, ClipFiles]:
    """The sound and the picture of each segment; a sound without a file is that of the video."""
    times = None if trimmed else segments.times
    videos = find_names(root, segments.stems, ("videos",), VIDEO_SUFFIXES)
    sounds = find_names(root, segments.stems, ("audio",), SOUND_SUFFIXES)
    present = AudioFiles(root, sounds).present()
    sounds = [sound if exists else video for sound, video, exists in zip(sounds, videos, present)]
    return AudioFiles(root, sounds, times), ClipFiles(root, videos, times, n_frames=n_frames)


def shared_labels(labels: Sequence[Sequence[str]]) -> Qrels:
    """Compute judgements by class: the grade of two clips is the number of labels they share.

        grade(i, j) = |L_i & L_j|

    Returns:
        `(n, n)`, symmetric.
    """
    names = sorted({label for clip_labels in labels for label in clip_labels})
    column = {label: at for at, label in enumerate(names)}
    has_label = np.zeros((len(labels), len(names)), dtype=np.float32)  # sums of ones are exact
    for clip, clip_labels in enumerate(labels):
        has_label[clip, [column[label] for label in clip_labels]] = 1
    cells, n_judgements = [], 0
    for start in range(0, len(labels), _ROWS):
        grades = (has_label[start : start + _ROWS] @ has_label.T).astype(np.int64)
        rows, columns = np.nonzero(grades)
        n_judgements += rows.size
        # A label as common as speech makes the judgements of many clips quadratic.
        if n_judgements > MAX_JUDGEMENTS:
            raise RetrievalInputError(
                f"{len(labels):,} clips have more than {MAX_JUDGEMENTS:,} pairs with a shared"
                f" label, more than fit into memory; take a subset, such as subset={FIVE!r}"
                f" (--option \"subset={FIVE}\"), or relevance='same clip'"
            )
        cells.append((rows + start, columns, grades[rows, columns]))
    rows, items, grades = (np.concatenate(part) for part in zip(*cells))
    return Qrels.from_pairs(rows, items, grades, shape=(len(labels), len(labels)))


def five_per_class(labels: Sequence[Sequence[str]], n: int = 5, seed: int = 0) -> np.ndarray:
    """Draw `n` clips per class, none twice: the usual size of an audio-video test.

    Classes with the fewest clips choose first, because common classes would use up the clips of
    rare ones. Each takes its first `n` free clips in an order drawn from `seed`, or all where fewer
    are free. A clip with several labels is taken for one of them.

    Args:
        labels: the classes of each clip.
        n: clips per class.
        seed: of the order.

    Returns:
        `(n_chosen,)` int64 positions, ascending.
    """
    n = check_count(n, "n")
    clips_of: dict[str, list[int]] = {}
    generator = np.random.Generator(np.random.Philox(key=check_count(seed, "seed", least=0)))
    for at in generator.permutation(len(labels)).tolist():
        for label in labels[at]:
            clips_of.setdefault(label, []).append(at)
    chosen: set[int] = set()
    for label in sorted(clips_of, key=lambda name: (len(clips_of[name]), name)):
        chosen.update([at for at in clips_of[label] if at not in chosen][:n])
    return np.array(sorted(chosen), dtype=np.int64)


def read_subset(root: Path, corpus: str) -> Segments:
    """Read a published subset of CAV-MAE: `{"data": [{"video_id", "labels", ...}]}`.

    Its `wav` and `video_path` are paths on the authors' machine; files are found by `video_id`.
    """
    folders = (root, root / "datafiles")
    paths = sorted(path for folder in folders for path in folder.glob(f"*{PER_CLASS}*.json"))
    if not paths:
        raise MissingFileError(
            f"{root} does not have *{PER_CLASS}*.json, itself or in datafiles. `crossmodal data"
            f" download {corpus}` shows its source. For another split a subset is drawn"
        )
    if len(paths) > 1:
        names = ", ".join(path.name for path in paths)
        raise RetrievalInputError(f"{root} must have one subset, got {len(paths)}: {names}")
    ids, labels = [], []
    for where, entry in entries_of(read_json(paths[0]), "data", "entry", paths[0]):
        ids.append(field_of(entry, "video_id", str, where))
        labels.append(split_labels(field_of(entry, "labels", str, where), where))
    if not ids:
        raise RetrievalInputError(f"{paths[0]} lists no clip. Fetch it again")
    return Segments(tuple(ids), tuple((id_,) for id_ in ids), None, tuple(labels))


def split_labels(joined: str, where: str) -> tuple[str, ...]:
    """Split the labels of one clip at commas; an empty or repeated label is an error."""
    labels = tuple(joined.split(","))
    if not all(labels) or len(set(labels)) < len(labels):
        raise RetrievalInputError(f"{where}: labels must differ, none empty, got {joined!r:.80}")
    return labels
