"""Parts of the committed run measured again, and queries that it does not ask: vectors of the base
itself.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lib.core.checks import RetrievalInputError
from lib.index import VectorSearchIndex
from lib.studies.ann import harness
from lib.studies.ann.configs import standard
from lib.studies.ann.corpora import AnnCorpus
from lib.studies.ann.ground_truth import exact_ids, truth
from lib.studies.ann.recall import by_id
from lib.studies.ann.recall_vs_work import K, measure_both
from lib.studies.ann.speed_tables import EXACT


def rebuilt(
    corpus: AnnCorpus, quality: pd.DataFrame, families: Sequence[str] = ("IVF", "HNSW")
) -> tuple[dict[str, VectorSearchIndex], list[dict]]:
    """Builds the first index of some families again, and compares what it finds and does with the
    table.

    Args:
        corpus: one of the run; quality: its table.
        families: that compare whole vectors.

    Returns:
        The indexes by the names of their configs, and rows: index, queries, settings, `recall`, the
        largest difference of any setting in points, and `work`, the same in percent.

    Raises:
        RetrievalInputError: a config or setting that the table does not have.
    """
    indexes, rows = {}, []
    for family in families:
        config = next(
            one for one in standard(len(corpus), corpus.dim, [family]) if one.name not in EXACT
        )
        with harness.using_threads(1):
            index = indexes[config.name] = harness.build(corpus, config)[0]
            measured = measure_both(corpus, index, config.search)
        same = (quality["corpus"] == corpus.name) & (quality["n"] == len(corpus))
        for kind, points in measured.items():
            stored = quality[
                same & (quality["config"] == config.name) & (quality["queries"] == kind)
            ]
            if len(stored) != len(points):
                raise RetrievalInputError(
                    f"the table has {len(stored)} settings of {config.name} for {kind} queries to"
                    f" {corpus.name}, the config {len(points)}; measure it again: crossmodal"
                    " bench ann"
                )
            work = stored[["distances", "centroids"]].fillna(0).sum(axis=1).to_numpy()
            off = np.array([point.recall for point in points]) - stored["recall"].to_numpy()
            done = np.array([point.work for point in points]) / work - 1
            row = {"index": config.name, "queries": kind, "settings": len(points)}
            rows.append(row | {"recall": 100 * np.abs(off).max(), "work": 100 * np.abs(done).max()})
    return indexes, rows


def asked_by_the_base(
    corpus: AnnCorpus, index: VectorSearchIndex, n_queries: int, seed: int = 0
) -> dict:
    """Recall in percent by who asks: base vectors, with their own hit and without it, and new
    queries.

    Args:
        corpus: whose base the index holds.
        index: is searched as it is set.
        n_queries: base vectors to ask with; seed: of their choice.

    Returns:
        "base, itself counted", "base, itself left out", and "new images", "new texts" and so on.
    """
    own = np.sort(np.random.default_rng(seed).choice(len(corpus), n_queries, replace=False))
    asked = corpus.vectors(own)
    true, found = exact_ids(corpus, asked, K + 1), index.search(asked, K + 1)[1]
    rest_true, rest = without(true, own), without(found, own)
    shares = {
        "base, itself counted": by_id(found, true, K),
        "base, itself left out": by_id(rest, rest_true, K),
    }
    for kind, queries in corpus.queries.items():
        ids = index.search(queries, K)[1]
        shares[f"new {kind}s"] = by_id(ids, truth(corpus, K)[kind].ids, K)
    return {name: 100 * float(hits.mean()) / K for name, hits in shares.items()}


def without(ids: np.ndarray, own: np.ndarray) -> np.ndarray:
    """`(n_queries, m)` ids less each query's own, wherever it stands; where it does not, less the
    last.
    """
    behind = np.argsort(ids == own[:, None], axis=1, kind="stable")
    return np.take_along_axis(ids, behind, axis=1)[:, :-1]
