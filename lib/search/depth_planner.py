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


@dataclass(frozen=True)
class StageCosts:
    """What a query costs, as a line in the depth D of the rerank.

        t(D) = first + fixed + pair D  for D >= 1,   t(0) = first

    Args:
        first_s: seconds a query of the first stage.
        fixed_s: seconds a query that the second stage takes before it scores anything.
        pair_s: seconds a (query, item) pair of the second stage.
        misfit: largest error of the line at a measured depth, as a share of the seconds measured
            there.

    Raises:
        RetrievalInputError: a number that is negative or not finite.
    """

    first_s: float
    fixed_s: float
    pair_s: float
    misfit: float = 0.0

    def __post_init__(self) -> None:
        for name in ("first_s", "fixed_s", "pair_s", "misfit"):
            check_number(getattr(self, name), name, 0)

    def seconds(self, depth):
        """Seconds a query at a depth, or at each of several."""
        depth = np.asarray(depth)
        return np.where(depth > 0, self.first_s + self.fixed_s + self.pair_s * depth, self.first_s)[
            ()
        ]

    def deepest(self, budget_s: float, largest: int) -> int | None:
        """The largest depth up to `largest` whose seconds are within the budget; None if not even 0
        is.
        """
        # Asked of every depth, not solved for: rounding in a division could end one too deep.
        fits = (
            self.seconds(np.arange(largest + 1)) <= budget_s
        )  # seconds do not fall, so a prefix fits
        return int(fits.sum()) - 1 if fits.any() else None


def fit_costs(first_s: float, depths: Sequence[int], seconds: Sequence[float]) -> StageCosts:
    """Fixed and per-pair seconds of a second stage by least squares, neither below 0.

        min over a, b >= 0 of  sum_D (first + a + b D - t_D)^2

    Args:
        first_s: seconds a query of the first stage alone.
        depths: at least two different ones, from 1.
        seconds: of a query through both stages at each of these depths.

    Raises:
        RetrievalInputError: lists of different lengths, fewer than two different depths, depth 0
            (it is `first_s`), or a time that is negative or not finite.
    """
    depths, seconds = _curve(depths, seconds, "seconds", lowest=1)
    check_number(first_s, "first_s", 0)
    if (seconds < 0).any():
        raise RetrievalInputError(f"seconds hold {seconds.min()}; a time is not negative")
    if np.unique(depths).size < 2:
        raise RetrievalInputError(
            f"depths are {depths.tolist()}; give at least two different ones, which tell the"
            " overhead from the cost of a pair"
        )
    (fixed_s, pair_s), _ = nnls(np.column_stack([np.ones(depths.size), depths]), seconds - first_s)
    fitted = first_s + fixed_s + pair_s * depths
    misfit = np.abs(fitted - seconds) / np.maximum(seconds, np.finfo(float).tiny)
    return StageCosts(float(first_s), float(fixed_s), float(pair_s), float(misfit.max()))


@dataclass(frozen=True, eq=False)
class QualityCurve:
    """Quality measured at some depths, straight lines in between.

    Args:
        depths: strictly ascending from 0, the first stage alone.
        values: the metric at each depth; higher is better.
        metric: its name.

    Raises:
        RetrievalInputError: depths that do not ascend from 0, or values that do not fit them.
    """

    depths: np.ndarray
    values: np.ndarray
    metric: str = "quality"

    def __post_init__(self) -> None:
        depths, values = _curve(self.depths, self.values, "values", lowest=0)
        if depths[0] != 0 or (np.diff(depths) <= 0).any():
            raise RetrievalInputError(
                f"depths must ascend strictly from 0, the first stage alone, got {depths.tolist()}"
            )
        object.__setattr__(self, "depths", depths)
        object.__setattr__(self, "values", values)

    def at(self, depth) -> np.ndarray:
        """The value at a depth up to the last measured one, or at each of several."""
        if (np.asarray(depth) > self.depths[-1]).any() or (np.asarray(depth) < 0).any():
            raise RetrievalInputError(
                f"depth {depth} is outside 0..{self.depths[-1]}, which was measured"
            )
        return np.interp(depth, self.depths, self.values)


