"""What is stored about second stages, against the models and what can be known without them."""

from __future__ import annotations

import numpy as np
import pytest

from lib.benchmarks import dual_encoders
from lib.benchmarks import rerank_readings as rr
from lib.benchmarks.rerank_depth import values_of
from lib.datasets import icons, scenes
from lib.retrieval import Interpolate


@pytest.fixture(scope="module")
def validation():
    return rr.late_on_icons("validation")


def test_one_caption_a_scene_and_all_kinds():
    task = rr.hard_task()
    assert len(task.queries) == scenes.N_HARD and task.query_groups.tolist() == list(range(scenes.N_HARD))
    assert len(task.gallery) == len(scenes.TWINS) * scenes.N_HARD
    whole = scenes.hard_task("test").queries
    assert task.queries[:7] == [whole[5 * i + i % 5] for i in range(7)]


def test_icons_read_by_something_else(validation):
    assert validation.deepest == validation.run.depth == rr.LISTS and validation.name == "MaxSim"
    first, mixed = (validation.values("R@1", 50, Interpolate(w)).mean() for w in (0, 0.6))
    assert mixed > first + 0.03
    # Alone it searches the whole gallery; where both hold an item, it has the same score.
    alone = rr.late_alone_on_icons("validation")
    assert np.isin(alone.ids[0, :20], validation.run.ids[0]).any()
    here, there = validation.run.ids[0].tolist(), alone.ids[0].tolist()
    for item in set(here) & set(there):
        assert validation.scores[0, here.index(item)] == alone.scores[0, there.index(item)]


def test_the_same_drawings_say_the_same(validation):
    again = rr.moved_dual_on_icons(validation, pixels=0)
    assert np.allclose(again.scores, validation.run.scores, atol=0.01)
    assert again.name == "cosine, drawings moved by 0 pixels"


def test_a_run_is_weak_at_will():
    whole, weak = (rr.cut_dual_on_icons(dim) for dim in (256, 8))
    task = icons.task("test")
    right = [100 * values_of(run, task, "R@1").mean() for run in (whole, weak)]
    stored = dual_encoders.evaluate_system("icons", rr.T2I, "dual encoder").mean("R@1")
    assert right[0] == pytest.approx(100 * stored) and right[1] < right[0] / 2
