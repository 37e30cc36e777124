"""Seconds of a two-stage search, measured; what they mean is for `lib.search.depth_planner` to
say.
"""

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from lib.core.checks import RetrievalInputError, check_count, check_k
from lib.report import measure
from lib.search.two_stage import TwoStageRetriever


class MeasuredCosts(NamedTuple):
    """Median seconds a query: of the first stage alone, and through both at each depth.

    In the order of `fit_costs`, which takes them as `fit_costs(*measured[:3])`. `repeats` has the
    seconds behind every median: of the first stage, then of each depth.
    """

    first_s: float
    depths: np.ndarray
    seconds: np.ndarray
    repeats: list[list[float]]


def measure_costs(
    retriever: TwoStageRetriever,
    queries: Sequence,
    depths: Sequence[int],
    repeats: int = 5,
    *,
    modality: str = "text",
    k: int = 10,
    batch_size: int = 1,
) -> MeasuredCosts:
    """Measures how long a query waits for its answer, encoding included, at several depths.

    Args:
        retriever: whose own depth does not matter here.
        queries: texts or images as a user sends them; each batch of them is one request.
        depths: of the rerank, from 1 to the gallery.
        repeats: timed requests of every batch at every depth, after one that does not count. Depths
            take turns, so that a machine that slows down slows them all.
        modality: of the queries, "text" or "image".
        k: items asked for.
        batch_size: queries a request; 1 is what a user waits for, more is what a server sustains.

    Returns:
        `MeasuredCosts`, medians over batches and repeats, and all repeats.

    Raises:
        RetrievalInputError: no queries, a depth below 1 or above the gallery.
    """
    if len(queries) == 0:
        raise RetrievalInputError("there are no queries to measure with; give some")
    depths = np.asarray([check_k(depth, retriever.n_items) for depth in depths])
    k, batch_size = check_k(k, retriever.n_items), check_count(batch_size, "batch_size")
    batches = [queries[start : start + batch_size] for start in range(0, len(queries), batch_size)]

    def first(batch) -> Callable[[], object]:
        return lambda: retriever.first.search(retriever.first.encode(batch, modality), k)

    def both(batch, depth: int) -> Callable[[], object]:
        return lambda: retriever.search_depths(retriever.encode(batch, modality), k, [depth])

    seconds: list[list[float]] = [[] for _ in range(1 + depths.size)]
    for turn in range(check_count(repeats, "repeats")):
        for batch in batches:
            requests = [first(batch), *(both(batch, depth) for depth in depths)]
            for found, request in zip(seconds, requests, strict=True):
                (took,) = measure(request, repeats=1, warmup=1 if turn == 0 else 0)
                found.append(took / len(batch))
    medians = [statistics.median(found) for found in seconds]
    return MeasuredCosts(medians[0], depths, np.array(medians[1:]), seconds)
