"""A cheap search hands its best items to a scorer that reads them properly."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lib.core.checks import RetrievalInputError, as_array, check_choice, check_k, check_number
from lib.search.base import PairScorer, Retriever, Run, Work, best_first, check_scores

SCALES = ("z", "raw")


@dataclass(frozen=True)
class Interpolate:
    """The one way to mix the scores of two stages.

        z    w (s2 - mean s2) / sd s2 + (1 - w) (s1 - mean s1) / sd s1      over the query's
        candidates raw  w s2 + (1 - w) s1

    Args:
        weight: w of the second stage, 0 to 1.
        scale: "z", where the weight does not depend on the units of either score (a score that is
            equal for all candidates counts 0), or "raw", where it does.

    Raises:
        RetrievalInputError: a weight outside 0 to 1, another scale.

    Relations: BLIP's "matching logit plus cosine" orders as `Interpolate(0.5, "raw")`, in which the
    score with the wider range decides.

    Reference: Li et al. 2022, "BLIP", evaluation code of image-text retrieval.
    """

    weight: float
    scale: str = "z"

    def __post_init__(self) -> None:
        check_choice(self.scale, SCALES, "scale")
        check_number(self.weight, "weight", 0, 1)

    def __call__(self, first: np.ndarray, second: np.ndarray, found: np.ndarray) -> np.ndarray:
        """Mixed scores `(n_queries, depth)` of candidates; what is not `found` (bool) has no part
        in it.
        """
        first, second = (self._scaled(scores, found) for scores in (first, second))
        return self.weight * second + (1 - self.weight) * first

    def name(self, first: str, second: str) -> str:
        first, second = (f"z({name})" if self.scale == "z" else name for name in (first, second))
        return f"{self.weight:g} {second} + {1 - self.weight:g} {first}"

    def _scaled(self, scores: np.ndarray, found: np.ndarray) -> np.ndarray:
        scores = np.where(found, scores, 0).astype(np.float64)
        if self.scale == "raw":
            return scores
        n = np.maximum(found.sum(axis=1, keepdims=True), 1)
        centred = np.where(found, scores - scores.sum(axis=1, keepdims=True) / n, 0)
        spread = np.sqrt((centred**2).sum(axis=1, keepdims=True) / n)
        # Equal scores leave rounding errors about their mean, which no weight should make
        # differences of; and where nothing was found there is nothing to divide.
        level = np.where(found, scores, -np.inf).max(axis=1) <= np.where(found, scores, np.inf).min(
            axis=1
        )
        return np.where(level[:, None], 0, centred / np.where(level[:, None], 1, spread))


def rerank(
    run: Run, scores: np.ndarray, depth: int, name: str, *, combine: Interpolate | None = None
) -> Run:
    """Reorders the first `depth` items of every list by another score; below them nothing moves.

        list'(i) = sort of list(i)[:depth] by s2, then list(i)[depth:]

    Args:
        run: of the first stage.
        scores: `(n_queries, m)` of the items in the first m places of the run, m at least `depth`.
        depth: 0 to the depth of the run; 0 leaves everything as it was.
        name: what the new scores are.
        combine: mixes the scores of both stages for the reranked items; only the second's count
            when None.

    Returns:
        A `Run` of the same items with one stage more. Equal new scores are ordered by the smaller
        id.

    Raises:
        RetrievalInputError: a depth or scores that do not fit the run, a score that is not finite,
            or a mixture with first scores that come from two stages already.

    Relations: the ceiling of what it can find is `recall_ceiling(run, qrels, [depth])`.
    """
    if not isinstance(run, Run):
        raise RetrievalInputError(
            f"run must be a Run, got {type(run).__name__}; see Run.of_one_stage"
        )
    depth = check_depth(depth, run.depth)
    if combine is not None and not isinstance(combine, Interpolate):
        raise RetrievalInputError(f"combine must be Interpolate(weight) or None, got {combine!r}")
    scores = as_array(scores, "scores")
    if (
        scores.dtype.kind not in "iuf"
        or scores.ndim != 2
        or len(scores) != len(run)
        or scores.shape[1] < depth
    ):
        raise RetrievalInputError(
            f"scores are {scores.dtype} {scores.shape} for a run of {run.ids.shape} and depth"
            f" {depth}"
        )
    head, ids = scores[:, :depth], run.ids[:, :depth]
    if combine is not None and depth:
        found, stages = ids >= 0, np.unique(run.stage[:, :depth][ids >= 0])
        if stages.size > 1:
            raise RetrievalInputError(
                f"the first {depth} items have scores of {stages.size} stages, which share no"
                " scale; rerank at most as many as the last of them did, or leave combine=None"
            )
        name = combine.name(run.score_names[stages.max(initial=1) - 1], name)
        check_scores(
            head, ids
        )  # a mean over candidates would carry one bad score to all the others
        head = np.where(found, combine(run.scores[:, :depth], head, found), -np.inf)
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
    """The same queries as each stage encodes them."""

    first: Any
    second: Any

    def __len__(self) -> int:
        return len(self.first)


class TwoStageRetriever(Retriever):
    """Searches with one retriever and reranks the best of what it finds with another's scores.

    Args:
        first: searches the whole gallery.
        second: scores pairs over the same gallery, for example `CrossEncoderRetriever`.
        depth: items that the second stage reads for each query, 0 to the size of the gallery.
        combine: see `rerank`.

    Raises:
        RetrievalInputError: two galleries of different sizes, or a depth outside them.

    Relations: a `TwoStageRetriever` can be the first of another one, for a cascade.
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
        """The k best; what lies below the depth keeps the first stage's order and scores."""
        return self.search_depths(queries, k, [self.depth])[0]

    def search_depths(self, queries: StagedQueries, k: int, depths: Sequence[int]) -> list[Run]:
        """What `search` would answer at several depths, with every pair scored once.

        Returns:
            A `Run` for each depth, each with the work that it would take alone.
        """
        k, depths = check_k(k, self.n_items), [check_depth(depth, self.n_items) for depth in depths]
        deepest = max(depths, default=0)
        run = self.first.search(queries.first, max(k, deepest))
        read = run.ids[:, :deepest]
        scores = (
            self.second.score(queries.second, read)
            if deepest
            else np.empty((len(run), 0), np.float32)
        )
        return [self._reranked(run, scores, depth, queries.second).top(k) for depth in depths]

    def _reranked(self, run: Run, scores: np.ndarray, depth: int, queries: Any) -> Run:
        if depth == 0:
            return run
        ranked = rerank(run, scores, depth, self.second.score_names[-1], combine=self.combine)
        work: Work = self.second.work(queries, run.ids[:, :depth])
        return Run(ranked.scores, ranked.ids, ranked.stage, ranked.score_names, (*run.work, work))


def check_depth(depth, largest: int) -> int:
    """Returns a depth of reranking as `int` when it lies in 0 to `largest`."""
    whole = isinstance(depth, int | np.integer) and not isinstance(depth, bool)
    return 0 if whole and depth == 0 else check_k(depth, largest)
