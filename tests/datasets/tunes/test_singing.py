"""Singing errors: each term alone, and what stays."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.tunes import LEVELS, Melody, SingingErrors, SungNotes, sing
from lib.datasets.tunes.hums import excerpt, hum, humming_tempo

SCALE = Melody([0, 1, 2, 4], [1, 0.5, 2, 1], [60, 62, 64, 65], source="scale")
LONG = Melody(np.arange(4000), np.full(4000, 0.75), np.tile([60, 64], 2000))


def sung(melody=LONG, seed=0, **terms):
    return sing(melody, SingingErrors(**terms), np.random.default_rng(seed), tempo=60)


def test_without_errors_the_melody_is_exact():
    notes = sing(SCALE, LEVELS["exact"], np.random.default_rng(0), tempo=120)
    assert notes.onsets.tolist() == [0, 0.5, 1, 2]
    assert notes.durations.tolist() == [0.5, 0.25, 1, 0.5]
    assert notes.pitches.tolist() == [60, 62, 64, 65]
    assert notes.source == "scale"


def test_one_seed_gives_one_rendition():
    a, b, c = (sing(SCALE, LEVELS["hard"], np.random.default_rng(s), tempo=60) for s in (1, 1, 2))
    assert a.pitches.tolist() == b.pitches.tolist() != c.pitches.tolist()


def test_the_key_moves_all_notes_alike():
    moved = [sung(SCALE, seed, key=5).pitches - SCALE.pitches for seed in range(200)]
    assert all(np.ptp(row) == pytest.approx(0) for row in moved)
    first = np.array([row[0] for row in moved])
    assert first.min() > -5 and first.max() < 5 and first.min() < -4 and first.max() > 4


def test_the_octave_moves_all_notes_alike():
    moved = np.array([sung(SCALE, seed, octave=0.5).pitches - SCALE.pitches for seed in range(200)])
    assert (moved == moved[:, :1]).all()
    assert set(moved[:, 0].tolist()) == {-12, 0, 12}
    assert 0.35 < (moved[:, 0] != 0).mean() < 0.65


def test_the_tempo_scales_all_times_alike():
    factors = []
    for seed in range(300):
        notes = sung(SCALE, seed, tempo=0.2)
        factor = notes.onsets[1:] / SCALE.onsets[1:]
        assert np.ptp(factor) == pytest.approx(0)
        assert notes.durations == pytest.approx(SCALE.durations * factor[0])
        factors.append(np.log(factor[0]))
    assert np.std(factors) == pytest.approx(0.2, rel=0.15)


def test_deviations_of_single_notes():
    pitches = sung(pitch=0.5).pitches - LONG.pitches
    assert np.std(pitches) == pytest.approx(0.5, rel=0.1)
    steps = np.log(np.diff(sung(timing=0.25).onsets))
    assert np.std(steps) == pytest.approx(0.25, rel=0.1)
    assert np.mean(steps) == pytest.approx(0, abs=0.02)


def test_drifts_add_up():
    drift = sung(drift=0.1).pitches - LONG.pitches
    assert np.std(np.diff(drift)) == pytest.approx(0.1, rel=0.1)
    tempo = np.log(np.diff(sung(tempo_drift=0.02).onsets))
    assert np.std(np.diff(tempo)) == pytest.approx(0.02, rel=0.1)


def test_wrong_notes_and_octave_jumps():
    off = sung(wrong=0.1).pitches - LONG.pitches
    assert set(off.tolist()) == {-2, -1, 0, 1, 2}
    assert (off != 0).mean() == pytest.approx(0.1, abs=0.02)
    off = sung(octave_jump=0.1).pitches - LONG.pitches
    assert set(off.tolist()) == {-12, 0, 12}


def test_a_dropped_note_gives_its_time_to_the_one_before():
    notes = sung(dropped=0.1)
    assert len(notes) == pytest.approx(3600, rel=0.03)
    assert notes.onsets[-1] + notes.durations[-1] <= 4000
    held = np.diff(notes.onsets) > 1
    assert (notes.durations[:-1][held] == np.diff(notes.onsets)[held]).all()
    assert (notes.durations[:-1][~held] == 0.75).all()
    assert set((notes.onsets % 1).tolist()) == {0}


def test_an_inserted_note_takes_half_of_another():
    notes = sung(inserted=0.1)
    assert len(notes) == pytest.approx(4400, rel=0.03)
    halves = np.flatnonzero(np.diff(notes.onsets) == 0.5)[::2]
    off = np.abs(notes.pitches[halves + 1] - notes.pitches[halves])
    assert set(off.tolist()) == {1, 2}
    assert np.isin(notes.onsets * 2 % 1, 0).all()


def test_a_melody_of_which_all_is_dropped_keeps_its_first_note():
    assert len(sung(SCALE, dropped=1)) == 1


@pytest.mark.parametrize(
    "terms", [{"pitch": -1}, {"dropped": 1.5}, {"key": np.inf}, {"tempo": "a"}]
)
def test_wrong_terms(terms):
    with pytest.raises(RetrievalInputError, match=f"{next(iter(terms))} must be"):
        SingingErrors(**terms)


def test_wrong_notes_are_refused():
    with pytest.raises(RetrievalInputError, match="must end before note 1"):
        SungNotes([0, 1], [2, 1], [60.5, 61])
    with pytest.raises(RetrievalInputError, match="durations must be above 0"):
        SungNotes([0, 1], [1, 0], [60.5, 61])


# ---- hums


def test_excerpt():
    part = excerpt(SCALE, 1, 2)
    assert part.onsets.tolist() == [0, 1] and part.pitches.tolist() == [62, 64]
    assert excerpt(SCALE, 3, 0.1).pitches.tolist() == [65]
    with pytest.raises(RetrievalInputError, match="first must be at most 3"):
        excerpt(SCALE, 4, 1)


def test_the_median_note_takes_three_tenths_of_a_second():
    notes = hum(SCALE, LEVELS["exact"], np.random.default_rng(0), start="beginning")
    assert humming_tempo(SCALE) == 200
    assert np.median(notes.durations) == pytest.approx(0.3)


def test_hums_last_eight_seconds_and_start_anywhere():
    draw = np.random.default_rng(0)
    notes = [hum(LONG, LEVELS["exact"], draw) for _ in range(20)]
    assert all(7.7 < each.seconds <= 8.2 for each in notes)
    assert {each.pitches[0] for each in notes} == {60, 64}
    first = hum(LONG, LEVELS["exact"], draw, start="beginning", seconds=3)
    assert first.pitches[0] == 60 and first.seconds < 3.5
