"""Search by a hum: from a contour or a sound to tunes, and to the moment in each of them.

    search = open_hum_search()             # the free tunes
    for hit in search.find(samples, k=5):  # or a contour, or what was heard in a file
        print(hit.label, hit.start, hit.score)

`HumSearch(tunes)` searches any melodies, also contours that were heard in recordings or videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.core.checks import check_count, check_number
from lib.core.memo import memoized
from lib.datasets.tunes import COLLECTIONS, FREE, SungNotes, load_tunes
from lib.models.pitch import Heard, hear_melody
from lib.models.pitch.track import RATE
from lib.models.trained_models import load_model
from lib.search.base import Hit, Retriever, Run
from lib.search.melody.base import Notes, check_notes
from lib.search.melody.contour_vectors import VECTOR_SCALES, ContourVectorMatcher
from lib.search.melody.contours import times_of
from lib.search.melody.dtw import DtwMatcher
from lib.search.melody.learned import learned_retriever
from lib.search.two_stage import StagedQueries, TwoStageRetriever

ENCODER = "hums"  # the artifact
LONGEST = 15.0  # seconds of a hum that are searched
DEPTH = 100  # candidates that DTW orders
# For hums of unknown tempo. More lengths of windows find more wrong candidates: DTW orders more.
ANY_TEMPO = {"scales": tuple(np.geomspace(0.6, 1.67, 7)), "windows": 8000, "depth": 400}
HEAD_SECONDS = 6.0  # of a hum of unknown tempo, for the first stage


def hum_retriever(
    melodies: Sequence[Notes],
    *,
    seconds: float = 8.0,
    start: str = "anywhere",
    scales: Sequence[float] = VECTOR_SCALES,
    windows: int = 2000,
    depth: int = DEPTH,
) -> TwoStageRetriever:
    """Make a retriever of tunes by hums: contour vectors, then DTW on the best.

    The first stage compares the whole hum with parts of a tune that are `seconds` times a scale
    long. A hum of `hum_task` holds eight seconds of its tune, however fast it is sung: the default
    knows that. A recorded hum has no such length: see `ANY_TEMPO` and `staged_hums`.

    Args:
        melodies: the tunes.
        seconds: length of the part of a tune that is hummed.
        start: `"anywhere"` in a tune, or `"beginning"`.
        scales: lengths of the windows of the first stage, relative to `seconds`.
        windows: windows that the first stage takes from its index.
        depth: candidates that DTW orders, at most the number of tunes.
    """
    first = ContourVectorMatcher(
        melodies, seconds=seconds, start=start, scales=scales, windows=windows
    )
    return TwoStageRetriever(first, DtwMatcher(melodies), min(depth, first.n_items))


def staged_hums(hums: Sequence[SungNotes], seconds: float = HEAD_SECONDS) -> StagedQueries:
    """Give the first stage the first seconds of each hum, and DTW the whole."""
    return StagedQueries([first_seconds(one, seconds) for one in hums], list(hums))


def first_seconds(notes: SungNotes, seconds: float) -> SungNotes:
    """Take the notes that begin within some seconds from the first; the last one is cut there."""
    seconds = check_number(seconds, "seconds", 0, above=True)
    (notes,) = check_notes([notes], "notes")
    onsets = notes.onsets - notes.onsets[0]
    n = int(np.searchsorted(onsets, seconds))
    lengths = np.minimum(notes.durations[:n], seconds - onsets[:n])
    return SungNotes(onsets[:n], lengths, notes.pitches[:n], notes.source)


@dataclass(frozen=True)
class HumHit(Hit):
    """A tune that was found, and the part of it that was hummed.

    Args:
        start, end: seconds in the tune: a written melody at the tempo at which its median note
            takes 0.3 s, from its first note; a contour as it was recorded.
        note: position of the note that sounds at `start`.
    """

    start: float = 0.0
    end: float = 0.0
    note: int = 0


class HumSearch(Retriever):
    """Find tunes by hums: learned contour vectors, then DTW, which also finds the moment.

    Args:
        tunes: melodies, or contours as `SungNotes`, whose onsets are seconds of a recording.
        labels: a name for each tune; its title, or its source, when None.
    """

    def __init__(self, tunes: Sequence[Notes], *, labels: Sequence[str] | None = None) -> None:
        tunes = check_notes(tunes, "tunes")
        self.stages = learned_retriever(tunes, load_model(ENCODER))
        if labels is None:
            labels = [getattr(one, "title", "") or one.source for one in tunes]
        super().__init__(len(tunes), labels, self.stages.score_names)
        self.tunes = tunes

    def find(
        self, hum: SungNotes | Heard | np.ndarray, k: int = 10, *, rate: int = RATE
    ) -> list[HumHit]:
        """Find the k best tunes for one hum, and where in them it begins.

        Args:
            hum: sung notes or a contour; what `hear_file` heard; or samples, as `hear_melody`
                takes them. Of a long one the first 15 s are searched.
            k: number of tunes; all where the search holds fewer.
            rate: samples a second, where samples are given.
        """
        query = as_query(hum, rate)
        hits = self._hits(self.search([query], min(check_count(k, "k"), self.n_items)))
        positions = np.array([hit.position for hit in hits], np.int64)
        spans = self.stages.second.spans(query, positions)
        return [self._placed(hit, *span) for hit, span in zip(hits, spans.tolist(), strict=True)]

    def _placed(self, hit: Hit, start: float, end: float) -> HumHit:
        """Add the place in the tune, given in seconds from its first onset."""
        tune = self.tunes[hit.position]
        note = int(np.searchsorted(times_of(tune)[0], start, side="right")) - 1
        offset = float(tune.onsets[0]) if isinstance(tune, SungNotes) else 0.0
        return HumHit(**vars(hit), start=start + offset, end=end + offset, note=note)

    def encode(self, queries: Sequence[Notes], modality: str = "hum") -> list[Notes]:
        """Check hums; their notes are searched as they are."""
        return self.stages.second.encode(queries, modality)

    def search(self, queries: Sequence[Notes], k: int) -> Run:
        """Find the k best tunes of every hum."""
        return self.stages.search(self.stages.encode(queries, "hum"), k)


def as_query(hum: SungNotes | Heard | np.ndarray, rate: int = RATE) -> SungNotes:
    """Return the first 15 s of what was hummed, from a contour, from what was heard, or samples."""
    if not isinstance(hum, SungNotes | Heard):
        hum = hear_melody(hum, rate)
    return first_seconds(hum.contour if isinstance(hum, Heard) else hum, LONGEST)


@memoized(maxsize=2)
def open_hum_search(*, essen: bool = False) -> HumSearch:
    """Open the search over the free tunes.

    Args:
        essen: add the songs of Essen. They may be used for non-commercial purposes only.
    """
    return HumSearch(load_tunes(COLLECTIONS if essen else FREE))
