"""One direction of a benchmark: a gallery or its folds, ranked as they are or with a remedy against
hubs.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lib.core.qrels import Qrels
from lib.core.writing import sha256_of
from lib.metrics import (
    Cosines,
    Evaluation,
    FoldedEvaluation,
    bootstrap_interval,
    dual_softmax,
    evaluate,
    evaluate_embeddings,
    qb_norm,
)
from lib.studies.published.direction_result import OF_RANKS, DirectionResult, Measured

FAMILIES = ("R", "MRR", "R-precision", "MAP@R")
WHOLE_RUN_CELLS = (
    4 * 10**6
)  # an adjusted ranking is kept whole up to here (96 MB), beyond it to a depth
RUN_DEPTH = 100


def evaluate_gallery(
    queries, gallery, qrels: Qrels, inference: str, bank, beta: float, options: dict
) -> tuple[Evaluation, str]:
    """One gallery in one direction, and the name of the remedy that was used."""
    if inference == "inductive":
        return evaluate_embeddings(queries, gallery, qrels, metrics=FAMILIES, **options), "none"
    n_items, deepest = len(gallery), max(max(options["ks"]), qrels.counts.max(initial=1))
    whole = len(queries) * n_items <= WHOLE_RUN_CELLS
    depth = n_items if whole else min(n_items, max(RUN_DEPTH, deepest))
    scores = Cosines(queries, gallery)
    if inference == "querybank":
        run = qb_norm(scores, Cosines(bank, gallery), beta=beta, depth=depth)
        run = replace(run, method=f"{run.method}, bank of {len(bank):,}")
    else:
        run = dual_softmax(scores, beta=beta, depth=depth)
    found = evaluate(run.run, qrels, metrics=FAMILIES, ties="pessimistic", **options)
    names = {f"MRR@{n_items}": "MRR"}  # over the whole gallery it needs no depth in its name
    return replace(
        found,
        per_query={names.get(name, name): values for name, values in found.per_query.items()},
        chance={names.get(name, name): value for name, value in found.chance.items()},
    ), run.method


def summary(evaluations: Sequence[Evaluation], query_ids: Sequence[str]) -> DirectionResult:
    """The folds of one direction as one result; a single fold is the whole."""
    first, folded = evaluations[0], FoldedEvaluation(tuple(evaluations))
    groups = None if first.groups is None else np.concatenate([e.groups for e in evaluations])
    values = {}
    for metric in (*first.per_query, *OF_RANKS):
        low, high = (
            first.interval(metric)
            if len(evaluations) == 1
            else _fold_interval(folded, metric, groups)
        )
        chance = float(np.mean([e.chance[metric] for e in evaluations]))
        values[metric] = Measured(folded.value(metric), low, high, chance)
    n_queries = np.array([e.n_queries for e in evaluations])
    return DirectionResult(
        direction=first.direction,
        n_queries=int(n_queries.sum()),
        n_gallery=first.n_gallery,
        n_without_relevant=sum(e.n_without_relevant for e in evaluations),
        tie_share=float(np.average([e.tie_share for e in evaluations], weights=n_queries)),
        values=values,
        first_ranks=np.concatenate([e.first_ranks for e in evaluations]),
        map_at_r=np.concatenate([e.per_query["MAP@R"] for e in evaluations]),
        queries_checksum=sha256_of(json.dumps(list(query_ids)).encode()),
        groups=groups,
    )


def weighted_by_fold(values: Sequence[np.ndarray]) -> np.ndarray:
    """The values of all queries, weighted so that their mean is the mean of the folds' means.

    mean over folds f of mean over its n_f queries = mean over all n queries of x n / (F n_f)
    """
    n = sum(of.size for of in values)
    return np.concatenate([of * (n / (len(values) * of.size)) for of in values])


def _fold_interval(folded: FoldedEvaluation, metric: str, groups) -> tuple[float, float]:
    """The interval of a mean of folds: each query weighs what its fold gives it.

    Clusters are resampled over all folds, each in its own gallery. The mean of several medians has
    none.
    """
    if metric == "MedR":
        return np.nan, np.nan
    weighted = weighted_by_fold(
        [e.first_ranks if metric == "MeanR" else e.per_query[metric] for e in folded.folds]
    )
    return bootstrap_interval(weighted, groups) if np.isfinite(weighted).all() else (np.nan, np.nan)
