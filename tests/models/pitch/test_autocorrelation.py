"""Autocorrelation: its formula, and tones of known pitch."""

import numpy as np
import pytest

from lib.models.pitch.autocorrelation import autocorrelation, track_by_autocorrelation
from lib.models.pitch.track import RATE

T = np.arange(RATE) / RATE


def harmonic(frequency, weights=(1, 0.5, 0.25)):
    return sum(w * np.sin(2 * np.pi * n * frequency * T) for n, w in enumerate(weights, start=1))


def test_the_transform_computes_the_formula():
    frames = np.random.default_rng(0).standard_normal((3, 16))
    found = autocorrelation(frames)
    for row, x in zip(found, frames, strict=True):
        for k in range(8):
            a, b = x[: 16 - k], x[k:]
            assert row[k] == pytest.approx(2 * (a @ b) / (a @ a + b @ b))


def test_silence_resembles_nothing():
    assert not autocorrelation(np.zeros((2, 32))).any()


@pytest.mark.parametrize("pitch", [40, 47.3, 60, 69, 76.8])
def test_tones_have_their_pitch(pitch):
    track = track_by_autocorrelation(harmonic(440 * 2 ** ((pitch - 69) / 12)))
    inner = slice(4, -4)
    assert track.voiced[inner].all()
    assert track.pitches[inner] == pytest.approx(pitch, abs=0.1)


def test_a_missing_fundamental_is_heard():
    track = track_by_autocorrelation(harmonic(200, (0, 1, 1, 1)))
    assert np.median(track.pitches) == pytest.approx(69 + 12 * np.log2(200 / 440), abs=0.1)


def test_noise_and_what_is_far_softer_have_no_voice():
    noise = np.random.default_rng(0).standard_normal(RATE)
    assert track_by_autocorrelation(noise).voiced.mean() < 0.05
    fading = harmonic(200) * np.where(T < 0.5, 1, 0.01)
    voiced = track_by_autocorrelation(fading).voiced
    assert voiced[2:28].all() and not voiced[36:].any()


def test_any_length_is_tracked():
    for n in (1, 255, 256, 1000):
        assert len(track_by_autocorrelation(np.ones(n))) == max(1, n // 256)
