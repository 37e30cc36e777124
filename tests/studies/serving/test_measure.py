"""A tiny service, started as a user starts it, loaded, reloaded, and judged."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.search.collection import Collection
from lib.search.collection.files import CollectionFolder
from lib.search.collection.vectors_only import add_vectors
from lib.studies.serving import measure
from lib.studies.serving.processes import ServedCollection
from tests.search.collection.conftest import MODEL, ColourEncoder

LOAD = ("vectors", "queries", "during", "concurrency", "requests", "per_second")
LOAD += ("p50_ms", "p95_ms", "p99_ms", "errors", "processor_ms", "own_mb", "mapped_mb")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CROSSMODAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name, value in {
            "JUDGED": 16,
            "STARTS": 1,
            "RELOADS": 2,
            "RELOAD_EVERY_S": 0.05,
        }.items():
            patch.setattr(measure, name, value)
        yield


@pytest.mark.slow
def test_a_tiny_service_from_end_to_end(cache, monkeypatch):
    with measure.Serving(1_000, log=lambda line: None) as serving:
        start = serving.start()
        rows = [serving.point(kind, 4, 16) for kind in measure.KINDS]
        rows.append(serving.point_while_reloading("vector"))
        parts = [serving.parts(kind) for kind in measure.KINDS]
    for row in rows:
        assert set(row) == set(LOAD) and row["errors"] == 0 and row["vectors"] == 1_000
    assert [row["requests"] for row in rows[:2]] == [16, 16]
    assert rows[2]["during"] == "reloads" and rows[2]["requests"] > 0
    assert CollectionFolder(serving.made.path).read().rows == 1_000
    for row in parts:
        assert row["recall"] == 1.0
        spent = row["encode_ms"] + row["search_ms"] + row["overhead_ms"]
        assert spent == pytest.approx(row["whole_ms"])
    assert start["start_s"] == start["slowest_start_s"] > 0
    # All of it again comes from the cache: no process is started.
    monkeypatch.setattr(measure, "ServedCollection", None)
    with measure.Serving(1_000) as serving:
        assert serving.start() == start and serving.parts("text") == parts[0]
        assert serving.point("text", 4, 16) == rows[0]
        assert serving.point_while_reloading("vector") == rows[2]


def test_recall_by_hand(tmp_path):
    rows = np.eye(4)[[0, 0, 1, 2]] + 0.1 * np.eye(4)[[1, 2, 0, 3]]
    add_vectors(tmp_path / "c", rows, [""] * 4, model=MODEL, identity=ColourEncoder().identity)
    collection = Collection(tmp_path / "c")
    queries = np.eye(4, dtype=np.float32)[[0, 1]]
    # The best two of the first query are 0 and 1 with equal scores; of the second 2 and 0.
    assert measure.recall_of(np.array([[1, 0], [2, 0]]), queries, collection) == 1.0
    assert measure.recall_of(np.array([[1, 3], [3, 1]]), queries, collection) == 0.25
    with pytest.raises(RetrievalInputError, match="found holds id 4, which the collection has not"):
        measure.recall_of(np.array([[1, 4], [3, 1]]), queries, collection)


@pytest.mark.slow
def test_a_service_that_does_not_start_says_why(tmp_path):
    with pytest.raises(ChildProcessError, match="did not start: error: .*is no collection"):
        ServedCollection(tmp_path)
