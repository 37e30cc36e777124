"""Ways to index n vectors, for n that no machine at hand can hold: bytes, and work per query.

Bytes follow from the formulas of `lib.index.capacity.sizes`, which agree with published indexes of
a billion vectors (`lib.index.capacity.machines`). Work follows from the lists that are probed.
Recall follows from neither.
"""

import math
from dataclasses import dataclass

from lib.core.checks import RetrievalInputError, check_count, check_number
from lib.index.capacity import sizes
from lib.index.capacity.sizes import SECTOR, ssd_graph_bytes

POINTS_A_CENTROID, ITERATIONS = 64, 10  # of k-means on billions of vectors
LEAST_POINTS = 39  # per centroid; with fewer faiss warns
FLAT_COARSE = 2**16  # fewer cells are compared one by one; an HNSW finds the nearest of more
# Of the lists of deep1B: 793,241,651 codes for 10,000 queries, 64 of 2^20 lists each.
IMBALANCE = 1.3
GRAPH_LINKS, SSD_DEGREE, SSD_CODE = 32, 64, 32
CODE_BYTES, RERANKED_CODE_BYTES = (8, 16, 32, 64, 128), (32, 64)
RERANKED_PER_HIT = 10


@dataclass(frozen=True)
class IndexChoice:
    """One way to index the vectors, with its bytes and its work."""

    name: str
    kind: str  # compared with `PublishedRecall.kind`, like code_bytes
    ram: dict[str, int]  # bytes by part
    vectors_read: float  # bytes of whole vectors that a query reads from memory
    codes_read: float = 0.0  # bytes of codes, likewise
    ssd: int = 0  # bytes
    ssd_reads: float = 0.0  # of 4 KiB, per query
    training_flop: float = 0.0  # of the k-means that finds the cells
    walks: bool = False  # a graph, which every shard walks for itself
    code_bytes: int | None = None
    nlist: int = 0  # cells of an inverted file
    assumes: str = ""  # the assumptions of the figures, in words

    @property
    def ram_bytes(self) -> int:
        return sum(self.ram.values())

    @property
    def bytes_touched(self) -> float:
        """Bytes of memory that a query reads; divided by the bandwidth, the least time it takes."""
        return self.vectors_read + self.codes_read


