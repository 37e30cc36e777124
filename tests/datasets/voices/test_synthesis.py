"""The synthesised voice: pulses and resonances by hand, pitch as it is asked for."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.voices import RATE, Singer, synthesise
from lib.datasets.voices.sound import LEAD, sample_times
from lib.datasets.voices.synthesis import SINGERS, glottal_flow, resonate, sung_pitches
from tests.datasets.voices.notes import PITCHES, TUNE, middles, strongest_frequency

PLAIN = Singer(centre=60, glide=0, vibrato=0, wander=0, jitter=0, breath=0)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_a_pulse_opens_for_two_thirds_and_closes_in_the_last_third_of_its_open_part():
    flow = glottal_flow(np.full(100, RATE / 100), open_share=0.6)  # one period of 100 samples
    u = np.arange(1, 101) / 100 % 1
    assert flow[u == 0.2] == pytest.approx(0.5) and flow[u == 0.4] == pytest.approx(1.0)
    assert flow[u == 0.5] == pytest.approx(np.cos(np.pi / 4))
    assert not flow[(u > 0.61)].any()


def test_pulses_come_as_often_as_the_frequency_says():
    flow = glottal_flow(np.full(RATE, 100.5), 0.6)
    starts = (flow[:-1] == 0) & (flow[1:] > 0)
    assert starts.sum() in (100, 101)


def test_a_resonance_rings_at_its_frequency_and_passes_the_mean():
    impulse = np.zeros(4000)
    impulse[0] = 1
    answer = resonate(impulse, 500, 60)
    gains = np.abs(np.fft.rfft(answer))
    assert gains[0] == pytest.approx(1)
    assert np.argmax(gains) * RATE / 4000 == pytest.approx(500, abs=4)
    half = np.flatnonzero(gains > gains.max() / np.sqrt(2)) * RATE / 4000
    assert np.ptp(half) == pytest.approx(60, abs=8)


def test_without_traits_the_pitch_is_that_of_the_notes():
    pitches, loudness = sung_pitches(TUNE, PLAIN, rng())
    at = np.searchsorted(sample_times(TUNE), middles(0))
    assert pitches[at] == pytest.approx(PITCHES) and (loudness[at] == 1).all()


def test_the_sound_has_the_pitch_of_its_truth():
    sound = synthesise(TUNE, PLAIN, rng())
    for time, pitch in zip(middles(LEAD), PITCHES, strict=True):
        part = sound.samples[round((time - 0.15) * RATE) : round((time + 0.15) * RATE)]
        expected = 440 * 2 ** ((pitch - 69) / 12)
        ratio = strongest_frequency(part, RATE) / expected
        assert ratio == pytest.approx(round(ratio), abs=0.01) and round(ratio) >= 1
        assert sound.pitches_at([time])[0] == pytest.approx(pitch)


def test_a_glide_reaches_the_next_note_in_its_time():
    pitches, _ = sung_pitches(TUNE, Singer(glide=0.1, vibrato=0, wander=0, jitter=0), rng())
    at = np.searchsorted(sample_times(TUNE), [0.4, 0.45, 0.5])
    assert pitches[at] == pytest.approx([60, 61.15, 62.3], abs=0.01)


def test_vibrato_swings_about_the_note():
    singer = Singer(glide=0, vibrato=0.5, vibrato_rate=6, wander=0, jitter=0)
    pitches, _ = sung_pitches(TUNE, singer, rng())
    times = sample_times(TUNE)
    late = pitches[(times > 1.9) & (times < 2.2)] - 67
    assert late.max() == pytest.approx(0.5, abs=0.02) and late.min() == pytest.approx(
        -0.5, abs=0.02
    )


def test_joined_notes_dip_and_pauses_are_silent():
    _, loudness = sung_pitches(TUNE, Singer(dip=0.3), rng())
    times = sample_times(TUNE)
    assert loudness[np.argmin(np.abs(times - 0.4))] == pytest.approx(0.3, abs=0.05)
    assert not loudness[(times > 1.25) & (times < 1.55)].any()
    _, slurred = sung_pitches(TUNE, Singer(dip=1), rng())
    assert (slurred[(times > 0.1) & (times < 1.1)] == 1).all()


@pytest.mark.parametrize("name", SINGERS)
def test_every_singer_is_one_sound_for_one_seed(name):
    a, b, c = (synthesise(TUNE, SINGERS[name], rng(seed)) for seed in (1, 1, 2))
    assert a.samples.dtype == np.float32 and np.abs(a.samples).max() == pytest.approx(0.5)
    assert np.array_equal(a.samples, b.samples) and not np.array_equal(a.samples, c.samples)
    assert np.isfinite(a.samples).all() and not a.samples[: round(0.15 * RATE)].any()


@pytest.mark.parametrize(
    ("traits", "message"),
    [
        ({"formants": (300, 900)}, "formants must be three"),
        ({"formants": (300, 900, 9000)}, r"formants\[2\]"),
        ({"glide": -1}, "glide"),
        ({"open_share": 0}, "open_share"),
        ({"dip": 2}, "dip"),
        ({"centre": np.nan}, "centre"),
    ],
)
def test_traits_that_no_voice_has_are_refused(traits, message):
    with pytest.raises(RetrievalInputError, match=message):
        Singer(**traits)
