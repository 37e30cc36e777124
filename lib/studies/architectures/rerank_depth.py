"""How deep must a second stage read? Quality, ceiling and work by depth, from pairs that are scored
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.core.checks import RetrievalInputError
from lib.core.task import RetrievalTask
from lib.metrics import (
    bootstrap_interval,
    evaluate,
    paired_bootstrap_interval,
    paired_randomization,
)
from lib.search import Interpolate, Run, TwoStageRetriever, recall_ceiling, rerank

WEIGHTS = tuple(np.arange(11) / 10)


@dataclass(frozen=True, eq=False)
class Reading:
    """The lists of a first stage and what a second stage says of their first items.

    Any depth, and any mixture of both scores, follows from it without a model.

    Args:
        task: what was asked.
        run: of the first stage, a list for each query of the task.
        scores: `(n_queries, m)` of the second stage, for the items in the first m places of the
            run.
        name: what these scores are.

    Raises:
        RetrievalInputError: a run or scores for another number of queries, or more scores than
            places.
    """

    task: RetrievalTask
    run: Run
    scores: np.ndarray
    name: str

    def __post_init__(self) -> None:
        n = len(self.task.queries)
        if len(self.run) != n or self.scores.ndim != 2 or len(self.scores) != n:
            raise RetrievalInputError(
                f"{n} queries, but a run of {self.run.ids.shape} and scores of {self.scores.shape}"
            )
        if self.deepest > self.run.depth:
            raise RetrievalInputError(
                f"{self.deepest} scores a query for lists of {self.run.depth}"
            )

    @property
    def deepest(self) -> int:
        """The largest depth at which it can rerank."""
        return self.scores.shape[1]

    def at(self, depth: int, combine: Interpolate | None = None) -> Run:
        """The list after reranking its first `depth` items; see `lib.search.rerank`."""
        return rerank(self.run, self.scores, depth, self.name, combine=combine)

    def values(self, metric: str, depth: int, combine: Interpolate | None = None) -> np.ndarray:
        """`(n_queries,)` values of a metric at a depth; see `values_of`."""
        return values_of(self.at(depth, combine), self.task, metric)

    def scores_of(self, ids: np.ndarray) -> np.ndarray:
        """The second stage's scores of items in another order, for a third stage.

        Args:
            ids: `(n_queries, m)` gallery positions, all among those that were scored.

        Returns:
            `(n_queries, m)`.

        Raises:
            RetrievalInputError: an item without a score.
        """
        known, rows = self.run.ids[:, : self.deepest], np.arange(len(ids))[:, None]
        place = np.full((len(ids), len(self.task.gallery)), -1)
        place[rows, known] = np.arange(self.deepest)
        at = place[rows, ids]
        if (at < 0).any():
            row, column = np.argwhere(at < 0)[0]
            raise RetrievalInputError(
                f"item {ids[row, column]} of query {row} has no score; only the first"
                f" {self.deepest} of each list were read"
            )
        return np.take_along_axis(self.scores, at, axis=1)

    def take_queries(self, index: Sequence[int]) -> Reading:
        """The same for some of the queries."""
        part, run = self.task.take_queries(index), self.run
        run = Run(run.scores[index], run.ids[index], run.stage[index], run.score_names)
        return Reading(part, run, self.scores[index], self.name)


def read(
    retriever: TwoStageRetriever, task: RetrievalTask, *, depth: int, k: int | None = None
) -> Reading:
    """Searches with the first stage and scores its best items with the second, once.

    Args:
        retriever: over the gallery of the task; its own depth does not matter here.
        task: what is asked.
        depth: items that the second stage scores for each query.
        k: length of the lists; the whole gallery when None.
    """
    queries = retriever.encode(task.queries, task.query_modality)
    run = retriever.first.search(queries.first, retriever.n_items if k is None else k)
    scores = retriever.second.score(queries.second, run.ids[:, :depth])
    return Reading(task, run, scores, retriever.second.score_names[-1])


def values_of(run: Run, task: RetrievalTask, metric: str) -> np.ndarray:
    """Per-query values of one metric.

    Args:
        run: of the task's queries.
        task: says what is right.
        metric: "R@1", "R@10", ... or "MAP", over all relevant items and the whole depth of the run.

    Returns:
        `(n_queries,)` float64 in [0, 1].

    Raises:
        RetrievalInputError: a metric that is neither.
    """
    family, _, k = metric.partition("@")
    if not (family == "R" and k.isdigit()) and metric != "MAP":
        raise RetrievalInputError(f'metric must be "R@1", "R@10", ... or "MAP", got {metric!r}')
    ks = (int(k),) if k else (1,)  # MAP has no cut-off
    found = evaluate(run.ranked, task.qrels, ks=ks, metrics=(family,), hit_grade=task.hit_grade)
    return next(iter(found.per_query.values()))


def curve(
    reading: Reading, depths: Sequence[int], metric: str = "R@1", combine: Interpolate | None = None
) -> list[dict]:
    """A metric, its ceiling and the work, by depth.

    Args:
        reading: what both stages said.
        depths: from 0, the first stage alone.
        metric: see `values_of`.
        combine: mixes the scores; the second's alone when None.

    Returns:
        Rows `depth`, `value`, `low`, `high` and `ceiling` in percent, and `pairs` that the second
        stage scores for a query. The ceiling is `recall_ceiling`, which bounds R@K at depths from
        K.
    """
    task = reading.task
    ceilings = recall_ceiling(reading.run, task.qrels, depths, hit_grade=task.hit_grade)
    rows = []
    for depth, ceiling in zip(depths, ceilings, strict=True):
        values = 100 * reading.values(metric, depth, combine)
        low, high = bootstrap_interval(values, task.query_groups)
        pairs = np.count_nonzero(reading.run.ids[:, :depth] >= 0) / len(reading.run)
        row = {"depth": int(depth), "value": float(values.mean()), "low": low, "high": high}
        rows.append(row | {"ceiling": 100 * float(ceiling), "pairs": float(pairs)})
    return rows


def compare(a: np.ndarray, b: np.ndarray, task: RetrievalTask, name: str = "gain") -> dict:
    """What system a has over system b on the same queries.

    Args:
        a, b: `(n_queries,)` per-query values in [0, 1], such as those of `Reading.values`.
        task: whose `query_groups` are resampled and flipped whole.
        name: of the difference in the result.

    Returns:
        `name`: the difference in points with its 95% bootstrap interval, `(value, low, high)`, as
            tables show
        it; and `p` of the sign-flip test.
    """
    low, high = paired_bootstrap_interval(100 * a, 100 * b, task.query_groups)
    test = paired_randomization(a, b, task.query_groups)
    return {name: (100 * test.difference, low, high), "p": test.p_value}


def by_weight(
    reading: Reading,
    depth: int,
    weights: Sequence[float] = WEIGHTS,
    *,
    scale: str = "z",
    metric: str = "R@1",
) -> list[dict]:
    """A metric for each weight of the second stage, in percent; to choose one on a validation
    split.

    Returns:
        Rows `weight` and `value`.
    """
    return [
        {
            "weight": float(w),
            "value": 100 * float(reading.values(metric, depth, Interpolate(w, scale)).mean()),
        }
        for w in weights
    ]


def best_weight(rows: Sequence[dict]) -> float:
    """The weight with the highest value; of equal ones that in the middle, which has most room for
    error.
    """
    if not rows:
        raise RetrievalInputError("there are no weights to choose from")
    best = max(row["value"] for row in rows)
    weights = [row["weight"] for row in rows if row["value"] == best]
    return weights[len(weights) // 2]


def share_kept(
    reading: Reading, exhaustive: Run, depths: Sequence[int], metric: str = "MAP"
) -> list[dict]:
    """What two stages keep of the quality of reading everything, and of its work.

        kept(D) = mean of the metric at depth D / mean when every pair is scored
        work(D) = D / n_items

    Args:
        reading: of the same task and second stage as `exhaustive`.
        exhaustive: the second stage's order of the whole gallery.
        depths: to look at.
        metric: see `values_of`.

    Returns:
        Rows `depth`, `value`, `kept` and `work` in percent, `difference` from the exhaustive order
        in points with its 95% interval, `(value, low, high)`, and `p` of the sign-flip test.
    """
    whole, n_items = values_of(exhaustive, reading.task, metric), len(reading.task.gallery)
    rows = []
    for depth in depths:
        values = reading.values(metric, depth)
        row = {"depth": int(depth), "value": 100 * float(values.mean())}
        row |= {"kept": 100 * float(values.mean() / whole.mean()), "work": 100 * depth / n_items}
        rows.append(row | compare(values, whole, reading.task, "difference"))
    return rows
