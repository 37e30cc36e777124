"""Search by a hum in two stages: contour vectors find candidates, DTW orders them."""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import check_number
from lib.datasets.tunes import SungNotes
from lib.search.melody.base import Notes, check_notes
from lib.search.melody.contour_vectors import VECTOR_SCALES, ContourVectorMatcher
from lib.search.melody.dtw import DtwMatcher
from lib.search.two_stage import StagedQueries, TwoStageRetriever

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
