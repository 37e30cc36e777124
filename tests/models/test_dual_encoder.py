"""Dual encoders, their image towers and their token states."""

import warnings

import numpy as np
import open_clip
import pytest
import timm
import torch

from lib.core.checks import RetrievalInputError
from lib.models.dual_encoder import (
    DualEncoder,
    build_network,
    image_states,
    image_tensor,
    text_features,
    text_states,
    untrained,
)
from tests.models.toy import WORDS, toy_config, toy_encoder, toy_images, toy_tokens, toy_towers


@pytest.fixture(scope="module")
def encoder():
    return toy_encoder()


# ---- images as the network reads them


def test_image_tensor_by_hand():
    gray = np.array([[[0, 51], [102, 255]]], dtype=np.uint8)
    tensor = image_tensor(gray, 1, 2)
    assert tensor.dtype == torch.float32 and tensor.shape == (1, 1, 2, 2)
    torch.testing.assert_close(tensor[0, 0], torch.tensor([[0.0, 0.2], [0.4, 1.0]]))
    colour = np.zeros((1, 2, 2, 3), dtype=np.uint8)
    colour[0, 1, 0] = [255, 0, 51]
    torch.testing.assert_close(
        image_tensor(colour, 3, 2)[0, :, 1, 0], torch.tensor([1.0, 0.0, 0.2])
    )


def test_image_tensor_is_channels_last():
    assert image_tensor(toy_images(2), 3, 16).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("view", [lambda x: x[::-1], lambda x: x[:, :, ::-1], lambda x: x[::2]])
def test_reads_views_and_read_only_arrays_without_a_warning(view):
    images = toy_images(4)
    expected = image_tensor(view(images).copy(), 3, 16)
    images.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(image_tensor(view(images), 3, 16), expected)


@pytest.mark.parametrize(
    ("images", "channels", "message"),
    [
        (np.zeros((2, 16, 16), np.float32), 1, r"uint8 \(n, 16, 16\), got float32 \(2, 16, 16\)"),
        (np.zeros((2, 16, 15), np.uint8), 1, r"got uint8 \(2, 16, 15\)"),
        (
            np.zeros((16, 16), np.uint8),
            1,
            r"got uint8 \(16, 16\); pass a single image as image\[None\]",
        ),
        (np.zeros((2, 16, 16), np.uint8), 3, r"uint8 \(n, 16, 16, 3\), got uint8 \(2, 16, 16\)$"),
        (np.zeros((2, 16, 16, 3), np.uint8), 1, r"got uint8 \(2, 16, 16, 3\)"),
        (np.zeros((2, 3, 16, 16), np.uint8), 3, r"got uint8 \(2, 3, 16, 16\)"),
        (np.uint8(3), 1, r"got uint8 \(\)"),
    ],
)
def test_refuses_other_shapes_and_dtypes(images, channels, message):
    with pytest.raises(RetrievalInputError, match=message):
        image_tensor(images, channels, 16)


# ---- embeddings


def test_rows_have_length_one(encoder):
    for rows, n in ((encoder.encode_image(toy_images(5)), 5), (encoder.encode_text(WORDS), 4)):
        assert rows.dtype == np.float32 and rows.shape == (n, encoder.dim)
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_the_batch_does_not_matter(encoder, batch_size):
    images, texts = toy_images(7), [*WORDS, "red", "blue clock", "left"]
    for encode, inputs in ((encoder.encode_image, images), (encoder.encode_text, texts)):
        np.testing.assert_allclose(encode(inputs, batch_size=batch_size), encode(inputs), atol=2e-6)


def test_order_of_the_inputs_is_kept(encoder):
    images = toy_images(6)
    order = [3, 1, 5, 0, 2, 4]
    np.testing.assert_allclose(
        encoder.encode_image(images[order]), encoder.encode_image(images)[order], atol=2e-6
    )


def test_nothing_gives_nothing(encoder):
    assert encoder.encode_image(toy_images(0)).shape == encoder.encode_text([]).shape == (0, 16)


def test_embeddings_are_the_networks_features_normalised(encoder):
    with torch.no_grad():
        features = encoder.network.encode_image(image_tensor(toy_images(2), 3, 16)).numpy()
    expected = features / np.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode_image(toy_images(2)), expected, atol=1e-6)


