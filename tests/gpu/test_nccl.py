"""Losses over processes with nccl, one process a GPU; over gloo in
tests/losses/test_distributed.py.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.gpu.conftest import NEEDS_CUDA

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("_", [pytest.param("cuda", marks=NEEDS_CUDA)])
def test_losses_and_gradients_are_those_of_the_full_batch(_):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [
        "--nproc_per_node",
        str(max(1, torch.cuda.device_count())),
        "-m",
        "lib.losses.distributed_check",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "sigmoid, in blocks" in done.stdout
