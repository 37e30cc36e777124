"""The rows of the cost tables; what they took is nobody's business here."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.studies.peers import comparison, isolated_process, metrics_systems
from lib.studies.peers import metrics as metric_cost
from lib.studies.peers.isolated_process import Cost, Job, count_cost, measure_alone
from lib.studies.peers.metrics_systems import BASELINE, METRICS

COLUMNS = {"prepare_s", "run_s", "total_s", "fastest_s", "slowest_s", "memory_mb"}
PEERS = {name: system for name, system in metrics_systems.JOBS.items() if system.library}


def values_of(name, arrays):
    system = metrics_systems.JOBS[name]
    return system.run(system.prepare({read: arrays[read] for read in system.reads}))


# ---- the systems


@pytest.fixture(scope="module")
def arrays():
    return metric_cost.inputs(40, 60, seed=1)


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
    found = [values_of(name, arrays) for name in metrics_systems.JOBS if name not in PEERS]
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
    qrels, run = metrics_systems.dictionaries(arrays)
    assert list(run) == list(qrels) and all(len(row) == 60 for row in run.values())
    assert sum(map(len, qrels.values())) == np.count_nonzero(arrays["grades"])
    assert run["q0000007"]["d0000003"] == arrays["scores"][7, 3]


# ---- the table


def cost(*totals, **values):
    return Cost([0.0] * len(totals), list(totals), memory=3_000_000, values=values)


def test_ratio_and_difference_by_hand():
    ours = cost(2.0, 1.0, 9.0, **dict.fromkeys(METRICS, 0.5))
    theirs = cost(10.0, 30.0, 20.0, MAP=0.5, **{"nDCG@10": 0.25})
    row = metric_cost.compared(theirs, ours)
    assert row["times_ours"] == 10.0  # 20 over 2: medians
    assert (row["n_metrics"], row["difference"]) == (2, 0.25)
    assert (row["fastest_s"], row["slowest_s"], row["memory_mb"]) == (10.0, 30.0, 3.0)
    assert metric_cost.compared(ours, ours)["times_ours"] == 1.0


def test_totals_are_taken_repeat_by_repeat():
    row = Cost([1.0, 2.0, 3.0], [30.0, 20.0, 10.0], 0, {}).row()
    assert (row["prepare_s"], row["run_s"], row["total_s"]) == (2.0, 20.0, 22.0)


def test_a_missing_library_is_a_row_that_says_how_to_install_it(monkeypatch):
    asked = []

    def measured(module, key, arrays, *, repeats):
        asked.append(key)
        return cost(1.0, **dict.fromkeys(METRICS, 0.5))

    monkeypatch.setattr(metric_cost, "measure_alone", measured)
    monkeypatch.setattr(comparison.importlib.util, "find_spec", lambda name: None)
    rows = metric_cost.table(20, 12, repeats=1)
    assert [row["system"] for row in rows] == list(metrics_systems.JOBS)
    assert set(asked) == set(metrics_systems.JOBS) - set(PEERS)
    for row in rows:
        assert set(row) == set(rows[0])
        if row["system"] in PEERS:
            assert row["note"] == 'not installed: pip install -e ".[oracles]"'
            assert row["total_s"] is row["memory_mb"] is row["times_ours"] is None
        else:
            assert row["total_s"] == 1.0


def test_ours_alone_in_a_process():
    (row,) = metric_cost.table(30, 20, repeats=2, systems=[BASELINE])
    assert (row["n_queries"], row["n_gallery"], row["repeats"], row["n_metrics"]) == (30, 20, 2, 5)
    assert row["times_ours"] == 1 and row["difference"] == 0
    assert all(row[name] >= 0 for name in COLUMNS)
    assert row["fastest_s"] <= row["total_s"] <= row["slowest_s"]


def test_coco_in_miniature(monkeypatch):
    here = lambda module, key, arrays, *, repeats: count_cost(
        metric_cost.JOBS[key], arrays, repeats
    )
    monkeypatch.setattr(metric_cost, "measure_alone", here)
    rows = metric_cost.coco_table(500, 8, repeats=1)
    assert [row["direction"] for row in rows] == ["image_to_text", "text_to_image", "both"]
    assert [(row["n_queries"], row["n_gallery"]) for row in rows[:2]] == [(500, 2501), (2501, 500)]
    assert rows[0]["giga_products"] == 500 * 2501 * 8 / 1e9 == rows[2]["giga_products"] / 2
    assert rows[0]["embeddings_mb"] == 3001 * 8 * 4 / 1e6


def test_coco_has_25010_captions_and_both_directions_are_those_alone():
    assert len(metric_cost.coco_inputs(5000, 1)["captions"]) == 25_010
    arrays = metric_cost.coco_inputs(60, 16)
    there, back, both = (job.run(job.prepare(arrays)) for job in metric_cost.JOBS.values())
    assert both == there | back and both["text_to_image MedR"] >= 1
    assert 0 < both["image_to_text R@1"] <= both["image_to_text R@5"] <= 1


def test_as_text(monkeypatch):
    monkeypatch.setattr(metric_cost, "measure_alone", lambda *_, **__: cost(1234.5, MRR=0.5))
    monkeypatch.setattr(comparison.importlib.util, "find_spec", lambda name: None)
    shown = metric_cost.as_text(metric_cost.table(20, 12, systems=[BASELINE, "ranx"]))
    assert shown[0]["total_s"] == "1234.500" and shown[0]["times_ours"] == "1.0"
    assert shown[1]["total_s"] == "" and shown[1]["note"].startswith("not installed")
    assert list(shown[0]) == list(shown[1])
    assert all(isinstance(cell, str) for row in shown for cell in row.values())


# ---- a process of its own


def take_20_mb(arrays):
    return np.ones(20_000_000, np.uint8)


HELD = Job(take_20_mb, lambda held: {"sum": held.sum()}, lambda arrays: arrays, ())


@pytest.mark.skipif(
    not isolated_process.RESET_PEAK.exists(), reason="the peak can be reset on Linux alone"
)
def test_memory_is_what_was_allocated():
    found = count_cost(HELD, {}, 2)
    assert 18e6 < found.memory < 30e6 and found.values == {"sum": 20_000_000.0}
    assert len(found.prepare) == len(found.run) == 2


def test_the_new_process_has_one_thread(monkeypatch, tmp_path):
    seen = {}

    def run(command, *, env, **_):
        seen.update(env)
        return type(
            "Done", (), {"returncode": 3, "stderr": "Traceback ...\nMemoryError: too large\n"}
        )

    monkeypatch.setattr(isolated_process.subprocess, "run", run)
    with pytest.raises(ChildProcessError, match="exit code 3: MemoryError: too large"):
        measure_alone("lib.studies.peers.metrics", "both", metric_cost.coco_inputs(50, 2))
    assert all(
        seen[name] == "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    )


# ---- bad input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metric_cost.table(10, 9), "n_candidates is 9; metrics at 10 need at least 10"),
        (lambda: metric_cost.table(0, 20), "n_queries must be at least 1"),
        (
            lambda: metric_cost.table(10, 20, systems=["rank"]),
            "system must be one of .*Did you mean 'ranx'",
        ),
        (lambda: metric_cost.table(10, 20, repeats=0), "repeats must be at least 1"),
        (lambda: metric_cost.coco_table(49), "n_images is 49; the warm-up needs at least 50"),
        (
            lambda: measure_alone("lib.studies.peers.metrics", "neither", {}),
            "job must be one of 'image_to_text'",
        ),
        (
            lambda: measure_alone("lib.studies.peers.metrics", "both", {}),
            "job 'both' reads 'images'",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call()
