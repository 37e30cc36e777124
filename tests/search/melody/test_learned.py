"""Learned contour vectors: search against score, lengths and tempos, standard scores, bytes."""

import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.models.contour_encoder import CONFIG, FRAMES, KIND, ContourEncoder
from lib.search.melody import LearnedContourMatcher
from lib.search.melody.base import best_tunes
from lib.search.melody.learned import window_arrays
from lib.search.melody.windows import window_starts
from tests.search.melody.tunes import melody, random_tunes, sung

TUNES = random_tunes(20, seed=1)
LENGTHS, TEMPOS = (2.0, 3.6), (0.8, 1.0, 1.25)
SMALL = {"lengths": LENGTHS, "tempos": TEMPOS}


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    encoder = ContourEncoder({"name": "toy", "kind": KIND, **CONFIG})
    contours = torch.randn(64, 2, FRAMES // 4).repeat_interleave(4, dim=2)
    for _ in range(50):  # without statistics of contours all vectors look alike
        encoder.network(contours)
    return encoder


def test_search_and_score_agree_on_all_windows(encoder):
    matcher = LearnedContourMatcher(TUNES, encoder, windows=10**6, **SMALL)
    queries = [sung(tune.pitches[2:12] + 1.4, tune.durations[2:12] * 0.3) for tune in TUNES[:4]]
    run = matcher.search(queries, 20)
    assert matcher.score(queries, run.ids) == pytest.approx(run.scores)
    assert run.work[0].products == matcher.work(queries, run.ids).products


def test_each_tempo_searches_the_windows_of_one_length(encoder):
    matcher = LearnedContourMatcher(TUNES, encoder, **SMALL)
    n_windows = [sum(window_starts(one, seconds).size for one in TUNES) for seconds in LENGTHS]
    three_seconds = sung([60, 62, 64, 65, 67] * 2)  # 2.4, 3 and 3.75 seconds of a tune
    assert matcher.search([three_seconds], 1).work[0].products == 2 * n_windows[0] + n_windows[1]


@pytest.mark.parametrize("tempo", TEMPOS)
def test_an_exact_rendition_has_the_vector_of_its_window(encoder, tempo):
    tune = melody(60 + np.arange(12) % 5)
    matcher = LearnedContourMatcher([tune], encoder, lengths=[3.6], tempos=TEMPOS)
    vectors, chosen = matcher.vectors_of([sung(tune.pitches + 2.5, np.full(12, 0.3 / tempo))])
    own = vectors[0, TEMPOS.index(tempo)].astype(float) / 127
    window = window_arrays([tune], encoder, lengths=[3.6])["vectors0"][0].astype(float) / 127
    assert own @ window > 0.98 and (chosen == 0).all()


def test_standard_scores_by_hand(encoder):
    (part, _) = LearnedContourMatcher(TUNES, encoder, **SMALL).parts
    rows = window_arrays(TUNES, encoder, lengths=LENGTHS)["vectors0"].astype(float)
    query = rows[3:5].astype(np.int8)
    products = query.astype(float) @ rows.T
    wanted = (products - products.mean(axis=1, keepdims=True)) / products.std(axis=1)[:, None]
    assert part.standardised(products, query) == pytest.approx(wanted, rel=1e-3)


def test_windows_that_were_made_before_are_taken(encoder):
    arrays = window_arrays(TUNES, encoder, lengths=LENGTHS)
    query = [sung(TUNES[3].pitches)]
    made = LearnedContourMatcher(TUNES, encoder, **SMALL).search(query, 5)
    taken = LearnedContourMatcher(TUNES, encoder, arrays=arrays, **SMALL).search(query, 5)
    assert np.array_equal(made.scores, taken.scores) and np.array_equal(made.ids, taken.ids)


def test_from_the_beginning_there_is_one_window_a_tune(encoder):
    matcher = LearnedContourMatcher(TUNES, encoder, start="beginning", **SMALL)
    # 64 numbers of one byte, a norm and an id of 8, tune and start of 4, for each length
    assert matcher.stored_bytes == 2 * 20 * (64 + 8 + 8 + 4 + 4)


def test_few_windows_find_few_tunes(encoder):
    matcher = LearnedContourMatcher(TUNES, encoder, windows=1, **SMALL)
    run = matcher.search([sung(TUNES[0].pitches)], 10)
    found = (run.ids[0] >= 0).sum()
    assert 1 <= found <= len(TEMPOS) and np.isneginf(run.scores[0, found:]).all()


def test_the_best_window_of_each_tune_by_hand():
    query = np.array([1, 0, 0, 0, 1])
    scores, owners = np.array([0.5, 0.9, 0.8, 0.9, 0.7]), np.array([7, 3, 4, 2, 7])
    best, ids = best_tunes(query, scores, owners, shape=(3, 2))
    assert ids.tolist() == [[2, 3], [7, -1], [-1, -1]]
    assert best.tolist() == [[0.9, 0.9], [0.7, -np.inf], [-np.inf, -np.inf]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "middle"}, "start must be"),
        ({"lengths": [0.0]}, "lengths must be"),
        ({"tempos": []}, "tempos must be"),
        ({"windows": 0}, "windows must be"),
    ],
)
def test_wrong_arguments(encoder, options, message):
    with pytest.raises(RetrievalInputError, match=message):
        LearnedContourMatcher(TUNES, encoder, **options)
