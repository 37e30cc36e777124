from dataclasses import replace

import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.core.paths import cache_dir
from lib.datasets import scenes
from lib.losses import decorrelation_loss
from lib.models.dual_encoder import build_network, text_features
from lib.models.trained_models import load_card, load_embeddings, load_model
from lib.search import encode_task
from lib.training import recipes
from lib.training.batches import SceneStream
from lib.training.loop import Plan


def test_decorrelation_is_added_for_both_sides():
    recipe = recipes.RECIPES["scenes"]
    tokenizer = recipe.tokenizer()
    torch.manual_seed(0)
    network = build_network(recipe.config(tokenizer)).eval()
    batch = SceneStream(tokenizer, batch_size=48, seed=5).batch(0)
    with torch.no_grad():
        plain, more = (recipes.contrastive(network, batch, weight) for weight in (0.0, 0.5))
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
        recipes.RECIPES["scenes"],
        batch_size=8,
        plan=Plan(steps=3, validate_every=2),
        task=task,
        export=export,
    )
    monkeypatch.setitem(recipes.RECIPES, "scenes", small)
    lines, seen = [], []
    encoder = recipes.build(
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
        recipes.build("icon")
