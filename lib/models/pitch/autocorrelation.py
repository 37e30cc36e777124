"""Pitch by autocorrelation, by hand: a periodic sound resembles itself one period later."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from lib.models.pitch.track import HOP, RATE, PitchTrack

WINDOW = 1024  # samples, 64 ms: more than two periods of the lowest pitch
LOWEST, HIGHEST = 65.0, 1000.0  # Hz: bass to soprano
NEAR_BEST = 0.9  # of the best peak; the first peak as high as this is the period
QUIET = 0.03  # of the loudest frame; what is softer has no voice
BLOCK = 2000  # frames at once


def autocorrelation(frames: np.ndarray) -> np.ndarray:
    """Compute how much each frame resembles itself some samples later.

        n(k) = 2 sum_t x_t x_{t+k} / sum_t (x_t^2 + x_{t+k}^2),   t = 0 ... W - 1 - k

    n(0) = 1, and n is 1 again after each period. The sums of all k at once are an inverse Fourier
    transform of the power spectrum.

    Args:
        frames: `(n_frames, W)` samples.

    Returns:
        `(n_frames, W // 2)`, for k below half the window.

    Source: P. McLeod, G. Wyvill, A Smarter Way to Find Pitch, ICMC 2005.
    """
    width = frames.shape[1]
    spectrum = np.fft.rfft(frames, 2 * width)
    products = np.fft.irfft(np.abs(spectrum) ** 2)[:, : width // 2]
    energy = np.cumsum(np.pad(frames**2, ((0, 0), (1, 0))), axis=1)
    k = np.arange(width // 2)
    sums = energy[:, width - k] + energy[:, -1:] - energy[:, k]
    return 2 * products / np.maximum(sums, 1e-12)


def track_by_autocorrelation(samples: np.ndarray) -> PitchTrack:
    """Track the pitch of a mono sound at 16 kHz.

    The period is the first peak of `autocorrelation` that is nearly as high as the highest: later
    ones are its multiples, octaves too low.

    Args:
        samples: float `(n,)`.
    """
    n = max(1, len(samples) // HOP)
    padded = np.pad(np.asarray(samples, np.float64), WINDOW // 2)
    frames = sliding_window_view(padded, WINDOW)[::HOP][:n]
    parts = [_periods(frames[start : start + BLOCK]) for start in range(0, n, BLOCK)]
    periods, heights, power = (np.concatenate(part) for part in zip(*parts, strict=True))
    loudness = 10 * np.log10(np.maximum(power, 1e-14))
    audible = power > QUIET**2 * power.max()
    pitches = 69 + 12 * np.log2(RATE / periods / 440)
    return PitchTrack(pitches, np.where(audible, np.clip(heights, 0, 1) ** 2, 0), loudness)


def _periods(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return period in samples, height of its peak, and power of each frame."""
    n = autocorrelation(frames)
    first, last = int(RATE / HIGHEST), int(RATE / LOWEST)
    middle = n[:, first : last + 1]
    peak = (middle > n[:, first - 1 : last]) & (middle >= n[:, first + 1 : last + 2])
    heights = np.where(peak, middle, 0)
    near_best = heights >= NEAR_BEST * heights.max(axis=1, keepdims=True)
    at = np.argmax(near_best & peak, axis=1) + first
    rows = np.arange(len(n))
    before, top, after = n[rows, at - 1], n[rows, at], n[rows, at + 1]
    bend = before - 2 * top + after  # a parabola through three points has its top between them
    shift = np.where(bend < 0, (before - after) / 2 / np.where(bend < 0, bend, 1), 0)
    return at + np.clip(shift, -0.5, 0.5), top, np.mean(frames**2, axis=1)
