"""Choose among measured indexes: settings by one half of the queries, recall by the other half."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lib import plots
from lib.core.checks import RetrievalInputError, check_number
from lib.index.tuning.configs import Config, formula_bytes
from lib.index.tuning.rows import halves
from lib.index.tuning.trials import Estimate, bytes_read
from lib.studies.ann.corpora import AnnCorpus
from lib.studies.ann.ground_truth import hits_by_id, truth
from lib.studies.ann.harness import ConfigResult
from lib.studies.ann.speed_tables import WORK, frontier, plain_setting

LEAST_QUERIES = 2  # of a kind: one chooses, one reports


@dataclass(frozen=True)
class IndexSetting:
    """One setting of one index with the recall of either half of the queries, by kind.

    Args:
        config: how the index is built.
        search: its setting, as text.
        setting: the same as options.
        choosing, reported: recall by kind of query.
        bytes: of memory.
        cost: bytes that a query reads, the larger of the kinds; None where nothing is counted.
    """

    config: Config
    search: str
    setting: Mapping[str, int]
    choosing: Mapping[str, Estimate]
    reported: Mapping[str, Estimate]
    bytes: int
    cost: float | None

    def reaches(self, target: float) -> bool:
        """Return whether the interval of each kind of query lies at or above the target."""
        return all(estimate.low >= target for estimate in self.choosing.values())


def within(grid: Sequence[Config], corpus: AnnCorpus, ram: int | None) -> list[Config]:
    """Keep the configs that fit into so many bytes, by formula."""
    if ram is None:
        return list(grid)
    sizes = {c.name: formula_bytes(c, len(corpus), corpus.dim) for c in grid}
    fitting = [config for config in grid if sizes[config.name] <= ram]
    if not fitting:
        name = min(sizes, key=sizes.get)
        raise RetrievalInputError(
            f"ram = {ram:,} bytes hold none of these indexes; the smallest, {name}, needs"
            f" {sizes[name]:,}"
        )
    return fitting


def settings_of(
    corpus: AnnCorpus, grid: Sequence[Config], results: Sequence[ConfigResult], k: int
) -> list[IndexSetting]:
    """Split the queries of all measurements into halves that are the same for each index."""
    for kind, queries in corpus.queries.items():
        if len(queries) < LEAST_QUERIES:
            raise RetrievalInputError(
                f"there must be at least {LEAST_QUERIES} queries of the kind {kind!r} to choose by"
                f" one half and report the other, got {len(queries)}"
            )
    true, found = truth(corpus, k), []
    for config, result in zip(grid, results, strict=True):
        by_search: dict[str, list] = {}
        for setting in result.settings:
            by_search.setdefault(setting.row["search"], []).append(setting)
        found += [_setting(config, lines, true, k, corpus.dim) for lines in by_search.values()]
    return found


def choose(settings: Sequence[IndexSetting], target: float) -> list[IndexSetting]:
    """List the cheapest setting of each index that reaches a recall, least work first.

    Work is the bytes that a query reads; equal ones are ordered by memory. Where no work is
    counted (ScaNN) the first setting that reaches the recall is taken, and it comes last.
    """
    check_number(target, "target", 0, 1, above=True)
    best: dict[str, IndexSetting] = {}
    for one in settings:
        known = best.get(one.config.name)
        if one.reaches(target) and (known is None or _rank(one) < _rank(known)):
            best[one.config.name] = one
    return sorted(best.values(), key=_rank)


def format_choices(chosen: Sequence[IndexSetting], target: float) -> list[dict[str, str]]:
    """Format what `choose` gives; one row says so where nothing reaches the recall."""
    if not chosen:
        return [{"config": f"none reaches {target:g} with every kind of query"}]
    return [
        {
            "config": one.config.name,
            "search": plain_setting(one.search),
            **{f"recall, {kind}": str(estimate) for kind, estimate in one.reported.items()},
            "MB read a query": "not counted" if one.cost is None else f"{one.cost / 1e6:,.3f}",
            "MB": f"{one.bytes / 1e6:,.1f}",
        }
        for one in chosen
    ]


def pareto_figure(table: pd.DataFrame) -> Figure:
    """Draw speed against recall: a line per index, of its settings that no other one beats.

    Args:
        table: a `speed_table` of one corpus and size; a panel for each kind of query.
    """
    kinds = list(dict.fromkeys(table["queries"]))
    axes = plots.panels(1, len(kinds), width=7.5, height=5.2)
    for ax, kind in zip(axes, kinds, strict=True):
        series = {}
        for name, lines in table[table["queries"] == kind].groupby("config", sort=False):
            recall, speed = lines["recall"].to_numpy(), lines["single_qps"].to_numpy()
            best = np.sort(frontier(recall, speed))
            if len(best):
                at = best[np.argsort(recall[best])]
                series[name] = (recall[at], speed[at])
        labels = {"xlabel": f"recall, {kind} queries", "ylabel": "queries per second, one by one"}
        plots.curves(series, **labels, yscale="log", title=kind, ax=ax)
    if len(table["config"].unique()) > 1:
        plots.one_legend(axes)
    return axes[0].figure


def _setting(config: Config, lines: list, true: Mapping, k: int, dim: int) -> IndexSetting:
    row = lines[0].row
    choosing, reported, costs = {}, {}, []
    for line in lines:
        kind = line.row["queries"]
        recall = hits_by_id(line.ids, true[kind].ids, k) / k
        choose_at, report_at = halves(len(recall))
        choosing[kind] = Estimate.of(recall[choose_at])
        reported[kind] = Estimate.of(recall[report_at])
        work = {name: line.row[name] for name in (*WORK, "lists") if name in line.row}
        costs.append(bytes_read(work, config, dim) if work else None)
    cost = None if None in costs else max(costs)
    setting = json.loads(row["search"])
    return IndexSetting(config, row["search"], setting, choosing, reported, row["bytes"], cost)


def _rank(one: IndexSetting) -> tuple:
    return (one.cost is None, one.cost or 0.0, one.bytes)
