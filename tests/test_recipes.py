from dataclasses import replace

import numpy as np
import pytest
import torch

from lib import recipes
from lib.checks import RetrievalInputError
from lib.datasets import icons, scenes
from lib.files import cache_dir
from lib.models.artifacts import load_card, load_embeddings, load_model
from lib.models.tokenizer import PAD, Tokenizer
from lib.training import Plan


@pytest.fixture(scope="module")
def icon_stream():
    corpus = icons.load()
    tokenizer = Tokenizer.train([icons.phrase_of(name) for name in corpus.names[:300]], 100, 40)
    return recipes.IconStream(corpus, tokenizer, batch_size=64, steps=1000, seed=3)


@pytest.fixture(scope="module")
def scene_stream():
    return recipes.SceneStream(recipes.RECIPES["scenes"].tokenizer(), batch_size=48, seed=5)


def same(a, b):
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("images", "tokens", "positives"))


@pytest.mark.parametrize("which", ["icon_stream", "scene_stream"])
def test_a_batch_depends_on_its_step_alone(request, which):
    stream = request.getfixturevalue(which)
    late = stream.batch(700)
    stream.batch(2)
    assert same(stream.batch(700), late) and not same(stream.batch(701), late)


@pytest.mark.parametrize("which", ["icon_stream", "scene_stream"])
def test_every_image_has_its_own_text_as_a_positive(request, which):
    batch = request.getfixturevalue(which).batch(11)
    n = len(batch.images)
    assert batch.images.min() >= 0 and batch.images.max() <= 1
    assert batch.positives.shape == (n, n) and batch.positives.diagonal().all()
    assert (batch.tokens != PAD).any(dim=1).all()


@pytest.mark.parametrize("epoch", [0, 999])
def test_an_epoch_shows_each_training_icon_once_and_no_other(icon_stream, epoch):
    order = icon_stream.order(epoch)
    assert sorted(order.tolist()) == icon_stream.corpus.positions("train").tolist()


def test_late_epochs_come_in_runs_of_one_first_word(icon_stream):
    corpus = icon_stream.corpus
    shares = []
    for epoch in (0, 999):
        heads = [icons.head_of(corpus.names[i]) for i in icon_stream.order(epoch)]
        shares.append(np.mean([a == b for a, b in zip(heads, heads[1:], strict=False)]))
    assert shares[0] < 0.05 < 0.4 < shares[1]


def test_icons_that_share_a_name_or_their_pixels_are_positives(icon_stream):
    corpus = icon_stream.corpus
    for step in (0, 900):
        epoch, at = divmod(step, icon_stream.per_epoch)
        chosen = icon_stream.order(epoch)[at * 64 : (at + 1) * 64]
        expected = [
            [
                corpus.names[a] == corpus.names[b] or (corpus.images[a] == corpus.images[b]).all()
                for b in chosen
            ]
            for a in chosen
        ]
        np.testing.assert_array_equal(icon_stream.batch(step).positives.numpy(), expected)


def test_a_true_caption_of_another_scene_is_a_positive(scene_stream, monkeypatch):
    two = scenes.sample("train", 2)
    batch = scenes.concatenate([two] * 24)  # 24 copies of each: worded differently, true all the same
    monkeypatch.setattr(recipes.scenes, "training_batch", lambda *_: (scenes.render(batch), batch))
    copies = np.arange(48) % 2
    np.testing.assert_array_equal(scene_stream.batch(0).positives.numpy(), copies[:, None] == copies)


def test_decorrelation_is_added_for_both_sides(scene_stream):
    recipe = recipes.RECIPES["scenes"]
    torch.manual_seed(0)
    network = recipes.build_network(recipe.config(scene_stream.tokenizer)).eval()
    batch = scene_stream.batch(0)
    with torch.no_grad():
        plain, more = (recipes.contrastive(network, batch, weight) for weight in (0.0, 0.5))
        images = network.encode_image(batch.images)
        texts = recipes.text_features(network, batch.tokens)
        penalty = recipes.decorrelation_loss(images) + recipes.decorrelation_loss(texts)
    assert float(more) == pytest.approx(float(plain) + 0.5 * float(penalty), rel=1e-4)


def test_build_trains_measures_and_stores_a_whole_artifact(monkeypatch, tmp_path):
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))

    def task(split, direction="text_to_image"):
        return scenes.task(split, direction, n_images=30)

    def export(encoder):
        text, image = recipes.encode_task(encoder, task("test"))
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
    )  # float16 on disk
    assert not list(cache_dir().glob("train-*"))


def test_unknown_artifact():
    with pytest.raises(RetrievalInputError, match="icons"):
        recipes.build("icon")
