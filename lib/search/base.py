"""Retrievers (encode queries, then search) and the runs that they return."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from lib.core.checks import RetrievalInputError, as_array, check_choice, check_k, whole_numbers

METHODS = {  # modality: the method of an encoder
    "text": "encode_text",
    "image": "encode_image",
    "picture": "encode_image",
    "icon": "encode_image",
    "sketch": "encode_sketch",
    "document": "encode_document",
}


@dataclass(frozen=True)
class Hit:
    """One answer: `rank` from 1, `score`, `position` in the gallery, `label`, name of the score."""

    rank: int
    score: float
    position: int
    label: str
    scored_by: str = "cosine"


class Retriever(ABC):
    """Search a gallery; architectures differ in how they encode and score a query.

    Args:
        n_items: size of the gallery; ids are positions in it.
        labels: a name for each item; its position when None.
        score_names: the names of the scores of its stages.
    """

    def __init__(
        self, n_items: int, labels: Sequence[str] | None, score_names: tuple[str, ...]
    ) -> None:
        if labels is not None and len(labels) != n_items:
            raise RetrievalInputError(f"the gallery holds {n_items} items for {len(labels)} labels")
        self.n_items, self.labels, self.score_names = n_items, labels, score_names

    @abstractmethod
    def encode(self, queries: Sequence, modality: str) -> Any:
        """Encode texts or images (`modality`) for `search`, once per query."""

    @abstractmethod
    def search(self, queries: Any, k: int) -> Run:
        """Find the k best items of every encoded query; equal scores by the smaller id."""

    def by_text(self, query: str, k: int = 10) -> list[Hit]:
        """Find the k best items for a text."""
        return self._hits(self.search(self.encode([query], "text"), k))

    def by_image(self, image: np.ndarray, k: int = 10) -> list[Hit]:
        """Find the k best items for one uint8 image, as the encoder takes it without batch axis."""
        return self._hits(self.search(self.encode(np.asarray(image)[None], "image"), k))

    def _hits(self, run: Run) -> list[Hit]:
        rows = zip(run.scores[0].tolist(), run.ids[0].tolist(), run.stage[0].tolist(), strict=True)
        label = str if self.labels is None else self.labels.__getitem__
        return [
            Hit(rank, score, item, label(item), run.score_names[stage - 1])
            for rank, (score, item, stage) in enumerate(rows, start=1)
            if item >= 0
        ]


class PairScorer(Protocol):
    """Score given pairs of a query and an item, as a second stage does.

    `CrossEncoderRetriever` and `LateInteractionRetriever` are retrievers that score pairs.
    """

    n_items: int
    score_names: tuple[str, ...]

    def encode(self, queries: Sequence, modality: str) -> Any: ...

    def score(self, queries: Any, ids: np.ndarray) -> np.ndarray:
        """Score the items `ids` (n_queries, m) of each encoded query; -inf where an id is -1."""

    def work(self, queries: Any, ids: np.ndarray) -> Work:
        """Count the work of `score` for the same arguments."""


@dataclass(frozen=True)
class Work:
    """Work of one scorer for a whole run: counted, not timed, and the same on every machine.

    Args:
        scorer: its name.
        pairs: number of scored (query, item) pairs.
        products: number of inner products of vectors, or of comparisons of two notes; 0 where a
            network reads the pair instead.
    """

    scorer: str
    pairs: int
    products: int


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """Ranked items of every query, best first, and the score that ranks each of them.

    Args:
        scores: `(n_queries, k)` float; within a row, scores of one stage fall. Scores of two stages
            have two scales and cannot be compared. -inf where there is no item.
        ids: `(n_queries, k)` int64 gallery positions; -1 where there is no item, at the end of a
            row.
        stage: `(n_queries, k)` int8, the stage of the score, from 1; 0 where there is no item.
            Later stages come before earlier ones.
        score_names: names of the scores of stage 1, 2, ...
        work: the work of each scorer.

    `ranked` is the form that `lib.metrics` takes.
    """

    scores: np.ndarray
    ids: np.ndarray
    stage: np.ndarray
    score_names: tuple[str, ...]
    work: tuple[Work, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", as_array(self.scores, "scores"))
        object.__setattr__(self, "stage", as_array(self.stage, "stage"))
        object.__setattr__(self, "ids", whole_numbers(self.ids, "ids", ndim=2))
        shapes = {name: getattr(self, name).shape for name in ("scores", "ids", "stage")}
        if len(set(shapes.values())) > 1 or self.ids.ndim != 2:
            raise RetrievalInputError(
                f"scores, ids and stage must share a shape (n_queries, k), got {shapes}"
            )
        if self.stage.min(initial=0) < 0 or self.stage.max(initial=0) > len(self.score_names):
            raise RetrievalInputError(
                f"stages must lie in 0..{len(self.score_names)}, one for each of"
                f" {self.score_names}, got {self.stage.min()}..{self.stage.max()}"
            )

    @classmethod
    def of_one_stage(cls, scores: np.ndarray, ids: np.ndarray, name: str, *work: Work) -> Run:
        """Make a run with scores of one kind."""
        return cls(scores, ids, (ids >= 0).astype(np.int8), (name,), work)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def depth(self) -> int:
        return self.ids.shape[1]

    @property
    def ranked(self) -> tuple[np.ndarray, np.ndarray]:
        """Return `(keys, ids)` for `lib.metrics.evaluate`, both `(n_queries, k)`.

        Keys are the scores of a single stage. Where two stages meet, scores can rise from one to
        the other. Keys then count down, and tie only where two neighbours of one stage tie.
        """
        if (self.stage[:, :1] == self.stage).all():
            return self.scores, self.ids
        keys = np.zeros(self.ids.shape)
        same_stage = self.stage[:, 1:] == self.stage[:, :-1]
        tied = (self.scores[:, 1:] == self.scores[:, :-1]) & same_stage
        np.cumsum(~tied, axis=1, out=keys[:, 1:])
        return -keys, self.ids

    def top(self, k: int) -> Run:
        """Keep the first k items of every list; the work stays the same."""
        k = check_k(k, self.depth)
        return replace(
            self, scores=self.scores[:, :k], ids=self.ids[:, :k], stage=self.stage[:, :k]
        )

    def describe(self) -> str:
        """Describe sizes, the scores in their order, and the work, in one line."""
        present = np.unique(self.stage[self.stage > 0])[::-1]
        by = ", below that by ".join(self.score_names[stage - 1] for stage in present) or "nothing"
        done = "; ".join(
            f"{w.scorer}: {w.pairs:,} pairs, {w.products:,} products" for w in self.work
        )
        text = f"{len(self):,} queries x {self.depth:,} items, ranked by {by}"
        return f"{text} ({done})" if done else text

    def __repr__(self) -> str:
        return f"Run({self.describe()})"


def best_first(scores: np.ndarray, ids: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Sort the scored items of every query and keep the k best; equal scores by the smaller id.

    Args:
        scores: `(n_queries, n)` finite floats, compared in their own precision; ignored where there
            is no item.
        ids: `(n_queries, n)` gallery positions, -1 for no item.
        k: at most n.

    Returns:
        `(scores, ids)`, both `(n_queries, k)`, with -inf and -1 at the end where there are fewer
        items.
    """
    check_scores(scores, ids)
    falling = np.where(ids >= 0, -scores, np.inf)  # (n_queries, n)
    if 2 * k < ids.shape[1]:
        # Items that tie with the k-th are sorted too.
        kth = np.partition(falling, k - 1, axis=1)[:, k - 1 : k]
        candidates = falling <= kth
        width = candidates.sum(axis=1).max(initial=k)
        places = np.argsort(~candidates, axis=1, kind="stable")[:, :width]
        falling, ids = (np.take_along_axis(array, places, axis=1) for array in (falling, ids))
    order = np.lexsort((ids, falling), axis=1)[:, :k]
    falling, ids = (np.take_along_axis(array, order, axis=1) for array in (falling, ids))
    return -falling, ids


