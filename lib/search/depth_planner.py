"""Measure the latency of two stages and choose how many items to rerank."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from lib.core.checks import (
    RetrievalInputError,
    check_count,
    check_k,
    check_number,
    real_numbers,
    whole_numbers,
)
from lib.report import measure
from lib.search.two_stage import TwoStageRetriever


class MeasuredCosts(NamedTuple):
    """Median seconds per query: of the first stage alone, and of both stages at each depth.

    `fit_costs(*measured[:3])` fits a line. `repeats` holds the seconds behind every median: of the
    first stage, then of each depth.
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
    """Measure the latency of a query, encoding included, at several depths.

    Args:
        retriever: its own depth does not matter here.
        queries: texts or images as a user sends them; each batch is one request.
        depths: numbers of reranked items, from 1 to the gallery size.
        repeats: timed requests of every batch at every depth, after one untimed request. Depths
            take turns: a machine that slows down slows them all.
        modality: of the queries, "text" or "image".
        k: items per answer.
        batch_size: queries per request; 1 measures the waiting time of a user, more a server's
            throughput.

    Returns:
        `MeasuredCosts`, medians over batches and repeats, and all repeats.
    """
    if len(queries) == 0:
        raise RetrievalInputError("there are no queries to measure with; give some")
    depths = np.asarray([check_k(depth, retriever.n_items) for depth in depths])
    k, batch_size = check_k(k, retriever.n_items), check_count(batch_size, "batch_size")
    batches = [queries[start : start + batch_size] for start in range(0, len(queries), batch_size)]

    def first_stage(batch) -> Callable[[], object]:
        return lambda: retriever.first.search(retriever.first.encode(batch, modality), k)

    def both_stages(batch, depth: int) -> Callable[[], object]:
        return lambda: retriever.search_depths(retriever.encode(batch, modality), k, [depth])

    seconds: list[list[float]] = [[] for _ in range(1 + depths.size)]
    for turn in range(check_count(repeats, "repeats")):
        for batch in batches:
            requests = [first_stage(batch), *(both_stages(batch, depth) for depth in depths)]
            for samples, request in zip(seconds, requests, strict=True):
                (elapsed,) = measure(request, repeats=1, warmup=1 if turn == 0 else 0)
                samples.append(elapsed / len(batch))
    medians = [statistics.median(samples) for samples in seconds]
    return MeasuredCosts(medians[0], depths, np.array(medians[1:]), seconds)


@dataclass(frozen=True)
class StageCosts:
    """Latency of a query as a line in the depth D of the rerank.

        t(D) = first + fixed + pair D  for D >= 1,   t(0) = first

    Args:
        first_s: seconds per query of the first stage.
        fixed_s: seconds per query of the second stage before it scores anything.
        pair_s: seconds per (query, item) pair of the second stage.
        misfit: largest error of the line at a measured depth, as a share of the measured seconds.
    """

    first_s: float
    fixed_s: float
    pair_s: float
    misfit: float = 0.0

    def __post_init__(self) -> None:
        for name in ("first_s", "fixed_s", "pair_s", "misfit"):
            check_number(getattr(self, name), name, 0)

    def seconds(self, depth):
        """Compute the seconds per query at one depth, or at each of several."""
        depth = np.asarray(depth)
        with_rerank = self.first_s + self.fixed_s + self.pair_s * depth
        return np.where(depth > 0, with_rerank, self.first_s)[()]

    def deepest(self, budget_s: float, largest: int) -> int | None:
        """Find the largest depth within the budget, up to `largest`; None if not even 0 fits."""
        # Every depth is compared: a division could round to one depth too many.
        fits = self.seconds(np.arange(largest + 1)) <= budget_s
        return int(fits.sum()) - 1 if fits.any() else None


def fit_costs(first_s: float, depths: Sequence[int], seconds: Sequence[float]) -> StageCosts:
    """Fit fixed and per-pair seconds of a second stage by least squares, neither below 0.

        min over a, b >= 0 of  sum_D (first + a + b D - t_D)^2

    Args:
        first_s: seconds per query of the first stage alone.
        depths: at least two different depths, from 1.
        seconds: seconds per query of both stages at each depth.
    """
    depths, seconds = _checked_curve(depths, seconds, "seconds", lowest=1)
    check_number(first_s, "first_s", 0)
    if (seconds < 0).any():
        raise RetrievalInputError(f"seconds must not be negative, got {seconds.min()}")
    if np.unique(depths).size < 2:
        raise RetrievalInputError(
            f"depths must hold at least two different ones, got {depths.tolist()}: one alone cannot"
            " separate the overhead from the cost of a pair"
        )
    (fixed_s, pair_s), _ = nnls(np.column_stack([np.ones(depths.size), depths]), seconds - first_s)
    fitted = first_s + fixed_s + pair_s * depths
    misfit = np.abs(fitted - seconds) / np.maximum(seconds, np.finfo(float).tiny)
    return StageCosts(float(first_s), float(fixed_s), float(pair_s), float(misfit.max()))