@dataclass(frozen=True)
class DepthPlan:
    """A depth, and why that one.

    Args:
        depth: to rerank; None when not even the first stage fits the budget.
        affordable: the largest depth within the budget, up to the last measured one; None likewise.
        seconds: a query at `depth` (of the first stage alone when nothing fits).
        quality: at `depth`; None when nothing fits.
        limit: what stops there: "first stage" (nothing fits), "budget" (more depth would be
            better), "quality" (more depth was measured and is no better), or "curve" (nothing
            deeper was measured).
        costs, curve, budget_s: what it was made from.
    """

    depth: int | None
    affordable: int | None
    seconds: float
    quality: float | None
    limit: str
    costs: StageCosts
    curve: QualityCurve
    budget_s: float

    def describe(self) -> str:
        """The plan in a sentence."""
        took = f"{1e3 * self.seconds:.3g} ms of {1e3 * self.budget_s:.3g} ms"
        if self.depth is None:
            return f"No depth fits: the first stage alone takes {took}."
        chosen = f"Rerank {self.depth} items" if self.depth else "Leave the first stage as it is"
        text = f"{chosen}: {took}, {self.curve.metric} {self.quality:.3f}; "
        best = int(np.argmax(self.curve.values))
        if self.limit == "budget":
            there = f"{self.curve.values[best]:.3f} at depth {self.curve.depths[best]}"
            return (
                text + f"the budget ends at depth {self.affordable}, the best measured is {there}."
            )
        if self.limit == "curve":
            return text + "nothing deeper was measured."
        return text + f"{self.affordable} would fit, but more depth is no better."


def plan_depth(
    costs: StageCosts, budget_s: float, curve: QualityCurve, *, tolerance: float = 0.0
) -> DepthPlan:
    """Picks the smallest depth within a latency budget that is as good as any within it.

        affordable = max {D : t(D) <= budget}
        depth = min {D <= affordable : q(D) >= max of q up to affordable - tolerance}

    Args:
        costs: from `fit_costs`.
        budget_s: seconds that a query may take.
        curve: quality at measured depths; nothing deeper than its last one is planned.
        tolerance: quality that is not worth more time, in units of the curve.

    Returns:
        A `DepthPlan`. Depths considered are the measured ones and the affordable one, whose quality is
        on the line between its neighbours.

    Raises:
        RetrievalInputError: a budget or tolerance that is negative or not finite.

    Relations: `recall_ceiling` bounds what any depth can reach; `measure_costs` measures what
    `costs` fits.
    """
    check_number(budget_s, "budget_s", 0)
    check_number(tolerance, "tolerance", 0)
    affordable = costs.deepest(budget_s, int(curve.depths[-1]))
    if affordable is None:
        return DepthPlan(None, None, costs.first_s, None, "first stage", costs, curve, budget_s)
    options = np.union1d(curve.depths[curve.depths <= affordable], affordable)
    quality = curve.at(options)
    chosen = int(np.argmax(quality >= quality.max() - tolerance))
    depth = int(options[chosen])
    if curve.values.max() > quality.max() + tolerance:
        limit = "budget"
    else:
        limit = "curve" if depth == curve.depths[-1] else "quality"
    seconds, reached = float(costs.seconds(depth)), float(quality[chosen])
    return DepthPlan(depth, affordable, seconds, reached, limit, costs, curve, budget_s)


def _curve(depths, values, name: str, lowest: int) -> tuple[np.ndarray, np.ndarray]:
    """Depths (whole numbers) and as many finite numbers, as arrays."""
    depths, values = whole_numbers(depths, "depths"), real_numbers(values, name)
    if depths.size == 0 or depths.min() < lowest:
        raise RetrievalInputError(
            f"depths must be whole numbers from {lowest}, got {depths.tolist()}"
        )
    if values.shape != depths.shape:
        raise RetrievalInputError(
            f"{name} must be {depths.size} finite numbers, one a depth, got {values.tolist()}"
        )
    return depths, values
