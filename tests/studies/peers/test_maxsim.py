"""The rows of the MaxSim table, and that both libraries compute the same; not what they took."""

import numpy as np
import pytest

from lib.core.checks import RetrievalInputError
from lib.studies.peers import harness, maxsim
from lib.studies.peers.harness import Cost, Job, format_costs, measure_alone
from lib.studies.peers.maxsim import INPUTS, JOBS


def values_of(name, arrays):
    job = JOBS[name]
    if job.library:
        pytest.importorskip(job.library, reason=f"{job.library} is optional")
    return job.run(job.prepare({key: arrays[key] for key in job.reads}))


@pytest.mark.parametrize("kind", INPUTS)
def test_both_libraries_compute_the_same(kind):
    arrays = maxsim.maxsim_inputs(7, 9, 5, 8)
    ours, theirs = (
        values_of(f"{library}, {kind}", arrays) for library in ("ours", "sentence-transformers")
    )
    assert ours == pytest.approx(theirs, rel=1e-5)


def test_inputs_are_unit_tokens_and_every_item_has_one():
    arrays = maxsim.maxsim_inputs(50, 3, 4, 2)
    assert arrays["query"].shape == (50, 4, 2) and arrays["document_mask"].shape == (3, 4)
    assert np.linalg.norm(arrays["query"], axis=2) == pytest.approx(1, abs=1e-6)
    counts = arrays["query_mask"].sum(axis=1)
    assert set(counts) == {1, 2, 3, 4} and arrays["query_mask"].dtype == bool
    assert len(JOBS["ours, half is padding"].small(arrays)["query"]) == 8


@pytest.fixture
def rows(monkeypatch):
    def run(**options):
        def measure(module, key, arrays, *, repeats, limit_s):
            seconds = 4.0 if key.startswith("sentence") else 1.0
            return Cost([0.0] * repeats, [seconds] * repeats, int(seconds * 10**8), {"mean": 2.0})

        monkeypatch.setattr(harness, "measure_alone", measure)
        return maxsim.maxsim_cost_table(6, 10, length=4, dim=8, **options)

    return run


def test_ratios_are_to_the_peer_of_the_same_inputs(rows, monkeypatch):
    monkeypatch.setattr(Job, "is_installed", True)
    said = []
    found = rows(progress=lambda *step: said.append(step))
    assert [(row["tokens"], row["system"]) for row in found] == [
        (kind, library) for kind in INPUTS for library in ("sentence-transformers", "ours")
    ]
    assert said == [(name, at, 4) for at, name in enumerate(JOBS)] and {
        row["threads"] for row in found
    } == {1}
    ours = found[1]
    assert (ours["of_peer_seconds"], ours["of_peer_memory"], ours["difference"]) == (
        0.25,
        0.25,
        0.0,
    )
    assert (ours["seconds"], ours["memory_mb"], ours["repeats"], ours["note"]) == (
        1.0,
        100.0,
        3,
        "",
    )
    assert ours["gflops"] == 2 * 8 * (6 * 4) * (10 * 4) / 1e9
    assert ours["inputs_mb"] == 4 * 8 * 4 * (6 + 10) / 1e6
    padded = maxsim.maxsim_inputs(6, 10, 4, 8)
    counts = padded["query_mask"].sum() * padded["document_mask"].sum()
    assert found[3]["gflops"] == pytest.approx(2 * 8 * counts / 1e9)
    assert found[3]["inputs_mb"] == pytest.approx(ours["inputs_mb"] + 16 * 4 / 1e6)


def test_a_library_that_is_missing_has_a_row_and_no_ratios(rows, monkeypatch):
    monkeypatch.setattr(Job, "is_installed", property(lambda job: job.library is None))
    found = rows(repeats=1)
    assert found[0]["seconds"] is None and found[0]["note"].startswith("not installed: pip install")
    assert found[1]["seconds"] == 1.0 and found[1]["of_peer_seconds"] is None
    assert format_costs(found, maxsim.SHOWN)[0]["gflops"] == ""


def test_refuses_sizes_that_measure_nothing(rows):
    with pytest.raises(RetrievalInputError, match="repeats must be at least 1, got 0"):
        rows(repeats=0)
    with pytest.raises(RetrievalInputError, match="length must be at least 1, got 0"):
        maxsim.maxsim_inputs(1, 1, 0, 1)
    with pytest.raises(RetrievalInputError, match="n_documents must be at least 1, got 0"):
        maxsim.maxsim_inputs(1, 0, 1, 1)


# ---- in a process of its own


@pytest.mark.slow
def test_memory_is_that_of_a_tile_not_of_all_similarities():
    arrays = maxsim.maxsim_inputs(128, 512, 32, 8)
    cost = measure_alone("lib.studies.peers.maxsim", "ours, all tokens count", arrays, repeats=1)
    assert cost.values == pytest.approx(values_of("ours, all tokens count", arrays), rel=1e-6)
    # All similarities would be 268 MB; a tile is 1 MB, and libraries warm up by some 10 MB.
    assert cost.memory < 60e6
