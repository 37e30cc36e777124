"""What is stored about second stages, against the models and what can be known without them."""

from dataclasses import replace

import numpy as np
import pytest

from lib.core.checks import unit_rows
from lib.core.paths import artifacts_dir
from lib.core.qrels import Qrels
from lib.core.reading import MissingFileError, load_arrays
from lib.datasets import icons, scenes
from lib.metrics.geometry import to_int8
from lib.models.trained_models import load_model
from lib.search import CrossEncoderRetriever, Interpolate
from lib.studies import readme_results
from lib.studies.architectures import rerank_runs as rr
from lib.studies.architectures.rerank_depth import values_of
from lib.studies.architectures.systems import IMAGES, N_IMAGES, N_SAMPLED, model
from tests.search.fakes import TableModel

LOGITS = np.arange(12, dtype=np.float32).reshape(4, 3) - 5.5


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
    stored = readme_results.evaluate_system("icons", "text_to_image", "dual encoder").mean("R@1")
    assert right[0] == pytest.approx(100 * stored) and right[1] < right[0] / 2


def read_again(lists, n_queries: int, depth: int):
    """Compute the first logits of the first queries again; the committed ones are float16."""
    cross, task = rr.model("scenes_cross"), lists.task
    items, places = np.unique(lists.run.ids[:n_queries, :depth], return_inverse=True)
    retriever = CrossEncoderRetriever(cross, cross.read_image(task.gallery[items]))
    queries = retriever.encode(task.queries[:n_queries], "text")
    return retriever.score(queries, places.reshape(n_queries, depth))


def test_stored_logits_are_what_the_cross_encoder_says():
    stored = rr.cross_on_hard()
    assert stored.run.ids.shape == stored.scores.shape == (scenes.N_HARD, rr.DEPTH)
    assert np.allclose(read_again(stored, 6, 5), stored.scores[:6, :5], atol=0.05)
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


def test_hard_logits_can_be_written_again(tmp_path, monkeypatch):
    models = rr.model("scenes"), rr.model("scenes_cross")  # read before the data folder moves
    monkeypatch.setattr(rr, "model", dict(zip(("scenes", "scenes_cross"), models)).get)
    monkeypatch.setattr(rr, "weights_of", lambda names: "-".join(names))
    monkeypatch.setattr(rr, "DEPTH", 3)
    part = rr.hard_task().take_queries(range(4))
    few = replace(part, gallery=part.gallery[:30], qrels=Qrels.from_pairs([0], [0], shape=(4, 30)))
    monkeypatch.setattr(rr, "hard_task", lambda: few)
    monkeypatch.setattr(rr, "CAPTIONS_AT_ONCE", 3)
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    with pytest.raises(MissingFileError, match="crossmodal bench rerank"):
        rr.cross_on_hard()
    lines, counts = [], []

    def stop_after_one(*count):
        if count[0] == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rr.write_hard_logits(lines.append, stop_after_one)
    rr.write_hard_logits(lines.append, lambda *count: counts.append(count))
    assert counts == [(1, 2), (2, 2)]
    assert lines[0] == "4 captions x 3 of 30 images, every pair is scored"
    again = rr.cross_on_hard()
    assert again.scores.shape == (4, 3)
    assert np.allclose(read_again(again, 4, 3), again.scores, atol=0.05)


# ---- every pair read


def test_one_caption_of_every_fourth_image_kinds_in_turn():
    image, kind = np.divmod(rr.SAMPLES["scenes"], scenes.N_CAPTIONS)
    assert np.array_equal(image, np.arange(0, N_IMAGES, 4)) and np.array_equal(image, IMAGES)
    assert np.bincount(kind).tolist() == [50] * 5
    task = rr.sampled_task()
    assert len(task.queries) == N_SAMPLED and len(task.gallery) == N_IMAGES
    at = np.broadcast_to(IMAGES[:, None], (N_SAMPLED, 1))
    assert (task.qrels.grades_of(at) >= task.hit_grade).all()


def test_a_stopped_run_goes_on(tmp_path, monkeypatch):
    reader = TableModel(LOGITS)

    class Task:
        queries = ["0", "1", "2", "3"]

    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    monkeypatch.setattr(rr, "weights_of", lambda names: "weights")
    for name, value in (("CAPTIONS_AT_ONCE", 2), ("N_IMAGES", 3), ("sampled_task", Task)):
        monkeypatch.setattr(rr, name, value)
    monkeypatch.setattr(rr, "model", lambda name: reader)
    items = reader.read_image(np.arange(3))
    monkeypatch.setattr(
        rr, "retriever_over", lambda task, model: CrossEncoderRetriever(model, items)
    )
    lines = []
    rr.write_exhaustive_logits(lines.append)
    assert [line[:5] for line in lines] == ["1/2: ", "2/2: "]
    stored = load_arrays(tmp_path / "artifacts" / "architectures" / rr.EXHAUSTIVE_FILE)["logits"]
    assert stored.dtype == np.float16 and np.array_equal(stored, LOGITS)
    calls, counts = len(reader.calls), []
    rr.write_exhaustive_logits(lines.append, lambda *count: counts.append(count))
    assert len(reader.calls) == calls and counts == [(2, 2)]
    run = rr.exhaustive_run()
    assert run.ids.tolist() == [[2, 1, 0]] * 4 and run.work[0].pairs == 12


# ---- the committed logits


def test_stored_logits_are_those_of_the_committed_model():
    cross, task = model("scenes_cross"), rr.sampled_task()
    few, items = np.arange(0, N_SAMPLED, 50), np.arange(0, N_IMAGES, 40)
    text, image = (
        cross.read_text([task.queries[i] for i in few]),
        cross.read_image(task.gallery[items]),
    )
    row, column = (grid.ravel() for grid in np.indices((few.size, items.size)))
    found = cross.score(text.take(row), image.take(column)).reshape(few.size, items.size)
    stored = load_arrays(artifacts_dir() / "architectures" / rr.EXHAUSTIVE_FILE)["logits"]
    np.testing.assert_allclose(found, stored[np.ix_(few, items)], atol=0.05)


def test_two_stages_keep_nearly_all_of_it_at_a_twentieth_of_the_work():
    rows = {row["depth"]: row for row in rr.share_kept_rows()}
    assert rows[50]["work"] == pytest.approx(5) and rows[50]["kept"] >= 99
    assert rows[0]["value"] < rows[50]["value"]
    reading, whole = rr.exhaustive_scores(), rr.exhaustive_run()
    assert np.array_equal(
        reading.at(N_IMAGES).ids, whole.ids
    )  # reading everything is reading everything
