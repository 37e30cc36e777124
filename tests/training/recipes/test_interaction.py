"""Models with interaction: they start from the dual encoder's towers, and are stored as
measured.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lib.datasets import scenes
from lib.models.trained_models import KINDS, load_card, load_model
from lib.training import recipes
from lib.training.loop import Plan

EVERY = [pytest.param(recipe, id=name) for name, recipe in recipes.INTERACTION_RECIPES.items()]


def tiny_tasks(split):
    return [scenes.hard_task(split, n_scenes=6), scenes.task(split, n_images=12)]


@pytest.mark.parametrize("recipe", EVERY)
def test_training_starts_from_the_dual_encoder_or_from_features(recipe):
    model, stream = recipe.start()
    assert isinstance(model, KINDS[recipe.kind]) and model.config["name"] == recipe.name
    if recipe.interaction.get("reads") != "features":
        source = load_model(recipe.towers or recipe.base).network
        source, own = (getattr(network, "towers", network) for network in (source, model.network))
        for key, value in own.state_dict().items():
            torch.testing.assert_close(value, source.state_dict()[key], rtol=0, atol=0)
    else:  # scaled by the training icons, or by what was trained on them
        features = getattr(model.network, "tokens", model.network)
        assert features.mean.any() and (features.spread != 1).any()
    loss = recipe.objective()(model.network, stream.batch(0))
    assert torch.isfinite(loss)


@pytest.mark.parametrize("name", ["scenes_twins", "scenes_late", "scenes_cross"])
def test_build_stores_what_it_measured(name, tmp_path, monkeypatch):
    monkeypatch.setattr(
        recipes.base, "cache_dir", lambda: tmp_path
    )  # a training run may be using the real one
    recipe = replace(
        recipes.INTERACTION_RECIPES[name],
        batch_size=8,
        plan=Plan(steps=2, validate_every=1),
        tasks=tiny_tasks,
        depth=10,
    )
    lines = []
    built = recipe.build(name, log=lines.append, folder=tmp_path / name)
    assert len(lines) == 2 and "R@1 validation_hard" in lines[0]
    loaded, card = load_model(name, tmp_path / name), load_card(name, tmp_path / name)
    for key, value in built.network.state_dict().items():
        torch.testing.assert_close(loaded.network.state_dict()[key], value, rtol=0, atol=0)
    assert {row["split"] for row in card["metrics"]} == {"test_hard", "test"}
    again, _ = recipe.measure(loaded)
    np.testing.assert_allclose([r["value"] for r in again], [r["value"] for r in card["metrics"]])


def test_a_cross_encoder_is_judged_behind_its_dual_encoder():
    recipe = replace(recipes.INTERACTION_RECIPES["scenes_cross"], depth=3)
    task = tiny_tasks("validation")[0]
    retriever = recipe.retriever(recipe.start()[0], task)
    run = retriever.search(retriever.encode(task.queries, "text"), 5)
    assert run.score_names == ("cosine", "cross-encoder logit")
    np.testing.assert_array_equal(run.stage, np.tile([2, 2, 2, 1, 1], (len(task.queries), 1)))
