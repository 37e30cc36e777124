"""The melody in a mix: from music with accompaniment to the pitch of its leading voice.

Trackers of one voice follow whatever is loudest. Here each pitch gets a salience, the sum of what
the spectrum holds at its harmonics, and the melody is the path through time of greatest salience:
it stays, slides a little, or pays for a leap.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.ndimage import median_filter
from scipy.signal import istft, stft

from lib.core.checks import RetrievalInputError, check_choice
from lib.datasets.media.decoding import read_waveform
from lib.datasets.tunes import SungNotes
from lib.models.pitch.hearing import PEAK, SILENT, as_mono, track_pitch
from lib.models.pitch.track import FRAME, HOP, RATE, PitchTrack, contour_of, mended

WINDOW, BINS = 1536, 4096  # samples of a frame, 96 ms, and of its spectrum with zeros around it
LOWEST, HIGHEST = 52, 93  # MIDI pitches, 165 to 1,760 Hz
STEPS = 5  # pitches a semitone
MOST_HERTZ = 5000.0  # of the spectrum
HARMONICS, DECAY = 8, 0.8  # of a pitch, and the weight of each relative to the one below
COMPRESSION = 0.5  # exponent of the magnitude: loud partials do not hide the others
SLIDE, LEAP = 0.05, 0.9  # prices, in units of the greatest salience of the median frame
VOICED_ABOVE = 0.5  # salience of a voiced frame, in the same units
HPSS_WINDOW, HPSS_LENGTH = 1024, 17  # samples, and entries of the medians
BAND = (180.0, 4000.0)  # Hz
SALIENCE, HARMONIC, DIRECT = "salience", "harmonic part", "direct"
METHODS = (SALIENCE, HARMONIC, DIRECT)


def hear_mix_file(path: str | Path, *, method: str = SALIENCE) -> SungNotes:
    """Hear the melody in a file of music or a video, see `hear_mix`; at most 10 minutes."""
    return hear_mix(read_waveform(path, RATE), RATE, method=method)


def hear_mix(samples: np.ndarray, rate: int = RATE, *, method: str = SALIENCE) -> SungNotes:
    """Hear the melody in a mix as a contour whose onsets are seconds of the recording.

    Args:
        samples, rate: as in `hear_melody`.
        method: as in `track_mix`.
    """
    pitches = mended(track_mix(samples, rate, method=method))
    sung = np.flatnonzero(np.isfinite(pitches))
    if not sung.size:
        raise RetrievalInputError("no pitch was heard in the sound. Give a part that holds music")
    found = contour_of(pitches)
    return SungNotes(found.onsets + sung[0] * FRAME, found.durations, found.pitches)


def track_mix(samples: np.ndarray, rate: int = RATE, *, method: str = SALIENCE) -> PitchTrack:
    """Track the leading voice of a mix, every 16 ms.

    Args:
        samples, rate: as in `hear_melody`.
        method: `"salience"`; `"harmonic part"`, swift-f0 on the mix without its short sounds and
            outside 180 to 4,000 Hz; or `"direct"`, swift-f0 on the mix as it is.
    """
    check_choice(method, METHODS, "method")
    mono = as_mono(samples, rate)
    peak = float(np.abs(mono).max())
    if peak <= 10 ** (SILENT / 20):
        raise RetrievalInputError(f"samples must be louder than {SILENT:g} dB of full scale")
    mono = mono * (PEAK / peak)
    if method == SALIENCE:
        return track_by_salience(mono)
    return track_pitch(harmonic_part(mono) if method == HARMONIC else mono)


# ---- salience


def track_by_salience(mono: np.ndarray) -> PitchTrack:
    """Track the path of greatest salience through a sound at 16 kHz, float `(n,)`."""
    heights = salience(mono)
    unit = float(np.median(heights.max(axis=1))) or 1.0
    path = best_path(heights / unit, SLIDE, LEAP)
    rows = np.arange(len(path))
    height = heights[rows, path] / unit
    loudness = 20 * np.log10(np.maximum(height, 1e-6))
    confidence = np.clip(height / (2 * VOICED_ABOVE), 0, 1)  # a frame is voiced from 0.5
    return PitchTrack(LOWEST + path / STEPS, confidence, loudness)


def salience(mono: np.ndarray) -> np.ndarray:
    """Compute the salience of each pitch in each frame.

        s(t, p) = sum over h of DECAY^(h-1) |X(t, h f_p)|^(1/2)

    Only peaks of the spectrum count, so that one partial does not stand for many pitches.

    Args:
        mono: float `(n,)` at 16 kHz.

    Returns:
        float32 `(n_frames, 206)`; frame t is centred on 16 t ms, pitch i is MIDI 52 + i / 5.

    Source: J. Salamon, E. Gomez, Melody Extraction From Polyphonic Music Signals Using Pitch
    Contour Characteristics, IEEE TASLP 20 (2012), section II, without its equal-loudness filter.
    """
    _, _, spectrum = stft(
        mono, RATE, "hann", WINDOW, WINDOW - HOP, BINS, boundary="zeros", padded=True
    )
    n_bins = len(_bin_frequencies())
    magnitude = np.abs(spectrum[:n_bins].T).astype(np.float32)  # (n_frames, n_bins)
    middle = magnitude[:, 1:-1]
    peak = (middle > magnitude[:, :-2]) & (middle >= magnitude[:, 2:])
    peaks = np.zeros_like(magnitude)
    peaks[:, 1:-1][peak] = middle[peak] ** COMPRESSION
    return peaks @ _harmonic_weights()


def _bin_frequencies() -> np.ndarray:
    """Return the frequencies of the spectrum, in Hz, that count."""
    frequencies = np.fft.rfftfreq(BINS, 1 / RATE)
    return frequencies[frequencies <= MOST_HERTZ]


@lru_cache(maxsize=1)
def _harmonic_weights() -> np.ndarray:
    """Return weights `(n_bins, n_pitches)`: a peak counts within half a semitone of a harmonic."""
    hertz = 440 * 2 ** ((LOWEST + np.arange((HIGHEST - LOWEST) * STEPS + 1) / STEPS - 69) / 12)
    frequencies = np.maximum(_bin_frequencies(), 1.0)
    weights = np.zeros((hertz.size, frequencies.size))
    for harmonic in range(1, HARMONICS + 1):
        off = 12 * np.log2(frequencies / (harmonic * hertz[:, None]))
        near = np.cos(np.clip(off, -0.5, 0.5) * np.pi) ** 2  # 1 at the harmonic, 0 from 1/2
        weights = np.maximum(weights, DECAY ** (harmonic - 1) * near)
    return weights.T.astype(np.float32)


def best_path(heights: np.ndarray, slide: float, leap: float) -> np.ndarray:
    """Find the path of greatest total height, less the prices of its moves (Viterbi).

        D(t, p) = s(t, p) + max(D(t-1, p'), less slide |p - p'| for |p - p'| <= 2, else less leap)

    Args:
        heights: `(n_frames, n_pitches)`.
        slide: price of a step by one pitch.
        leap: price of any other step.

    Returns:
        int64 `(n_frames,)` pitches.
    """
    n, width = heights.shape
    moves = np.array([0, -1, 1, -2, 2])
    prices = slide * np.abs(moves)[:, None]
    came = np.empty((n, width), np.int64)
    total, columns = heights[0].copy(), np.arange(width)
    for frame in range(1, n):
        padded = np.pad(total, 2, constant_values=-np.inf)
        ways = padded[2 + columns + moves[:, None]] - prices
        best = np.argmax(ways, axis=0)
        stay = ways[best, columns]
        top = int(np.argmax(total))
        leaps = total[top] - leap > stay
        came[frame] = np.where(leaps, top, columns + moves[best])
        total = heights[frame] + np.where(leaps, total[top] - leap, stay)
    path = np.empty(n, np.int64)
    path[-1] = np.argmax(total)
    for frame in range(n - 1, 0, -1):
        path[frame - 1] = came[frame, path[frame]]
    return path


# ---- the harmonic part


def harmonic_part(mono: np.ndarray) -> np.ndarray:
    """Keep what lasts in a sound: tones stay, beats of drums go; and a band of frequencies.

        M = H^2 / (H^2 + P^2),  H the median over time and P over frequency of the magnitude

    Source: D. Fitzgerald, Harmonic/Percussive Separation Using Median Filtering, DAFx 2010.
    """
    frequencies, _, spectrum = stft(mono, RATE, "hann", HPSS_WINDOW, HPSS_WINDOW * 3 // 4)
    magnitude = np.abs(spectrum).astype(np.float32)
    lasting = median_filter(magnitude, (1, HPSS_LENGTH)) ** 2
    sudden = median_filter(magnitude, (HPSS_LENGTH, 1)) ** 2
    mask = lasting / np.maximum(lasting + sudden, 1e-12)
    mask *= ((frequencies >= BAND[0]) & (frequencies <= BAND[1]))[:, None]
    _, sound = istft(spectrum * mask, RATE, "hann", HPSS_WINDOW, HPSS_WINDOW * 3 // 4)
    return np.pad(sound, (0, max(0, mono.size - sound.size)))[: mono.size]
