"""What a contrastive loss costs, forward and backward, here and in the libraries that are used for
it.
"""

import math
import os
from collections.abc import Callable, Sequence

import numpy as np

from lib.core.checks import check_choice, check_count, check_number
from lib.studies.peers import comparison
from lib.studies.peers.comparison import INSTALL, beside_peer
from lib.studies.peers.isolated_process import Arrays, Cost, measure_alone
from lib.studies.peers.losses_systems import JOBS, PEER, System

BATCH_SIZES = (1024, 2048, 4096, 8192, 16384, 32768)
SYSTEMS_MODULE = "lib.studies.peers.losses_systems"
SHOWN = {
    "loss": "{}",
    "batch_size": "{:,}",
    "system": "{}",
    "seconds": "{:.3f}",
    "fastest_s": "{:.3f}",
    "slowest_s": "{:.3f}",
    "memory_mb": "{:,.0f}",
    "of_peer_seconds": "{:.2f}",
    "of_peer_memory": "{:.3f}",
    "difference": "{:.0e}",
    "repeats": "{}",
    "note": "{}",
}


def table(
    batch_sizes: Sequence[int] = BATCH_SIZES,
    *,
    dim: int = 512,
    repeats: int = 5,
    limit_s: float = 120.0,
    memory_bytes: float | None = None,
    systems: Sequence[str] | None = None,
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> list[dict]:
    """Seconds and peak memory of each loss by each library: one thread, float32, loss and all
    gradients.

    Every cell of the table is a process of its own. Seconds are processor time (see
    `measure_alone`): the page faults of large temporaries are in it, waiting for other programs is
    not. Memory is the peak of the resident set above the inputs; it holds the gradients of both
    embeddings, 8 B d bytes, which no implementation can do without. Embeddings are random unit
    vectors: the cost does not depend on them.

    Args:
        batch_sizes: B, pairs per batch; measured in ascending order.
        dim: d of the embeddings.
        repeats: timed runs of each; fewer where they would take longer than `limit_s` together,
            never none.
        limit_s: longest that a single run may take. What would take longer by its growth from the
            size before is left out, and what does take three times as long all the same is stopped.
        memory_bytes: what a system may need to be tried; by default 80% of what is free now.
        systems: names in `JOBS`; all by default. The peer of each loss is the unit of its ratios.
        seed: of the embeddings.
        progress: takes what comes next, how many cells of the table are done, and how many there
            are.

    Returns:
        Tidy rows: loss, batch_size, dim, system, seconds (median), fastest_s, slowest_s, memory_mb,
        of_peer_seconds and of_peer_memory (ratios to the peer's in the same run), difference (the
        largest relative one from the peer, of the values that `systems` returns), threads, repeats,
        note. Numbers are None where nothing was measured, and the note says why.

    Raises:
        RetrievalInputError: an unknown system, or a number out of range.
    """
    chosen = (
        list(JOBS) if systems is None else [check_choice(name, JOBS, "system") for name in systems]
    )
    sizes = sorted({check_count(size, "batch size") for size in batch_sizes})
    check_count(repeats, "repeats")
    check_count(dim, "dim", most=65_536)
    check_number(limit_s, "limit_s", 0, above=True)
    memory_bytes = 0.8 * free_bytes() if memory_bytes is None else memory_bytes
    before: dict[str, tuple[int, float]] = {}  # batch size and seconds of the last measurement
    rows = []
    for size in sizes:
        arrays = inputs(size, dim, seed)
        costs: dict[str, Cost] = {}
        for name in sorted(
            chosen, key=lambda name: name not in PEER.values()
        ):  # peers first: the ratios' unit
            system = JOBS[name]
            progress(f"{name}, {size:,} pairs", len(rows), len(sizes) * len(chosen))
            expected = _expected_seconds(system, size, before.get(name))
            note = _reason_to_skip(system, size, expected, limit_s, memory_bytes)
            if not note:
                affordable = max(1, min(repeats, int(limit_s / expected))) if expected else repeats
                try:
                    costs[name] = measure_alone(
                        SYSTEMS_MODULE, name, arrays, repeats=affordable, limit_s=3 * limit_s
                    )
                except TimeoutError as error:
                    note = str(error)
            peer = costs.get(PEER[system.loss])
            row = beside_peer(costs.get(name), peer)
            if row["seconds"] is not None:
                before[name] = size, row["seconds"]
            head = {"loss": system.loss, "batch_size": size, "dim": dim, "system": name}
            rows.append(head | row | {"threads": 1, "note": note})
    order = {name: place for place, name in enumerate(JOBS)}
    return sorted(
        rows, key=lambda row: (order[PEER[row["loss"]]], row["batch_size"], order[row["system"]])
    )


def inputs(batch_size: int, dim: int, seed: int = 0) -> Arrays:
    """Random unit embeddings of queries and keys, (B, d) float32 each."""
    rng = np.random.default_rng(seed)
    arrays = {
        name: rng.standard_normal((batch_size, dim), dtype=np.float32) for name in ("query", "key")
    }
    for rows in arrays.values():
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return arrays


def free_bytes() -> float:
    """Memory that a new process could take without swapping, where the system tells; infinite
    elsewhere.
    """
    try:
        with open("/proc/meminfo") as lines:
            return next(
                1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")
            )
    except (OSError, StopIteration):
        pages = ("SC_AVPHYS_PAGES", "SC_PAGE_SIZE")
        known = all(name in getattr(os, "sysconf_names", {}) for name in pages)
        return math.prod(float(os.sysconf(name)) for name in pages) if known else math.inf


def as_text(rows: Sequence[dict]) -> list[dict]:
    """The table for reading: the columns of `SHOWN`, empty where nothing was measured."""
    return comparison.as_text(rows, SHOWN)


def distributed_check_table(ranks: int, batch_size: int = 256, *, dim: int = 64) -> list[dict]:
    """Format how far losses over gloo processes are from the full batch, and what they exchange."""
    from lib.losses.distributed_check import compare_with_one_process  # torch, of no use above

    size = {"n_per_process": batch_size // ranks, "dim": dim}
    return [
        {
            "loss": row["loss"],
            "loss differs by": f"{row['loss_difference']:.0e}",
            "gradient differs by": f"{row['gradient_difference']:.0e}",
            "kB gathered by a process": f"{row['gathered_bytes'] / 1e3:,.1f}",
            "kB from its neighbour": f"{row['neighbour_bytes'] / 1e3:,.1f}",
        }
        for row in compare_with_one_process(ranks=ranks, **size)
    ]


def _expected_seconds(system: System, size: int, before: tuple[int, float] | None) -> float | None:
    return None if before is None else before[1] * (size / before[0]) ** system.growth


def _reason_to_skip(
    system: System, size: int, expected: float | None, limit_s: float, memory_bytes: float
) -> str:
    if not system.is_installed:
        return f"not installed: {INSTALL}"
    needed = system.bytes_at(size)
    if needed > memory_bytes:
        return (
            f"left out: it needs about {needed / 1e9:.0f} GB, the limit is"
            f" {memory_bytes / 1e9:.1f} GB"
        )
    if expected is not None and expected > limit_s:
        return f"left out: it would take about {expected:.0f} s, the limit is {limit_s:.0f} s"
    return ""
