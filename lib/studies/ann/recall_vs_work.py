"""Measure recall against work, setting by setting, and compare indexes at equal work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lib.index import VectorSearchIndex
from lib.studies.ann.corpora import AnnCorpus
from lib.studies.ann.ground_truth import hits_by_id, truth

K = 10


@dataclass(frozen=True)
class Point:
    """One setting of one index for one kind of query.

    Args:
        search: the setting.
        work: comparisons with whole vectors per query, centroids included.
        hits: `(n_queries,)` true neighbours among the K returned.
    """

    search: Mapping[str, int]
    work: float
    hits: np.ndarray

    @property
    def recall(self) -> float:
        return float(self.hits.mean() / K)


Curve = list[Point]  # by rising work


def measure_curves(
    corpus: AnnCorpus, index: VectorSearchIndex, settings: Sequence[Mapping], allowed=None
) -> dict[str, Curve]:
    """Run `measure_curve` for every kind of query of a corpus."""
    true = truth(corpus, K)
    return {
        kind: measure_curve(index, settings, queries, true[kind].ids, allowed)
        for kind, queries in corpus.queries.items()
    }


def measure_curve(
    index: VectorSearchIndex,
    settings: Sequence[Mapping],
    queries: np.ndarray,
    true_ids,
    allowed=None,
) -> Curve:
    """Measure recall and work of an index that compares whole vectors, setting by setting.

    The index keeps the last setting. `true_ids` are exact, `(n_queries, >= K)`, of what is allowed.
    """
    curve = []
    for setting in settings:
        index.set_search(**setting)
        result = index.search(queries, K, **({} if allowed is None else {"allowed": allowed}))
        work = result.work["distances"] + result.work.get("centroids", 0)
        curve.append(Point(setting, work / len(queries), hits_by_id(result.ids, true_ids, K)))
    return curve


def hits_at_work(work: float, curve: Sequence[Point]) -> np.ndarray | None:
    """Return the hits per query, `(n_queries,)`, at a given work per query; None outside the curve.

    Between two settings a server would use one for a share of its queries and the other for the
    rest: hits and work are the same mixture of both.
    """
    works = np.array([point.work for point in curve])
    if not works[0] <= work <= works[-1]:
        return None
    after = min(max(1, int(np.searchsorted(works, work))), len(curve) - 1)
    share = (work - works[after - 1]) / (works[after] - works[after - 1])
    return (1 - share) * curve[after - 1].hits + share * curve[after].hits


def work_for(recall: float, curve: Sequence[Point]) -> float | None:
    """Return the least work per query for a recall, by the same mixture of two settings.

    That of the cheapest setting where it has a higher recall; None where no setting reaches it.
    """
    recalls = np.maximum.accumulate([point.recall for point in curve])
    if recall > recalls[-1]:
        return None
    after = int(np.searchsorted(recalls, recall))
    if after == 0:
        return curve[0].work
    share = (recall - recalls[after - 1]) / (recalls[after] - recalls[after - 1])
    return (1 - share) * curve[after - 1].work + share * curve[after].work
