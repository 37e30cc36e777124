"""States before pooling: their order, their shapes, and that pooling them gives the dual encoder's
vector.
"""

import torch

from lib.models.dual_encoder import image_states, text_features, text_states
from tests.models.toy import toy_tokens, toy_towers


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
