"""Hearing: sounds of any kind, refusals with reasons, accuracy on the voices."""

import numpy as np
import pytest
from scipy.io import wavfile

from lib.core.checks import RetrievalInputError
from lib.datasets.media.decoding import available as can_decode
from lib.datasets.tunes import SungNotes
from lib.datasets.voices import Singer, sing_aloud, synthesise, with_noise
from lib.metrics.pitch import pitch_accuracy
from lib.models.pitch import hear_file, hear_melody, swift, track_pitch
from lib.models.pitch.hearing import as_mono
from lib.models.pitch.track import mended

needs_swift = pytest.mark.skipif(not swift.available(), reason="swift-f0 must be installed")
every_tracker = pytest.mark.parametrize(
    "tracker", [pytest.param("swift-f0", marks=needs_swift), "autocorrelation"]
)
NOTES = SungNotes(
    np.arange(8) * 0.4, [0.3] * 8, [60.0, 62.2, 64.0, 64.0, 67.1, 65.0, 62.0, 60.3], "eight notes"
)
SOUND = sing_aloud(NOTES, "low hum")
SPEECH = Singer(centre=50, glide=0.1, wander=1.5, vibrato=0)


def heard_pitches(heard):
    return heard.contour.pitches[np.searchsorted(heard.contour.onsets, NOTES.onsets + 0.2) - 1]


@every_tracker
def test_a_hum_is_heard_as_its_melody(tracker):
    heard = hear_melody(SOUND.samples, tracker=tracker)
    steps = np.diff(heard_pitches(heard))
    assert steps == pytest.approx(np.diff(NOTES.pitches), abs=0.6)
    assert heard.contour.seconds == pytest.approx(3.2, abs=0.2) and not heard.remarks


@needs_swift
def test_the_notes_are_those_that_were_sung():
    notes = hear_melody(SOUND.samples).notes
    assert len(notes) == 8  # the repeated note too: its dip parts it
    assert np.diff(notes.pitches) == pytest.approx(np.diff(NOTES.pitches), abs=0.4)
    assert notes.onsets == pytest.approx(NOTES.onsets, abs=0.06)


@every_tracker
@pytest.mark.parametrize("voice", ["low hum", "high hum", "old man"])
def test_synthesised_voices_are_tracked(voice, tracker):
    sound = sing_aloud(NOTES, voice)
    track = track_pitch(sound.samples, tracker)
    accuracy = pitch_accuracy(sound.pitches_at(track.times), track.pitches, track.voiced)
    assert accuracy.raw_pitch > (0.98 if tracker == "swift-f0" else 0.9)
    assert accuracy.voicing_recall > 0.9
    assert accuracy.voicing_false_alarm < (0.2 if tracker == "swift-f0" else 0.3)


@needs_swift
@pytest.mark.parametrize(
    "changed",
    [
        lambda x: np.stack([x, 0.5 * x, 0 * x], axis=1),
        lambda x: np.clip(8 * x, -0.5, 0.5),
        lambda x: 0.004 * x,
        lambda x: x + 0.4,
        lambda x: (x * 32767).astype(np.int16),
        lambda x: (x * 127 + 128).astype(np.uint8),
        lambda x: x.astype(np.float64),
    ],
    ids=["three channels", "clipped", "quiet", "direct current", "int16", "uint8", "float64"],
)
def test_sounds_of_many_kinds_are_heard_alike(changed):
    plain = hear_melody(SOUND.samples).contour
    heard = hear_melody(changed(SOUND.samples)).contour
    n = min(len(plain), len(heard))
    assert abs(len(plain) - len(heard)) <= 1
    assert np.median(np.abs(plain.pitches[:n] - heard.pitches[:n])) < 0.1


@needs_swift
@pytest.mark.parametrize("rate", [8000, 11025, 44100, 48000])
def test_any_rate_is_heard(rate):
    times = np.arange(int(SOUND.seconds * rate)) / rate
    samples = np.interp(times, np.arange(len(SOUND)) / 16000, SOUND.samples)
    assert np.diff(heard_pitches(hear_melody(samples, rate))) == pytest.approx(
        np.diff(NOTES.pitches), abs=0.6
    )


@needs_swift
def test_noise_of_a_room_is_forgiven():
    noisy = with_noise(SOUND, 10, np.random.default_rng(0))
    pitches = mended(track_pitch(noisy.samples))
    times = np.arange(pitches.size) * 0.016
    accuracy = pitch_accuracy(SOUND.pitches_at(times), pitches, np.isfinite(pitches))
    assert accuracy.raw_pitch > 0.95


@needs_swift
def test_speech_is_heard_with_a_remark():
    draw = np.random.default_rng(0)
    steps = 0.12 + 0.05 * draw.random(40)
    spoken = SungNotes(np.concatenate([[0], np.cumsum(steps[:-1])]), steps, draw.normal(50, 3, 40))
    remarks = hear_melody(synthesise(spoken, SPEECH, draw).samples).remarks
    assert len(remarks) == 1 and "speech" in remarks[0]


@every_tracker
@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros(16000), "the loudest is zero"),
        (np.full(16000, 0.3), "the loudest is"),
        (np.random.default_rng(0).standard_normal(32000) * 1e-4, "louder than -60 dB"),
        (np.random.default_rng(0).standard_normal(48000) * 0.1, "at least 1.5 s of a voice"),
        (SOUND.samples[:16000], "at least 1.5 s of a voice with a pitch, got 0.[678] of 1.0 s"),
        (np.full((4, 100), 0.1), "at most 64 channels"),
        (np.zeros(0), "numbers of shape"),
        (np.zeros((2, 2, 2)), "numbers of shape"),
        (np.array(["a"]), "numbers of shape"),
        (np.array([0.1, np.nan]), "finite, got nan at 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_holds_no_melody_is_refused_with_a_reason(samples, message, tracker):
    with pytest.raises(RetrievalInputError, match=message):
        hear_melody(samples, tracker=tracker)


def test_long_sounds_are_refused_and_rates_are_checked():
    with pytest.raises(RetrievalInputError, match="at most 600 s, got 601 s"):
        as_mono(np.zeros(601 * 100), 100)
    with pytest.raises(RetrievalInputError, match="rate"):
        as_mono(np.zeros(10), 0)
    with pytest.raises(RetrievalInputError, match="tracker must be one of"):
        hear_melody(SOUND.samples, tracker="ear")


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(swift, "available", lambda: False)
    swift._detector.cache_clear()
    with pytest.raises(RetrievalInputError, match=r"crossmodal-retrieval\[hum\]"):
        swift.track_by_swift_f0(SOUND.samples)


@pytest.mark.skipif(not can_decode(), reason="PyAV must be installed")
@needs_swift
def test_a_recording_is_heard_from_its_file(tmp_path):
    path = tmp_path / "hum.wav"
    wavfile.write(path, 16000, (SOUND.samples * 32767).astype(np.int16))
    whole, part = hear_file(path), hear_file(path, start=0.1, end=2.6)
    assert np.diff(heard_pitches(whole)) == pytest.approx(np.diff(NOTES.pitches), abs=0.6)
    assert part.contour.seconds < 2.6
