"""From a run and its judgements to means with intervals, beside what chance gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lib.checks import RetrievalInputError, check_choice, check_count
from lib.metrics.ranking import found_share, hits, inverse_first_rank
from lib.metrics.runs import as_ranked_ids, check_depth, queries_without_relevant
from lib.metrics.significance import bootstrap_intervals
from lib.qrels import Qrels


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation:
    """Per-query values of every metric; means and intervals follow from them.

    Args:
        name, split, direction: what was measured, as given to `evaluate`.
        per_query: `{metric: (n_queries,) float64}`.
        queries: `(n_queries,)` position of each value's query in the task (all, unless some were skipped).
        n_gallery: items that could be found.
        k: depth of the run.
        hit_grade: the grade from which an item counted as relevant.
        n_without_relevant: queries to which nothing is relevant; skipped or counted 0, as asked.
        tie_share: share of queries in which an exact tie of scores touches a cut-off or the first relevant
            item, so that ids decided; None when the run had no scores.
        chance: `{metric: expected value of a random order}`.
        groups: `(n_queries,)` cluster of each query for the intervals, or None.
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
    _intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def n_queries(self) -> int:
        return self.queries.size

    def mean(self, metric: str) -> float:
        """The mean of a metric over queries."""
        return float(self.per_query[check_choice(metric, self.per_query, "metric")].mean())

    def interval(self, metric: str) -> tuple[float, float]:
        """The 95% bootstrap interval of the mean, by clusters where the task has them."""
        check_choice(metric, self.per_query, "metric")
        if not self._intervals:
            low, high = bootstrap_intervals(np.column_stack(list(self.per_query.values())), self.groups)
            self._intervals.update(
                zip(self.per_query, zip(low.tolist(), high.tolist(), strict=True), strict=True)
            )
        return self._intervals[metric]

    def rows(self, metrics: Sequence[str] | None = None) -> list[dict]:
        """One tidy row per metric, all of them or those named: value, interval, chance, sizes, protocol."""
        rows = []
        for metric in self.per_query if metrics is None else metrics:
            low, high = self.interval(metric)
            rows.append(
                {
                    "metric": metric,
                    "value": self.mean(metric),
                    "low": low,
                    "high": high,
                    "chance": self.chance[metric],
                    "n_queries": self.n_queries,
                    "n_gallery": self.n_gallery,
                    "split": self.split,
                    "direction": self.direction,
                }
            )
        return rows

    def __repr__(self) -> str:
        means = ", ".join(f"{metric} {values.mean():.4f}" for metric, values in self.per_query.items())
        what = " ".join(part for part in (self.name, self.split, self.direction) if part)
        return f"Evaluation({what}: {self.n_queries:,} queries x {self.n_gallery:,} items; {means})"


def evaluate(
    run,
    qrels: Qrels,
    *,
    ks: Sequence[int] = (1, 5, 10),
    hit_grade: int = 1,
    groups=None,
    name: str = "",
    split: str = "",
    direction: str = "",
    no_relevant: str = "error",
) -> Evaluation:
    """Measures a run: R@k (hit rate) and recall@k at every cut-off, and MRR over the whole depth.

    Args:
        run: `(scores, ids)` as an index returns them, or ids alone; both `(n_queries, depth)`, best first, -1
            where nothing was returned. Equal scores say nothing about order, so they are put in order of id.
        qrels: the judgements, shape `(n_queries, n_gallery)`.
        ks: cut-offs, none deeper than the run.
        hit_grade: the grade from which an item is relevant.
        groups: `(n_queries,)` cluster of each query, for the intervals.
        name, split, direction: of the task; they go into the result.
        no_relevant: what becomes of queries to which nothing is relevant: "error", "skip" (they are left
            out), or "zero" (they count 0). `Evaluation.n_without_relevant` counts them.

    Returns:
        An `Evaluation`, with metrics "R@1", "recall@1", ..., "MRR@<depth>".

    Raises:
        RetrievalInputError: what `hit_rate_at_k` refuses; scores that are NaN or rise along a row; a run
            that is deeper than the gallery; groups of another length; no query left.

    Relations: each metric is the function of `lib.metrics.ranking` with its name; chance is the expectation
    over all orders of the gallery, for a hit rate with R relevant items among n

        1 - C(n - R, k) / C(n, k)
    """
    check_choice(no_relevant, ("error", "skip", "zero"), "no_relevant")
    if not isinstance(qrels, Qrels):
        raise RetrievalInputError(f"qrels must be Qrels, got {type(qrels).__name__}; see Qrels.from_pairs")
    scores, ids = _checked_run(run, qrels)
    depth = ids.shape[1]
    ks = sorted({check_depth(k, depth) for k in ks})
    if groups is not None and np.shape(groups) != (len(ids),):
        raise RetrievalInputError(f"groups have shape {np.shape(groups)} for {len(ids)} queries")
    binary = qrels.at_least(check_count(hit_grade, "hit_grade"))
    without = queries_without_relevant(binary, no_relevant)
    kept = np.arange(len(ids))
    if no_relevant == "skip" and without.size:
        kept = np.delete(kept, without)
        if kept.size == 0:
            raise RetrievalInputError("no query has a relevant item, so that skipping them leaves nothing")
        binary, ids = binary.take_queries(kept), ids[kept]
        scores = None if scores is None else scores[kept]
    relevant = binary.grades_of(ids) > 0  # (n_queries, depth)
    n_gallery, counts = binary.n_items, binary.counts
    per_query = {f"R@{k}": hits(relevant, k) for k in ks}
    per_query |= {f"recall@{k}": found_share(relevant, counts, k) for k in ks}
    per_query[f"MRR@{depth}"] = inverse_first_rank(relevant)
    return Evaluation(
        name=name,
        split=split,
        direction=direction,
        per_query=per_query,
        queries=kept,
        n_gallery=n_gallery,
        k=depth,
        hit_grade=int(hit_grade),
        n_without_relevant=without.size,
        tie_share=None if scores is None else float(_tied(scores, relevant, ks).mean()),
        chance=chance_of(counts, n_gallery, ks, depth),
        groups=None if groups is None else np.asarray(groups)[kept],
    )


