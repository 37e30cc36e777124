"""Melodies as contours: the pitch at regular times, and linear scaling over them.

A contour needs no notes: a pitch tracker gives it directly. Rests hold the pitch before them.
"""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import (
    RetrievalInputError,
    check_choice,
    check_count,
    check_number,
    real_numbers,
)
from lib.datasets.tunes import Melody
from lib.datasets.tunes.hums import STARTS, humming_tempo
from lib.search.melody.base import MelodyMatcher, Notes, Packed

STEP = 0.1  # seconds of a frame
SCALES = tuple(np.geomspace(1 / 1.7, 1.7, 11))  # of the tempo
WINDOWS_AT_ONCE = 4096


def times_of(notes: Notes) -> tuple[np.ndarray, float]:
    """Return the onsets from 0 and the end, in seconds; a melody at its humming tempo."""
    seconds = 60 / humming_tempo(notes) if isinstance(notes, Melody) else 1.0
    onsets = (notes.onsets - notes.onsets[0]) * seconds
    return onsets, float(onsets[-1] + notes.durations[-1] * seconds)


def pitches_at(notes: Notes, times: np.ndarray) -> np.ndarray:
    """Return the pitch of the last note that has begun at each time, float64."""
    onsets, _ = times_of(notes)
    return notes.pitches[np.searchsorted(onsets, times, side="right") - 1].astype(np.float64)


def contour(notes: Notes, *, step: float = STEP) -> np.ndarray:
    """Return the pitch in the middle of each frame, from the first onset to the end.

    Args:
        notes: a melody, at the tempo at which its median note takes 0.3 s, or sung notes.
        step: seconds of a frame.

    Returns:
        float64 `(n_frames,)` MIDI numbers, one frame at least.
    """
    step = check_number(step, "step", 0, above=True)
    n = max(1, round(times_of(notes)[1] / step))
    return pitches_at(notes, (np.arange(n) + 0.5) * step)


def contour_points(notes: Notes, n: int) -> np.ndarray:
    """Return the pitch at n equally spaced times, minus their mean."""
    length = times_of(notes)[1]
    points = pitches_at(notes, (np.arange(n) + 0.5) * (length / n))
    return points - points.mean()


class TuneFrames:
    """Contours of all tunes in frames, and the places where a query may begin.

    Args:
        melodies: the tunes.
        start: `"anywhere"`, at each note, or `"beginning"`.
        step: seconds of a frame.
    """

    def __init__(self, melodies: Sequence[Melody], start: str, step: float) -> None:
        check_choice(start, STARTS, "start")
        self.step = step
        self.frames = Packed([contour(one, step=step).astype(np.int8) for one in melodies])
        onsets = [times_of(one)[0] / step for one in melodies]
        if start == "beginning":
            onsets = [own[:1] for own in onsets]
        self.onsets = Packed([own.astype(np.float32) for own in onsets])  # in frames

    @property
    def stored_bytes(self) -> int:
        return self.frames.values.nbytes + self.onsets.values.nbytes

    def places(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return first frame and last frame of each window of some tunes, and their first windows.

        The first frame is float, counted over all tunes.
        """
        counts = self.onsets.lengths[ids]
        ends = np.cumsum(counts)
        rows = np.repeat(self.onsets.starts[ids] - (ends - counts), counts) + np.arange(ends[-1])
        base = np.repeat(self.frames.starts[ids], counts)
        last = np.repeat(self.frames.ends[ids] - 1, counts)
        return base + self.onsets.values[rows], last, ends - counts

    def windows(self, begin: np.ndarray, last: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Return centred pitches `(n_windows, n_points)` at offsets in frames from each begin.

        A window that leaves its tune holds the last pitch.
        """
        at = np.minimum((begin[:, None] + offsets).astype(np.int64), last[:, None])
        pitches = self.frames.values[at].astype(np.float32)
        return pitches - pitches.mean(axis=1, keepdims=True)


class LinearScalingMatcher(MelodyMatcher):
    """Rank tunes by the contour, stretched as a whole to several tempos.

        s = -min over starts and scales of  mean over points |q - t|

    q and t are pitches at equally spaced points of the query and of a part of the tune that is
    `scale` times as long, each minus its mean: the key drops out.

    Args:
        melodies: the tunes.
        start: `"anywhere"`: a query may begin at every note; `"beginning"`: at the first.
        scales: lengths of the part of the tune, relative to the query.
        points: number of points.
        step: seconds of a frame of a tune.

    Source: J.-S. R. Jang, H.-R. Lee, M.-Y. Kao, Content-based music retrieval using linear scaling
    and branch-and-bound tree search, ICME 2001.
    """

    def __init__(
        self,
        melodies: Sequence[Melody],
        *,
        start: str = "anywhere",
        scales: Sequence[float] = SCALES,
        points: int = 40,
        step: float = STEP,
    ) -> None:
        super().__init__(melodies, "linear scaling")
        self.scales = real_numbers(scales, "scales")
        if (self.scales <= 0).any():
            raise RetrievalInputError(f"scales must be above 0, got {self.scales.min():g}")
        self.points = check_count(points, "points", most=10_000)
        step = check_number(step, "step", 0, above=True)
        self.tunes = TuneFrames(self.melodies, start, step)

    @property
    def stored_bytes(self) -> int:
        """Return the bytes of frames and of places to begin."""
        return self.tunes.stored_bytes

    def comparisons_of(self, query: Notes, ids: np.ndarray) -> int:
        return int(self.tunes.onsets.lengths[ids].sum()) * self.scales.size * self.points

    def scores_of(self, query: Notes, ids: np.ndarray) -> np.ndarray:
        wanted = contour_points(query, self.points).astype(np.float32)
        frames = times_of(query)[1] / self.tunes.step
        offsets = (np.arange(self.points) + 0.5) / self.points * frames
        begin, last, first_windows = self.tunes.places(ids)
        best = np.full(begin.size, np.inf, np.float32)
        for start in range(0, begin.size, WINDOWS_AT_ONCE):
            now = slice(start, start + WINDOWS_AT_ONCE)
            for scale in self.scales:
                windows = self.tunes.windows(begin[now], last[now], offsets * scale)
                windows -= wanted
                np.abs(windows, out=windows)
                np.minimum(best[now], windows.mean(axis=1), out=best[now])
        return -np.minimum.reduceat(best, first_windows).astype(np.float64)
