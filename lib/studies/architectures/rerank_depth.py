"""Measure quality, ceiling and work of reranking by depth, from pairs that are scored once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.task import RetrievalTask
from lib.metrics import bootstrap_interval, compare_systems, evaluate
from lib.search import Interpolate, Run, TwoStageRetriever, recall_ceiling, rerank

WEIGHTS = tuple(np.arange(11) / 10)

# `metric` is "R@1", "R@10", ... or "MAP", over all relevant items and the whole depth of the run.


@dataclass(frozen=True, eq=False)
class RerankScores:
    """Hold the lists of a first stage and the second stage's scores of their first m items.

    Any depth, and any mixture of both scores, follows from it without a model.
    """

    task: RetrievalTask
    run: Run  # of the first stage, one list per query
    scores: np.ndarray  # (n_queries, m) of the second stage, for the first m places of the run
    name: str  # of these scores

    def __post_init__(self) -> None:
        n = len(self.task.queries)
        if len(self.run) != n or self.scores.ndim != 2 or len(self.scores) != n:
            raise RetrievalInputError(
                f"run and scores must have {n} rows, one per query, got {self.run.ids.shape} and"
                f" {self.scores.shape}"
            )
        if self.deepest > self.run.depth:
            raise RetrievalInputError(
                f"`scores` must be at most {self.run.depth} per query, got {self.deepest}"
            )

    @property
    def deepest(self) -> int:
        """Return the largest depth of a rerank."""
        return self.scores.shape[1]

    def at(self, depth: int, combine: Interpolate | None = None) -> Run:
        """Return the list after reranking its first `depth` items."""
        return rerank(self.run, self.scores, depth, self.name, combine=combine)

    def values(self, metric: str, depth: int, combine: Interpolate | None = None) -> np.ndarray:
        """Compute `(n_queries,)` values of a metric at a depth."""
        return values_of(self.at(depth, combine), self.task, metric)

    def scores_of(self, ids: np.ndarray) -> np.ndarray:
        """Look up the second stage's scores of items, `(n_queries, m)`, for a third stage."""
        scored, rows = self.run.ids[:, : self.deepest], np.arange(len(ids))[:, None]
        place = np.full((len(ids), len(self.task.gallery)), -1)
        place[rows, scored] = np.arange(self.deepest)
        columns = place[rows, ids]
        if (columns < 0).any():
            row, column = np.argwhere(columns < 0)[0]
            raise RetrievalInputError(
                f"item {ids[row, column]} of query {row} has no score; only the first"
                f" {self.deepest} of each list have one"
            )
        return np.take_along_axis(self.scores, columns, axis=1)

    def take_queries(self, index: Sequence[int]) -> Self:
        """Select some of the queries."""
        part, run = self.task.take_queries(index), self.run
        run = Run(run.scores[index], run.ids[index], run.stage[index], run.score_names)
        return RerankScores(part, run, self.scores[index], self.name)


def score_lists(
    retriever: TwoStageRetriever, task: RetrievalTask, *, depth: int, k: int | None = None
) -> RerankScores:
    """Search with the first stage and score its best `depth` items with the second, once."""
    queries = retriever.encode(task.queries, task.query_modality)
    run = retriever.first.search(queries.first, retriever.n_items if k is None else k)
    scores = retriever.second.score(queries.second, run.ids[:, :depth])
    return RerankScores(task, run, scores, retriever.second.score_names[-1])


def values_of(run: Run, task: RetrievalTask, metric: str) -> np.ndarray:
    """Compute per-query values of one metric, `(n_queries,)` float64 in [0, 1]."""
    family, _, k = metric.partition("@")
    if not (family == "R" and k.isdigit()) and metric != "MAP":
        raise RetrievalInputError(f'metric must be "R@1", "R@10", ... or "MAP", got {metric!r}')
    ks = (int(k),) if k else (1,)  # MAP has no cut-off
    result = evaluate(run.ranked, task.qrels, ks=ks, metrics=(family,), hit_grade=task.hit_grade)
    return next(iter(result.per_query.values()))


def depth_rows(
    lists: RerankScores,
    depths: Sequence[int],
    metric: str = "R@1",
    combine: Interpolate | None = None,
) -> list[dict]:
    """Compute a metric, its ceiling and the work, by depth.

    Returns:
        Rows `depth`, `value`, `low`, `high` and `ceiling` in percent, and `pairs` that the second
        stage scores per query. The ceiling is `recall_ceiling`, which bounds R@K at depths from K.
    """
    task = lists.task
    ceilings = recall_ceiling(lists.run, task.qrels, depths, hit_grade=task.hit_grade)
    rows = []
    for depth, ceiling in zip(depths, ceilings, strict=True):
        values = 100 * lists.values(metric, depth, combine)
        low, high = bootstrap_interval(values, task.query_groups)
        pairs = np.count_nonzero(lists.run.ids[:, :depth] >= 0) / len(lists.run)
        row = {"depth": int(depth), "value": float(values.mean()), "low": low, "high": high}
        rows.append(row | {"ceiling": 100 * float(ceiling), "pairs": float(pairs)})
    return rows


def gain_row(a: np.ndarray, b: np.ndarray, task: RetrievalTask, name: str = "gain") -> dict:
    """Compare per-query values in points: `{name: (value, low, high), "p": ...}`."""
    test = compare_systems(a, b, task.query_groups)
    return {name: (100 * test.difference, 100 * test.low, 100 * test.high), "p": test.p_value}


def weight_rows(
    lists: RerankScores,
    depth: int,
    weights: Sequence[float] = WEIGHTS,
    *,
    scale: str = "z",
    metric: str = "R@1",
) -> list[dict]:
    """Compute a metric in percent for each weight of the second stage: rows `weight`, `value`."""
    rows = []
    for weight in weights:
        values = lists.values(metric, depth, Interpolate(weight, scale))
        rows.append({"weight": float(weight), "value": 100 * float(values.mean())})
    return rows


def best_weight(rows: Sequence[dict]) -> float:
    """Choose the weight with the highest value; of equal ones the middle one."""
    if not rows:
        raise RetrievalInputError("there are no weights to choose from")
    best = max(row["value"] for row in rows)
    weights = [row["weight"] for row in rows if row["value"] == best]
    return weights[len(weights) // 2]


def share_kept(
    lists: RerankScores, exhaustive: Run, depths: Sequence[int], metric: str = "MAP"
) -> list[dict]:
    """Compute the share of quality and of work of two stages against scoring every pair.

        kept(D) = mean of the metric at depth D / mean when every pair is scored
        work(D) = D / n_items

    Returns:
        Rows `depth`, `value`, `kept` and `work` in percent, `difference` from the exhaustive order
        in points, `(value, low, high)`, and `p`.
    """
    whole, n_items = values_of(exhaustive, lists.task, metric), len(lists.task.gallery)
    rows = []
    for depth in depths:
        values = lists.values(metric, depth)
        row = {"depth": int(depth), "value": 100 * float(values.mean())}
        row |= {"kept": 100 * float(values.mean() / whole.mean()), "work": 100 * depth / n_items}
        rows.append(row | gain_row(values, whole, lists.task, "difference"))
    return rows
