"""Search by a hum in two stages: contour vectors find candidates, DTW orders them."""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import check_number
from lib.datasets.tunes import SungNotes
from lib.search.melody.base import Notes, check_notes
from lib.search.melody.contour_vectors import ContourVectorMatcher
from lib.search.melody.dtw import DtwMatcher
from lib.search.two_stage import TwoStageRetriever

DEPTH = 100  # candidates that DTW orders
# Lengths of windows: a person hums at half to twice the tempo at which tunes are kept.
HUMMED_SCALES = tuple(np.geomspace(0.55, 1.8, 8))


def hum_retriever(
    melodies: Sequence[Notes],
    *,
    seconds: float = 8.0,
    start: str = "anywhere",
    scales: Sequence[float] = HUMMED_SCALES,
    depth: int = DEPTH,
) -> TwoStageRetriever:
    """Make a retriever of tunes by hums: contour vectors, then DTW on the best.

    Args:
        melodies: the tunes.
        seconds: length of the hums, which the first stage compares as a whole.
        start: `"anywhere"` in a tune, or `"beginning"`.
        scales: lengths of the windows of the first stage, relative to `seconds`.
        depth: candidates that DTW orders, at most the number of tunes.
    """
    first = ContourVectorMatcher(melodies, seconds=seconds, start=start, scales=scales)
    return TwoStageRetriever(first, DtwMatcher(melodies), min(depth, first.n_items))


def first_seconds(notes: SungNotes, seconds: float) -> SungNotes:
    """Take the notes that begin within some seconds from the first; the last one is cut there."""
    seconds = check_number(seconds, "seconds", 0, above=True)
    (notes,) = check_notes([notes], "notes")
    onsets = notes.onsets - notes.onsets[0]
    n = int(np.searchsorted(onsets, seconds))
    lengths = np.minimum(notes.durations[:n], seconds - onsets[:n])
    return SungNotes(onsets[:n], lengths, notes.pitches[:n], notes.source)
