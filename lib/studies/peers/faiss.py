"""Measure exact search and the training of product quantisers, ours and faiss's.

Sizes follow from the dimension d, which makes a warm-up on a few columns short: codes have d / 8 or
d / 4 bytes, which is `PQ16` and `IVF128,PQ32` at d = 128.
"""

from collections.abc import Callable

import numpy as np

from lib.core.checks import check_count
from lib.studies.peers.harness import Arrays, CostTable, Job, Progress, random_unit_rows

K, NLIST, NPROBE = 10, 128, 16
SEED = 1234  # of k-means in faiss; with another one recall would differ by chance
OURS, FAISS = "ours", "faiss"
SHOWN = (
    "task system seconds:.2f fastest_s:.2f slowest_s:.2f of_peer_seconds:.3f times_as_fast:.1f"
    " difference:.0e repeats"
)


def faiss_cost_table(
    *,
    repeats: int = 3,
    n_search: int = 100_000,
    n_build: int = 20_000,
    n_queries: int = 1_000,
    progress: Progress = lambda key, done, total: None,
) -> list[dict]:
    """Measure exact search (d = 256) and training and adding of product quantisers (d = 128).

    Vectors are random normal, of unit length for the search: no structure helps. faiss is called as
    its documentation does: `IndexFlatIP`, and the factory strings PQ16 and IVF128,PQ32, which also
    anneal the codes for a filter that default searches do not use, most of a minute or more. A
    tenth of the queries judge the builds. `difference` compares ids of the search, and recall of
    the builds.
    """
    check_count(repeats, "repeats")
    inputs = {"exact search": search_inputs(n_search, n_queries)}
    inputs["PQ build"] = inputs["IVF-PQ build"] = build_inputs(n_build, max(1, n_queries // 10))
    table = CostTable(__name__, len(JOBS), progress)
    for task, arrays in inputs.items():
        for system in (FAISS, OURS):
            columns = {"task": task, "system": system}
            row = table.measure(
                f"{task}, {system}", arrays, columns, peer=f"{task}, {FAISS}", repeats=repeats
            )
            row["times_as_fast"] = 1 / row["of_peer_seconds"]
    return table.rows


def search_inputs(n: int, n_queries: int, dim: int = 256, seed: int = 0) -> Arrays:
    """Draw unit vectors, float32."""
    rng = np.random.default_rng(seed)
    return {"base": random_unit_rows(rng, n, dim), "queries": random_unit_rows(rng, n_queries, dim)}


def build_inputs(n: int, n_queries: int, dim: int = 128, seed: int = 0) -> Arrays:
    """Draw normal vectors, float32, and find the true neighbours of the queries."""
    from lib.index import topk_exact

    rng = np.random.default_rng(seed)
    base, queries = (rng.standard_normal((rows, dim), dtype=np.float32) for rows in (n, n_queries))
    return {"base": base, "queries": queries, "true": topk_exact(queries, base, K, "l2")[1]}


def _exact_ours(arrays: Arrays):
    from lib.index import VectorSearchIndex

    index = VectorSearchIndex(arrays["base"].shape[1], "Flat", metric="inner_product")
    index.add(arrays["base"])
    index.search(arrays["queries"], K)  # prepares once for all searches
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


def _build(make: Callable[[int], object]) -> Callable[[Arrays], dict[str, float]]:
    def run(arrays: Arrays) -> dict[str, float]:
        index = make(arrays["base"].shape[1])
        index.train(arrays["base"])
        index.add(arrays["base"])
        if hasattr(index, "nprobe"):  # faiss; ours has it from the start
            index.nprobe = NPROBE
        ids = index.search(arrays["queries"], K)[1]
        return {"recall": float((ids[:, :, None] == arrays["true"][:, None, :]).any(axis=2).mean())}

    return run


def _our_index(family: str, dims_per_byte: int, **options) -> Callable[[int], object]:
    def make(d: int):
        from lib.index import VectorSearchIndex

        codes = {"code_bytes": d // dims_per_byte, "seed": SEED}
        return VectorSearchIndex(d, family, metric="l2", **codes, **options)

    return make


def _faiss_index(prefix: str, dims_per_byte: int) -> Callable[[int], object]:
    def make(d: int):
        import faiss

        return faiss.index_factory(d, f"{prefix}{d // dims_per_byte}")

    return make


_pq_ours, _pq_faiss = _our_index("PQ", 8), _faiss_index("PQ", 8)
_ivf_pq_ours = _our_index("IVF-PQ", 4, nlist=NLIST, nprobe=NPROBE)
_ivf_pq_faiss = _faiss_index(f"IVF{NLIST},PQ", 4)


def _few_rows(arrays: Arrays) -> Arrays:
    return {name: array[:2048].copy() for name, array in arrays.items()}


def _few_columns(arrays: Arrays) -> Arrays:
    return {
        name: array if name == "true" else array[:, :8].copy() for name, array in arrays.items()
    }


def _search_job(prepare: Callable[[Arrays], object]) -> Job:
    return Job(prepare, _search, _few_rows, ("base", "queries"))


def _build_job(make: Callable[[int], object]) -> Job:
    return Job(dict, _build(make), _few_columns, ("base", "queries", "true"))


JOBS = {
    f"exact search, {OURS}": _search_job(_exact_ours),
    f"exact search, {FAISS}": _search_job(_exact_faiss),
    f"PQ build, {OURS}": _build_job(_pq_ours),
    f"PQ build, {FAISS}": _build_job(_pq_faiss),
    f"IVF-PQ build, {OURS}": _build_job(_ivf_pq_ours),
    f"IVF-PQ build, {FAISS}": _build_job(_ivf_pq_faiss),
}
