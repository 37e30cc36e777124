"""Count positives that lie in no gallery: ECCV names two captions that nobody can find."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lib.core.qrels import Qrels
from lib.metrics import Evaluation, evaluate


def findable(qrels: Qrels, n_items: int) -> Qrels:
    """Drop the judgements of items beyond a gallery of `n_items`."""
    if qrels.n_items <= n_items:
        return qrels
    inside = qrels.items < n_items
    pairs = qrels.query_index[inside], qrels.items[inside], qrels.grades[inside]
    return Qrels.from_pairs(*pairs, shape=(qrels.shape[0], n_items))


def with_unfindable(
    evaluation: Evaluation, queries, gallery, qrels: Qrels, options: Mapping
) -> Evaluation:
    """Count the positives beyond the gallery, which an evaluation of the findable ones left out.

    They change what is divided by the number of positives R: R-precision, MAP@R, recall and nDCG of
    their queries. Chance stays that of the positives in the gallery.

    Args:
        evaluation: of `findable(qrels, n_items)`, over the whole gallery.
        queries: `(n_queries, d)` embeddings.
        gallery: `(n_items, d)` embeddings.
        qrels: the judgements, shape `(n_queries, n_items + positives beyond it)`.
        options: those of the evaluation; metrics, ks, gain and hit_grade are used.
    """
    from lib.index.exact import topk_exact  # an evaluation without such positives needs no index

    inside = findable(qrels, len(gallery))
    changed = np.flatnonzero((qrels.counts > inside.counts) & (inside.counts > 0))
    if not changed.size:
        return evaluation
    passed = {name: options[name] for name in ("metrics", "ks", "gain", "hit_grade")}
    run = topk_exact(np.asarray(queries)[changed], gallery, len(gallery))
    again = evaluate(run, qrels.take_queries(changed), ties="pessimistic", **passed)
    whole = {f"{family}@{len(gallery)}": family for family in ("MRR", "MAP")}
    places = np.searchsorted(evaluation.queries, changed)
    per_query = dict(evaluation.per_query)
    for name, values in again.per_query.items():
        name = whole.get(name, name)
        per_query[name] = per_query[name].copy()
        per_query[name][places] = values
    return replace(evaluation, per_query=per_query, _intervals={})