def test_plain_attention_gives_what_open_clip_gives(encoder):
    tokens = torch.from_numpy(encoder.tokenizer.encode(WORDS))
    torch.testing.assert_close(
        text_features(encoder.network, tokens), encoder.network.encode_text(tokens)
    )


def test_progress_adds_up(encoder):
    for encode, inputs in ((encoder.encode_image, toy_images(7)), (encoder.encode_text, WORDS)):
        done = []
        encode(inputs, batch_size=3, progress=done.append)
        assert sum(done) == len(inputs) and max(done) == 3


def test_encoding_is_deterministic_even_after_training_mode(encoder):
    encoder.network.train()
    first = encoder.encode_image(toy_images(3))
    assert not encoder.network.training
    np.testing.assert_array_equal(first, encoder.encode_image(toy_images(3)))


def test_encoding_leaves_no_gradient(encoder):
    encoder.encode_text(WORDS)
    assert all(p.grad is None for p in encoder.network.parameters())


def test_weights_follow_the_seed_of_torch():
    networks = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        networks.append(build_network(toy_config(3)).state_dict())
    same = [all(torch.equal(networks[0][k], other[k]) for k in other) for other in networks[1:]]
    assert same == [True, False]


def test_vocabulary_and_context_are_the_tokenizers(encoder):
    assert encoder.network.vocab_size == encoder.tokenizer.vocab_size
    assert encoder.network.context_length == encoder.tokenizer.context_length == 10


def test_takes_a_network_as_it_is(encoder):
    shared = DualEncoder(encoder.config, encoder.network)
    assert shared.network is encoder.network


# ---- before the first step


@pytest.fixture(scope="module")
def resnet():
    vision = {"timm_model_name": "cm_resnet_rgb", "image_size": 64, "timm_proj": "linear"}
    torch.manual_seed(0)
    return DualEncoder(toy_config(channels=3, size=64, vision=vision))


@pytest.fixture(scope="module")
def photos():
    return np.random.default_rng(0).integers(0, 256, size=(32, 64, 64, 3), dtype=np.uint8)


