"""Plan the machines for an index of billions of vectors, and compare with published figures.

Recall is not predicted. It depends on the vectors and on the queries, so it is quoted where
somebody measured it, with the conditions. Latency and the network between shards are not modelled.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from lib.core.checks import check_count, check_number
from lib.core.paths import data_dir
from lib.index.capacity import sizes
from lib.index.capacity.index_choices import IndexChoice, index_choices

COMPARABLE = 10  # recall measured on more than 10 times as many vectors as planned is left out
INT32 = 2**31  # faiss numbers the nodes of a graph with 32 bits


@dataclass(frozen=True)
class Machine:
    """One machine of a cluster; all are alike.

    Args:
        ram_gb: memory that the index may use, 10^9 bytes.
        cores: processor cores.
        bandwidth_gb_s: of memory, all cores together.
        ssd_tb: disk that the index may use, 10^12 bytes.
        ssd_reads_s: random reads of 4 KiB per second.
        core_gb_s: 10^9 bytes of vectors that a core compares per second; 17 were measured with
            exact search.
        code_gb_s: product codes likewise; 0.7 lies between the two published faiss logs of a
            billion vectors (32 cores of 2.2 GHz: 73 million codes of 8 bytes per second and core,
            24 million of 32 bytes).
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
            check_number(value, name, 1e-18, 1e18)


@dataclass(frozen=True)
class PublishedRecall:
    """Recall at scale, as published."""

    kind: str  # of the index, as in `IndexChoice`, like code_bytes
    recall: float | None  # on queries like the base; None where not published
    text_recall: float | None  # on text queries over images
    measure: str  # definition of recall in the source
    n: float  # vectors
    conditions: str
    source: str
    code_bytes: int | None = None
    ceiling: bool = False  # the most that any search effort reached, not one point of a curve

    def reaches(self, target: float) -> dict[str, bool | None]:
        """Return by kind of query whether the target is reachable; None when it is not known."""
        recalls = {"queries like the base": self.recall, "texts": self.text_recall}
        beyond = False if self.ceiling else None
        return {
            kind: None if value is None else True if value >= target else beyond
            for kind, value in recalls.items()
        }


@dataclass(frozen=True)
class MachinePlan:
    """Machines that an index option needs."""

    option: IndexChoice
    needs: dict[str, float] = field(repr=False)  # machines by resource; the largest decides
    machines: int  # whole ones, replicas included
    evidence: PublishedRecall | None  # for this kind of index and as many vectors
    shown: dict[str, bool | None]  # by kind of query: whether the evidence reaches the target

    @property
    def reaches(self) -> bool | None:
        """True if the recall is shown for all kinds of queries, False if for one it is too high."""
        if False in self.shown.values():
            return False
        return True if self.shown and all(self.shown.values()) else None

    @property
    def binds(self) -> str:
        """Resource that decides the number of machines."""
        return max(self.needs, key=self.needs.get)


def plan_machines(
    n: int,
    d: int,
    *,
    recall: float,
    qps: float,
    machine: Machine | None = None,
    replicas: int = 1,
    evidence: Sequence[PublishedRecall] | None = None,
    **settings,
) -> list[MachinePlan]:
    """Compute the machines that every index option needs.

        machines = replicas ceil max( bytes / RAM, qps bytes_touched / bandwidth, qps cpu_s / cores,
        ... )

    Queries come one by one: a batch of exact searches would read the gallery once for all of them.
    A graph is walked once in each shard.

    Args:
        n, d: vectors and their length.
        recall: target, above 0 and at most 1. It is only compared with `evidence`.
        qps: queries per second.
        machine: resources of one machine.
        replicas: whole copies of the index, each able to serve all queries alone.
        evidence: measured recalls, `published_recalls()` when None; add your own. Recall measured
            on more than ten times as many vectors is left out.
        settings: as for `index_choices`.
    """
    check_number(recall, "recall", 0, 1, above=True)
    check_number(qps, "qps", 1e-18, 1e18)
    check_count(replicas, "replicas")
    machine = machine or Machine()
    evidence = published_recalls() if evidence is None else evidence
    evidence = [known for known in evidence if known.n <= COMPARABLE * check_count(n, "n")]
    plans = []
    for option in index_choices(n, d, **settings):
        needs = _needs(option, n, qps, machine)
        index = option.kind, option.code_bytes
        known = next((one for one in evidence if (one.kind, one.code_bytes) == index), None)
        machines = replicas * math.ceil(max(needs.values()))
        shown = known.reaches(recall) if known else {}
        plans.append(MachinePlan(option, needs, machines, known, shown))
    return plans


