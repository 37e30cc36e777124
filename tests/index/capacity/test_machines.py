"""Published sizes against the formulas, and machines against numbers computed by hand."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lib.index.capacity.machines import (
    Machine,
    PublishedRecall,
    plan_machines,
    published_recalls,
    published_sizes,
)
from lib.index.capacity.sizes import ssd_graph_bytes
from tests.index.oracle import refused

N, D = 5_850_000_000, 512
ROWS = {row.option.name: row for row in plan_machines(N, D, recall=0.95, qps=1000)}


def test_formulas_meet_published_sizes():
    checks = published_sizes()
    assert len(checks) == 14
    far = [c for c in checks if abs(c.ratio - 1) > (0.02 if c.rounded else 0.001)]
    assert far == []


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


def test_a_graph_is_walked_in_every_shard():
    row = ROWS["HNSW, 32 links"]
    expected = 1000 * 71 * row.option.bytes_touched / 100e9
    assert row.needs["memory bandwidth"] == pytest.approx(expected)
    assert row.needs["32-bit positions"] == N / 2**31


def test_replicas_multiply_whole_copies():
    twice = plan_machines(N, D, recall=0.95, qps=1000, replicas=2)
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
        rows = plan_machines(
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
    easier = {row.option.name: row.reaches for row in plan_machines(N, D, recall=0.6, qps=1)}
    assert easier["IVF-PQ, 32 bytes"] is False  # 0.069 is the most that text queries reach
    assert easier["graph on SSD, 32-byte codes"] is None  # 0.489 of texts at one speed
    (graph,) = [
        row
        for row in plan_machines(N, D, recall=0.9, qps=1)
        if row.option.name.startswith("graph on SSD, 32")
    ]
    assert graph.shown == {"queries like the base": True, "texts": None}


def test_recall_at_a_billion_says_nothing_of_fifty_thousand():
    small = {row.option.kind: row for row in plan_machines(50_000, D, recall=0.9, qps=1)}
    assert small.pop("exact").reaches is True
    assert all(row.evidence is None and row.reaches is None for row in small.values())
    assert any(
        row.evidence
        for row in plan_machines(10**8, D, recall=0.9, qps=1)
        if row.option.kind == "graph on SSD"
    )


def test_machines_do_not_depend_on_the_recall_that_is_asked_for():
    assert {row.option.name: row.machines for row in plan_machines(N, D, recall=0.6, qps=1000)} == {
        name: row.machines for name, row in ROWS.items()
    }


def test_evidence_of_ones_own_comes_first():
    mine = PublishedRecall("codes", 0.97, 0.9, "recall@10", 1e5, "here", "mine", code_bytes=64)
    rows = plan_machines(N, D, recall=0.9, qps=1, evidence=[mine, *published_recalls()])
    assert next(row for row in rows if row.option.name == "IVF-PQ, 64 bytes").reaches is True


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: plan_machines(N, D, recall=0.0, qps=1),
            r"recall must be between 0 and 1 \(not 0\), got 0.0",
        ),
        (
            lambda: plan_machines(N, D, recall=0.9, qps=-1),
            "qps must be between 1e-18 and 1e.18, got -1",
        ),
        (lambda: plan_machines(0, D, recall=0.9, qps=1), "n must be at least 1"),
        (lambda: plan_machines(N, D, recall=0.9, qps=1, replicas=0), "replicas must be at least 1"),
        (lambda: Machine(ram_gb=math.nan), "ram_gb must be between .*got nan"),
        (lambda: Machine(cores=True), "cores must be between .*got True"),
    ],
)
def test_bad_input(call, message):
    with refused(message):
        call()
