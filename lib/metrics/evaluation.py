"""Evaluation of runs and embeddings: per-query values, means with intervals, and chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from lib.core.checks import RetrievalInputError, as_embeddings, check_choice, check_k
from lib.core.qrels import Qrels
from lib.metrics import intervals, kernels, runs
from lib.metrics.kernels import FAMILIES, RANK_STATISTICS, MetricNames, PlacedItems
from lib.metrics.ranks import (
    TIES,
    RelevantRanks,
    check_candidates,
    ranks_of_relevant,
)
from lib.metrics.runs import CountedQueries
from lib.metrics.score_ranks import ranks_by_best_text

RUN_TIES = ("id", "pessimistic", "optimistic")


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """Per-query values of every metric; means and intervals follow from them.

    `value`, `interval` and `rows` also know "MedR" and "MeanR", the median and the mean rank of the
    first relevant item, and "MRR" and "MAP" without the depth.

    Args:
        name, split, direction: of the task, as given to `evaluate`.
        per_query: `{metric: (n_queries,) float64}`.
        queries: `(n_queries,)` position of each value's query in the task (all, unless some were
            skipped).
        n_gallery: items that could be found.
        k: depth of the run.
        hit_grade: the grade from which an item counted as relevant.
        n_without_relevant: queries without relevant items, skipped or counted 0.
        tie_share: share of queries in which an exact tie of scores touches a cut-off or the first
            relevant item; None when the run had no scores.
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

    def _key(self, metric: str, *others: str) -> str:
        """Return the key of a metric; "MRR" is that of the whole depth."""
        known = [*self.per_query, *others]
        if (
            isinstance(metric, str)
            and metric in FAMILIES
            and metric not in known
            and f"{metric}@{self.k}" in known
        ):
            metric = f"{metric}@{self.k}"
        return check_choice(metric, known, "metric")

    def mean(self, metric: str) -> float:
        """Return the mean of a metric over queries."""
        return float(self.per_query[self._key(metric)].mean())

    def value(self, metric: str) -> float:
        """Return the mean of a metric over queries, or the "MedR" or "MeanR"."""
        key = self._key(metric, *RANK_STATISTICS)
        if key in RANK_STATISTICS:
            return float(RANK_STATISTICS[key](self.first_ranks))
        return self.mean(key)

    def interval(self, metric: str) -> tuple[float, float]:
        """Return the 95% bootstrap interval of `value`, by clusters where the task has them.

        NaN for a "MeanR" that is infinite.
        """
        key = self._key(metric, *RANK_STATISTICS)
        ranks, groups = self.first_ranks, self.groups
        if key in self._intervals:
            return self._intervals[key]
        if key == "MedR":
            self._intervals[key] = intervals.bootstrap_median_interval(ranks, groups)
        elif key == "MeanR" and not np.isfinite(ranks).all():
            self._intervals[key] = np.nan, np.nan
        elif key == "MeanR":
            self._intervals[key] = intervals.bootstrap_interval(ranks, groups)
        else:
            columns = np.column_stack(list(self.per_query.values()))
            low, high = intervals.bootstrap_intervals(columns, groups)
            self._intervals.update(zip(self.per_query, zip(low.tolist(), high.tolist())))
        return self._intervals[key]

    @property
    def median_rank(self) -> float:
        """The median rank of the first relevant item (MedR); infinity when it is beyond the run."""
        return self.value("MedR")

    @property
    def mean_rank(self) -> float:
        """The mean rank of the first relevant item; infinity when one of them is beyond the run."""
        return self.value("MeanR")

    def rows(self, metrics: Sequence[str] | None = None, *, ties: bool = False) -> list[dict]:
        """Return one tidy row per metric: value, interval, chance and sizes.

        Args:
            metrics: names; all in `per_query` by default.
            ties: also the policy, the share of tied queries and the value at either extreme, None
                where the run had no scores.
        """
        rows = []
        for metric in self.per_query if metrics is None else metrics:
            key = self._key(metric, *RANK_STATISTICS)
            low, high = self.interval(key)
            row = {
                "metric": metric,
                "value": self.value(key),
                "low": low,
                "high": high,
                "chance": self.chance[key],
                "n_queries": self.n_queries,
                "n_gallery": self.n_gallery,
                "split": self.split,
                "direction": self.direction,
            }
            if ties:
                worst, best = self.bounds.get(key, (None, None))
                row |= {"ties": self.ties, "tie_share": self.tie_share}
                row |= {"pessimistic": worst, "optimistic": best}
            rows.append(row)
        return rows

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {values.mean():.4f}" for name, values in self.per_query.items())
        task = " ".join(part for part in (self.name, self.split, self.direction) if part)
        return f"Evaluation({task}: {self.n_queries:,} queries x {self.n_gallery:,} items; {means})"


