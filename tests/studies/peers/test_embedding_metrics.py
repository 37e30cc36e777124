"""Rows of the tables from embeddings, that all systems agree, and what memory the largest takes."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.studies.peers import embedding_metrics, harness
from lib.studies.peers.embedding_metrics import JOBS, UNIT
from lib.studies.peers.harness import format_costs, measure_alone, measure_here


@pytest.fixture
def measured_here(monkeypatch):
    def measure(module, key, arrays, *, repeats, limit_s):
        return measure_here(JOBS[key], arrays, repeats)

    monkeypatch.setattr(harness, "measure_alone", measure)


def values_of(key, arrays):
    return JOBS[key].run(JOBS[key].prepare(arrays))


def test_coco_in_miniature(measured_here):
    rows = embedding_metrics.coco_cost_table(500, 8, repeats=1)
    names = [f"{row['system']}, {row['direction']}" for row in rows]
    assert names == list(JOBS)
    assert [(row["n_queries"], row["n_gallery"]) for row in rows[:2]] == [(500, 2501), (2501, 500)]
    assert {row["giga_products"] for row in rows} == {500 * 2501 * 8 / 1e9}
    assert rows[0]["embeddings_mb"] == 3001 * 8 * 4 / 1e6
    unit, *behind = rows[names.index(UNIT) :]
    assert unit["times_ours"] == 1 and len(format_costs(rows, embedding_metrics.SHOWN)) == 5
    for row in behind:
        assert row["note"].startswith("not installed") or row["difference"] < 1e-12


def test_coco_has_25010_captions_and_both_directions_are_those_alone():
    assert len(embedding_metrics.coco_inputs(5000, 1)["captions"]) == 25_010
    arrays = embedding_metrics.coco_inputs(60, 16)
    there, back, both, everything = (values_of(key, arrays) for key in list(JOBS)[:4])
    assert both == there | back == everything and both["text_to_image MedR"] >= 1
    assert 0 < both["image_to_text R@1"] <= both["image_to_text R@5"] <= 1


def test_clip_benchmark_finds_the_same():
    pytest.importorskip("clip_benchmark", reason="clip-benchmark is optional")
    arrays = embedding_metrics.coco_inputs(60, 16, seed=1)
    theirs, ours = (values_of(key, arrays) for key in ("clip-benchmark, both", UNIT))
    assert len(theirs) == 6
    assert theirs == pytest.approx({name: ours[name] for name in theirs}, abs=1e-12)


def test_a_large_one_leaves_the_peer_out(measured_here, monkeypatch):
    monkeypatch.setattr(embedding_metrics, "PEER_MOST", 60)
    monkeypatch.setattr(embedding_metrics, "ONE_REPEAT", 80)
    rows = embedding_metrics.large_cost_table(100, 4, repeats=2)
    assert [row["system"] for row in rows] == ["ours", "ours", "clip-benchmark"]
    assert [row["repeats"] for row in rows] == [1, 1, None]
    assert rows[2]["note"] == "left out: 0 GB of scores" and rows[2]["times_ours"] is None


@pytest.mark.slow
def test_memory_is_that_of_some_blocks_of_scores_not_of_all():
    n = 20_000
    arrays = embedding_metrics.paired_inputs(n, embedding_metrics.LARGE_DIM)
    module, key = embedding_metrics.__name__, f"{UNIT}, all metrics"
    cost = measure_alone(module, key, arrays, repeats=1)
    # All scores would be 1.6 GB; the embeddings are 10 MB, a block of scores is 4 MB.
    assert cost.memory < 150e6
    hits = [cost.values[f"{direction} R@1"] for direction in ("image_to_text", "text_to_image")]
    assert all(np.array(hits) > 0.01), "far above chance"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: embedding_metrics.coco_cost_table(49), "n_images must be at least 50, got 49"),
        (lambda: embedding_metrics.large_cost_table(49), "n must be at least 50, got 49"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call()
