"""Filling: workers give the index that one process gives, of every family."""

import numpy as np
import pytest

from lib.core.workers import HERE
from lib.index.tuning import ArrayRows, Config, filling, tune
from lib.index.tuning.trials import build
from tests.index.clusters import clustered
from tests.index.oracle import assert_same
from tests.index.test_merging import content
from tests.search.test_cluster import Elsewhere

BASE, QUERIES = clustered(1200, seed=5), clustered(20, seed=6)
CONFIGS = [
    Config("Flat", "Flat"),
    Config("IVF8", "IVF", {"nlist": 8}, ({"nprobe": 2},), n_train=700),
    Config("HNSW8", "HNSW", {"links": 8, "ef_construction": 40}),
    Config("HNSW8 shards", "HNSW shards",
           {"links": 8, "ef_construction": 40, "shard_rows": 500}),
    Config("PQ4fs", "PQ", {"code_bytes": 4, "fast_scan": True}),
    Config("IVF8,PQ4fs", "IVF-PQ", {"nlist": 8, "code_bytes": 4, "fast_scan": True}),
]  # fmt: skip


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
@pytest.mark.parametrize("own_ids", [False, True])
def test_workers_build_the_same_index(config, own_ids, monkeypatch):
    monkeypatch.setattr(filling, "BLOCK", 300)
    ids = 5 * np.arange(1200) + 2 if own_ids else None
    here = build(config, ArrayRows(BASE), ids=ids, workers=HERE).index
    there = build(config, ArrayRows(BASE), ids=ids, workers=Elsewhere()).index
    assert there.ntotal == 1200
    assert_same(there.search(QUERIES, 10), here.search(QUERIES, 10))
    if not config.build.get("fast_scan"):  # faiss leaves the ends of its blocks as they were
        assert content(there) == content(here)


def test_workers_receive_what_they_can_share(monkeypatch):
    monkeypatch.setattr(filling, "BLOCK", 300)
    calls = []

    def note(one):
        calls.append(len(one[1]))
        return one

    for config in CONFIGS:
        build(config, ArrayRows(BASE), workers=Elsewhere(note))
    assert calls == [300] * 4 + [500, 500, 200]  # IVF, then the graphs


def test_a_choice_with_workers_is_the_same():
    base, texts = clustered(4000, seed=7), {"text": clustered(60, seed=8)}
    options = {"recall": 0.7, "k": 5, "families": ["IVF"]}
    here = tune(ArrayRows(base), texts, **options)
    there = tune(ArrayRows(base), texts, workers=Elsewhere(), **options)
    assert there.chosen.name == here.chosen.name and there.reported == here.reported
    assert content(there.index) == content(here.index)


def test_graphs_side_by_side_can_be_asked_for():
    base = clustered(3000, seed=7)
    tuning = tune(ArrayRows(base), families=["HNSW shards"], recall=0.8, workers=Elsewhere())
    assert tuning.index.index_type == "HNSW shards" and tuning.index.ntotal == 3000
    assert tuning.chosen.config.name.startswith("HNSW16 shards") and tuning.reached
