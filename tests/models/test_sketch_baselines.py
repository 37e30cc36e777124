"""Descriptors of sketches: edges by hand, lines moved into one box, unit rows, bad input."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets.sketches import draw_sketches
from lib.datasets.strokes import Drawing
from lib.models.sketch_baselines import (
    EdgeHistograms,
    EdgeMapTower,
    GridLayout,
    JoinedEncoders,
    edge_maps,
    fit_ink,
)

ENCODERS = [EdgeHistograms(), GridLayout()]


def square(low, high, size=64):
    image = np.full((1, size, size, 3), 255, np.uint8)
    image[:, low:high, low:high] = 0
    return image


def line(*points):
    return draw_sketches([Drawing((np.array(points, float),))])


def test_edges_of_a_square_are_its_border():
    edges = 255 - edge_maps(square(16, 48))[0, :, :, 0].astype(int)
    assert edges.max() == 255 and edges[32, 32] == 0 and edges[2, 2] == 0
    # Central differences see a step in the two pixels beside it.
    assert (edges[32] > 0).nonzero()[0].tolist() == [15, 16, 47, 48]


def test_coloured_areas_of_one_brightness_have_an_edge():
    image = np.full((1, 8, 8, 3), 0, np.uint8)
    image[:, :, :4, 0] = 200
    image[:, :, 4:, 2] = 200
    assert (edge_maps(image)[0, :, 3:5] == 0).all()


@pytest.mark.parametrize(("low", "high"), [(0, 16), (40, 64), (10, 50)])
def test_ink_fills_one_box_wherever_it_was(low, high):
    ink = fit_ink(square(low, high), box=48)[0]
    rows = np.flatnonzero(ink.max(axis=1) > 0.5)
    assert (rows[0], rows[-1]) == (8, 55)
    assert ink[8:56, 8:56].mean() > 0.95


def test_an_image_without_ink_stays_empty():
    assert not fit_ink(np.full((1, 64, 64, 3), 255, np.uint8)).any()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_rows_have_length_1_and_ignore_place_and_size(encoder):
    images = np.concatenate([square(4, 20), square(30, 62), np.full_like(square(0, 1), 255)])
    rows = encoder.encode_sketch(images)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert rows[0] @ rows[1] > 0.98


@pytest.mark.parametrize("encoder", ENCODERS)
def test_a_sketch_of_a_square_is_nearer_to_a_square_than_to_a_cross(encoder):
    sketch = line((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))
    cross = np.full((1, 64, 64, 3), 255, np.uint8)
    cross[:, 28:36, 8:56] = cross[:, 8:56, 28:36] = 0
    pictures = encoder.encode_image(np.concatenate([square(8, 56), cross]))
    near, far = pictures @ encoder.encode_sketch(sketch)[0]
    assert near > far + 0.1


def test_directions_go_to_their_bins():
    upright, flat = line((0, 0), (0, 1)), line((0, 0), (1, 0))
    rows = EdgeHistograms(1, 2).encode_sketch(np.concatenate([upright, flat]))
    # Bin 0: gradients to the right, of upright lines; bin 1: gradients downwards.
    assert rows[0, 0] > rows[0, 1] and rows[1, 1] > rows[1, 0]


def test_the_tower_gets_edges_of_pictures_and_sketches_as_they_are():
    class Means:
        def encode_image(self, images):
            return images.reshape(len(images), -1).mean(axis=1, keepdims=True)

    tower, image = EdgeMapTower(Means()), square(10, 50)
    assert tower.encode_sketch(image) == image.mean()
    assert tower.encode_image(image) == edge_maps(image).mean()


def test_joined_cosines_are_means_of_cosines():
    images = np.concatenate([square(4, 20), line((0, 0), (1, 1))])
    parts = [encoder.encode_sketch(images) for encoder in ENCODERS]
    joined = JoinedEncoders(*ENCODERS).encode_sketch(images)
    wanted = np.mean([rows[0] @ rows[1] for rows in parts])
    assert joined[0] @ joined[1] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(
    "images",
    [np.zeros((1, 64, 64, 3)), np.zeros((1, 64, 32, 3), np.uint8), np.zeros((64, 64), np.uint8)],
)
def test_other_images_are_refused(images):
    with pytest.raises(
        RetrievalInputError, match=r"images must be uint8 \(n, size, size, 3\), got"
    ):
        GridLayout().encode_sketch(images)
