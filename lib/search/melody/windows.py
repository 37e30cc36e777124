"""Windows of tunes and of hums, as the learned encoder reads them.

Nobody knows how much of a tune a hum holds: a singer of half the tempo needs twice the time. So
tunes are cut into windows of several lengths, and a hum is cut, for each tempo that it may have, to
what fits the longest window that it fills.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lib.core.checks import RetrievalInputError, real_numbers
from lib.datasets.tunes import Melody
from lib.datasets.tunes.hums import humming_tempo
from lib.search.melody.base import Notes
from lib.search.melody.contours import pitches_at, times_of

FRAMES = 80  # of a window, as the encoder reads it
LENGTHS = (3.2, 4.8, 7.2, 10.8)  # seconds of a tune
TEMPOS = tuple(np.exp(np.linspace(-0.45, 0.45, 7)))  # of the singer, where that of the tune is 1
SPACING = 0.44  # seconds between the places where windows begin: at most every second note
LEAST = 0.5  # share of a window that must lie in its tune
FULL = 0.95  # share of a window that a hum must fill


def sounding_at(notes: Notes, times: np.ndarray) -> np.ndarray:
    """Tell whether a note sounds at each time, in seconds from the first onset."""
    seconds = 60 / humming_tempo(notes) if isinstance(notes, Melody) else 1.0
    onsets, _ = times_of(notes)
    at = np.searchsorted(onsets, times, side="right") - 1
    return times < onsets[at] + notes.durations[at] * seconds


def window_contours(
    notes: Notes, starts: np.ndarray, seconds: float | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return pitch and voicing of windows that begin at some times.

    Args:
        notes: a melody, at its humming tempo, or sung notes.
        starts: `(n,)` seconds from the first onset.
        seconds: length of the windows, one for all or `(n,)`. One that leaves the notes holds the
            last pitch, in silence.

    Returns:
        Pitches float64 `(n, 80)` and voiced bool `(n, 80)`.
    """
    shares = (np.arange(FRAMES) + 0.5) / FRAMES
    lengths = np.broadcast_to(np.asarray(seconds, np.float64), np.shape(starts))
    times = np.asarray(starts, np.float64)[:, None] + shares * lengths[:, None]
    return pitches_at(notes, times), sounding_at(notes, times)


def window_starts(notes: Notes, seconds: float, spacing: float = SPACING) -> np.ndarray:
    """Return onsets at least `spacing` seconds apart, with half a window left; the first always."""
    onsets, end = times_of(notes)
    kept = [0.0]
    for onset in onsets[onsets <= end - LEAST * seconds].tolist():
        if onset - kept[-1] >= spacing:
            kept.append(onset)
    return np.array(kept)


def check_positive(values: Sequence[float], name: str) -> np.ndarray:
    """Return numbers above 0 in rising order, at least one."""
    values = real_numbers(values, name)
    if (values <= 0).any() or (np.diff(values) <= 0).any():
        raise RetrievalInputError(f"{name} must be numbers above 0 that rise, got {values}")
    return values


def cuts_of(seconds: np.ndarray, lengths: np.ndarray, tempos: np.ndarray) -> np.ndarray:
    """Choose the window for each hum and each tempo that it may have.

        L = the longest window with  L / tempo <= seconds / 0.95,  or the shortest of all

    Args:
        seconds: `(n,)` lengths of hums.
        lengths: `(n_lengths,)` of windows of tunes, rising.
        tempos: `(n_tempos,)`; a singer of tempo 2 sings a window in half its time.

    Returns:
        int64 `(n, n_tempos)`, positions in `lengths`; the cut is `lengths[...] / tempos`.
    """
    filled = seconds[:, None] * tempos / FULL  # of the tune, in seconds
    return np.maximum(np.searchsorted(lengths, filled, side="right") - 1, 0)
