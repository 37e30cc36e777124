"""Say how an index is built and searched: family, options, seed, vectors to train on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lib.core.checks import RetrievalInputError, check_choice, check_count
from lib.index import VectorSearchIndex
from lib.index.capacity import sizes
from lib.index.ivf import default_nlist

TRAINING_ROWS = 2**16  # at least, where there are as many: 256 for each of 256 centroids
ROWS_PER_LIST = 64  # at least
PQ_NEEDS = 39 * 256  # rows; with fewer the k-means of a codebook of 8 bits follows single vectors


@dataclass(frozen=True)
class Config:
    """One build of one family, and the settings it is searched with.

    Args:
        name: name in tables, for example "IVF512".
        index_type: name of an index family.
        build: options of the build.
        search: one mapping of search options per setting, the cheapest first. All re-rank or none
            does: an index stores whole vectors or it does not.
        seed: of the build, for families that draw.
        n_train: base vectors to train on, drawn with the seed; None for all.
    """

    name: str
    index_type: str
    build: Mapping[str, Any] = field(default_factory=dict)
    search: Sequence[Mapping[str, Any]] = ({},)
    seed: int = 0
    n_train: int | None = None

    def __post_init__(self) -> None:
        family = VectorSearchIndex.families[
            check_choice(self.index_type, VectorSearchIndex.families, "index_type")
        ]
        if not self.search:
            raise RetrievalInputError(
                f"config {self.name!r} has no search setting; an empty one is {{}}"
            )
        for name in self.build:
            check_choice(name, family.build_known, f"a build option of {self.name!r}")
        for setting in self.search:
            for name in setting:
                check_choice(name, family.search_known, f"a search option of {self.name!r}")
        if len({setting.get("rerank", 0) > 0 for setting in self.search}) > 1:
            raise RetrievalInputError(
                f"config {self.name!r} re-ranks in some settings only; make it two"
            )

    def make(self, dimension: int, metric: str) -> VectorSearchIndex:
        """Make the empty index, with the options of the first setting."""
        family = VectorSearchIndex.families[self.index_type]
        seed = {"seed": self.seed} if "seed" in family.build_known else {}
        return family(dimension, metric=metric, **seed, **self.build, **self.search[0])

    @property
    def identity(self) -> dict[str, Any]:
        """Plain data that identifies build and settings."""
        return asdict(self)


def code_bytes(dimension: int, sub_quantisers: int = 1) -> int | None:
    """Find the most bytes up to d / 8 that split d evenly, with so many sub-quantisers a byte."""
    most = max(1, dimension // 8)
    return next(
        (size for size in range(most, 0, -1) if dimension % (size * sub_quantisers) == 0), None
    )


def training_rows(n: int, nlist: int = 0) -> int:
    """Return how many of n vectors to train on: 65,536, or 64 for each of many lists."""
    return min(n, max(TRAINING_ROWS, ROWS_PER_LIST * nlist))


def formula_bytes(config: Config, n: int, d: int) -> int:
    """Count the bytes that an index of n vectors needs, before it is built.

    The formulas are those of `lib.index.capacity.sizes`, and 8 n for the ids.
    """
    n, d = check_count(n, "n"), check_count(d, "d")
    family = VectorSearchIndex.families[config.index_type]
    options = {name: option.default for name, option in family.build_known.items()} | config.build
    nlist = options.get("nlist") or default_nlist(config.n_train or n)
    codes = {name: options[name] for name in ("rotate", "fast_scan") if name in options}
    rerank = config.search[0].get("rerank", 0) > 0
    match config.index_type:
        case "Flat":
            parts = sizes.flat(n, d) | {"norms": 8 * n, "ids": 8 * n}
        case "IVF":
            parts = sizes.ivf(n, d, nlist)
        case "HNSW":
            parts = sizes.hnsw(n, d, options["links"])
        case "HNSW shards":
            n_shards = -(-n // options["shard_rows"])  # each has one more offset than vectors
            parts = {**sizes.hnsw(n, d, options["links"]), "more offsets": 8 * (n_shards - 1)}
        case "PQ":
            parts = sizes.pq(n, d, options["code_bytes"], **codes, rerank=rerank)
        case "IVF-PQ":
            parts = sizes.ivf_pq(n, d, nlist, options["code_bytes"], **codes, rerank=rerank)
        case "LSH":
            parts = sizes.lsh(n, d, options["n_bits"] or d, rerank=rerank)
        case "ScaNN":
            leaves = options["n_leaves"] or max(1, round(n**0.5))
            parts = sizes.scann(n, d, leaves, rerank=rerank)
        case other:
            raise RetrievalInputError(f"no formula gives the bytes of the index type {other!r}")
    return sum(parts.values()) + 8 * n