def _needs(option: IndexChoice, n: int, qps: float, machine: Machine) -> dict[str, float]:
    """Machines by resource; storage decides the shards, and every shard walks its own graph."""
    storage = {"memory": option.ram_bytes / (machine.ram_gb * 1e9)}
    if option.ssd:
        storage["SSD space"] = option.ssd / (machine.ssd_tb * 1e12)
    if option.kind == "graph in memory":
        storage["32-bit positions"] = n / INT32
    walks = math.ceil(max(storage.values())) if option.walks else 1
    cpu_s = option.vectors_read / (machine.core_gb_s * 1e9)
    cpu_s += option.codes_read / (machine.code_gb_s * 1e9)
    work = {
        "memory bandwidth": qps * walks * option.bytes_touched / (machine.bandwidth_gb_s * 1e9),
        "cores": qps * walks * cpu_s / machine.cores,
    }
    if option.ssd_reads:
        work["SSD reads"] = qps * walks * option.ssd_reads / machine.ssd_reads_s
    return storage | work


# ---- published figures


@dataclass(frozen=True)
class SizeCheck:
    """Published size beside that of the formula, both in bytes."""

    index: str
    formula: int
    published: float
    source: str
    rounded: bool = False  # published as a round "GB" of an unknown unit, 2^30 or 10^9

    @property
    def ratio(self) -> float:
        return self.formula / self.published


def published_sizes() -> list[SizeCheck]:
    """Compare the byte formulas with sizes that others published.

    The faiss logs give sizes to the byte. Their indexes hold an HNSW of 32 links over the
    centroids, 4-bit codes in lists padded to 32, and (OPQ) a rotation to 64 dimensions. Where a
    source says "GB" without a unit, the one that fits better is taken: 2^30 for autofaiss and the
    graphs, 10^9 for LAION. The graphs fit vectors of uint8, as in SIFT.
    """
    return [
        SizeCheck(
            row["index"],
            _formula_bytes(row),
            float(row["bytes"]),
            row["source"],
            row["rounded"] == "yes",
        )  # fmt: skip
        for row in _published_table("index_sizes.csv")
    ]


def published_recalls() -> list[PublishedRecall]:
    """Read the published recalls of indexes of up to a billion vectors."""
    return [
        PublishedRecall(
            row["kind"],
            _number(row["recall"]),
            _number(row["text_recall"]),
            row["measure"],
            float(row["n"]),
            row["conditions"],
            row["source"],
            _number(row["code_bytes"]),
            row["ceiling"] == "yes",
        )  # fmt: skip
        for row in _published_table("index_recalls.csv")
    ]


def _number(text: str) -> float | None:
    return float(text) if text else None


def _published_table(name: str) -> list[dict[str, str]]:
    with open(data_dir() / "published" / name, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _formula_bytes(row: dict[str, str]) -> int:
    """Bytes of a row of index_sizes.csv by its formula, from the numbers that the row gives."""
    numbers = ("n", "d", "nlist", "code_bytes", "rotated_from", "degree", "item")
    n, d, nlist, code_bytes, rotated_from, degree, item = (int(row[name] or 0) for name in numbers)
    match row["formula"]:
        case "flat":
            return sizes.flat(n, d, item)["vectors"]
        case "codes and ids":
            return n * (code_bytes + 8)
        case "graph on SSD":
            return sizes.ssd_graph_bytes(n, d, degree, item)
    fast_scan, graph = row["fast_scan"] == "yes", row["coarse_graph"] == "yes"
    parts = sizes.ivf_pq(n, d, nlist, code_bytes, fast_scan=fast_scan)
    parts |= sizes.coarse_graph(nlist, d) if graph else {}
    return sum(parts.values()) + 4 * rotated_from * d
