"""The recipe of `pictures`: trained, measured and stored as a whole; a killed run goes on."""

from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from lib.core.reading import MissingFileError
from lib.datasets import emoji, further_icons, icon_terms, icons, pictures
from lib.metrics.geometry import to_int8
from lib.models.artifact_files import load_card, load_embeddings
from lib.models.gradients import gradient_features
from lib.models.text_tower import frozen_states
from lib.models.trained_models import load_model
from lib.search import evaluate_task
from lib.training import RECIPES, Plan, train_model
from lib.training import recipe as recipe_module
from lib.training.picture_batches import PictureStream
from lib.training.picture_recipe import picture_embeddings, picture_sets
from lib.training.recipes import TEXT_TOWER

pytestmark = pytest.mark.slow


def tiny_sets(split):
    """The sets of a split with a handful of pictures or terms each."""
    made = []
    for whole in picture_sets(split)[::2]:  # icons and terms, or icons and emoji
        if whole.key.startswith("terms"):

            def few(direction, whole=whole):
                return whole.task(direction).take_queries(np.arange(12))

            made.append(replace(whole, task=few))
            continue
        positions = whole.positions[:12]
        places = pictures.load_pictures().places[positions]
        if whole.key.startswith("icons"):

            def task(direction, places=places, split=split):
                return pictures.in_colour(icons.names_task(places, split, direction))
        else:
            task = partial(emoji.names_task, places, split)
        made.append(replace(whole, task=task, positions=positions))
    return made


@contextmanager
def tiny_recipe(cache):
    """Make the recipe small, with its checkpoint in a folder; yield how to train it."""

    def stream(tokenizer, recipe):
        corpus = pictures.load_pictures()
        train = [corpus.positions("train", [source])[:30] for source in pictures.STORED]
        return PictureStream(
            corpus,
            lambda texts: frozen_states(TEXT_TOWER, tokenizer.encode(texts, cut=True)),
            recipe.batch_size,
            recipe.plan.steps,
            recipe.plan.seed,
            positions=np.concatenate(train),
        )

    def export(encoder):
        corpus = pictures.load_pictures()
        some = np.unique(np.concatenate([part.positions for part in tiny_sets("test")]))
        images = np.zeros((len(corpus), 256), np.int8)
        images[some] = to_int8(encoder.encode_image(corpus.pixels(some)))
        return {
            "all_image": images,
            **{
                f"{part.key}_text": to_int8(encoder.encode_text(part.task("text_to_image").queries))
                for part in tiny_sets("test")
            },
        }

    small = replace(
        RECIPES["pictures"],
        batch_size=16,
        plan=Plan(steps=4, validate_every=2),
        stream=stream,
        sets=tiny_sets,
        tuning=None,
        export=export,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe_module, "cache_dir", lambda: cache)
        patch.setitem(RECIPES, "pictures", small)
        yield partial(train_model, "pictures", folder=cache / "pictures")


