"""Recall against work: one index asked with a row of settings, and what it does between two of
them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lib.index import VectorSearchIndex
from lib.studies.ann.corpora import AnnCorpus
from lib.studies.ann.ground_truth import truth
from lib.studies.ann.recall import by_id

K = 10


@dataclass(frozen=True)
class Point:
    """One setting of one index for one kind of query.

    Args:
        search: the setting.
        work: comparisons with whole vectors a query, centroids included.
        hits: `(n_queries,)` true neighbours found among K.
    """

    search: Mapping[str, int]
    work: float
    hits: np.ndarray

    @property
    def recall(self) -> float:
        return float(self.hits.mean() / K)


Curve = list[Point]  # by rising work


def measure_both(
    corpus: AnnCorpus, index: VectorSearchIndex, settings: Sequence[Mapping], allowed=None
) -> dict[str, Curve]:
    """`measure` for every kind of query of a corpus, against its exact neighbours."""
    true = truth(corpus, K)
    return {
        kind: measure(index, settings, queries, true[kind].ids, allowed)
        for kind, queries in corpus.queries.items()
    }


def measure(
    index: VectorSearchIndex,
    settings: Sequence[Mapping],
    queries: np.ndarray,
    true_ids,
    allowed=None,
) -> Curve:
    """Recall and work of an index that compares whole vectors, setting by setting.

    Args:
        index: with the base in it; it is left with the last setting.
        settings: search options, by rising work.
        queries: `(n_queries, d)`; true_ids: `(n_queries, >= K)` of exact search, among what is
            allowed.
        allowed: as for `VectorSearchIndex.search`.
    """
    points = []
    for setting in settings:
        index.set_search(**setting)
        ids = index.search(queries, K, **({} if allowed is None else {"allowed": allowed}))[1]
        work = index.work["distances"] + index.work.get("centroids", 0)
        points.append(Point(setting, work / len(queries), by_id(ids, true_ids, K)))
    return points


def at_equal_work(work: float, curve: Sequence[Point]) -> np.ndarray | None:
    """Hits a query, `(n_queries,)`, that the settings of a curve give for so much work a query.

    Between two settings a server would use one for a share of its queries and the other for the
    rest, so that hits and work are the same mixture of both. None outside the curve.
    """
    works = np.array([each.work for each in curve])
    if not works[0] <= work <= works[-1]:
        return None
    after = min(max(1, int(np.searchsorted(works, work))), len(curve) - 1)
    share = (work - works[after - 1]) / (works[after] - works[after - 1])
    return (1 - share) * curve[after - 1].hits + share * curve[after].hits


def work_for(recall: float, curve: Sequence[Point]) -> float | None:
    """The least work a query for a recall, by the same mixture of two settings.

    Where even the cheapest setting finds more, its work; None where no setting finds as much.
    """
    recalls = np.maximum.accumulate([each.recall for each in curve])
    if recall > recalls[-1]:
        return None
    after = int(np.searchsorted(recalls, recall))
    if after == 0:
        return curve[0].work
    share = (recall - recalls[after - 1]) / (recalls[after] - recalls[after - 1])
    return (1 - share) * curve[after - 1].work + share * curve[after].work