def evaluate(
    run,
    qrels: Qrels,
    *,
    metrics: Sequence[str] = ("R", "recall", "MRR"),
    ks: Sequence[int] = (1, 5, 10),
    gain: str = "exponential",
    ties: str = "id",
    hit_grade: int = 1,
    groups=None,
    name: str = "",
    split: str = "",
    direction: str = "",
    no_relevant: str = "error",
) -> Evaluation:
    """Evaluate a run by metrics named like "nDCG@10", "R@1" and "MRR".

    Args:
        run: `(scores, ids)` as an index returns them, or ids alone; both `(n_queries, depth)`, best
            first, -1 where nothing was returned.
        qrels: the judgements, shape `(n_queries, n_gallery)`.
        metrics: "R" (hit rate), "recall", "P" (precision) and "nDCG", "MRR" and "MAP" (over R),
            with a cut-off, "R@1", or without. "R-precision" and "MAP@R" have the cut-off R, which
            the run must reach. Without a cut-off the first four are measured at every k of `ks`,
            MRR and MAP over the whole depth of the run.
        ks: cut-offs of the names without one.
        gain: of nDCG, "exponential" or "linear". nDCG reads all grades, whatever `hit_grade` is.
        ties: order of equal scores: "id" (what an index returns), "pessimistic" or "optimistic" for
            the relevant items. The means of the latter two are always in `Evaluation.bounds`.
        hit_grade: the grade from which an item is relevant.
        groups: `(n_queries,)` cluster of each query, for the intervals.
        name, split, direction: of the task, stored in the result.
        no_relevant: for queries without relevant items: "error", "skip" (left out), or "zero" (they
            count 0). `Evaluation.n_without_relevant` counts them.

    Returns:
        An `Evaluation` with the metrics in the order given, named "R@1", "MRR@<depth>", and also
        "MedR" and "MeanR". Chance is the expectation over all orders of the gallery, for a hit rate
        with R relevant items among n: 1 - C(n - R, k) / C(n, k).
    """
    scores, ids = runs.checked_run(run, qrels)
    depth = ids.shape[1]
    names = kernels.metric_names(metrics, ks, depth, runs.check_depth)
    families = {family for family, _ in names.values()}
    check_choice(ties, RUN_TIES, "ties")
    if ties != "id" and scores is None:
        raise RetrievalInputError(f"ties={ties!r} needs scores: pass the run as (scores, ids)")
    counted = runs.count_queries(qrels, hit_grade, groups, no_relevant)
    if counted.positions.size < len(ids):
        ids = ids[counted.positions]
        scores = None if scores is None else scores[counted.positions]
    if any(FAMILIES[family].cut == "R" for family in families):
        runs.check_deep_enough(counted.counts, depth, qrels.n_items)
    measure = _measurement(names, counted, gain)
    grades = runs.grades_in(ids, counted.qrels)  # (n_queries, depth)
    measured = {"id": measure(PlacedItems.from_grades(grades, counted.qrels.counts))}
    tie_share = None
    if scores is not None:
        cuts = sorted({k for family, k in names.values() if FAMILIES[family].cut != "R"})
        tie_share = float(runs.is_tied(scores, measured["id"][1], cuts).mean())
        orders = runs.ties_reordered(grades, scores)
        for policy, order in zip(("pessimistic", "optimistic"), orders, strict=True):
            measured[policy] = (
                measured["id"]
                if order is grades
                else measure(PlacedItems.from_grades(order, counted.qrels.counts))
            )
    labels = {"name": name, "split": split, "direction": direction}
    return _evaluation(names, counted, depth, measured, ties, gain, tie_share, labels)


