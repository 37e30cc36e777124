"""Expand queries towards their first answers, and show how each metric changes."""

from collections.abc import Sequence

import numpy as np

from lib.core.checks import RetrievalInputError, check_choice, check_k, unit_rows
from lib.index.exact import topk_exact
from lib.metrics import evaluate, paired_bootstrap_interval
from lib.metrics.geometry import to_int8
from lib.metrics.kernels import FAMILIES
from lib.search import DEPTH
from lib.studies.readme_results import load_test_task, stored_embeddings

# Columns of the table to show in percent.
SHARES = ("plain", "expanded", "change", "change_low", "change_high", "chance")


def expand_queries(queries, gallery, m: int) -> np.ndarray:
    """Move every query towards the mean of its first m answers.

        q' = q / |q| + 1/m sum_{i <= m} x_i / |x_i|,   x_1, x_2, ... nearest to q by cosine

    The answers may be wrong (pseudo-relevance feedback): a query with good answers improves, one
    with wrong answers gets worse.

    Args:
        queries: `(n_queries, d)` embeddings, float or int8.
        gallery: `(n_items, d)` embeddings.
        m: answers added, at most the size of the gallery.

    Returns:
        int8 `(n_queries, d)`: the second search is as exact as the first.

    Reference: J. Rocchio, Relevance Feedback in Information Retrieval, in The SMART Retrieval
    System, 1971.
    """
    _, top = topk_exact(queries, gallery, check_k(m, len(gallery)), metric="cosine")
    return to_int8(unit_rows(queries, "queries") + unit_rows(gallery, "gallery")[top].mean(axis=1))


def expansion_rows(
    corpus: str,
    direction: str,
    added: Sequence[int] = (3,),
    metrics: Sequence[str] = ("R@1", "R@5", "R@10", f"MRR@{DEPTH}"),
    *,
    gain: str = "exponential",
) -> list[dict]:
    """Compute the change of metrics by expansion on a test task with stored embeddings.

    Args:
        corpus, direction: the task, as in `readme_results`.
        added: numbers of answers added to the query, one block of rows each.
        metrics: names of `evaluate`, with cut-offs 1, 5 and 10 and `DEPTH` for MRR and MAP.
        gain: gain of nDCG.

    Returns:
        Rows of shares: `metric`, `plain`, `expanded`, `change` with its paired 95% interval
        `change_low` and `change_high`, `chance`, and the task.
    """
    families = dict.fromkeys(name if name in FAMILIES else name.split("@")[0] for name in metrics)
    if not families:
        raise RetrievalInputError(
            "`metrics` must hold at least one name, for example 'R@1', got none"
        )
    task = load_test_task(corpus, direction)
    queries, gallery = stored_embeddings(corpus, direction)

    def evaluate_queries(vectors):
        run = topk_exact(vectors, gallery, DEPTH, metric="cosine")
        options = {"hit_grade": task.hit_grade, "groups": task.query_groups, "gain": gain}
        return evaluate(run, task.qrels, ks=(1, 5, 10), metrics=tuple(families), **options)

    plain, rows = evaluate_queries(queries), []
    for m in added:
        moved = evaluate_queries(expand_queries(queries, gallery, m))
        for name in metrics:
            check_choice(name, plain.per_query, "metric")
            new, old = moved.per_query[name], plain.per_query[name]
            low, high = paired_bootstrap_interval(new, old, task.query_groups)
            row = {"corpus": corpus, "split": task.split, "direction": direction, "added": m}
            row |= {"metric": name, "plain": plain.mean(name), "expanded": moved.mean(name)}
            row |= {"change": float((new - old).mean()), "change_low": low, "change_high": high}
            row |= {"chance": plain.chance[name], "n_queries": plain.n_queries}
            rows.append(row | {"n_gallery": plain.n_gallery})
    return rows
