"""What was measured is told at once, kept when the run is stopped, and reused where nothing
changed.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lib.studies.peers import isolated_process, losses
from lib.studies.peers.isolated_process import keeping, measure_alone

JOB = "lib.studies.peers.losses_systems", "ours, both, blocked"


def measured(arrays, repeats=1):
    said = []
    with keeping(said.append):
        measure_alone(*JOB, arrays, repeats=repeats)
    return said


@pytest.mark.slow
def test_a_killed_bench_has_told_and_kept_its_first_rows(tmp_path):
    code = (
        "from lib.studies.peers.isolated_process import keeping; from lib.studies.metrics import"
        " cost; "
    )
    code += "from lib.cli.output import say\nwith keeping(say): cost.coco_table(50, 2, repeats=1)"
    command = [sys.executable, "-c", code]
    environment = os.environ | {
        "CROSSMODAL_DATA": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as running:
        first = next(
            line for line in running.stdout if " MB" in line
        )  # through a pipe, before the end
        running.send_signal(signal.SIGKILL)
    assert any((tmp_path / "cache" / "costs").glob("*.json"))
    again = subprocess.run(
        command, capture_output=True, text=True, env=environment, check=True
    ).stdout
    assert f"{first.strip()}, from the cache" in again


def test_nothing_is_taken_from_before_a_change(tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSMODAL_DATA", str(tmp_path))
    runs = []

    def run(command, **_):
        runs.append(command)
        Path(command[5], "cost.json").write_text(
            '{"prepare": [0.0], "run": [1.0], "memory": 1, "values": {}}'
        )
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(isolated_process.subprocess, "run", run)
    arrays = losses.inputs(16, 4)
    assert measured(arrays) == ["ours, both, blocked, query 16 x 4: 1.000 s, 0 MB"]
    assert measured(arrays)[0].endswith("from the cache") and len(runs) == 1
    measured(arrays, repeats=2)
    measured({name: np.roll(rows, 1) for name, rows in arrays.items()})
    monkeypatch.setattr(isolated_process, "_here", lambda: ["another machine, version or code"])
    measured(arrays)
    assert len(runs) == 4
    for path in (tmp_path / "cache" / "costs").glob("*.json"):
        path.write_text("{")
    measured(arrays)
    measure_alone(*JOB, arrays, repeats=1)  # outside nothing is kept
    assert len(runs) == 6
