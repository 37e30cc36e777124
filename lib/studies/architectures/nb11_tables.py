"""Make the tables and curves of notebook 11: depth, mixtures and fusion."""

from collections.abc import Mapping, Sequence

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.task import RetrievalTask
from lib.metrics.intervals import clusters_of
from lib.search import Interpolate, Run, reciprocal_rank_fusion
from lib.studies.architectures.rerank_depth import (
    WEIGHTS,
    RerankScores,
    depth_rows,
    gain_row,
    values_of,
)

METRICS = ("R@1", "R@10", "MAP")


def depth_curves(
    arms: Mapping[str, tuple[RerankScores, Interpolate | None]],
    depths: Sequence[int],
    metric: str = "R@1",
) -> dict[str, tuple]:
    """Compute `{name: (depths, values, lows, highs)}` in percent, and their common "ceiling"."""
    runs = [lists.run.ids for lists, _ in arms.values()]
    if not runs or any(not np.array_equal(runs[0], run) for run in runs):
        raise RetrievalInputError(
            "`arms` must have the lists of one first stage, which sets the ceiling"
        )
    series = {}
    for name, (lists, combine) in arms.items():
        rows = depth_rows(lists, depths, metric, combine)
        columns = ("depth", "value", "low", "high")
        series[name] = tuple([row[column] for row in rows] for column in columns)
    ceiling = [(row["depth"], row["ceiling"]) for row in rows if row["depth"] > 0]
    return {**series, "ceiling": tuple(zip(*ceiling, strict=True))}


def run_rows(
    runs: Mapping[str, Run],
    task: RetrievalTask,
    *,
    metrics: Sequence[str] = METRICS,
    against: str | None = None,
) -> list[dict]:
    """Evaluate runs in percent, and compare them with one of them by the first metric.

    Returns:
        Rows `run` and each metric in percent; with `against` also `gain` (points, with its 95%
        interval) and `p`.
    """
    if against is not None:
        check_choice(against, runs, "run")
    values = {name: {m: values_of(run, task, m) for m in metrics} for name, run in runs.items()}
    rows = []
    for name, by_metric in values.items():
        row = {"run": name, **{m: 100 * float(v.mean()) for m, v in by_metric.items()}}
        if against is not None:
            row |= gain_row(by_metric[metrics[0]], values[against][metrics[0]], task)
        rows.append(row)
    return rows


def gain_rows(
    lists_by_name: Mapping[str, RerankScores], weights: Mapping[str, float], depth: int
) -> list[dict]:
    """Compare second stages at one depth by R@1 in percent: alone, mixed, and right alone.

    Args:
        lists_by_name: scores by second stage.
        weights: weight of each second stage in the mixture, scale "z".
        depth: depth of the rerank.
    """
    rows = []
    for name, lists in lists_by_name.items():
        first, second = (lists.values("R@1", d) for d in (0, depth))
        mixed = lists.values("R@1", depth, Interpolate(weights[name]))
        shares = {"first": first, "decides": second, "mixed": mixed, "only second": second > first}
        row = {"second stage": name} | {key: 100 * float(np.mean(v)) for key, v in shares.items()}
        rows.append(row | gain_row(mixed, first, lists.task))
    return rows


def fusion_curves(
    groups: Mapping[str, Sequence[Run]],
    task: RetrievalTask,
    ks: Sequence[float],
    *,
    metric: str = "R@1",
    depth: int | None = None,
) -> dict[str, tuple]:
    """Compute curves of reciprocal rank fusion by k: `{name: (ks, values in percent)}`."""
    series = {}
    for name, runs in groups.items():
        fused = (reciprocal_rank_fusion(runs, k=k, depth=depth) for k in ks)
        values = [100 * float(values_of(run, task, metric).mean()) for run in fused]
        series[name] = (tuple(ks), values)
    return series


def selection_bias(
    lists: RerankScores,
    depths: Sequence[int],
    weights: Sequence[float] = WEIGHTS,
    *,
    draws: int = 200,
    seed: int = 0,
) -> np.ndarray:
    """Measure the false gain of choosing depth and weight on the reported queries.

        best = the setting with the highest R@1 on half of the queries
        gain = R@1(best) on that half - R@1(best) on the other half

    Args:
        lists: scores of a split.
        depths, weights: every pair of them is a setting; scale "z".
        draws: random halves; queries of a group stay together.
        seed: seed of the halves.

    Returns:
        `(draws,)` differences in points, above 0 on average.
    """
    settings = [(depth, Interpolate(weight)) for depth in depths for weight in weights]
    hits = np.array([lists.values("R@1", *setting) for setting in settings])  # (settings, queries)
    group, n_groups = clusters_of(lists.task.query_groups, hits.shape[1])
    rng, differences = np.random.default_rng(seed), []
    for _ in range(draws):
        half = rng.permuted(np.arange(n_groups) % 2 == 0)[group]
        reported, other = hits[:, half].mean(axis=1), hits[:, ~half].mean(axis=1)
        best = reported.argmax()
        differences.append(100 * (reported[best] - other[best]))
    return np.array(differences)
