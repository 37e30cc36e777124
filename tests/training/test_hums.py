"""Batches of hums: repeatable, of training families alone, spoilt as stated; the loss by hand."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.datasets.tunes import LEVELS, load_corpus
from lib.models.artifact_files import load_card
from lib.models.trained_models import load_model
from lib.training import RECIPES, hum_recipe
from lib.training.hum_batches import HumBatch, HumStream, errors_of, spoil
from lib.training.hum_recipe import SECONDS, hum_objective, validation_tasks


@pytest.fixture(scope="module")
def stream():
    return HumStream(12, seed=3, lengths=(3.2, 7.2))


def test_batches_are_a_function_of_the_step(stream):
    one, again, other = stream.batch(5), stream.batch(5), stream.batch(6)
    assert torch.equal(one.hums, again.hums) and torch.equal(one.windows, again.windows)
    assert not torch.equal(one.hums, other.hums)
    assert one.hums.shape == one.windows.shape and one.hums.shape[1:] == (2, 80)
    assert one.hums.dtype == torch.float32 and torch.isfinite(one.hums).all()


def test_families_are_of_the_training_split_and_differ(stream):
    corpus = load_corpus()
    assert len(stream.melodies) == corpus.positions("train").size
    assert [places.seconds for places in stream.places] == [3.2, 7.2]
    held_out = np.concatenate([corpus.positions(split) for split in ("validation", "test")])
    assert not np.isin(stream.family_of, corpus.families[held_out]).any()
    places = stream.places[1]
    families = places.family_of[places.draw(6, np.random.default_rng(0))]
    assert np.unique(families).size == families.size and 6 < families.size <= 12


@pytest.mark.parametrize("length", [0, 1])
def test_a_hum_is_like_its_own_window(stream, length):
    exact = HumStream.__new__(HumStream)
    exact.__dict__ = stream.__dict__ | {"errors": [errors_of(0)]}
    places = stream.places[length]
    chosen = places.draw(6, np.random.default_rng(1))
    draw = np.random.default_rng(2)
    hums = np.concatenate([exact.hum(places, place, draw)[0] for place in chosen.tolist()])
    windows = places.pitches[places.window_of[chosen]].astype(float)
    hums, windows = (side - side.mean(axis=1, keepdims=True) for side in (hums, windows))
    apart = np.abs(hums[:, None] - windows).mean(axis=2)
    own = np.diagonal(apart)
    assert np.median(own) < 0.7 * np.median(apart[~np.eye(len(own), dtype=bool)])


def test_errors_grow_to_those_of_hard():
    assert errors_of(1) == LEVELS["hard"]
    none = errors_of(0)
    assert none.pitch == none.dropped == none.timing == 0 and none.tempo == LEVELS["hard"].tempo


def test_spoiling_keeps_the_melody_and_hides_spans():
    pitches = np.repeat(np.repeat([[60.0, 64, 62, 67]], 20, axis=1), 200, axis=0)
    voiced = np.ones(pitches.shape, bool)
    spoilt, flags = spoil(pitches, voiced, np.random.default_rng(0))
    assert spoilt.shape == flags.shape == pitches.shape and flags.dtype == bool
    assert 0.9 < flags.mean() < 1
    assert np.median(np.abs(spoilt - pitches)) < 0.3
    assert 0 < np.mean(np.abs(spoilt - pitches) > 10) < 0.05  # octave slips


def test_loss_by_hand():
    class Fixed(torch.nn.Module):
        logit_scale = torch.tensor(np.log(2.0))

        def forward(self, contours):
            return contours

    batch = HumBatch(torch.tensor([[3.0, 0], [0, 1]]), torch.tensor([[1.0, 0], [0, 5]]))
    wanted = np.log(1 + np.exp(-2))  # cosines 1 and 0, scale 2, both directions alike
    assert hum_objective(Fixed(), batch).item() == pytest.approx(wanted, rel=1e-5)


def test_validation_searches_the_tunes_of_its_split():
    task, *others = validation_tasks("hard")
    assert len(others) == len(SECONDS) - 1
    assert len(task.gallery) == 455 == task.qrels.shape[1]
    corpus = load_corpus()
    titles = [corpus.melodies[place].source for place in corpus.positions("validation").tolist()]
    assert [tune.source for tune in task.gallery] == titles
    for query, row in zip(task.queries[:20], range(20)):
        own = titles.index(query.source)
        assert task.qrels.grades_of(np.full((task.qrels.shape[0], 1), own))[row, 0] == 3


@pytest.mark.slow
def test_the_recipe_starts_and_validates(monkeypatch):
    monkeypatch.setattr(hum_recipe, "N_VALIDATION", 4)
    for name in ("HumStream", "LearnedContourMatcher"):  # one length takes a quarter of the time
        short = partial(getattr(hum_recipe, name), lengths=(7.2,))
        monkeypatch.setattr(hum_recipe, name, short)
    recipe = replace(RECIPES["hums"], batch_size=8)
    encoder, batches = recipe.start()
    assert encoder.config["kind"] == "contour_encoder" and len(batches.batch(0).hums) <= 8
    values = recipe.validation()(encoder)
    assert values["score"] == pytest.approx(sum(values.values()) - values["score"])
    with pytest.raises(RetrievalInputError, match="batch_size must be"):
        HumStream(10**6, seed=0)


def test_the_committed_card_tells_the_plan():
    card = load_card("hums")
    assert card["plan"]["steps"] == RECIPES["hums"].plan.steps
    assert card["data"] == RECIPES["hums"].data and card["bits"] == 8
    assert {row["level"] for row in card["metrics"]} == {"medium", "hard"}


@pytest.mark.slow
def test_the_committed_encoder_finds_validation_hums(monkeypatch):
    monkeypatch.setattr(hum_recipe, "N_VALIDATION", 100)
    values = RECIPES["hums"].validation()(load_model("hums"))
    last = load_card("hums")["history"]["validation"][-1]
    for level in ("medium", "hard"):  # some of the hums that chose the weights
        assert values[f"MRR {level}"] == pytest.approx(last[f"MRR {level}"], abs=0.05)
