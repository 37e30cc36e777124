"""Mending of tracks and contours, by hand."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.models.pitch.track import FRAME, PitchTrack, contour_of, mended
from lib.search.melody import contour

NAN = np.nan


def track(pitches, confidence=None):
    pitches = np.asarray(pitches, dtype=float)
    confidence = np.ones(pitches.size) if confidence is None else confidence
    return PitchTrack(pitches, confidence, np.zeros(pitches.size))


def test_frames_without_confidence_or_pitch_are_not_sung():
    found = mended(track([60.0] * 10 + [61.0] * 5 + [NAN] * 5, [1] * 10 + [0.4] * 5 + [1] * 5))
    assert (found[:10] == 60).all() and np.isnan(found[10:]).all()


def test_clicks_are_left_out():
    found = mended(track([NAN] * 5 + [60.0] * 3 + [NAN] * 5 + [62.0] * 4))
    assert np.isfinite(found).tolist() == [False] * 13 + [True] * 4


def test_the_median_removes_single_frames():
    pitches = np.full(20, 60.0)
    pitches[[7, 12]] = 63, 57.5
    assert (mended(track(pitches)) == 60).all()


@pytest.mark.parametrize("octave", [-12, 12])
def test_short_slips_by_an_octave_are_moved_back_and_notes_are_not(octave):
    slip, note = round(0.1 / FRAME), round(0.3 / FRAME)
    pitches = np.full(60, 60.0)
    pitches[20 : 20 + slip] += octave
    assert (mended(track(pitches)) == 60).all()
    pitches[20 : 20 + note] = 60 + octave
    assert (mended(track(pitches))[20 : 20 + note] == 60 + octave).sum() == note
    edge = np.full(40, 60.0)  # a voice that begins an octave off
    edge[:slip] += octave
    assert (mended(track(edge)) == 60).all()


def test_a_leap_of_another_size_stays():
    pitches = np.full(60, 60.0)
    pitches[20:27] = 69
    assert (mended(track(pitches))[22:25] == 69).all()


def test_a_contour_is_the_median_of_each_step_and_begins_with_the_voice():
    pitches = [NAN, 60, 61, 65, NAN, 64, NAN, NAN, NAN, 67, 68, NAN]
    notes = contour_of(pitches, frame=0.1, step=0.3)
    assert notes.onsets == pytest.approx([0, 0.3, 0.6, 0.9])
    assert notes.pitches.tolist() == [61, 64, 67, 68]


def test_matchers_read_the_contour_as_it_is():
    frames = np.repeat([60.0, 62.0, 64.0], 25)  # 0.4 s each
    notes = contour_of(frames)
    assert contour(notes).tolist() == [60] * 4 + [62] * 4 + [64] * 4
    paused = np.concatenate([frames[:25], [NAN] * 25, frames[50:]])
    assert contour(contour_of(paused)).tolist() == [60] * 8 + [64] * 4  # a pause holds


def test_a_track_counts_its_frames():
    one = track([60.0, NAN], [1, 1])
    assert len(one) == 2 and one.times.tolist() == [0, 0.016] and one.voiced.tolist() == [1, 0]
    with pytest.raises(RetrievalInputError, match="confidence must have one entry"):
        track([60.0], [1, 1])
    with pytest.raises(RetrievalInputError, match="at least one sung frame"):
        contour_of([NAN])
    with pytest.raises(RetrievalInputError, match="step"):
        contour_of([60.0], step=0.001)
