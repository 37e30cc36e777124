"""One index built once, then asked with every setting and every kind of query."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import faiss
import numpy as np
import torch
from threadpoolctl import threadpool_limits

from lib.core.checks import check_count, check_k, check_threads
from lib.index import VectorSearchIndex
from lib.studies.ann.configs import Config
from lib.studies.ann.corpora import AnnCorpus
from lib.studies.ann.ground_truth import judge, truth
from lib.studies.ann.records import Found, Measured
from lib.studies.ann.speed_tables import plain

LEAST_SINGLE = 10  # queries timed one by one, however slow they are
Log = Callable[[str], None]


def run(
    corpus: AnnCorpus,
    config: Config,
    k: int = 10,
    *,
    repeats: int = 3,
    single_queries: int = 200,
    budget_s: float = 2.0,
    threads: int = 1,
    log: Log = lambda line: None,
) -> Found:
    """Builds one index and measures every setting with every kind of query.

    A setting is searched once to count (ids, work) and to warm up; then `repeats` times with all
    queries at once, and as often with a sample of them one at a time. Every repeat is kept.

    Args:
        corpus: base and queries.
        config: what to build and how to ask.
        k: neighbours.
        repeats: timed passes of either kind.
        single_queries: queries that are asked one at a time, drawn in a fixed random order.
        budget_s: seconds that one such pass may take; slow indexes get fewer queries, at least 10.
        threads: of build and search. HNSW is always built with one.
        log: takes what has been done, a line at a time.

    Returns:
        A `Found`, whose `quality` and `timings` are tidy rows. Work is per query; kinds of work
        that a family does not do have no column.

    Raises:
        RetrievalInputError: what the index refuses, or k above the base.

    Relations: `store.result` keeps what was found; `truth.judge` says what the columns of quality
    are.
    """
    true = truth(corpus, check_k(k, len(corpus)))
    repeats, most = check_count(repeats, "repeats"), check_count(single_queries, "single_queries")
    with using_threads(threads):
        index, train_s, add_s, n_train = build(corpus, config)
        log(f"{config.name}: built in {train_s + add_s:.1f} s")
        about = _about(corpus, config, index) | {"n_train": n_train}
        measured = []
        for setting in config.search:
            index.set_search(**setting)
            for kind, queries in corpus.queries.items():
                ids = index.search(queries, k)[1]
                work = {name: done / len(queries) for name, done in index.work.items()}
                row, distances = judge(corpus, kind, ids, true[kind])
                asked = {
                    "search": json.dumps(dict(setting)),
                    "queries": kind,
                    "n_queries": len(ids),
                    "k": k,
                }
                batch = np.array([batch_seconds(index, queries, k) for _ in range(repeats)])
                some = _sample(index, queries, k, most, budget_s)
                single = np.array([single_seconds(index, some, k) for _ in range(repeats)])
                measured.append(Measured(about | asked | row | work, ids, distances, batch, single))
                setting_text = plain(asked["search"]) or "as it is"
                log(f"{config.name} {setting_text}, {kind}: recall@{k} {row['recall']:.4f}")
    return Found(measured, train_s, add_s, threads)


def build(corpus: AnnCorpus, config: Config) -> tuple[VectorSearchIndex, float, float, int]:
    """Makes the index of a config over a corpus.

    Returns:
        The index, seconds of training and of adding, and the number of vectors that it was trained
        on.
    """
    index = config.make(corpus.dim, corpus.metric)
    n_train, train_s, add_s = 0, 0.0, 0.0
    if index.needs_training:
        n_train = min(len(corpus), config.n_train or len(corpus))
        drawn = np.random.default_rng(config.seed).choice(len(corpus), n_train, replace=False)
        learn = corpus.vectors(np.sort(drawn))
        start = time.perf_counter()
        index.train(learn)
        train_s = time.perf_counter() - start
        del learn  # up to hundreds of megabytes
    for block in corpus.blocks():
        start = time.perf_counter()
        index.add(block)
        add_s += time.perf_counter() - start
    start = time.perf_counter()
    index.finish()  # or the first search would pay for what belongs to the build
    add_s += time.perf_counter() - start
    return index, train_s, add_s, n_train


@contextmanager
def using_threads(threads: int) -> Iterator[None]:
    """Every library that searches uses that many threads inside, and as many as before
    afterwards.
    """
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
    """Seconds of all queries asked at once."""
    start = time.perf_counter()
    index.search(queries, k)
    return time.perf_counter() - start


def single_seconds(index: VectorSearchIndex, queries: np.ndarray, k: int) -> np.ndarray:
    """Seconds `(n_queries,)` of each query asked alone; here the loop is what is measured."""
    seconds = np.empty(len(queries))
    for at in range(len(queries)):
        one = queries[at : at + 1]
        start = time.perf_counter()
        index.search(one, k)
        seconds[at] = time.perf_counter() - start
    return seconds


def _about(corpus: AnnCorpus, config: Config, index: VectorSearchIndex) -> dict:
    """The columns that all rows of one build share."""
    parts = index.cost()
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
    """Queries to time one at a time, in a random order: as many as the budget pays for."""
    shuffled = queries[np.random.default_rng(0).permutation(len(queries))[:most]]
    each = np.median(single_seconds(index, shuffled[:3], k))
    return shuffled[: max(LEAST_SINGLE, int(budget_s / each))]
