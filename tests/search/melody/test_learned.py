"""Windows of tunes and hums for the learned encoder: by hand, search against score, bytes."""

import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.datasets.tunes import SungNotes
from lib.models.contour_encoder import CONFIG, FRAMES, KIND, ContourEncoder
from lib.search.melody import LearnedContourMatcher, learned
from lib.search.melody.learned import sounding_at, window_contours, window_starts
from tests.search.melody.tunes import melody, random_tunes, sung

TUNES = random_tunes(20, seed=1)


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    encoder = ContourEncoder({"name": "toy", "kind": KIND, **CONFIG})
    contours = torch.randn(64, 2, FRAMES // 4).repeat_interleave(4, dim=2)
    for _ in range(50):  # without statistics of contours all vectors look alike
        encoder.network(contours)
    return encoder


def test_the_encoder_reads_the_windows():
    assert learned.FRAMES == FRAMES


def test_rests_are_silent_and_hold_the_pitch():
    notes = SungNotes([0, 1.0], [0.5, 1.0], [60, 62])
    assert sounding_at(notes, np.array([0.2, 0.7, 1.5, 2.5])).tolist() == [True, False, True, False]
    pitches, voiced = window_contours(notes, np.array([0.0, 1.0]), 2.0)
    assert pitches[0].tolist() == [60] * 40 + [62] * 40 and (pitches[1] == 62).all()
    assert voiced[0].tolist() == [True] * 20 + [False] * 20 + [True] * 40
    assert voiced[1].tolist() == [True] * 40 + [False] * 40  # the notes end after a second


def test_a_melody_is_read_at_its_humming_tempo():
    steps = np.ones(10)  # 0.3 s each
    pitches, voiced = window_contours(melody(range(60, 70), steps), np.array([0.3]), 1.2)
    assert pitches[0].tolist() == list(np.repeat([61, 62, 63, 64], 20)) and voiced.all()


def test_places_are_apart_and_have_half_a_window():
    tune = melody([60] * 10)  # 3 s in notes of 0.3 s
    assert window_starts(tune, 2.0) == pytest.approx([0, 0.6, 1.2, 1.8])
    assert window_starts(tune, 2.0, 0.1) == pytest.approx(np.arange(7) * 0.3)
    assert window_starts(tune, 8.0).tolist() == [0]  # too short, kept once


def test_search_and_score_agree_on_all_windows(encoder):
    matcher = LearnedContourMatcher(TUNES, encoder, seconds=3, windows=10**6)
    queries = [sung(tune.pitches[2:12] + 1.4, tune.durations[2:12] * 0.3) for tune in TUNES[:4]]
    run = matcher.search(queries, 20)
    assert matcher.score(queries, run.ids) == pytest.approx(run.scores)
    n_windows = sum(window_starts(tune, 3).size for tune in TUNES)
    assert run.work[0].products == 4 * n_windows == matcher.work(queries, run.ids).products


def test_an_exact_rendition_has_cosine_one(encoder):
    tune = melody(60 + np.arange(12) % 5, title="scale")
    matcher = LearnedContourMatcher([*TUNES, tune], encoder, seconds=3.6)
    run = matcher.search([sung(tune.pitches + 2.5)], 1)
    assert run.ids[0, 0] == 20 and run.scores[0, 0] > 0.98


def test_from_the_beginning_there_is_one_window_a_tune(encoder):
    matcher = LearnedContourMatcher(TUNES, encoder, start="beginning")
    # 256 numbers of one byte, a norm and an id of 8, the tune of 4
    assert matcher.stored_bytes == 20 * (256 + 8 + 8 + 4)


def test_few_windows_find_few_tunes(encoder):
    run = LearnedContourMatcher(TUNES, encoder, windows=3).search([sung(TUNES[0].pitches)], 10)
    found = (run.ids[0] >= 0).sum()
    assert 1 <= found <= 3 and np.isneginf(run.scores[0, found:]).all()


def test_wrong_arguments(encoder):
    with pytest.raises(RetrievalInputError, match="start must be"):
        LearnedContourMatcher(TUNES, encoder, start="middle")
    with pytest.raises(RetrievalInputError, match="seconds must be"):
        LearnedContourMatcher(TUNES, encoder, seconds=0)
    with pytest.raises(RetrievalInputError, match="windows must be"):
        LearnedContourMatcher(TUNES, encoder, windows=0)
