"""The melody in a mix: paths by hand, tones with harmonics, what is refused."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.models.pitch import hear_mix, swift, track_mix
from lib.models.pitch.mix import LOWEST, METHODS, STEPS, best_path, harmonic_part, salience
from lib.models.pitch.track import RATE

PITCHES = (67, 71, 74, 72)


def tone(pitch, seconds, partials=6):
    times = np.arange(round(seconds * RATE)) / RATE
    hertz = 440 * 2 ** ((pitch - 69) / 12)
    return sum(0.7**h * np.sin(2 * np.pi * (h + 1) * hertz * times) for h in range(partials))


@pytest.fixture(scope="module")
def mix():
    """Four notes of half a second after half a second of rest, over a soft chord and clicks."""
    melody = np.concatenate([np.zeros(RATE // 2), *[tone(pitch, 0.5) for pitch in PITCHES]])
    chord = sum(tone(pitch, 2.5) for pitch in (48, 52, 55))
    clicks = np.zeros(melody.size)
    clicks[:: RATE // 4] = 3.0
    return melody + 0.15 * chord + clicks


def price(path, heights, slide, leap):
    steps = np.abs(np.diff(path))
    moves = np.where(steps <= 2, np.minimum(slide * steps, leap), leap)
    return heights[np.arange(len(path)), path].sum() - moves.sum()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_the_path_is_the_best_of_all_paths(seed):
    heights = np.random.default_rng(seed).random((4, 4))
    path = best_path(heights, 0.1, 0.35)
    every = itertools.product(range(4), repeat=4)
    best = max(price(np.array(one), heights, 0.1, 0.35) for one in every)
    assert price(path, heights, 0.1, 0.35) == pytest.approx(best)


def test_a_path_stays_where_a_leap_costs_more_than_it_gains():
    heights = np.zeros((5, 9))
    heights[:, 1] = 1.0
    heights[2, 8] = 1.5
    assert best_path(heights, 0.1, 0.4).tolist() == [1, 1, 1, 1, 1]
    assert best_path(heights, 0.1, 0.2).tolist() == [1, 1, 8, 1, 1]


def test_salience_is_greatest_at_the_fundamental_even_where_it_is_missing():
    full = tone(60, 0.5)
    times = np.arange(full.size) / RATE
    missing = full - np.sin(2 * np.pi * 440 * 2 ** ((60 - 69) / 12) * times)
    for sound in (full, missing):
        heights = salience(sound)[10:20].mean(axis=0)
        assert LOWEST + int(np.argmax(heights)) / STEPS == pytest.approx(60, abs=0.2)


@pytest.mark.parametrize("rate", [RATE, 48_000])
def test_the_leading_voice_is_heard_over_a_chord_and_clicks(mix, rate):
    sound = mix if rate == RATE else np.repeat(mix, 3)
    heard = hear_mix(sound, rate)
    at = np.searchsorted(heard.onsets, 0.5 + 0.5 * np.arange(4) + 0.25) - 1
    assert heard.pitches[at] == pytest.approx(PITCHES, abs=0.35)
    assert heard.onsets[-1] == pytest.approx(2.4, abs=0.2)  # seconds of the recording


@pytest.mark.skipif(not swift.available(), reason="swift-f0 must be installed")
def test_every_method_gives_a_track_of_the_same_frames(mix):
    lengths = {len(track_mix(mix, method=method)) for method in METHODS}
    assert max(lengths) - min(lengths) <= 2


def test_the_harmonic_part_keeps_tones_and_drops_clicks():
    clicks = np.zeros(RATE)
    clicks[:: RATE // 4] = 1.0
    assert np.sum(harmonic_part(clicks) ** 2) < 0.1 * np.sum(clicks**2)
    steady = tone(69, 1.0, partials=3)
    kept = harmonic_part(steady)[2000:-2000]
    assert np.corrcoef(kept, steady[2000:-2000])[0, 1] > 0.98


def test_silence_and_unknown_methods_are_refused(mix):
    with pytest.raises(RetrievalInputError, match="samples must be louder"):
        hear_mix(np.zeros(RATE))
    with pytest.raises(RetrievalInputError, match="method must be one of"):
        track_mix(mix, method="magic")
