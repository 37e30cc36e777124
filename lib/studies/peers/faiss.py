"""Seconds of exact search and of building product quantisers, beside faiss as its users call it."""

from collections.abc import Callable, Sequence

import numpy as np

from lib.core.checks import check_count
from lib.index import topk_exact
from lib.studies.peers import comparison
from lib.studies.peers.faiss_systems import FAISS, OURS, K
from lib.studies.peers.isolated_process import Arrays, measure_alone

SYSTEMS_MODULE = "lib.studies.peers.faiss_systems"
SHOWN = {
    "task": "{}",
    "system": "{}",
    "seconds": "{:.2f}",
    "fastest_s": "{:.2f}",
    "slowest_s": "{:.2f}",
    "of_peer_seconds": "{:.3f}",
    "times_as_fast": "{:.1f}",
    "difference": "{:.0e}",
    "repeats": "{}",
}


def table(
    *,
    repeats: int = 3,
    n_search: int = 100_000,
    n_build: int = 20_000,
    n_queries: int = 1_000,
    progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> list[dict]:
    """Exact search (d = 256) and training and adding of product quantisers (d = 128), ours and
    faiss's.

    Every row is a process of its own with one thread; seconds are processor time (`measure_alone`).
    Vectors are random normal, of unit length for the search: no structure helps. faiss is called as
    its documentation does: `IndexFlatIP`, and the factory strings PQ16 and IVF128,PQ32, which also
    anneal the codes for a filter that default searches do not use.

    Args:
        repeats: timed runs; a build by factory string takes most of a minute or more.
        n_search, n_build: vectors.
        n_queries: of the search; a tenth of them judge the builds.
        progress: takes what comes next, how many rows are done, and how many there are.

    Returns:
        Tidy rows: task, system, the columns of `peers.beside_peer` and times_as_fast, its ratio the
        other way. `difference` compares ids of the search, and recall of the builds.
    """
    check_count(repeats, "repeats")
    inputs = {"exact search": search_inputs(n_search, n_queries)}
    inputs["PQ build"] = inputs["IVF-PQ build"] = build_inputs(n_build, max(1, n_queries // 10))
    rows = []
    for task, arrays in inputs.items():
        costs = {}
        for system in (FAISS, OURS):
            progress(f"{task}, {system}", len(rows) + len(costs), 2 * len(inputs))
            costs[system] = measure_alone(
                SYSTEMS_MODULE, f"{task}, {system}", arrays, repeats=repeats
            )
        for system, cost in costs.items():
            row = comparison.beside_peer(cost, costs[FAISS])
            row["times_as_fast"] = 1 / row["of_peer_seconds"]
            rows.append({"task": task, "system": system} | row | {"threads": 1})
    return rows


def search_inputs(n: int, n_queries: int, dim: int = 256, seed: int = 0) -> Arrays:
    """Random unit vectors, float32."""
    rng = np.random.default_rng(seed)
    arrays = {"base": (n, dim), "queries": (n_queries, dim)}
    arrays = {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in arrays.items()}
    return {
        name: rows / np.linalg.norm(rows, axis=1, keepdims=True) for name, rows in arrays.items()
    }


def build_inputs(n: int, n_queries: int, dim: int = 128, seed: int = 0) -> Arrays:
    """Random normal vectors, float32, and the true neighbours of the queries."""
    rng = np.random.default_rng(seed)
    base, queries = (rng.standard_normal((rows, dim), dtype=np.float32) for rows in (n, n_queries))
    return {"base": base, "queries": queries, "true": topk_exact(queries, base, K, "l2")[1]}


def as_text(rows: Sequence[dict]) -> list[dict]:
    """The table for reading."""
    return comparison.as_text(rows, SHOWN)
