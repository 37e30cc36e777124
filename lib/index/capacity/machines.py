"""Published figures of indexes of millions to billions of vectors: sizes to check formulas by, and
recall.

Sizes are compared with `lib.index.capacity.sizes`. Recall is not predicted by anything here: it
depends on the vectors and on the queries, so it is quoted, with the conditions it was measured
under.
"""

from dataclasses import dataclass

from lib.index.capacity import sizes

LOGS = "facebookresearch/faiss wiki, bench_all_ivf_logs-{} (2021)"
SECTOR = 4096  # bytes that a disk reads at once
BIG_ANN = "harsha-simhadri/big-ann-benchmarks, NeurIPS 2021, tracks 1 and 2"


@dataclass(frozen=True)
class SizeCheck:
    """A published size beside the formula's.

    Args:
        what: the index; model, published: bytes; source: where it was published.
        rounded: whether it was published as a round "GB", whose unit we have to guess.
    """

    what: str
    model: float
    published: float
    source: str
    rounded: bool = False

    @property
    def ratio(self) -> float:
        """Model / published."""
        return self.model / self.published


@dataclass(frozen=True)
class ScanCheck:
    """Codes that the queries of a faiss log met, all together.

    Args:
        dataset: of the log; n: vectors; nlist, nprobe: of the inverted file; codes: for 10,000
            queries.
    """

    dataset: str
    n: int
    nlist: int
    nprobe: int
    codes: int

    @property
    def imbalance(self) -> float:
        """Codes met over what lists of equal length would have held; 1.09 to 1.36 in these logs."""
        return self.codes / (10_000 * self.nprobe * self.n / self.nlist)


@dataclass(frozen=True)
class PublishedRecall:
    """Recall at scale, as published.

    Args:
        kind: the kind of option, as `billions.Option.kind`; code_bytes: of codes, where their size
            decides.
        recall: on queries like the base; text_recall: on text queries over images; None where not
            published.
        measure: what recall means there; n: vectors; conditions, source: in words.
        ceiling: whether `recall` is the most that any search effort reached; else it is one point
            of a curve.
    """

    kind: str
    recall: float | None
    text_recall: float | None
    measure: str
    n: float
    conditions: str
    source: str
    code_bytes: int | None = None
    ceiling: bool = False

    def reaches(self, target: float) -> dict[str, bool | None]:
        """Whether the target is within reach, or out of it, by kind of query; None when neither is
        shown.
        """
        kinds = {"queries like the base": self.recall, "texts": self.text_recall}
        beyond = False if self.ceiling else None
        return {
            kind: None if value is None else True if value >= target else beyond
            for kind, value in kinds.items()
        }


