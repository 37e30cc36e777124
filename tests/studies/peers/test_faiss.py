"""Jobs measured beside faiss give the same answers; no test says how long they take."""

import numpy as np
import pytest

from lib.studies.peers import faiss
from lib.studies.peers.faiss import FAISS, JOBS, OURS
from lib.studies.peers.harness import format_costs


def answers(task: str, arrays: dict) -> list[dict]:
    jobs = (JOBS[f"{task}, {system}"] for system in (OURS, FAISS))
    return [job.run(job.prepare(arrays)) for job in jobs]


def test_exact_search_finds_the_ids_of_faiss():
    ours, theirs = answers("exact search", faiss.search_inputs(3000, 50, dim=16))
    assert ours == theirs


@pytest.mark.slow  # the factory strings anneal for seconds
def test_a_build_without_annealing_finds_as_much():
    arrays = faiss.build_inputs(10_000, 40, dim=8)
    for task in ("PQ build", "IVF-PQ build"):
        ours, theirs = answers(task, arrays)
        # Near ties of the last bit may differ.
        assert ours["recall"] == pytest.approx(theirs["recall"], abs=0.003)
        assert 0 < ours["recall"] < 1


def test_sizes_are_those_of_the_documented_strings():
    assert faiss._pq_ours(128).build_options["code_bytes"] == 16
    index = faiss._ivf_pq_ours(128)
    assert index.build_options["code_bytes"] == 32 and index.search_options["nprobe"] == 16


def test_warm_ups_are_small():
    build, search = faiss.build_inputs(100, 10), faiss.search_inputs(3000, 10)
    assert JOBS[f"PQ build, {OURS}"].small(build)["base"].shape == (100, 8)
    assert JOBS[f"exact search, {OURS}"].small(search)["base"].shape == (2048, 256)


@pytest.mark.slow
def test_the_table(monkeypatch):
    build = faiss.build_inputs
    monkeypatch.setattr(faiss, "build_inputs", lambda n, n_queries: build(n, n_queries, dim=8))
    rows = faiss.faiss_cost_table(repeats=1, n_search=20_000, n_build=10_000, n_queries=300)
    assert [(row["task"], row["system"]) for row in rows][:2] == [
        ("exact search", FAISS),
        ("exact search", OURS),
    ]
    assert all(np.isfinite(row["seconds"]) for row in rows) and rows[1]["difference"] == 0
    assert format_costs(rows, faiss.SHOWN)[0]["times_as_fast"] == "1.0"
