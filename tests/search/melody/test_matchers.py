"""The interface that all melody matchers share."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.tunes import Melody
from lib.datasets.tunes.hums import humming_tempo
from lib.search import TwoStageRetriever
from lib.search.melody import (
    ContourVectorMatcher,
    DtwMatcher,
    IntervalMatcher,
    LcssMatcher,
    LinearScalingMatcher,
    ParsonsMatcher,
)
from tests.search.melody.tunes import melody, random_tunes, sung

MATCHERS = [
    ParsonsMatcher,
    IntervalMatcher,
    LcssMatcher,
    LinearScalingMatcher,
    DtwMatcher,
    ContourVectorMatcher,
]
TUNES = random_tunes(12, shortest=20)


def part_of(tune: Melody, first: int, last: int, shift: float = 0.0):
    notes = slice(first, last)
    return sung(tune.pitches[notes] + shift, tune.seconds(humming_tempo(tune))[1][notes])


@pytest.fixture(scope="module", params=MATCHERS, ids=lambda matcher: matcher.__name__)
def matcher(request):
    return request.param(TUNES)


def test_a_tune_in_another_key_is_found(matcher):
    queries = [part_of(tune, 0, 20, 3.3) for tune in TUNES]
    run = matcher.search(queries, 3)
    own = matcher.score(queries, np.arange(len(TUNES))[:, None])[:, 0]
    if isinstance(matcher, ContourVectorMatcher):
        return  # its windows have one length; see its own test
    assert own == pytest.approx(run.scores[:, 0])  # nothing is better
    if not isinstance(matcher, LcssMatcher):  # which finds much of any tune in a longer one
        assert run.ids[:, 0].tolist() == list(range(len(TUNES)))


def test_search_and_score_agree(matcher):
    queries = [part_of(TUNES[3], 2, 8, -1), part_of(TUNES[7], 0, 6)]
    run = matcher.search(queries, len(TUNES))
    assert matcher.score(queries, run.ids) == pytest.approx(run.scores)
    assert (np.diff(run.scores) <= 0).all()
    some = np.array([[4, -1, 0], [-1, -1, -1]])
    scores = matcher.score(queries, some)
    assert np.isneginf(scores[some < 0]).all() and np.isfinite(scores[some >= 0]).all()
    row = run.scores[0][np.argsort(run.ids[0])]
    assert scores[0, [0, 2]] == pytest.approx(row[[4, 0]])


def test_costs_are_counted(matcher):
    queries = [part_of(TUNES[3], 2, 8), part_of(TUNES[7], 0, 4)]
    run = matcher.search(queries, 2)
    every = np.tile(np.arange(len(TUNES)), (2, 1))
    assert run.work == (matcher.work(queries, every),)
    assert run.work[0].pairs == 24 and run.work[0].products > 0
    none = matcher.work(queries, np.full((2, 3), -1))
    assert (none.pairs, none.products) == (0, 0)
    assert matcher.stored_bytes > 0


def test_work_of_strings_by_hand():
    tunes = [melody([60, 62, 64]), melody([60, 62, 64, 65, 67])]
    run = IntervalMatcher(tunes).search([sung([60, 61, 62, 63])], 2)
    assert run.work[0].products == 3 * (2 + 4)  # symbols of the query, symbols of the tunes
    assert IntervalMatcher(tunes).stored_bytes == 6


def test_it_can_be_the_second_stage(matcher):
    two = TwoStageRetriever(ParsonsMatcher(TUNES), matcher, 4)
    run = two.search(two.encode([part_of(TUNES[5], 0, 12, 2)], "hum"), 6)
    assert run.score_names == ("Parsons code", matcher.name)
    assert run.ids[0].size == 6 and 5 in run.ids[0]


def test_tunes_of_one_note_do_no_harm():
    for kind in MATCHERS:
        tunes = [melody([60]), melody([60, 64, 62, 65, 60, 61])]
        run = kind(tunes).search([sung([60, 64, 62, 65]), sung([60])], 2)
        assert run.ids[0, 0] == 1 and np.isfinite(run.scores).all()


def test_wrong_arguments(matcher):
    with pytest.raises(RetrievalInputError, match="at least one tune"):
        type(matcher)([])
    with pytest.raises(RetrievalInputError, match=r"melodies\[0\] must be a Melody"):
        type(matcher)(["tune"])
    with pytest.raises(RetrievalInputError, match="queries must be a list of Melody"):
        matcher.search(TUNES[0], 1)
    with pytest.raises(RetrievalInputError, match="k must be"):
        matcher.search([TUNES[0]], 13)
    with pytest.raises(RetrievalInputError, match="modality must be one of"):
        matcher.encode([TUNES[0]], "text")
    with pytest.raises(RetrievalInputError, match="one row for each of 1 queries"):
        matcher.score([TUNES[0]], np.zeros((2, 1), int))
