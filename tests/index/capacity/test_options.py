"""The plan for billions: sizes against published ones, machines against numbers worked out by
hand.
"""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.core.checks import RetrievalInputError
from lib.index.capacity.billions import IMBALANCE, options
from lib.index.capacity.machines import (
    RECALLS,
    SCANS,
    PublishedRecall,
    published_checks,
    ssd_graph_bytes,
)
from lib.index.capacity.options import Machine, plan

N, D = 5_850_000_000, 512
ROWS = {row.option.name: row for row in plan(N, D, recall=0.95, qps=1000)}


@pytest.mark.parametrize("check", published_checks(), ids=lambda check: check.what)
def test_formulas_meet_published_sizes(check):
    assert check.ratio == pytest.approx(1, abs=0.02 if check.rounded else 0.001)


def test_published_lists_are_about_as_uneven_as_the_plan_assumes():
    found = [scan.imbalance for scan in SCANS]
    assert min(found) == pytest.approx(1.09, abs=0.005) and max(found) == pytest.approx(
        1.36, abs=0.008
    )
    assert next(
        s.imbalance for s in SCANS if (s.dataset, s.nprobe) == ("deep1B", 64)
    ) == pytest.approx(IMBALANCE, abs=0.001)


def test_nodes_on_a_disk_do_not_cross_sectors():
    assert ssd_graph_bytes(10, 128, 128, item=1) == 2 * 4096  # 644 bytes a node, six a sector
    assert ssd_graph_bytes(10, 1024, 64) == 10 * 2 * 4096  # 4356 bytes a node, two sectors
    assert ssd_graph_bytes(N, 512, 64) == N * 4096


@pytest.mark.parametrize(
    ("name", "terabytes", "machines"),
    [("HNSW, 32 links", 13.6, 71), ("IVF, int8", 3.04, 16), ("IVF-PQ, 64 bytes", 0.424, 3)],
)
def test_laion_by_hand(name, terabytes, machines):
    row = ROWS[name]
    assert row.option.ram_bytes / 1e12 == pytest.approx(terabytes, rel=0.005)
    assert math.ceil(row.needs["memory"]) == machines <= row.machines


def test_flat_by_hand():
    row = ROWS["Flat, float32"]
    assert row.option.ram_bytes == row.option.bytes_touched == 4 * N * D
    assert row.binds == "memory bandwidth" and row.machines == math.ceil(1000 * 4 * N * D / 100e9)
    assert row.needs["cores"] == pytest.approx(1000 * 4 * N * D / 17e9 / 16)


def test_an_inverted_file_reads_its_share_of_the_codes_and_centroids():
    (option,) = [
        o
        for o in options(N, D, nprobe=64, nlist=2**17, imbalance=1.0)
        if o.name == "IVF-PQ, 64 bytes"
    ]
    assert option.codes_read == 64 * N / 2**17 * 64 == pytest.approx(183e6, rel=0.002)
    assert option.vectors_read == 2 * 64 * 64 * 4 * D  # what a walk among the centroids can meet
    small = next(o for o in options(10_000, D, nprobe=2) if o.kind == "codes")
    assert (
        small.vectors_read == 256 * 4 * D and "coarse graph" not in small.ram
    )  # all centroids, no graph


def test_a_graph_is_walked_in_every_shard():
    row = ROWS["HNSW, 32 links"]
    expected = 1000 * 71 * row.option.bytes_touched / 100e9
    assert row.needs["memory bandwidth"] == pytest.approx(expected)
    assert row.needs["32-bit positions"] == N / 2**31


def test_replicas_multiply_whole_copies():
    twice = plan(N, D, recall=0.95, qps=1000, replicas=2)
    assert [row.machines for row in twice] == [2 * row.machines for row in ROWS.values()]


