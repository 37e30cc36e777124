"""Batches and objective of the sketch tower: repeatable, honest splits, a loss by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from lib.datasets import sketches
from lib.training.recipes import RECIPES
from lib.training.sketch_batches import SketchBatch, SketchStream, bend, outline
from lib.training.sketch_recipe import BENT, ICONS, SCALE, WORDS, Answers, SketchObjective


@pytest.fixture(scope="module")
def stream():
    return SketchStream(6, 4, seed=3)


def test_batches_are_a_function_of_the_step(stream):
    one, again, other = stream.batch(5), stream.batch(5), stream.batch(6)
    assert torch.equal(one.images, again.images) and torch.equal(one.places, again.places)
    assert not torch.equal(one.images, other.images)
    assert one.images.shape == (10, 3, 64, 64) and len(one.icons) == 4
    assert one.images.min() >= 0 and one.images.max() <= 1.0001


def test_rows_name_the_drawn_emoji_and_none_is_held_out(stream):
    held_out = np.concatenate([sketches.emoji_places(s) for s in ("validation", "test", "test_b")])
    assert not np.isin(stream.shown, held_out).any()
    np.testing.assert_array_equal(stream.shown[stream.rows], stream.places)
    leaky = SketchStream(2, 0, seed=0, places=sketches.training_places("drawing"))
    assert np.isin(leaky.shown, sketches.emoji_places("test", drawn=True)).sum() == 142
    np.testing.assert_array_equal(leaky.shown[leaky.rows], leaky.places)
    assert leaky.batch(0).images.shape == (2, 3, 64, 64)


def test_bending_moves_ink_and_outlines_surround_it():
    square = torch.zeros(1, 1, 16, 16)
    square[..., 5:11, 5:11] = 1
    ring = outline(square)
    assert ring[0, 0, 4, 4] == 1 and ring[0, 0, 7, 7] == 0 and ring.sum() == 8 * 8 - 6 * 6
    bent = bend(square, torch.Generator().manual_seed(0))
    assert bent.shape == square.shape and not torch.equal(bent, square)


def test_loss_by_hand():
    # Unit vectors along axes: emoji a, b; icon 0 shares the concept of a, icon 1 is another.
    axes = torch.eye(4)
    answers = Answers(axes[:2], axes[:2], axes[2:], torch.tensor([7, 8]), torch.tensor([7, 9]))

    class Fixed(nn.Module):
        def encode_sketch(self, images):
            return images

    images = torch.stack([axes[0] * 5, axes[3] * 2])  # a sketch of a, and icon 1 bent
    batch = SketchBatch(images, torch.tensor([0]), torch.tensor([1]))
    found = SketchObjective(answers)(Fixed(), batch)
    e = np.exp(SCALE)
    picture = -np.log(e / (e + 1 + 1))  # a among a, b and icon 1
    name = -np.log(e / (e + 1))
    icons = -np.log(1 / 2)  # icon 0 among both icons, cosine 0 with each
    bent = -np.log(e / (e + 3))
    wanted = picture + WORDS * name + ICONS * icons + BENT * bent
    assert found.item() == pytest.approx(wanted, rel=1e-5)


def test_the_recipe_is_known_and_trains_by_concept():
    recipe = RECIPES["sketches"]
    assert recipe.split_by == "concept"
    assert {"split_by", "bent icons", "batch_size"} <= recipe.identity.keys()
