"""Make the tables of notebook 04: hubness mitigation, and three sets of judgements of COCO."""

from collections.abc import Mapping, Sequence

import numpy as np

from lib.core.checks import check_choice, check_k
from lib.core.qrels import Qrels
from lib.datasets import icons, scenes
from lib.datasets.coco_judgements import DIRECTIONS, JUDGEMENTS, CocoJudgements
from lib.metrics import (
    Cosines,
    LabelledRun,
    dual_softmax,
    evaluate,
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
BETA = 20.0  # as published, not tuned: the result of copying it


# ---- hubness mitigation


def bank_texts(corpus: str, n: int = BANK) -> list[str]:
    """Return texts that are not tested: training names of icons, or validation captions."""
    if check_choice(corpus, ("icons", "scenes"), "corpus") == "icons":
        all_icons = icons.load_icons()
        tested = set(icons.task("test", "text_to_image").queries)
        train = (all_icons.names[i] for i in all_icons.positions("train"))
        names = sorted({icons.phrase_of(name) for name in train} - tested)
        chosen = np.random.default_rng(0).choice(len(names), check_k(n, len(names)), replace=False)
        return [names[i] for i in chosen]
    batch = scenes.sample("validation", -(-n // scenes.N_CAPTIONS), 0)
    return [caption for five in scenes.captions(batch) for caption in five][:n]


def bank_embeddings(corpus: str, n: int = BANK) -> np.ndarray:
    """Encode `bank_texts` with the committed model, float32 (n, d)."""
    return load_model(corpus).encode_text(bank_texts(corpus, n))


def hubness_runs(
    queries, gallery, bank, *, beta: float = BETA, depth: int = 10
) -> list[LabelledRun]:
    """Rank plainly, by QB-Norm and inverted softmax with a bank, and by dual softmax."""
    scores, bank_scores = Cosines(queries, gallery), Cosines(bank, gallery)
    return [
        unadjusted(scores, depth),
        qb_norm(scores, bank_scores, beta=beta, depth=depth),
        inverted_softmax(scores, bank_scores, beta=beta, depth=depth),
        dual_softmax(scores, beta=beta, depth=depth),
    ]


def hubness_rows(runs: Sequence[LabelledRun], qrels: Qrels, groups=None) -> list[dict]:
    """Compute R@1 of each run, its change against the first run, and skewness.

    Returns:
        Rows `remedy`, `inference`, `R@1`, `change` (a triple, of None for the first), `skewness` of
        the k-occurrence, `n_queries`, `n_gallery`. Shares are fractions.
    """
    hits = [hit_rate_at_k(run.ids, qrels, 1) for run in runs]
    rows = []
    for run, hit in zip(runs, hits, strict=True):
        change = (None, None, None)
        if hit is not hits[0]:
            interval = paired_bootstrap_interval(hit, hits[0], groups)
            change = (float(hit.mean() - hits[0].mean()), *interval)
        row = {"remedy": run.method, "inference": run.inference, "R@1": float(hit.mean())}
        row |= {"change": change, "skewness": skewness(k_occurrence(run.ids, qrels.n_items))}
        rows.append(row | {"n_queries": qrels.shape[0], "n_gallery": qrels.n_items})
    return rows


# ---- three sets of judgements of COCO-5K
# The judgements are real and come without images: the rankings are synthetic, noise with a bonus
# for knowledge. They show how metrics move with the judgements, not how good any model is.

DEPTH = 50  # no image has more than 48 right captions, and mAP@R looks as deep as that
RANKERS = {"knows pairs": (4.0, 0.0), "in between": (3.9, 2.6), "knows meaning": (3.8, 3.8)}
# Recall of verified positives, from the README of the authors at the head of their repository.
README_RECALL = {
    ("original", "image_to_text"): 0.211,
    ("original", "text_to_image"): 0.138,
    ("cxc", "image_to_text"): 0.230,
    ("cxc", "text_to_image"): 0.161,
}
METRICS = ("R", "R-precision", "MAP@R")


def judged_by_all(coco: CocoJudgements, direction: str) -> dict[str, Qrels]:
    """Return the three sets over the queries that ECCV judged, with the whole gallery."""
    queries = coco.judged("eccv", check_choice(direction, DIRECTIONS, "direction"))
    return {name: coco.qrels(name, direction).take_queries(queries) for name in JUDGEMENTS}


def coverage_rows(coco: CocoJudgements) -> list[dict]:
    """Compute the share of ECCV's confirmed pairs in each set of judgements.

        known = |pairs of the set and of ECCV| / |pairs of ECCV|

    `readme` is the number of the authors, None for ECCV itself. It differs from the share of the
    pairs that they ship; their README does not state the weights.
    """
    rows = []
    for direction in DIRECTIONS:
        sets = judged_by_all(coco, direction)
        confirmed = _pair_ids(sets["eccv"])
        for name, qrels in sets.items():
            row = {"direction": direction, "judgements": name, "n_queries": qrels.shape[0]}
            row["positives"] = float(qrels.counts.mean())
            row["known"] = float(np.isin(confirmed, _pair_ids(qrels)).mean())
            rows.append(row | {"readme": README_RECALL.get((name, direction))})
    return rows


def _pair_ids(qrels: Qrels) -> np.ndarray:
    """Number the judged pairs; all grades are 1."""
    return qrels.query_index * qrels.n_items + qrels.items


def synthetic_ranking(
    coco: CocoJudgements, own: float, other: float, *, seed: int = 0
) -> np.ndarray:
    """Rank all captions for every image that ECCV judged, by noise and knowledge.

        s_ij = e_ij + own [j is a confirmed caption of i] + other [j is a confirmed caption of
        another image],   e_ij ~ N(0, 1)

    Args:
        coco: the judgements.
        own: knowledge of the pairs on file, in standard deviations of the noise.
        other: knowledge of captions of other images that describe this one too.
        seed: seed of the noise; with the same seed, rankers differ in their knowledge alone.

    Returns:
        `(n_judged, DEPTH)` caption positions, best first.
    """
    queries = coco.judged("eccv", "image_to_text")
    confirmed = coco.qrels("eccv", "image_to_text").take_queries(queries)
    is_own = coco.owner[confirmed.items] == queries[confirmed.query_index]
    scores = np.random.default_rng(seed).standard_normal(confirmed.shape, dtype=np.float32)
    scores[confirmed.query_index, confirmed.items] += np.where(is_own, own, other)
    return unadjusted(scores, DEPTH).ids


def judgement_rows(
    coco: CocoJudgements, rankers: Mapping[str, tuple[float, float]] = RANKERS
) -> list[dict]:
    """Evaluate every ranker `(own, other)` by every set of judgements, images to captions."""
    runs = {name: synthetic_ranking(coco, *knowledge) for name, knowledge in rankers.items()}
    rows = []
    for judge, qrels in judged_by_all(coco, "image_to_text").items():
        for name, run in runs.items():
            result = evaluate(run, qrels, ks=[1], metrics=METRICS)
            row = {"judgements": judge, "ranker": name}
            row |= {"n_queries": qrels.shape[0], "n_gallery": qrels.n_items}
            rows.append(row | {m: (result.mean(m), *result.interval(m)) for m in result.per_query})
    return rows