def index_choices(
    n: int,
    d: int,
    *,
    nlist: int | None = None,
    nprobe: int = 64,
    ef: int = 128,
    imbalance: float = IMBALANCE,
    k: int = 10,
) -> list[IndexChoice]:
    """List the ways to index n vectors of d dimensions, from exact to smallest.

    Args:
        n, d: vectors and their length.
        nlist: cells of inverted files; `cells_for(n)` when None.
        nprobe: cells probed by a query; all of them if there are fewer.
        ef: length of the list of a graph search.
        imbalance: of the lists, see `predicted_codes_scanned`.
        k: hits; re-ranking reads ten times as many vectors.

    Returns:
        Only options with codes that divide d.
    """
    n, d = check_count(n, "n"), check_count(d, "d")
    nlist = cells_for(n) if nlist is None else check_count(nlist, "nlist")
    nprobe = min(check_count(nprobe, "nprobe"), nlist)
    scanned = predicted_codes_scanned(n, nlist, nprobe, imbalance)
    coarse = _coarse_bytes_read(nlist, d, nprobe)
    flop = training_flop(nlist, d, min(n, POINTS_A_CENTROID * nlist))
    graph = sizes.coarse_graph(nlist, d) if nlist >= FLAT_COARSE else {}
    visited = check_count(ef, "ef") * 2 * GRAPH_LINKS
    reranked = RERANKED_PER_HIT * check_count(k, "k")
    cells = f"nlist {nlist:,}, nprobe {nprobe}"
    walk = f"{visited:,} distances at most: ef {ef} x {2 * GRAPH_LINKS} links, reads at random"
    options = [
        IndexChoice("Flat, float32", "exact", sizes.flat(n, d), 4.0 * n * d),
        IndexChoice("Flat, float16", "rounded", sizes.flat(n, d, 2), 2.0 * n * d),
        IndexChoice("Flat, int8", "rounded", sizes.flat(n, d, 1), 1.0 * n * d),
        IndexChoice(
            f"HNSW, {GRAPH_LINKS} links", "graph in memory", sizes.hnsw(n, d, GRAPH_LINKS),
            visited * (4.0 * d + 4), walks=True, assumes=walk,
        ),
        IndexChoice(
            "IVF, int8", "rounded in cells", sizes.ivf(n, d, nlist, 1) | graph,
            coarse + scanned * d, training_flop=flop, nlist=nlist, assumes=cells,
        ),
    ]  # fmt: skip
    options += [
        IndexChoice(
            f"IVF-PQ, {code_bytes} bytes", "codes",
            sizes.ivf_pq(n, d, nlist, code_bytes, rotate=True) | graph, coarse,
            scanned * code_bytes, training_flop=flop, code_bytes=code_bytes, nlist=nlist,
            assumes=cells,
        )
        for code_bytes in CODE_BYTES
        if d % code_bytes == 0
    ]  # fmt: skip
    options += [
        IndexChoice(
            f"IVF-PQ fast scan, {code_bytes} bytes, re-ranked", "codes and re-ranking",
            sizes.ivf_pq(n, d, nlist, code_bytes, rotate=True, fast_scan=True) | graph, coarse,
            scanned * code_bytes, ssd=4 * n * d, ssd_reads=reranked * -(-4 * d // SECTOR),
            training_flop=flop, nlist=nlist,
            assumes=f"{cells}; {reranked} raw vectors read from SSD",
        )
        for code_bytes in RERANKED_CODE_BYTES
        if d % (2 * code_bytes) == 0
    ]  # fmt: skip
    if d % SSD_CODE == 0:
        sectors = -(-(4 * d + 4 + 4 * SSD_DEGREE) // SECTOR)
        options.append(
            IndexChoice(
                f"graph on SSD, {SSD_CODE}-byte codes", "graph on SSD", sizes.pq(n, d, SSD_CODE),
                0.0, float(ef * SSD_DEGREE * SSD_CODE), ssd=ssd_graph_bytes(n, d, SSD_DEGREE),
                ssd_reads=ef * sectors, walks=True,
                assumes=f"degree {SSD_DEGREE}; a read for each of {ef} nodes",
            )
        )  # fmt: skip
    return options


def predicted_codes_scanned(n: int, nlist: int, nprobe: int, imbalance: float = 1.0) -> float:
    """Predict the codes (or vectors) that a query meets: `nprobe n / nlist imbalance`, n at most.

    A search of an inverted file counts them as `work["codes"]` or `work["distances"]`.

    Args:
        imbalance: `nlist sum_c n_c^2 / n^2` for n_c vectors in cell c, at least 1: how much longer
            the list of a random vector is than the mean list. Queries that lie where the base is
            dense meet long lists; text queries may meet others.
    """
    n, nlist = check_count(n, "n"), check_count(nlist, "nlist")
    if check_count(nprobe, "nprobe") > nlist:
        raise RetrievalInputError(f"nprobe = {nprobe} is more than the {nlist} cells")
    return min(n, nprobe * n / nlist * check_number(imbalance, "imbalance", 1e-18, 1e18))


def training_flop(
    nlist: int, d: int, n_train: int | None = None, iterations: int = ITERATIONS
) -> float:
    """Count the operations of k-means over all pairs: `2 n_train nlist d iterations`.

    `n_train` is 64 nlist when None, so the cost grows with nlist^2; two-level k-means avoids that.
    """
    n_train = POINTS_A_CENTROID * nlist if n_train is None else n_train
    return 2.0 * n_train * nlist * d * iterations


def cells_for(n: int) -> int:
    """Choose the cells of an inverted file of n vectors: a power of two that n can train.

        below 1M: at most min(4 sqrt(n), n / 39)
        from 1M: 2^16, from 10M: 2^18, from 100M: 2^20

    Reference: facebookresearch/faiss wiki, "Guidelines to choose an index".
    """
    n = check_count(n, "n")
    for least, nlist in ((10**8, 2**20), (10**7, 2**18), (10**6, 2**16)):
        if n >= max(least, LEAST_POINTS * nlist):
            return nlist
    return 2 ** int(math.log2(max(1, min(4 * math.sqrt(n), n / LEAST_POINTS))))


def _coarse_bytes_read(nlist: int, d: int, nprobe: int) -> float:
    """Count the bytes of centroids that a query reads: all, or those of a walk with ef 2 nprobe."""
    return 4.0 * d * (nlist if nlist < FLAT_COARSE else min(nlist, 2 * nprobe * 2 * GRAPH_LINKS))
