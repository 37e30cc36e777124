"""The same rankings before three judges: COCO-5K by its original, CxC and ECCV positives.

The judgements are real and come without images, so the rankings are synthetic: noise, with a bonus
for what a ranker is supposed to know. They say how metrics move with the judge, not how good any
model is.
"""

from collections.abc import Mapping

import numpy as np

from lib.core.checks import check_choice
from lib.core.qrels import Qrels
from lib.datasets.coco_judgements import DIRECTIONS, JUDGEMENTS, CocoJudgements
from lib.metrics import evaluate, unadjusted

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
    """The three sets over the queries that ECCV judged: the same rows, the whole gallery."""
    asked = coco.judged("eccv", check_choice(direction, DIRECTIONS, "direction"))
    return {name: coco.qrels(name, direction).take_queries(asked) for name in JUDGEMENTS}


def coverage(coco: CocoJudgements) -> list[dict]:
    """How much of what people confirmed each set knows.

        known = |pairs of the set and of ECCV| / |pairs of ECCV|

    Returns:
        Rows of direction, judgements, n_queries, positives (mean per query), known (a fraction) and
        readme: what the authors print for it, None for ECCV itself. Theirs are other numbers than
            the shares of the
        pairs they ship; their README does not say how they are weighted.
    """
    rows = []
    for direction in DIRECTIONS:
        sets = judged_by_all(coco, direction)
        confirmed = sets["eccv"]
        for name, qrels in sets.items():
            row = {"direction": direction, "judgements": name, "n_queries": qrels.shape[0]}
            # Grades are all 1: of each pair of ECCV, whether the set has it too.
            pairs = qrels.query_index * qrels.n_items + qrels.items
            wanted = confirmed.query_index * confirmed.n_items + confirmed.items
            row["positives"] = float(qrels.counts.mean())
            row["known"] = float(np.isin(wanted, pairs).mean())
            row["readme"] = README_RECALL.get((name, direction))
            rows.append(row)
    return rows


def synthetic_ranking(
    coco: CocoJudgements, own: float, other: float, *, seed: int = 0
) -> np.ndarray:
    """A ranking of all captions for every image that ECCV judged, by noise and knowledge.

        s_ij = e_ij + own [j is a caption of i that people confirmed] + other [j is a further one
        they did] e_ij ~ N(0, 1)

    Args:
        coco: the judgements.
        own: what the ranker knows of the pairs on file, in standard deviations of the noise.
        other: what it knows of captions of other images that describe this one too.
        seed: of the noise; with the same seed, rankers differ in their knowledge alone.

    Returns:
        `(n_judged, DEPTH)` caption positions, best first.
    """
    asked = coco.judged("eccv", "image_to_text")
    confirmed = coco.qrels("eccv", "image_to_text").take_queries(asked)
    is_own = coco.owner[confirmed.items] == asked[confirmed.query_index]
    scores = np.random.default_rng(seed).standard_normal(confirmed.shape, dtype=np.float32)
    scores[confirmed.query_index, confirmed.items] += np.where(is_own, own, other)
    return unadjusted(scores, DEPTH).ids


def rows(coco: CocoJudgements, rankers: Mapping[str, tuple[float, float]] = RANKERS) -> list[dict]:
    """Every ranker before every judge, images asking for captions.

    Args:
        coco: the judgements.
        rankers: name to `(own, other)` of `synthetic_ranking`.

    Returns:
        Rows of judgements, ranker, n_queries, n_gallery, and R@1, R-precision and MAP@R as triples
        (value, low, high) of fractions.
    """
    runs = {name: synthetic_ranking(coco, *knowledge) for name, knowledge in rankers.items()}
    table = []
    for judge, qrels in judged_by_all(coco, "image_to_text").items():
        for name, run in runs.items():
            found = evaluate(run, qrels, ks=[1], metrics=METRICS)
            row = {
                "judgements": judge,
                "ranker": name,
                "n_queries": qrels.shape[0],
                "n_gallery": qrels.n_items,
            }
            table.append(row | {m: (found.mean(m), *found.interval(m)) for m in found.per_query})
    return table
