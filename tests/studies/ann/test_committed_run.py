"""The committed run is written whole, read back as it was, and what is committed is what the code
says.
"""

import json

import numpy as np
import pandas as pd
import pytest

from lib.core.checks import RetrievalInputError
from lib.core.reading import DamagedFileError
from lib.index import VectorSearchIndex
from lib.index.tuning.configs import Config
from lib.studies.ann import committed_run, harness
from lib.studies.ann.committed_run import Part
from lib.studies.ann.configs import scaling_configs, standard_configs
from tests.studies.ann.toy import IVF, toy, two_cones

PARTS = (
    Part(toy, lambda n, d: [Config("Flat", "Flat"), IVF], has_remedies=True),
    Part(lambda: toy("l2"), lambda n, d: [IVF]),
)


def test_all_tables_are_written_and_read_back(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    monkeypatch.setattr(committed_run, "PARTS", PARTS)
    monkeypatch.setattr(
        committed_run, "REMEDIES", {"remedies": lambda corpus: [{"corpus": corpus.name, "n": 1}]}
    )
    monkeypatch.setattr(committed_run, "TABLES", (*harness.TABLES, "remedies"))
    lines: list[str] = []
    read = committed_run.collect(lines.append, repeats=1, single_queries=10, k=5)
    assert read["quality"].groupby("metric").size().to_dict() == {"cosine": 6, "l2": 4}
    assert read["remedies"].to_dict("records") == [{"corpus": "toy", "n": 1}]
    assert (read["timings"].query("stage == 'train'")[["search", "queries"]] == "").all(axis=None)
    again = committed_run.collect(lines.append, repeats=1, single_queries=10, k=5)
    pd.testing.assert_frame_equal(read["quality"], again["quality"])
    assert sum("results are kept in" in line for line in lines) == 2
    (tmp_path / "artifacts" / "ann" / "quality.csv").write_text("corpus\n")
    with pytest.raises(DamagedFileError, match="crossmodal bench ann"):
        committed_run.committed_tables()


def test_scaling_takes_one_config_of_each_kind():
    assert [config.index_type for config in scaling_configs(100_000, 256)] == [
        "Flat",
        "IVF",
        "IVF-PQ",
        "HNSW",
    ]
    assert all(config in standard_configs(100_000, 256) for config in scaling_configs(100_000, 256))
    assert [config.index_type for config in scaling_configs(2_000, 256)] == ["Flat", "IVF", "HNSW"]


@pytest.fixture(scope="module")
def tables():
    return committed_run.committed_tables()


def test_what_is_committed_is_what_the_code_measures(tables):
    quality = tables["quality"]
    for (_, n), rows in quality.groupby(["corpus", "n"]):
        grid = standard_configs(n, 256) if n in (15_757, 100_000) else scaling_configs(n, 256)
        settings = {
            (config.name, json.dumps(dict(setting))) for config in grid for setting in config.search
        }
        missing = set(zip(rows["config"], rows["search"])) ^ settings
        assert not {name for name, _ in missing if not name.startswith("ScaNN")}
        assert (rows.groupby(["config", "search"])["queries"].nunique() == 2).all()
    assert sorted(quality.groupby(["corpus", "n"]).groups) == [
        ("icons", 15_757),
        ("scenes", 10_000),
        ("scenes", 100_000),
        ("scenes", 1_000_000),
    ]
    graphs_side_by_side = {"HNSW shards"}  # each of them a graph as "HNSW" has it
    assert set(quality["family"]) == set(VectorSearchIndex.families) - graphs_side_by_side


def test_exact_search_is_exact_and_recall_a_share(tables):
    quality = tables["quality"]
    assert (quality.query("family == 'Flat'")["recall"] == 1).all()
    assert quality["recall"].between(quality["recall_low"], quality["recall_high"]).all()
    assert (quality["recall"] <= quality["recall_distance"] + 1e-6).all()
    exact = quality["family"].isin(["Flat", "IVF", "HNSW"])
    assert (quality[exact]["distances"] > 0).all()


def test_more_search_finds_more(tables):
    slack = 0.005  # one more list or place may push a neighbour out of a compressed list
    for _, rows in (
        tables["quality"]
        .query("family in ('IVF', 'HNSW')")
        .groupby(["corpus", "n", "config", "queries"])
    ):
        assert (np.diff(rows["recall"]) >= -slack).all()


def test_every_repeat_is_stored(tables):
    timed = (
        tables["timings"]
        .query("stage == 'single'")
        .groupby(["corpus", "n", "config", "search", "queries"])
    )
    assert (timed["repeat"].nunique() >= 3).all() and (tables["timings"]["threads"] == 1).all()


def test_the_best_index_answers_ten_times_as_many_single_queries_as_exact_search(tables):
    """At 100,000 vectors and recall of 0.95 on image queries; read from the committed run, not
    timed here.
    """
    from lib.studies.ann import speed_tables

    every = speed_tables.speed_table(tables["quality"], tables["timings"])
    rows = every.query(
        "corpus == 'scenes' and n == 100000 and queries == 'image' and recall >= 0.95"
    )
    assert rows["speed_up"].max() >= 10


def test_remedies_are_those_of_the_code(tables):
    assert (
        set(tables["remedies"]["corpus"]) == {"icons", "scenes"} == set(tables["tuning"]["corpus"])
    )
    assert {"none", "copies by texts", "texts as nodes", "links by texts"} < set(
        tables["remedies"]["remedy"]
    )


def test_what_is_measured_again_is_compared_with_the_table():
    corpus = two_cones(600, 16, 0.5, n_queries=20)
    config = standard_configs(600, 16, ["IVF"])[-1]
    once = {"repeats": 1, "single_queries": 1, "budget_s": 0.01}
    quality = harness.result_tables([harness.measure_config(corpus, config, **once)])["quality"]
    indexes, rows = committed_run.compare_rebuilt(corpus, quality, ["IVF"])
    assert list(indexes) == [config.name] and [row["queries"] for row in rows] == ["image", "text"]
    assert all(
        row["recall"] == row["work"] == 0 and row["settings"] == len(config.search) for row in rows
    )
    moved = quality.assign(recall=quality["recall"] - 0.02, distances=1.1 * quality["distances"])
    assert committed_run.compare_rebuilt(corpus, moved, ["IVF"])[1][0]["recall"] == pytest.approx(2)
    with pytest.raises(RetrievalInputError, match="measure it again"):
        committed_run.compare_rebuilt(corpus, quality.iloc[1:], ["IVF"])
