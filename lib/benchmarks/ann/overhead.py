"""What the harness and the interface add to the time of the library they call."""

from __future__ import annotations

import time

import faiss
import numpy as np

from lib.benchmarks.ann.configs import Config
from lib.benchmarks.ann.corpora import two_cones
from lib.benchmarks.ann.harness import batch_seconds, build, using_threads
from lib.checks import check_count
from lib.index.faiss_index import set_k_means


def overhead(
    n: int = 10_000, dim: int = 256, *, n_queries: int = 1_000, k: int = 10, rounds: int = 30, nprobe: int = 8
) -> dict[str, float]:
    """A batch search as the harness times it, over the same search by faiss alone; one thread.

    The same inverted file is built here and by faiss's constructor, and the two are timed in turns, so that
    whatever else the machine does falls on both.

    Args:
        n, dim: vectors (the imitation of two modalities) and their dimension.
        n_queries, k: of a batch.
        rounds: of both; the fastest are compared, since what else the machine does only adds.
        nprobe: lists a query visits.

    Returns:
        `{"harness_s", "library_s", "ratio"}`.
    """
    corpus = two_cones(n, dim, 1.0, n_queries=n_queries)
    config = Config("IVF64", "IVF", {"nlist": 64}, ({"nprobe": nprobe},))
    queries, base = corpus.queries["text"], corpus.vectors()
    harness_s, library_s = [], []
    with using_threads(1):
        index = build(corpus, config)[0]
        plain = faiss.IndexIVFFlat(faiss.IndexFlatIP(dim), dim, 64, faiss.METRIC_INNER_PRODUCT)
        set_k_means(plain.cp, config.seed, spherical=True)
        plain.nprobe = nprobe
        plain.train(base)
        plain.add(base)
        if not np.array_equal(index.search(queries, k)[1], plain.search(queries, k)[1]):
            raise RuntimeError("the two indexes find different neighbours, so their times do not compare")
        for _ in range(check_count(rounds, "rounds")):
            harness_s.append(batch_seconds(index, queries, k))
            start = time.perf_counter()
            plain.search(queries, k)
            library_s.append(time.perf_counter() - start)
    times = {"harness_s": min(harness_s), "library_s": min(library_s)}
    return times | {"ratio": times["harness_s"] / times["library_s"]}
