"""The bench of a GPU at tiny sizes: no case leaves a tensor on the wrong device."""

import faiss

from lib.studies import gpu


def test_every_case_runs(device):
    rows = list(gpu.measure_cases(str(device), gpu.tiny_sizes()))
    failed = [gpu.format_case_line(row) for row in rows if "note" in row]
    if not hasattr(faiss, "StandardGpuResources"):
        assert "use_gpu = True needs a faiss with GPU code" in failed.pop()
    assert failed == []
    there = [row for row in rows if row["device"] == str(device)]
    assert len(there) > 20 and sum("of_cpu" in row for row in there) > 20
