"""Build an index once, and measure every setting with every kind of query; results are cached."""

import importlib.metadata
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import faiss
import numpy as np
import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from lib.core.checks import check_count, check_k, check_threads
from lib.core.result_store import ResultStore
from lib.index import VectorSearchIndex
from lib.index.tuning import trials
from lib.index.tuning.configs import Config
from lib.index.tuning.ladders import grown
from lib.report.timing import environment
from lib.studies.ann.corpora import STORE, AnnCorpus
from lib.studies.ann.ground_truth import judge, truth

LEAST_SINGLE = 10  # queries timed one by one, however slow they are
ABOUT = ("corpus", "n", "config", "family", "search", "queries")  # columns of either table
ARRAYS = ("ids", "distances", "batch", "single")
FORMAT = 2  # of what is stored and how it is measured; raise it when either changes
# Formats of families that have changed since: codes by squared distance.
FAMILY_FORMATS = {"PQ": 3, "IVF-PQ": 3}
LIBRARIES = ("faiss-cpu", "scann", "numpy", "torch")
TABLES = ("quality", "timings")
Log = Callable[[str], None]


@dataclass(frozen=True)
class SettingResult:
    """Results of one setting for one kind of query.

    Args:
        row: columns of the quality table.
        ids: `(n_queries, k)` int64.
        distances: `(n_queries, k)` float64, recomputed; infinite where nothing was returned.
        batch: seconds `(repeats,)` of all queries at once.
        single: seconds `(repeats, n_single)` of queries searched one at a time.
    """

    row: dict
    ids: np.ndarray
    distances: np.ndarray
    batch: np.ndarray
    single: np.ndarray