@dataclass(frozen=True)
class DepthPlan:
    """A depth for the rerank, and the reason for it.

    Args:
        depth: items to rerank; None when not even the first stage fits the budget.
        affordable: largest depth within the budget, up to the last measured one; None likewise.
        seconds: per query at `depth`, or of the first stage alone when nothing fits.
        quality: at `depth`; None when nothing fits.
        limit: the reason to stop there: "first stage" (nothing fits), "budget" (more depth would
            be better), "quality" (more depth was measured and is no better), or "curve" (nothing
            deeper was measured).
        budget_s: seconds per query that are allowed.
        best: depth and quality of the best measured point.
    """

    depth: int | None
    affordable: int | None
    seconds: float
    quality: float | None
    limit: str
    budget_s: float
    best: tuple[int, float]

    def describe(self, metric: str = "quality") -> str:
        """Describe the plan in a sentence; `metric` is the name of the quality."""
        cost = f"{1e3 * self.seconds:.3g} ms of {1e3 * self.budget_s:.3g} ms"
        if self.depth is None:
            return f"No depth fits: the first stage alone takes {cost}."
        reason = {
            "budget": (
                f"the budget ends at depth {self.affordable}, the best measured is"
                f" {self.best[1]:.3f} at depth {self.best[0]}"
            ),
            "curve": "nothing deeper was measured",
            "quality": f"{self.affordable} would fit, but more depth is no better",
        }[self.limit]
        action = f"Rerank {self.depth} items" if self.depth else "Leave the first stage as it is"
        return f"{action}: {cost}, {metric} {self.quality:.3f}; {reason}."


def plan_depth(
    costs: StageCosts,
    budget_s: float,
    depths: Sequence[int],
    quality: Sequence[float],
    *,
    tolerance: float = 0.0,
) -> DepthPlan:
    """Choose the smallest depth within a latency budget that is as good as any within it.

        affordable = max {D : t(D) <= budget}
        depth = min {D <= affordable : q(D) >= max of q up to affordable - tolerance}

    Args:
        costs: from `fit_costs`.
        budget_s: allowed seconds per query.
        depths: measured depths, ascending from 0, the first stage alone. No deeper one is chosen.
        quality: a metric at each depth, higher is better; straight lines in between.
        tolerance: loss of quality that is acceptable for less time, in units of `quality`.

    Returns:
        A `DepthPlan`. Its depth is a measured one, or the affordable one with interpolated quality.
    """
    check_number(budget_s, "budget_s", 0)
    check_number(tolerance, "tolerance", 0)
    depths, quality = _checked_curve(depths, quality, "quality", lowest=0)
    if depths[0] != 0 or (np.diff(depths) <= 0).any():
        raise RetrievalInputError(
            f"depths must ascend strictly from 0, the first stage alone, got {depths.tolist()}"
        )
    best = int(np.argmax(quality))
    best_point = int(depths[best]), float(quality[best])
    affordable = costs.deepest(budget_s, int(depths[-1]))
    if affordable is None:
        return DepthPlan(None, None, costs.first_s, None, "first stage", budget_s, best_point)
    options = np.union1d(depths[depths <= affordable], affordable)
    option_quality = np.interp(options, depths, quality)
    chosen = int(np.argmax(option_quality >= option_quality.max() - tolerance))
    depth = int(options[chosen])
    if quality.max() > option_quality.max() + tolerance:
        limit = "budget"
    else:
        limit = "curve" if depth == depths[-1] else "quality"
    seconds, reached = float(costs.seconds(depth)), float(option_quality[chosen])
    return DepthPlan(depth, affordable, seconds, reached, limit, budget_s, best_point)


def _checked_curve(depths, values, name: str, lowest: int) -> tuple[np.ndarray, np.ndarray]:
    """Return depths (whole numbers from `lowest`) and one finite number for each, as arrays."""
    depths, values = whole_numbers(depths, "depths"), real_numbers(values, name)
    if depths.size == 0 or depths.min() < lowest:
        raise RetrievalInputError(
            f"depths must be whole numbers from {lowest}, got {depths.tolist()}"
        )
    if values.shape != depths.shape:
        raise RetrievalInputError(
            f"{name} must be {depths.size} finite numbers, one per depth, got {values.tolist()}"
        )
    return depths, values
