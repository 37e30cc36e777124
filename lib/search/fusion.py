"""Fuse ranked lists by ranks alone, and queries of two modalities in one space."""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import (
    RetrievalInputError,
    as_embeddings,
    check_count,
    check_number,
    real_numbers,
    unit_rows,
)
from lib.metrics.runs import as_ranked_ids
from lib.search.base import Run


def reciprocal_rank_fusion(
    runs: Sequence[Run | tuple | np.ndarray],
    *,
    k: float = 60,
    weights: Sequence[float] | None = None,
    depth: int | None = None,
) -> Run:
    """Merge ranked lists of the same queries, whatever the scales of their scores.

        s(i, d) = sum_r w_r / (k + rank_r(i, d)),   0 where run r does not hold d; ranks from 1

    Args:
        runs: each a `Run`, `(scores, ids)` or ids `(n_queries, depth)`, best first, -1 for no item;
            depths can differ.
        k: from 0; a large k makes the first places less important. 60 in the paper.
        weights: one positive number per run; 1 each when None.
        depth: largest number of items per query; all when None.

    Returns:
        A `Run` with float64 scores; equal scores by the smaller id, and sums of equal parts are
        equal to the last bit. Lists are as wide as the longest union; others end in -1. Its work is
        that of all runs.

    Reference: G. Cormack, C. Clarke, S. Buettcher, Reciprocal Rank Fusion Outperforms Condorcet and
    Individual Rank Learning Methods, SIGIR 2009.
    """
    runs = list(runs) if np.iterable(runs) else []
    if not runs:
        raise RetrievalInputError("there are no runs to fuse; give at least one")
    lists = [as_ranked_ids(_ids_of(run)) for run in runs]
    sizes = [len(ids) for ids in lists]
    if len(set(sizes)) > 1:
        raise RetrievalInputError(f"runs must be for the same queries, got {sizes} queries")
    weights = np.ones(len(lists)) if weights is None else real_numbers(weights, "weights")
    if weights.shape != (len(lists),) or not (weights > 0).all():
        raise RetrievalInputError(
            f"weights must be {len(lists)} positive numbers, one per run, got {weights}"
        )
    k = check_number(k, "k", 0)

    ids = np.concatenate(lists, axis=1)  # (n_queries, total depth)
    parts = [
        weight / (k + np.arange(1, ranked.shape[1] + 1))
        for weight, ranked in zip(weights, lists, strict=True)
    ]
    parts = np.broadcast_to(np.concatenate(parts), ids.shape)
    # Sorted within an item too: equal parts then add up to the same bits in any order of the runs.
    order = np.lexsort((parts, ids), axis=1)
    ids, parts = (np.take_along_axis(array, order, axis=1) for array in (ids, parts))
    starts = np.ones(ids.shape, bool)
    starts[:, 1:] = ids[:, 1:] != ids[:, :-1]
    scores = np.full(ids.shape, -np.inf)
    scores[starts] = np.add.reduceat(parts.ravel(), np.flatnonzero(starts))
    items = np.where(starts, ids, -1)
    scores[items < 0] = -np.inf

    order = np.lexsort((items, -scores), axis=1)
    width = max(1, int((items >= 0).sum(axis=1).max()))
    order = order[:, : width if depth is None else min(check_count(depth, "depth"), width)]
    scores, items = (np.take_along_axis(array, order, axis=1) for array in (scores, items))
    work = [work for run in runs if isinstance(run, Run) for work in run.work]
    return Run.of_one_stage(scores, items, "reciprocal rank", *work)


def mix_vectors(first: np.ndarray, second: np.ndarray, share: float = 0.5) -> np.ndarray:
    """Mix two queries in one space, such as a sketch and a word.

        q = unit(share unit(a) + (1 - share) unit(b))

    Args:
        first: (n_queries, dim), rows a.
        second: (n_queries, dim), rows b.
        share: weight of the first, from 0 to 1.

    Returns:
        float32 (n_queries, dim), rows of length 1.
    """
    first, second = as_embeddings(first, "first"), as_embeddings(second, "second")
    if first.shape != second.shape:
        raise RetrievalInputError(
            f"second must have the shape of first, {first.shape}, got {second.shape}"
        )
    share = check_number(share, "share", 0, 1)
    first, second = (unit_rows(rows.astype(np.float32), name)
                     for rows, name in ((first, "first"), (second, "second")))  # fmt: skip
    return unit_rows(share * first + (1 - share) * second, "the mix")


def _ids_of(run) -> np.ndarray:
    if isinstance(run, Run):
        return run.ids
    return run[1] if isinstance(run, tuple) and len(run) == 2 else run