def evaluate_embeddings(
    queries,
    gallery,
    qrels: Qrels,
    *,
    metrics: Sequence[str] = ("R", "MRR"),
    ks: Sequence[int] = (1, 5, 10),
    metric: str = "cosine",
    gain: str = "exponential",
    ties: str = "pessimistic",
    hit_grade: int = 1,
    groups=None,
    name: str = "",
    split: str = "",
    direction: str = "",
    no_relevant: str = "error",
    excluded: Qrels | None = None,
    candidates: Qrels | None = None,
) -> Evaluation:
    """Evaluate embeddings over the whole gallery, without a run.

    It equals `evaluate` of an exact search over the whole gallery.

    Args:
        queries: `(n_queries, d)` embeddings.
        gallery: `(n_items, d)` embeddings.
        qrels: the judgements, shape `(n_queries, n_items)`.
        metrics: names as in `evaluate`. Other metrics than "R" and "MRR" need the rank of every
            relevant item and take longer.
        ks: cut-offs of the names without one.
        metric: "cosine" or "inner_product".
        gain: of nDCG, "exponential" or "linear".
        ties: "pessimistic", "optimistic", "expected" or "id", see `RelevantRanks`. The default
            never flatters a model; `Evaluation.bounds` holds both extremes. "expected" is for "R"
            and "MRR".
        hit_grade, groups, name, split, direction, no_relevant: as in `evaluate`.
        excluded: pairs of a query and an item that is no candidate of it, `(n_queries, n_items)`,
            as the picture that a query starts from. The result is that of a gallery without it.
        candidates: the few items among which each query is ranked, `(n_queries, n_items)`, instead
            of the gallery.

    Returns:
        An `Evaluation` with the metrics in the order given, and also "MedR" and "MeanR". Its
        `tie_share` is the share of queries where the first relevant rank depends on the policy.
        Chance is that of the items that each query can find, `n_gallery` their largest number.
    """
    check_choice(ties, TIES, "ties")
    queries, gallery = as_embeddings(queries, "queries"), as_embeddings(gallery, "gallery")
    runs.check_judgements(qrels, len(queries), len(gallery))
    check_candidates(qrels, excluded, candidates)
    counted = runs.count_queries(qrels, hit_grade, groups, no_relevant)
    sizes = _gallery_sizes(qrels, excluded, candidates)[counted.positions]
    depth, smallest = int(sizes.max()), int(sizes.min())
    names = kernels.metric_names(
        metrics, ks, depth, lambda k, _: check_k(k, smallest), name_depth=False
    )
    families = {family for family, _ in names.values()}
    needs_all = families - set(kernels.FIRST_ITEM_ONLY)
    if needs_all and ties == "expected":
        raise RetrievalInputError(
            f"ties must be one of 'pessimistic', 'optimistic', 'id' for {', '.join(needs_all)}, got"
            " 'expected'; the expectation is known for R and MRR"
        )
    if counted.positions.size < len(queries):
        queries = queries[counted.positions]
        excluded = excluded and excluded.take_queries(counted.positions)
        candidates = candidates and candidates.take_queries(counted.positions)
    ranks = ranks_of_relevant(
        queries,
        gallery,
        counted.qrels if "nDCG" in families else counted.qrels.at_least(counted.hit_grade),
        metric=metric,
        which="all" if needs_all else "first",
        no_relevant="zero",
        excluded=excluded,
        candidates=candidates,
    )
    labels = {"name": name, "split": split, "direction": direction}
    return evaluation_of_ranks(ranks, names, counted, ties, gain, labels, sizes)


def evaluate_by_best_text(
    items,
    texts,
    qrels: Qrels,
    *,
    metrics: Sequence[str] = ("R", "MRR"),
    ks: Sequence[int] = (1, 5, 10),
    ties: str = "pessimistic",
    groups=None,
    name: str = "",
    split: str = "",
    direction: str = "",
) -> Evaluation:
    """Evaluate items that seek each other's texts, each item scored by the best of its texts.

    This is how CLIP4Clip goes from video to text where a video has many sentences (MSVD, VATEX):
    the gallery is the n items, see `ranks_by_best_text`. `evaluate_embeddings(items, texts, qrels)`
    is the other protocol, with every text in the gallery.

    Args:
        items, texts, qrels: as for `ranks_by_best_text`.
        metrics, ks, ties, groups, name, split, direction: as for `evaluate_embeddings`.

    Returns:
        An `Evaluation` with one relevant item, itself, for every item.
    """
    check_choice(ties, RUN_TIES, "ties")
    ranks = ranks_by_best_text(items, texts, qrels)
    names = kernels.metric_names(metrics, ks, ranks.n_queries, check_k, name_depth=False)
    counted = runs.count_queries(ranks.qrels, 1, groups, "error")
    labels = {"name": name, "split": split, "direction": direction}
    return evaluation_of_ranks(ranks, names, counted, ties, "exponential", labels)


