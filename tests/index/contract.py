"""The index families as tests make them: small, each with the settings that make its search
exhaustive.
"""

import importlib.util
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from lib.index import VectorSearchIndex
from tests.index.clusters import clustered

DIM = 16
N = 1200
LEARN = clustered(39 * 256, dim=DIM, seed=1) * 2  # as many as a codebook of 8 bits needs
BASE = clustered(N, dim=DIM, seed=2) * np.linspace(0.5, 2, N, dtype=np.float32)[:, None]
QUERIES = clustered(20, dim=DIM, seed=3) * 3
BASE[100:103] = BASE[7]  # ties: four vectors are the same


@dataclass(frozen=True)
class Case:
    """A family with its options.

    Args:
        exhaustive: search options with which everything is compared.
        exact: whether scores are those of whole vectors, with `exhaustive` at least.
        n_train: training vectors.
    """

    index_type: str
    build: dict = field(default_factory=dict)
    exhaustive: dict = field(default_factory=dict)
    exact: bool = False
    n_train: int = 1000
    adds_in_parts_alike: bool = True
    repeats: bool = True

    def built(self, metric: str = "cosine") -> VectorSearchIndex:
        index = VectorSearchIndex(DIM, self.index_type, metric, **self.build)
        index.train(LEARN[: self.n_train])
        return index

    def empty(self, metric: str = "cosine") -> VectorSearchIndex:
        """As `built`, but trained once for all tests."""
        if not VectorSearchIndex.families[self.index_type].needs_training:
            return self.built(metric)
        return VectorSearchIndex.load(trained(CASES.index(self), metric))

    def filled(self, metric: str = "cosine", ids=None, vectors=BASE) -> VectorSearchIndex:
        index = self.empty(metric)
        index.add(vectors, ids)
        return index

    def is_exact(self, metric: str) -> bool:
        # By inner product, short vectors get no links: some cannot be reached.
        return self.exact and not (self.index_type.startswith("HNSW") and metric == "inner_product")

    @property
    def name(self) -> str:
        return "-".join(
            [self.index_type, *(f"{name}={value}" for name, value in self.build.items())]
        )


ALL = {"nprobe": 16}
CASES = [
    Case("Flat", exact=True),
    Case("IVF", {"nlist": 16}, ALL, exact=True),
    Case("PQ", {"code_bytes": 2}, n_train=len(LEARN)),
    Case("PQ", {"code_bytes": 4, "fast_scan": True}),
    Case("PQ", {"code_bytes": 2, "fast_scan": True, "rotate": True, "rerank": 2},
         {"rerank": N}, exact=True),
    Case("IVF-PQ", {"nlist": 16, "code_bytes": 2}, ALL, n_train=len(LEARN)),
    Case("IVF-PQ", {"nlist": 16, "code_bytes": 4, "fast_scan": True}, ALL),
    Case("IVF-PQ", {"nlist": 16, "code_bytes": 2, "fast_scan": True, "rotate": True, "rerank": 2},
         {**ALL, "rerank": N}, exact=True),
    Case("HNSW", {"links": 16, "ef_construction": 100}, {"ef_search": 4 * N}, exact=True,
         adds_in_parts_alike=False),
    Case("HNSW shards", {"shard_rows": 500, "links": 16, "ef_construction": 100},
         {"ef_search": 4 * N}, exact=True, adds_in_parts_alike=False),
    Case("LSH", {"n_bits": 64}),
    Case("LSH", {"n_bits": 16, "rotate": False, "rerank": 2}, {"rerank": N}, exact=True),
    Case("ScaNN", {"n_leaves": 16, "rerank": 2}, {"leaves_to_search": 16, "rerank": N}, exact=True,
         repeats=False),
]  # fmt: skip
if importlib.util.find_spec("scann") is None:
    CASES = [case for case in CASES if case.index_type != "ScaNN"]

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


ROOM = tempfile.TemporaryDirectory()


@cache
def trained(case_at: int, metric: str) -> Path:
    """The folder of a trained, empty index."""
    folder = Path(ROOM.name) / f"{case_at}-{metric}"
    CASES[case_at].built(metric).save(folder)
    return folder


@cache
def shared(case_at: int, metric: str) -> VectorSearchIndex:
    """A filled index that tests only search; its search options are set by whoever uses it."""
    return CASES[case_at].filled(metric)


def searched(case: Case, metric: str, **options) -> VectorSearchIndex:
    """The shared index of the case, with its default search options but for those given."""
    index = shared(CASES.index(case), metric)
    defaults = {name: option.default for name, option in index.search_known.items()}
    chosen = {name: value for name, value in case.build.items() if name in defaults}
    index.set_search(**defaults | chosen | options)
    return index
