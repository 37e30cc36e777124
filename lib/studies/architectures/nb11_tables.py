"""Depth, mixtures and fusion as rows and curves to show."""

from collections.abc import Mapping, Sequence

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.core.task import RetrievalTask
from lib.metrics.bootstrap import clusters_of
from lib.search import Interpolate, Run, reciprocal_rank_fusion
from lib.studies.architectures.rerank_depth import WEIGHTS, Reading, compare, curve, values_of

METRICS = ("R@1", "R@10", "MAP")


def depth_curves(
    arms: Mapping[str, tuple[Reading, Interpolate | None]],
    depths: Sequence[int],
    metric: str = "R@1",
) -> dict[str, tuple]:
    """Curves over the depth for `lib.plots.curves`, and the ceiling that they share.

    Args:
        arms: name to a reading and how to mix its scores; all of one first stage.
        depths: from 0.
        metric: see `lib.studies.architectures.rerank_depth.values_of`.

    Returns:
        Name to `(depths, values, lows, highs)` in percent, and "ceiling" to `(depths from 1,
        values)`.

    Raises:
        RetrievalInputError: no arms, or lists of different first stages.
    """
    runs = [reading.run.ids for reading, _ in arms.values()]
    if not runs or any(not np.array_equal(runs[0], run) for run in runs):
        raise RetrievalInputError(
            "a ceiling belongs to one first stage; give readings of the same lists"
        )
    series = {}
    for name, (reading, combine) in arms.items():
        rows = curve(reading, depths, metric, combine)
        series[name] = tuple(
            [row[key] for row in rows] for key in ("depth", "value", "low", "high")
        )
    above = [(row["depth"], row["ceiling"]) for row in rows if row["depth"] > 0]
    return {**series, "ceiling": tuple(zip(*above, strict=True))}


def table(
    runs: Mapping[str, Run],
    task: RetrievalTask,
    *,
    metrics: Sequence[str] = METRICS,
    against: str | None = None,
) -> list[dict]:
    """One row a run: its metrics in percent, and what it has over one of them.

    Args:
        runs: name to a run of the task's queries.
        task: says what is right.
        metrics: see `lib.studies.architectures.rerank_depth.values_of`.
        against: the name of the run to compare with, by the first metric; none when None.

    Returns:
        Rows `run` and each metric; with `against` also `gain` (points, with its 95% interval) and
        `p`.
    """
    if against is not None:
        check_choice(against, runs, "run")
    found = {name: {m: values_of(run, task, m) for m in metrics} for name, run in runs.items()}
    rows = []
    for name, values in found.items():
        row = {"run": name, **{m: 100 * float(v.mean()) for m, v in values.items()}}
        if against is not None:
            row |= compare(values[metrics[0]], found[against][metrics[0]], task)
        rows.append(row)
    return rows


def gains(readings: Mapping[str, Reading], weights: Mapping[str, float], depth: int) -> list[dict]:
    """Second stages beside each other: alone, mixed, and how often they know what the first does
    not.

    Args:
        readings: name to a reading.
        weights: name to the weight of its second stage, scale "z".
        depth: of the rerank.

    Returns:
        Rows `second stage`; R@1 in percent of the `first` stage, where the second `decides`, and
        `mixed`; `only second`, the share of queries that it alone has right on top; `gain` of the
        mixture in points with its interval, and `p`.
    """
    rows = []
    for name, reading in readings.items():
        first, second = (reading.values("R@1", d) for d in (0, depth))
        mixed = reading.values("R@1", depth, Interpolate(weights[name]))
        shares = {"first": first, "decides": second, "mixed": mixed, "only second": second > first}
        row = {"second stage": name} | {key: 100 * float(np.mean(v)) for key, v in shares.items()}
        rows.append(row | compare(mixed, first, reading.task))
    return rows


def fusion_curves(
    groups: Mapping[str, Sequence[Run]],
    task: RetrievalTask,
    ks: Sequence[float],
    *,
    metric: str = "R@1",
    depth: int | None = None,
) -> dict[str, tuple]:
    """What reciprocal rank fusion reaches by its k, for `lib.plots.curves`.

    Args:
        groups: name to the runs that are fused with equal weights.
        task: says what is right.
        ks: to try.
        metric: see `lib.studies.architectures.rerank_depth.values_of`.
        depth: items kept of the fused list; all when None.

    Returns:
        Name to `(ks, values in percent)`.
    """
    series = {}
    for name, runs in groups.items():
        fused = (reciprocal_rank_fusion(runs, k=k, depth=depth) for k in ks)
        series[name] = (
            tuple(ks),
            [100 * float(values_of(run, task, metric).mean()) for run in fused],
        )
    return series


def flattery(
    reading: Reading,
    depths: Sequence[int],
    weights: Sequence[float] = WEIGHTS,
    *,
    draws: int = 200,
    seed: int = 0,
) -> np.ndarray:
    """What is gained on paper by choosing depth and weight on the queries that are reported.

        best = the setting with the highest R@1 on half of the queries;  R@1(best) there - on the
        other half

    Args:
        reading: of a split.
        depths, weights: every pair of them is a setting; scale "z".
        draws: random halves; queries of a group stay together.
        seed: of the halves.

    Returns:
        `(draws,)` differences in points, above 0 on average.
    """
    settings = [(depth, Interpolate(w)) for depth in depths for w in weights]
    hits = np.array(
        [reading.values("R@1", *setting) for setting in settings]
    )  # (n_settings, n_queries)
    group, n_groups = clusters_of(reading.task.query_groups, hits.shape[1])
    rng, found = np.random.default_rng(seed), []
    for _ in range(draws):
        here = rng.permuted(np.arange(n_groups) % 2 == 0)[group]
        shown, other = hits[:, here].mean(axis=1), hits[:, ~here].mean(axis=1)
        best = shown.argmax()
        found.append(100 * (shown[best] - other[best]))
    return np.array(found)
