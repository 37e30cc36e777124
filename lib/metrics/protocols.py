"""Protocols of cross-modal papers: both directions, folds of a gallery, and rsum."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.core.checks import RetrievalInputError, as_embeddings, check_count, whole_numbers
from lib.core.qrels import Qrels, check_qrels
from lib.metrics.both_ways import evaluate_both_ways
from lib.metrics.evaluation import Evaluation, evaluate_embeddings
from lib.metrics.runs import check_judgements, checked_groups


def evaluate_both(
    queries,
    gallery,
    qrels: Qrels,
    *,
    directions: tuple[str, str] = ("image_to_text", "text_to_image"),
    groups: tuple = (None, None),
    **options,
) -> tuple[Evaluation, Evaluation]:
    """Evaluate a pair of modalities in both directions; one says little about the other.

    Args:
        queries, gallery: embeddings, `(n_queries, d)` and `(n_items, d)`; the second direction
            swaps them.
        qrels: the judgements of the first direction. The second uses `qrels.T`; where a benchmark
            judged each direction by itself (ECCV Caption), call `evaluate_both_ways`.
        directions: names of the two directions, the first modality searched with first.
        groups: clusters of the queries of the first and of the second direction.
        options: of `evaluate_embeddings`.

    Returns:
        The two `Evaluation`s, in the order of `directions`. `rsum` adds them up.
    """
    if not isinstance(directions, tuple | list) or len(set(map(str, directions))) != 2:
        raise RetrievalInputError(f"directions must be two different names, got {directions!r}")
    if not isinstance(groups, tuple | list) or len(groups) != 2:
        raise RetrievalInputError(f"groups must be two, one per direction, got {groups!r}")
    first, second = ({"direction": d, "groups": g} for d, g in zip(directions, groups))
    check_qrels(qrels)
    first, second = first | {"qrels": qrels}, second | {"qrels": qrels.T}
    return evaluate_both_ways(queries, gallery, first, second, **options)


@dataclass(frozen=True)
class FoldedEvaluation:
    """Evaluations of disjoint folds; papers print the mean of their means.

    Args:
        folds: one `Evaluation` per fold, each with a gallery of its own.
    """

    folds: tuple[Evaluation, ...]

    def mean(self, metric: str) -> float:
        """Return the mean of the folds' means; each fold counts the same, whatever its size."""
        return float(np.mean([fold.mean(metric) for fold in self.folds]))

    def value(self, metric: str) -> float:
        """Return the mean of the folds' values, "MedR" and "MeanR" included."""
        return float(np.mean([fold.value(metric) for fold in self.folds]))

    @property
    def median_rank(self) -> float:
        """The mean of the folds' median ranks."""
        return self.value("MedR")

    @property
    def mean_rank(self) -> float:
        """The mean of the folds' mean ranks."""
        return self.value("MeanR")

    @property
    def direction(self) -> str:
        return self.folds[0].direction

    def rows(self, metrics: Sequence[str] | None = None) -> list[dict]:
        """Return one tidy row per metric, all or those named: mean over folds, extremes, chance."""
        first, rows = self.folds[0], []
        for metric in first.per_query if metrics is None else metrics:
            values = [fold.value(metric) for fold in self.folds]
            rows.append(
                {
                    "metric": metric,
                    "value": self.value(metric),
                    "lowest_fold": min(values),
                    "highest_fold": max(values),
                    "chance": float(np.mean([fold.chance[metric] for fold in self.folds])),
                    "n_folds": len(self.folds),
                    "n_queries": sum(fold.n_queries for fold in self.folds),
                    "n_gallery": first.n_gallery,
                    "split": first.split,
                    "direction": first.direction,
                }
            )
        return rows


