"""Search with a cheap retriever and rerank its best items with an expensive scorer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lib.core.checks import RetrievalInputError, as_array, check_choice, check_k, check_number
from lib.search.base import PairScorer, Retriever, Run, best_first, check_scores

SCALES = ("z", "raw")


@dataclass(frozen=True)
class Interpolate:
    """Mix the scores of two stages with a weight w.

        z    w (s2 - mean s2) / sd s2 + (1 - w) (s1 - mean s1) / sd s1
        raw  w s2 + (1 - w) s1

    Mean and sd are over the query's candidates. BLIP's "matching logit plus cosine" ranks as
    `Interpolate(0.5, "raw")`, in which the score with the wider range decides.

    Args:
        weight: w of the second stage, 0 to 1.
        scale: "z" does not depend on the units of the scores (a score that is equal for all
            candidates counts 0); "raw" does.

    Reference: Li et al. 2022, "BLIP", evaluation code of image-text retrieval.
    """

    weight: float
    scale: str = "z"

    def __post_init__(self) -> None:
        check_choice(self.scale, SCALES, "scale")
        check_number(self.weight, "weight", 0, 1)

    def __call__(self, first: np.ndarray, second: np.ndarray, is_item: np.ndarray) -> np.ndarray:
        """Mix scores `(n_queries, depth)` of candidates; entries that are no item are ignored."""
        first, second = (self._scaled(scores, is_item) for scores in (first, second))
        return self.weight * second + (1 - self.weight) * first

    def name(self, first: str, second: str) -> str:
        first, second = (f"z({name})" if self.scale == "z" else name for name in (first, second))
        return f"{self.weight:g} {second} + {1 - self.weight:g} {first}"

    def _scaled(self, scores: np.ndarray, is_item: np.ndarray) -> np.ndarray:
        scores = np.where(is_item, scores, 0).astype(np.float64)
        if self.scale == "raw":
            return scores
        n = np.maximum(is_item.sum(axis=1, keepdims=True), 1)
        centred = np.where(is_item, scores - scores.sum(axis=1, keepdims=True) / n, 0)
        spread = np.sqrt((centred**2).sum(axis=1, keepdims=True) / n)
        # Equal scores leave rounding errors around their mean, which must not be amplified; and
        # without a candidate there is nothing to divide.
        highest = np.where(is_item, scores, -np.inf).max(axis=1, keepdims=True)
        lowest = np.where(is_item, scores, np.inf).min(axis=1, keepdims=True)
        level = highest <= lowest
        return np.where(level, 0, centred / np.where(level, 1, spread))


def rerank(
    run: Run, scores: np.ndarray, depth: int, name: str, *, combine: Interpolate | None = None
) -> Run:
    """Sort the first `depth` items of every list by another score; items below do not move.

        list'(i) = sort of list(i)[:depth] by s2, then list(i)[depth:]

    `recall_ceiling(run, qrels, [depth])` is the upper bound of its recall.

    Args:
        run: of the first stage.
        scores: `(n_queries, m)` of the first m items of the run, m at least `depth`.
        depth: 0 (nothing changes) to the depth of the run.
        name: name of the new scores.
        combine: mixes the scores of both stages for the reranked items; the second alone if None.

    Returns:
        A `Run` of the same items with one more stage. Equal new scores by the smaller id.
    """
    if not isinstance(run, Run):
        raise RetrievalInputError(
            f"run must be a Run, got {type(run).__name__}; see Run.of_one_stage"
        )
    depth = check_depth(depth, run.depth)
    if combine is not None and not isinstance(combine, Interpolate):
        raise RetrievalInputError(f"combine must be Interpolate(weight) or None, got {combine!r}")
    scores = as_array(scores, "scores")
    numeric = scores.dtype.kind in "iuf" and scores.ndim == 2
    if not numeric or len(scores) != len(run) or scores.shape[1] < depth:
        raise RetrievalInputError(
            f"scores are {scores.dtype} {scores.shape} for a run of {run.ids.shape} and depth"
            f" {depth}"
        )
    head, ids = scores[:, :depth], run.ids[:, :depth]
    if combine is not None and depth:
        is_item, stages = ids >= 0, np.unique(run.stage[:, :depth][ids >= 0])
        if stages.size > 1:
            raise RetrievalInputError(
                f"the first {depth} items have scores of {stages.size} stages, which cannot be"
                " mixed. Use a depth of at most that of the last rerank, or combine=None"
            )
        name = combine.name(run.score_names[stages.max(initial=1) - 1], name)
        check_scores(head, ids)  # the mean would spread one bad score to all candidates
        head = np.where(is_item, combine(run.scores[:, :depth], head, is_item), -np.inf)
    head, ids = best_first(head, ids, depth)
    stage = np.where(ids >= 0, len(run.score_names) + 1, 0)
    return Run(
        np.concatenate([head, run.scores[:, depth:]], axis=1),
        np.concatenate([ids, run.ids[:, depth:]], axis=1),
        np.concatenate([stage, run.stage[:, depth:]], axis=1).astype(np.int8),
        (*run.score_names, name),
        run.work,
    )


@dataclass(frozen=True, eq=False)
class StagedQueries:
    """The same queries, encoded for each stage."""

    first: Any
    second: Any

    def __len__(self) -> int:
        return len(self.first)


class TwoStageRetriever(Retriever):
    """Search with one retriever and rerank its best items with the scores of another.

    A `TwoStageRetriever` can be the first stage of another one, for a cascade.

    Args:
        first: searches the whole gallery.
        second: scores pairs over the same gallery, for example `CrossEncoderRetriever`.
        depth: items per query to rerank, 0 to the size of the gallery.
        combine: see `rerank`.
    """

    def __init__(
        self,
        first: Retriever,
        second: PairScorer,
        depth: int,
        *,
        combine: Interpolate | None = None,
    ) -> None:
        if first.n_items != second.n_items:
            raise RetrievalInputError(
                f"the first stage searches {first.n_items} items, the second scores"
                f" {second.n_items}; both must hold the same gallery in the same order"
            )
        name = second.score_names[-1]
        name = name if combine is None else combine.name(first.score_names[-1], name)
        super().__init__(first.n_items, first.labels, (*first.score_names, name))
        self.first, self.second, self.combine = first, second, combine
        self.depth = check_depth(depth, self.n_items)

    def encode(self, queries: Sequence, modality: str) -> StagedQueries:
        return StagedQueries(
            self.first.encode(queries, modality), self.second.encode(queries, modality)
        )

    def search(self, queries: StagedQueries, k: int) -> Run:
        """Find the k best items; below the depth, order and scores are those of the first stage."""
        return self.search_depths(queries, k, [self.depth])[0]

    def search_depths(self, queries: StagedQueries, k: int, depths: Sequence[int]) -> list[Run]:
        """Search at several depths, and score every pair once.

        Returns:
            A `Run` for each depth, with the work that this depth takes alone.
        """
        k, depths = check_k(k, self.n_items), [check_depth(depth, self.n_items) for depth in depths]
        deepest = max(depths, default=0)
        run = self.first.search(queries.first, max(k, deepest))
        scores = np.empty((len(run), 0), np.float32)
        if deepest:
            scores = self.second.score(queries.second, run.ids[:, :deepest])
        return [self._reranked(run, scores, depth, queries.second).top(k) for depth in depths]

    def _reranked(self, run: Run, scores: np.ndarray, depth: int, queries: Any) -> Run:
        if depth == 0:
            return run
        ranked = rerank(run, scores, depth, self.second.score_names[-1], combine=self.combine)
        work = self.second.work(queries, run.ids[:, :depth])
        return Run(ranked.scores, ranked.ids, ranked.stage, ranked.score_names, (*run.work, work))


def check_depth(depth, largest: int) -> int:
    """Return a depth of reranking as `int` when it is in 0 to `largest`."""
    whole = isinstance(depth, int | np.integer) and not isinstance(depth, bool)
    return 0 if whole and depth == 0 else check_k(depth, largest)
