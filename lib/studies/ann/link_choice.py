"""Links to the nearest against links by the heuristic, on real vectors: reach, and recall at equal
work.
"""

from collections.abc import Sequence

import numpy as np

from lib.index import topk_exact
from lib.index.from_scratch.graph import beam_search
from lib.index.from_scratch.graph import SELECTIONS, build_graph, reachable
from lib.metrics import paired_bootstrap_interval
from lib.studies.ann.corpora import AnnCorpus

K = 10


def at_equal_work(
    corpus: AnnCorpus, n: int = 2_000, efs: Sequence[int] = (10, 20, 40), n_queries: int = 250
) -> list[dict]:
    """What a graph of one level finds with either choice of links.

    Both graphs hold the same n vectors of the base, inserted in the same order with 8 links each.
    Both are read where they compare equally many vectors a query on average, between two `ef`: at
    the work of the one that compares more at the smallest.

    Returns:
        A row for each kind of query: reachable from the entry in percent, for each choice; compared
        a query; recall@10 in percent by each; and their paired difference (value, low, high).
    """
    base = corpus.vectors()
    rows = base[np.random.default_rng(0).permutation(len(base))[:n]]
    graphs = {select: build_graph(rows, 8, 40, select, "inner_product") for select in SELECTIONS}
    reach = {
        f"{select}, reachable": 100 * float(reachable(graph, 0).mean())
        for select, graph in graphs.items()
    }
    found = []
    for kind, queries in corpus.queries.items():
        asked = queries[:n_queries]
        true = topk_exact(asked, rows, K)[1]
        work, hits = {}, {}
        for select, graph in graphs.items():
            for ef in efs:
                walks = [beam_search(q, rows, graph, 0, ef, K, "inner_product") for q in asked]
                work[select, ef] = float(np.mean([len(walk.scored) for walk in walks]))
                right = [np.isin(walk.ids, t).mean() for walk, t in zip(walks, true, strict=True)]
                hits[select, ef] = 100 * np.array(right)
        wanted = min(
            max(work[select, efs[0]] for select in SELECTIONS),
            *(work[s, efs[-1]] for s in SELECTIONS),
        )
        at = {select: _between(select, efs, work, hits, wanted) for select in SELECTIONS}
        gain = at["heuristic"] - at["nearest"]
        ends = paired_bootstrap_interval(at["heuristic"], at["nearest"])
        row = {"queries": kind, **reach, "compared": wanted}
        row |= {
            f"{select}, recall": float(at[select].mean()) for select in ("nearest", "heuristic")
        }
        found.append(row | {"heuristic - nearest": (float(gain.mean()), *map(float, ends))})
    return found


def _between(select: str, efs: Sequence[int], work: dict, hits: dict, wanted: float) -> np.ndarray:
    """Recall of each query at a work between two settings."""
    at = [work[select, ef] for ef in efs]
    i = int(np.clip(np.searchsorted(at, wanted), 1, len(efs) - 1))
    share = (wanted - at[i - 1]) / (at[i] - at[i - 1])
    return (1 - share) * hits[select, efs[i - 1]] + share * hits[select, efs[i]]