@given(
    n=st.integers(1000, 10**10),
    d=st.sampled_from([96, 512, 768]),
    qps=st.floats(1, 1e5),
    ram=st.floats(1, 1e4),
    more=st.floats(1.1, 10),
)
@settings(max_examples=25, deadline=None)
def test_more_never_takes_less(n, d, qps, ram, more):
    def machines(**changes):
        asked = {"n": n, "qps": qps, "ram": ram, **changes}
        rows = plan(
            asked["n"], d, recall=0.9, qps=asked["qps"], machine=Machine(ram_gb=asked["ram"])
        )
        return {row.option.name: row.machines for row in rows}

    base = machines()
    assert all(count >= 1 for count in base.values())
    for harder in (machines(qps=qps * more), machines(ram=ram / more)):
        assert all(harder[name] >= base[name] for name in base)
    assert machines(n=2 * n)["Flat, float32"] >= base["Flat, float32"]


def test_recall_is_quoted_and_nothing_else():
    assert ROWS["Flat, float32"].reaches is True
    assert (
        ROWS["IVF-PQ, 32 bytes"].reaches is False
        and ROWS["IVF-PQ, 32 bytes"].evidence.text_recall == 0.069
    )
    assert ROWS["IVF-PQ, 64 bytes"].evidence is None and ROWS["IVF-PQ, 64 bytes"].reaches is None
    assert ROWS["graph on SSD, 32-byte codes"].reaches is None  # 0.937 at one speed is no ceiling
    easier = {row.option.name: row.reaches for row in plan(N, D, recall=0.6, qps=1)}
    assert easier["IVF-PQ, 32 bytes"] is False  # 0.069 is the most that text queries reach
    assert easier["graph on SSD, 32-byte codes"] is None  # 0.489 of texts at one speed
    (graph,) = [
        row
        for row in plan(N, D, recall=0.9, qps=1)
        if row.option.name.startswith("graph on SSD, 32")
    ]
    assert graph.shown == {"queries like the base": True, "texts": None}


def test_recall_at_a_billion_says_nothing_of_fifty_thousand():
    small = {row.option.kind: row for row in plan(50_000, D, recall=0.9, qps=1)}
    assert small.pop("exact").reaches is True
    assert all(row.evidence is None and row.reaches is None for row in small.values())
    assert any(
        row.evidence
        for row in plan(10**8, D, recall=0.9, qps=1)
        if row.option.kind == "graph on SSD"
    )


def test_machines_do_not_depend_on_the_recall_that_is_asked_for():
    assert {row.option.name: row.machines for row in plan(N, D, recall=0.6, qps=1000)} == {
        name: row.machines for name, row in ROWS.items()
    }


def test_evidence_of_ones_own_comes_first():
    mine = PublishedRecall("codes", 0.97, 0.9, "recall@10", 1e5, "here", "mine", code_bytes=64)
    rows = plan(N, D, recall=0.9, qps=1, evidence=[mine, *RECALLS])
    assert next(row for row in rows if row.option.name == "IVF-PQ, 64 bytes").reaches is True


def test_codes_that_do_not_divide_d_are_left_out():
    names = [option.name for option in options(1000, 6)]
    assert "Flat, float32" in names and not any("PQ" in name or "SSD" in name for name in names)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plan(N, D, recall=0.0, qps=1), "recall lies above 0 and at most at 1, got 0.0"),
        (lambda: plan(N, D, recall=0.9, qps=-1), "qps must be a finite number above 0, got -1"),
        (lambda: plan(0, D, recall=0.9, qps=1), "n must be at least 1"),
        (lambda: plan(N, D, recall=0.9, qps=1, replicas=0), "replicas must be at least 1"),
        (lambda: plan(N, D, recall=0.9, qps=1, nprobe=0), "nprobe must be at least 1"),
        (lambda: Machine(ram_gb=math.nan), "ram_gb must be a finite number above 0, got nan"),
        (lambda: Machine(cores=True), "cores must be a finite number above 0, got True"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(RetrievalInputError, match=message):
        call()