def chance_of(counts: np.ndarray, n_gallery: int, ks: Sequence[int], depth: int) -> dict[str, float]:
    """Expected values of the metrics of `evaluate` when the order of the gallery is random.

        no hit in the first i   S_i = prod_{j < i} (n - R - j) / (n - j)
        R@k  1 - S_k        recall@k  k / n        MRR@K  sum_{i = 1..K} (S_{i-1} - S_i) / i

    Args:
        counts: `(n_queries,)` number of relevant items R of each query.
        n_gallery: n, the size of the gallery.
        ks: cut-offs of hit rate and recall.
        depth: K, the depth of the run.
    """
    different, index = np.unique(counts, return_inverse=True)
    weights = np.bincount(index) / counts.size  # of each R among the queries
    drawn = np.arange(depth)
    stays = np.maximum(n_gallery - different[:, None] - drawn, 0) / (n_gallery - drawn)
    no_hit = np.concatenate(
        [np.ones((different.size, 1)), np.cumprod(stays, axis=1)], axis=1
    )  # (Rs, depth + 1)
    any_relevant = float(weights @ (different > 0))
    chance = {f"R@{k}": float(weights @ (1 - no_hit[:, k])) for k in ks}
    chance |= {f"recall@{k}": k / n_gallery * any_relevant for k in ks}
    chance[f"MRR@{depth}"] = float(weights @ ((no_hit[:, :-1] - no_hit[:, 1:]) / (drawn + 1)).sum(axis=1))
    return chance


def _checked_run(run, qrels: Qrels) -> tuple[np.ndarray | None, np.ndarray]:
    scores, ids = run if isinstance(run, tuple) and len(run) == 2 else (None, run)
    n_queries, n_gallery = qrels.shape
    ids = as_ranked_ids(ids, n_gallery)
    if len(ids) != n_queries:
        raise RetrievalInputError(f"the run has {len(ids)} rows, the qrels have {n_queries} queries")
    if ids.shape[1] > n_gallery:
        raise RetrievalInputError(f"the run is {ids.shape[1]} deep, the gallery holds {n_gallery} items")
    if scores is None:
        return None, ids
    scores = np.asarray(scores)
    if scores.shape != ids.shape or scores.dtype.kind not in "iuf":
        raise RetrievalInputError(f"scores are {scores.dtype} {scores.shape}, ids have shape {ids.shape}")
    scores = np.where(ids < 0, -np.inf, scores)
    if np.isnan(scores).any():
        row, column = np.argwhere(np.isnan(scores))[0]
        raise RetrievalInputError(
            f"the score in row {row} at rank {column + 1} is NaN, which has no place in an order"
        )
    rises = scores[:, 1:] > scores[:, :-1]
    if rises.any():
        row, column = np.argwhere(rises)[0]
        raise RetrievalInputError(
            f"scores of row {row} rise from {scores[row, column]} to {scores[row, column + 1]} at rank "
            f"{column + 2}; a run is best first, and distances must be negated"
        )
    by_id = ((scores[:, 1:] == scores[:, :-1]) & (ids[:, 1:] < ids[:, :-1]) & (ids[:, 1:] >= 0)).any(axis=1)
    if by_id.any():
        ids = ids.copy()
        order = np.lexsort((ids[by_id], -scores[by_id]), axis=1)
        ids[by_id] = np.take_along_axis(ids[by_id], order, axis=1)
    return scores, ids


def _tied(scores: np.ndarray, relevant: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    """Whether a tie of scores touches a cut-off or the first relevant item of a query; `(n_queries,)`.

    What lies beyond the run is not seen: a tie at the last rank shows only if the run is one item deeper.
    """
    same = (scores[:, 1:] == scores[:, :-1]) & np.isfinite(scores[:, 1:])  # (n_queries, depth - 1)
    tied = np.zeros(len(scores), bool)
    for k in ks:
        tied |= same[:, k - 1 : k].any(axis=1)
    edge = np.zeros((len(scores), 1), bool)
    with_neighbour = np.concatenate([edge, same], axis=1) | np.concatenate([same, edge], axis=1)
    first = relevant.argmax(axis=1)
    return tied | (relevant.any(axis=1) & with_neighbour[np.arange(len(scores)), first])
