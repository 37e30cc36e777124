"""Gradient features by hand, their scale, and the trained layer on them."""

import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.models.gradients import (
    GRID,
    ORIENTATIONS,
    GradientFeatures,
    StandardizedInput,
    count_features,
    gradient_features,
    image_gradients,
)


def ramp(axis: int, falls: bool = False) -> np.ndarray:
    """Make an image that gets 2 brighter (or darker) from pixel to pixel along one axis."""
    values = np.arange(64, dtype=np.uint8) * 2
    values = values[::-1] if falls else values
    return np.broadcast_to(values if axis == 1 else values[:, None], (64, 64)).copy()


@pytest.mark.parametrize(
    ("axis", "falls", "direction"), [(1, False, 0), (0, False, 2), (1, True, 4), (0, True, 6)]
)
def test_a_ramp_votes_for_its_direction_alone(axis, falls, direction):
    cells = gradient_features(ramp(axis, falls)[None]).reshape(1 + ORIENTATIONS, GRID, GRID)
    votes = cells[1:].mean(axis=(1, 2))
    assert votes.argmax() == direction
    # Two pixels apart the ramp rises by 4 of 255; one minus cos 45 is the height of the vote.
    inside = cells[1 + direction, 1:-1, 1:-1]
    assert np.allclose(inside**2, 4 / 255 * (1 - np.sqrt(0.5)), rtol=1e-4)
    assert np.allclose(np.delete(votes, direction), 0, atol=1e-3)


def test_first_cells_are_the_mean_colour():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1, 64, 64, 3), dtype=np.uint8)
    cells = gradient_features(image).reshape(3 + ORIENTATIONS, GRID, GRID)
    assert np.allclose(cells[1, 0, 0], image[0, :8, :8, 1].mean() / 255, atol=1e-6)


def test_a_blank_image_has_no_edges_and_chunks_change_nothing():
    blank = np.full((300, 16, 16), 7, np.uint8)
    features = gradient_features(blank)
    assert features.shape == (300, GRID**2 * (1 + ORIENTATIONS)) and features.dtype == np.float32
    assert np.allclose(features[:, GRID**2 :], 0)
    assert np.array_equal(features[0], features[299])


@pytest.mark.parametrize(
    "bad", [np.zeros((2, 64, 64)), np.zeros(64, np.uint8), np.zeros((1, 60, 64), np.uint8)]
)
def test_gradient_features_refuse_what_is_no_image(bad):
    with pytest.raises(RetrievalInputError, match="uint8|divide"):
        gradient_features(bad)


def test_bytes_and_numbers_between_0_and_1_have_the_same_features():
    images = np.random.default_rng(3).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    found = image_gradients(torch.from_numpy(images).permute(0, 3, 1, 2) / 255)
    assert found.shape == (5, count_features(channels=3))
    np.testing.assert_allclose(found, gradient_features(images), atol=1e-6)


def test_an_edge_is_seen_at_the_border_too():
    """The border repeats its pixels, so an edge along the last row votes there."""
    image = np.zeros((1, 64, 64), np.uint8)
    image[0, 63] = 255
    cells = gradient_features(image).reshape(1 + ORIENTATIONS, GRID, GRID)
    assert cells[1 + 2, -1].min() > 0 and not cells[1:, :-1].any()


def test_the_scale_is_that_of_the_items_it_is_fitted_to():
    network = StandardizedInput(576)
    features = torch.rand(50, 576, generator=torch.Generator().manual_seed(2))
    features[:, 5] = 0.25  # a feature that never changes is not divided by nothing
    network.fit_scale(features)
    scaled = network.standardize(features)
    others = torch.arange(576) != 5
    torch.testing.assert_close(scaled.mean(dim=0), torch.zeros(576), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaled[:, others].std(dim=0), torch.ones(575), atol=1e-4, rtol=0)
    assert network.spread[5] == pytest.approx(1e-3) and torch.isfinite(scaled).all()


def test_features_are_the_layer_of_the_standardised_gradients():
    torch.manual_seed(0)
    features = GradientFeatures(8, dropout=0.5, later_dropout=0.5).eval()
    images = torch.rand(3, 3, 64, 64)
    features.fit_scale(image_gradients(torch.rand(9, 3, 64, 64)))
    linear = features.layers[1]
    scaled = (image_gradients(images) - features.mean) / features.spread
    expected = torch.nn.functional.gelu(scaled @ linear.weight.T + linear.bias)
    torch.testing.assert_close(features(images), expected)
