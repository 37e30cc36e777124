"""The study of locked text towers: equal data, what is trained, the stored table."""

import numpy as np
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.studies import locked_text
from lib.studies.locked_text import SEEDS, SETTINGS, NamesStream, TextTrial
from lib.studies.losses import train_trial
from lib.training.batches import PairStream

pytestmark = pytest.mark.slow

LAYER = 1_774_464  # parameters of a layer of MiniLM: 12 d^2 + 13 d, with d = 384


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True, scope="module")
def random_features():
    """Put random rows in the place of the features of all images, which take seconds."""
    task = locked_text.validation_task()
    dim = train_trial.gradient_features(task.gallery[:1]).shape[1]
    images = torch.rand(len(locked_text._training_texts()[1]), dim)
    pairs = train_trial.TrainingPairs(
        images, None, None, task, task_images=torch.rand(len(task.gallery), dim), task_texts=None
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(locked_text, "_pairs", lambda: pairs)
        yield


def trained(setting):
    network = locked_text.build_towers(setting)
    return {name: p.numel() for name, p in network.named_parameters() if p.requires_grad}


def test_locked_trains_nothing_of_the_published_tower():
    names = trained("locked")
    assert not [name for name in names if "unlocked" in name]
    assert sum(names.values()) < 2e6


def test_two_unlocked_layers_are_the_last_two():
    names = {name: n for name, n in trained("2 layers unlocked").items() if "unlocked" in name}
    layers = {name.split("encoder.layer.")[1].split(".")[0] for name in names}
    assert layers == {"4", "5"} and sum(names.values()) == 2 * LAYER


def test_from_scratch_and_locked_share_the_image_side_and_the_transformer():
    scratch, locked = trained("from scratch"), trained("locked")
    sides = [
        {name: n for name, n in names.items() if name.startswith("image.")}
        for names in (scratch, locked)
    ]
    assert sides[0] == sides[1] and sides[0]
    # A layer of width d has four matrices d x d in its attention, and two 4 d x d behind it.
    matrices = [n for name, n in scratch.items() if ".resblocks." in name and n >= 192**2]
    assert sum(matrices) == 2 * 12 * 192**2
    matrices = [n for name, n in locked.items() if ".layers." in name and n >= 192**2]
    assert sum(matrices) == 2 * 12 * 192**2


def test_names_come_with_their_own_images():
    rows = np.array([0, 1, 1, 0, 2, 2, 0, 1])  # the name of each image
    order = PairStream(torch.arange(8), torch.from_numpy(rows), rows, 4, seed=3)
    stream = NamesStream(order, 10 * torch.arange(8), torch.tensor([5, 6, 7]).__getitem__)
    for step in range(2):
        batch = stream.batch(step)
        chosen = rows[batch.images.numpy() // 10]
        assert batch.tokens.tolist() == (5 + chosen).tolist()
        assert np.array_equal(batch.positives.numpy(), chosen[:, None] == chosen)


def test_every_setting_reads_the_same_pairs():
    first, second = (
        locked_text._stream(TextTrial(setting, seed=1, batch_size=8)).batch(3)
        for setting in ("from scratch", "2 layers unlocked")
    )
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.positives, second.positives)


def test_runs_a_short_trial():
    result = locked_text.run_trial(TextTrial("from scratch", seed=0, steps=2, batch_size=8))
    task = locked_text.validation_task()
    assert result["ranks"].shape == (len(task.queries),)
    assert result["ranks"].min() >= 1 and result["ranks"].max() <= len(task.gallery)
    assert set(result) == {"ranks", "minutes"}


def test_new_words_are_those_of_no_training_name():
    texts = ["alarm clock", "alarm xyzzy", "zebra-stripes qq"]
    assert locked_text.names_with_new_words(texts).tolist() == [False, True, True]


def test_refuses_an_unknown_setting():
    with pytest.raises(RetrievalInputError, match="setting must be"):
        locked_text.build_towers("frozen")
    with pytest.raises(RetrievalInputError, match="setting must be"):
        locked_text.seed_averaged_hits("frozen", 1)


# ---- the committed table


def test_committed_trials_are_complete():
    table = locked_text.committed_trials()
    expected = [(trial.setting, trial.seed) for trial in locked_text.trials()]
    assert list(zip(table["setting"], table["seed"], strict=True)) == expected
    assert len(table) == SEEDS * len(SETTINGS)
    assert table[["steps", "batch_size", "rate"]].nunique().tolist() == [1, 1, 1]
    counts = dict(zip(table["setting"], table["trained"], strict=True))
    assert counts == {setting: sum(trained(setting).values()) for setting in SETTINGS}


def test_committed_ranks_are_of_the_validation_names():
    task = locked_text.validation_task()
    ranks = locked_text.STORE.arrays("ranks.npz")
    assert len(ranks) == SEEDS * len(SETTINGS)
    assert {values.shape for values in ranks.values()} == {(len(task.queries),)}
    for setting in SETTINGS:
        one, ten = (locked_text.seed_averaged_hits(setting, k) for k in (1, 10))
        assert (one <= ten).all()
        assert ten.mean() > 10 * 10 / len(task.gallery)  # ten times chance
