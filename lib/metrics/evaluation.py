"""From a run and its judgements to means with intervals, beside what chance gives."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_choices, whole_numbers
from lib.core.qrels import Qrels
from lib.metrics.bootstrap import bootstrap_interval, bootstrap_intervals, bootstrap_median_interval
from lib.metrics.chance import FAMILIES, chance_of, chance_of_gain, chance_of_ranks, metric_names
from lib.metrics.graded import GAINS, check_gain, normalised_gain, precision_over_r, precision_sum
from lib.metrics.ranking import (
    correct_share,
    found_share,
    hits,
    inverse_first_rank,
    rank_of_first,
    share_of_first_r,
)
from lib.metrics.runs import (
    check_deep_enough,
    check_depth,
    checked_run,
    grades_in,
    is_tied,
    keep_queries,
    ties_reordered,
)

RUN_TIES = ("id", "pessimistic", "optimistic")
RANKS = {"MedR": np.median, "MeanR": np.mean}  # of the first relevant item; lower is better


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """Per-query values of every metric; means and intervals follow from them.

    Beside the metrics that were asked for, `value`, `interval` and `rows` know "MedR" and "MeanR",
    the median and the mean rank of the first relevant item.

    Args:
        name, split, direction: what was measured, as given to `evaluate`.
        per_query: `{metric: (n_queries,) float64}`.
        queries: `(n_queries,)` position of each value's query in the task (all, unless some were
            skipped).
        n_gallery: items that could be found.
        k: depth of the run.
        hit_grade: the grade from which an item counted as relevant.
        n_without_relevant: queries to which nothing is relevant; skipped or counted 0, as asked.
        tie_share: share of queries in which an exact tie of scores touches a cut-off or the first
            relevant item, so that ids decided; None when the run had no scores.
        chance: `{metric: expected value of a random order}`, for MedR its median.
        groups: `(n_queries,)` cluster of each query for the intervals, or None.
        ties: the policy that put equal scores in order.
        bounds: `{metric: (pessimistic, optimistic)}` means over queries when ties go against and
            for the relevant items; empty when the run had no scores.
        first_ranks: `(n_queries,)` rank of the first relevant item, infinity beyond the run.
    """

    name: str
    split: str
    direction: str
    per_query: dict[str, np.ndarray]
    queries: np.ndarray
    n_gallery: int
    k: int
    hit_grade: int
    n_without_relevant: int
    tie_share: float | None
    chance: dict[str, float]
    groups: np.ndarray | None = None
    ties: str = "id"
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    first_ranks: np.ndarray | None = None
    _intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def n_queries(self) -> int:
        return self.queries.size

    def mean(self, metric: str) -> float:
        """The mean of a metric over queries."""
        return float(self.per_query[check_choice(metric, self.per_query, "metric")].mean())

    def interval(self, metric: str) -> tuple[float, float]:
        """The 95% bootstrap interval of `value`, by clusters where the task has them.

        NaN for a "MeanR" that is infinite.
        """
        check_choice(metric, [*self.per_query, *RANKS], "metric")
        if metric == "MedR" and metric not in self._intervals:
            self._intervals[metric] = bootstrap_median_interval(self.first_ranks, self.groups)
        elif metric == "MeanR" and metric not in self._intervals:
            known = np.isfinite(self.first_ranks).all()
            self._intervals[metric] = (
                bootstrap_interval(self.first_ranks, self.groups) if known else (np.nan, np.nan)
            )
        elif metric not in self._intervals:
            low, high = bootstrap_intervals(
                np.column_stack(list(self.per_query.values())), self.groups
            )
            self._intervals.update(
                zip(self.per_query, zip(low.tolist(), high.tolist(), strict=True), strict=True)
            )
        return self._intervals[metric]

    def value(self, metric: str) -> float:
        """The mean of a metric over queries, or the "MedR" or "MeanR"."""
        check_choice(metric, [*self.per_query, *RANKS], "metric")
        return float(RANKS[metric](self.first_ranks)) if metric in RANKS else self.mean(metric)

    @property
    def median_rank(self) -> float:
        """The median rank of the first relevant item (MedR), from 1; infinity when it is beyond the
        run.
        """
        return self.value("MedR")

    @property
    def mean_rank(self) -> float:
        """The mean rank of the first relevant item, from 1; infinity when one of them is beyond the
        run.
        """
        return self.value("MeanR")

    def rows(self, metrics: Sequence[str] | None = None, *, ties: bool = False) -> list[dict]:
        """One tidy row per metric, all in `per_query` or those named: value, interval, chance,
        sizes.

        With `ties` also the policy, the share of tied queries and the value at either extreme, None
        where the run had no scores.
        """
        rows = []
        for metric in self.per_query if metrics is None else metrics:
            low, high = self.interval(metric)
            rows.append(
                {
                    "metric": metric,
                    "value": self.value(metric),
                    "low": low,
                    "high": high,
                    "chance": self.chance[metric],
                    "n_queries": self.n_queries,
                    "n_gallery": self.n_gallery,
                    "split": self.split,
                    "direction": self.direction,
                }
            )
            if ties:
                worst, best = self.bounds.get(metric, (None, None))
                rows[-1] |= {
                    "ties": self.ties,
                    "tie_share": self.tie_share,
                    "pessimistic": worst,
                    "optimistic": best,
                }
        return rows

    def __repr__(self) -> str:
        means = ", ".join(
            f"{metric} {values.mean():.4f}" for metric, values in self.per_query.items()
        )
        what = " ".join(part for part in (self.name, self.split, self.direction) if part)
        return f"Evaluation({what}: {self.n_queries:,} queries x {self.n_gallery:,} items; {means})"


def evaluate(
    run,
    qrels: Qrels,
    *,
    ks: Sequence[int] = (1, 5, 10),
    metrics: Sequence[str] = ("R", "recall", "MRR"),
    gain: str = "exponential",
    ties: str = "id",
    hit_grade: int = 1,
    groups=None,
    name: str = "",
    split: str = "",
    direction: str = "",
    no_relevant: str = "error",
) -> Evaluation:
    """Measures a run by the families of metrics named, at every cut-off or over the whole depth.

    Args:
        run: `(scores, ids)` as an index returns them, or ids alone; both `(n_queries, depth)`, best
            first, -1 where nothing was returned. Equal scores say nothing about order, so `ties`
            decides it.
        qrels: the judgements, shape `(n_queries, n_gallery)`.
        ks: cut-offs, none deeper than the run.
        metrics: "R" (hit rate), "recall", "P" (precision) and "nDCG" at every cut-off; "MRR" and
            "MAP" (over R) to the depth of the run; "R-precision" and "MAP@R", for which it must
            reach rank R.
        gain: of nDCG, "exponential" or "linear". nDCG reads all grades, whatever `hit_grade` is.
        ties: "id" (what an index returns), or "pessimistic" or "optimistic" for the relevant items;
            the means of the latter two are always in `Evaluation.bounds`.
        hit_grade: the grade from which an item is relevant.
        groups: `(n_queries,)` cluster of each query, for the intervals.
        name, split, direction: of the task; they go into the result.
        no_relevant: what becomes of queries to which nothing is relevant: "error", "skip" (they are
            left out), or "zero" (they count 0). `Evaluation.n_without_relevant` counts them.

    Returns:
        An `Evaluation`, with metrics "R@1", ..., "recall@1", ..., "MRR@<depth>" in the order asked
        for, and by name also "MedR" and "MeanR", which are infinite where they lie beyond the run.

    Raises:
        RetrievalInputError: what `hit_rate_at_k` refuses; scores that are NaN or rise along a row;
            a run that is deeper than the gallery; groups of another length; no query left.

    Relations: each metric is the function of `lib.metrics` with its name; `evaluate_embeddings`
    needs no run and also averages over the orders of ties. Chance is the expectation over all
    orders of the gallery, for a hit rate with R relevant items among n

        1 - C(n - R, k) / C(n, k)
    """
    scores, ids = checked_run(run, qrels)
    depth = ids.shape[1]
    ks = sorted({check_depth(k, depth) for k in whole_numbers(ks, "ks").tolist()})
    metrics = check_choices(metrics, FAMILIES, "metrics")
    check_choice(gain, GAINS, "gain")
    check_choice(ties, RUN_TIES, "ties")
    if "nDCG" in metrics:
        check_gain(qrels, gain)
    asked = keep_queries(qrels, hit_grade, groups, no_relevant)
    qrels, counts, hit_grade = asked.qrels, asked.counts, asked.hit_grade
    if asked.kept.size < len(ids):
        ids = ids[asked.kept]
        scores = None if scores is None else scores[asked.kept]
    if {"R-precision", "MAP@R"} & set(metrics):
        check_deep_enough(counts, depth, qrels.n_items)
    names = metric_names(metrics, ks, depth)
    grades = grades_in(ids, qrels)  # (n_queries, depth)

    def measure(grades):
        relevant = grades >= hit_grade
        how = {
            "R": lambda k: hits(relevant, k),
            "recall": lambda k: found_share(relevant, counts, k),
            "P": lambda k: correct_share(relevant, k),
            "nDCG": lambda k: normalised_gain(grades, qrels, k, gain),
            "MRR": lambda _: inverse_first_rank(relevant),
            "MAP": lambda _: precision_sum(relevant) / np.maximum(counts, 1),
            "R-precision": lambda _: share_of_first_r(relevant, counts),
            "MAP@R": lambda _: precision_over_r(relevant, counts),
        }
        return {name: how[family](k) for name, (family, k) in names.items()}

    per_query, tie_share, bounds = measure(grades), None, {}
    if scores is not None:
        tie_share = float(is_tied(scores, grades >= hit_grade, ks).mean())
        extremes = dict(
            zip(("pessimistic", "optimistic"), ties_reordered(grades, scores), strict=True)
        )
        measured = {
            at: per_query if order is grades else measure(order) for at, order in extremes.items()
        }
        bounds = {name: tuple(float(of[name].mean()) for of in measured.values()) for name in names}
        firsts = [rank_of_first(order >= hit_grade) for order in extremes.values()]
        bounds |= {name: tuple(float(of(first)) for first in firsts) for name, of in RANKS.items()}
        if ties != "id":
            per_query, grades = measured[ties], extremes[ties]
    elif ties != "id":
        raise RetrievalInputError(f"ties={ties!r} needs scores: pass the run as (scores, ids)")
    chance = chance_of(counts, qrels.n_items, ks, depth, metrics=metrics)
    if "nDCG" in metrics:
        chance |= {f"nDCG@{k}": chance_of_gain(qrels, k, gain) for k in ks}
    chance |= chance_of_ranks(counts, qrels.n_items, depth)
    return Evaluation(
        name=name,
        split=split,
        direction=direction,
        per_query=per_query,
        queries=asked.kept,
        n_gallery=qrels.n_items,
        k=depth,
        hit_grade=hit_grade,
        n_without_relevant=asked.n_without,
        tie_share=tie_share,
        chance=chance,
        groups=asked.groups,
        ties=ties,
        bounds=bounds,
        first_ranks=rank_of_first(grades >= hit_grade),
    )
