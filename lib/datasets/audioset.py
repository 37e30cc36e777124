"""AudioSet: ten seconds of a video each, some of 527 sound classes; sound and picture seek each
other.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError
from lib.datasets.annotations import field_of, read_json
from lib.datasets.csv_files import read_rows, read_table
from lib.datasets.labelled_clips import load_labelled_clips
from lib.datasets.segments import Segments, annotation, split_labels
from lib.datasets.sound_and_vision import SoundAndVision

NAME = "audioset"
SPLITS = ("retrieval", "eval", "balanced_train")
PUBLISHED = {
    "retrieval": {
        "clips": 1_725
    },  # as CAV-MAE's paper says; the other numbers are those of the files
    "eval": {"segments": 20_371, "classes": 527},
    "balanced_train": {"segments": 22_160, "classes": 527},
}
CLASSES = "class_labels_indices.csv"
ONTOLOGY = "ontology.json"


def load_audioset(
    root: str | Path,
    split: str = "retrieval",
    *,
    subset: str = "five per class",
    relevance: str = "same clip",
    trimmed: bool = True,
    n_frames: int = 10,
    allow_partial: bool = False,
) -> SoundAndVision:
    """AudioSet as audio-video retrieval.

    Args:
        root: holds `eval_segments.csv`, `balanced_train_segments.csv` and
            `class_labels_indices.csv` (or has them in `annotations/`), or CAV-MAE's subset file;
            pictures in `videos/`, sounds in `audio/`, else those of the videos. Files are called
            `<id>`, `<id>_<start as six digits>` or `<id>_<start>_<end>` in milliseconds.
        split: `"retrieval"`, the subset of the evaluation set that CAV-MAE published, on which
            papers report; or the segments of a set.
        subset: of a set: `"five per class"`, drawn by us from seed 0 and so not the published
            choice, or `"all"`.
        relevance: `"same clip"`, or `"labels"` for graded relevance.
        trimmed: whether the files are the ten seconds; False where they are whole videos.
        n_frames: frames of each clip.
        allow_partial: evaluate what there is, and say so.

    Raises:
        MissingFileError: no annotation file.
        DamagedFileError: one that is not whole, or whose rows differ from what its header counts.
        RetrievalInputError: counts that differ from the published ones, clips that are missing, an
            unknown class.

    Reference: Gemmeke et al. 2017, "Audio Set"; Gong et al. 2023, "Contrastive audio-visual masked
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
    classes = read_classes(annotation(root, CLASSES, NAME))
    segments = read_segments(annotation(root, f"{split}_segments.csv", NAME), classes)
    return segments, {"segments": len(segments), "classes": len(classes)}


def read_segments(path: str | Path, classes: Mapping[str, str] | None = None) -> Segments:
    """A segments file: three comment lines, then `YTID, start_seconds, end_seconds, "label,label"`.

    The second line counts ids, segments, labels and positive labels; where it is
    there, the rows must agree with it.

    Args:
        path: `eval_segments.csv` and its like.
        classes: `{mid: name}`; a label that is not in it is refused.

    Raises:
        DamagedFileError: the header counts something else.
        RetrievalInputError: a row of another form, times that are no part of a video, an unknown
            label.
    """
    comments: list[str] = []
    ids, stems, times, labels = [], [], [], []
    for line, (video, start, end, joined) in read_rows(path, 4, spaced=True, comments=comments):
        where = f"{path}, line {line}"
        own = split_labels(joined, where)
        unknown = [one for one in own if classes is not None and one not in classes]
        if unknown:
            raise RetrievalInputError(f"{where}: the label {unknown[0]!r} is not in {CLASSES}")
        part = _times(start, end, where)
        ids.append(video)
        milliseconds = [round(1000 * second) for second in part]
        stems.append(
            (video, f"{video}_{int(part[0]):06d}", f"{video}_{milliseconds[0]}_{milliseconds[1]}")
        )
        times.append(part)
        labels.append(own)
    stated = {
        key: int(number) for key, number in re.findall(r"(num_\w+)=(\d+)", " ".join(comments))
    }
    found = {
        "num_ytids": len(set(ids)),
        "num_segs": len(ids),
        "num_unique_labels": len({label for own in labels for label in own}),
        "num_positive_labels": sum(map(len, labels)),
    }
    differ = [key for key in found if key in stated and stated[key] != found[key]]
    if differ:
        said = "; ".join(f"{key}={stated[key]} and has {found[key]}" for key in differ)
        raise DamagedFileError(f"{path} says {said}. It is not whole: fetch it again")
    return Segments(tuple(ids), tuple(stems), tuple(times), tuple(labels))


def _times(start: str, end: str, where: str) -> tuple[float, float]:
    try:
        first, last = float(start), float(end)
    except ValueError:
        first = last = math.nan
    if not (0 <= first < last < math.inf):
        raise RetrievalInputError(
            f"{where}: {start!r} to {end!r} must be seconds, the start before the end"
        )
    return first, last


def read_classes(path: str | Path) -> dict[str, str]:
    """`{mid: display name}` of `class_labels_indices.csv`, in its order; names hold commas."""
    classes: dict[str, str] = {}
    for line, row in read_table(path, ("index", "mid", "display_name")):
        if row["index"] != str(len(classes)) or row["mid"] in classes:
            raise RetrievalInputError(
                f"{path}, line {line}: expected index {len(classes)} and a new mid, found"
                f" {row!r:.80}"
            )
        classes[row["mid"]] = row["display_name"]
    return classes


@dataclass(frozen=True, eq=False, repr=False)
class Ontology:
    """The classes of AudioSet as a graph: a class may have several parents.

    Args:
        names: `{mid: name}`.
        parents: `{mid: mids}`, each at least known to `names`.
    """

    names: dict[str, str]
    parents: dict[str, tuple[str, ...]]

    def ancestors(self, mid: str) -> tuple[str, ...]:
        """Everything above a class, nearest first: what a clip of it also is.

        Raises:
            RetrievalInputError: a mid that the ontology does not have.
        """
        if mid not in self.names:
            raise RetrievalInputError(
                f"the ontology has no class {mid!r} among its {len(self.names):,}"
            )
        above: dict[str, None] = {}  # a set that keeps its order
        level: Sequence[str] = (mid,)
        while level:  # ends even in a circle: nothing is visited twice
            level = tuple(
                p for one in level for p in self.parents[one] if p not in above and p != mid
            )
            above |= dict.fromkeys(level)
        return tuple(above)


def read_ontology(path: str | Path) -> Ontology:
    """`ontology.json`: a list of `{"id", "name", "child_ids", ...}`.

    Raises:
        RetrievalInputError: an entry without one of the fields, or a child that is not there.
    """
    entries = read_json(path)
    if not isinstance(entries, list):
        raise RetrievalInputError(
            f"{path} must be a list of classes, found a {type(entries).__name__}"
        )
    names: dict[str, str] = {}
    children: dict[str, list[str]] = {}
    for number, entry in enumerate(entries):
        where = f"{path}, class {number}"
        mid = field_of(entry, "id", str, where)
        names[mid], children[mid] = (
            field_of(entry, "name", str, where),
            field_of(entry, "child_ids", list, where),
        )
    parents: dict[str, list[str]] = {mid: [] for mid in names}
    for mid, below in children.items():
        for child in below:
            if child not in parents:
                raise RetrievalInputError(
                    f"{path}: {mid!r} has the child {child!r}, which is no class of it"
                )
            parents[child].append(mid)
    return Ontology(names, {mid: tuple(above) for mid, above in parents.items()})
