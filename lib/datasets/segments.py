"""Labelled parts of videos: how audio-video corpora list them, and how a test set is drawn from
them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, check_count
from lib.core.reading import MissingFileError
from lib.datasets.annotations import field_of, find, read_json

SUBSETS = ("five per class", "all")
PER_CLASS = "5_per_class_for_retrieval"  # in the names of the published subset files


@dataclass(frozen=True, eq=False)
class Segments:
    """Labelled parts of videos, in file order.

    Args:
        ids: distinct name of each clip.
        stems: how its file may be called, without suffix, the usual spelling first.
        times: `(start, end)` of each in its video, in seconds; None where the file does not say.
        labels: the classes of each, at least one, as the corpus names them.
    """

    ids: tuple[str, ...]
    stems: tuple[tuple[str, ...], ...]
    times: tuple[tuple[float, float], ...] | None
    labels: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, index: Sequence[int]) -> Segments:
        """Some of the segments, in the order given."""

        def of(column: tuple | None) -> tuple | None:
            return None if column is None else tuple(column[at] for at in index)

        return Segments(of(self.ids), of(self.stems), of(self.times), of(self.labels))


def five_per_class(labels: Sequence[Sequence[str]], n: int = 5, seed: int = 0) -> np.ndarray:
    """Draws `n` clips of every class, none twice: the usual size of an audio-video retrieval test.

    Classes choose in turn, those with the fewest clips first, so that common classes do not use up
    the clips of rare ones; each takes the first `n` of its clips, in an order drawn from `seed`,
    that nobody has taken. A clip with several labels is taken for one of them. A class with fewer
    clips left takes those.

    Args:
        labels: the classes of each clip.
        n: clips of each class.
        seed: of the order; the published subsets were drawn by their authors and come as files.

    Returns:
        `(n_chosen,)` int64 positions, ascending.
    """
    n = check_count(n, "n")
    bearers: dict[str, list[int]] = {}
    order = np.random.Generator(
        np.random.Philox(key=check_count(seed, "seed", least=0))
    ).permutation(len(labels))
    for at in order.tolist():
        for label in labels[at]:
            bearers.setdefault(label, []).append(at)
    chosen: set[int] = set()
    for label in sorted(bearers, key=lambda name: (len(bearers[name]), name)):
        chosen.update([at for at in bearers[label] if at not in chosen][:n])
    return np.array(sorted(chosen), dtype=np.int64)


def read_subset(root: Path, corpus: str) -> Segments:
    """A published subset: `{"data": [{"video_id", "wav", "video_path", "labels"}]}`, as CAV-MAE has
    them.

    `wav` and `video_path` are paths on the authors' machine and are not used; files are found by
    `video_id`. Labels are joined by commas.

    Raises:
        MissingFileError: no file `*5_per_class_for_retrieval*.json` in `root` or its `datafiles/`.
        RetrievalInputError: several of them, or an entry without one of the fields.
    """
    found = sorted(
        path for folder in (root, root / "datafiles") for path in folder.glob(f"*{PER_CLASS}*.json")
    )
    if not found:
        raise MissingFileError(
            f"{root} has no *{PER_CLASS}*.json (nor has {root / 'datafiles'}); `crossmodal data"
            f" download {corpus}` says where it comes from. Another split draws a subset by itself"
        )
    if len(found) > 1:
        raise RetrievalInputError(
            f"{root} has {len(found)} subsets: {', '.join(p.name for p in found)}; keep one"
        )
    path = found[0]
    ids, labels = [], []
    for number, entry in enumerate(field_of(read_json(path), "data", list, str(path))):
        where = f"{path}, entry {number}"
        ids.append(field_of(entry, "video_id", str, where))
        labels.append(split_labels(field_of(entry, "labels", str, where), where))
    return Segments(tuple(ids), tuple((one,) for one in ids), None, tuple(labels))


def split_labels(joined: str, where: str) -> tuple[str, ...]:
    """The labels of one clip, which stand joined by commas; none of them empty, none twice."""
    labels = tuple(joined.split(","))
    if not all(labels) or len(set(labels)) < len(labels):
        raise RetrievalInputError(
            f"{where}: labels must be distinct and not empty, found {joined!r:.80}"
        )
    return labels


def annotation(root: Path, name: str, corpus: str) -> Path:
    """A file of the corpus, in its root or in `annotations/`."""
    path = find(root, (name, f"annotations/{name}"))
    if path is None:
        raise MissingFileError(
            f"{root} has no {name} (nor has {root / 'annotations'}). `crossmodal data download"
            f" {corpus}` says where it comes from"
        )
    return path
