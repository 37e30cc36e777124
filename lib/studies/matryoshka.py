"""How small can an embedding be? Recall and bytes against the number of coordinates kept."""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import check_choice, unit_rows
from lib.core.task import RetrievalTask
from lib.datasets import icons
from lib.losses import infonce_loss, matryoshka_loss
from lib.metrics import bootstrap_interval, paired_bootstrap_interval
from lib.models.trained_models import load_embeddings
from lib.search import evaluate_task
from lib.studies.losses.train_trial import Trial, encoded, train
from lib.studies.losses.train_trial import corpus as training_corpus
from lib.studies.readme_results import stored, test_task
from lib.training.objectives import Objective

CUTS = ("first, normalised again", "first, not normalised", "last, normalised again")


def shortened(x: np.ndarray, dim: int, cut: str) -> np.ndarray:
    """Keeps `dim` coordinates of int8 embeddings in one of three ways (`CUTS`).

    Normalised again, the integers themselves are enough, since a cosine search divides by their
    length. Not normalised, rows keep the length their part had in the full unit vector, as float32.
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
        Tidy rows: corpus, direction, dim, cut, bytes_float32 and bytes_int8 per item, metric,
        value, low, high, chance, n_queries, n_gallery.
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
                {
                    "corpus": corpus,
                    "dim": dim,
                    "cut": cut,
                    "bytes_float32": 4 * dim,
                    "bytes_int8": dim,
                    **row,
                }
                for row in found.rows()
                if row["metric"] in metrics
            ]
    return rows


def controls(dims: Sequence[int] = (16, 32, 64), draws: int = 10) -> list[dict]:
    """R@10 on icons of the first d coordinates beside d that anyone can make of any embedding.

    PCA takes the d directions in which the training images vary most, for both modalities alike. A
    random rotation shares the coordinates out; it is drawn `draws` times, and a query counts with
    its mean. "not normalised" is the prefix compared by dot products.

    Returns:
        A row per d, in percent: each way, and the prefix minus every other, paired by query, all as
        (value, low, high) over concepts.
    """
    task, (queries, gallery) = test_task("icons", "text_to_image"), stored("icons", "text_to_image")
    seen = unit_rows(
        load_embeddings("icons")["all_image"][icons.load_icons().positions("train")], "seen"
    )
    d, rng = queries.shape[1], np.random.default_rng(0)
    turns = {"prefix": [np.eye(d)], "PCA": [np.linalg.eigh(np.cov(seen.T))[1][:, ::-1]]}
    turns["random"] = [np.linalg.qr(rng.normal(size=(d, d)))[0] for _ in range(draws)]
    rows = []
    for dim in dims:
        hits = {
            name: np.mean(
                [_hits(queries @ t[:, :dim], gallery @ t[:, :dim], task) for t in every], axis=0
            )
            for name, every in turns.items()
        }
        cut = (shortened(side, dim, "first, not normalised") for side in (queries, gallery))
        hits["not normalised"] = _hits(*cut, task, "inner_product")
        row = {"dim": dim} | {name: _percent(found, task) for name, found in hits.items()}
        for name in [*turns, "not normalised"][1:]:
            row[f"prefix - {name}"] = _percent(hits["prefix"], task, hits[name])
        rows.append(row)
    return rows


def twins(dims: Sequence[int] = (16, 32, 64, 128), seed: int = 0) -> list[dict]:
    """R@10 on icons of two small models, one trained with the Matryoshka loss and one without, else
    equal.

    Both are heads on hand-made features with the same weights at the start, batches, steps and
    rate.

    Returns:
        A row per d, in percent: first d coordinates of each, and their paired difference, as in
        `controls`.
    """
    trial = Trial("icons", "heads", "InfoNCE", batch_size=256, seed=seed, pairs=28_000)
    task, hits = test_task("icons", "text_to_image"), {}
    pairs = training_corpus("icons", "heads", "test")
    for name, sizes in {"with": dims, "without": dims[-1:]}.items():

        def loss(network, images, texts, positives, sizes=sizes):
            options = {
                "temperature": 1 / network.logit_scale.exp(),
                "positives": positives,
                "direction": "both",
            }
            weights = [1 / len(sizes)] * len(sizes)
            return matryoshka_loss(infonce_loss, images, texts, sizes, weights=weights, **options)

        network, _ = train(
            trial, split="test", target=Objective(loss, scale=1 / 0.07, learns_scale=True)
        )
        texts, images = encoded(network, pairs.task_images, pairs.task_texts)
        hits[name] = {dim: _hits(texts[:, :dim], images[:, :dim], task) for dim in dims}
    return [
        {"dim": dim}
        | {name: _percent(hits[name][dim], task) for name in hits}
        | {"with - without": _percent(hits["with"][dim], task, hits["without"][dim])}
        for dim in dims
    ]


def _hits(
    queries: np.ndarray, gallery: np.ndarray, task: RetrievalTask, metric: str = "cosine"
) -> np.ndarray:
    return evaluate_task(np.float32(queries), np.float32(gallery), task, metric=metric).per_query[
        "R@10"
    ]


def _percent(hits: np.ndarray, task: RetrievalTask, other: np.ndarray | None = None) -> tuple:
    if other is None:
        ends = bootstrap_interval(hits, task.query_groups)
    else:
        ends, hits = paired_bootstrap_interval(hits, other, task.query_groups), hits - other
    return tuple(100 * float(x) for x in (hits.mean(), *ends))