def test_untrained_has_fresh_weights_that_follow_the_seed(resnet, photos):
    before = torch.get_rng_state()
    first, again, other = (untrained(resnet, seed, photos) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    rows = [encoder.encode_text(WORDS) for encoder in (resnet, first, again, other)]
    np.testing.assert_array_equal(rows[1], rows[2])
    assert np.abs(rows[1] - rows[3]).max() > 0.1 < np.abs(rows[1] - rows[0]).max()
    assert first.config == resnet.config and not first.network.training


def test_untrained_normalises_as_the_first_step_of_training_would(resnet, photos):
    fresh = untrained(resnet, 1, photos)
    evaluated = fresh.encode_image(photos)
    with torch.no_grad():
        stepped = torch.nn.functional.normalize(
            fresh.network.train().encode_image(image_tensor(photos, 3, 64))
        )
    assert ((evaluated * stepped.numpy()).sum(axis=1) > 0.99).all()


def test_untrained_can_be_trained(resnet, photos):
    fresh = untrained(resnet, 1, photos)
    fresh.network.encode_image(image_tensor(photos[:2], 3, 64)).sum().backward()
    assert fresh.network.visual.trunk.stem.conv.weight.grad.abs().sum() > 0


# ---- bad input


def test_refuses_bad_texts(encoder):
    with pytest.raises(RetrievalInputError, match=r"pass \[text\]"):
        encoder.encode_text("red car")
    with pytest.raises(RetrievalInputError, match="no letter or digit"):
        encoder.encode_text([""])


def test_refuses_bad_images(encoder):
    with pytest.raises(RetrievalInputError, match=r"pass a single image as image\[None\]"):
        encoder.encode_image(toy_images(1)[0])


@pytest.mark.parametrize("batch_size", [0, -1, 2.5])
def test_refuses_bad_batch_sizes(encoder, batch_size):
    with pytest.raises(RetrievalInputError, match="batch_size must be"):
        encoder.encode_text(WORDS, batch_size=batch_size)


# ---- token states


def test_patches_are_the_last_maps_row_by_row():
    network = toy_towers().eval()
    images = torch.rand(3, 3, 32, 32)
    last, before = image_states(network, images), image_states(network, images, maps=2)
    assert last.shape == (3, 4, 128) and before.shape == (3, 16, 64)
    torch.testing.assert_close(
        last[:, 1], network.visual.trunk.forward_features(images)[:, :, 0, 1]
    )


def test_the_pooled_image_is_made_from_these_states():
    network = toy_towers().eval()
    images = torch.rand(3, 3, 32, 32)
    pooled = network.visual.head(image_states(network, images).mean(dim=1))
    torch.testing.assert_close(pooled, network.encode_image(images))


def test_the_text_vector_is_the_projected_state_of_the_last_piece():
    network, (tokens, n_pieces) = toy_towers().eval(), toy_tokens()
    states, mask = text_states(network, tokens)
    assert mask.sum(dim=1).tolist() == n_pieces
    last = states[torch.arange(len(tokens)), mask.sum(dim=1) - 1]
    torch.testing.assert_close(last @ network.text.text_projection, text_features(network, tokens))


def test_gradients_reach_both_towers():
    network, (tokens, _) = toy_towers(), toy_tokens()
    (
        text_states(network, tokens)[0].sum()
        + image_states(network, torch.rand(2, 3, 32, 32)).sum()
    ).backward()
    assert network.text.token_embedding.weight.grad.abs().sum() > 0
    assert next(network.visual.trunk.parameters()).grad is not None


# ---- image towers


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("name", "channels", "size", "shape"),
    [
        ("cm_resnet_gray", 1, 64, (2, 384, 2, 2)),
        ("cm_resnet_gray", 1, 48, (2, 384, 2, 2)),
        ("cm_resnet_on_white", 3, 64, (2, 384, 2, 2)),
        ("cm_resnet_rgb", 3, 64, (2, 192, 4, 4)),
        ("cm_resnet_rgb", 3, 48, (2, 192, 3, 3)),
        ("cm_resnet_small_gray", 1, 32, (2, 128, 2, 2)),
        ("cm_resnet_small_rgb", 3, 32, (2, 128, 2, 2)),
    ],
)
def test_last_map_for_both_sizes_used_in_training(name, channels, size, shape):
    tower = timm.create_model(name, num_classes=0).eval()
    with torch.no_grad():
        assert tower.forward_features(torch.rand(2, channels, size, size)).shape == shape
    if size == (32 if "small" in name else 64):
        assert tower.default_cfg["pool_size"] == shape[2:]


@pytest.mark.parametrize(("name", "channels"), [("cm_resnet_gray", 1), ("cm_resnet_rgb", 3)])
def test_open_clip_builds_it_from_a_plain_dict(name, channels):
    vision = {"timm_model_name": name, "image_size": 64, "timm_proj": "linear"}
    network = build_network(toy_config(channels, 64, vision=vision)).eval()
    assert isinstance(network, open_clip.CustomTextCLIP)
    with torch.no_grad():
        assert network.encode_image(torch.rand(2, channels, 64, 64)).shape == (2, 16)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("cm_resnet_gray", 3.4),
        ("cm_resnet_on_white", 3.8),
        ("cm_resnet_rgb", 0.7),
        ("cm_resnet_small_gray", 0.3),
        ("cm_resnet_small_rgb", 0.3),
    ],
)
def test_number_of_parameters_is_what_the_docstring_says(name, millions):
    tower = timm.create_model(name, num_classes=0)
    assert round(sum(p.numel() for p in tower.parameters()) / 1e6, 1) == millions


def test_an_asked_for_number_of_channels_wins():
    tower = timm.create_model("cm_resnet_gray", num_classes=0, in_chans=2)
    assert tower.stem.conv.weight.shape[1] == 2


def test_white_paper_has_no_edge_at_its_border():
    white = torch.ones(1, 3, 64, 64)
    stems = {}
    for name in ("cm_resnet_on_white", "cm_resnet_rgb"):
        with torch.no_grad():
            stems[name] = timm.create_model(name, num_classes=0).eval().stem(white)
    spread = {name: states.std(dim=(2, 3)).max().item() for name, states in stems.items()}
    assert spread["cm_resnet_on_white"] == 0 < spread["cm_resnet_rgb"]
