"""Choosing an index: the least work that reaches the recall with every kind of query."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.index import VectorSearchIndex, topk_exact
from lib.index.tuning import ArrayRows, Estimate, choice, formula_bytes, tune
from lib.index.tuning.choice import _Search
from lib.index.tuning.ladders import ladders_for

N, DIM = 6_000, 16


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((40, DIM))
    spread = 0.7 * rng.standard_normal((N, DIM))
    return (centres[np.sort(rng.integers(0, 40, N))] + spread).astype(np.float32)


@pytest.fixture(scope="module")
def texts():
    """Queries that lie elsewhere: they need more work for the same recall."""
    return (1.5 * np.random.default_rng(1).standard_normal((200, DIM))).astype(np.float32)


@pytest.fixture(scope="module")
def tuning(rows, texts):
    return tune(ArrayRows(rows), {"text": texts}, recall=0.9, families=["IVF", "HNSW"])


def test_the_choice_is_the_least_work_that_reaches_the_recall_with_both_kinds(tuning):
    reaching = [trial for trial in tuning.trials if trial.reaches(0.9)]
    assert tuning.reached and tuning.chosen.cost == min(trial.cost for trial in reaching)
    assert {trial.config.index_type for trial in reaching} == {"IVF", "HNSW"}
    assert set(tuning.chosen.recall) == {"image", "text"}
    assert all(estimate.low >= 0.9 for estimate in tuning.chosen.recall.values())
    # Images alone would have been content with less.
    content = [t.cost for t in tuning.trials if t.recall["image"].low >= 0.9]
    assert min(content) < tuning.chosen.cost


def test_reported_recall_is_of_other_queries_and_true(tuning, texts, rows):
    assert {kind: estimate.n for kind, estimate in tuning.reported.items()} == {
        "image": 300, "text": 100,
    }  # fmt: skip
    assert tuning.reported["text"] != tuning.chosen.recall["text"]
    # New texts, and the whole index: the reported interval holds for them.
    new = 1.5 * np.random.default_rng(2).standard_normal((2_000, DIM))
    found = tuning.index.search(new, 10).ids
    hits = (found[:, :, None] == topk_exact(new, rows, 10)[1][:, None, :]).any(axis=2)
    truth = Estimate.of(hits.mean(axis=1))
    reported = tuning.reported["text"]
    assert reported.low <= truth.high and truth.low <= reported.high


def test_settings_grow_until_the_recall_and_narrow_between(tuning):
    probes = [t.setting["nprobe"] for t in tuning.trials if t.config.name == "IVF128"]
    first = next(at for at, t in enumerate(tuning.trials[: len(probes)]) if t.reaches(0.9))
    assert probes[: first + 1] == [2**power for power in range(first + 1)]
    assert all(probes[first - 1] < nprobe < probes[first] for nprobe in probes[first + 1 :])


def test_what_costs_more_than_the_best_is_not_tried(rows, monkeypatch):
    found = tune(ArrayRows(rows), recall=0.9, families=["HNSW", "IVF"])
    lists = [trial for trial in found.trials if trial.config.index_type == "IVF"]
    dear = [trial.cost >= found.chosen.cost for trial in lists]
    # One setting shows that it costs more; between it and the one before three can follow.
    assert found.chosen.config.name == "HNSW16" and 1 <= sum(dear) <= 4
    assert dear[: dear.index(True)] == [False] * dear.index(True)
    log = []
    monkeypatch.setattr(_Search, "_limit", 1.0)
    found = tune(ArrayRows(rows), families=["Flat", "IVF"], log=log.append)
    assert log[1:] == ["IVF128: not built, comparing its centroids costs more"]
    assert found.chosen.config.index_type == "Flat"


def test_many_vectors_get_no_graph_where_lists_reach_the_recall(rows, monkeypatch):
    monkeypatch.setattr(choice, "QUICK_FIRST", 1_000)
    log = []
    found = tune(ArrayRows(rows), recall=0.9, log=log.append)
    assert found.reached and {t.config.index_type for t in found.trials} <= {"IVF", "IVF-PQ"}
    assert found.left_out == (log[-1],) and log[-1].startswith(
        f"HNSW16: not built, as {found.chosen.name} reaches 0.9 and a graph of so many vectors"
    )
    assert log[-1].endswith(
        f"ask for the families {found.chosen.config.index_type} and HNSW to try both"
    )
    asked = tune(ArrayRows(rows), recall=0.9, families=["HNSW", "IVF"])
    assert {t.config.index_type for t in asked.trials} == {"HNSW", "IVF"}
    # Where lists do not reach it, graphs are tried.
    monkeypatch.setattr(_Search, "reached", False)
    ladders = []
    monkeypatch.setattr(_Search, "climb", lambda self, ladder, n: ladders.append(ladder))
    assert tune(ArrayRows(rows), recall=0.9).chosen.config.index_type == "Flat"
    assert [ladder.slow for ladder in ladders] == [False, True]


def test_the_index_holds_every_row_under_its_id(rows):
    ids = np.arange(N) * 3 + 7
    found = tune(ArrayRows(rows), recall=0.8, families=["IVF"], ids=ids)
    assert found.index.ntotal == N
    assert np.array_equal(found.index.search(rows[:50], 1).ids[:, 0], ids[:50])
    again = tune(ArrayRows(rows), recall=0.8, families=["IVF"], ids=ids)
    assert again.facts() == found.facts()


def test_memory_decides_what_is_built(rows, monkeypatch):
    made = []
    monkeypatch.setattr(
        "lib.index.tuning.configs.Config.make",
        lambda self, d, metric, make=VectorSearchIndex: (
            made.append(self.name)
            or make(d, self.index_type, metric, **self.build, **self.search[0])
        ),
    )
    lists = next(iter(ladders_for(N - 600, DIM, 10, ["IVF"]))).builds[0]
    ram = formula_bytes(lists, N, DIM)
    found = tune(ArrayRows(rows), recall=0.9, ram=ram)
    assert made == ["IVF128"] and found.chosen.bytes <= ram
    assert any(line.startswith("HNSW16 needs") for line in found.left_out)
    with pytest.raises(RetrievalInputError, match="ram = 1,000 bytes hold no index of 6,000 vec"):
        tune(ArrayRows(rows), ram=1_000)


def test_families_that_these_vectors_cannot_have_are_named():
    rows = ArrayRows(np.random.default_rng(0).standard_normal((1_200, 8)).astype(np.float32))
    with pytest.raises(RetrievalInputError, match="1,200 vectors can have, got IVF-PQ: .* 9,984"):
        tune(rows, families=["IVF-PQ"])
    assert tune(rows, families=["Flat"]).chosen.config.index_type == "Flat"


def test_codes_alone_where_vectors_do_not_fit():
    rows = np.random.default_rng(0).standard_normal((12_000, 8)).astype(np.float32)
    log = []
    found = tune(ArrayRows(rows), recall=0.99, ram=330_000, log=log.append)
    assert found.chosen.config.index_type == "IVF-PQ" and not found.reached
    assert "No choice reached 0.99" in found.describe()
    best = max(trial.least for trial in found.trials)
    assert found.chosen.least == best
    assert len(log) == 1 + len(found.trials) + len({t.config.name for t in found.trials})


def test_exact_search_where_nothing_costs_less():
    # Without structure, all lists must be visited.
    rows = np.random.default_rng(0).standard_normal((1_500, 64)).astype(np.float32)
    found = tune(ArrayRows(rows), recall=1.0, families=["Flat", "IVF"])
    assert found.chosen.config.index_type == "Flat" and found.reached
    assert found.reported["image"][:3] == (1, 1, 1) and found.index.ntotal == 1_500
    assert found.facts()["config"] == {"name": "Flat", "build": {}}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"recall": 0}, "recall must be between 0 and 1 .not 0., got 0"),
        ({"recall": 95}, "recall must be between 0 and 1"),
        ({"ram": 0}, "ram must be at least 1"),
        ({"k": 5_401}, "k.* must be between 1 and 5400"),
        ({"families": ["IFV"]}, "family must be one of .* Did you mean 'IVF'"),
        ({"metric": "dot"}, "metric must be one of"),
        ({"held_out": None}, "there must be queries"),
        ({"queries": {"text": np.ones((50, 3))}}, "dimension 16"),
        ({"queries": {"text": np.ones((39, DIM))}}, "at least 40 queries of the kind 'text', got"),
        ({"ids": np.arange(5)}, "one for each of 6,000 rows, got shape .5,."),
        ({"seed": -1}, "seed"),
    ],
)
def test_what_cannot_be(rows, options, problem):
    with pytest.raises(RetrievalInputError, match=problem):
        tune(ArrayRows(rows), **options)


def test_few_rows_are_searched_exactly():
    with pytest.raises(RetrievalInputError, match="at least 1,000 vectors to tune .*, got 999"):
        tune(ArrayRows(np.ones((999, 4))))