@dataclass(frozen=True)
class ConfigResult:
    """Results of one config on one corpus.

    Args:
        settings: one per setting and kind of query, in the order of settings, then of kinds.
        train_s, add_s: seconds of the one build.
        threads: of build and search.
    """

    settings: Sequence[SettingResult]
    train_s: float
    add_s: float
    threads: int

    @property
    def quality(self) -> list[dict]:
        """One row per setting and kind of query: the same on every run."""
        return [setting.row for setting in self.settings]

    @property
    def timings(self) -> list[dict]:
        """One row per stage, setting, kind of query and repeat; `seconds` is for `count` of them.

        Stages: "train" and "add" (vectors), "batch" and "single" (queries, with p50_ms and p99_ms).
        """
        first = self.settings[0].row
        build = {key: first[key] for key in ABOUT} | {"search": "", "queries": ""}
        rows = [
            build | _stage("train", 0, first["n_train"], self.train_s),
            build | _stage("add", 0, first["n"], self.add_s),
        ]
        for setting in self.settings:
            about = {key: setting.row[key] for key in ABOUT}
            for repeat, seconds in enumerate(setting.batch):
                rows.append(about | _stage("batch", repeat, len(setting.ids), seconds))
            for repeat, seconds in enumerate(setting.single):
                p50, p99 = 1e3 * np.quantile(seconds, [0.5, 0.99])
                row = about | _stage("single", repeat, seconds.size, seconds.sum())
                rows.append(row | {"p50_ms": p50, "p99_ms": p99})
        return [row | {"threads": self.threads} for row in rows]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Pack everything into named arrays, for a cache."""
        about = {"train_s": self.train_s, "add_s": self.add_s, "threads": self.threads}
        about["rows"] = self.quality
        arrays = {"about": np.array(json.dumps(about, default=lambda value: value.item()))}
        for number, setting in enumerate(self.settings):
            arrays |= {f"{name}_{number}": getattr(setting, name) for name in ARRAYS}
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Self:
        """Unpack what `to_arrays` packed."""
        about = json.loads(str(arrays["about"]))
        settings = [
            SettingResult(row, *(arrays[f"{name}_{number}"] for name in ARRAYS))
            for number, row in enumerate(about.pop("rows"))
        ]
        return cls(settings, **about)


# ---- measuring


def measure_config(
    corpus: AnnCorpus,
    config: Config,
    k: int = 10,
    *,
    repeats: int = 3,
    single_queries: int = 200,
    budget_s: float = 2.0,
    threads: int = 1,
    grow_until: float | None = None,
    log: Log = lambda line: None,
) -> ConfigResult:
    """Build one index and measure every setting with every kind of query.

    A setting is searched once to count (ids, work) and to warm up; then `repeats` times with all
    queries at once, and as often with a sample of them one at a time. Every repeat is stored. Work
    is per query; kinds of work that a family does not do have no column.

    Args:
        corpus: base and queries.
        config: options of build and search.
        k: number of neighbours.
        repeats: timed passes of either kind.
        single_queries: queries that are searched one at a time, in a fixed random order.
        budget_s: seconds that one such pass may take; slow indexes have fewer queries, at least 10.
        threads: of build and search. HNSW is always built with one.
        grow_until: recall; behind the last setting further ones follow, see `grown`, until every
            kind of query has it. None for the settings of the config alone.
        log: receives a line for each measurement.
    """
    true = truth(corpus, check_k(k, len(corpus)))
    repeats, most = check_count(repeats, "repeats"), check_count(single_queries, "single_queries")
    with using_threads(threads):
        index, train_s, add_s, n_train = build(corpus, config)
        log(f"{config.name}: built in {train_s + add_s:.1f} s")
        about = _build_columns(corpus, config, index) | {"n_train": n_train}
        results, settings = [], list(config.search)
        for setting in settings:  # it grows
            index.set_search(**setting)
            for kind, queries in corpus.queries.items():
                _, ids = result = index.search(queries, k)
                work = {name: total / len(queries) for name, total in result.work.items()}
                row, distances = judge(corpus, kind, ids, true[kind])
                search = {"search": json.dumps(dict(setting)), "queries": kind}
                search |= {"n_queries": len(ids), "k": k}
                batch = np.array([batch_seconds(index, queries, k) for _ in range(repeats)])
                sample = _sample(index, queries, k, most, budget_s)
                single = np.array([single_seconds(index, sample, k) for _ in range(repeats)])
                row = about | search | row | work
                results.append(SettingResult(row, ids, distances, batch, single))
                options = ", ".join(f"{name} {value}" for name, value in setting.items())
                log(
                    f"{config.name} {options or 'as it is'}, {kind}: recall@{k} {row['recall']:.4f}"
                )
            if grow_until is not None and setting is settings[-1]:
                # With twice the margin: each half of the queries must have it.
                rows = [result.row for result in results[-len(corpus.queries) :]]
                least = min(2 * row["recall_low"] - row["recall"] for row in rows)
                more = grown(config, setting, len(corpus)) if least < grow_until else None
                settings += [] if more is None else [more]
    return ConfigResult(results, train_s, add_s, threads)


def build(corpus: AnnCorpus, config: Config) -> tuple[VectorSearchIndex, float, float, int]:
    """Build the index of a config; return it, seconds of training and adding, training vectors."""
    built = trials.build(config, corpus, corpus.metric)
    return built.index, built.train_s, built.add_s, built.n_train


@contextmanager
def using_threads(threads: int) -> Iterator[None]:
    """Set the threads of every library that searches, and restore them afterwards."""
    check_threads(threads)
    before = torch.get_num_threads(), faiss.omp_get_max_threads()
    with threadpool_limits(limits=threads):
        torch.set_num_threads(threads)
        faiss.omp_set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            faiss.omp_set_num_threads(before[1])


def batch_seconds(index: VectorSearchIndex, queries: np.ndarray, k: int) -> float:
    """Time all queries at once, in seconds."""
    start = time.perf_counter()
    index.search(queries, k)
    return time.perf_counter() - start


def single_seconds(index: VectorSearchIndex, queries: np.ndarray, k: int) -> np.ndarray:
    """Time each query alone, `(n_queries,)` seconds; the loop is what is measured."""
    seconds = np.empty(len(queries))
    for at in range(len(queries)):
        query = queries[at : at + 1]
        start = time.perf_counter()
        index.search(query, k)
        seconds[at] = time.perf_counter() - start
    return seconds


# ---- caching and tables


def measure_configs(
    corpus: AnnCorpus,
    configs: Iterable[Config],
    k: int = 10,
    *,
    log: Log = print,
    progress: Callable[[int, int], None] = lambda done, total: None,
    store: ResultStore = STORE,
    **options,
) -> Iterator[ConfigResult]:
    """Yield `measure_config` of every config, from the cache where it was measured before."""

    def job(config: Config):
        form = FAMILY_FORMATS.get(config.index_type, FORMAT)
        key = {"corpus": corpus.name, "n": len(corpus), "config": config.name, "k": k}
        key["measured"] = [form, corpus.key, config.identity, options, versions()]
        return key, lambda: measure_config(corpus, config, k, log=log, **options).to_arrays()

    results = store.run([job(config) for config in configs], log=log, progress=progress)
    yield from map(ConfigResult.from_arrays, results)


def result_tables(results: Iterable[ConfigResult]) -> dict[str, pd.DataFrame]:
    """Make `quality`, a row per setting and kind of query, and `timings`, a row per repeat."""
    results = list(results)
    return {
        name: pd.DataFrame([row for result in results for row in getattr(result, name)])
        for name in TABLES
    }


def save_results(store: ResultStore, results: Iterable[ConfigResult]) -> None:
    """Write `quality.csv`, `timings.csv` and the `environment.json` that decided the timings."""
    for name, table in result_tables(results).items():
        store.save_table(f"{name}.csv", table)
    store.save_json("environment.json", environment() | {"versions": versions()})


def versions() -> dict[str, str]:
    """Return the versions of the libraries that decide results."""
    result = {}
    for name in LIBRARIES:
        try:
            result[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            result[name] = "not installed under this name"
    return result


def _stage(stage: str, repeat: int, count: int, seconds: float) -> dict:
    return {"stage": stage, "repeat": repeat, "count": count, "seconds": seconds}


def _build_columns(corpus: AnnCorpus, config: Config, index: VectorSearchIndex) -> dict:
    """Return the columns that all rows of one build share."""
    parts = index.bytes_by_part()
    return {
        "corpus": corpus.name,
        "n": len(corpus),
        "dim": corpus.dim,
        "metric": corpus.metric,
        "config": config.name,
        "family": config.index_type,
        "build": json.dumps(index.build_options),
        "bytes": parts["total"],
        "serialised": parts["serialised"],
        "imbalance": getattr(index, "imbalance", None),
    }


def _sample(
    index: VectorSearchIndex, queries: np.ndarray, k: int, most: int, budget_s: float
) -> np.ndarray:
    """Draw queries to time one at a time, in random order: as many as the budget allows."""
    shuffled = queries[np.random.default_rng(0).permutation(len(queries))[:most]]
    median = np.median(single_seconds(index, shuffled[:3], k))
    return shuffled[: max(LEAST_SINGLE, int(budget_s / median))]
