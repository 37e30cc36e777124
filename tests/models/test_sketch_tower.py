"""The sketch tower: shared weights stay shared, own weights alone are stored, numpy agrees."""

import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.datasets import sketches
from lib.models.numpy_image import load_sketch_tower
from lib.models.sketch_tower import KIND, SketchEncoder, retrained_names
from lib.models.trained_models import load_model, save_model


@pytest.fixture(scope="module")
def shared():
    return load_model("pictures")


@pytest.fixture
def encoder(shared):
    names = retrained_names(shared.network.visual)
    config = {**shared.config, "name": "sketches", "kind": KIND, "shared": "pictures"}
    encoder = SketchEncoder(config | {"retrained": names})
    encoder.network.start_from(shared.network)
    return encoder


@pytest.fixture(scope="module")
def images():
    places = sketches.emoji_places("validation", drawn=True)[:6]
    return sketches.draw_sketches(sketches.sketch_strokes(places))


def test_at_its_start_it_is_the_image_tower(encoder, shared, images):
    np.testing.assert_allclose(
        encoder.encode_sketch(images), shared.encode_image(images), atol=1e-6
    )


def test_own_weights_change_sketches_and_nothing_else(encoder, shared, images, tmp_path):
    with torch.no_grad():
        for weight in encoder.network.own.values():
            weight.mul_(1.1)
    moved = encoder.encode_sketch(images)
    assert np.abs(moved - shared.encode_image(images)).max() > 1e-3
    np.testing.assert_allclose(encoder.encode_image(images), shared.encode_image(images), atol=1e-6)
    save_model(encoder, tmp_path, {"metrics": []}, bits=16)
    again = load_model("sketches", tmp_path)
    np.testing.assert_allclose(again.encode_sketch(images), moved, atol=5e-3)
    by_numpy = load_sketch_tower("sketches", tmp_path).encode_image(images)
    np.testing.assert_allclose(by_numpy, again.encode_sketch(images), atol=1e-5)


def test_training_keeps_statistics_and_moves_own_weights_alone(encoder, images):
    network = encoder.network.train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    features = network.encode_sketch(torch.rand(4, 3, 64, 64))
    features.square().sum().backward()
    assert all(weight.grad is not None for weight in network.own.values())
    assert all(weight.grad is None for weight in network.tokens.parameters())
    for key, value in network.state_dict().items():
        assert torch.equal(before[key], value), key


def test_the_stored_part_is_small(encoder):
    own = sum(weight.numel() for weight in encoder.network.own.values())
    assert own < 0.15 * sum(p.numel() for p in encoder.network.tokens.visual.parameters())


def test_unknown_names_are_refused(shared):
    with pytest.raises(
        RetrievalInputError, match="retrained must name weights of the tower, got 'x'"
    ):
        SketchEncoder({**shared.config, "retrained": ["x"]})


def test_documents_are_pictures_and_titles_in_their_share(encoder):
    pages = sketches.load_pages(np.array([0, 5]))
    pictures = encoder.encode_document(pages, share=1)
    titles = encoder.encode_document(pages, share=0)
    mixed = 0.3 * pictures + 0.7 * titles
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode_document(pages, share=0.3), mixed, atol=1e-6)
    np.testing.assert_allclose(
        pictures, encoder.encode_image(np.stack([page.picture for page in pages])), atol=1e-6
    )
    with pytest.raises(RetrievalInputError, match="share"):
        encoder.encode_document(pages, share=2)
