"""Accuracy of a pitch tracker, as MIREX's audio melody extraction counts it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lib.core.checks import RetrievalInputError, check_number, real_numbers

TOLERANCE = 0.5  # semitones


@dataclass(frozen=True)
class PitchAccuracy:
    """Four shares, each of its own frames.

    Args:
        raw_pitch: of the sung frames, those with a pitch within the tolerance, voiced or not.
        raw_chroma: the same, with octaves forgiven.
        voicing_recall: of the sung frames, those that are found voiced.
        voicing_false_alarm: of the other frames, those that are found voiced; 0 where there are
            none.
        n_sung, n_other: number of frames.
    """

    raw_pitch: float
    raw_chroma: float
    voicing_recall: float
    voicing_false_alarm: float
    n_sung: int
    n_other: int


def pitch_accuracy(truth, pitches, voiced, *, tolerance: float = TOLERANCE) -> PitchAccuracy:
    """Compare a pitch track with the truth, frame by frame.

        raw pitch  = |{t sung: |p_t - q_t| <= tolerance}| / |{t sung}|
        raw chroma = the same with |p_t - q_t - 12 round((p_t - q_t) / 12)|

    Args:
        truth: `(n,)` semitones, such as MIDI numbers; NaN where nothing is sung.
        pitches: `(n,)` semitones, the tracker's best guess of each frame, also where it finds no
            voice; NaN where it has none.
        voiced: `(n,)` flags: the frames in which the tracker finds a voice.
        tolerance: semitones.

    Source: J. Salamon et al., Melody Extraction from Polyphonic Music Signals, IEEE Signal
    Processing Magazine 31 (2014), "Evaluation".
    """
    tolerance = check_number(tolerance, "tolerance", 0, 6)
    truth, pitches = (np.asarray(values, dtype=np.float64) for values in (truth, pitches))
    voiced = real_numbers(voiced, "voiced") > 0
    if not truth.shape == pitches.shape == voiced.shape:
        raise RetrievalInputError(
            "truth, pitches and voiced must have one entry for each frame, got shapes"
            f" {truth.shape}, {pitches.shape} and {voiced.shape}"
        )
    sung = np.isfinite(truth)
    if not sung.any():
        raise RetrievalInputError("truth must hold at least one sung frame, got only NaN")
    off = pitches[sung] - truth[sung]  # NaN compares as false below
    chroma = off - 12 * np.round(off / 12)
    others = voiced[~sung]
    return PitchAccuracy(
        raw_pitch=float((np.abs(off) <= tolerance).mean()),
        raw_chroma=float((np.abs(chroma) <= tolerance).mean()),
        voicing_recall=float(voiced[sung].mean()),
        voicing_false_alarm=float(others.mean()) if others.size else 0.0,
        n_sung=int(sung.sum()),
        n_other=int(others.size),
    )
