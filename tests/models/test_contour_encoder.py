"""The contour encoder: what it reads, by hand; invariances; saved and loaded; bad input."""

import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.models.contour_encoder import CONFIG, FRAMES, KIND, ContourEncoder, contour_input
from lib.models.trained_models import load_model, save_model


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return ContourEncoder({"name": "toy", "kind": KIND, **CONFIG})


@pytest.fixture(scope="module")
def contours():
    draw = np.random.default_rng(0)
    pitches = 60 + np.repeat(draw.integers(-7, 8, (6, 20)), 4, axis=1)
    return pitches, draw.random((6, FRAMES)) < 0.9


def test_what_the_network_reads_by_hand():
    pitches, voiced = np.array([[60, 63, 57, 60, 99]]), np.array([[1, 1, 0, 1, 1]], bool)
    expected = [[[0, 0.5, -0.5, 0, 3], [1, 1, 0, 1, 1]]]  # median 60; 39 semitones count as 18
    np.testing.assert_allclose(contour_input(pitches, voiced), expected)


def test_vectors_have_length_one_and_no_key(encoder, contours):
    pitches, voiced = contours
    vectors = encoder.encode(pitches, voiced)
    assert vectors.shape == (6, encoder.dim) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(encoder.encode(pitches + 5.0, voiced), vectors, atol=1e-5)
    np.testing.assert_allclose(encoder.encode(pitches, voiced, batch_size=4), vectors, atol=1e-5)


def test_time_has_a_direction_and_silence_counts(encoder, contours):
    pitches, voiced = contours
    vectors = encoder.encode(pitches, voiced)
    backwards = encoder.encode(pitches[:, ::-1], voiced[:, ::-1])
    assert (np.abs(vectors - backwards).max(axis=1) > 1e-3).all()
    assert np.abs(encoder.encode(pitches, ~voiced) - vectors).max() > 1e-3


def test_it_is_small_and_comes_back(encoder, contours, tmp_path):
    assert sum(weight.numel() for weight in encoder.network.parameters()) < 220_000
    save_model(encoder, tmp_path, {"metrics": []}, bits=16)
    again = load_model("toy", tmp_path)
    assert isinstance(again, ContourEncoder)
    np.testing.assert_allclose(again.encode(*contours), encoder.encode(*contours), atol=5e-3)


def test_no_contours_give_no_vectors(encoder):
    assert encoder.encode(np.empty((0, FRAMES)), np.empty((0, FRAMES), bool)).shape == (
        0,
        CONFIG["embed_dim"],
    )


def test_wrong_contours_are_refused(encoder):
    flags = np.ones((1, 79), bool)
    with pytest.raises(RetrievalInputError, match="contours must have 80 frames, got 79"):
        encoder.encode(np.full((1, 79), 60), flags)
    with pytest.raises(RetrievalInputError, match=r"must both be \(n, frames\), got \(1, 80\)"):
        encoder.encode(np.full((1, 80), 60), flags)
    with pytest.raises(RetrievalInputError, match="pitches must be finite"):
        encoder.encode(np.full((1, 79), np.nan), flags)
