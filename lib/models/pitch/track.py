"""A pitch track: one guess a frame, mended, and made into the contour that matchers take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import median_filter

from lib.core.checks import RetrievalInputError, check_number
from lib.datasets.tunes import SungNotes

RATE = 16_000  # samples a second
HOP = 256  # samples from one frame to the next, 16 ms
FRAME = HOP / RATE  # seconds
VOICED = 0.5  # least confidence
MEDIAN = 5  # frames of the median filter
JUMP = 6.0  # semitones between two frames that begin another piece
SLIP = 0.15  # seconds; a shorter piece an octave away is a slip of the tracker, not a note
OCTAVE_WITHIN = 1.0  # semitones
SHORTEST_VOICE = 0.05  # seconds
STEP = 0.1  # seconds of a frame of the contour


@dataclass(frozen=True, eq=False, repr=False)
class PitchTrack:
    """Pitch, confidence and loudness of a sound, every 16 ms.

    Args:
        pitches: float64 `(n,)`, MIDI numbers with fractions: the best guess, also in frames
            without a voice; NaN where there is none.
        confidence: float64 `(n,)`, 0 to 1; a frame is voiced from 0.5.
        loudness: float64 `(n,)`, decibels of full scale.
    """

    pitches: np.ndarray
    confidence: np.ndarray
    loudness: np.ndarray

    def __post_init__(self) -> None:
        for name in ("pitches", "confidence", "loudness"):
            array = np.array(getattr(self, name), dtype=np.float64)  # a copy
            if array.ndim != 1 or array.size != np.size(self.pitches):
                raise RetrievalInputError(
                    f"{name} must have one entry for each of {np.size(self.pitches)} frames, got"
                    f" shape {array.shape}"
                )
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return self.pitches.size

    @property
    def voiced(self) -> np.ndarray:
        """Return the frames with a voice, bool `(n,)`."""
        return (self.confidence >= VOICED) & np.isfinite(self.pitches)

    @property
    def times(self) -> np.ndarray:
        """Return the time of each frame in seconds."""
        return np.arange(len(self)) * FRAME

    def __repr__(self) -> str:
        return f"PitchTrack({len(self) * FRAME:.1f} s, {self.voiced.mean():.0%} voiced)"


def mended(track: PitchTrack) -> np.ndarray:
    """Return the pitch of each frame without slips, NaN where nothing is sung.

    Voices shorter than 50 ms are clicks and are left out. A piece shorter than 0.15 s that lies an
    octave from what surrounds it is moved back; a longer one is a note. Then a median over five
    frames of one voice removes what is left.
    """
    pitches = np.where(track.voiced, track.pitches, np.nan)
    for start, end in _runs(np.isfinite(pitches)):
        if (end - start) * FRAME < SHORTEST_VOICE:
            pitches[start:end] = np.nan
        else:
            voice = _octaves_mended(pitches[start:end])
            pitches[start:end] = median_filter(voice, MEDIAN, mode="nearest")
    return pitches


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return first and last (exclusive) position of each run of True."""
    edges = np.flatnonzero(np.diff(flags.astype(np.int8), prepend=0, append=0))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _octaves_mended(voice: np.ndarray) -> np.ndarray:
    """Move short pieces that lie an octave from their neighbours."""
    voice = voice.copy()
    cuts = np.flatnonzero(np.abs(np.diff(voice)) > JUMP) + 1
    ends = np.concatenate([cuts, [voice.size]])
    start = 0
    for end in ends:
        if (end - start) * FRAME < SLIP:
            around = [voice[start - 1] - voice[start]] if start else []
            around += [voice[end] - voice[end - 1]] if end < voice.size else []
            octaves = {round(step / 12) for step in around}
            near = all(abs(step - 12 * round(step / 12)) < OCTAVE_WITHIN for step in around)
            if around and near and len(octaves) == 1:
                voice[start:end] += 12 * octaves.pop()
        start = end
    return voice


def contour_of(pitches: np.ndarray, *, frame: float = FRAME, step: float = STEP) -> SungNotes:
    """Return a contour of equal steps as sung notes, one for each step with a voice.

    A matcher holds a pitch until the next begins, so a pause lasts as long as it was. The contour
    begins at the first voice.

    Args:
        pitches: `(n,)` MIDI numbers, NaN where nothing is sung.
        frame: seconds from one of them to the next.
        step: seconds of a step; its pitch is the median of its frames.
    """
    step = check_number(step, "step", frame)
    pitches = np.asarray(pitches, dtype=np.float64)
    sung = np.flatnonzero(np.isfinite(pitches))
    if not sung.size:
        raise RetrievalInputError("pitches must hold at least one sung frame, got only NaN")
    bins = ((sung - sung[0]) * frame / step + 1e-9).astype(np.int64)
    values = pitches[sung]
    order = np.lexsort((values, bins))
    bins, values = bins[order], values[order]
    filled, first, counts = np.unique(bins, return_index=True, return_counts=True)
    # The median of each step, from its sorted values.
    medians = (values[first + (counts - 1) // 2] + values[first + counts // 2]) / 2
    return SungNotes(filled * step, np.full(filled.size, step), medians)
