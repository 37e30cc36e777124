"""The door for hums: tune and moment, sounds and contours, the cache; hums that are cut."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.tunes import LEVELS, SungNotes, hum
from lib.datasets.voices import sing_aloud
from lib.models.pitch import swift
from lib.search.melody import HumSearch, first_seconds, hum_search
from lib.search.melody.hum_search import cache_key
from tests.search.melody.tunes import melody, random_tunes, sung

# Within an octave and a half, as tunes are.
TUNES = [
    melody(60 + (one.pitches - 60) % 18, one.durations, one.title)
    for one in random_tunes(12, seed=2, shortest=40, longest=60)
]
TUNE = TUNES[4]
STEPS = np.diff(TUNE.onsets, append=TUNE.onsets[-1] + TUNE.durations[-1]) * 0.3


@pytest.fixture(scope="module")
def search():
    return HumSearch(TUNES)


@pytest.mark.parametrize("tempo", [0.8, 1, 1.4])
@pytest.mark.parametrize("seconds", [5, 8, 14])
def test_a_tune_is_found_in_any_key_tempo_and_length(search, tempo, seconds):
    last = int(np.searchsorted(np.cumsum(STEPS), seconds * tempo))
    query = sung(TUNE.pitches[:last] + 3.3, STEPS[:last] / tempo)
    assert search.find(query, 1)[0].position == 4
    assert search.search([query], 3).ids[0, 0] == 4


def test_a_hit_names_tune_and_moment(search):
    query = sung(TUNE.pitches[15:35] - 5, STEPS[15:35])
    best, *others = search.find(query, 20)
    assert best.label == "tune 4" and best.note == pytest.approx(15, abs=1)
    assert best.start == pytest.approx(STEPS[:15].sum(), abs=0.4)
    assert best.end == pytest.approx(STEPS[:35].sum(), abs=0.4)
    assert best.off < 0.3 < others[0].off and best.score > others[0].score
    assert [hit.rank for hit in (best, *others)] == list(range(1, 13))


def test_moments_of_a_recording_are_those_of_its_clock():
    whole = sung(TUNE.pitches, STEPS)
    later = SungNotes(whole.onsets + 7, whole.durations, whole.pitches, "clip")
    (hit,) = HumSearch([later]).find(sung(TUNE.pitches[15:35], STEPS[15:35]))
    assert hit.label == "clip" and hit.start == pytest.approx(7 + STEPS[:15].sum(), abs=0.4)


@pytest.mark.skipif(not swift.available(), reason="swift-f0 must be installed")
def test_a_sound_is_searched_at_its_rate(search):
    sound = sing_aloud(hum(TUNE, LEVELS["clean"], np.random.default_rng(1))).samples
    assert search.find(sound, 1)[0].position == 4
    assert search.find(np.repeat(sound, 2), 1, rate=32_000)[0].position == 4


def test_windows_are_kept_and_a_damaged_file_is_made_again(search, tmp_path, monkeypatch):
    monkeypatch.setattr(hum_search, "cache_dir", lambda: tmp_path)
    query = sung(TUNE.pitches[:30], STEPS[:30])
    wanted = search.search([query], 5)
    runs = [HumSearch(TUNES, cached=True).search([query], 5)]
    (path,) = tmp_path.glob("hum_search/*.npz")

    def never(*args, **options):
        raise AssertionError("the windows are in the cache")

    with monkeypatch.context() as patched:
        patched.setattr(hum_search, "window_arrays", never)
        runs.append(HumSearch(TUNES, cached=True).search([query], 5))
    path.write_bytes(path.read_bytes()[:-1000])
    runs.append(HumSearch(TUNES, cached=True).search([query], 5))
    for run in runs:
        assert np.array_equal(run.ids, wanted.ids) and np.array_equal(run.scores, wanted.scores)


def test_the_cache_tells_tunes_and_starts_apart():
    key = cache_key(TUNES, "anywhere")
    assert key == cache_key(list(TUNES), "anywhere")
    assert key != cache_key(TUNES[::-1], "anywhere")
    assert key != cache_key(TUNES, "beginning")
    as_recorded = [SungNotes(one.onsets, one.durations, one.pitches) for one in TUNES]
    assert key != cache_key(as_recorded, "anywhere")


def test_the_first_seconds_of_a_hum():
    query = sung([60, 62, 64, 65])
    cut = first_seconds(query, 0.7)
    assert cut.pitches.tolist() == [60, 62, 64] and cut.seconds == pytest.approx(0.7)
    assert first_seconds(query, 99).pitches.tolist() == query.pitches.tolist()
    with pytest.raises(RetrievalInputError, match="seconds"):
        first_seconds(query, 0)


def test_wrong_arguments(search):
    with pytest.raises(RetrievalInputError, match="k must be"):
        search.find(sung([60, 62]), 0)
    with pytest.raises(RetrievalInputError, match="tunes must be a list"):
        HumSearch("tunes")
    with pytest.raises(RetrievalInputError, match="start must be"):
        HumSearch(TUNES, start="middle")
