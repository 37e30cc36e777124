"""From a recording to the hummed melody: sound of any kind in, contour and notes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd
from pathlib import Path

import numpy as np

from lib.core.checks import RetrievalInputError, as_array, check_choice, check_count
from lib.datasets.media.decoding import MAX_RATE, MAX_SECONDS, read_waveform
from lib.datasets.tunes import SungNotes
from lib.models.pitch.autocorrelation import track_by_autocorrelation
from lib.models.pitch.swift import available, notes_by_swift_f0, track_by_swift_f0
from lib.models.pitch.track import FRAME, RATE, PitchTrack, contour_of, mended

SWIFT, BY_HAND = "swift-f0", "autocorrelation"
TRACKERS: dict[str, Callable[[np.ndarray], PitchTrack]] = {
    SWIFT: track_by_swift_f0,
    BY_HAND: track_by_autocorrelation,
}
SILENT = -60.0  # decibels of full scale; a recording whose loudest sample is softer holds nothing
PEAK = 0.5  # of full scale, to which each recording is brought
SHORTEST = 1.5  # seconds of voice
# Notes a second of voice; above it a voice speaks. Ten sentences of two speech synthesisers had 4.9
# to 7.3, 64 hums of the voices here 2.5 to 4.5.
SPEECH_RATE = 4.7
MOST_CHANNELS = 64


@dataclass(frozen=True, eq=False, repr=False)
class Heard:
    """A melody that was heard.

    Args:
        contour: the pitch every 0.1 s, for matchers of contours.
        notes: the same as notes, for matchers of intervals; None without swift-f0.
        track: the frames it was made of.
        voice: seconds of voice.
        remarks: doubts, as sentences; empty where there are none.
    """

    contour: SungNotes
    notes: SungNotes | None
    track: PitchTrack
    voice: float
    remarks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        notes = "" if self.notes is None else f", {len(self.notes)} notes"
        return f"Heard({self.contour.seconds:.1f} s{notes})"


def hear_file(
    path: str | Path,
    *,
    start: float | None = None,
    end: float | None = None,
    tracker: str = SWIFT,
) -> Heard:
    """Hear the melody in a recording of any rate and number of channels, or in a video.

    Args:
        path: a sound or a video, see `read_waveform`.
        start, end: seconds; the whole recording by default, at most 10 minutes.
        tracker: as in `hear_melody`.
    """
    return hear_melody(read_waveform(path, RATE, start, end), RATE, tracker=tracker)


def hear_melody(samples: np.ndarray, rate: int = RATE, *, tracker: str = SWIFT) -> Heard:
    """Hear the melody in a sound.

    Args:
        samples: `(n,)`, or `(n, channels)`, of which the mean is heard; floats with full scale at
            1, or whole numbers, as WAV files have them. At most 10 minutes.
        rate: samples a second.
        tracker: `"swift-f0"` or `"autocorrelation"`.

    Raises:
        RetrievalInputError: where nothing can be heard, with the reason: silence, no pitch, or less
            than 1.5 s of voice.
    """
    mono = as_mono(samples, rate)
    peak = float(np.abs(mono).max())
    if peak <= 10 ** (SILENT / 20):
        level = f"{20 * np.log10(peak):.0f} dB" if peak else "zero"
        raise RetrievalInputError(
            f"samples must be louder than {SILENT:g} dB of full scale, the loudest is {level}."
            " Nothing was recorded: look at the microphone"
        )
    track = track_pitch(mono * (PEAK / peak), tracker)
    pitches = mended(track)
    voice = float(np.isfinite(pitches).sum() * FRAME)
    if voice < SHORTEST:
        raise RetrievalInputError(
            f"the sound must hold at least {SHORTEST:g} s of a voice with a pitch, got {voice:.1f}"
            f" of {mono.size / RATE:.1f} s. Hum longer, or nearer to the microphone"
        )
    notes = notes_by_swift_f0(track, pitches) if available() else None
    remarks = ()
    if notes is not None and len(notes) / voice > SPEECH_RATE:
        remarks = (
            f"This sounds like speech: the pitch changes {len(notes) / voice:.1f} times a second."
            " Hum the tune on 'da' or 'la'",
        )
    return Heard(contour_of(pitches), notes, track, voice, remarks)


def track_pitch(samples: np.ndarray, tracker: str = SWIFT) -> PitchTrack:
    """Track the pitch of a mono sound at 16 kHz with a tracker of `TRACKERS`."""
    return TRACKERS[check_choice(tracker, TRACKERS, "tracker")](samples)


def as_mono(samples: np.ndarray, rate: int) -> np.ndarray:
    """Return any sound as float64 `(n,)` at 16 kHz, without its direct current."""
    samples, rate = as_array(samples, "samples"), check_count(rate, "rate", most=MAX_RATE)
    if samples.dtype.kind not in "iuf" or samples.ndim not in (1, 2) or samples.size == 0:
        raise RetrievalInputError(
            "samples must be numbers of shape (n,) or (n, channels), got"
            f" {samples.dtype} {samples.shape}"
        )
    if samples.ndim == 2 and samples.shape[1] > MOST_CHANNELS:
        raise RetrievalInputError(
            f"samples must have at most {MOST_CHANNELS} channels, got shape {samples.shape};"
            " channels come last"
        )
    if len(samples) > MAX_SECONDS * rate:
        raise RetrievalInputError(
            f"samples must last at most {MAX_SECONDS:g} s, got {len(samples) / rate:.0f} s. Give"
            " the part that holds the tune"
        )
    full = 1.0
    if samples.dtype.kind in "iu":
        full = float(np.iinfo(samples.dtype).max) / (1 if samples.dtype.kind == "i" else 2)
    mono = samples.astype(np.float64)
    mono = mono if mono.ndim == 1 else mono.mean(axis=1)
    if not np.isfinite(mono).all():
        at = int(np.argmin(np.isfinite(mono)))
        raise RetrievalInputError(f"samples must be finite, got {mono[at]} at {at}")
    mono = (mono - mono.mean()) / full
    if rate != RATE:
        from scipy.signal import resample_poly  # takes as long to import as a search

        common = gcd(rate, RATE)
        mono = resample_poly(mono, RATE // common, rate // common)
    return mono
