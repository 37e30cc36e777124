"""Fourier coefficients of contours: invariances, an oracle, and the index of windows."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.tunes import SungNotes
from lib.datasets.tunes.hums import excerpt, humming_tempo
from lib.search.melody import ContourVectorMatcher, contour_vectors
from tests.search.melody.tunes import melody, random_tunes, sung


def test_one_wave_by_hand():
    k = np.arange(8)
    cosine, sine = np.cos(2 * np.pi * k / 8), np.sin(2 * np.pi * 2 * k / 8)
    vectors = contour_vectors(np.array([cosine, sine, -sine]), 3)
    expected = [[1, 0, 0, 0, 0, 0], [0, 0, 0, 0, -1, 0], [0, 0, 0, 0, 1, 0]]
    assert vectors == pytest.approx(np.array(expected), abs=1e-6)


def test_they_are_the_sums_of_the_definition():
    points = np.random.default_rng(0).normal(size=(4, 16))
    waves = np.exp(-2j * np.pi * np.outer(np.arange(16), np.arange(1, 6)) / 16)
    sums = np.concatenate([(points @ waves).real, (points @ waves).imag], axis=1)
    sums /= np.linalg.norm(sums, axis=1, keepdims=True)
    assert contour_vectors(points, 5) == pytest.approx(sums, abs=1e-6)


def test_key_and_range_drop_out():
    points = np.random.default_rng(0).normal(size=(3, 32))
    assert contour_vectors(2 * points + 7, 6) == pytest.approx(contour_vectors(points, 6), abs=1e-5)


def test_one_pitch_is_no_direction():
    assert not contour_vectors(np.full((2, 16), 61.3), 4).any()
    matcher = ContourVectorMatcher(random_tunes(3))
    run = matcher.search([sung([60, 60, 60])], 3)
    assert (run.scores == 0).all() and run.ids[0].tolist() == [0, 1, 2]


def test_search_and_score_agree_on_all_windows():
    tunes = random_tunes(20, seed=1)
    matcher = ContourVectorMatcher(tunes, seconds=3, windows=10**6)
    queries = [sung(tune.pitches[2:12] + 1.4, tune.durations[2:12] * 0.3) for tune in tunes[:4]]
    run = matcher.search(queries, 20)
    assert matcher.score(queries, run.ids) == pytest.approx(run.scores)
    assert run.work == (matcher.work(queries, run.ids).__class__(
        "contour vectors", run.work[0].pairs, run.work[0].products),)  # fmt: skip
    assert run.work[0].products == 4 * sum(map(len, tunes)) * 5


def test_a_window_in_another_key_is_found():
    tunes = random_tunes(20, seed=1, shortest=30)
    matcher = ContourVectorMatcher(tunes, seconds=3, scales=[1])
    queries = []
    for tune in tunes:
        tempo = humming_tempo(tune)
        part = excerpt(tune, 4, 3 * tempo / 60)
        onsets, durations = part.seconds(tempo)
        ends = np.minimum(onsets + durations, 3.0)  # of three seconds, as the windows
        queries.append(SungNotes(onsets, ends - onsets, part.pitches + 1.6))
    run = matcher.search(queries, 1)
    assert run.ids[:, 0].tolist() == list(range(20)) and (run.scores > 0.95).all()


def test_few_windows_find_few_tunes():
    tunes = random_tunes(20, seed=1)
    matcher = ContourVectorMatcher(tunes, windows=3)
    run = matcher.search([sung(tunes[0].pitches)], 10)
    found = (run.ids[0] >= 0).sum()
    assert 1 <= found <= 3 and np.isneginf(run.scores[0, found:]).all()


def test_other_indexes():
    tunes = random_tunes(40, seed=2)
    hnsw = ContourVectorMatcher(tunes, index_type="HNSW", seconds=3)
    run = hnsw.search([sung(tunes[7].pitches[:10], tunes[7].durations[:10] * 0.3)], 5)
    assert 7 in run.ids[0]


def test_bytes_by_hand():
    matcher = ContourVectorMatcher([melody([60, 62, 64])], scales=[1], coefficients=4)
    # three windows: 8 numbers of one byte, a norm and an id of 8, the tune of 4
    assert matcher.stored_bytes == 3 * (8 + 8 + 8 + 4)


def test_wrong_arguments():
    tunes = [melody([60, 62])]
    with pytest.raises(RetrievalInputError, match="coefficients must be at most 32"):
        ContourVectorMatcher(tunes, coefficients=33)
    with pytest.raises(RetrievalInputError, match="scales must be above 0"):
        ContourVectorMatcher(tunes, scales=[-1])
    with pytest.raises(RetrievalInputError, match="seconds must be"):
        ContourVectorMatcher(tunes, seconds=0)
