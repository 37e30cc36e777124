"""What exact search answers, and how good another answer is beside it."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from lib.index import VectorSearchIndex
from lib.metrics import bootstrap_interval, hit_rate_at_k
from lib.studies.ann import recall
from lib.studies.ann.corpora import AnnCorpus

EPSILONS = (0.01, 0.1)  # ann-benchmarks' relative slacks


@dataclass(frozen=True)
class Truth:
    """What exact search finds: `(n_queries, k)` ids and distances, and the end task's hit rates."""

    ids: np.ndarray
    distances: np.ndarray
    hit_rates: dict[str, float]


@lru_cache(maxsize=4)
def truth(corpus: AnnCorpus, k: int) -> dict[str, Truth]:
    """Exact neighbours by kind of query: those that came with the corpus if they are enough, else
    searched.

    The search is `topk_exact`'s, over a float32 base that is added a block at a time; what comes
    from it is kept for the corpus object.
    """
    stored = {kind: ids for kind, (ids, _) in corpus.neighbours.items() if ids.shape[1] >= k}
    if corpus.queries.keys() - stored.keys():
        flat = _exact(corpus)
    answers = {}
    for kind, queries in corpus.queries.items():
        ids = stored[kind][:, :k].astype(np.int64) if kind in stored else flat.search(queries, k)[1]
        answers[kind] = Truth(ids, distances_of(corpus, kind, ids), hit_rates(corpus, kind, ids))
    return answers


def exact_ids(corpus: AnnCorpus, queries: np.ndarray, k: int) -> np.ndarray:
    """`(n_queries, k)` ids of exact search over the base, for queries that are not the corpus's
    own.
    """
    return _exact(corpus).search(queries, k)[1]


def judge(corpus: AnnCorpus, kind: str, ids: np.ndarray, true: Truth) -> tuple[dict, np.ndarray]:
    """How good an answer is.

    Args:
        corpus: that was searched.
        kind: of the queries.
        ids: `(n_queries, k)` that were returned, -1 where nothing was.
        true: the exact answer to the same queries, as deep.

    Returns:
        Columns, shares of k averaged over queries: `recall` by id with its 95% interval over
        queries, `recall_distance` and the `epsilon` columns as ann-benchmarks counts, `rel`, and
        R@1 and R@k of the end task beside exact search's own. And the distances `(n_queries, k)` of
        what was returned.
    """
    k = ids.shape[1]
    distances = distances_of(corpus, kind, ids)
    hits = recall.by_id(ids, true.ids, k)
    near = {"recall_distance": recall.by_distance(distances, true.distances, k)}
    for slack in EPSILONS:
        near[f"epsilon_{slack:g}"] = recall.by_relative_distance(
            distances, true.distances, k, slack
        )
    low, high = bootstrap_interval(hits / k)
    row = {"recall": float(hits.mean() / k), "recall_low": low, "recall_high": high}
    row |= {name: float(counts.mean() / k) for name, counts in near.items()}
    row["rel"] = recall.relative_error(distances, true.distances, k)
    row |= hit_rates(corpus, kind, ids)
    return row | {f"{name}_exact": value for name, value in true.hit_rates.items()}, distances


def distances_of(corpus: AnnCorpus, kind: str, ids: np.ndarray) -> np.ndarray:
    """Distances `(n_queries, k)` of returned ids; infinite for -1 and for repeats."""
    items = corpus.vectors(np.maximum(ids, 0).ravel())
    return recall.distances_of(corpus.queries[kind], items, ids, corpus.metric)


def hit_rates(corpus: AnnCorpus, kind: str, ids: np.ndarray) -> dict[str, float]:
    """R@1 and R@k of the end task over all queries of a kind; nothing where there is no end
    task.
    """
    if kind not in corpus.relevant:
        return {}
    cuts, judged = sorted({1, ids.shape[1]}), corpus.relevant[kind]
    return {f"R@{k}": float(hit_rate_at_k(ids, judged, k, no_relevant="zero").mean()) for k in cuts}


def _exact(corpus: AnnCorpus) -> VectorSearchIndex:
    """The base under exact search; a block at a time, so that its float32 rows are held once."""
    flat = VectorSearchIndex(corpus.dim, "Flat", metric=corpus.metric)
    for block in corpus.blocks():
        flat.add(block)
    return flat
