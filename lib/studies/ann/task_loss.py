"""Measure the cost of missed neighbours for the end task."""

import json
from collections.abc import Mapping, Sequence

from lib.core.checks import RetrievalInputError, check_choice
from lib.index import VectorSearchIndex
from lib.metrics import bootstrap_interval, compare_systems, hit_rate_at_k, holm
from lib.studies.ann.corpora import AnnCorpus
from lib.studies.ann.ground_truth import hits_by_id, truth
from lib.studies.ann.speed_tables import plain_setting


def task_loss_table(
    corpus: AnnCorpus,
    index: VectorSearchIndex,
    settings: Sequence[Mapping],
    kind: str = "text",
    k: int = 10,
) -> list[dict]:
    """Compare R@k of an index with that of exact search, query by query, setting by setting.

        change = mean_q (hit_q of the index - hit_q of exact search)

    A missed neighbour costs a hit only if it was the one relevant item among the first k.

    Returns:
        Rows: setting, recall of neighbours with its interval, `missed` neighbours of all queries
        together and `relevant` ones among them, `R@k` in percent, `change` in points with its
        paired interval, and `p` of the paired randomisation test, adjusted by Holm's method.
    """
    judged = corpus.relevant[check_choice(kind, corpus.relevant, "queries with judgements")]
    if not settings:
        raise RetrievalInputError("there are no settings to compare with exact search")
    exact = truth(corpus, k)[kind].ids
    exact_hit = hit_rate_at_k(exact, judged, k, no_relevant="zero")
    is_relevant = judged.grades_of(exact) > 0
    rows, p_values = [], []
    for setting in settings:
        index.set_search(**setting)
        ids = index.search(corpus.queries[kind], k)[1]
        is_missed = ~(exact[:, :, None] == ids[:, None, :]).any(axis=2)
        recall = hits_by_id(ids, exact, k) / k
        hit = hit_rate_at_k(ids, judged, k, no_relevant="zero")
        change = compare_systems(hit, exact_hit)
        p_values.append(change.p_value)
        rows.append(
            {
                "setting": plain_setting(json.dumps(dict(setting))),
                "recall": (float(recall.mean()), *bootstrap_interval(recall)),
                "missed": int(is_missed.sum()),
                "relevant": int((is_missed & is_relevant).sum()),
                f"R@{k}": 100 * float(hit.mean()),
                "change": (100 * change.difference, 100 * change.low, 100 * change.high),
            }
        )
    return [row | {"p (Holm)": float(p)} for row, p in zip(rows, holm(p_values), strict=True)]
