"""Measure the cost of MaxSim of all queries with all documents, ours and sentence-transformers'."""

from collections.abc import Callable

import numpy as np

from lib.core.checks import check_count
from lib.studies.peers.harness import Arrays, CostTable, Job, Progress, random_unit_rows

WARM_UP = 8  # queries and documents
SIDES = ("query", "document")
MASKS = ("query_mask", "document_mask")
SHOWN = (
    "tokens system seconds:.2f fastest_s:.2f slowest_s:.2f gflops:.0f inputs_mb:,.0f memory_mb:,.0f"
    " of_peer_seconds:.2f of_peer_memory:.3f difference:.0e repeats note"
)


def maxsim_cost_table(
    n_queries: int = 1_000,
    n_documents: int = 10_000,
    *,
    length: int = 32,
    dim: int = 128,
    repeats: int = 3,
    seed: int = 0,
    progress: Progress = lambda key, done, total: None,
) -> list[dict]:
    """Measure seconds and peak memory of all scores, float32, without and with padding.

    Memory includes the scores. Both libraries have the same padded arrays, and the same masks where
    there is padding: 1 to `length` tokens of an item count, as likely each. Tokens are random unit
    vectors: the cost does not depend on them. gflops are 10^9 a second, of the 2 T_q T_d d that the
    tokens which count need.
    """
    check_count(repeats, "repeats")
    arrays = maxsim_inputs(n_queries, n_documents, length, dim, seed)
    table = CostTable(__name__, len(JOBS), progress)
    for kind, is_masked in INPUTS.items():
        n_tokens = [
            float(mask.sum() if is_masked else mask.size) for mask in map(arrays.get, MASKS)
        ]
        for library in LIBRARIES:
            key = f"{library}, {kind}"
            columns = {"tokens": kind, "system": library}
            row = table.measure(key, arrays, columns, peer=f"{PEER}, {kind}", repeats=repeats)
            operations, seconds = 2 * dim * np.prod(n_tokens), row["seconds"]
            row["gflops"] = operations / seconds / 1e9 if seconds else None
            row["inputs_mb"] = sum(arrays[name].nbytes for name in JOBS[key].reads) / 1e6
    return table.rows


def maxsim_inputs(n_queries: int, n_documents: int, length: int, dim: int, seed: int = 0) -> Arrays:
    """Draw unit tokens (n, length, dim) of both sides, and bool masks (n, length) of 1 to all."""
    sizes = {"n_queries": n_queries, "n_documents": n_documents, "length": length, "dim": dim}
    for name, size in sizes.items():
        check_count(size, name)
    rng = np.random.default_rng(seed)
    arrays = {}
    for side, n in (("query", n_queries), ("document", n_documents)):
        arrays[side] = random_unit_rows(rng, n, length, dim)
        arrays[f"{side}_mask"] = np.arange(length) < rng.integers(1, length + 1, (n, 1))
    return arrays


def _score_ours(*sides):
    from lib.models.maxsim import maxsim

    return maxsim(*sides)


def score_peer(*sides):
    """Score with sentence-transformers."""
    from sentence_transformers.util import maxsim

    return maxsim(*sides)


def _tensors(arrays: Arrays) -> list:
    import torch

    return [torch.from_numpy(arrays[name]) for name in (*SIDES, *MASKS) if name in arrays]


def _first_items(arrays: Arrays) -> Arrays:
    return {name: array[:WARM_UP].copy() for name, array in arrays.items()}


def _job(score: Callable, library: str | None, *, is_masked: bool) -> Job:
    def run(sides: list) -> dict[str, float]:
        scores = score(*sides)
        extremes = {"lowest": scores.min().item(), "highest": scores.max().item()}
        return {"mean": scores.mean().item()} | extremes

    reads = (*SIDES, *MASKS) if is_masked else SIDES
    return Job(_tensors, run, _first_items, reads, library=library)


PEER = "sentence-transformers"
LIBRARIES = {PEER: (score_peer, "sentence_transformers"), "ours": (_score_ours, None)}
INPUTS = {"all tokens count": False, "half is padding": True}  # and whether masks are given
JOBS = {
    f"{library}, {kind}": _job(*how, is_masked=is_masked)
    for kind, is_masked in INPUTS.items()
    for library, how in LIBRARIES.items()
}
