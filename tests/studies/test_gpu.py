"""The bench of a GPU at tiny sizes on the CPU: its cases and ratios; on other devices in
tests/gpu.
"""

import sys
from time import sleep

import pytest
import torch

from lib.core.checks import RetrievalInputError
from lib.studies import gpu
from tests.cli.conftest import one_line, run  # noqa: F401


def test_every_case_runs_on_a_cpu(run):  # noqa: F811
    code, out, _ = run("bench", "gpu", "--device", "cpu")
    assert code == 0
    first, _, *lines = out.splitlines()
    assert first.startswith("cpu alone, tiny sizes")
    assert "failed" not in out and "left out" not in out and all(" ms [" in line for line in lines)
    tasks = (
        "InfoNCE, both directions, B = 64",
        "sigmoid, B = 16",
        "triplet, hardest, B = 64",
        "MaxSim, 4 x 8",
        "encoding 8 pictures, bf16",
        "exact search, 4 x 500 x 16",
    )
    for task in tasks:
        ours = [line for line in lines if line.startswith(task) and " ours" in line]
        assert any("x CPU" in line for line in ours), task
        assert task.startswith("triplet") or any("x peer" in line for line in ours), task


def cases(monkeypatch, *made):
    monkeypatch.setattr(gpu, "_cases", lambda device, sizes: iter(made))


def test_ratios_are_to_our_first_on_the_cpu_and_to_the_peer_on_the_same_device(monkeypatch):
    systems = [("t", "peer"), ("t", "a"), ("t", "b")]
    on_cpu = [gpu.GpuCase(*names, "cpu", None, names[1] == "peer") for names in systems]
    on_gpu = [
        gpu.GpuCase(*names, "cuda", None, names[1] == "peer")
        for names in (*systems[:2], ("u", "a"))
    ]
    cases(monkeypatch, *on_cpu, *on_gpu)
    seconds = iter([8.0, 4.0, 2.0, 0.5, 0.25, 1.0])
    monkeypatch.setattr(gpu, "_measure_case", lambda *_: {"seconds": next(seconds)})
    found = [
        (row.get("of_cpu"), row.get("of_peer"))
        for row in gpu.measure_cases("cuda", gpu.tiny_sizes())
    ]
    assert found == [(None, 1), (1, 0.5), (0.5, 0.25), (0.125, 1), (0.0625, 0.5), (None, None)]


def test_what_cannot_be_measured_says_why_and_the_next_case_goes_on(monkeypatch):
    def out_of_memory():
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 1 GiB")

    made = [
        gpu.GpuCase("t", "a", "cpu", out_of_memory),
        gpu.GpuCase("t", "b", "cpu", None, bytes_needed=1e18),
        gpu.GpuCase("t", "c", "cpu", None, library="no_such_library"),
        gpu.GpuCase("t", "d", "cpu", lambda: lambda: None),
    ]
    cases(monkeypatch, *made)
    *notes, last = gpu.measure_cases("cpu", gpu.tiny_sizes())
    said = [
        "failed: CUDA out of memory. Tried",
        "left out: it needs about 1000000000 GB",
        "not installed: pip",
    ]
    assert all(row["note"].startswith(start) for row, start in zip(notes, said, strict=True))
    assert last["repeats"] == 2 and gpu.format_case_line(last).startswith("t ")
    slow = gpu.GpuCase("t", "d", "cpu", lambda: lambda: sleep(0.002), work=1)
    cases(monkeypatch, slow, gpu.GpuCase("u", "d", "cpu", None, work=1e6))
    assert list(gpu.measure_cases("cpu", gpu.tiny_sizes()))[1]["note"].startswith(
        "left out: it would take about"
    )
    cases(monkeypatch, *made)
    late = [row["note"] for row in gpu.measure_cases("cpu", gpu.tiny_sizes(), budget_s=0)]
    assert late == ["left out: the time is used up"] * 4


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_one_line_says_what_can_be_run(run):  # noqa: F811
    code, _, err = run("bench", "gpu")
    assert code == 2 and "no CUDA device is here" in one_line(err) and "--device cpu" in err
    with pytest.raises(RetrievalInputError, match="--device must be one of"):
        gpu.sizes_for("tpu")


def test_the_tests_are_run_from_a_checkout_alone(tmp_path, monkeypatch):
    said = []
    assert gpu.run_gpu_tests(said.append, folder=tmp_path) and "come with a checkout" in said[0]
    (tmp_path / "tests" / "gpu").mkdir(parents=True)
    for code in (0, 1):
        command = [sys.executable, "-c", f"print('as pytest says'); raise SystemExit({code})"]
        monkeypatch.setattr(gpu, "PYTEST", command)
        assert gpu.run_gpu_tests(said.append, folder=tmp_path) == (code == 0)
        assert said[-1] == "as pytest says"
    assert (
        not gpu.run_gpu_tests(said.append, folder=tmp_path, limit_s=1e-3)
        and "stopped after" in said[-1]
    )
