"""Rows of the metric cost tables, and that all systems compute the same; not how long they take."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.studies.peers import harness
from lib.studies.peers import metrics as metric_cost
from lib.studies.peers.harness import Cost, format_costs
from lib.studies.peers.metrics import BASELINE, METRICS, SYSTEMS

PEERS = {name: system for name, system in SYSTEMS.items() if system.library}


def values_of(name, arrays):
    system = SYSTEMS[name]
    return system.run(system.prepare({read: arrays[read] for read in system.reads}))


# ---- the systems


@pytest.fixture(scope="module")
def arrays():
    return metric_cost.metric_inputs(40, 60, seed=1)


def test_inputs_are_without_ties_and_leave_no_query_without_an_answer(arrays):
    assert (np.sort(arrays["scores"], axis=1) == np.arange(1, 61)).all()
    assert (arrays["grades"] > 0).any(axis=1).all() and set(np.unique(arrays["grades"])) <= {
        0,
        1,
        2,
        3,
    }
    assert (np.diff(arrays["ranked"], axis=1) < 0).all()
    assert (np.take_along_axis(arrays["scores"], arrays["ids"], axis=1) == arrays["ranked"]).all()
    assert arrays["scores"].dtype == arrays["ranked"].dtype == np.float32


def test_our_three_ways_give_the_same_five_numbers(arrays):
    found = [values_of(name, arrays) for name in SYSTEMS if name not in PEERS]
    assert len(found) == 3 and all(tuple(values) == METRICS for values in found)
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("name", "tolerance"),
    # torchmetrics computes in float32
    [
        ("pytrec-eval-terrier", 1e-12),
        ("ranx", 1e-12),
        ("torchmetrics", 1e-6),
        ("scikit-learn", 1e-12),
    ],
)
def test_a_peer_gives_the_same_numbers(arrays, name, tolerance):
    pytest.importorskip(PEERS[name].library, reason=f"{name} is optional")
    theirs, ours = values_of(name, arrays), values_of(BASELINE, arrays)
    assert set(theirs) == ({"MAP", "nDCG@10"} if name == "scikit-learn" else set(METRICS))
    for metric, value in theirs.items():
        assert value == pytest.approx(ours[metric], abs=tolerance), metric


def test_dictionaries_hold_every_score_and_only_what_is_relevant(arrays):
    qrels, run = metric_cost.grades_to_dictionaries(arrays)
    assert list(run) == list(qrels) and all(len(row) == 60 for row in run.values())
    assert sum(map(len, qrels.values())) == np.count_nonzero(arrays["grades"])
    assert run["q0000007"]["d0000003"] == arrays["scores"][7, 3]


# ---- the tables


def made_up_cost(seconds, n=1):
    return Cost([0.0] * n, [seconds] * n, 3_000_000, dict.fromkeys(METRICS, 0.5))


def test_a_missing_library_is_a_row_that_says_how_to_install_it(monkeypatch):
    measured = []

    def measure(module, key, arrays, **_):
        measured.append(key)
        return made_up_cost(1234.5)

    monkeypatch.setattr(harness, "measure_alone", measure)
    monkeypatch.setattr(harness.importlib.util, "find_spec", lambda name: None)
    rows = metric_cost.metric_cost_table(20, 12, repeats=1)
    assert [row["system"] for row in rows] == list(SYSTEMS)
    assert set(measured) == set(SYSTEMS) - set(PEERS)
    for row in rows:
        assert set(row) == set(rows[0])
        if row["system"] in PEERS:
            assert row["note"] == 'not installed: pip install -e ".[oracles]"'
            assert (
                row["total_s"] is row["memory_mb"] is row["times_ours"] is row["n_metrics"] is None
            )
        else:
            assert row["total_s"] == 1234.5 and row["n_metrics"] == 5
    shown = format_costs(rows, metric_cost.SHOWN)
    assert shown[0]["total_s"] == "1234.500" and shown[0]["times_ours"] == "1.0"
    assert shown[-1]["total_s"] == "" and list(shown[0]) == list(shown[-1])


def test_ours_alone_in_a_process():
    (row,) = metric_cost.metric_cost_table(30, 20, repeats=2, systems=[BASELINE])
    assert (row["n_queries"], row["n_gallery"], row["repeats"], row["n_metrics"]) == (30, 20, 2, 5)
    assert row["times_ours"] == 1 and row["difference"] == 0
    assert all(row[name] >= 0 for name in ("prepare_s", "run_s", "total_s", "memory_mb"))
    assert row["fastest_s"] <= row["total_s"] <= row["slowest_s"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metric_cost.metric_cost_table(10, 9), "n_candidates must be at least 10 for"),
        (lambda: metric_cost.metric_cost_table(0, 20), "n_queries must be at least 1"),
        (
            lambda: metric_cost.metric_cost_table(10, 20, systems=["rank"]),
            "system must be one of .*Did you mean 'ranx'",
        ),
        (lambda: metric_cost.metric_cost_table(10, 20, repeats=0), "repeats must be at least 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call()
