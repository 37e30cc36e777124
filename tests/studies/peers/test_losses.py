"""The rows of the cost table, and that its systems compute the same; what they took is nobody's
business.
"""

import pytest

from lib.core.checks import RetrievalInputError
from lib.studies.peers import harness
from lib.studies.peers import losses as loss_cost
from lib.studies.peers.harness import Cost, Job, measure_alone
from lib.studies.peers.losses import BOTH, JOBS, ONE_WAY, PEER, SIGMOID

GB = 10**9


def values_of(name, arrays):
    system = JOBS[name]
    if system.library:
        pytest.importorskip(system.library, reason=f"{system.library} is optional")
    return system.run(system.prepare(arrays))


@pytest.mark.parametrize("name", [name for name in JOBS if name not in PEER.values()])
def test_a_system_computes_what_its_peer_computes(name):
    arrays = loss_cost.loss_inputs(100, 16)
    found, expected = values_of(name, arrays), values_of(PEER[JOBS[name].loss], arrays)
    shared = found.keys() & expected.keys()
    assert shared >= {"loss", "query", "key"}
    for value in shared:
        assert found[value] == pytest.approx(expected[value], rel=1e-5), value


def test_inputs_are_unit_rows_that_the_gradients_do_not_overwrite():
    arrays = loss_cost.loss_inputs(8, 4)
    assert {name: rows.shape for name, rows in arrays.items()} == {"query": (8, 4), "key": (8, 4)}
    assert (arrays["query"] ** 2).sum(axis=1) == pytest.approx(1, abs=1e-6)
    before = arrays["query"].copy()
    values_of("ours, both", arrays)
    assert (arrays["query"] == before).all()
    assert len(JOBS["ours, both"].small(arrays)["key"]) == 8


# ---- the table, with costs that are made up


def made_up(seconds_at, memory_at):
    calls = []

    def measure(module, key, arrays, *, repeats, limit_s):
        size = len(arrays["query"])
        calls.append((key, size, repeats))
        seconds = seconds_at(key, size)
        return Cost([0.0] * repeats, [seconds] * repeats, memory_at(key, size), {"loss": 2.0})

    return measure, calls


@pytest.fixture
def table(monkeypatch):
    def run(sizes, *, seconds_at=lambda key, size: 1.0, memory_at=lambda key, size: GB, **options):
        measure, calls = made_up(seconds_at, memory_at)
        monkeypatch.setattr(harness, "measure_alone", measure)
        monkeypatch.setattr(Job, "is_installed", True)
        rows = loss_cost.loss_cost_table(sizes, dim=2, memory_bytes=10 * GB, **options)
        return {(row["system"], row["batch_size"]): row for row in rows}, calls

    return run


def test_ratios_are_to_the_peer_of_the_same_loss_and_size(table):
    rows, calls = table(
        [16],
        seconds_at=lambda key, size: {"open_clip ClipLoss": 4.0, "ours, both, blocked": 1.0}.get(
            key, 2.0
        ),
        memory_at=lambda key, size: GB // 20 if "blocked" in key else GB,
    )
    blocked = rows["ours, both, blocked", 16]
    assert (blocked["of_peer_seconds"], blocked["of_peer_memory"]) == (0.25, 0.05)
    assert (blocked["seconds"], blocked["memory_mb"], blocked["difference"]) == (1.0, 50.0, 0.0)
    assert rows["ours, sigmoid", 16]["of_peer_seconds"] == 1.0
    assert rows["open_clip ClipLoss", 16]["of_peer_seconds"] == 1.0
    assert {row["threads"] for row in rows.values()} == {1} and len(rows) == len(calls) == len(JOBS)


def test_rows_come_by_loss_then_size_and_sizes_ascend(table):
    rows, calls = table([32, 16, 16])
    assert [size for _, size, _ in calls] == sorted(size for _, size, _ in calls)
    losses = [row["loss"] for row in rows.values()]
    assert list(dict.fromkeys(losses)) == [BOTH, ONE_WAY, SIGMOID] and losses == sorted(
        losses, key=losses.index
    )


def test_what_does_not_fit_is_left_out_and_says_so(table):
    rows, calls = table([2048, 65536], limit_s=1e6)
    left_out = rows["open_clip ClipLoss", 65536]
    assert left_out["seconds"] is None and "about 86 GB, the limit is 10.0 GB" in left_out["note"]
    assert rows["pytorch-metric-learning NTXent", 2048]["note"].startswith("left out: it needs")
    blocked = rows["ours, both, blocked", 65536]
    assert blocked["seconds"] == 1.0 and blocked["of_peer_seconds"] is None
    assert ("open_clip ClipLoss", 65536) not in {call[:2] for call in calls}


def test_what_would_take_too_long_is_left_out_and_repeats_shrink_before_that(table):
    rows, calls = table(
        [16, 32, 64],
        seconds_at=lambda key, size: (size / 16) ** 2 if "blocked" in key else 0.1,
        limit_s=10.0,
        repeats=5,
    )
    blocked = [repeats for key, _, repeats in calls if key == "ours, both, blocked"]
    assert blocked == [5, 2]  # 4 s expected of 10; then 16 s, not tried
    note = rows["ours, both, blocked", 64]["note"]
    assert note == "left out: it would take about 16 s, the limit is 10 s"


def test_free_memory_is_known_or_without_limit():
    assert loss_cost.free_bytes() > 10**6


# ---- in a process of its own


@pytest.mark.slow
def test_a_system_is_measured_alone():
    arrays = loss_cost.loss_inputs(8192, 8)
    cost = measure_alone("lib.studies.peers.losses", "ours, both, blocked", arrays, repeats=1)
    assert cost.values["loss"] == pytest.approx(values_of("ours, both, blocked", arrays)["loss"])
    # Both gradients are 0.5 MB, two tiles 8 MB, and libraries warm up by some 10 MB; one matrix
    # would be 268.
    assert 8e6 < cost.memory < 80e6


def test_refuses():
    with pytest.raises(RetrievalInputError, match="system must be one of .*got 'ours'"):
        loss_cost.loss_cost_table([16], systems=["ours"])
    with pytest.raises(RetrievalInputError, match="batch size must be at least 1"):
        loss_cost.loss_cost_table([0])
    for options in ({"dim": 0}, {"dim": -1}, {"dim": 10**9}):
        with pytest.raises(RetrievalInputError, match="dim must be at (least 1|most 65,536)"):
            loss_cost.loss_cost_table([16], **options)
    for limit in (0, -1, float("nan"), float("inf")):
        with pytest.raises(RetrievalInputError, match="limit_s must be a finite number above 0"):
            loss_cost.loss_cost_table([16], limit_s=limit)
