"""Objectives of late interaction and cross-encoders, by hand and at their limits."""

import numpy as np
import pytest
import torch

from lib.models.baselines import hashed_parts
from lib.models.cross_encoder import CrossEncoderNetwork
from lib.models.dual_encoder import DualEncoder
from lib.models.late_interaction import LateInteraction, TowerTokens
from lib.training.batches import Batch
from lib.training.interaction_objectives import (
    MatchingObjective,
    late_interaction_loss,
    negative_probabilities,
    sample_negatives,
)
from tests.models.toy import WORDS, interaction_config, toy_tokens


def toy_batch(right=None) -> Batch:
    tokens, _ = toy_tokens()
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return Batch(images, tokens, torch.eye(3, dtype=torch.bool) if right is None else right)


def by_definition(network, batch) -> float:
    """FILIP's loss from loops over pairs, words and patches."""
    texts, mask = network.encode_text(batch.tokens)
    images = network.encode_image(batch.images)
    n, scale = len(texts), network.logit_scale.exp()
    by_text, by_image = torch.empty(n, n), torch.empty(n, n)
    for t in range(n):
        words = texts[t][mask[t]]
        for i in range(n):
            cosines = words @ images[i].T
            by_text[t, i] = scale * cosines.max(dim=1).values.mean().item()
            by_image[t, i] = scale * cosines.max(dim=0).values.mean()
    own = torch.arange(n)
    sides = [by_text, by_text.T, by_image, by_image.T]
    return (
        torch.stack([torch.nn.functional.cross_entropy(side, own) for side in sides]).mean().item()
    )


def test_late_interaction_loss_is_its_definition_and_trains_everything_it_uses():
    torch.manual_seed(0)
    network = TowerTokens(interaction_config()).eval()
    batch = toy_batch()
    loss = late_interaction_loss(network, batch)
    assert loss.item() == pytest.approx(by_definition(network, batch), abs=1e-5)
    loss.backward()
    for part in (
        network.image,
        network.text,
        network.towers.visual.trunk,
        network.towers.text.transformer,
    ):
        assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in part.parameters())
    assert network.logit_scale.grad is not None


def test_chances_add_up_to_one_or_to_nothing():
    logits = torch.log(torch.tensor([[8.0, 4, 2, 2], [1, 1, 4, 2], [2, 2, 2, 2]]))
    same = torch.tensor([[1, 0, 0, 0], [0, 1, 1, 0], [1, 1, 1, 1]]).bool()
    wanted = torch.tensor([[0, 1 / 2, 1 / 4, 1 / 4], [1 / 3, 0, 0, 2 / 3], [0, 0, 0, 0]])
    torch.testing.assert_close(negative_probabilities(logits, same), wanted)


def test_negatives_follow_the_softmax_and_never_hit_what_is_the_same():
    logits = torch.tensor([[9.0, 2.0, 1.0, 0.0], [0.0, 9.0, 0.0, 0.0]]).repeat(4000, 1)
    same = torch.tensor([[True, False, False, False], [False, True, True, False]]).repeat(4000, 1)
    drawn = sample_negatives(logits, same, torch.Generator().manual_seed(0))
    first = np.bincount(drawn[::2], minlength=4) / 4000
    expected = np.exp([2, 1, 0]) / np.exp([2, 1, 0]).sum()
    np.testing.assert_allclose(first, [0, *expected], atol=0.03)
    second = np.bincount(drawn[1::2], minlength=4) / 4000
    np.testing.assert_allclose(second, [0.5, 0, 0, 0.5], atol=0.03)


def test_a_row_without_a_wrong_column_has_no_negative():
    drawn = sample_negatives(
        torch.zeros(2, 2), torch.tensor([[True, True], [True, False]]), torch.Generator()
    )
    assert drawn.tolist() == [-1, 1]


class Watched(CrossEncoderNetwork):
    """Remember the paired states."""

    def forward(self, text, mask, image):
        self.paired = (text, image)
        return super().forward(text, mask, image)


def test_matching_pairs_each_item_with_itself_and_two_wrong_partners():
    torch.manual_seed(0)
    network = Watched(interaction_config()).eval()
    loss = MatchingObjective(DualEncoder(interaction_config()))(network, toy_batch())
    loss.backward()
    text, image = network.paired
    assert len(text) == len(image) == 9
    own_text, own_image = text[:3], image[:3]
    assert not any(
        torch.equal(text[3 + i], own_text[i]) for i in range(3)
    )  # another text, the own image
    assert all(torch.equal(image[3 + i], own_image[i]) for i in range(3))
    assert all(torch.equal(text[6 + i], own_text[i]) for i in range(3))
    assert not any(torch.equal(image[6 + i], own_image[i]) for i in range(3))
    assert network.attend.layers[0].self_attn.in_proj_weight.grad.abs().sum() > 0


def test_an_undecided_matcher_pays_log_two():
    torch.manual_seed(0)
    network = CrossEncoderNetwork(interaction_config()).eval()
    for parameter in network.matches[1].parameters():
        torch.nn.init.zeros_(parameter)
    loss = MatchingObjective(DualEncoder(interaction_config()))(network, toy_batch())
    assert loss.item() == pytest.approx(np.log(2), abs=1e-6)


def test_what_is_right_as_well_is_not_taught_as_wrong():
    torch.manual_seed(0)
    network = Watched(interaction_config()).eval()
    everyone = torch.ones(3, 3, dtype=torch.bool)
    MatchingObjective(DualEncoder(interaction_config()))(network, toy_batch(everyone))
    assert len(network.paired[0]) == 3


def test_negatives_of_a_step_repeat():
    network = CrossEncoderNetwork(interaction_config()).eval()
    objective = MatchingObjective(DualEncoder(interaction_config()), sharpness=0.0)
    losses = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        losses.append(objective(network, toy_batch()).item())
    assert losses[0] == losses[1]


def test_late_interaction_finds_negatives_where_there_are_no_towers():
    torch.manual_seed(0)
    made = {
        "reads": "features",
        "features": 20,
        "hashed": 50,
        "patches": 3,
        "dim": 6,
        "dropout": 0.0,
    }
    made |= {"width": 8, "heads": 2, "layers": 1}
    config = {"name": "toy", "interaction": made}
    late, network = LateInteraction(config), CrossEncoderNetwork(config).eval()
    batch = Batch(
        torch.randn(3, 20),
        torch.from_numpy(hashed_parts(WORDS[:3], 50)),
        torch.eye(3, dtype=torch.bool),
    )
    texts, mask = late.network.encode_text(batch.tokens)
    images = late.network.encode_image(batch.images)
    expected = [
        [(t[m] @ i.T).max(dim=1).values.mean().item() for t, m in zip(texts, mask, strict=True)]
        for i in images
    ]
    torch.testing.assert_close(MatchingObjective(late)._similarities(batch), torch.tensor(expected))
    assert torch.isfinite(MatchingObjective(late)(network, batch))
