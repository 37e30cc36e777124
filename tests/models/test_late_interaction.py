"""Token vectors: unit length, blind to padding and to batch mates, in the shape search wants."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lib.checks import RetrievalInputError
from lib.models.late_interaction import LateInteraction
from lib.tokens import Tokens
from tests.models.toy import WORDS, interaction_config, small_images


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return LateInteraction(interaction_config())


def test_vectors_have_length_one(model):
    for tokens in (model.encode_text(WORDS), model.encode_image(small_images())):
        assert isinstance(tokens, Tokens) and tokens.dim == model.dim == 8
        np.testing.assert_allclose(np.linalg.norm(tokens.flat()[0], axis=1), 1, atol=1e-5)


def test_every_patch_and_every_piece_counts(model):
    assert model.encode_image(small_images(3)).counts.tolist() == [4, 4, 4]
    counts = model.encode_text(["car", "red alarm"]).counts
    pieces = [sum(len(model.tokenizer.pieces(w)) for w in text.split()) for text in ("car", "red alarm")]
    assert counts.tolist() == [n + 1 for n in pieces]


def test_an_item_is_encoded_alike_alone_and_in_company(model):
    together = model.encode_text(WORDS)
    for i, word in enumerate(WORDS):
        alone = model.encode_text([word])
        np.testing.assert_allclose(together.take([i]).flat()[0], alone.flat()[0], atol=1e-5)
    images, progress = small_images(5), []
    in_twos = model.encode_image(images, batch_size=2, progress=progress.append)
    np.testing.assert_allclose(in_twos.vectors, model.encode_image(images).vectors, atol=1e-5)
    assert progress == [2, 2, 1]


def test_a_piece_sees_the_words_after_it(model):
    red_car, red_alarm = model.encode_text(["red car", "red alarm"]).vectors[:, 0]
    assert not np.allclose(red_car, red_alarm, atol=1e-3)


def test_refuses(model):
    with pytest.raises(RetrievalInputError, match="images must be uint8"):
        model.encode_image(small_images().astype(np.float32))
    with pytest.raises(RetrievalInputError, match="holds no letter"):
        model.encode_text(["car", ""])
    with pytest.raises(RetrievalInputError, match="batch_size"):
        model.encode_text(["car"], batch_size=0)
