"""Evaluation of embeddings in two directions from one product of both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lib.core.checks import RetrievalInputError, as_embeddings, check_choice, check_k
from lib.core.qrels import Qrels
from lib.metrics import kernels, runs
from lib.metrics.evaluation import Evaluation, evaluation_of_ranks
from lib.metrics.kernels import MetricNames
from lib.metrics.ranks import TIES, RelevantRanks, ranks_both_ways
from lib.metrics.runs import CountedQueries


def evaluate_both_ways(
    queries, gallery, forth: Mapping, back: Mapping, *, metric: str = "cosine", **shared
) -> tuple[Evaluation, Evaluation]:
    """Evaluate two directions from one product of all embeddings, each as `evaluate_embeddings`.

    Args:
        queries: `(n_queries, d)` embeddings, the gallery of the second direction.
        gallery: `(n_items, d)` embeddings, the queries of the second direction.
        forth, back: "qrels" and options of `evaluate_embeddings` for either direction.
        metric: "cosine" or "inner_product".
        shared: options of both.
    """
    queries, gallery = as_embeddings(queries, "queries"), as_embeddings(gallery, "gallery")
    shape = len(queries), len(gallery)
    ways = _Way.of(shape, **{**shared, **forth}), _Way.of(shape[::-1], **{**shared, **back})
    which = "first" if all(way.first_is_enough for way in ways) else "all"
    options = {"metric": metric, "which": which, "no_relevant": "zero"}
    ranks = ranks_both_ways(queries, gallery, *(way.qrels for way in ways), **options)
    forward, backward = (way.evaluation(of) for way, of in zip(ways, ranks, strict=True))
    return forward, backward


@dataclass(frozen=True, eq=False)
class _Way:
    """Judgements and checked options of one direction, without its embeddings."""

    qrels: Qrels
    counted: CountedQueries
    names: MetricNames
    ties: str
    gain: str
    labels: dict[str, str]

    @classmethod
    def of(
        cls, shape: tuple[int, int], qrels: Qrels, *, metrics: Sequence[str] = ("R", "MRR"),
        ks: Sequence[int] = (1, 5, 10), gain: str = "exponential", ties: str = "pessimistic",
        hit_grade: int = 1, groups=None, name: str = "", split: str = "", direction: str = "",
        no_relevant: str = "error",
    ) -> _Way:  # fmt: skip
        runs.check_judgements(qrels, *shape)
        names = kernels.metric_names(metrics, ks, shape[1], check_k, name_depth=False)
        labels = {"name": name, "split": split, "direction": direction}
        counted = runs.count_queries(qrels, hit_grade, groups, no_relevant)
        way = cls(qrels, counted, names, check_choice(ties, TIES, "ties"), gain, labels)
        if ties == "expected" and way.needs_all:
            raise RetrievalInputError(
                f"ties='expected' is known for R and MRR, not for {', '.join(way.needs_all)}"
            )
        return way

    @property
    def needs_all(self) -> set[str]:
        """Families that need the rank of every relevant item."""
        return {family for family, _ in self.names.values()} - set(kernels.FIRST_ITEM_ONLY)

    @property
    def first_is_enough(self) -> bool:
        return not self.needs_all and self.counted.hit_grade == 1

    def evaluation(self, ranks: RelevantRanks) -> Evaluation:
        """Measure the ranks of all judgements, of the queries that count."""
        lowest = 1 if "nDCG" in self.needs_all else self.counted.hit_grade
        ranks = ranks.take(self.counted.positions, lowest)
        return evaluation_of_ranks(
            ranks, self.names, self.counted, self.ties, self.gain, self.labels
        )
