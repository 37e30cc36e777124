"""Measure recall and bytes against the number of coordinates that are kept of an embedding."""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import check_choice, unit_rows
from lib.core.task import RetrievalTask
from lib.datasets import icons
from lib.losses import infonce_loss, matryoshka_loss
from lib.metrics import bootstrap_interval, paired_bootstrap_interval
from lib.models.artifact_files import load_embeddings
from lib.search import evaluate_task
from lib.studies.losses.train_trial import Trial, encoded, train
from lib.studies.losses.train_trial import training_pairs as training_corpus
from lib.studies.readme_results import load_test_task, stored_embeddings
from lib.training.objectives import Objective

CUTS = ("first, normalised again", "first, not normalised", "last, normalised again")


def shorten_embeddings(x: np.ndarray, dim: int, cut: str) -> np.ndarray:
    """Keep `dim` coordinates of int8 embeddings in one of the ways of `CUTS`.

    Rows that are normalised again stay integers: a cosine search divides by their length. Rows
    that are not normalised become float32 and keep the length of their part of the unit vector.
    """
    check_choice(cut, CUTS, "cut")
    if cut.startswith("last"):
        return np.ascontiguousarray(x[:, -dim:])
    return np.ascontiguousarray(x[:, :dim] if cut.endswith("again") else unit_rows(x, "x")[:, :dim])


def matryoshka_table(
    corpus: str,
    direction: str = "text_to_image",
    dims: Sequence[int] = (16, 32, 64, 128, 256),
    cuts: Sequence[str] = CUTS[:1],
    metrics: Sequence[str] = ("R@1", "R@10"),
) -> list[dict]:
    """Evaluate shortened embeddings: one row per size, cut and metric.

    Returns:
        Tidy rows: corpus, direction, dim, cut, bytes_float32 and bytes_int8 per item, metric,
        value, low, high, chance, n_queries, n_gallery.
    """
    task, sides, rows = load_test_task(corpus, direction), stored_embeddings(corpus, direction), []
    for cut in cuts:
        metric = "cosine" if cut.endswith("again") else "inner_product"
        for dim in dims:
            short = (shorten_embeddings(side, dim, cut) for side in sides)
            about = {"corpus": corpus, "dim": dim, "cut": cut}
            about |= {"bytes_float32": 4 * dim, "bytes_int8": dim}
            evaluation = evaluate_task(*short, task, metric=metric)
            rows += [about | row for row in evaluation.rows() if row["metric"] in metrics]
    return rows


def control_table(dims: Sequence[int] = (16, 32, 64), draws: int = 10) -> list[dict]:
    """Compare R@10 of the first d coordinates with d that can be made from any embedding (icons).

    "PCA" keeps the d directions in which the training images vary most. "random" keeps d
    coordinates after a random rotation, drawn `draws` times; a query counts with its mean.
    "not normalised" compares the prefix by dot products.

    Returns:
        A row per d, in percent: each way, and the prefix minus every other, paired by query. All
        are (value, low, high) over concepts.
    """
    task = load_test_task("icons", "text_to_image")
    queries, gallery = stored_embeddings("icons", "text_to_image")
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
        cut = (
            shorten_embeddings(side, dim, "first, not normalised") for side in (queries, gallery)
        )
        hits["not normalised"] = _hits(*cut, task, "inner_product")
        row = {"dim": dim} | {name: _percent(values, task) for name, values in hits.items()}
        for name in (name for name in hits if name != "prefix"):
            row[f"prefix - {name}"] = _percent(hits["prefix"], task, hits[name])
        rows.append(row)
    return rows


def trained_pair_table(dims: Sequence[int] = (16, 32, 64, 128), seed: int = 0) -> list[dict]:
    """Compare R@10 on icons of two small models, trained with and without the Matryoshka loss.

    Both are heads on hand-made features with the same initial weights, batches, steps and rate.

    Returns:
        A row per d, in percent: first d coordinates of each, and their paired difference.
    """
    trial = Trial("icons", "heads", "InfoNCE", batch_size=256, seed=seed, pairs=28_000)
    task, hits = load_test_task("icons", "text_to_image"), {}
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

        target = Objective(loss, scale=1 / 0.07, learns_scale=True)
        network, _ = train(trial, split="test", target=target)
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
    evaluation = evaluate_task(np.float32(queries), np.float32(gallery), task, metric=metric)
    return evaluation.per_query["R@10"]


def _percent(hits: np.ndarray, task: RetrievalTask, other: np.ndarray | None = None) -> tuple:
    if other is None:
        ends = bootstrap_interval(hits, task.query_groups)
    else:
        ends, hits = paired_bootstrap_interval(hits, other, task.query_groups), hits - other
    return tuple(100 * float(x) for x in (hits.mean(), *ends))
