"""The harness: counts that can be checked, exact search as the truth, every repeat kept."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.index import METRICS, VectorSearchIndex, topk_exact
from lib.metrics import hit_rate_at_k
from lib.studies.ann import harness
from lib.studies.ann.configs import Config
from lib.studies.ann.ground_truth import truth
from tests.studies.ann.toy import DIM, IVF, N, toy


@pytest.mark.parametrize("metric", METRICS)
def test_exact_search_finds_everything_and_compares_with_everything(metric):
    corpus = toy(metric)
    found = harness.run(corpus, Config("Flat", "Flat"), 5, repeats=1)
    table = pd.DataFrame(found.quality)
    assert table["queries"].tolist() == ["image", "text"] and (table["family"] == "Flat").all()
    assert (table[["recall", "recall_low", "recall_distance"]] == 1).all(axis=None)
    assert (
        table["rel"] == (1 if metric != "inner_product" else np.inf)
    ).all()  # negative distances have no ratio
    assert (table["R@1"] == table["R@1_exact"]).tolist() == [False, True]  # images have no end task
    for one, queries in zip(found.measured, corpus.queries.values()):
        assert np.array_equal(one.ids, topk_exact(queries, corpus.vectors(), 5, metric)[1])


def test_an_inverted_file_counts_the_lists_it_visits_and_is_exact_when_it_visits_all():
    corpus = toy()
    found = harness.run(corpus, IVF, 5, repeats=1)
    table = pd.DataFrame(found.quality).set_index(["search", "queries"])
    assert len(table) == 4
    every = table.loc[json.dumps({"nprobe": 4})]
    assert (
        (every["recall"] == 1).all()
        and (every["distances"] == N).all()
        and (every["lists"] == 4).all()
    )
    one = table.loc[json.dumps({"nprobe": 1})]
    assert (
        (one["recall"] < 1).all() and (one["distances"] < N).all() and (one["centroids"] == 4).all()
    )
    assert (one["recall"] <= one["recall_distance"]).all()
    assert (one["recall_low"] < one["recall"]).all() and (one["recall"] < one["recall_high"]).all()
    assert 1 <= table["imbalance"].iloc[0] < 4 and (table["n_train"] == N).all()
    assert json.loads(table["build"].iloc[0]) == {"nlist": 4, "seed": 0}
    assert (table["bytes"] >= 4 * N * DIM).all()
    ids = found.measured[1].ids
    assert one.loc["text", "R@5"] == hit_rate_at_k(ids, corpus.relevant["text"], 5).mean()


def test_quality_is_the_same_on_every_run_and_for_every_number_of_threads():
    first, second = (harness.run(toy(), IVF, 5, repeats=1, threads=n) for n in (1, 2))
    assert str(first.quality) == str(second.quality)
    assert all(np.array_equal(a.ids, b.ids) for a, b in zip(first.measured, second.measured))


def test_every_repeat_is_kept():
    found = harness.run(toy(), IVF, 5, repeats=3, single_queries=11)
    table = pd.DataFrame(found.timings)
    assert table["stage"].value_counts().to_dict() == {
        "batch": 12,
        "single": 12,
        "train": 1,
        "add": 1,
    }
    assert (table["seconds"] > 0).all() and (table["threads"] == 1).all()
    counts = table.groupby("stage")["count"].agg(lambda counts: sorted(set(counts)))
    assert counts.to_dict() == {"add": [N], "batch": [12, 20], "single": [11], "train": [N]}
    single = table[table["stage"] == "single"]
    assert (single["p50_ms"] <= single["p99_ms"]).all() and sorted(set(single["repeat"])) == [
        0,
        1,
        2,
    ]
    assert table.loc[table["stage"] == "batch", "p50_ms"].isna().all()


def test_a_slow_index_is_asked_fewer_queries_one_at_a_time():
    found = harness.run(toy(), IVF, 5, repeats=1, budget_s=0)
    assert {one.single.shape for one in found.measured} == {(1, harness.LEAST_SINGLE)}


def test_training_reads_a_sample_and_adding_everything_in_blocks(monkeypatch):
    corpus = toy()
    blocks = corpus.blocks
    monkeypatch.setattr(type(corpus), "blocks", lambda self: blocks(64))
    config = Config("IVF4", "IVF", {"nlist": 4}, ({"nprobe": 4},), n_train=200)
    index, _, _, n_train = harness.build(corpus, config)
    assert n_train == 200 and index.ntotal == N
    scores, ids = index.search(corpus.queries["text"], 5)
    exact = topk_exact(corpus.queries["text"], corpus.vectors(), 5)
    assert np.array_equal(ids, exact[1])
    np.testing.assert_allclose(scores, exact[0], atol=1e-6)


def test_what_an_index_puts_off_is_part_of_its_build(monkeypatch):
    finished = []
    finish = VectorSearchIndex.finish
    monkeypatch.setattr(VectorSearchIndex, "finish", lambda index: finished.append(finish(index)))
    harness.build(toy(), IVF)
    assert finished == [None]


def test_neighbours_that_came_with_the_data_are_the_truth():
    corpus = toy()
    made_up = np.tile(np.arange(5, dtype=np.int32), (12, 1))
    given = toy(neighbours={"image": (made_up, np.zeros((12, 5)))})
    assert np.array_equal(truth(given, 3)["image"].ids, made_up[:, :3])
    for k in (3, 6):  # there are five for images, none for texts
        assert np.array_equal(truth(given, k)["text"].ids, truth(corpus, k)["text"].ids)
    assert np.array_equal(truth(given, 6)["image"].ids, truth(corpus, 6)["image"].ids)


def test_threads_are_given_back_even_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError), harness.using_threads(1):
        assert torch.get_num_threads() == 1
        raise RuntimeError
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"k": N + 1}, f"k = {N + 1} is more than the gallery holds"),
        ({"repeats": 0}, "repeats must be at least 1"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"single_queries": 0}, "single_queries must be at least 1"),
    ],
)
def test_what_cannot_be_measured_is_refused(options, says):
    with pytest.raises(RetrievalInputError, match=says):
        harness.run(toy(), IVF, **options)
