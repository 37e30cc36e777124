"""The harness: counts that can be checked, exact search as the truth, every repeat stored."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.index import METRICS, VectorSearchIndex, topk_exact
from lib.index.tuning.configs import Config
from lib.metrics import hit_rate_at_k
from lib.studies.ann import harness
from tests.studies.ann.toy import DIM, IVF, N, toy


@pytest.mark.parametrize("metric", METRICS)
def test_exact_search_finds_everything_and_compares_with_everything(metric):
    corpus = toy(metric)
    result = harness.measure_config(corpus, Config("Flat", "Flat"), 5, repeats=1)
    table = pd.DataFrame(result.quality)
    assert table["queries"].tolist() == ["image", "text"] and (table["family"] == "Flat").all()
    assert (table[["recall", "recall_low", "recall_distance"]] == 1).all(axis=None)
    assert (
        table["rel"] == (1 if metric != "inner_product" else np.inf)
    ).all()  # negative distances have no ratio
    assert (table["R@1"] == table["R@1_exact"]).tolist() == [False, True]  # images have no end task
    for setting, queries in zip(result.settings, corpus.queries.values()):
        assert np.array_equal(setting.ids, topk_exact(queries, corpus.vectors(), 5, metric)[1])


def test_an_inverted_file_counts_the_lists_it_visits_and_is_exact_when_it_visits_all():
    corpus = toy()
    result = harness.measure_config(corpus, IVF, 5, repeats=1)
    table = pd.DataFrame(result.quality).set_index(["search", "queries"])
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
    ids = result.settings[1].ids
    assert one.loc["text", "R@5"] == hit_rate_at_k(ids, corpus.relevant["text"], 5).mean()


def test_quality_is_the_same_on_every_run_and_for_every_number_of_threads():
    first, second = (harness.measure_config(toy(), IVF, 5, repeats=1, threads=n) for n in (1, 2))
    assert str(first.quality) == str(second.quality)
    assert all(np.array_equal(a.ids, b.ids) for a, b in zip(first.settings, second.settings))


def test_every_repeat_is_stored():
    result = harness.measure_config(toy(), IVF, 5, repeats=3, single_queries=11)
    table = pd.DataFrame(result.timings)
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
    result = harness.measure_config(toy(), IVF, 5, repeats=1, budget_s=0)
    assert {setting.single.shape for setting in result.settings} == {(1, harness.LEAST_SINGLE)}


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


def test_threads_are_given_back_even_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError), harness.using_threads(1):
        assert torch.get_num_threads() == 1
        raise RuntimeError
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"k": N + 1}, "k must be between 1 and "),
        ({"repeats": 0}, "repeats must be at least 1"),
        ({"threads": 0}, "threads must be at least 1"),
        ({"single_queries": 0}, "single_queries must be at least 1"),
    ],
)
def test_what_cannot_be_measured_is_refused(options, says):
    with pytest.raises(RetrievalInputError, match=says):
        harness.measure_config(toy(), IVF, **options)


# ---- the cache

FLAT = Config("Flat", "Flat")
HOW = {"repeats": 1, "single_queries": 10}


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """The configs that were really run, in a data folder of their own."""
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    done, run = [], harness.measure_config

    def counted(corpus, config, *arguments, **options):
        done.append(config.name)
        return run(corpus, config, *arguments, **options)

    monkeypatch.setattr(harness, "measure_config", counted)
    return done


def quiet(line):
    pass


def measured(corpus, config, k, **options):
    return next(harness.measure_configs(corpus, [config], k, log=quiet, **options))


def test_a_stopped_run_goes_on(runs):
    corpus = toy()
    going = harness.measure_configs(corpus, [FLAT, IVF], 5, log=quiet, **HOW)
    first = next(going)
    going.close()
    lines, done = [], []
    reports = {"log": lines.append, "progress": lambda *counts: done.append(counts)}
    second, other = harness.measure_configs(corpus, [FLAT, IVF], 5, **reports, **HOW)
    assert done == [(1, 2), (2, 2)]  # what was there counts before the clock of the others starts
    assert runs == ["Flat", "IVF4"] and lines[0].startswith("1 of 2 results are kept")
    assert second.quality == first.quality and second.timings == first.timings
    for cached, made in zip(second.settings, first.settings, strict=True):
        assert np.array_equal(cached.ids, made.ids) and np.array_equal(
            cached.distances, made.distances
        )
    assert len(other.settings) == 4


def test_what_was_measured_otherwise_is_measured_again(runs):
    corpus = toy()
    measured(corpus, FLAT, 5, **HOW)
    measured(toy(), FLAT, 5, **HOW)
    assert len(runs) == 1
    measured(corpus, FLAT, 4, **HOW)
    measured(corpus, FLAT, 5, **HOW | {"repeats": 2})
    measured(corpus, dataclasses.replace(FLAT, seed=1), 5, **HOW)
    measured(toy("l2"), FLAT, 5, **HOW)
    assert len(runs) == 5


def test_a_family_that_has_changed_is_measured_again_and_no_other(runs, monkeypatch):
    for _ in range(2):
        for config in (FLAT, IVF):
            measured(toy(), config, 5, **HOW)
        monkeypatch.setitem(harness.FAMILY_FORMATS, "IVF", harness.FORMAT + 1)
    assert runs == ["Flat", "IVF4", "IVF4"]


def test_a_damaged_result_is_measured_again(runs, tmp_path):
    measured(toy(), FLAT, 5, **HOW)
    (path,) = tmp_path.rglob("toy_400_Flat_5-*.npz")
    path.write_bytes(b"half")
    measured(toy(), FLAT, 5, **HOW)
    assert len(runs) == 2
