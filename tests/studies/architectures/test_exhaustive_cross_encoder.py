"""Every pair read: which captions, that a stopped run goes on, and that two stages keep what they
should.
"""

import numpy as np
import pytest

from lib.core.paths import artifacts_dir
from lib.core.reading import load_arrays
from lib.datasets import scenes
from lib.search import CrossEncoderRetriever
from lib.studies.architectures import exhaustive_cross_encoder
from lib.studies.architectures.registry import IMAGES, N_IMAGES, model
from tests.search.fakes import TableModel

LOGITS = np.arange(12, dtype=np.float32).reshape(4, 3) - 5.5


def test_one_caption_of_every_fourth_image_kinds_in_turn():
    image, kind = np.divmod(exhaustive_cross_encoder.QUERIES, scenes.N_CAPTIONS)
    assert np.array_equal(image, np.arange(0, N_IMAGES, 4)) and np.array_equal(image, IMAGES)
    assert np.bincount(kind).tolist() == [50] * 5
    task = exhaustive_cross_encoder.task()
    assert len(task.queries) == exhaustive_cross_encoder.N_SAMPLED and len(task.gallery) == N_IMAGES
    at = np.broadcast_to(IMAGES[:, None], (exhaustive_cross_encoder.N_SAMPLED, 1))
    assert (task.qrels.grades_of(at) >= task.hit_grade).all()


def test_a_stopped_run_goes_on(tmp_path, monkeypatch):
    reader = TableModel(LOGITS)

    class Task:
        queries = ["0", "1", "2", "3"]

    sums = tmp_path / "artifacts" / exhaustive_cross_encoder.MODEL / "model.safetensors.sha256"
    sums.parent.mkdir(parents=True)
    sums.write_text(f"{'0123456789abcdef' * 4}  model.safetensors\n")
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    for name, value in (("N_SAMPLED", 4), ("AT_ONCE", 2), ("N_IMAGES", 3), ("task", Task)):
        monkeypatch.setattr(exhaustive_cross_encoder, name, value)
    monkeypatch.setattr(exhaustive_cross_encoder, "model", lambda name: reader)
    items = reader.read_image(np.arange(3))
    monkeypatch.setattr(
        exhaustive_cross_encoder,
        "retriever_over",
        lambda task, model: CrossEncoderRetriever(model, items),
    )
    said = []
    exhaustive_cross_encoder.collect(said.append)
    assert said == ["every pair read: 2 of 4 captions", "every pair read: 4 of 4 captions"]
    stored = load_arrays(tmp_path / "artifacts" / "architectures" / exhaustive_cross_encoder.FILE)[
        "logits"
    ]
    assert stored.dtype == np.float16 and np.array_equal(stored, LOGITS)
    calls, done = len(reader.calls), []
    exhaustive_cross_encoder.collect(said.append, lambda *counts: done.append(counts))
    assert len(reader.calls) == calls and set(done) == {(4, 4)}
    run = exhaustive_cross_encoder.exhaustive()
    assert run.ids.tolist() == [[2, 1, 0]] * 4 and run.work[0].pairs == 12


# ---- the committed logits


def test_stored_logits_are_those_of_the_committed_model():
    cross, task = model(exhaustive_cross_encoder.MODEL), exhaustive_cross_encoder.task()
    few, items = np.arange(0, exhaustive_cross_encoder.N_SAMPLED, 50), np.arange(0, N_IMAGES, 40)
    text, image = (
        cross.read_text([task.queries[i] for i in few]),
        cross.read_image(task.gallery[items]),
    )
    row, column = (grid.ravel() for grid in np.indices((few.size, items.size)))
    found = cross.score(text.take(row), image.take(column)).reshape(few.size, items.size)
    stored = load_arrays(artifacts_dir() / "architectures" / exhaustive_cross_encoder.FILE)[
        "logits"
    ]
    np.testing.assert_allclose(found, stored[np.ix_(few, items)], atol=0.05)


def test_two_stages_keep_nearly_all_of_it_at_a_twentieth_of_the_work():
    rows = {row["depth"]: row for row in exhaustive_cross_encoder.kept()}
    assert rows[50]["work"] == pytest.approx(5) and rows[50]["kept"] >= 99
    assert rows[0]["value"] < rows[50]["value"]
    reading, whole = exhaustive_cross_encoder.reading(), exhaustive_cross_encoder.exhaustive()
    assert np.array_equal(
        reading.at(N_IMAGES).ids, whole.ids
    )  # reading everything is reading everything
