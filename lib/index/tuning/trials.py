"""Build an index and measure it: recall with an interval, counted work, and time to look at."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np

from lib.core.workers import HERE, Workers
from lib.index import VectorSearchIndex
from lib.index.capacity.sizes import BITS
from lib.index.ids import IdMap
from lib.index.tuning.configs import Config
from lib.index.tuning.filling import fill_index
from lib.index.tuning.rows import (
    VectorRows,
    exact_scores_by_block,
    halves,
    hits_by_score,
)

Z = 1.96  # of a 95% interval


class Estimate(NamedTuple):
    """A mean over queries with its 95% interval, `mean +- 1.96 deviation / sqrt(n)`."""

    mean: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: np.ndarray) -> Self:
        """Estimate the mean of one value per query; all lie between 0 and 1."""
        mean = float(np.mean(values))
        deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 1.0
        half = Z * deviation / len(values) ** 0.5
        return cls(mean, max(0.0, mean - half), min(1.0, mean + half), len(values))

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Asked:
    """Queries of one kind and the scores of their k-th true neighbours."""

    queries: np.ndarray  # (n_queries, d)
    least: np.ndarray  # (n_queries,)


class Questions:
    """Queries by kind: one half to choose settings on, the other to report recall on."""

    def __init__(
        self,
        queries: Mapping[str, np.ndarray],
        rows: VectorRows,
        ids: np.ndarray,
        k: int,
        metric: str,
        seed: int,
    ) -> None:
        self.rows, self.ids, self.k, self.metric = rows, ids, k, metric
        self._places = IdMap(len(ids), ids)
        self.choose: dict[str, Asked] = {}
        self.report: dict[str, Asked] = {}
        for kind, asked in queries.items():
            least = exact_scores_by_block(asked, rows, k, metric)[:, -1]
            for half, at in zip((self.choose, self.report), halves(len(asked), seed), strict=True):
                half[kind] = Asked(asked[at], least[at])

    def recall(self, asked: Asked, found: np.ndarray) -> np.ndarray:
        """Return the recall of each query, `(n_queries,)`, from the ids that an index found."""
        positions = self._places.find(found)
        hits = hits_by_score(asked.queries, positions, self.rows, asked.least, self.metric)
        return hits / self.k


@dataclass(frozen=True)
class MeasuredSetting:
    """One setting of one index, measured.

    Args:
        config: how it is built.
        setting: how it is searched.
        bytes: of memory, by formula.
        recall: by kind of query.
        work: counted per query, by kind of query: distances, codes, centroids, lists.
        cost: bytes of vectors and codes that a query reads, the larger of the kinds.
        seconds: of one query among many, to look at; nothing is decided by it.
    """

    config: Config
    setting: Mapping[str, int]
    bytes: int
    recall: Mapping[str, Estimate]
    work: Mapping[str, Mapping[str, float]]
    cost: float
    seconds: float

    @property
    def least(self) -> float:
        """The recall of the kind of query that has the least."""
        return min(estimate.mean for estimate in self.recall.values())

    def reaches(self, target: float) -> bool:
        """Return whether the interval of each kind of query lies at or above the target."""
        return all(estimate.low >= target for estimate in self.recall.values())

    @property
    def name(self) -> str:
        """Name of the index and its setting: "IVF1024 nprobe 8"."""
        setting = ", ".join(f"{name} {value}" for name, value in self.setting.items())
        return f"{self.config.name} {setting}".rstrip()

    def describe(self) -> str:
        """Describe it in one line."""
        recall = ", ".join(f"{kind} {estimate}" for kind, estimate in self.recall.items())
        read = f"{self.cost / 1e6:.3g} MB read a query, {self.bytes / 1e6:,.0f} MB of memory"
        return f"{self.name}: recall {recall}; {read}; {1e3 * self.seconds:.2f} ms"


@dataclass(frozen=True)
class Built:
    """An index with the seconds and the vectors of its build."""

    index: VectorSearchIndex
    train_s: float
    add_s: float
    n_train: int


def build(
    config: Config,
    rows: VectorRows,
    metric: str = "cosine",
    ids: np.ndarray | None = None,
    workers: Workers = HERE,
) -> Built:
    """Build an index from rows that are read a block at a time; ids are positions when None.

    This process trains it once, on a sample; workers share the rest, see `fill_index`.
    """
    index = config.make(rows.dim, metric)
    n_train, train_s = 0, 0.0
    if index.needs_training:
        n_train = min(len(rows), config.n_train or len(rows))
        drawn = np.random.default_rng(config.seed).choice(len(rows), n_train, replace=False)
        learn = rows.vectors(np.sort(drawn))
        start = time.perf_counter()
        index.train(learn)
        train_s = time.perf_counter() - start
        del learn  # up to hundreds of megabytes
    add_s = fill_index(index, rows, ids, workers)
    start = time.perf_counter()
    index.finish()  # else the first search would pay for a part of the build
    return Built(index, train_s, add_s + time.perf_counter() - start, n_train)


def measure(
    index: VectorSearchIndex,
    config: Config,
    setting: Mapping[str, int],
    bytes_needed: int,
    questions: Questions,
    half: Mapping[str, Asked],
) -> MeasuredSetting:
    """Search with one setting and count."""
    index.set_search(**setting)
    recall, work, seconds, n_queries = {}, {}, 0.0, 0
    for kind, asked in half.items():
        start = time.perf_counter()
        _, found = result = index.search(asked.queries, questions.k)
        seconds += time.perf_counter() - start
        n_queries += len(found)
        recall[kind] = Estimate.of(questions.recall(asked, found))
        work[kind] = {name: total / len(found) for name, total in result.work.items()}
    cost = max(bytes_read(counts, config, index.dimension) for counts in work.values())
    return MeasuredSetting(
        config, dict(setting), bytes_needed, recall, work, cost, seconds / n_queries
    )


def bytes_read(work: Mapping[str, float], config: Config, dim: int) -> float:
    """Count the bytes that a query reads, from its work.

        4 d (distances + centroids)  +  code_bytes codes  +  4 M 2^bits lists

    The last term is the table of a visited cell with product codes: M sub-quantisers of `bits`
    bits, see `IVFPQIndex`.
    """
    whole = work.get("distances", 0) + work.get("centroids", 0)
    code_bytes = config.build.get("code_bytes") or config.build.get("n_bits", 0) // 8
    bits = BITS[bool(config.build.get("fast_scan", False))]
    tables = 4.0 * (8 * code_bytes // bits) * 2**bits * work.get("lists", 0)
    return 4.0 * dim * whole + code_bytes * work.get("codes", 0) + tables