@pytest.fixture
def tiny(tmp_path):
    with tiny_recipe(tmp_path) as train:
        yield train


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Train the small recipe once: its encoder, the lines of its log, its folder."""
    cache, lines = tmp_path_factory.mktemp("built"), []
    with tiny_recipe(cache) as train:
        return train(log=lines.append), lines, cache / "pictures"


def test_sets_fit_their_pictures():
    corpus = pictures.load_pictures()
    for split, keys in (
        ("validation", ["icons_validation", "emoji_validation", "terms_validation"]),
        ("test", ["icons_test", "icons_test_b", "emoji_test", "terms_test"]),
    ):
        sets = picture_sets(split)
        assert [part.key for part in sets] == keys
        for part in sets:
            task = part.task("text_to_image")
            np.testing.assert_array_equal(task.gallery, corpus.pixels(part.positions))
            assert part.positions.max() < (corpus.sources != pictures.LINES).sum()
    terms = icon_terms.task("test")
    assert list(picture_sets("test")[-1].task("text_to_image").queries) == list(terms.queries)


def test_build_trains_measures_and_stores(built):
    encoder, lines, folder = built
    assert len(lines) == 2 and "icons R@10" in lines[0] and "terms nDCG@10" in lines[0]
    card, arrays = load_card("pictures", folder), load_embeddings("pictures", folder)
    assert card["device"] == "cpu" and card["plan"]["steps"] == 4
    columns = ("corpus", "split", "direction", "metric")
    measured = {tuple(row[column] for column in columns): row for row in card["metrics"]}
    assert ("icons", "test", "image_to_text", "R@1") in measured
    loaded = load_model("pictures", folder)
    for key, value in encoder.network.state_dict().items():
        torch.testing.assert_close(loaded.network.state_dict()[key], value, rtol=0, atol=0)
    assert not any(
        "transformer" in key and "attend" not in key for key in loaded.network.state_dict()
    )
    for part in tiny_sets("test"):
        task = part.task("text_to_image")
        found = evaluate_task(
            arrays[f"{part.key}_text"], arrays["all_image"][part.positions], task, depth=10
        )
        row = measured[task.name, task.split, "text_to_image", "R@10"]
        assert row["value"] == pytest.approx(found.mean("R@10"), abs=1e-12)
    assert not list(folder.parent.glob("train-*"))


def test_the_scale_of_the_gradients_is_that_of_the_training_pictures(tiny):
    recipe = RECIPES["pictures"]
    encoder, stream = recipe.start()
    pixels = stream.corpus.pixels(stream.order.positions)
    gradients = encoder.network.visual.trunk.gradients
    expected = torch.from_numpy(gradient_features(pixels))
    assert len(expected) == 90
    torch.testing.assert_close(gradients.mean, expected.mean(dim=0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(
        gradients.spread, expected.std(dim=0).clamp(min=1e-3), atol=1e-5, rtol=1e-4
    )


def test_without_the_further_icons_the_training_says_what_is_missing(monkeypatch):
    def missing():
        raise MissingFileError("iconipy is missing")

    monkeypatch.setattr(further_icons, "load_further_icons", missing)
    pictures.load_training_pictures.cache_clear()
    with pytest.raises(MissingFileError, match="iconipy is missing"):
        RECIPES["pictures"].start()


def test_a_killed_run_goes_on_to_the_same_weights(built, tiny, tmp_path):
    whole = built[0].network.state_dict()

    def kill(step, steps):
        if step == 3:  # between two checkpoints
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny(log=lambda line: None, progress=kill)
    assert list(tmp_path.glob("train-pictures.pt"))
    lines = []
    again = tiny(log=lines.append).network.state_dict()
    assert lines[0] == "resumed at step 2"
    for key, value in whole.items():
        torch.testing.assert_close(again[key], value, rtol=0, atol=0)


class MeanColours:
    """Stands for an encoder: a picture is its mean colour, a text its length."""

    def encode_image(self, images):
        return images.mean(axis=(1, 2)) / 255 + 0.01

    def encode_text(self, texts):
        return np.array([[len(text), 1, 1] for text in texts])


def test_embeddings_of_all_pictures_and_of_the_texts_of_each_set():
    corpus = pictures.load_pictures()
    arrays = picture_embeddings(MeanColours(), chunk=5000)
    gallery = corpus.positions(sources=pictures.GALLERIES)
    np.testing.assert_array_equal(gallery, np.arange(len(arrays["all_image"])))
    some = gallery[::501]
    expected = to_int8(MeanColours().encode_image(corpus.pixels(some)))
    np.testing.assert_array_equal(arrays["all_image"][some], expected)
    keys = [f"{part.key}_text" for part in picture_sets("test")]
    assert list(arrays) == ["all_image", *keys]
    expected = to_int8(MeanColours().encode_text(icons.task("test").queries))
    np.testing.assert_array_equal(arrays["icons_test_text"], expected)
