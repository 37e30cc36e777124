"""The part of a tune that a hum matches: places by hand, costs as those of the matcher."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.search.melody import DtwMatcher, matched_part
from tests.search.melody.tunes import melody, random_tunes, sung

TUNE = melody([60, 64, 67, 72, 71, 67, 65, 62, 60, 59, 55, 60])  # notes of 0.3 s


def test_an_exact_part_is_found_where_it_lies():
    part = matched_part(sung(TUNE.pitches[4:10] - 5.0), TUNE)
    # From 1.2 to 3.0 s; frames of 0.2 s begin at 1.2. The last note fills the last two frames, so
    # its first one fits the last two of the hum, and of equal costs the earliest end is taken.
    assert part.places == pytest.approx([1.2, 1.4, 1.6, 1.8, 2.0, 2.2, 2.4, 2.6, 2.6])
    assert (part.start, part.end) == pytest.approx((1.2, 2.8))
    assert part.moved == 5 and part.cost < 0.5  # keys are tried in whole semitones from the means


@pytest.mark.parametrize(("tempo", "steps"), [(2.0, {0, 1}), (0.5, {1, 2})])
def test_half_and_double_tempo_are_followed(tempo, steps):
    hum = sung(TUNE.pitches[2:10].astype(float), np.full(8, 0.3 * tempo))
    part = matched_part(hum, TUNE)
    assert part.start == pytest.approx(0.6, abs=0.2) and part.end == pytest.approx(3.0, abs=0.2)
    assert set(np.rint(np.diff(part.places) / 0.2).astype(int)) <= steps | {1}
    assert part.cost < 1.0


@pytest.mark.parametrize("seed", range(5))
def test_its_cost_is_the_score_of_the_matcher(seed):
    draw = np.random.default_rng(seed)
    tunes = random_tunes(6, seed=seed, shortest=30)
    hum = sung(tunes[2].pitches[3:20] + draw.normal(0, 0.5, 17))
    scores = DtwMatcher(tunes).scores_of(hum, np.arange(6))
    parts = [matched_part(hum, tune) for tune in tunes]
    assert [-part.cost for part in parts] == pytest.approx(scores.tolist(), abs=1e-5)
    for part, tune in zip(parts, tunes):
        steps = np.rint(np.diff(part.places) / part.step)
        assert ((steps >= 0) & (steps <= 2)).all()
        assert not ((steps[1:] == 0) & (steps[:-1] == 0)).any()
        assert 0 <= part.start < part.end <= 0.3 * tune.quarters / np.median(tune.durations) + 0.31


def test_a_tune_that_is_too_short_is_refused():
    with pytest.raises(RetrievalInputError, match="at least half as long as the hum"):
        matched_part(sung([60.0] * 20), melody([60, 62]))
    with pytest.raises(RetrievalInputError, match="hum"):
        matched_part("la", TUNE)
