"""Machines for an index of billions of vectors, and which resource decides how many.

Recall is not predicted: it is quoted where somebody measured it (`lib.index.capacity.machines`),
else unknown. Nor is latency, or what a network between shards costs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from lib.core.checks import RetrievalInputError, check_count
from lib.index.capacity.billions import Option, options
from lib.index.capacity.estimates import positive
from lib.index.capacity.machines import RECALLS, PublishedRecall

COMPARABLE = 10  # times as many vectors as planned for: recall measured there says nothing here
INT32 = 2**31  # faiss numbers the nodes of a graph with 32 bits


@dataclass(frozen=True)
class Machine:
    """One machine of a cluster; all are alike.

    Args:
        ram_gb: memory that the index may use, 10^9 bytes.
        cores: processor cores.
        bandwidth_gb_s: of memory, all cores together;
            `lib.studies.ann.capacity_table.measured_bandwidth` measures what one core gets.
        ssd_tb: disk that the index may use, 10^12 bytes; ssd_reads_s: random reads of 4 KiB a
            second.
        core_gb_s: vectors that a core compares a second, 10^9 bytes; 17 were measured with exact
            search.
        code_gb_s: product codes likewise; 0.7 lies between the two published faiss logs of a
            billion vectors (32 cores of 2.2 GHz: 73 million codes of 8 bytes a second and core, 24
            million of 32 bytes).
    """

    ram_gb: float = 192
    cores: int = 16
    bandwidth_gb_s: float = 100
    ssd_tb: float = 8
    ssd_reads_s: float = 500_000
    core_gb_s: float = 17
    code_gb_s: float = 0.7

    def __post_init__(self):
        for name, value in vars(self).items():
            positive(value, name)


@dataclass(frozen=True)
class Row:
    """An option on machines.

    Args:
        needs: machines by resource, not rounded; the largest binds.
        machines: whole machines, replicas included.
        evidence: published recall of this kind of option, if there is any for about as many
            vectors.
        shown: by kind of query, whether the evidence shows the recall that was asked for to be
            within reach.
    """

    option: Option
    needs: dict[str, float] = field(repr=False)
    machines: int
    evidence: PublishedRecall | None
    shown: dict[str, bool | None]

    @property
    def reaches(self) -> bool | None:
        """True where the recall is shown for all kinds of queries, False where for one it is out of
        reach.
        """
        if False in self.shown.values():
            return False
        return True if self.shown and all(self.shown.values()) else None

    @property
    def binds(self) -> str:
        """The resource that decides how many machines it takes."""
        return max(self.needs, key=self.needs.get)


def plan(
    n: int,
    d: int,
    *,
    recall: float,
    qps: float,
    machine: Machine | None = None,
    replicas: int = 1,
    evidence: Sequence[PublishedRecall] = RECALLS,
    **settings,
) -> list[Row]:
    """Machines for every option.

        machines = replicas ceil max( bytes / RAM, qps bytes_touched / bandwidth, qps cpu_s / cores,
        ... )

    Queries are taken one by one: a batch of exact searches would read the gallery once for all of
    them. A graph is walked once in each shard.

    Args:
        n, d: vectors and their length.
        recall: asked for, 0 to 1. It decides nothing but what `reaches` says of `evidence`.
        qps: queries a second.
        machine: what one machine has.
        replicas: whole copies of the index, each able to serve all queries alone.
        evidence: recall that somebody measured, published by default; add your own. What was
            measured with more than ten times as many vectors is left out.
        settings: as `options` takes them.

    Raises:
        RetrievalInputError: what is not positive, or a recall outside 0 to 1.
    """
    if isinstance(recall, bool) or not isinstance(recall, float | int) or not 0 < recall <= 1:
        raise RetrievalInputError(f"recall lies above 0 and at most at 1, got {recall!r}")
    positive(qps, "qps")
    check_count(replicas, "replicas")
    machine = machine or Machine()
    evidence = [known for known in evidence if known.n <= COMPARABLE * check_count(n, "n")]
    rows = []
    for option in options(n, d, **settings):
        needs = _needs(option, n, qps, machine)
        known = next(
            (e for e in evidence if (e.kind, e.code_bytes) == (option.kind, option.code_bytes)),
            None,
        )
        machines = replicas * math.ceil(max(needs.values()))
        rows.append(Row(option, needs, machines, known, known.reaches(recall) if known else {}))
    return rows


def _needs(option: Option, n: int, qps: float, machine: Machine) -> dict[str, float]:
    held = {"memory": option.ram_bytes / (machine.ram_gb * 1e9)}
    if option.ssd:
        held["SSD space"] = option.ssd / (machine.ssd_tb * 1e12)
    if option.kind == "graph in memory":
        held["32-bit positions"] = n / INT32
    walked = math.ceil(max(held.values())) if option.walks else 1
    cpu_s = option.vectors_read / (machine.core_gb_s * 1e9) + option.codes_read / (
        machine.code_gb_s * 1e9
    )
    work = {
        "memory bandwidth": qps * walked * option.bytes_touched / (machine.bandwidth_gb_s * 1e9),
        "cores": qps * walked * cpu_s / machine.cores,
    }
    if option.ssd_reads:
        work["SSD reads"] = qps * walked * option.ssd_reads / machine.ssd_reads_s
    return held | work
