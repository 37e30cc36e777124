"""Clips as pairs of what is heard and what is seen: audio-to-video retrieval, and who is relevant
to whom.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_distinct
from lib.core.qrels import Qrels
from lib.core.task import RetrievalTask
from lib.datasets.completeness import Count
from lib.datasets.media.files import AudioFiles, ClipFiles

DIRECTIONS = ("audio_to_video", "video_to_audio")
RELEVANCE = ("same clip", "labels")
MAX_JUDGEMENTS = 20_000_000  # by label; half a gigabyte on the way
_ROWS = 512  # of the matrix of shared labels at a time


def shared_labels(labels: Sequence[Sequence[str]]) -> Qrels:
    """Judgements by class: the grade of two clips is the number of labels they share.

        grade(i, j) = |L_i & L_j|

    Returns:
        `(n, n)`, symmetric; a clip's grade with itself is the number of its labels.

    Raises:
        RetrievalInputError: more than MAX_JUDGEMENTS pairs share a label; a label as common as
            speech makes a corpus of tens of thousands of clips quadratic.
    """
    names = sorted({label for own in labels for label in own})
    column = {label: at for at, label in enumerate(names)}
    bears = np.zeros((len(labels), len(names)), dtype=np.float32)  # whole numbers, exact
    for at, own in enumerate(labels):
        bears[at, [column[label] for label in own]] = 1
    cells, n_judgements = [], 0
    for start in range(0, len(labels), _ROWS):
        grades = (bears[start : start + _ROWS] @ bears.T).astype(np.int64)
        rows, columns = np.nonzero(grades)
        n_judgements += rows.size
        if n_judgements > MAX_JUDGEMENTS:
            raise RetrievalInputError(
                f"more than {MAX_JUDGEMENTS:,} pairs of {len(labels):,} clips share a label; take a"
                " subset, such as five clips per class"
            )
        cells.append((rows + start, columns, grades[rows, columns]))
    return Qrels.from_pairs(
        *(np.concatenate(part) for part in zip(*cells)), shape=(len(labels), len(labels))
    )


@dataclass(frozen=True, eq=False, repr=False)
class SoundAndVision:
    """Clips whose sound asks for their picture, and the other way round.

    Args:
        name: `"audioset"`; a miniature has `" (miniature)"` behind it.
        split: which clips.
        sounds: the sound of each clip.
        clips: the picture of each clip, in the same order.
        item_ids: distinct ids.
        labels: the classes of each clip.
        relevance: `"same clip"`, the published protocol: clips of one class then count as errors,
            by design. `"labels"`: graded by the number of shared labels, see `shared_labels`.
        counts: what was found beside what is published.
        missing: files that are not there; their clips were left out.
        datasheet: the section of `data/README.md`.

    Relations: `CaptionedMedia` is the same for media and texts.
    """

    name: str
    split: str
    sounds: AudioFiles
    clips: ClipFiles
    item_ids: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    relevance: str
    counts: tuple[Count, ...]
    missing: tuple[str, ...] = ()
    datasheet: str = ""

    def __post_init__(self) -> None:
        check_choice(self.relevance, RELEVANCE, "relevance")
        n = len(self.item_ids)
        if not n == len(self.sounds) == len(self.clips) == len(self.labels):
            raise RetrievalInputError(
                f"{self.name}: {n} ids, {len(self.sounds)} sounds, {len(self.clips)} clips and "
                f"{len(self.labels)} sets of labels must be equally many"
            )
        check_distinct(self.item_ids, "clip", self.name)

    directions = DIRECTIONS

    @cached_property
    def qrels(self) -> Qrels:
        """`(n, n)`, the same in both directions."""
        if self.relevance == "labels":
            return shared_labels(self.labels)
        return Qrels.from_owner(np.arange(len(self.item_ids)), len(self.item_ids))

    def task(self, direction: str) -> RetrievalTask:
        """Queries, gallery and judgements of one direction; the media are still files."""
        sides = {"audio": self.sounds, "video": self.clips}
        query, gallery = check_choice(direction, DIRECTIONS, "direction").split("_to_")
        return RetrievalTask(
            self.name,
            self.split,
            direction,
            sides[query],
            sides[gallery],
            self.qrels,
            datasheet=self.datasheet,
        )

    def take_items(self, index: Sequence[int], name_of_part: str = "") -> SoundAndVision:
        """Some of the clips, in the order given."""
        index = np.arange(len(self.item_ids))[np.asarray(index)].tolist()
        return replace(
            self,
            split=f"{self.split}, {name_of_part}" if name_of_part else self.split,
            sounds=self.sounds.take(index),
            clips=self.clips.take(index),
            item_ids=tuple(self.item_ids[at] for at in index),
            labels=tuple(self.labels[at] for at in index),
        )

    def checksum(self) -> str:
        """SHA-256 over everything that decides an embedding or a score."""
        prints = (self.sounds.fingerprint(), self.clips.fingerprint())
        facts = [self.name, self.split, self.relevance, self.item_ids, self.labels, prints]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def describe(self) -> str:
        """One line: name, split, protocol, size, and what is missing."""
        line = (
            f"{self.name}, {self.split}: {len(self.item_ids):,} clips with sound, relevant:"
            f" {self.relevance}"
        )
        wrong = [count.text() for count in self.counts if not count.ok]
        return f"{line} ({'; '.join(wrong)})" if wrong else line

    def __repr__(self) -> str:
        return f"SoundAndVision({self.describe()})"
