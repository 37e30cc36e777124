"""Remedies against hubs on the committed models: what each gains, labelled by what it was allowed
to see.
"""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import check_choice, check_k
from lib.core.qrels import Qrels
from lib.datasets import icons, scenes
from lib.metrics import (
    Cosines,
    LabelledRun,
    dual_softmax,
    hit_rate_at_k,
    inverted_softmax,
    k_occurrence,
    paired_bootstrap_interval,
    qb_norm,
    skewness,
    unadjusted,
)
from lib.models.trained_models import load_model

BANK = 2500
BETA = 20.0  # as published, not tuned: what a reader would get who copies it


def bank_texts(corpus: str, n: int = BANK) -> list[str]:
    """Texts that nobody is tested on: training names of icons, or validation captions of scenes.

    Raises:
        RetrievalInputError: another corpus, or more texts than there are.
    """
    if check_choice(corpus, ("icons", "scenes"), "corpus") == "icons":
        every = icons.load_icons()
        tested = set(icons.task("test", "text_to_image").queries)
        names = sorted({icons.phrase_of(every.names[i]) for i in every.positions("train")} - tested)
        chosen = np.random.default_rng(0).choice(len(names), check_k(n, len(names)), replace=False)
        return [names[i] for i in chosen]
    held_out = scenes.sample("validation", -(-n // scenes.N_CAPTIONS), 0)
    return [caption for five in scenes.captions(held_out) for caption in five][:n]


def bank(corpus: str, n: int = BANK) -> np.ndarray:
    """`bank_texts` as the committed model encodes them, float32 (n, d)."""
    return load_model(corpus).encode_text(bank_texts(corpus, n))


def runs(queries, gallery, bank, *, beta: float = BETA, depth: int = 10) -> list[LabelledRun]:
    """The plain ranking, QB-Norm and inverted softmax with a bank, dual softmax over all test
    queries.

    Args:
        queries, gallery, bank: embeddings, `(n_queries, d)`, `(n_items, d)`, `(n_bank, d)`.
        beta: inverse temperature of all remedies.
        depth: items kept per query.
    """
    scores, others = Cosines(queries, gallery), Cosines(bank, gallery)
    return [
        unadjusted(scores, depth),
        qb_norm(scores, others, beta=beta, depth=depth),
        inverted_softmax(scores, others, beta=beta, depth=depth),
        dual_softmax(scores, beta=beta, depth=depth),
    ]


def rows(labelled: Sequence[LabelledRun], qrels: Qrels, groups=None) -> list[dict]:
    """One row per run: R@1, its change against the first run with a paired interval, and skewness.

    Args:
        labelled: of `runs`; the first is what the others are compared with.
        qrels: the judgements, without grades that are no hits.
        groups: `(n_queries,)` clusters for the intervals.

    Returns:
        Tidy rows: remedy, inference, R@1, change (a triple, of None for the first), skewness of the
        k-occurrence at full depth, n_queries, n_gallery. Shares are fractions.
    """
    hits = [hit_rate_at_k(run.ids, qrels, 1) for run in labelled]
    table = []
    for run, hit in zip(labelled, hits, strict=True):
        change = (None, None, None)  # of the first run there is none
        if hit is not hits[0]:
            interval = paired_bootstrap_interval(hit, hits[0], groups)
            change = (float(hit.mean() - hits[0].mean()), *interval)
        table.append(
            {
                "remedy": run.method,
                "inference": run.inference,
                "R@1": float(hit.mean()),
                "change": change,
                "skewness": skewness(k_occurrence(run.ids, qrels.n_items)),
                "n_queries": qrels.shape[0],
                "n_gallery": qrels.n_items,
            }
        )
    return table