def contiguous_folds(qrels: Qrels, n_folds: int = 5) -> list[tuple[slice, slice, Qrels]]:
    """Split queries and gallery into equal contiguous folds; five are the "1K" protocol of COCO.

    The gallery of a fold is smaller, so its metrics are higher: never compare with 5K.

    Args:
        qrels: the judgements; both axes in the order of the benchmark, so that related items are in
            the same fold (image i and captions 5i to 5i + 4).
        n_folds: number of folds; it must divide both sides.

    Returns:
        For each fold the slice of the queries, the slice of the gallery, and the judgements inside
        it, in positions of the fold. Judgements between folds are dropped.

    Reference: A. Karpathy, L. Fei-Fei, Deep Visual-Semantic Alignments, CVPR 2015.
    """
    check_qrels(qrels)
    n_folds = check_count(n_folds, "n_folds")
    for side, size in zip(("queries", "items"), qrels.shape, strict=True):
        if size == 0 or size % n_folds:
            raise RetrievalInputError(
                f"{size} {side} cannot be cut into {n_folds} equal folds; of COCO's 25,010 test"
                " captions papers keep the first five of each image, which are 25,000"
            )
    n_queries, n_items = (size // n_folds for size in qrels.shape)
    query_index, folds = qrels.query_index, []
    for fold in range(n_folds):
        inside = (query_index // n_queries == fold) & (qrels.items // n_items == fold)
        fold_qrels = Qrels.from_pairs(
            query_index[inside] - fold * n_queries,
            qrels.items[inside] - fold * n_items,
            qrels.grades[inside],
            shape=(n_queries, n_items),
        )
        queries = slice(fold * n_queries, (fold + 1) * n_queries)
        folds.append((queries, slice(fold * n_items, (fold + 1) * n_items), fold_qrels))
    return folds


def evaluate_folds(
    queries, gallery, qrels: Qrels, *, n_folds: int = 5, groups=None, **options
) -> FoldedEvaluation:
    """Evaluate each contiguous fold in its own gallery; papers call the mean COCO 1K.

    Args:
        queries, gallery: embeddings in the order of the benchmark, `(n_queries, d)` and `(n_items,
            d)`. A query with all its relevant items in other folds is an error: it means that the
            two sides are in different orders.
        qrels: the judgements, shape `(n_queries, n_items)`.
        n_folds: number of folds; it must divide both sides.
        groups: `(n_queries,)` cluster of each query, for the intervals of each fold.
        options: of `evaluate_embeddings`.

    Returns:
        A `FoldedEvaluation`; its `mean` averages the folds.
    """
    queries, gallery = as_embeddings(queries, "queries"), as_embeddings(gallery, "gallery")
    check_judgements(qrels, len(queries), len(gallery))
    groups = None if groups is None else checked_groups(groups, len(queries))
    evaluations = [
        evaluate_embeddings(
            queries[rows],
            gallery[items],
            fold_qrels,
            groups=None if groups is None else groups[rows],
            **options,
        )
        for rows, items, fold_qrels in contiguous_folds(qrels, n_folds)
    ]
    return FoldedEvaluation(tuple(evaluations))


def rsum(
    forward: Evaluation | FoldedEvaluation,
    backward: Evaluation | FoldedEvaluation,
    ks: Sequence[int] = (1, 5, 10),
) -> float:
    """Sum the hit rates of both directions in percent, at most 600 for three cut-offs.

        rsum = 100 sum_{k} (R@k of one direction + R@k of the other)

    `rsum / 6` is the "mean recall" of some papers. Nothing is rounded before the sum.

    Args:
        forward, backward: evaluations of the two directions.
        ks: the cut-offs; 1, 5 and 10 in papers.
    """
    for name, part in (("forward", forward), ("backward", backward)):
        if not isinstance(part, Evaluation | FoldedEvaluation):
            raise RetrievalInputError(f"{name} must be an evaluation, got {type(part).__name__}")
    ks = whole_numbers(ks, "ks").tolist()
    if forward.direction and forward.direction == backward.direction:
        raise RetrievalInputError(f"rsum adds two directions, but both are {forward.direction!r}")
    return 100 * sum(part.mean(f"R@{k}") for part in (forward, backward) for k in ks)
