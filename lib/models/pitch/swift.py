"""Pitch and notes by swift-f0, a network of 135 kB that onnxruntime runs."""

import importlib.util
from functools import lru_cache

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.datasets.tunes import SungNotes
from lib.models.pitch.track import RATE, PitchTrack

A4 = 440.0  # Hz, MIDI 69
LOWEST, HIGHEST = 60.0, 1100.0  # Hz


def available() -> bool:
    """Return True if swift-f0 is installed."""
    return importlib.util.find_spec("swift_f0") is not None


def _swift_f0():
    if not available():
        raise RetrievalInputError(
            "pitch and notes of a voice need the package swift-f0. Run: pip install"
            " 'crossmodal-retrieval[hum]'. tracker='autocorrelation' gives the contour without it"
        )
    import swift_f0

    return swift_f0


@lru_cache(maxsize=1)
def _detector():
    """Load the network once; one thread, which sleeps between calls."""
    return _swift_f0().SwiftF0(threads=1, spin=False)


def track_by_swift_f0(samples: np.ndarray) -> PitchTrack:
    """Track the pitch of a mono sound at 16 kHz, between 60 and 1,100 Hz.

    Args:
        samples: float `(n,)`, full scale at 1.

    Source: L. Nieradzik, SwiftF0: Fast and Accurate Monophonic Pitch Detection, 2025,
    https://arxiv.org/abs/2508.18440.
    """
    found = _detector().detect(np.asarray(samples, np.float32), RATE, LOWEST, HIGHEST)
    pitches = np.full(found.pitch_hz.size, np.nan)
    known = found.pitch_hz > 0
    pitches[known] = 69 + 12 * np.log2(found.pitch_hz[known] / A4)
    return PitchTrack(pitches, found.confidence, found.loudness_db)


def notes_by_swift_f0(track: PitchTrack, pitches: np.ndarray) -> SungNotes | None:
    """Divide a pitch track into notes of one pitch each; None where there is none.

    Notes and gaps with the least total cost: what each note is off its pitch, a price for each
    note, and dips of the loudness, which part notes of one pitch.

    Args:
        track: confidence and loudness, from any tracker.
        pitches: `(n,)` MIDI numbers of its frames, mended; NaN where nothing is sung.
    """
    package = _swift_f0()
    sung = np.isfinite(pitches)
    hertz = np.where(sung, A4 * 2 ** ((np.where(sung, pitches, 69) - 69) / 12), 0.0)
    confidence = np.where(sung, track.confidence, 0.0)
    result = package.PitchResult(track.times, hertz, confidence, track.loudness)
    notes = package.segment_notes(result)
    if not notes:
        return None
    onsets = np.array([note.start for note in notes])
    ends = np.array([note.end for note in notes])
    values = np.array([69 + 12 * np.log2(note.pitch_hz / A4) for note in notes])
    ends[:-1] = np.minimum(ends[:-1], onsets[1:])
    return SungNotes(onsets - onsets[0], ends - onsets, values)
