"""Recipes: models are trained, measured and stored as a whole; towers start from a dual encoder."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.core.paths import cache_dir
from lib.datasets import icons, scenes
from lib.losses import decorrelation_loss
from lib.models.artifact_files import load_card, load_embeddings
from lib.models.dual_encoder import build_network, text_features
from lib.models.trained_models import class_of, load_model
from lib.search import encode_task
from lib.training import INTERACTION_RECIPES, RECIPES, Plan, SceneStream, train_model
from lib.training import recipe as recipe_module
from lib.training.objectives import matryoshka_infonce

EVERY = [pytest.param(recipe, id=name) for name, recipe in INTERACTION_RECIPES.items()]


def test_decorrelation_is_added_for_both_sides():
    recipe = RECIPES["scenes"]
    tokenizer = recipe.tokenizer()
    torch.manual_seed(0)
    network = build_network(recipe.config(tokenizer)).eval()
    batch = SceneStream(tokenizer, batch_size=48, seed=5).batch(0)
    with torch.no_grad():
        plain, more = (matryoshka_infonce(network, batch, weight) for weight in (0.0, 0.5))
        images = network.encode_image(batch.images)
        texts = text_features(network, batch.tokens)
        penalty = decorrelation_loss(images) + decorrelation_loss(texts)
    assert float(more) == pytest.approx(float(plain) + 0.5 * float(penalty), rel=1e-4)


def test_build_trains_measures_and_stores_a_whole_artifact(monkeypatch, tmp_path):
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))

    def task(split, direction="text_to_image"):
        return scenes.task(split, direction, n_images=30)

    def export(encoder):
        text, image = encode_task(encoder, task("test"))
        return {"test_text": text, "test_image": image}

    small = replace(
        RECIPES["scenes"],
        batch_size=8,
        plan=Plan(steps=3, validate_every=2),
        task=task,
        export=export,
    )
    monkeypatch.setitem(RECIPES, "scenes", small)
    lines, seen = [], []
    encoder = train_model(
        "scenes", log=lines.append, progress=lambda step, steps: seen.append((step, steps))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)] and len(lines) == 2
    card, arrays = load_card("scenes"), load_embeddings("scenes")
    assert {row["direction"] for row in card["metrics"]} == {"text_to_image", "image_to_text"}
    assert card["kept_step"] in (2, 3) and card["batch_size"] == 8
    assert arrays["test_text"].shape == (150, 256) and arrays["test_image"].dtype == np.int8
    text = ["a small solid red circle above a large blue square"]
    np.testing.assert_allclose(
        load_model("scenes").encode_text(text), encoder.encode_text(text), atol=5e-3
    )  # one thread or two move the last bits
    assert not list(cache_dir().glob("train-*"))


def test_unknown_artifact():
    with pytest.raises(RetrievalInputError, match="icons"):
        train_model("icon")


def tiny_tasks(split):
    return [scenes.hard_task(split, n_scenes=6), scenes.task(split, n_images=12)]


@pytest.fixture
def few_icons(monkeypatch):
    """Every 20th training icon; the features of all take seconds."""
    positions = icons.Icons.positions
    monkeypatch.setattr(icons.Icons, "positions", lambda *given: positions(*given)[::20])


@pytest.mark.slow
@pytest.mark.parametrize("recipe", EVERY)
def test_training_starts_from_the_dual_encoder_or_from_features(recipe, few_icons):
    model, stream = recipe.start()
    assert isinstance(model, class_of(recipe.kind)) and model.config["name"] == recipe.name
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scenes_twins", "scenes_late", "scenes_cross"])
def test_build_stores_what_it_measured(name, tmp_path, monkeypatch):
    # A training run may be using the real cache.
    monkeypatch.setattr(recipe_module, "cache_dir", lambda: tmp_path)
    recipe = replace(
        INTERACTION_RECIPES[name],
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
    recipe = replace(INTERACTION_RECIPES["scenes_cross"], depth=3)
    task = tiny_tasks("validation")[0]
    retriever = recipe.retriever(recipe.start()[0], task)
    run = retriever.search(retriever.encode(task.queries, "text"), 5)
    assert run.score_names == ("cosine", "cross-encoder logit")
    np.testing.assert_array_equal(run.stage, np.tile([2, 2, 2, 1, 1], (len(task.queries), 1)))
