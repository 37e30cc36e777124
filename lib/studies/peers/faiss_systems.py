"""What this library does through or beside faiss, and what faiss does as its users call it; one
thread each.

Sizes follow from the dimension d, so that a warm-up on a few columns of the data is short: d / 8 or
d / 4 bytes a code, which is `PQ16` and `IVF128,PQ32` at d = 128.
"""

from collections.abc import Callable

import numpy as np

from lib.studies.peers.comparison import System
from lib.studies.peers.isolated_process import Arrays

K, NLIST, NPROBE = 10, 128, 16
SEED = 1234  # of k-means in faiss; with another one recall would differ by chance
OURS, FAISS = "ours", "faiss"


def _exact_ours(arrays: Arrays):
    from lib.index import VectorSearchIndex

    index = VectorSearchIndex(arrays["base"].shape[1], "Flat", metric="inner_product")
    index.add(arrays["base"])
    index.search(arrays["queries"], K)  # what is prepared once for all searches is not the search
    return index, arrays["queries"]


def _exact_faiss(arrays: Arrays):
    import faiss

    index = faiss.IndexFlatIP(arrays["base"].shape[1])
    index.add(arrays["base"])
    return index, arrays["queries"]


def _search(prepared) -> dict[str, float]:
    index, queries = prepared
    ids = index.search(queries, K)[1]
    return {"ids": float((ids * np.arange(1, K + 1)).sum()), "first": float(ids[:, 0].sum())}


def _built(make: Callable[[int], object]) -> Callable[[Arrays], dict[str, float]]:
    def run(arrays: Arrays) -> dict[str, float]:
        index = make(arrays["base"].shape[1])
        index.train(arrays["base"])
        index.add(arrays["base"])
        if hasattr(index, "nprobe"):  # faiss; ours has it from the start
            index.nprobe = NPROBE
        ids = index.search(arrays["queries"], K)[1]
        return {"recall": float((ids[:, :, None] == arrays["true"][:, None, :]).any(axis=2).mean())}

    return run


def _pq_ours(d: int):
    from lib.index import VectorSearchIndex

    return VectorSearchIndex(d, "PQ", metric="l2", code_bytes=d // 8, seed=SEED)


def _pq_faiss(d: int):
    import faiss

    return faiss.index_factory(d, f"PQ{d // 8}")


def _ivf_pq_ours(d: int):
    from lib.index import VectorSearchIndex

    options = {"nlist": NLIST, "code_bytes": d // 4, "nprobe": NPROBE, "seed": SEED}
    return VectorSearchIndex(d, "IVF-PQ", metric="l2", **options)


def _ivf_pq_faiss(d: int):
    import faiss

    return faiss.index_factory(d, f"IVF{NLIST},PQ{d // 4}")


def _few_rows(arrays: Arrays) -> Arrays:
    return {name: array[:2048].copy() for name, array in arrays.items()}


def _few_columns(arrays: Arrays) -> Arrays:
    return {
        name: array if name == "true" else array[:, :8].copy() for name, array in arrays.items()
    }


SEARCH_READS, BUILD_READS = ("base", "queries"), ("base", "queries", "true")
JOBS = {
    f"exact search, {OURS}": System(_exact_ours, _search, _few_rows, SEARCH_READS),
    f"exact search, {FAISS}": System(_exact_faiss, _search, _few_rows, SEARCH_READS),
    f"PQ build, {OURS}": System(dict, _built(_pq_ours), _few_columns, BUILD_READS),
    f"PQ build, {FAISS}": System(dict, _built(_pq_faiss), _few_columns, BUILD_READS),
    f"IVF-PQ build, {OURS}": System(dict, _built(_ivf_pq_ours), _few_columns, BUILD_READS),
    f"IVF-PQ build, {FAISS}": System(dict, _built(_ivf_pq_faiss), _few_columns, BUILD_READS),
}
