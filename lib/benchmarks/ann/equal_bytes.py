"""Codes of several families at equal bytes: what each finds alone, and as the first of two steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from lib.benchmarks.ann.configs import PQ_NEEDS
from lib.benchmarks.ann.corpora import AnnCorpus
from lib.benchmarks.ann.curves import K
from lib.benchmarks.ann.recall import by_id
from lib.benchmarks.ann.truth import truth
from lib.index import VectorSearchIndex

CODES: Mapping[str, tuple[str, Callable[[int], dict]]] = {
    "LSH": ("LSH", lambda size: {"n_bits": 8 * size}),
    "PQ": ("PQ", lambda size: {"code_bytes": size}),
    "PQ, 4 bits": ("PQ", lambda size: {"code_bytes": size, "fast_scan": True}),
}


def recall_percent(corpus: AnnCorpus, answer: Callable[[np.ndarray], np.ndarray], k: int = K) -> dict:
    """Recall by id of every kind of query: `{"image": %, "text": %}`.

    Args:
        corpus: that is searched.
        answer: ids `(n_queries, k)` for queries `(n_queries, d)`.
        k: neighbours asked for.
    """
    true = truth(corpus, k)
    hits = {kind: by_id(answer(queries), true[kind].ids, k) for kind, queries in corpus.queries.items()}
    return {kind: 100 * float(found.mean()) / k for kind, found in hits.items()}


def compare(
    corpus: AnnCorpus, sizes: Mapping[str, Sequence[int]], rerank: int = 10, n_train: int = PQ_NEEDS
) -> list[dict]:
    """Recall of codes of equal size, all of them scanned, with and without re-ranking.

    Args:
        corpus: that is searched.
        sizes: bytes a vector for every name of `CODES` that is wanted.
        rerank: k times this many are scored again by whole vectors.
        n_train: the first vectors of the base, which those families train on that train.

    Returns:
        Rows: codes, bytes, rerank (that factor, and 0), and recall in percent by kind of query.
    """
    rows = []
    for name, wanted in sizes.items():
        family, build = CODES[name]
        for size in wanted:
            index = VectorSearchIndex(corpus.dim, family, metric=corpus.metric, rerank=rerank, **build(size))
            index.train(corpus.vectors(slice(n_train)))
            index.add(corpus.vectors())
            for factor in (rerank, 0):
                index.set_search(rerank=factor)
                found = recall_percent(corpus, lambda queries, index=index: index.search(queries, K)[1])
                rows.append({"codes": name, "bytes": size, "rerank": factor, **found})
    return rows
