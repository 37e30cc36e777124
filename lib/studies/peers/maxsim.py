"""What MaxSim of all queries with all documents costs, here and in the library that is used for
it.
"""

from collections.abc import Callable, Sequence

import numpy as np

from lib.core.checks import check_count
from lib.studies.peers import comparison
from lib.studies.peers.isolated_process import Arrays, Cost, measure_alone
from lib.studies.peers.maxsim_systems import INPUTS, JOBS, LIBRARIES, PEER

SYSTEMS_MODULE = "lib.studies.peers.maxsim_systems"
SHOWN = {
    "tokens": "{}",
    "system": "{}",
    "seconds": "{:.2f}",
    "fastest_s": "{:.2f}",
    "slowest_s": "{:.2f}",
    "gflops": "{:.0f}",
    "inputs_mb": "{:,.0f}",
    "memory_mb": "{:,.0f}",
    "of_peer_seconds": "{:.2f}",
    "of_peer_memory": "{:.3f}",
    "difference": "{:.0e}",
    "repeats": "{}",
    "note": "{}",
}


def table(
    n_queries: int = 1_000,
    n_documents: int = 10_000,
    *,
    length: int = 32,
    dim: int = 128,
    repeats: int = 3,
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> list[dict]:
    """Seconds and peak memory of all scores by each library, without and with padding: one thread,
    float32.

    Every row is a process of its own; seconds are processor time (see `measure_alone`). Memory is
    the peak of the resident set above the inputs, the scores included. Both libraries get the same
    padded arrays, and the same masks where there is padding. Tokens are random unit vectors: the
    cost does not depend on them.

    Args:
        n_queries, n_documents: how many of each.
        length: tokens of each item; with padding 1 to `length` of them count, as likely each.
        dim: of a token.
        repeats: timed runs of each.
        seed: of the tokens.
        progress: takes what comes next, how many rows are done, and how many there are.

    Returns:
        Tidy rows: tokens, system, seconds (median), fastest_s, slowest_s, gflops (10^9 a second, of
        the 2 T_q T_d d that the tokens which count need), inputs_mb, memory_mb, of_peer_seconds and
        of_peer_memory (ratios to sentence-transformers in the same run), difference (the largest
        relative one of mean, lowest and highest score), threads, repeats, note. Numbers are None
        for a library that is not installed, and the note says how to install it.

    Raises:
        RetrievalInputError: sizes below 1.
    """
    check_count(repeats, "repeats")
    arrays = inputs(n_queries, n_documents, length, dim, seed)
    rows = []
    for kind, masked in INPUTS.items():
        costs: dict[str, Cost] = {}
        operations = (
            2 * dim * np.prod([_count(arrays, side, masked) for side in ("query", "document")])
        )
        for library in LIBRARIES:
            name = f"{library}, {kind}"
            job = JOBS[name]
            progress(name, len(rows), len(INPUTS) * len(LIBRARIES))
            if job.is_installed:
                costs[library] = measure_alone(SYSTEMS_MODULE, name, arrays, repeats=repeats)
            row = comparison.beside_peer(costs.get(library), costs.get(PEER))
            seconds = row["seconds"]
            row["gflops"] = operations / seconds / 1e9 if seconds else None
            row["inputs_mb"] = sum(arrays[name].nbytes for name in job.reads) / 1e6
            note = "" if job.is_installed else f"not installed: {comparison.INSTALL}"
            rows.append({"tokens": kind, "system": library} | row | {"threads": 1, "note": note})
    return rows


def inputs(n_queries: int, n_documents: int, length: int, dim: int, seed: int = 0) -> Arrays:
    """Random unit tokens (n, length, dim) float32 of both sides, and bool masks (n, length) of 1 to
    all.
    """
    sizes = {"n_queries": n_queries, "n_documents": n_documents, "length": length, "dim": dim}
    for name, size in sizes.items():
        check_count(size, name)
    rng = np.random.default_rng(seed)
    arrays = {}
    for side, n in (("query", n_queries), ("document", n_documents)):
        tokens = rng.standard_normal((n, length, dim), dtype=np.float32)
        tokens /= np.linalg.norm(tokens, axis=2, keepdims=True)
        arrays[side] = tokens
        arrays[f"{side}_mask"] = np.arange(length) < rng.integers(1, length + 1, (n, 1))
    return arrays


def as_text(rows: Sequence[dict]) -> list[dict]:
    """The table for reading: the columns of `SHOWN`, empty where nothing was measured."""
    return comparison.as_text(rows, SHOWN)


def _count(arrays: Arrays, side: str, masked: bool) -> float:
    mask = arrays[f"{side}_mask"]
    return float(mask.sum() if masked else mask.size)
