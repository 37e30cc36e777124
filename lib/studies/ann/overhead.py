"""What the harness adds to an index, and the index to the library inside it."""

import time
from collections.abc import Callable

import faiss

from lib.core.checks import check_count
from lib.studies.ann.configs import Config
from lib.studies.ann.corpora import two_cones
from lib.studies.ann.harness import batch_seconds, build, using_threads


def overhead(
    n: int = 10_000,
    dim: int = 256,
    *,
    n_queries: int = 1_000,
    k: int = 10,
    rounds: int = 30,
    nprobe: int = 8,
) -> dict[str, float]:
    """A batch search as the harness times it, as the index does it, and as faiss does it inside;
    one thread.

    All three search the same inverted file, in turns, so that whatever else the machine does falls
    on each.

    Args:
        n, dim: vectors (the imitation of two modalities) and their dimension.
        n_queries, k: of a batch.
        rounds: of each; the fastest are compared, since what else the machine does only adds.
        nprobe: lists of 64 that a query visits.

    Returns:
        Seconds of processor time `harness_s`, `index_s` and `faiss_s`, and the ratios
        `harness_over_index` and `index_over_faiss`; the index checks and normalises queries, counts
        work and orders ties.
    """
    corpus = two_cones(n, dim, 1.0, n_queries=n_queries)
    config = Config("IVF64", "IVF", {"nlist": 64}, ({"nprobe": nprobe},))
    queries = corpus.queries["text"]
    with using_threads(1):
        index = build(corpus, config)[0]
        # The index's own faiss object: a second one lies elsewhere in memory, which alone is worth
        # 5%.
        inner, asked = index._faiss, faiss.SearchParametersIVF(nprobe=nprobe)
        calls: dict[str, Callable[[], object]] = {
            "harness_s": lambda: batch_seconds(index, queries, k),
            "index_s": lambda: index.search(queries, k),
            "faiss_s": lambda: inner.search(queries, k, params=asked),
        }
        seconds = {name: [] for name in calls}
        for _ in range(check_count(rounds, "rounds")):
            for name, call in calls.items():
                start = time.process_time()
                call()
                seconds[name].append(time.process_time() - start)
    fastest = {name: min(values) for name, values in seconds.items()}
    return fastest | {
        "harness_over_index": fastest["harness_s"] / fastest["index_s"],
        "index_over_faiss": fastest["index_s"] / fastest["faiss_s"],
    }
