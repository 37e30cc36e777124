"""Search by a hum: from a contour or a sound to tunes, and to the moment in each of them.

    search = open_hum_search()             # the free tunes; its windows are kept in the cache
    for hit in search.find(samples, k=5):  # or a contour, or what was heard in a file
        print(hit.label, hit.start, hit.off)

`HumSearch(tunes)` searches any melodies, also contours that were heard in recordings or videos.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lib.core.checks import check_count, check_number
from lib.core.memo import memoized
from lib.core.paths import artifacts_dir, cache_dir
from lib.core.reading import cached_arrays
from lib.core.writing import sha256_of
from lib.datasets.tunes import COLLECTIONS, FREE, SungNotes, load_tunes
from lib.models.artifact_files import WEIGHTS
from lib.models.pitch import Heard, hear_melody
from lib.models.pitch.track import RATE
from lib.models.trained_models import load_model
from lib.search.base import Hit, Retriever, Run
from lib.search.melody.base import Notes, check_notes
from lib.search.melody.contours import contour, times_of
from lib.search.melody.dtw import DTW_STEP, DtwMatcher
from lib.search.melody.learned import LearnedContourMatcher, window_arrays
from lib.search.melody.matched_part import WORST, matched_part
from lib.search.melody.windows import LEAST, LENGTHS, SPACING
from lib.search.two_stage import Interpolate, TwoStageRetriever

ENCODER = "hums"  # the artifact
DEPTH = 100  # candidates that DTW orders
MIX = Interpolate(0.8)  # DTW and 0.2 of the network, z scores
LONGEST = 15.0  # seconds of a hum that are searched
CACHE = "hum_search"  # folder in the cache


@dataclass(frozen=True)
class HumHit(Hit):
    """A tune that was found, and the part of it that was hummed.

    Args:
        start, end: seconds in the tune: a written melody at the tempo at which its median note
            takes 0.3 s, from its first note; a contour as it was recorded.
        note: position of the note that sounds at `start`.
        off: mean distance of the pitch in semitones, at most 3, keys and tempo apart. The score
            compares the tunes of one hum; this compares hums, too.
    """

    start: float = 0.0
    end: float = 0.0
    note: int = 0
    off: float = 0.0


class HumSearch(Retriever):
    """Find tunes by hums of 3 to 15 s: learned contour vectors, then DTW.

    Args:
        tunes: melodies, or contours as `SungNotes`, whose onsets are seconds of a recording.
        labels: a name for each tune; its title, or its source, when None.
        start: hums begin `"anywhere"` in a tune, or at its `"beginning"`.
        cached: keep the vectors of the windows in the cache folder, under a checksum of tunes and
            encoder, and read them from there.
        log: called with a line before windows are encoded, which takes a minute for 4,433 tunes.
    """

    def __init__(
        self,
        tunes: Sequence[Notes],
        *,
        labels: Sequence[str] | None = None,
        start: str = "anywhere",
        cached: bool = False,
        log: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.tunes, encoder = check_notes(tunes, "tunes"), load_model(ENCODER)

        def make() -> dict[str, np.ndarray]:
            log(f"Encoding the windows of {len(self.tunes):,} tunes")
            return window_arrays(self.tunes, encoder, start=start)

        if cached:
            key = cache_key(self.tunes, start)
            arrays = cached_arrays(cache_dir() / CACHE / f"{key[:16]}.npz", make, key)
        else:
            arrays = make()
        if labels is None:
            labels = [getattr(one, "title", "") or one.source for one in self.tunes]
        first = LearnedContourMatcher(self.tunes, encoder, start=start, arrays=arrays)
        second, depth = DtwMatcher(self.tunes), min(DEPTH, len(self.tunes))
        self.stages = TwoStageRetriever(first, second, depth, combine=MIX)
        super().__init__(len(self.tunes), labels, self.stages.score_names)

    @property
    def stored_bytes(self) -> int:
        """Return the bytes that both stages keep of the tunes."""
        return self.stages.first.stored_bytes + self.stages.second.stored_bytes

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
        return [self._placed(hit, query) for hit in hits]

    def _placed(self, hit: Hit, query: SungNotes) -> HumHit:
        """Add the part of the tune that was hummed; all of one that is too short for the hum."""
        tune = self.tunes[hit.position]
        onsets, end = times_of(tune)
        start, off = 0.0, WORST
        if 2 * contour(tune, step=DTW_STEP).size > contour(query, step=DTW_STEP).size:
            part = matched_part(query, tune)
            start, end, off = part.start, part.end, part.cost
        note = int(np.searchsorted(onsets, start, side="right")) - 1
        begin = float(tune.onsets[0]) if isinstance(tune, SungNotes) else 0.0
        return HumHit(**vars(hit), start=start + begin, end=end + begin, note=note, off=off)

    def encode(self, queries: Sequence[Notes], modality: str = "hum") -> list[Notes]:
        """Check hums; their notes are searched as they are."""
        return self.stages.second.encode(queries, modality)

    def search(self, queries: Sequence[Notes], k: int) -> Run:
        """Find the k best tunes of every hum."""
        return self.stages.search(self.stages.encode(queries, "hum"), k)


def cache_key(tunes: Sequence[Notes], start: str) -> str:
    """Return a checksum of what decides the vectors of windows: notes, encoder, lengths, places."""
    digest = hashlib.sha256()
    for tune in tunes:
        digest.update(f"{type(tune).__name__} {len(tune)} ".encode())
        for values in (tune.onsets, tune.durations, tune.pitches):
            digest.update(values.tobytes())
    weights = sha256_of(artifacts_dir() / ENCODER / WEIGHTS)
    digest.update(f"{weights} {LENGTHS} {SPACING} {LEAST} {start}".encode())
    return digest.hexdigest()


def as_query(hum: SungNotes | Heard | np.ndarray, rate: int = RATE) -> SungNotes:
    """Return the first 15 s of what was hummed, from a contour, from what was heard, or samples."""
    if not isinstance(hum, SungNotes | Heard):
        hum = hear_melody(hum, rate)
    return first_seconds(hum.contour if isinstance(hum, Heard) else hum, LONGEST)


def first_seconds(notes: SungNotes, seconds: float) -> SungNotes:
    """Take the notes that begin within some seconds from the first; the last one is cut there."""
    seconds = check_number(seconds, "seconds", 0, above=True)
    (notes,) = check_notes([notes], "notes")
    onsets = notes.onsets - notes.onsets[0]
    n = int(np.searchsorted(onsets, seconds))
    lengths = np.minimum(notes.durations[:n], seconds - onsets[:n])
    return SungNotes(onsets[:n], lengths, notes.pitches[:n], notes.source)


@memoized(maxsize=2)
def open_hum_search(
    *, essen: bool = False, log: Callable[[str], None] = lambda line: None
) -> HumSearch:
    """Open the search over the free tunes; its windows are read from the cache, or kept there.

    Args:
        essen: add the songs of Essen. They may be used for non-commercial purposes only.
        log: as in `HumSearch`.
    """
    return HumSearch(load_tunes(COLLECTIONS if essen else FREE), cached=True, log=log)
