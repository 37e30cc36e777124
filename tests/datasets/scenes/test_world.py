"""Batches of scenes are cut and joined, and impossible scenes are refused."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.datasets import scenes
from lib.datasets.scenes.language import plan
from tests.datasets.scenes.examples import equal, one_scene


def test_batches_can_be_cut_and_joined() -> None:
    batch = scenes.sample("test", 10)
    assert len(batch[3]) == 1 and equal(batch[3], batch[[3]])
    assert equal(scenes.concatenate([batch[:4], batch[4:]]), batch)
    mask = np.arange(10) % 2 == 0
    assert equal(batch[mask], batch[::2])
    assert scenes.render(batch[:0]).shape == (0, 64, 64, 3) and scenes.captions(batch[:0]) == []
    assert scenes.qrels(batch[:0]).shape == (0, 0)
    assert repr(batch) == "SceneBatch(10 scenes)"
    assert plan(batch).states_size.shape == (10, 5, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": np.array([[0, 8]])}, r"colour must lie in 0\.\.7, got 8 in scene 0"),
        ({"count": np.array([[0, 1]])}, r"count must lie in 1\.\.3, got 0"),
        ({"relation": np.array([-1])}, r"relation must lie in 0\.\.3, got -1"),
        ({"size": np.array([[1, 0, 0]])}, r"size must hold integers of shape \(1, 2\)"),
        ({"size": np.array([[1.0, 0.0]])}, "size must hold integers"),
        (
            {"shape": np.array([[1, 1]]), "colour": np.array([[4, 4]])},
            "both groups of scene 0 are blue squares",
        ),
    ],
)
def test_impossible_scenes_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(RetrievalInputError, match=message):
        one_scene(**changes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: scenes.sample("tset", 5),
            r"split must be one of 'train', .*'test_unseen'.*'test'",
        ),
        (lambda: scenes.sample("test", 0), "n must be at least 1"),
        (lambda: scenes.sample("test", 2.0), "n must be a whole number, got 2.0"),
        (lambda: scenes.sample("test", True), "n must be a whole number"),
        (lambda: scenes.sample("test", 1, seed=-1), "seed must be at least 0"),
        (lambda: scenes.sample("test", 1, seed=2**63), "seed must be at most"),
        (lambda: scenes.sample("test", 1, start=-1), "start must be at least 0"),
        (lambda: scenes.training_batch(0, -1, 4), "step must be at least 0"),
        (lambda: scenes.training_batch(0, 0, 0), "batch_size must be at least 1"),
        (lambda: scenes.iter_chunks("dev", 5), "split must be one of"),
        (lambda: scenes.iter_chunks("test", 5, chunk=0), "chunk must be at least 1"),
        (lambda: scenes.render_clip(one_scene(), n_frames=0), "n_frames must be at least 1, got 0"),
    ],
)
def test_bad_numbers_and_names_are_refused(call, message: str) -> None:
    with pytest.raises(RetrievalInputError, match=message):
        call()
