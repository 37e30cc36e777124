"""One score per pair: blind to padding and to batch mates, and dependent on both sides together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lib.checks import RetrievalInputError
from lib.models.cross_encoder import CrossEncoder
from tests.models.toy import WORDS, interaction_config, small_images


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return CrossEncoder(interaction_config())


@pytest.fixture(scope="module")
def sides(model):
    return model.read_text(WORDS), model.read_image(small_images(len(WORDS)))


def test_a_pair_scores_alike_alone_and_in_company(model, sides):
    text, image = sides
    together = model.score(text, image)
    assert together.dtype == np.float32 and together.shape == (len(WORDS),)
    for i in range(len(WORDS)):
        np.testing.assert_allclose(model.score(text.take([i]), image.take([i])), together[i], atol=1e-5)
    progress = []
    in_threes = model.score(text, image, batch_size=3, progress=progress.append)
    np.testing.assert_allclose(in_threes, together, atol=1e-5)
    assert progress == [3, 1]


def test_what_padding_holds_changes_nothing(model, sides):
    text, image = sides
    spoilt = text.vectors.copy()
    spoilt[~text.mask] = 100.0
    np.testing.assert_allclose(model.score(type(text)(spoilt, text.mask), image), model.score(text, image))


def test_the_two_sides_are_read_together(model, sides):
    # A sum of one term per side would make this difference of differences zero.
    text, image = sides
    a, b = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    same, other, third, fourth = model.score(text.take(a), image.take(b))
    assert abs((same - other) - (third - fourth)) > 1e-4


def test_states_do_not_depend_on_the_other_side(model):
    np.testing.assert_allclose(
        model.read_text(WORDS).take([2]).flat()[0], model.read_text([WORDS[2]]).flat()[0], atol=1e-5
    )


def test_refuses(model, sides):
    text, image = sides
    with pytest.raises(RetrievalInputError, match="aligned, got 4 texts and 2 images"):
        model.score(text, image.take([0, 1]))
    with pytest.raises(RetrievalInputError, match="batch_size"):
        model.score(text, image, batch_size=0)
    with pytest.raises(RetrievalInputError, match="images must be uint8"):
        model.read_image(small_images()[..., 0])
