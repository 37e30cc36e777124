"""Measure, write and read the committed run: all families on two corpora, growth, and remedies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from lib.core.checks import RetrievalInputError
from lib.index import VectorSearchIndex
from lib.index.tuning.configs import Config
from lib.studies.ann import corpora, harness, ood_remedies
from lib.studies.ann.configs import scaling_configs, standard_configs
from lib.studies.ann.corpora import STORE, AnnCorpus
from lib.studies.ann.recall_vs_work import measure_curves
from lib.studies.ann.speed_tables import EXACT

REMEDIES = {"remedies": ood_remedies.remedy_table, "tuning": ood_remedies.tuning_table}
TABLES = (*harness.TABLES, *REMEDIES)


@dataclass(frozen=True)
class Part:
    """One corpus of the run, and the configs `(n, dimension)` that are measured on it."""

    make: Callable[[], AnnCorpus]
    grid: Callable[[int, int], list[Config]]
    has_remedies: bool = False


PARTS = (
    Part(corpora.icons, standard_configs, has_remedies=True),
    Part(partial(corpora.scenes, 100_000), standard_configs, has_remedies=True),
    Part(partial(corpora.scenes, 10_000), scaling_configs),
    Part(partial(corpora.scenes, 1_000_000), scaling_configs),
)


def collect(
    log: harness.Log = print,
    progress: Callable[[int, int], None] = lambda done, total: None,
    **options,
) -> dict[str, pd.DataFrame]:
    """Write `data/artifacts/ann`; measure what is not in the cache (an hour on one core).

    `progress` receives how many indexes of the current corpus are done, and how many there are;
    `options` are those of `harness.measure_config`.
    """
    results, rows = [], {name: [] for name in REMEDIES}
    for part in PARTS:
        corpus = part.make()
        log(f"{corpus.name}, {len(corpus):,} vectors")
        grid = part.grid(len(corpus), corpus.dim)
        results += harness.measure_configs(corpus, grid, log=log, progress=progress, **options)
        for name, measure in REMEDIES.items() if part.has_remedies else ():
            log(f"{corpus.name}: {name}")
            rows[name] += measure(corpus)
    harness.save_results(STORE, results)
    for name in rows:
        STORE.save_table(f"{name}.csv", rows[name])
    return committed_tables()


def committed_tables() -> dict[str, pd.DataFrame]:
    """Read the committed tables by name: quality, timings, remedies and tuning."""
    # Builds have neither setting nor queries; pandas reads the empty cells as missing.
    empty = {"search": "", "queries": ""}
    return {name: STORE.table(f"{name}.csv").fillna(empty) for name in TABLES}


def committed_environment() -> dict:
    """Read the machine and versions behind the committed seconds, for `report.timing`."""
    return STORE.json("environment.json")


def compare_rebuilt(
    corpus: AnnCorpus, quality: pd.DataFrame, families: Sequence[str] = ("IVF", "HNSW")
) -> tuple[dict[str, VectorSearchIndex], list[dict]]:
    """Build the first index of some families again and compare it with the committed table.

    Returns:
        The indexes by the names of their configs, and rows: index, queries, settings, `recall`, the
        largest difference of any setting in points, and `work`, the same in percent.
    """
    indexes, rows = {}, []
    table = quality[(quality["corpus"] == corpus.name) & (quality["n"] == len(corpus))]
    for family in families:
        grid = standard_configs(len(corpus), corpus.dim, [family])
        config = next(config for config in grid if config.name not in EXACT)
        with harness.using_threads(1):
            index = indexes[config.name] = harness.build(corpus, config)[0]
            curves = measure_curves(corpus, index, config.search)
        for kind, curve in curves.items():
            stored = table[(table["config"] == config.name) & (table["queries"] == kind)]
            if len(stored) != len(curve):
                raise RetrievalInputError(
                    f"the table has {len(stored)} settings of {config.name} for {kind} queries to"
                    f" {corpus.name}, the config {len(curve)}; measure it again: crossmodal"
                    " bench ann"
                )
            stored_work = stored[["distances", "centroids"]].fillna(0).sum(axis=1).to_numpy()
            recall = np.array([point.recall for point in curve]) - stored["recall"].to_numpy()
            work = np.array([point.work for point in curve]) / stored_work - 1
            row = {"index": config.name, "queries": kind, "settings": len(curve)}
            rows.append(
                row | {"recall": 100 * np.abs(recall).max(), "work": 100 * np.abs(work).max()}
            )
    return indexes, rows
