"""Hard negatives: never right, the hardest first, and in the batch where the loss looks for
them.
"""

import numpy as np
import pytest
import torch
from torch import nn

from lib.core.checks import RetrievalInputError
from lib.losses import infonce_loss
from lib.models.trained_models import load_model
from lib.studies.losses.hard_negatives import (
    NegativesStream,
    batch_cosines,
    mine_negatives,
    ranking_with_negatives,
    twin_shares,
)
from lib.studies.losses.train_trial import TrainingPairs, Trial, train, training_pairs
from lib.training.batches import SceneStream


class Same(nn.Module):
    """Both encoders give what they are given."""

    def __init__(self) -> None:
        super().__init__()
        self.logit_scale = nn.Parameter(torch.tensor(20.0).log())

    def encode_image(self, images):
        return images

    encode_text = encode_image


def on_a_circle(*degrees: float) -> torch.Tensor:
    angles = torch.tensor(degrees).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=1)


# Texts 0 and 3 are equal, so images 0 and 3 are right for both.
IMAGES, TEXTS = on_a_circle(0, 20, 50, 10, 90), on_a_circle(0, 22, 60, 0, 88)
TOY = TrainingPairs(
    IMAGES, TEXTS, np.array([7, 1, 2, 7, 3]), task=None, task_images=IMAGES, task_texts=TEXTS
)


def test_the_hardest_wrong_images_by_hand():
    assert mine_negatives(Same(), TOY, range(2)).tolist() == [
        [1, 2],
        [3, 0],
        [4, 1],
        [1, 2],
        [2, 1],
    ]


def test_ranks_may_begin_later():
    every = mine_negatives(Same(), TOY, range(3))
    assert np.array_equal(mine_negatives(Same(), TOY, range(1, 3)), every[:, 1:])


def test_right_images_are_never_mined():
    found = mine_negatives(Same(), TOY, range(3))
    assert not (TOY.text_ids[found] == TOY.text_ids[:, None]).any()


@pytest.mark.parametrize("ranks", [range(0), range(-1, 2), range(4)])
def test_ranks_that_there_are_not(ranks):
    with pytest.raises(RetrievalInputError, match=r"5 images, of which up to 2 are right"):
        mine_negatives(Same(), TOY, ranks)


def test_a_batch_is_its_pairs_with_their_negatives_behind_them():
    negatives = np.array([[1], [3], [4], [1], [2]])
    batch = NegativesStream(TOY, negatives, batch_size=4, seed=0).batch(0)
    assert batch.images.shape == (8, 2) and batch.tokens.shape == (4, 2)
    rows = [
        next(i for i in range(5) if torch.equal(TOY.images[i], image)) for image in batch.images
    ]
    pairs, behind = rows[:4], rows[4:]
    assert torch.equal(batch.tokens, TOY.texts[pairs]) and len(set(pairs)) == 4
    assert behind == negatives[pairs, 0].tolist()


def test_batches_repeat_and_differ_by_step_and_seed():
    negatives = mine_negatives(Same(), TOY, range(3))

    def images(seed, step):
        return NegativesStream(TOY, negatives, 4, seed).batch(step).images

    assert torch.equal(images(0, 1), images(0, 1))
    assert not torch.equal(images(0, 1), images(0, 0)) and not torch.equal(
        images(0, 1), images(1, 1)
    )


def test_the_objective_is_infonce_over_all_images():
    network = Same()
    batch = NegativesStream(
        TOY, mine_negatives(network, TOY, range(1)), batch_size=4, seed=0
    ).batch(0)
    expected = infonce_loss(batch.tokens, batch.images, 1 / 20)
    assert ranking_with_negatives()(network, batch).item() == pytest.approx(
        expected.item(), rel=1e-6
    )


def test_it_trains_as_far_as_without():
    pairs = training_pairs("icons", "heads", "validation")
    anyone = np.random.default_rng(0).integers(len(pairs.images), size=(len(pairs.images), 3))
    trial = Trial("icons", "heads", "MNR", 64, seed=0, pairs=2_560)
    stream = NegativesStream(pairs, anyone, trial.batch_size, trial.seed)
    _, history = train(trial, points=2, target=ranking_with_negatives(), stream=stream)
    assert [look["step"] for look in history.validation] == [20, 40]
    assert history.validation[-1]["R@10 text_to_image"] > 10
    assert history.loss[0]["loss"] > history.loss[-1]["loss"]


# ---- twins among the negatives

# Four texts; the twin of 0 is 2, that of 1 is 3. Text 0 is true of image 1 too.
SIMILARITIES = torch.log(torch.tensor([[8.0, 2, 1, 1], [1, 8, 1, 2], [1, 1, 8, 2], [4, 3, 1, 8]]))
RIGHT = torch.eye(4, dtype=torch.bool)
RIGHT[0, 1] = True


def test_shares_are_probabilities_of_the_draw():
    even, as_it_is = twin_shares(SIMILARITIES, RIGHT, (0, 1))
    # Evenly: text 0 has two wrong images left, the others three.
    assert even["twin"] == pytest.approx(100 * (1 / 2 + 3 / 3) / 4)
    # By weight: the twin has 1 of 2, 2 of 4, 1 of 4 and 3 of 8.
    assert as_it_is == {
        "sharpness": 1,
        "twin": pytest.approx(100 * (1 / 2 + 2 / 4 + 1 / 4 + 3 / 8) / 4),
    }


def test_cosines_are_those_of_the_encoders():
    dual = load_model("scenes")
    batch = SceneStream(dual.tokenizer, 8, seed=5, twins=True).batch(0)
    found = batch_cosines(dual, batch)
    pixels = (255 * batch.images).round().permute(0, 2, 3, 1).to(torch.uint8).numpy()
    images = torch.from_numpy(dual.encode_image(pixels))
    with torch.inference_mode():
        texts = torch.nn.functional.normalize(dual.network.encode_text(batch.tokens), dim=1)
    torch.testing.assert_close(found, texts @ images.T, atol=1e-5, rtol=0)


def test_refuses_a_batch_without_twins():
    with pytest.raises(RetrievalInputError, match="even, got 3"):
        twin_shares(SIMILARITIES[:3, :3], RIGHT[:3, :3], (1,))