def merge_best(
    found: Sequence[tuple[np.ndarray, np.ndarray]], k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Merge the hits of several searches for one query: the k best, ties by the smaller id.

    Args:
        found: scores and ids of each search, both `(n,)`; -1 for no item. No item is in two.
        k: at least 1.

    Returns:
        Scores and ids, both `(at most k,)`.
    """
    scores, ids = (np.concatenate(side) for side in zip(*found, strict=True))
    lives = ids >= 0
    scores, ids = scores[lives][None], ids[lives][None]
    best = best_first(scores, ids, min(k, ids.size))
    return best[0][0], best[1][0]


def check_scores(scores: np.ndarray, ids: np.ndarray) -> None:
    """Refuse a score of an item that is not finite."""
    broken = (ids >= 0) & ~np.isfinite(scores)
    if broken.any():
        row, column = np.argwhere(broken)[0]
        raise RetrievalInputError(
            f"the score of query {row} and item {ids[row, column]} is {scores[row, column]}; a"
            " score must be finite to be ranked. Look at the input of the model there"
        )


def check_rows(queries, ids: np.ndarray) -> None:
    """Refuse candidates that are not one list per query."""
    if len(queries) != len(ids):
        raise RetrievalInputError(
            f"candidates must have one row for each of {len(queries)} queries, got {len(ids)} rows"
        )


def encode_side(encoder, inputs: Sequence, modality: str):
    """Encode inputs with the method of an encoder for their `modality`.

    Pictures and icons are images. So is a sketch for an encoder without `encode_sketch`. A document
    needs `encode_document`.
    """
    method = METHODS[check_choice(modality, METHODS, "modality")]
    if method == "encode_sketch" and not hasattr(encoder, method):
        method = "encode_image"
    if not hasattr(encoder, method):
        raise RetrievalInputError(
            f"modality {modality!r} needs an encoder with {method}, got {type(encoder).__name__}"
        )
    return getattr(encoder, method)(inputs)
