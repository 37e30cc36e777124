"""Two stages for hums, and hums that are cut."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.tunes import SungNotes
from lib.search.melody import ANY_TEMPO, HumSearch, first_seconds, hum_retriever, staged_hums
from tests.search.melody.tunes import random_tunes, sung

TUNES = random_tunes(30)


@pytest.mark.parametrize("tempo", [0.6, 1, 1.7])
def test_a_tune_is_found_in_another_key_and_tempo(tempo):
    tune = TUNES[7]
    query = sung(tune.pitches + 3.3, np.diff(tune.onsets, append=tune.onsets[-1] + 1) * 0.3 * tempo)
    retriever = hum_retriever(TUNES, seconds=query.seconds, **ANY_TEMPO)
    run = retriever.search(retriever.encode([query], "hum"), 3)
    assert run.ids[0, 0] == 7 and run.score_names == ("contour vectors", "DTW")
    assert retriever.depth == 30


def test_the_first_seconds_of_a_hum():
    query = sung([60, 62, 64, 65])
    cut = first_seconds(query, 0.7)
    assert cut.pitches.tolist() == [60, 62, 64] and cut.seconds == pytest.approx(0.7)
    assert first_seconds(query, 99).pitches.tolist() == query.pitches.tolist()
    with pytest.raises(RetrievalInputError, match="seconds"):
        first_seconds(query, 0)


def test_the_first_stage_takes_the_head_and_dtw_the_whole():
    staged = staged_hums([sung([60, 62, 64, 65])], 0.7)
    assert [len(stage[0]) for stage in (staged.first, staged.second)] == [3, 4]
    retriever = hum_retriever(TUNES, seconds=0.7)
    assert retriever.search(staged, 5).ids.shape == (1, 5)


LONG = random_tunes(12, seed=2, shortest=40, longest=60)


@pytest.fixture(scope="module")
def search():
    return HumSearch(LONG)


def test_a_hit_names_tune_and_moment(search):
    steps = np.diff(LONG[4].onsets, append=LONG[4].onsets[-1] + 1) * 0.3
    query = sung(LONG[4].pitches[15:35] - 5, steps[15:35])
    best, *others = search.find(query, 20)
    assert best.label == "tune 4" and best.note == pytest.approx(15, abs=1)
    assert best.start == pytest.approx(steps[:15].sum(), abs=0.4)
    assert best.end == pytest.approx(steps[:35].sum(), abs=0.4)
    assert len(others) == 11 and others[0].score < best.score


def test_moments_of_a_recording_are_those_of_its_clock(search):
    steps = np.diff(LONG[4].onsets, append=LONG[4].onsets[-1] + 1) * 0.3
    whole = sung(LONG[4].pitches, steps)
    later = SungNotes(whole.onsets + 7, whole.durations, whole.pitches, "clip")
    (hit,) = HumSearch([later]).find(sung(whole.pitches[15:35], steps[15:35]))
    assert hit.label == "clip" and hit.start == pytest.approx(7 + steps[:15].sum(), abs=0.4)