def published_checks() -> list[SizeCheck]:
    """The byte formulas beside sizes that others published.

    The faiss logs give sizes to the byte; their indexes hold an HNSW of 32 links over the
    centroids, 4-bit codes in lists padded to 32, and (OPQ) a rotation to 64 dimensions. Where a
    source says "GB" its unit is not known, and the one that fits better is taken: 2^30 for
    autofaiss and the graphs, 10^9 for LAION. The graphs fit vectors of uint8, as SIFT has them.
    """
    million, billion = 10**6, 10**9
    rows = [
        (
            "deep1M, OPQ16_64,IVF1024,PQ16x4fs",
            _ivf_pq(million, 64, 1024, 8, 96, graph=False),
            16_434_455,
        ),
        ("deep1M, OPQ16_64,IVF4096_HNSW32,PQ16x4fs", _ivf_pq(million, 64, 4096, 8, 96), 18_761_292),
        (
            "deep10M, OPQ16_64,IVF16384_HNSW32,PQ16x4fs",
            _ivf_pq(10 * million, 64, 2**14, 8, 96),
            170_984_396,
        ),
        (
            "bigann10M, OPQ16_64,IVF16384_HNSW32,PQ16x4fs",
            _ivf_pq(10 * million, 64, 2**14, 8, 128),
            170_987_980,
        ),
        ("deep10M, IVF16384_HNSW32,PQ48x4fs", _ivf_pq(10 * million, 96, 2**14, 24), 337_169_797),
        (
            "deep100M, OPQ16_64,IVF1048576_HNSW32,PQ16x4fs",
            _ivf_pq(billion // 10, 64, 2**20, 8, 96),
            2_301_974_476,
        ),
        (
            "bigann100M, OPQ16_64,IVF1048576_HNSW32,PQ16x4fs",
            _ivf_pq(billion // 10, 64, 2**20, 8, 128),
            2_300_930_252,
        ),
        (
            "deep1B, OPQ16_64,IVF1048576_HNSW32,PQ16x4fsr",
            _ivf_pq(billion, 64, 2**20, 8, 96),
            16_700_933_580,
        ),
        (
            "bigann1B, OPQ16_64,IVF1048576_HNSW32,PQ16x4fsr",
            _ivf_pq(billion, 64, 2**20, 8, 128),
            16_700_657_356,
        ),
    ]
    checks = [
        SizeCheck(what, model, size, LOGS.format(what.split(",")[0])) for what, model, size in rows
    ]
    laion = 5_850_000_000
    autofaiss = _ivf_pq(5_550_336_490, 168, 131_072, 24, 768, fast_scan=False)
    return [
        *checks,
        SizeCheck(
            "LAION-5B, OPQ24_168,IVF131072_HNSW32,PQ24x8", autofaiss, 168 * 2**30,
            "criteo/autofaiss, docs/distributed/distributed_autofaiss.md: 168GB", rounded=True,
        ),
        SizeCheck(
            "LAION-5B, codes of 128 bytes and ids", laion * (128 + 8), 800e9,
            "rom1504/laion-prepro, laion5B/index/laion5B_pq128.py: 800G", rounded=True,
        ),
        SizeCheck("LAION-5B, 768 x float16", 2 * 768 * laion, 9e12, "LAION-5B, 2022: 9TB", True),
        SizeCheck(
            "SIFT1B, DiskANN of degree 128", ssd_graph_bytes(billion, 128, 128, item=1), 636 * 2**30,
            "Hugging Face, Nanvivi/SIFT1B-DiskANN (2026): 636GB", rounded=True,
        ),
        SizeCheck(
            "SIFT100M, DiskANN of degree 96", ssd_graph_bytes(billion // 10, 128, 96, item=1), 55 * 2**30,
            "Hugging Face, Nanvivi/SIFT100M-DiskANN (2026): 55GB", rounded=True,
        ),
    ]  # fmt: skip


SCANS = [
    ScanCheck("deep1M", 10**6, 2**10, 1, 12_091_320),
    ScanCheck("deep1M", 10**6, 2**10, 16, 170_819_148),
    ScanCheck("deep10M", 10**7, 2**14, 1, 7_637_336),
    ScanCheck("deep10M", 10**7, 2**14, 16, 117_536_490),
    ScanCheck("deep100M", 10**8, 2**20, 2, 2_572_278),
    ScanCheck("deep100M", 10**8, 2**20, 16, 20_192_300),
    ScanCheck("deep1B", 10**9, 2**20, 1, 12_906_801),
    ScanCheck("deep1B", 10**9, 2**20, 16, 203_598_546),
    ScanCheck("deep1B", 10**9, 2**20, 64, 793_241_651),
    ScanCheck("bigann1B", 10**9, 2**20, 1, 11_603_106),
    ScanCheck("bigann1B", 10**9, 2**20, 64, 716_078_174),
]  # one efSearch each of those that the logs list

RECALLS = [
    PublishedRecall("exact", 1.0, 1.0, "recall@10", 0, "by definition", ""),
    PublishedRecall(
        "codes", 0.507, None, "share of queries with their nearest vector among ten hits", 1e9,
        "deep1B, PQ16x4fsr, nprobe 64", LOGS.format("deep1B"), code_bytes=8,
    ),
    PublishedRecall(
        "codes", 0.689, 0.069, "recall@10", 1e9,
        "deep1B, PQ64x4fsr, at any speed (0.650 at 10,000 queries a second); text2image1B, PQ32, at 10,000",
        BIG_ANN, code_bytes=32, ceiling=True,
    ),
    PublishedRecall(
        "codes and re-ranking", None, 0.90, "recall@10", 1e7,
        "text2image10M, ScaNN, 42,854 queries a second on 8 cores",
        "harsha-simhadri/big-ann-benchmarks, NeurIPS 2023, ongoing leaderboard, OOD track",
    ),
    PublishedRecall(
        "graph on SSD", 0.937, 0.489, "recall@10", 1e9,
        "deep1B and text2image1B, DiskANN, at 1,500 queries a second", BIG_ANN,
    ),
]  # fmt: skip


def ssd_graph_bytes(n: int, d: int, degree: int, item: int = 4) -> int:
    """Bytes of a graph on SSD whose nodes do not cross sectors, as DiskANN lays it out.

        node = item d + 4 + 4 degree;    as many whole nodes a sector as fit, or whole sectors a
        node

    Reference: Subramanya et al. 2019, "DiskANN", section 3.2.
    """
    node = item * d + 4 + 4 * degree
    if node > SECTOR:
        return n * -(-node // SECTOR) * SECTOR
    return -(-n // (SECTOR // node)) * SECTOR


def _ivf_pq(
    n: int,
    d: int,
    nlist: int,
    code_bytes: int,
    rotated_from: int = 0,
    *,
    graph: bool = True,
    fast_scan: bool = True,
) -> int:
    parts = sizes.ivf_pq(n, d, nlist, code_bytes, fast_scan=fast_scan)
    parts |= sizes.coarse_graph(nlist, d) if graph else {}
    return sum(parts.values()) + 4 * rotated_from * d
