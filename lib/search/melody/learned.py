"""Learned contour vectors: windows of tunes and hums, encoded by a trained network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lib.core.checks import check_choice, check_count, check_k, check_number
from lib.datasets.tunes import Melody
from lib.datasets.tunes.hums import STARTS, humming_tempo
from lib.index import VectorSearchIndex
from lib.search.base import Run, Work
from lib.search.melody.base import MelodyMatcher, Notes, Packed, check_notes
from lib.search.melody.contour_vectors import UNIT, as_int8, best_tunes
from lib.search.melody.contours import pitches_at, times_of
from lib.search.melody.dtw import DtwMatcher
from lib.search.two_stage import Interpolate, TwoStageRetriever

if TYPE_CHECKING:
    from lib.models.contour_encoder import ContourEncoder

FRAMES = 80  # of a window, as the encoder reads it
SPACING = 0.44  # seconds between the places where windows begin: at most every second note
LEAST = 0.5  # share of a window that must lie in its tune
TUNES_AT_ONCE = 200
DEPTH = 100  # candidates that DTW orders
MIX = Interpolate(0.7)  # DTW and 0.3 of the network, z scores; the best of five on validation hums


def sounding_at(notes: Notes, times: np.ndarray) -> np.ndarray:
    """Tell whether a note sounds at each time, in seconds from the first onset."""
    seconds = 60 / humming_tempo(notes) if isinstance(notes, Melody) else 1.0
    onsets, _ = times_of(notes)
    at = np.searchsorted(onsets, times, side="right") - 1
    return times < onsets[at] + notes.durations[at] * seconds


def window_contours(
    notes: Notes, starts: np.ndarray, seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return pitch and voicing of windows that begin at some times.

    Args:
        notes: a melody, at its humming tempo, or sung notes.
        starts: `(n,)` seconds from the first onset.
        seconds: length of a window. One that leaves the notes holds the last pitch, in silence.

    Returns:
        Pitches float64 `(n, 80)` and voiced bool `(n, 80)`.
    """
    frames = (np.arange(FRAMES) + 0.5) * (seconds / FRAMES)
    times = np.asarray(starts, np.float64)[:, None] + frames
    return pitches_at(notes, times), sounding_at(notes, times)


def window_starts(notes: Notes, seconds: float, spacing: float = SPACING) -> np.ndarray:
    """Return onsets at least `spacing` seconds apart, with half a window left; the first always."""
    onsets, end = times_of(notes)
    kept = [0.0]
    for onset in onsets[onsets <= end - LEAST * seconds].tolist():
        if onset - kept[-1] >= spacing:
            kept.append(onset)
    return np.array(kept)


class LearnedContourMatcher(MelodyMatcher):
    """Rank tunes by the best cosine of the query's vector with those of windows of the tune.

        s = max over windows of <f(q), f(t)>      (rounded to int8)

    f is a `ContourEncoder`. The query is stretched to the length of a window; windows begin at
    notes that are 0.44 s apart or more.

    Args:
        melodies: the tunes.
        encoder: trained, `load_model("hums")`.
        seconds: length of a window. A query is compared as a whole, so it should have about this
            length.
        start: `"anywhere"` in a tune, or `"beginning"`.
        windows: windows that a search takes from the index; tunes without one of them are not
            found.
        index_type, options: of the `VectorSearchIndex`.
    """

    def __init__(
        self,
        melodies: Sequence[Melody],
        encoder: ContourEncoder,
        *,
        seconds: float = 8.0,
        start: str = "anywhere",
        windows: int = 2000,
        index_type: str = "Flat",
        **options,
    ) -> None:
        super().__init__(melodies, "learned contour vectors")
        check_choice(start, STARTS, "start")
        self.encoder = encoder
        self.seconds = check_number(seconds, "seconds", 0, above=True)
        self.starts = Packed(
            [
                window_starts(one, self.seconds)[: 1 if start == "beginning" else None]
                for one in self.melodies
            ]
        )
        self.windows = min(check_count(windows, "windows"), self.starts.values.size)
        self.owners = self.starts.owners.astype(np.int32)
        vectors = self._window_vectors(np.arange(self.n_items))
        self.index = VectorSearchIndex(encoder.dim, index_type, metric="inner_product", **options)
        if self.index.needs_training:
            self.index.train(vectors)
        self.index.add(vectors)

    def _window_vectors(self, ids: np.ndarray) -> np.ndarray:
        """Return int8 vectors of all windows of some tunes."""
        vectors = []
        for first in range(0, len(ids), TUNES_AT_ONCE):
            parts = [
                window_contours(
                    self.melodies[at],
                    self.starts.values[self.starts.starts[at] : self.starts.ends[at]],
                    self.seconds,
                )
                for at in ids[first : first + TUNES_AT_ONCE]
            ]
            pitches, voiced = map(np.concatenate, zip(*parts, strict=True))
            vectors.append(as_int8(self.encoder.encode(pitches, voiced)))
        return np.concatenate(vectors)

    @property
    def stored_bytes(self) -> int:
        """Return the bytes of the index and of the tune of each window."""
        return self.index.bytes_by_part()["total"] + self.owners.nbytes

    def comparisons_of(self, query: Notes, ids: np.ndarray) -> int:
        return int(self.starts.lengths[ids].sum())

    def vectors_of(self, queries: Sequence[Notes]) -> np.ndarray:
        """Return the vector of each query, `(n_queries, dim)` int8."""
        queries = check_notes(queries, "queries")
        parts = [window_contours(one, np.zeros(1), times_of(one)[1]) for one in queries]
        pitches = np.array([pitch for pitch, _ in parts]).reshape(-1, FRAMES)
        voiced = np.array([flag for _, flag in parts], bool).reshape(-1, FRAMES)
        return as_int8(self.encoder.encode(pitches, voiced))

    def scores_of(self, query: Notes, ids: np.ndarray) -> np.ndarray:
        query_vector = self.vectors_of([query])[0].astype(np.float32)
        products = self._window_vectors(ids).astype(np.float32) @ query_vector
        counts = self.starts.lengths[ids]
        return np.maximum.reduceat(products, np.cumsum(counts) - counts) / UNIT**2

    def search(self, queries: Sequence[Notes], k: int) -> Run:
        """Find the k best tunes among the best windows; -1 where there are fewer tunes."""
        k = check_k(k, self.n_items)
        found = self.index.search(self.vectors_of(queries), self.windows)
        scores, ids = best_tunes(found, self.owners, k)
        products = sum(found.work.get(part, 0) for part in ("distances", "codes", "centroids"))
        work = Work(self.name, len(queries) * self.n_items, products)
        return Run.of_one_stage(scores, ids, self.name, work)


def learned_retriever(
    melodies: Sequence[Melody],
    encoder: ContourEncoder,
    *,
    seconds: float = 8.0,
    start: str = "anywhere",
    depth: int = DEPTH,
) -> TwoStageRetriever:
    """Make a retriever in two stages: learned contour vectors, then DTW mixed with their score.

    Args:
        melodies, encoder, seconds, start: see `LearnedContourMatcher`.
        depth: candidates that are ordered again, at most the number of tunes.
    """
    first = LearnedContourMatcher(melodies, encoder, seconds=seconds, start=start)
    depth = min(depth, first.n_items)
    return TwoStageRetriever(first, DtwMatcher(melodies), depth, combine=MIX)
