"""The comparison of losses: equal data and budget, the same run twice, and better than chance."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.studies.losses import train_trial
from lib.studies.losses.train_trial import (
    Trial,
    encoded,
    hit_rates,
    mean_cosines,
    ranks,
    run_trial,
    train,
    training_pairs,
    trial_row,
)
from lib.training.objectives import objective

pytestmark = pytest.mark.slow

SHORT = Trial("icons", "heads", "InfoNCE", 64, seed=0, pairs=2_560, rate=1e-3)


@pytest.fixture(scope="module")
def short():
    return train(SHORT, points=4)


def test_a_short_run_is_far_above_chance_and_looked_at_on_the_way(short):
    network, history = short
    steps = [look["step"] for look in history.validation]
    assert steps == [10, 20, 30, 40]
    rates = [look["R@10 text_to_image"] for look in history.validation]
    chance = 100 * 10 / len(training_pairs("icons", "heads", "validation").task.gallery)
    assert rates[-1] > rates[0] and rates[-1] > 8 * chance
    assert history.loss[0]["loss"] > history.loss[-1]["loss"]
    assert hit_rates(
        ranks(network, training_pairs("icons", "heads", "validation"))
    ) == pytest.approx(
        {name: value for name, value in history.validation[-1].items() if name != "step"}
    )


def test_the_same_trial_gives_the_same_weights_and_another_seed_does_not(short):
    again, _ = train(SHORT, points=1)
    other, _ = train(replace(SHORT, seed=1), points=1)
    weights = [network.state_dict()["text.0.weight"] for network in (short[0], again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_budget_is_pairs_not_steps():
    for size in (16, 512):
        _, history = train(replace(SHORT, batch_size=size, pairs=1_024))
        assert history.validation[-1]["step"] == 1_024 // size


def test_rate_grows_with_the_root_of_the_batch():
    assert replace(SHORT, batch_size=256).learning_rate == pytest.approx(2e-3)


def test_an_objective_of_ones_own(short):
    frozen = replace(objective("InfoNCE"), scale=100.0, learns_scale=False)
    network, _ = train(replace(SHORT, pairs=640), target=frozen)
    assert network.logit_scale.exp().item() == pytest.approx(100, rel=1e-5)
    assert short[0].logit_scale.exp().item() != pytest.approx(1 / 0.07, rel=1e-3)


def test_closeness_is_the_mean_over_pairs(short):
    pairs = training_pairs("icons", "heads", "validation")
    texts, images = encoded(short[0], pairs.task_images, pairs.task_texts)
    judged = pairs.task.qrels.at_least(pairs.task.hit_grade)
    wrong = np.ones(judged.shape, dtype=bool)
    wrong[judged.query_index, judged.items] = False
    found = mean_cosines(short[0], pairs)
    assert found["cosine wrong"] == pytest.approx((texts @ images.T)[wrong].mean(), abs=1e-5)
    for name, side in (("images", images), ("texts", texts)):
        others = ~np.eye(len(side), dtype=bool)
        assert found[f"cosine {name}"] == pytest.approx((side @ side.T)[others].mean(), abs=1e-5)


def test_row_and_ranks_of_a_run():
    trial = replace(SHORT, pairs=640)
    found = run_trial(trial, "validation")
    task = training_pairs("icons", "heads", "validation").task
    assert found["text_to_image"].shape == (len(task.queries),)
    assert found["image_to_text"].shape == (len(task.gallery),)
    described = trial_row(trial, found)
    assert described["R@1 text_to_image"] == pytest.approx(
        100 * np.mean(found["text_to_image"] == 1)
    )
    assert described["cosine wrong"] == found["cosine wrong"] < 1
    assert described["rate"] == trial.learning_rate and described["loss"] == "InfoNCE"


def test_full_encoders_read_pixels_and_tokens_and_train(monkeypatch):
    trial = Trial("scenes", "full", "sigmoid", 64, 0, pairs=640, rate=1e-3)
    with monkeypatch.context() as patch:
        patch.setattr(train_trial, "N_SCENES", 1_000)
        patch.setattr(train_trial, "N_TEST_SCENES", 100)
        patch.setattr(train_trial, "_training_sides", train_trial._training_sides.__wrapped__)
        pairs = training_pairs.__wrapped__("scenes", "full", "validation")
    assert len(pairs.images) == len(pairs.texts) == 1_000
    monkeypatch.setattr(train_trial, "training_pairs", lambda *given: pairs)
    assert pairs.images.shape[1:] == (3, 32, 32) and pairs.texts.dtype == torch.int64
    _, history = train(trial)
    assert np.isfinite([entry["loss"] for entry in history.loss]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corpus": "coco"}, "corpus"),
        ({"encoders": "tail"}, "encoders"),
        ({"loss": "nce"}, "InfoNCE"),
    ],
)
def test_unknown_names(change, message):
    with pytest.raises(RetrievalInputError, match=message):
        run_trial(replace(SHORT, **change), "validation")
