"""How small can an embedding be? Recall and bytes against the number of coordinates kept."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lib.benchmarks.dual_encoders import stored, test_task
from lib.checks import check_choice, unit_rows
from lib.retrieval import evaluate_task

CUTS = ("first, normalised again", "first, not normalised", "last, normalised again")


def shortened(x: np.ndarray, dim: int, cut: str) -> np.ndarray:
    """Keeps `dim` coordinates of int8 embeddings in one of three ways (`CUTS`).

    Normalised again, the integers themselves are enough, since a cosine search divides by their length. Not
    normalised, rows keep the length their part had in the full unit vector, as float32.
    """
    check_choice(cut, CUTS, "cut")
    if cut.startswith("last"):
        return np.ascontiguousarray(x[:, -dim:])
    return np.ascontiguousarray(x[:, :dim] if cut.endswith("again") else unit_rows(x, "x")[:, :dim])


def table(
    corpus: str,
    direction: str = "text_to_image",
    dims: Sequence[int] = (16, 32, 64, 128, 256),
    cuts: Sequence[str] = CUTS[:1],
    metrics: Sequence[str] = ("R@1", "R@10"),
) -> list[dict]:
    """One row per size, cut and metric.

    Returns:
        Tidy rows: corpus, direction, dim, cut, bytes_float32 and bytes_int8 per item, metric, value, low,
        high, chance, n_queries, n_gallery.
    """
    task = test_task(corpus, direction)
    queries, gallery = stored(corpus, direction)
    rows = []
    for cut in cuts:
        metric = "cosine" if cut.endswith("again") else "inner_product"
        for dim in dims:
            found = evaluate_task(
                shortened(queries, dim, cut), shortened(gallery, dim, cut), task, metric=metric
            )
            rows += [
                {"corpus": corpus, "dim": dim, "cut": cut, "bytes_float32": 4 * dim, "bytes_int8": dim, **row}
                for row in found.rows()
                if row["metric"] in metrics
            ]
    return rows
