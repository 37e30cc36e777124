"""What is stored about second stages, against the models and what can be known without them."""

from dataclasses import replace

import numpy as np
import pytest

from lib.core.checks import unit_rows
from lib.core.qrels import Qrels
from lib.core.reading import MissingFileError
from lib.datasets import icons, scenes
from lib.metrics.geometry import to_int8
from lib.models.trained_models import load_model
from lib.search import Interpolate
from lib.studies import readme_results
from lib.studies.architectures import exhaustive_cross_encoder
from lib.studies.architectures import rerank_runs as rr
from lib.studies.architectures.rerank_depth import values_of


@pytest.fixture(scope="module")
def validation():
    return rr.late_on_icons("validation")


def test_one_caption_a_scene_and_all_kinds():
    task = rr.hard_task()
    assert len(task.queries) == scenes.N_HARD and task.query_groups.tolist() == list(
        range(scenes.N_HARD)
    )
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
    stored = readme_results.evaluate_system("icons", rr.T2I, "dual encoder").mean("R@1")
    assert right[0] == pytest.approx(100 * stored) and right[1] < right[0] / 2


def test_stored_logits_are_what_the_cross_encoder_says():
    stored = rr.cross_on_hard()
    assert stored.run.ids.shape == stored.scores.shape == (scenes.N_HARD, rr.DEPTH)
    assert np.allclose(rr.read_again(stored, 6, 5), stored.scores[:6, :5], atol=0.05)
    # The first stage's order, as the index gave it: falling cosines, equal ones by the smaller id.
    falls = np.diff(stored.run.scores, axis=1)
    assert (falls <= 0).all() and (np.diff(stored.run.ids, axis=1)[falls == 0] > 0).all()


def test_stored_lists_are_those_of_the_dual_encoder():
    stored, encoder = rr.cross_on_hard(), load_model("scenes")
    asked, wanted = stored.task.queries[:20], stored.run.ids[:20, :5]
    images, at = np.unique(wanted, return_inverse=True)
    texts, seen = encoder.encode_text(asked), encoder.encode_image(stored.task.gallery[images])
    cosines = unit_rows(to_int8(texts), "texts") @ unit_rows(to_int8(seen), "images").T
    found = np.take_along_axis(cosines, at.reshape(wanted.shape), axis=1)
    assert np.allclose(found, stored.run.scores[:20, :5], atol=0.01)


def test_it_can_be_written_again(tmp_path, monkeypatch):
    monkeypatch.setattr(rr, "artifacts_dir", lambda: tmp_path)
    with pytest.raises(MissingFileError, match="crossmodal bench rerank"):
        rr.cross_on_hard()
    monkeypatch.setattr(rr, "DEPTH", 3)
    part = rr.hard_task().take_queries(range(4))
    few = replace(part, gallery=part.gallery[:30], qrels=Qrels.from_pairs([0], [0], shape=(4, 30)))
    monkeypatch.setattr(rr, "hard_task", lambda: few)
    monkeypatch.setenv("CROSSMODAL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(exhaustive_cross_encoder, "AT_ONCE", 3)
    said, done = [], []

    def stopped(*counts):
        if counts[0] == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rr.collect(said.append, stopped)
    path = rr.collect(said.append, lambda *counts: done.append(counts))
    assert done == [(3, 4), (3, 4), (4, 4)]
    assert (
        said[0] == "4 captions x 3 of 30 images, every pair is read"
        and path.parent.name == "architectures"
    )
    again = rr.cross_on_hard()
    assert again.scores.shape == (4, 3) and np.allclose(
        rr.read_again(again, 4, 3), again.scores, atol=0.05
    )