def _gallery_sizes(qrels: Qrels, excluded: Qrels | None, candidates: Qrels | None) -> np.ndarray:
    """Return the number of items that each query can find, `(n_queries,)`."""
    if candidates is not None:
        return candidates.counts
    n_excluded = 0 if excluded is None else excluded.counts
    return np.full(qrels.shape[0], qrels.n_items) - n_excluded


# ---- one engine for runs and embeddings

Measured = tuple[dict[str, np.ndarray], np.ndarray]  # {metric: values}, first ranks


def _measurement(
    names: MetricNames, counted: CountedQueries, gain: str
) -> Callable[[PlacedItems], Measured]:
    """Return a function from judged items of all grades to the values of all metrics."""
    qrels = counted.qrels
    check_choice(gain, kernels.GAINS, "gain")
    if any(family == "nDCG" for family, _ in names.values()):
        kernels.check_gain(qrels, gain)

    def measure(judged: PlacedItems) -> Measured:
        relevant = judged.at_least(counted.hit_grade, counted.counts)
        values = {
            name: kernels.normalised_dcg(judged, qrels, k, gain)
            if family == "nDCG"
            else FAMILIES[family].kernel(relevant, k)
            for name, (family, k) in names.items()
        }
        return values, relevant.first_rank

    return measure


def evaluation_of_ranks(
    ranks: RelevantRanks,
    names: MetricNames,
    counted: CountedQueries,
    ties: str,
    gain: str,
    labels: dict[str, str],
    sizes: np.ndarray | None = None,
) -> Evaluation:
    """Measure counted ranks under the policies for ties; `sizes` as in `_evaluation`."""
    measure = _measurement(names, counted, gain)
    policies = ["pessimistic", "optimistic"] + ["id"] * (ties == "id")
    measured = {policy: measure(ranks.placed_items(policy)) for policy in policies}
    worst, best = measured["pessimistic"][1], measured["optimistic"][1]
    if ties == "expected":
        expected = {"R": ranks.hit_rate_at_k, "MRR": ranks.reciprocal_rank}
        values = {name: expected[family](k, ties) for name, (family, k) in names.items()}
        measured[ties] = values, ranks.first_rank(ties)
    tie_share = float((worst != best).mean())
    depth = counted.qrels.n_items if sizes is None else int(sizes.max())
    return _evaluation(names, counted, depth, measured, ties, gain, tie_share, labels, sizes)


def _evaluation(
    names: MetricNames,
    counted: CountedQueries,
    depth: int,
    measured: dict[str, Measured],
    ties: str,
    gain: str,
    tie_share: float | None,
    labels: dict[str, str],
    sizes: np.ndarray | None = None,
) -> Evaluation:
    """Assemble the result from what was measured under each policy for ties.

    `sizes` `(n_queries,)` is the number of items that each query can find, where it is not all.
    """
    n_gallery = counted.qrels.n_items if sizes is None else depth
    order = kernels.RandomOrder(counted.counts, n_gallery, depth, sizes)
    chance = kernels.chance_of_names(names, order) | {
        name: kernels.chance_of_gain(counted.qrels, k, gain, sizes)
        for name, (family, k) in names.items()
        if family == "nDCG"
    }
    bounds = {}
    if "pessimistic" in measured:
        extremes = measured["pessimistic"], measured["optimistic"]
        bounds = {name: tuple(float(of[name].mean()) for of, _ in extremes) for name in names}
        bounds |= {
            name: tuple(float(statistic(ranks)) for _, ranks in extremes)
            for name, statistic in RANK_STATISTICS.items()
        }
    per_query, first_ranks = measured[ties]
    return Evaluation(
        **labels,
        per_query=per_query,
        queries=counted.positions,
        n_gallery=n_gallery,
        k=depth,
        hit_grade=counted.hit_grade,
        n_without_relevant=counted.n_without,
        tie_share=tie_share,
        chance=chance | kernels.rank_chance(order),
        groups=counted.groups,
        ties=ties,
        bounds=bounds,
        first_ranks=first_ranks,
    )
