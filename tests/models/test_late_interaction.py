"""Token vectors: unit length, independent of padding and of the rest of the batch."""

import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.core.token_vectors import Tokens
from lib.models.late_interaction import LateInteraction
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
    pieces = [
        sum(len(model.network.tokenizer.pieces(w)) for w in text.split())
        for text in ("car", "red alarm")
    ]
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


@pytest.fixture(scope="module")
def of_features():
    torch.manual_seed(0)
    made = {
        "reads": "features",
        "features": 64 * 9,
        "hashed": 50,
        "patches": 3,
        "width": 8,
        "dim": 6,
        "dropout": 0.5,
    }
    return LateInteraction({"name": "toy", "interaction": made})


def test_words_and_the_whole_text_look_among_slots(of_features):
    gray = small_images(4)[..., 0]
    images, texts = (
        of_features.encode_image(gray),
        of_features.encode_text(["car", "red alarm clock"]),
    )
    assert images.counts.tolist() == [3] * 4 and texts.counts.tolist() == [2, 4]
    for tokens in (images, texts):
        np.testing.assert_allclose(np.linalg.norm(tokens.flat()[0], axis=1), 1, atol=1e-5)
    alone = of_features.encode_text(["alarm"]).vectors[0]
    np.testing.assert_allclose(
        texts.vectors[1, 2], alone[1], atol=1e-6
    )  # a word sees no neighbours
    assert not np.allclose(alone[0], alone[1])  # the whole text has a last layer of its own


def test_a_word_vector_by_hand(of_features):
    network = of_features.network
    ids = torch.zeros(1, 2, 4, dtype=torch.int64)
    ids[0, 1, :2] = torch.tensor([7, 9])
    summed = (network.part_embedding.weight[7] + network.part_embedding.weight[9]) / 2**0.5
    expected = network.word(torch.nn.functional.gelu(summed + network.part_bias))
    vectors, mask = network.encode_text(ids)
    torch.testing.assert_close(vectors[0, 1], expected / expected.norm())
    assert mask.tolist() == [[False, True]]


def test_features_are_scaled_by_those_of_training(of_features):
    features = 5 + 3 * torch.randn(200, 576, generator=torch.Generator().manual_seed(0))
    network = LateInteraction(of_features.config).network
    network.fit_scale(features)
    scaled = (features - network.mean) / network.spread
    torch.testing.assert_close(scaled.mean(dim=0), torch.zeros(576), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaled.std(dim=0), torch.ones(576), atol=1e-4, rtol=0)


def test_refuses(model):
    with pytest.raises(RetrievalInputError, match="images must be uint8"):
        model.encode_image(small_images().astype(np.float32))
    with pytest.raises(RetrievalInputError, match="holds no letter"):
        model.encode_text(["car", ""])
    with pytest.raises(RetrievalInputError, match="batch_size"):
        model.encode_text(["car"], batch_size=0)
