"""Count how much of COCO's confirmed pairs each set of judgements knows.

The judgements are real and come without images.
"""

import numpy as np

from lib.core.checks import check_choice
from lib.core.qrels import Qrels
from lib.datasets.coco_judgements import DIRECTIONS, JUDGEMENTS, CocoJudgements

# Recall of verified positives, from the README of the authors at the head of their repository.
README_RECALL = {
    ("original", "image_to_text"): 0.211,
    ("original", "text_to_image"): 0.138,
    ("cxc", "image_to_text"): 0.230,
    ("cxc", "text_to_image"): 0.161,
}


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
