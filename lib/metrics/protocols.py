"""Protocols of cross-modal papers, from embeddings: one direction or both, the whole gallery or
folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lib.core.checks import (
    RetrievalInputError,
    as_embeddings,
    check_choice,
    check_choices,
    check_count,
    check_k,
    whole_numbers,
)
from lib.core.qrels import Qrels, check_qrels
from lib.metrics.chance import chance_of, chance_of_ranks, metric_names
from lib.metrics.counting import check_judgements, ranks_of_relevant
from lib.metrics.evaluation import RANKS, Evaluation
from lib.metrics.ranks import TIES
from lib.metrics.runs import checked_groups, keep_queries

OF_ALL_RELEVANT = ("R-precision", "MAP@R")  # the rest needs the first relevant item alone


def evaluate_embeddings(
    queries,
    gallery,
    qrels: Qrels,
    *,
    ks: Sequence[int] = (1, 5, 10),
    metrics: Sequence[str] = ("R", "MRR"),
    metric: str = "cosine",
    ties: str = "pessimistic",
    hit_grade: int = 1,
    groups=None,
    name: str = "",
    split: str = "",
    direction: str = "",
    no_relevant: str = "error",
) -> Evaluation:
    """R@k, MRR and the ranks of relevant items over the whole gallery, without a run.

    Args:
        queries: `(n_queries, d)` embeddings.
        gallery: `(n_items, d)` embeddings.
        qrels: the judgements, shape `(n_queries, n_items)`.
        ks: cut-offs, none larger than the gallery.
        metrics: "R" (hit rate) at every cut-off, "MRR", and "R-precision" and "MAP@R", which ask
            for the rank of every relevant item and so take longer; ties="expected" has none of
            these two.
        metric: "cosine" or "inner_product".
        ties: "pessimistic", "optimistic", "expected" or "id", see `RelevantRanks`. The default can
            never flatter; `Evaluation.bounds` holds both extremes.
        hit_grade: the grade from which an item is relevant.
        groups: `(n_queries,)` cluster of each query, for the intervals.
        name, split, direction: of the task; they go into the result.
        no_relevant: what becomes of queries to which nothing is relevant: "error", "skip", or
            "zero".

    Returns:
        An `Evaluation` with the metrics asked for, and as always "MedR" and "MeanR". Its
        `tie_share` is the share of queries whose first relevant rank depends on the policy.

    Raises:
        RetrievalInputError: what `ranks_of_relevant` refuses; a cut-off beyond the gallery; groups
            of another length.

    Relations: `evaluate` of an exact search over the whole gallery, with ties="id" and equal
    scores.
    """
    check_choice(ties, TIES, "ties")
    metrics = check_choices(metrics, ("R", "MRR", *OF_ALL_RELEVANT), "metrics")
    queries, gallery = as_embeddings(queries, "queries"), as_embeddings(gallery, "gallery")
    check_judgements(qrels, len(queries), len(gallery))
    ks = sorted({check_k(k, len(gallery)) for k in whole_numbers(ks, "ks").tolist()})
    asked = keep_queries(qrels, hit_grade, groups, no_relevant)
    qrels = asked.qrels.at_least(asked.hit_grade)
    if asked.kept.size < len(queries):
        queries = queries[asked.kept]
    which = "all" if set(metrics) & set(OF_ALL_RELEVANT) else "first"
    ranks = ranks_of_relevant(
        queries, gallery, qrels, metric=metric, which=which, no_relevant="zero"
    )
    depth = len(gallery)
    names = metric_names(metrics, ks, depth)

    def measure(policy: str) -> dict[str, np.ndarray]:
        how = {
            "R": lambda k: ranks.hit_rate_at_k(k, policy),
            "MRR": lambda _: ranks.reciprocal_rank(ties=policy),
            "R-precision": lambda _: ranks.r_precision(policy),
            "MAP@R": lambda _: ranks.average_precision_at_r(policy),
        }
        return {_whole(name): how[family](k) for name, (family, k) in names.items()}

    worst, best = measure("pessimistic"), measure("optimistic")
    chance = chance_of(qrels.counts, depth, ks, depth, metrics=metrics)
    chance = {_whole(name): value for name, value in chance.items()}
    firsts = [ranks.first_rank(policy) for policy in ("pessimistic", "optimistic")]
    bounds = {metric: (float(worst[metric].mean()), float(best[metric].mean())) for metric in worst}
    return Evaluation(
        name=name,
        split=split,
        direction=direction,
        per_query=measure(ties),
        queries=asked.kept,
        n_gallery=depth,
        k=depth,
        hit_grade=asked.hit_grade,
        n_without_relevant=asked.n_without,
        tie_share=ranks.tie_share,
        chance=chance | chance_of_ranks(qrels.counts, depth, depth),
        groups=asked.groups,
        ties=ties,
        bounds=bounds
        | {name: tuple(float(of(first)) for first in firsts) for name, of in RANKS.items()},
        first_ranks=ranks.first_rank(ties),
    )


def _whole(name: str) -> str:
    """The name without the depth of a run, since here it is the whole gallery."""
    return "MRR" if name.startswith("MRR@") else name


def evaluate_both(
    queries,
    gallery,
    qrels: Qrels,
    *,
    directions: tuple[str, str] = ("image_to_text", "text_to_image"),
    groups: tuple = (None, None),
    **options,
) -> tuple[Evaluation, Evaluation]:
    """Evaluates a pair of modalities in both directions, of which one says little about the other.

    Args:
        queries, gallery: embeddings, `(n_queries, d)` and `(n_items, d)`; the second direction
            swaps them.
        qrels: the judgements of the first direction. The second uses `qrels.T`; where a benchmark
            judged each direction by itself (ECCV Caption), call `evaluate_embeddings` twice
            instead.
        directions: what the two are called, by what is searched with first.
        groups: clusters of the queries of the first and of the second direction.
        options: of `evaluate_embeddings`.

    Returns:
        The two `Evaluation`s, in the order of `directions`.

    Raises:
        RetrievalInputError: as `evaluate_embeddings`.

    Relations: `rsum` adds them up.
    """
    if not isinstance(directions, tuple | list) or len(set(map(str, directions))) != 2:
        raise RetrievalInputError(f"directions must be two different names, got {directions!r}")
    if not isinstance(groups, tuple | list) or len(groups) != 2:
        raise RetrievalInputError(
            f"groups must be two, of the queries of each direction, got {groups!r}"
        )
    there = evaluate_embeddings(
        queries, gallery, qrels, direction=directions[0], groups=groups[0], **options
    )
    back = evaluate_embeddings(
        gallery, queries, qrels.T, direction=directions[1], groups=groups[1], **options
    )
    return there, back


@dataclass(frozen=True)
class FoldedEvaluation:
    """Evaluations of disjoint folds; the number that papers print is the mean of their means.

    Args:
        folds: one `Evaluation` per fold, each with a gallery of its own.
    """

    folds: tuple[Evaluation, ...]

    def mean(self, metric: str) -> float:
        """The mean of the folds' means; each fold counts the same, however many queries it has."""
        return float(np.mean([fold.mean(metric) for fold in self.folds]))

    def value(self, metric: str) -> float:
        """The mean of the folds' values, "MedR" and "MeanR" included."""
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
        """One tidy row per metric, all or those named: mean over folds, lowest and highest, chance,
        sizes.
        """
        first, rows = self.folds[0], []
        for metric in first.per_query if metrics is None else metrics:
            means = [fold.value(metric) for fold in self.folds]
            rows.append(
                {
                    "metric": metric,
                    "value": self.value(metric),
                    "lowest_fold": min(means),
                    "highest_fold": max(means),
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
    """Cuts queries and gallery into equal runs of neighbours, the "1K" protocol of COCO for 5
    folds.

    Args:
        qrels: the judgements; both axes in the order of the benchmark, so that what belongs
            together is in the same fold (image i beside captions 5i to 5i + 4).
        n_folds: number of folds; it must divide both sides.

    Returns:
        For each fold the slice of the queries, the slice of the gallery, and the judgements inside
        it, in positions of the fold. Judgements from one fold to another are dropped with the items
        they point to.

    Raises:
        RetrievalInputError: a side that the number of folds does not divide.

    Relations: the gallery of a fold is smaller, so that its metrics are higher: never compare with
    5K.

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
        own = Qrels.from_pairs(
            query_index[inside] - fold * n_queries,
            qrels.items[inside] - fold * n_items,
            qrels.grades[inside],
            shape=(n_queries, n_items),
        )
        queries = slice(fold * n_queries, (fold + 1) * n_queries)
        folds.append((queries, slice(fold * n_items, (fold + 1) * n_items), own))
    return folds


def evaluate_folds(
    queries, gallery, qrels: Qrels, *, n_folds: int = 5, groups=None, **options
) -> FoldedEvaluation:
    """Evaluates each contiguous fold in its own gallery; their mean is what papers call COCO 1K.

    Args:
        queries, gallery: embeddings in the order of the benchmark, `(n_queries, d)` and `(n_items,
            d)`.
        qrels: the judgements, shape `(n_queries, n_items)`.
        n_folds: number of folds; it must divide both sides.
        groups: `(n_queries,)` cluster of each query, for the intervals of each fold.
        options: of `evaluate_embeddings`.

    Returns:
        A `FoldedEvaluation`, whose `mean` averages the folds.

    Raises:
        RetrievalInputError: as `contiguous_folds` and `evaluate_embeddings`. A query whose relevant
            items are all in other folds says that the two sides are in different orders.

    Relations: with one fold, `evaluate_embeddings`.
    """
    queries, gallery = as_embeddings(queries, "queries"), as_embeddings(gallery, "gallery")
    check_judgements(qrels, len(queries), len(gallery))
    folds = contiguous_folds(qrels, n_folds)
    groups = None if groups is None else checked_groups(groups, len(queries))
    return FoldedEvaluation(
        tuple(
            evaluate_embeddings(
                queries[asked],
                gallery[items],
                own,
                groups=None if groups is None else groups[asked],
                **options,
            )
            for asked, items, own in folds
        )
    )


def rsum(
    there: Evaluation | FoldedEvaluation,
    back: Evaluation | FoldedEvaluation,
    ks: Sequence[int] = (1, 5, 10),
) -> float:
    """The sum of the hit rates of both directions in percent, at most 600 for three cut-offs.

        rsum = 100 sum_{k} (R@k of one direction + R@k of the other)

    Args:
        there, back: evaluations of the two directions.
        ks: the cut-offs; 1, 5 and 10 in papers.

    Raises:
        RetrievalInputError: the same direction twice, or a cut-off that was not evaluated.

    Relations: `rsum / 6` is the "mean recall" of some papers. Nothing is rounded before the sum.
    """
    for name, part in (("there", there), ("back", back)):
        if not isinstance(part, Evaluation | FoldedEvaluation):
            raise RetrievalInputError(f"{name} must be an evaluation, got {type(part).__name__}")
    ks = whole_numbers(ks, "ks").tolist()
    if there.direction and there.direction == back.direction:
        raise RetrievalInputError(f"rsum adds two directions, but both are {there.direction!r}")
    return 100 * sum(part.mean(f"R@{k}") for part in (there, back) for k in ks)
