"""What a missed neighbour costs the end task: hits on captions beside neighbours found."""

import json
from collections.abc import Mapping, Sequence

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice
from lib.index import VectorSearchIndex
from lib.metrics import (
    bootstrap_interval,
    hit_rate_at_k,
    holm,
    paired_bootstrap_interval,
    paired_randomization,
)
from lib.studies.ann.corpora import AnnCorpus
from lib.studies.ann.ground_truth import truth
from lib.studies.ann.recall import by_id
from lib.studies.ann.speed_tables import plain


def losses(
    corpus: AnnCorpus,
    index: VectorSearchIndex,
    settings: Sequence[Mapping],
    kind: str = "text",
    k: int = 10,
) -> list[dict]:
    """R@k of an index beside exact search's, query by query, setting by setting.

        change = mean_q (hit_q of the index - hit_q of exact search)

    A miss costs a hit only if it was the relevant item, and the only one among the first k.

    Args:
        corpus: with judgements for that kind of query.
        index: with the base in it; it is left with the last setting.
        settings: search options.
        kind: of the queries.
        k: neighbours, and depth of the end task.

    Returns:
        Rows: setting, recall of neighbours with its interval, `missed` neighbours of all queries
            together and
        `relevant` ones among them, `R@k` in percent, `change` in points with its paired interval,
        and `p` of the paired randomisation test, adjusted by Holm's method for the number of
        settings.

    Raises:
        RetrievalInputError: queries without judgements, or what the index refuses.
    """
    judged = corpus.relevant[check_choice(kind, corpus.relevant, "queries with judgements")]
    if not settings:
        raise RetrievalInputError("there are no settings to compare with exact search")
    exact = truth(corpus, k)[kind].ids
    hit_exact, right = (
        hit_rate_at_k(exact, judged, k, no_relevant="zero"),
        judged.grades_of(exact) > 0,
    )
    rows, tests = [], []
    for setting in settings:
        index.set_search(**setting)
        ids = index.search(corpus.queries[kind], k)[1]
        missed = ~(exact[:, :, None] == ids[:, None, :]).any(axis=2)
        found, hit = by_id(ids, exact, k) / k, hit_rate_at_k(ids, judged, k, no_relevant="zero")
        low, high = paired_bootstrap_interval(hit, hit_exact)
        tests.append(paired_randomization(hit, hit_exact).p_value)
        rows.append(
            {
                "setting": plain(json.dumps(dict(setting))),
                "recall": (float(found.mean()), *bootstrap_interval(found)),
                "missed": int(missed.sum()),
                "relevant": int((missed & right).sum()),
                f"R@{k}": 100 * float(hit.mean()),
                "change": (100 * float((hit - hit_exact).mean()), 100 * low, 100 * high),
            }
        )
    return [
        row | {"p (Holm)": float(p)} for row, p in zip(rows, holm(np.array(tests)), strict=True)
    ]
