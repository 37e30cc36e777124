"""Costs: logged at once, cached, reused where nothing changed; memory, threads, ratios, tables."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.studies.peers import harness, losses
from lib.studies.peers.harness import (
    Cost,
    CostTable,
    Job,
    cached_costs,
    compare_costs,
    format_costs,
    measure_alone,
    measure_here,
)

LOSSES = "lib.studies.peers.losses"
JOB = LOSSES, "ours, both, blocked"
METRICS = "lib.studies.peers.metrics"


def cost(*seconds, memory=3_000_000, **values):
    return Cost([0.5] * len(seconds), list(seconds), memory, values)


def logged(arrays, repeats=1):
    lines = []
    with cached_costs(lines.append):
        measure_alone(*JOB, arrays, repeats=repeats)
    return lines


# ---- the cache


@pytest.mark.slow
def test_a_killed_bench_has_logged_and_cached_its_first_rows(tmp_path):
    code = (
        "from lib.cli.output import say\n"
        "from lib.studies.peers import embedding_metrics\n"
        "from lib.studies.peers.harness import cached_costs\n"
        "with cached_costs(say):\n    embedding_metrics.coco_cost_table(50, 2, repeats=1)"
    )
    command = [sys.executable, "-c", code]
    environment = os.environ | {"CROSSMODAL_CACHE": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as running:
        first = next(line for line in running.stdout if " MB" in line)  # before the end
        running.send_signal(signal.SIGKILL)
    assert any((tmp_path / "costs").glob("*.npz"))
    resumed = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert f"{first.strip()}, from the cache" in resumed.stdout


def test_nothing_is_taken_from_before_a_change(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSMODAL_CACHE", str(tmp_path))
    runs = []

    def run(command, **_):
        runs.append(command)
        Path(command[5], "cost.json").write_text(
            '{"prepare": [0.0], "run": [1.0], "memory": 1, "values": {}}'
        )
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(harness.subprocess, "run", run)
    arrays = losses.loss_inputs(16, 4)
    assert logged(arrays) == ["ours, both, blocked, query 16 x 4: 1.000 s, 0 MB"]
    assert logged(arrays)[0].endswith("from the cache") and len(runs) == 1
    logged(arrays, repeats=2)
    logged({name: np.roll(rows, 1) for name, rows in arrays.items()})
    monkeypatch.setattr(harness, "_surroundings", lambda: ["another machine, version or code"])
    logged(arrays)
    assert len(runs) == 4
    for path in (tmp_path / "costs").glob("*.npz"):
        path.write_text("{")
    assert not logged(arrays)[0].endswith("from the cache")
    measure_alone(*JOB, arrays, repeats=1)  # outside nothing is cached
    assert len(runs) == 6


# ---- rows


def test_ratios_and_difference_by_hand():
    ours, peer = cost(2.0, 1.0, 9.0, MAP=0.5, MRR=0.5), cost(10.0, 30.0, 20.0, MAP=0.5, MRR=0.25)
    row = compare_costs(ours, peer)
    assert (row["seconds"], row["fastest_s"], row["slowest_s"]) == (2.0, 1.0, 9.0)
    assert (row["of_peer_seconds"], row["of_peer_memory"], row["difference"]) == (0.1, 1.0, 1.0)
    assert (row["memory_mb"], row["repeats"]) == (3.0, 3)
    assert compare_costs(ours, cost(1.0, memory=0, MAP=0.5))["of_peer_memory"] is None
    assert set(compare_costs(None, peer).values()) == {None}


def test_totals_are_taken_repeat_by_repeat():
    row = compare_costs(Cost([1.0, 2.0, 3.0], [30.0, 20.0, 10.0], 0, {}), None, True)
    assert (row["prepare_s"], row["run_s"], row["seconds"]) == (2.0, 20.0, 22.0)
    assert (row["fastest_s"], row["slowest_s"], row["of_peer_seconds"]) == (13.0, 31.0, None)


def test_a_row_says_why_nothing_was_measured(monkeypatch):
    def stopped(*_, **__):
        raise TimeoutError("it was stopped after 3 s")

    monkeypatch.setattr(harness, "measure_alone", stopped)
    steps = []
    table = CostTable(LOSSES, 3, lambda *step: steps.append(step))
    table.measure("ours, both", {}, {"system": "a"})
    table.measure("ours, both", {}, {"system": "b"}, left_out="left out: too large")
    monkeypatch.setattr(Job, "is_installed", False)
    table.measure("ours, both", {}, {"system": "c"})
    assert [row["note"] for row in table.rows] == [
        "it was stopped after 3 s",
        "left out: too large",
        'not installed: pip install -e ".[oracles]"',
    ]
    assert steps == [("ours, both", at, 3) for at in range(3)]
    assert format_costs(table.rows, "system seconds:.2f note")[1] == {
        "system": "b",
        "seconds": "",
        "note": "left out: too large",
    }


def test_formats():
    rows = [{"system": "ours", "batch_size": 1024, "seconds": 0.1234, "dim": 8}]
    assert format_costs(rows, "batch_size:, system seconds:.2f") == [
        {"batch_size": "1,024", "system": "ours", "seconds": "0.12"}
    ]


# ---- a new process


def take_20_mb(arrays):
    return np.ones(20_000_000, np.uint8)


HELD = Job(take_20_mb, lambda held: {"sum": held.sum()}, lambda arrays: arrays, ())


@pytest.mark.skipif(not harness.RESET_PEAK.exists(), reason="the peak can be reset on Linux alone")
def test_memory_is_what_was_allocated():
    result = measure_here(HELD, {}, 2)
    assert 18e6 < result.memory < 30e6 and result.values == {"sum": 20_000_000.0}
    assert len(result.prepare) == len(result.run) == 2


def test_the_new_process_has_one_thread_and_its_error_is_reported(monkeypatch):
    environment = {}

    def run(command, *, env, **_):
        environment.update(env)
        error = "Traceback ...\nMemoryError: too large\n"
        return subprocess.CompletedProcess(command, 3, stderr=error)

    monkeypatch.setattr(harness.subprocess, "run", run)
    with pytest.raises(ChildProcessError, match="exit code 3: MemoryError: too large"):
        measure_alone(*JOB, losses.loss_inputs(50, 2))
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    assert [environment[name] for name in names] == ["1"] * 3


def test_a_process_that_takes_too_long_is_stopped():
    arrays = losses.loss_inputs(64, 4)
    with pytest.raises(TimeoutError, match="ours, both was stopped after 0 s"):
        measure_alone(LOSSES, "ours, both", arrays, repeats=1, limit_s=0.01)


@pytest.mark.parametrize(
    ("job", "options", "message"),
    [
        ((METRICS, "neither"), {}, "job must be one of 'ours, from scores'"),
        (JOB, {}, "job 'ours, both, blocked' reads 'query'"),
    ],
)
def test_bad_input_is_named(job, options, message):
    with pytest.raises(RetrievalInputError, match=message):
        measure_alone(*job, {}, **options)
