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
    """Compute curves over the depth for `lib.plots.curves`, and their common ceiling.

    Args:
        arms: name to scores and how to mix them; all of one first stage.
        depths: from 0.
        metric: see `values_of`.

    Returns:
        Name to `(depths, values, lows, highs)` in percent, and "ceiling" to `(depths from 1,
        values)`.
    """
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
    above = [(row["depth"], row["ceiling"]) for row in rows if row["depth"] > 0]
    return {**series, "ceiling": tuple(zip(*above, strict=True))}


def run_rows(
    runs: Mapping[str, Run],
    task: RetrievalTask,
    *,
    metrics: Sequence[str] = METRICS,
    against: str | None = None,
) -> list[dict]:
    """Evaluate runs, and compare them with one of them.

    Args:
        runs: name to a run of the task's queries.
        task: the judgements.
        metrics: see `values_of`.
        against: the name of the run to compare with, by the first metric; none when None.

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
    """Compare second stages: alone, mixed, and how often only they are right.

    Args:
        lists_by_name: second stages by name.
        weights: name to the weight of its second stage, scale "z".
        depth: depth of the rerank.

    Returns:
        Rows `second stage`; R@1 in percent of the `first` stage, where the second `decides`, and
        `mixed`; `only second`, the percentage of queries that it alone has right on top; `gain` of
        the mixture in points with its interval, and `p`.
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
    """Compute curves of reciprocal rank fusion by its k, for `lib.plots.curves`.

    Args:
        groups: name to the runs that are fused with equal weights.
        task: the judgements.
        ks: values of k.
        metric: see `values_of`.
        depth: length of the fused list; all when None.

    Returns:
        Name to `(ks, values in percent)`.
    """
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

        best = the setting with the highest R@1 on half of the queries;  R@1(best) there - on the
        other half

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
