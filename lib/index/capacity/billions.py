"""The ways to index n vectors, for n that no machine at hand can hold: bytes, and work per query.

Bytes follow from formulas that are equal to what faiss writes (`lib.index.capacity.sizes`) and
agree with published indexes of a billion vectors (`lib.index.capacity.machines`). Work per query
follows from the lists that are probed. Recall follows from neither.
"""

from dataclasses import dataclass

from lib.core.checks import check_count
from lib.index.capacity import sizes
from lib.index.capacity.estimates import (
    POINTS_A_CENTROID,
    cells_for,
    predicted_codes_scanned,
    training_flop,
)
from lib.index.capacity.machines import SECTOR, ssd_graph_bytes

FLAT_COARSE = 2**16  # fewer cells are compared one by one; an HNSW finds the nearest of more
IMBALANCE = (
    1.3  # of the lists of deep1B: 793,241,651 codes for 10,000 queries, 64 of 2^20 lists each
)
GRAPH_LINKS, SSD_DEGREE, SSD_CODE = 32, 64, 32
CODE_BYTES, RERANKED_CODE_BYTES = (8, 16, 32, 64, 128), (32, 64)
EXACT_AGAIN = 10  # candidates re-ranked per hit


@dataclass(frozen=True)
class Option:
    """One way to index the vectors, and what it takes whoever serves it.

    Args:
        name: for people; kind: what `PublishedRecall.kind` refers to; code_bytes: likewise.
        ram: bytes by part; ssd: bytes.
        vectors_read: bytes of whole vectors read from memory for a query; codes_read: of codes.
        ssd_reads: of 4 KiB for a query.
        training_flop: of the k-means that finds the cells.
        walks: whether it is a graph, which every shard walks from its own entry: work grows with
            shards.
        assumes: what the figures take for granted, in words.
    """

    name: str
    kind: str
    ram: dict[str, int]
    vectors_read: float
    codes_read: float = 0.0
    ssd: int = 0
    ssd_reads: float = 0.0
    training_flop: float = 0.0
    walks: bool = False
    code_bytes: int | None = None
    assumes: str = ""

    @property
    def ram_bytes(self) -> int:
        return sum(self.ram.values())

    @property
    def bytes_touched(self) -> float:
        """Bytes of memory that a query reads; `bytes_touched / bandwidth` is the least time it can
        take.
        """
        return self.vectors_read + self.codes_read


def options(
    n: int,
    d: int,
    *,
    nlist: int | None = None,
    nprobe: int = 64,
    ef: int = 128,
    imbalance: float = IMBALANCE,
    k: int = 10,
) -> list[Option]:
    """The ways to index n vectors of d dimensions, from exact to smallest.

    Args:
        n, d: vectors and their length.
        nlist: cells of inverted files; `cells_for(n)` when None.
        nprobe: cells probed by a query; all of them if there are fewer.
        ef: nodes a graph search remembers.
        imbalance: of the lists.
        k: hits; re-ranking reads ten times as many vectors.

    Returns:
        options whose codes divide d; for a d with few divisors fewer of them.
    """
    n, d = check_count(n, "n"), check_count(d, "d")
    nlist = cells_for(n) if nlist is None else check_count(nlist, "nlist")
    nprobe = min(check_count(nprobe, "nprobe"), nlist)
    scanned = predicted_codes_scanned(n, nlist, nprobe, imbalance)
    coarse, flop = (
        _coarse(nlist, d, nprobe),
        training_flop(nlist, d, min(n, POINTS_A_CENTROID * nlist)),
    )
    graph = sizes.coarse_graph(nlist, d) if nlist >= FLAT_COARSE else {}
    visited = check_count(ef, "ef") * 2 * GRAPH_LINKS
    again = EXACT_AGAIN * check_count(k, "k")
    cells = f"nlist {nlist:,}, nprobe {nprobe}"
    walk = f"{visited:,} distances at most: ef {ef} x {2 * GRAPH_LINKS} links, reads at random"
    found = [
        Option("Flat, float32", "exact", sizes.flat(n, d), 4.0 * n * d),
        Option("Flat, float16", "rounded", sizes.flat(n, d, 2), 2.0 * n * d),
        Option("Flat, int8", "rounded", sizes.flat(n, d, 1), 1.0 * n * d),
        Option(
            f"HNSW, {GRAPH_LINKS} links", "graph in memory", sizes.hnsw(n, d, GRAPH_LINKS),
            visited * (4.0 * d + 4), walks=True, assumes=walk,
        ),
        Option(
            "IVF, int8", "rounded in cells", sizes.ivf(n, d, nlist, 1) | graph, coarse + scanned * d,
            training_flop=flop, assumes=cells,
        ),
    ]  # fmt: skip
    for code_bytes in CODE_BYTES:
        if d % code_bytes == 0:
            parts = sizes.ivf_pq(n, d, nlist, code_bytes, rotate=True) | graph
            found.append(
                Option(
                    f"IVF-PQ, {code_bytes} bytes", "codes", parts, coarse, scanned * code_bytes,
                    training_flop=flop, code_bytes=code_bytes, assumes=cells,
                )
            )  # fmt: skip
    for code_bytes in RERANKED_CODE_BYTES:
        if d % (2 * code_bytes) == 0:
            parts = sizes.ivf_pq(n, d, nlist, code_bytes, rotate=True, fast_scan=True) | graph
            found.append(
                Option(
                    f"IVF-PQ fast scan, {code_bytes} bytes, re-ranked", "codes and re-ranking", parts, coarse,
                    scanned * code_bytes, ssd=4 * n * d, ssd_reads=again * -(-4 * d // SECTOR),
                    training_flop=flop,
                    assumes=f"{cells}; {again} raw vectors read from SSD",
                )
            )  # fmt: skip
    if d % SSD_CODE == 0:
        found.append(
            Option(
                f"graph on SSD, {SSD_CODE}-byte codes", "graph on SSD", sizes.pq(n, d, SSD_CODE), 0.0,
                float(ef * SSD_DEGREE * SSD_CODE), ssd=ssd_graph_bytes(n, d, SSD_DEGREE),
                ssd_reads=ef * -(-(4 * d + 4 + 4 * SSD_DEGREE) // SECTOR), walks=True,
                assumes=f"degree {SSD_DEGREE}; a read for each of {ef} nodes",
            )
        )  # fmt: skip
    return found


def _coarse(nlist: int, d: int, nprobe: int) -> float:
    """Bytes of centroids that a query reads: all, or what a graph walk with ef = 2 nprobe can
    meet.
    """
    return 4.0 * d * (nlist if nlist < FLAT_COARSE else min(nlist, 2 * nprobe * 2 * GRAPH_LINKS))
