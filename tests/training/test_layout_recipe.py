"""Training of the layout tower: a few steps help, and a seed gives the same weights."""

import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.datasets import page_layouts
from lib.models.layout_encoder import LayoutTower
from lib.studies.page_layouts import evaluate_vectors
from lib.training.layout_recipe import train_layout_tower


def test_a_short_training_finds_more_pages():
    pages = page_layouts.generate_pages("train", 480)
    state = torch.get_rng_state()
    tower = train_layout_tower(pages, epochs=20, drafts=2)
    assert torch.equal(torch.get_rng_state(), state)
    task = page_layouts.task("validation", 200)
    torch.manual_seed(0)
    before = evaluate_vectors(task, LayoutTower().encode).value("R@1")
    assert evaluate_vectors(task, tower.encode).value("R@1") > before + 0.04


def test_a_seed_gives_the_same_weights():
    pages = page_layouts.generate_pages("train", 8)
    one, same, other = (
        train_layout_tower(pages, epochs=1, seed=s).encode(pages) for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3


def test_too_few_pages():
    with pytest.raises(RetrievalInputError, match="number of designs in pages must be at least 1"):
        train_layout_tower(page_layouts.generate_pages("train", 3))
